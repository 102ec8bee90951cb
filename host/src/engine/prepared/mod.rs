//! A component with its book already loaded: its memory is a snapshot, taken after `load` once and
//! for all, so that a fresh instance begins where loading ended and pays nothing for it.
//!
//! Runs in the compiler's process, for the guest's code runs here and the book is the customer's
//! ([`super::compiler`]). The snapshot is a component like another; what it answers is compared with
//! what the plain one does before it prices anybody ([`super::load`]). Must not know who asks, nor
//! where its machine code is kept.

mod place;
mod snapshot;

use super::contract::{Arguments, Contracts};
use super::instance::Guard;
use super::sandbox::{Code, Settings};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store, error::Context as _};

/// What accessors of the snapshot may take, on top of what the policy took: they copy nothing.
const PAGE_BYTES: usize = 64 << 10;

/// A component whose instances have their book.
pub struct Prepared {
    /// Where the policy lies in each of them.
    pub place: u32,
    /// The component.
    pub component: Vec<u8>,
}

/// Loads the book once, and takes the state that the component is in then.
///
/// # Errors
/// The component has what a snapshot cannot hold, such as several components inside, or loading
/// fails.
pub fn prepare(settings: Settings, component: &[u8], book: &[u8]) -> wasmtime::Result<Prepared> {
    let contract = Contracts::released().of(component);
    let contract = contract
        .ok()
        .flatten()
        .context("no version of the contract that can be prepared")?;
    let with_place = place::tell(component)?;
    let wizer = wasmtime_wizer::Wizer::new();
    let (parts, open) = wizer.instrument_component(&with_place)?;
    let engine = Engine::new(&once(settings))?;
    let linker = Linker::new(&engine);
    let pre = linker.instantiate_pre(&Component::new(&engine, open)?)?;
    let mut store = store(&engine, settings)?;
    let (instance, place) = contract.load_for_good(pre, &mut store, book)?;
    // What only reads the state is not the policy's to pay.
    store.set_fuel(u64::MAX)?;
    store.set_hostcall_fuel(usize::MAX);
    let component = snapshot::take(&wizer, &parts, &mut store, instance)?;
    Ok(Prepared { place, component })
}

/// An engine for a single call: what compiles fast, and as little of the process's addresses as will
/// do. A memory's image would be a file, and this process writes none.
fn once(settings: Settings) -> wasmtime::Config {
    let plain = Settings {
        code: Code::Plain,
        addresses: settings.class.limits().memory_bytes_max as u64,
        ..settings
    };
    let mut config = plain.config();
    config
        .memory_reservation_for_growth(0)
        .memory_init_cow(false);
    config
}

fn store(engine: &Engine, settings: Settings) -> wasmtime::Result<Store<Guard>> {
    let limits = settings.class.limits();
    let memory_bytes_max = limits.memory_bytes_max.saturating_add(PAGE_BYTES);
    let mut store = Store::new(engine, Guard::of(memory_bytes_max, Arguments::Owned));
    store.limiter(|guard| guard);
    store.set_fuel(limits.load_fuel_max)?;
    store.set_hostcall_fuel(limits.output_bytes_max);
    // No clock ticks here: the process has a time of its own.
    store.set_epoch_deadline(1);
    Ok(store)
}
