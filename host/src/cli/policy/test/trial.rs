//! A policy under trial: admitted as when it is pushed, and asked every case in every way.

use super::cases::{Case, Table};
use crate::cli::failure::{Failure, chain};
use crate::cli::rate::output::{ErrorLine, PricedLine};
use crate::config;
use crate::engine::Engine;
use crate::engine::limits::{LimitClass, Trust};
use crate::engine::package::Package;
use crate::service::policy::{PolicyEngine as _, PolicyError, Priced, ReleaseId, rate_requests};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::exact;
use farebox_pricing::load::Description;
use farebox_pricing::meter::Meter;
use farebox_pricing::money::Peg;
use serde_json::{Value, json};

/// Meters that a request's bytes bound.
const TEXT: [Meter; 4] = [
    Meter::Input,
    Meter::CacheRead,
    Meter::CacheWrite5m,
    Meter::CacheWrite1h,
];
/// Meters that its limit on output bounds.
const OUTPUT: [Meter; 2] = [Meter::Output, Meter::Reasoning];

type Request = (UsageEvent, Facts);
type Priceable = Result<Priced, PolicyError>;

/// A policy that was admitted.
pub struct Trial {
    /// A new instance for each call, and one that is kept.
    fresh: Engine,
    kept: Engine,
    release: ReleaseId,
    /// Under which limits.
    pub class: LimitClass,
    /// What it says of itself.
    pub said: Description,
}

/// What came of a case.
pub struct Answered {
    /// In the form of `farebox rate`.
    pub answer: Value,
    /// What is wrong apart from the answer.
    pub broken: Option<String>,
}

impl Trial {
    /// Admits the policy with the trial of a push.
    ///
    /// # Errors
    /// It is not admitted.
    pub fn begin(package: Package) -> Result<Self, Failure> {
        let engine = || {
            Engine::new(config::user_cache_dir())
                .map_err(|error| Failure::unavailable("the policy engine cannot start", error))
        };
        let (fresh, kept) = (engine()?, engine()?);
        let file = package.to_file();
        let admitted = fresh
            .admit(&file, Some(Trust::Untrusted))
            .map_err(|error| Failure::Found(chain(&error)))?;
        kept.admit_package(package, Some(Trust::Trusted))
            .map_err(|error| Failure::Found(chain(&error)))?;
        let said = kept
            .describe(&admitted.id)
            .map_err(|error| Failure::Found(chain(&error)))?;
        Ok(Self {
            fresh,
            kept,
            release: admitted.id,
            class: admitted.class,
            said,
        })
    }

    /// Asks every case in every way.
    pub fn ask(&self, table: &Table) -> Vec<Answered> {
        let requests: Vec<_> = table.cases.iter().map(Case::request).collect();
        let understood: Vec<Request> = requests.iter().flatten().cloned().collect();
        let events_max = self.class.limits().batch_events_max;
        let in_batches = understood.chunks(events_max);
        let mut in_batches = in_batches
            .flat_map(|batch| self.fresh.rate_batch(&self.release, &rate_requests(batch)));
        let answer = |request| match request {
            Err(error) => Answered {
                answer: json(Err(ErrorLine::from(&error))),
                broken: None,
            },
            Ok(request) => self.answered(&request, in_batches.next()),
        };
        requests.into_iter().map(answer).collect()
    }

    fn answered(&self, request: &Request, in_batch: Option<Priceable>) -> Answered {
        let (event, facts) = request;
        let alone = self.fresh.rate(&self.release, event, facts);
        let kept = self.kept.rate(&self.release, event, facts);
        let broken = if matches!(alone, Err(PolicyError::Fault(_))) {
            Some("the policy faults".to_owned())
        } else if Some(&alone) != in_batch.as_ref() {
            Some("it is answered otherwise in a batch".to_owned())
        } else if alone != kept {
            Some("it is answered otherwise by an instance that has answered before".to_owned())
        } else {
            self.unbounded(request, &alone)
        };
        let line = match &alone {
            Ok(priced) => PricedLine::new(priced, Peg::DEFAULT).map_err(ErrorLine::out_of_range),
            Err(error) => Err(ErrorLine::from(error)),
        };
        Answered {
            answer: json(line),
            broken,
        }
    }

    /// Why the quote of this very call does not bound its price.
    fn unbounded(&self, (event, facts): &Request, priced: &Priceable) -> Option<String> {
        let priced = priced.as_ref().ok()?;
        let quote = match self.fresh.quote(&self.release, &bounds(event), facts) {
            Ok(quote) => quote,
            Err(error) => return Some(format!("it has a price, and no quote: {}", chain(&error))),
        };
        let (quoted, price) = (quote.total_usd, priced.price_usd);
        exact::cmp(quoted, price)
            .is_lt()
            .then(|| format!("its quote of {quoted} is below its price of {price}"))
    }

    /// The most fuel that a case takes, asked in the order of the table by an instance that is kept.
    ///
    /// # Errors
    /// The policy failed meanwhile.
    pub fn fuel_max(&self, table: &Table) -> Result<u64, Failure> {
        let mut fuel_max = 0;
        for request in table.cases.iter().filter_map(|case| case.request().ok()) {
            // What faults is told already.
            if let Ok(fuel) = self.kept.fuel_of(&self.release, &rate_requests(&[request])) {
                fuel_max = fuel_max.max(fuel);
            }
        }
        Ok(fuel_max)
    }
}

/// The tightest request that this event keeps within.
fn bounds(event: &UsageEvent) -> QuoteRequest {
    let sum_of = |meters: &[Meter]| {
        let pools = event
            .pools
            .iter()
            .filter(|pool| meters.contains(&pool.meter));
        pools.fold(0_u64, |sum, pool| {
            sum.saturating_add(pool.quantity.whole().unwrap_or(u64::MAX))
        })
    };
    let is_bound = |meter: &Meter| TEXT.contains(meter) || OUTPUT.contains(meter);
    let declared = event.pools.iter().filter(|pool| !is_bound(&pool.meter));
    QuoteRequest {
        provider: event.provider.clone(),
        model: event.model().map(Into::into),
        service_tier: event.service_tier.clone(),
        region: event.region.clone(),
        feature: event.feature.clone(),
        body_bytes: sum_of(&TEXT),
        max_output_tokens: Some(sum_of(&OUTPUT)),
        declared: declared.cloned().collect(),
        provider_cost_max_usd: event.provider_cost_usd,
    }
}

fn json(line: Result<PricedLine, ErrorLine>) -> Value {
    let value = match &line {
        Ok(priced) => serde_json::to_value(priced),
        Err(error) => serde_json::to_value(error),
    };
    value.unwrap_or_else(|error| json!({ "error": { "detail": error.to_string() } }))
}
