//! Contract version 1.0.0: the only module that knows its bindings.
//!
//! [`Policy`] speaks the domain's types on one side and the contract's on the other. Arguments are
//! borrowed on the way in ([`lower`]); whatever comes out is checked to be a value of the contract
//! ([`lift`]) before anything else looks at it. Rating is on the path of every event, so its
//! requests and answers have no types in between: [`ask`] writes and [`answer`] reads the guest's
//! memory.

mod answer;
mod ask;
mod bindings;
mod lift;
mod lower;
mod place;

use super::instance::Malformed;
use bindings::exports::farebox::policy::policy as wit;
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};
use wasmtime::component::{ComponentExportIndex, InstancePre, ResourceAny, TypedFunc};
use wasmtime::{Result, Store, bail};

/// The interface that a policy of this version exports.
pub const INTERFACE: &str = "farebox:policy/policy@1.0.0";

/// A component that exports the interface, type-checked.
pub struct Pre<T: 'static> {
    instance: InstancePre<T>,
    bindings: bindings::FareboxPolicyIndices,
    rate: ComponentExportIndex,
    rate_batch: ComponentExportIndex,
}

impl<T> Pre<T> {
    /// Type-checks the exports.
    pub fn new(instance: InstancePre<T>) -> Result<Self> {
        let bindings = bindings::FareboxPolicyIndices::new(&instance)?;
        let component = instance.component();
        let interface = component.get_export_index(None, INTERFACE);
        let method = |name| {
            let found = component.get_export_index(interface.as_ref(), name);
            found.ok_or_else(|| wasmtime::format_err!("no export `{name}`"))
        };
        Ok(Self {
            rate: method("[method]policy.rate")?,
            rate_batch: method("[method]policy.rate-batch")?,
            instance,
            bindings,
        })
    }
}

/// A policy with its book loaded, inside a store.
pub struct Policy {
    guest: bindings::FareboxPolicy,
    rate: Rate,
    rate_batch: RateBatch,
    resource: ResourceAny,
}

type Rate = TypedFunc<(ResourceAny, ask::Request<'static>), (answer::Answer,)>;
type RateBatch =
    TypedFunc<(ResourceAny, ask::Callers<'static>, ask::Requests<'static>), (answer::Answers,)>;

impl Policy {
    /// Instantiates the component and loads the book.
    pub fn load<T>(
        store: &mut Store<T>,
        pre: &Pre<T>,
        canonical_book: &[u8],
    ) -> Result<std::result::Result<Self, ConfigError>> {
        let instance = pre.instance.instantiate(&mut *store)?;
        let guest = pre.bindings.load(&mut *store, &instance)?;
        let rate = instance.get_func(&mut *store, pre.rate);
        let rate_batch = instance.get_func(&mut *store, pre.rate_batch);
        let (Some(rate), Some(rate_batch)) = (rate, rate_batch) else {
            bail!("a method of the policy is no function")
        };
        let (rate, rate_batch) = (rate.typed(&*store)?, rate_batch.typed(&*store)?);
        let loaded = guest
            .farebox_policy_policy()
            .policy()
            .call_load(&mut *store, canonical_book)?;
        Ok(match loaded {
            Ok(resource) => Ok(Self {
                guest,
                rate,
                rate_batch,
                resource,
            }),
            Err(error) => Err(lift::config_error(error)),
        })
    }

    fn methods(&self) -> wit::GuestPolicy<'_> {
        self.guest.farebox_policy_policy().policy()
    }

    /// The worst case of a call.
    pub fn quote<T>(
        &self,
        store: &mut Store<T>,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Answer<Quote> {
        let attributes = lower::pool_attributes(request.declared.iter());
        let pools = lower::pools(request.declared.iter(), &attributes);
        let other = lower::attributes(&facts.other);
        let request = lower::quote_request(request, &pools, lower::facts(facts, &other));
        let answer = self.methods().call_quote(store, self.resource, request)?;
        Ok(lift::answer(answer, lift::quote))
    }

    /// The price of one event.
    pub fn rate<T>(
        &self,
        store: &mut Store<T>,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Answer<Rating> {
        let request = ask::Request(event, facts);
        let (answer,) = self.rate.call(store, (self.resource, request))?;
        Ok(answer.0)
    }

    /// The prices of many events, in one call. Neighbours with the same caller share it.
    pub fn rate_batch<T>(
        &self,
        store: &mut Store<T>,
        requests: &[(UsageEvent, Facts)],
    ) -> Result<std::result::Result<Vec<std::result::Result<Rating, Refusal>>, Malformed>> {
        let of_callers = requests.chunk_by(|(_, a), (_, b)| lower::is_same_caller(a, b));
        let (callers, of_callers): (Vec<_>, Vec<_>) = of_callers
            .filter_map(|events| Some((&events.first()?.1, events.len())))
            .unzip();
        let callers = ask::Callers(&callers);
        let requests = ask::Requests {
            requests,
            of_callers: &of_callers,
        };
        let (answers,) = self
            .rate_batch
            .call(store, (self.resource, callers, requests))?;
        Ok(answers.0)
    }

    /// A page of the rate card.
    pub fn rate_card<T>(
        &self,
        store: &mut Store<T>,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Answer<RateCardPage> {
        let other = lower::attributes(&facts.other);
        let request = lower::rate_card_request(request, lower::facts(facts, &other));
        let answer = self
            .methods()
            .call_rate_card(store, self.resource, request)?;
        Ok(lift::answer(answer, lift::rate_card_page))
    }

    /// What the policy says of itself.
    pub fn describe<T>(
        &self,
        store: &mut Store<T>,
    ) -> Result<std::result::Result<Description, Malformed>> {
        let description = self.methods().call_describe(store, self.resource)?;
        Ok(Ok(lift::description(description)))
    }
}

/// The call failed, or its answer is malformed, or it is a refusal, or it is an answer.
type Answer<T> = Result<std::result::Result<std::result::Result<T, Refusal>, Malformed>>;
