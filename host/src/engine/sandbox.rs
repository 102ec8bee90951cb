//! One wasmtime engine per limit class, a second one for trials, and the clock that stops what runs
//! too long.
//!
//! The second one makes other machine code of the same component: nothing is optimised. What a policy
//! answers there must be what it answers in the first, to the bit. (Checks in place of signals would
//! be another difference, but cost the compiler too much: docs/ARCHITECTURE.md.)
//!
//! Fuel is the limit that counts: it is the same on every machine. The clock (epochs) is the
//! backstop for what fuel does not see.

use super::StartError;
use super::limits::{LimitClass, Limits};
use super::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

/// How often the clock ticks. A call stops within one tick after its time.
const TICK: Duration = Duration::from_millis(5);

/// Bytes of an instance's memory that stay with its place in the pool when it ends: the standard policy
/// with the shipped book has fewer.
const KEPT_BYTES: usize = 4 << 20;

/// A wasmtime engine with the limits it was made for.
#[derive(Clone)]
pub struct Sandbox {
    /// The engine.
    pub engine: Engine,
    /// What decides its machine code.
    pub settings: Settings,
    /// Its limits.
    pub limits: &'static Limits,
    /// Where its instances are kept that all threads share; absent: each thread keeps its own.
    pub shared: Option<Arc<Shared>>,
}

impl Sandbox {
    /// The second one of a class: for trials, so without a pool.
    fn second(served: &Self) -> Result<Self, StartError> {
        let settings = Settings {
            code: Code::Plain,
            ..served.settings
        };
        let engine = Engine::new(&settings.config())
            .map_err(|error| StartError::Sandbox(format!("{error:#}")))?;
        Ok(Self {
            engine,
            settings,
            limits: served.limits,
            shared: None,
        })
    }

    fn new(class: LimitClass) -> Result<Self, StartError> {
        let limits = class.limits();
        // Where a process may not have so many addresses, every access checks its bounds instead.
        let made = |addresses| {
            let settings = Settings {
                class,
                code: Code::Fast,
                addresses,
            };
            let mut config = settings.config();
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
            Engine::new(&config).map(|engine| Self {
                engine,
                settings,
                limits,
                shared: limits.is_shared.then(Arc::default),
            })
        };
        made(ADDRESSES)
            .or_else(|_| made(limits.memory_bytes_max as u64))
            .map_err(|error| StartError::Sandbox(format!("{error:#}")))
    }

    /// Ticks that a call of at most `time` may live: one more than fit, since the first is cut.
    pub fn ticks(time: Duration) -> u64 {
        let ticks = time
            .as_millis()
            .checked_div(TICK.as_millis())
            .unwrap_or_default();
        u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// Addresses that are kept free for a guest's memory: all that it can name. No access of a guest
/// then has to be compared with the end of its memory, which was a seventh of the time of a rating;
/// what lies beyond the limit is never backed by memory.
const ADDRESSES: u64 = 4 << 30;

/// Everything that decides the machine code. How instances get their memory does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose stack.
    pub class: LimitClass,
    /// How it is made.
    pub code: Code,
    /// Addresses for a guest's memory.
    pub addresses: u64,
}

/// How machine code is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// What prices calls.
    Fast,
    /// What trials compare it with.
    Plain,
}

impl Code {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Plain];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Plain => "plain",
        }
    }
}

impl Settings {
    /// An engine with these settings compiles what every other one with them runs.
    pub fn config(self) -> Config {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .consume_fuel(true)
            .epoch_interruption(true)
            .max_wasm_stack(self.class.limits().stack_bytes_max)
            .memory_reservation(self.addresses)
            .cranelift_nan_canonicalization(true)
            .relaxed_simd_deterministic(true);
        match self.code {
            Code::Fast => config.cranelift_opt_level(OptLevel::Speed),
            Code::Plain => config
                .cranelift_opt_level(OptLevel::None)
                // Plain code keeps more on the stack.
                .max_wasm_stack(self.class.limits().stack_bytes_max.saturating_mul(2)),
        };
        config
    }
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances_max)
        .total_core_instances(limits.instances_max.saturating_mul(limits.modules_max))
        .total_memories(limits.instances_max)
        .total_tables(limits.instances_max.saturating_mul(limits.modules_max))
        .max_memories_per_component(1)
        .max_core_instances_per_component(limits.modules_max)
        .max_tables_per_component(limits.modules_max)
        .max_memory_size(limits.memory_bytes_max)
        // What a call wrote is written over with what was there before it, where the system says which
        // pages those are; else given back.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEPT_BYTES);
    pool
}

/// The sandboxes of every class, and their clock.
pub struct Sandboxes {
    native: [Sandbox; 2],
    scripted: [Sandbox; 2],
    stop: Arc<AtomicBool>,
    clock: Option<JoinHandle<()>>,
}

impl Sandboxes {
    /// Makes the sandboxes and starts the clock.
    pub fn new() -> Result<Self, StartError> {
        let both = |class| {
            let served = Sandbox::new(class)?;
            let second = Sandbox::second(&served)?;
            Ok([served, second])
        };
        let (native, scripted) = (both(LimitClass::Native)?, both(LimitClass::Scripted)?);
        let stop = Arc::new(AtomicBool::new(false));
        let all = native.iter().chain(&scripted);
        let engines: Vec<Engine> = all.map(|sandbox| sandbox.engine.clone()).collect();
        let stopped = Arc::clone(&stop);
        let clock = std::thread::Builder::new()
            .name("policy-clock".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::park_timeout(TICK);
                    engines.iter().for_each(Engine::increment_epoch);
                }
            })
            .map_err(StartError::Clock)?;
        Ok(Self {
            native,
            scripted,
            stop,
            clock: Some(clock),
        })
    }

    /// The sandbox of a class.
    pub const fn of(&self, class: LimitClass) -> &Sandbox {
        let [served, _] = self.both(class);
        served
    }

    /// The second sandbox of a class.
    pub const fn second(&self, class: LimitClass) -> &Sandbox {
        let [_, second] = self.both(class);
        second
    }

    const fn both(&self, class: LimitClass) -> &[Sandbox; 2] {
        match class {
            LimitClass::Native => &self.native,
            LimitClass::Scripted => &self.scripted,
        }
    }
}

impl Drop for Sandboxes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(clock) = self.clock.take() {
            clock.thread().unpark();
            // A panic of the clock has nothing left to stop.
            let _ = clock.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fault, instance::Guard};
    use super::*;
    use crate::service::policy::Fault;
    use wasmtime::{Instance, Module, Store};

    #[test]
    fn the_clock_stops_what_fuel_would_not() {
        let sandboxes = Sandboxes::new().unwrap();
        let engine = &sandboxes.of(LimitClass::Native).engine;
        let spin = wat::parse_str("(module (func (export \"spin\") (loop br 0)))").unwrap();
        let module = Module::new(engine, spin).unwrap();
        let mut store = Store::new(engine, Guard::with_ticks(2));
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
        store.set_fuel(u64::MAX).unwrap();
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let spin = instance
            .get_typed_func::<(), ()>(&mut store, "spin")
            .unwrap();
        let error = spin.call(&mut store, ()).unwrap_err();
        assert_eq!(fault::of(&error, false), Fault::Time);
    }
}
