//! Looks for bytes that break what `farebox_fuzz::usage::usage_request` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::usage::usage_request(data));
