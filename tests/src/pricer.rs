//! Every way in which an event is priced, behind one trait.

use crate::later_contract::Later;
use crate::{compiled, guests};
use farebox::app::shipped;
use farebox::cli::rate::output::{ErrorLine, PricedLine};
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::policy::{
    Fault, PolicyEngine as _, PolicyError, Priced, ReleaseId, rate_requests,
};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Facts, UsageEvent};
use farebox_pricing::money::Peg;
use farebox_pricing::{rating, verify};
use serde_json::Value;

/// An event and what the host vouches for.
pub type Request = (UsageEvent, Facts);

/// The checked price of an event.
pub type Answer = Result<Priced, PolicyError>;

/// A way to price events under one book.
pub trait Pricer {
    /// How it is called in a failed test.
    fn name(&self) -> &'static str;

    /// The answers, in order.
    fn price(&self, requests: &[Request]) -> Vec<Answer>;
}

/// Every way that runs in this process.
///
/// # Panics
/// The book is not canonical, or the sandbox does not start.
pub fn all(canonical_book: &[u8]) -> Vec<Box<dyn Pricer>> {
    vec![
        Box::new(Native::new(canonical_book)),
        Box::new(Component::new(
            "component, warm",
            canonical_book,
            Trust::Trusted,
        )),
        Box::new(Component::new(
            "component, fresh",
            canonical_book,
            Trust::Untrusted,
        )),
        Box::new(Batch(Component::new(
            "component, batch",
            canonical_book,
            Trust::Trusted,
        ))),
        Box::new(Component::of_the_later_contract(
            "another version of the contract",
            canonical_book,
        )),
        Box::new(Batch(Component::of_the_later_contract(
            "another version of the contract, batch",
            canonical_book,
        ))),
    ]
}

/// The arithmetic as it is compiled into the host, with the host's checks.
pub struct Native {
    book: BookView,
}

impl Native {
    /// Prices under this book.
    ///
    /// # Panics
    /// The book is not canonical.
    pub fn new(canonical_book: &[u8]) -> Self {
        let book = BookView::open(canonical_book.to_vec()).unwrap();
        Self { book }
    }

    fn one(&self, (event, facts): &Request) -> Answer {
        let rating = rating::rate(&self.book, event, facts).map_err(PolicyError::Refused)?;
        let checked = verify::rating(&self.book, event, facts, &rating)
            .map_err(|violation| PolicyError::Fault(Fault::Check(violation.to_string())))?;
        Ok(Priced {
            lines: rating.lines,
            price_usd: checked.price_usd,
            provider_cost_usd: checked.provider_cost_usd,
            market_usd: checked.market_usd,
            rounding: self.book.terms().rounding,
            below_cost: checked.below_cost,
        })
    }
}

impl Pricer for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn price(&self, requests: &[Request]) -> Vec<Answer> {
        requests.iter().map(|request| self.one(request)).collect()
    }
}

/// The standard policy in the sandbox, one call per event.
pub struct Component {
    name: &'static str,
    engine: Engine,
    release: ReleaseId,
}

impl Component {
    /// Prices under this book, in one kept instance or in a fresh one per call.
    ///
    /// # Panics
    /// The sandbox does not start, or refuses the book.
    pub fn new(name: &'static str, canonical_book: &[u8], trust: Trust) -> Self {
        let (engine, release) = loaded(shipped::STANDARD_COMPONENT, canonical_book, trust);
        Self {
            name,
            engine,
            release,
        }
    }

    /// Prices by the same rules through another version of the contract, in an engine that serves
    /// both.
    ///
    /// # Panics
    /// The guests are not built, the sandbox does not start, or the book is refused.
    pub fn of_the_later_contract(name: &'static str, canonical_book: &[u8]) -> Self {
        let component = guests::component(guests::LATER_CONTRACT);
        let (engine, release) = loaded(&component, canonical_book, Trust::Trusted);
        Self {
            name,
            engine,
            release,
        }
    }
}

fn loaded(component: &[u8], canonical_book: &[u8], trust: Trust) -> (Engine, ReleaseId) {
    let engine = Engine::new(compiled::folder().to_owned()).unwrap();
    let engine = engine.serving(&Later);
    let book = canonical_book.to_vec();
    let release = engine.load_release(component, book, LimitClass::Native, trust);
    let release = release.unwrap();
    (engine, release)
}

impl Pricer for Component {
    fn name(&self) -> &'static str {
        self.name
    }

    fn price(&self, requests: &[Request]) -> Vec<Answer> {
        requests
            .iter()
            .map(|(event, facts)| self.engine.rate(&self.release, event, facts))
            .collect()
    }
}

/// The standard policy in the sandbox, as many events per call as a call may hold.
pub struct Batch(pub Component);

impl Pricer for Batch {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn price(&self, requests: &[Request]) -> Vec<Answer> {
        let events_max = LimitClass::Native.limits().batch_events_max;
        requests
            .chunks(events_max)
            .flat_map(|chunk| {
                self.0
                    .engine
                    .rate_batch(&self.0.release, &rate_requests(chunk))
            })
            .collect()
    }
}

/// The answer as `farebox rate` writes it.
///
/// # Panics
/// It cannot be JSON.
pub fn json(answer: &Answer) -> Value {
    let line = match answer {
        Ok(priced) => match PricedLine::new(priced, Peg::DEFAULT) {
            Ok(line) => serde_json::to_value(line),
            Err(error) => serde_json::to_value(ErrorLine::out_of_range(error)),
        },
        Err(error) => serde_json::to_value(ErrorLine::from(error)),
    };
    line.unwrap()
}
