//! One sandbox with its book loaded: a store, the guest's functions, and the policy inside.
//!
//! Every call gets its own fuel, time and output limit. After an error the store is unusable and
//! the instance must be dropped; the callers in this module's siblings do.

use super::LoadError;
use super::contract::{Arguments, Called, Loaded};
use super::fault;
use super::release::Release;
use super::sandbox::Sandbox;
use super::shared::{Freed, Shared};
use crate::service::policy::{Fault, RateRequest};
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::Description;
use std::time::Duration;
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, UpdateDeadline};

/// Holds a guest to its memory and time, and remembers whether it asked for more memory, and what it
/// says of what it is asked.
#[derive(Debug)]
pub struct Guard {
    memory_bytes_max: usize,
    arguments: Arguments,
    denied: bool,
    ticks_left: u64,
}

impl Guard {
    /// A guest that may have so much memory.
    pub const fn of(memory_bytes_max: usize, arguments: Arguments) -> Self {
        Self {
            memory_bytes_max,
            arguments,
            denied: false,
            ticks_left: 0,
        }
    }

    /// A guest that may live so many ticks and has no memory.
    #[cfg(test)]
    pub const fn with_ticks(ticks_left: u64) -> Self {
        Self {
            memory_bytes_max: 0,
            arguments: Arguments::Owned,
            denied: false,
            ticks_left,
        }
    }

    /// Whether it frees what it is asked.
    pub const fn arguments(&self) -> Arguments {
        self.arguments
    }

    /// What happens at each tick of the clock that the guest lives to see. A guest that the
    /// machine paused sees one tick when it goes on, however long the pause was: only its own time
    /// is held against it.
    pub fn tick(&mut self) -> UpdateDeadline {
        match self.ticks_left.checked_sub(1) {
            Some(left) => {
                self.ticks_left = left;
                UpdateDeadline::Continue(1)
            }
            None => UpdateDeadline::Interrupt,
        }
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed =
            desired <= self.memory_bytes_max && maximum.is_none_or(|maximum| desired <= maximum);
        self.denied |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000 && maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// A sandbox with its book loaded.
pub struct Instance {
    store: Store<Guard>,
    policy: Box<dyn Loaded>,
    sandbox: Sandbox,
    // The last field: dropped after the store, when there is room.
    _freed: Option<Freed>,
}

impl Instance {
    /// Instantiates the component and gives it the book, unless it is prepared.
    ///
    /// # Errors
    /// See [`LoadError`]; `Busy` when the pool has no room for another.
    pub fn new(release: &Release) -> Result<Self, LoadError> {
        let sandbox = release.sandbox.clone();
        let limits = sandbox.limits;
        let mut store = Store::new(
            &sandbox.engine,
            Guard::of(limits.memory_bytes_max, release.arguments),
        );
        store.limiter(|guard| guard);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
        arm(
            &mut store,
            limits.load_fuel_max,
            limits.load_time_max,
            limits.output_bytes_max,
        )?;
        let policy = release.linked.load(&mut store, release.book.bytes());
        let policy = policy.map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                LoadError::Busy
            } else {
                LoadError::Fault(fault::of(&error, store.data().denied))
            }
        })??;
        let freed = sandbox.shared.as_ref().map(Shared::freed);
        Ok(Self {
            store,
            policy,
            sandbox,
            _freed: freed,
        })
    }

    /// See [`crate::service::policy::PolicyEngine::quote`]; unchecked.
    pub fn quote(
        &mut self,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Result<Result<Quote, Refusal>, Fault> {
        self.call(1, |policy, store| policy.quote(store, request, facts))
    }

    /// See [`crate::service::policy::PolicyEngine::rate`]; unchecked.
    pub fn rate(
        &mut self,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Result<Result<Rating, Refusal>, Fault> {
        self.call(1, |policy, store| policy.rate(store, event, facts))
    }

    /// As many answers as requests; unchecked.
    pub fn rate_batch(
        &mut self,
        requests: &[RateRequest<'_>],
    ) -> Result<Vec<Result<Rating, Refusal>>, Fault> {
        let answers = self.call(requests.len(), |policy, store| {
            policy.rate_batch(store, requests)
        })?;
        if answers.len() == requests.len() {
            Ok(answers)
        } else {
            let (got, asked) = (answers.len(), requests.len());
            Err(Fault::Malformed(format!(
                "{got} answers to {asked} requests"
            )))
        }
    }

    /// See [`crate::service::policy::PolicyEngine::rate_card`].
    pub fn rate_card(
        &mut self,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Result<Result<RateCardPage, Refusal>, Fault> {
        let events = self.sandbox.limits.batch_events_max;
        self.call(events, |policy, store| {
            policy.rate_card(store, request, facts)
        })
    }

    /// What the policy says of itself.
    pub fn describe(&mut self) -> Result<Description, Fault> {
        self.call(1, |policy, store| policy.describe(store))
    }

    /// What the last call left of its fuel.
    pub fn fuel_left(&self) -> Result<u64, Fault> {
        self.store.get_fuel().map_err(|error| no_fuel(&error))
    }

    fn call<T>(
        &mut self,
        events: usize,
        ask: impl FnOnce(&dyn Loaded, &mut Store<Guard>) -> Called<T>,
    ) -> Result<T, Fault> {
        let limits = self.sandbox.limits;
        arm(
            &mut self.store,
            limits.call_fuel(events),
            limits.call_time(events),
            limits.output_bytes_max,
        )?;
        match ask(&*self.policy, &mut self.store) {
            Ok(answer) => answer.map_err(|malformed| Fault::Malformed(malformed.to_string())),
            Err(error) => Err(fault::of(&error, self.store.data().denied)),
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The policy broke the contract.
    #[error("policy fault")]
    Fault(#[from] Fault),
    /// Every sandbox of the class is in use.
    #[error("every sandbox is in use")]
    Busy,
}

/// An answer that is no value of the contract, though it has its types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A decimal's scale is above 28.
    #[error("a decimal has the scale {0}")]
    Scale(u8),
    /// A decimal is minus zero.
    #[error("a decimal is minus zero")]
    MinusZero,
    /// A rate of the book, of a model that neither the line nor the answer names.
    #[error("a line with a rate of the book names no model")]
    NoModel,
    /// A meter's name is not well formed.
    #[error("`{0}` is not the name of a meter")]
    Meter(String),
    /// Attributes are not sorted by name, or a name stands twice.
    #[error("attributes are not sorted by name, or one stands twice")]
    Attributes,
}

fn arm(store: &mut Store<Guard>, fuel: u64, time: Duration, output: usize) -> Result<(), Fault> {
    store.set_fuel(fuel).map_err(|error| no_fuel(&error))?;
    store.data_mut().ticks_left = Sandbox::ticks(time);
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(output);
    Ok(())
}

/// Every engine is configured to count fuel, so this is never seen.
#[cold]
fn no_fuel(error: &wasmtime::Error) -> Fault {
    Fault::Malformed(format!("{error:#}"))
}
