//! Looks for bytes that break what `farebox_fuzz::book::book_toml` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::book::book_toml(data));
