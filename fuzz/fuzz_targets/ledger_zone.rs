//! Looks for bytes that break what `farebox_fuzz::ledger::ledger_zone` promises.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| farebox_fuzz::ledger::ledger_zone(data));
