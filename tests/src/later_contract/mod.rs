//! Another version of the contract, served beside the released ones: that it takes a set of bindings
//! and this module, and nothing in the engine, is what the tests with it show.

mod bindings;
#[path = "../../guests/later-contract/src/words.rs"]
mod words;

use bindings::exports::farebox::policy::policy as wit;
use farebox::engine::contract::{Answer, Called, Contract, Guard, Linked, Loaded};
use farebox::service::policy::RateRequest;
use farebox_pricing as pricing;
use farebox_pricing::answer::{Quote, Rating};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store, format_err};

/// Version 1.900.0, which nobody is served by.
pub struct Later;

struct Pre(bindings::FareboxPolicyPre<Guard>);

struct Policy {
    guest: bindings::FareboxPolicy,
    description: Description,
}

impl Contract for Later {
    fn version(&self) -> &'static str {
        "1.900.0"
    }

    fn link(&self, component: InstancePre<Guard>) -> Result<Box<dyn Linked>> {
        Ok(Box::new(Pre(bindings::FareboxPolicyPre::new(component)?)))
    }
}

impl Linked for Pre {
    fn load(
        &self,
        store: &mut Store<Guard>,
        canonical_book: &[u8],
    ) -> Result<std::result::Result<Box<dyn Loaded>, ConfigError>> {
        let guest = self.0.instantiate(&mut *store)?;
        let loaded = guest.farebox_policy_policy();
        match loaded.call_load(&mut *store, canonical_book)? {
            Ok(description) => {
                let description = known(words::description_of(&description))?;
                Ok(Ok(Box::new(Policy { guest, description })))
            }
            Err(refused) => Ok(Err(known(words::config_error_of(refused))?)),
        }
    }
}

impl Policy {
    fn guest(&self) -> &wit::Guest {
        self.guest.farebox_policy_policy()
    }
}

impl Loaded for Policy {
    fn quote(
        &self,
        store: &mut Store<Guard>,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Called<Answer<Quote>> {
        let (request, facts) = (words::quote_request(request), words::facts(facts));
        let answer = self.guest().call_bound(store, &request, &facts)?;
        answered(answer, |bill| words::quote_of(&bill)).map(Ok)
    }

    fn rate(
        &self,
        store: &mut Store<Guard>,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Called<Answer<Rating>> {
        let request = [(words::event(event), words::facts(facts))];
        let answers = self.guest().call_price(store, &request)?;
        let answer = known(answers.into_iter().next())?;
        answered(answer, |bill| words::rating_of(&bill)).map(Ok)
    }

    fn rate_batch(
        &self,
        store: &mut Store<Guard>,
        requests: &[RateRequest<'_>],
    ) -> Called<Vec<Answer<Rating>>> {
        let words = |(event, facts): &RateRequest<'_>| (words::event(event), words::facts(facts));
        let requests: Vec<_> = requests.iter().map(words).collect();
        let answers = self.guest().call_price(store, &requests)?.into_iter();
        let rating = |answer| answered(answer, |bill| words::rating_of(&bill));
        answers.map(rating).collect::<Result<_>>().map(Ok)
    }

    fn rate_card(
        &self,
        store: &mut Store<Guard>,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Called<Answer<RateCardPage>> {
        let (request, facts) = (words::card_request(request), words::facts(facts));
        let answer = self.guest().call_card(store, &request, &facts)?;
        answered(answer, words::card_page_of).map(Ok)
    }

    fn describe(&self, _store: &mut Store<Guard>) -> Called<Description> {
        Ok(Ok(self.description.clone()))
    }
}

fn answered<W, T>(
    answer: std::result::Result<W, wit::Refusal>,
    lift: impl FnOnce(W) -> Option<T>,
) -> Result<Answer<T>> {
    match answer {
        Ok(answer) => known(lift(answer)).map(Ok),
        Err(refused) => known(words::refusal_of(refused)).map(Err),
    }
}

fn known<T>(words: Option<T>) -> Result<T> {
    words.ok_or_else(|| format_err!("words that this version has not"))
}
