//! Looks for bytes that break what `farebox_fuzz::usage::usage_answer` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::usage::usage_answer(data));
