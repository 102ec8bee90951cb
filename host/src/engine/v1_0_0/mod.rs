//! Contract version 1.0.0: the only module that knows its bindings.
//!
//! [`Policy`] speaks the domain's types on one side and the contract's on the other. Arguments are
//! borrowed on the way in ([`lower`]); whatever comes out is checked to be a value of the contract
//! ([`lift`]) before anything else looks at it.

mod bindings;
mod lift;
mod lower;

use super::instance::Malformed;
use bindings::exports::farebox::policy::policy as wit;
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};
use wasmtime::component::{InstancePre, ResourceAny};
use wasmtime::{Result, Store};

/// The interface that a policy of this version exports.
pub const INTERFACE: &str = "farebox:policy/policy@1.0.0";

/// A component that exports the interface, type-checked.
pub struct Pre<T: 'static>(bindings::FareboxPolicyPre<T>);

impl<T> Pre<T> {
    /// Type-checks the exports.
    pub fn new(pre: InstancePre<T>) -> Result<Self> {
        bindings::FareboxPolicyPre::new(pre).map(Self)
    }
}

/// A policy with its book loaded, inside a store.
pub struct Policy {
    guest: bindings::FareboxPolicy,
    resource: ResourceAny,
}

impl Policy {
    /// Instantiates the component and loads the book.
    pub fn load<T>(
        store: &mut Store<T>,
        pre: &Pre<T>,
        canonical_book: &[u8],
    ) -> Result<std::result::Result<Self, ConfigError>> {
        let guest = pre.0.instantiate(&mut *store)?;
        let loaded = guest
            .farebox_policy_policy()
            .policy()
            .call_load(&mut *store, canonical_book)?;
        Ok(match loaded {
            Ok(resource) => Ok(Self { guest, resource }),
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
        let attributes = lower::pool_attributes(event.pools.iter());
        let pools = lower::pools(event.pools.iter(), &attributes);
        let other = lower::attributes(&facts.other);
        let request = wit::RateRequest {
            event: lower::event(event, &pools),
            facts: lower::facts(facts, &other),
        };
        let answer = self.methods().call_rate(store, self.resource, request)?;
        Ok(lift::answer(answer, lift::rating))
    }

    /// The prices of many events, in one call. Neighbours with the same caller share it.
    pub fn rate_batch<T>(
        &self,
        store: &mut Store<T>,
        requests: &[(UsageEvent, Facts)],
    ) -> Result<std::result::Result<Vec<std::result::Result<Rating, Refusal>>, Malformed>> {
        let all_pools = || requests.iter().flat_map(|(event, _)| &event.pools);
        let attributes = lower::pool_attributes(all_pools());
        let pools = lower::pools(all_pools(), &attributes);
        let callers: Vec<_> = requests
            .chunk_by(|(_, a), (_, b)| lower::is_same_caller(a, b))
            .collect();
        let facts = callers.iter().filter_map(|events| events.first());
        let others: Vec<_> = facts
            .clone()
            .map(|(_, facts)| lower::attributes(&facts.other))
            .collect();
        let lowered_callers: Vec<_> = facts
            .zip(&others)
            .map(|((_, facts), other)| lower::caller(facts, other))
            .collect();
        let mut rest = pools.as_slice();
        let mut lowered = Vec::with_capacity(requests.len());
        for (caller, events) in (0..).zip(callers) {
            for (event, facts) in events {
                let (own, after) = rest.split_at_checked(event.pools.len()).unwrap_or_default();
                rest = after;
                lowered.push(lower::batch_request(
                    lower::event(event, own),
                    caller,
                    facts,
                ));
            }
        }
        let answers =
            self.methods()
                .call_rate_batch(store, self.resource, &lowered_callers, &lowered)?;
        Ok(answers
            .into_iter()
            .map(|answer| lift::answer(answer, lift::rating))
            .collect())
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
