//! How much a policy may use. One class is one wasmtime engine, because fuel, stack and pooling
//! are settings of an engine.

use super::declared;
pub use crate::service::policy::{LimitClass, Trust};
use std::time::Duration;

/// Fuel of a rate card page, in events: a page prices at most 500 models.
pub const RATE_CARD_EVENTS: usize = 256;

/// Bytes of a canonical book: half of what the smaller guests may hold.
pub const BOOK_BYTES_MAX: usize = 16 * MIB;

/// Bytes of a book's text.
pub const BOOK_TEXT_BYTES_MAX: usize = 16 * MIB;

impl LimitClass {
    /// The class of a component: the one it declares. One that declares none and is too large for
    /// compiled languages brings an interpreter.
    pub fn of(component: &[u8]) -> Self {
        let by_size = || {
            if component.len() <= NATIVE.component_bytes_max {
                Self::Native
            } else {
                Self::Scripted
            }
        };
        declared::of(component).unwrap_or_else(by_size)
    }

    /// The class's limits.
    pub const fn limits(self) -> &'static Limits {
        match self {
            Self::Native => &NATIVE,
            Self::Scripted => &SCRIPTED,
        }
    }
}

/// The limits of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the component.
    pub component_bytes_max: usize,
    /// Bytes of linear memory, book included.
    pub memory_bytes_max: usize,
    /// Bytes of wasm stack.
    pub stack_bytes_max: usize,
    /// Events in one call.
    pub batch_events_max: usize,
    /// Bytes that are lifted out of one call.
    pub output_bytes_max: usize,
    /// Instances alive at once, over all workers.
    pub instances_max: u32,
    /// Whether threads share them, because there are fewer than threads.
    pub is_shared: bool,
    /// Core modules inside one component, and tables in all of them.
    pub modules_max: u32,
    /// Fuel of one call, whatever it is.
    pub fuel_per_call: u64,
    /// Fuel of each event on top.
    pub fuel_per_event: u64,
    /// Wall-clock backstop of one call, whatever it is.
    pub time_per_call: Duration,
    /// Wall-clock backstop of each event on top: as fuel, it grows with what is asked.
    pub time_per_event: Duration,
    /// Fuel of loading a book.
    pub load_fuel_max: u64,
    /// Wall-clock backstop of loading a book.
    pub load_time_max: Duration,
    /// What compiling the component may take.
    pub compile: CompileLimits,
}

/// What a process that compiles one component may take. Machines differ, so each is far above what
/// a component of the class needs on a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of its address space, the program itself included.
    pub memory_bytes: u64,
    /// Seconds of a processor.
    pub cpu_seconds: u64,
    /// Time until it is ended, on the wall.
    pub time: Duration,
}

/// How many events of a batch are asked in one call. With 256 a fresh instance paid twice as much for
/// the pages that it writes, and fewer than 64 gave nothing more (`cargo xtask bench`).
pub const CALL_EVENTS: usize = 64;

const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;
const GIB: u64 = 1 << 30;

const NATIVE: Limits = Limits {
    component_bytes_max: MIB,
    memory_bytes_max: 32 * MIB,
    stack_bytes_max: 256 * KIB,
    batch_events_max: 256,
    // 4 KiB an event in a full batch: some twenty lines each.
    output_bytes_max: MIB,
    // More than the server's threads, blocking ones included: each may keep a warm one.
    instances_max: 640,
    is_shared: false,
    modules_max: 8,
    fuel_per_call: 100_000,
    // The first event of a model decodes all its prices: 316,000 for the largest model of the
    // shipped book. `tests/tests/default_book.rs` holds this for every model and batch.
    fuel_per_event: 400_000,
    time_per_call: Duration::from_millis(200),
    time_per_event: Duration::from_millis(2),
    load_fuel_max: 100_000_000,
    load_time_max: Duration::from_secs(1),
    compile: CompileLimits {
        memory_bytes: GIB,
        cpu_seconds: 20,
        time: Duration::from_secs(60),
    },
};

const SCRIPTED: Limits = Limits {
    component_bytes_max: 24 * MIB,
    memory_bytes_max: 96 * MIB,
    stack_bytes_max: 512 * KIB,
    batch_events_max: 256,
    // As for native ones: it is the answer that is as long, not the code.
    output_bytes_max: MIB,
    instances_max: 16,
    is_shared: true,
    // Python comes as an interpreter and its libraries, linked when it is instantiated: 38 modules.
    modules_max: 64,
    // The first call of an instance decodes what it needs of the book, and a model of many tables is
    // tens of millions to an interpreter.
    fuel_per_call: 100_000_000,
    // An event of four pools takes JavaScript 2.8 million, of which 1.4 million pass it in and its
    // lines out; one whose model is decoded first, 7.5 million.
    fuel_per_event: 10_000_000,
    time_per_call: Duration::from_secs(1),
    time_per_event: Duration::from_millis(20),
    load_fuel_max: 20_000_000_000,
    load_time_max: Duration::from_secs(10),
    compile: CompileLimits {
        memory_bytes: 2 * GIB,
        cpu_seconds: 120,
        time: Duration::from_secs(360),
    },
};

impl Limits {
    /// Fuel of a call about `events` events.
    pub const fn call_fuel(&self, events: usize) -> u64 {
        self.fuel_per_event
            .saturating_mul(events as u64)
            .saturating_add(self.fuel_per_call)
    }

    /// Wall-clock backstop of a call about `events` events.
    pub fn call_time(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let of_events = self.time_per_event.saturating_mul(events);
        self.time_per_call.saturating_add(of_events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a batch that takes no more fuel than it may would be a fault for its time.
    #[test]
    fn the_time_of_a_batch_grows_with_its_fuel() {
        for class in LimitClass::ALL {
            let limits = class.limits();
            let full = limits.batch_events_max;
            // A nanosecond for each unit: on any machine that takes part today.
            let fuel = u128::from(limits.call_fuel(full));
            assert!(limits.call_time(full).as_nanos() >= fuel, "{class:?}");
        }
    }
}
