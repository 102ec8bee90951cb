//! Loops for ever while it is instantiated, before any function of the contract is called.
#![cfg(target_family = "wasm")]

// Its exports of the contract come along.
extern crate farebox_standard as _;

/// Called by the component's start.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    #[expect(clippy::empty_loop, reason = "hostile on purpose")]
    loop {}
}
