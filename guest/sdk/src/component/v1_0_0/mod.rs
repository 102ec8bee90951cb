//! The adapter for `farebox:policy@1.0.0`: binding types in, [`crate::Policy`] called, binding
//! types out. It decides nothing.
//!
//! What the host sends is trusted to be well formed as little as what a policy answers: a number
//! that the plain types cannot hold is refused as out of range before the policy sees it.

mod ask;
pub mod bindings;
mod reply;

use crate::Policy;
use bindings::exports::farebox::policy::policy as wit;
use std::marker::PhantomData;

/// The component of the policy `P`; see [`crate::export_component!`].
pub struct Exported<P>(PhantomData<P>);

impl<P: Policy> wit::Guest for Exported<P> {
    type Policy = Loaded<P>;
}

/// The policy `P` with its book loaded: the resource behind the handle that the host holds.
pub struct Loaded<P>(P);

impl<P> Loaded<P> {
    /// A policy behind the bindings, for who adds to what the adapter answers.
    pub const fn new(policy: P) -> Self {
        Self(policy)
    }
}

impl<P: Policy> wit::GuestPolicy for Loaded<P> {
    fn load(canonical_book: Vec<u8>) -> Result<wit::Policy, wit::ConfigError> {
        P::load(canonical_book)
            .map(|policy| wit::Policy::new(Self(policy)))
            .map_err(reply::config_error)
    }

    fn quote(&self, request: wit::QuoteRequest) -> Result<wit::Quote, wit::Refusal> {
        ask::quote_request(request)
            .and_then(|(request, facts)| self.0.quote(&request, &facts))
            .map(reply::quote)
            .map_err(reply::refusal)
    }

    fn rate(&self, request: wit::RateRequest) -> Result<wit::Rating, wit::Refusal> {
        ask::rate_request(request)
            .and_then(|(event, facts)| self.0.rate(&event, &facts))
            .map(reply::rating)
            .map_err(reply::refusal)
    }

    fn rate_batch(
        &self,
        callers: Vec<wit::Caller>,
        requests: Vec<wit::BatchRequest>,
    ) -> Vec<Result<wit::Rating, wit::Refusal>> {
        let mut callers: Vec<_> = callers.into_iter().map(ask::caller).collect();
        let rate = |request| {
            ask::batch_request(request, &mut callers)
                .and_then(|(event, facts)| self.0.rate(&event, facts))
                .map(reply::rating)
                .map_err(reply::refusal)
        };
        requests.into_iter().map(rate).collect()
    }

    fn rate_card(&self, request: wit::RateCardRequest) -> Result<wit::RateCardPage, wit::Refusal> {
        ask::rate_card_request(request)
            .and_then(|(request, facts)| self.0.rate_card(&request, &facts))
            .map(reply::rate_card_page)
            .map_err(reply::refusal)
    }

    fn describe(&self) -> wit::Description {
        reply::description(self.0.describe())
    }
}
