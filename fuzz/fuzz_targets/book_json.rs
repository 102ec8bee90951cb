//! Looks for bytes that break what `farebox_fuzz::book::book_json` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::book::book_json(data));
