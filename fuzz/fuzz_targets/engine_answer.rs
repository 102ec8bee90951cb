//! Looks for bytes that break what `farebox_fuzz::engine::engine_answer` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::engine::engine_answer(data));
