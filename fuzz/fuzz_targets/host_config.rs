//! Looks for bytes that break what `farebox_fuzz::host::host_config` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::host::host_config(data));
