//! What went wrong inside a sandbox, from wasmtime's words into the service's.

use crate::service::policy::Fault;
use wasmtime::Trap;

/// What wasmtime says when more is lifted than `Store::set_hostcall_fuel` allows; its error type
/// is private. `tests/tests/hostile/limits.rs` fails should the words change.
const OUTPUT_LIMIT: &str = "fuel allocated for hostcalls has been exhausted";

/// The fault behind a failed call.
pub fn of(error: &wasmtime::Error, memory_denied: bool) -> Fault {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::OutOfFuel => Fault::Fuel,
            Trap::Interrupt => Fault::Time,
            Trap::StackOverflow => Fault::Stack,
            // A guest whose allocation is refused aborts.
            _ if memory_denied => Fault::Memory,
            trap => Fault::Trap(trap.to_string()),
        };
    }
    let text = format!("{error:#}");
    if text.contains(OUTPUT_LIMIT) {
        return Fault::OutputTooLarge;
    }
    Fault::Malformed(text)
}
