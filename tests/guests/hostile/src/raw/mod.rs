//! An honest policy behind generated bindings, whose types can say what the SDK's cannot.

mod ask;
pub mod bindings;
mod reply;

use bindings::exports::farebox::policy::policy as wit;
use farebox_sdk::Policy;

/// A policy that answers in the types of the bindings.
pub struct Raw<P>(pub P);

impl<P: Policy> Raw<P> {
    pub fn quote(&self, request: wit::QuoteRequest) -> Result<wit::Quote, wit::Refusal> {
        ask::quote_request(request)
            .and_then(|(request, facts)| self.0.quote(&request, &facts))
            .map(reply::quote)
            .map_err(reply::refusal)
    }

    pub fn rate(&self, request: wit::RateRequest) -> Result<wit::Rating, wit::Refusal> {
        ask::rate_request(request)
            .and_then(|(event, facts)| self.0.rate(&event, &facts))
            .map(reply::rating)
            .map_err(reply::refusal)
    }

    pub fn rate_card(
        &self,
        request: wit::RateCardRequest,
    ) -> Result<wit::RateCardPage, wit::Refusal> {
        ask::rate_card_request(request)
            .and_then(|(request, facts)| self.0.rate_card(&request, &facts))
            .map(reply::rate_card_page)
            .map_err(reply::refusal)
    }

    pub fn describe(&self) -> wit::Description {
        reply::description(self.0.describe())
    }
}
