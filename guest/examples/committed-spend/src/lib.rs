//! A committed-spend contract: who commits to spend so much a month pays little on top of what calls
//! cost, more on what goes beyond, and what is missing at the end of the month. A price book can give
//! a volume its price; it cannot charge what was *not* used.
//!
//! The true-up is a call of its own, which the operator reports when the month ends: model `true-up` of
//! provider `contract`. It costs nothing and is lifted to what is missing, by the host's own count of
//! what the month has charged. A call counts as within the commitment when it begins there.

use farebox_sdk::pricing::answer::{Line, LineKind, Quote, Rating, Reason, Refusal};
use farebox_sdk::pricing::canonical::BookView;
use farebox_sdk::pricing::card::{RateCardPage, RateCardRequest};
use farebox_sdk::pricing::event::{Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::exact::{self, ArithmeticError};
use farebox_sdk::pricing::meter::Attribute;
use farebox_sdk::pricing::rating;
use farebox_sdk::{ConfigError, Description, Policy};
use rust_decimal::Decimal;

#[cfg(target_family = "wasm")]
farebox_sdk::export_component!(CommittedSpend);

/// What a plan has signed.
struct Contract {
    plan: &'static str,
    /// USD a month, charged in any case.
    committed_usd: Decimal,
    /// On top of the cost, within the commitment: 0.08 adds 8 %.
    within: Decimal,
    /// On top of the cost, beyond it.
    beyond: Decimal,
}

const CONTRACTS: [Contract; 2] = [
    Contract {
        plan: "committed-1k",
        committed_usd: Decimal::ONE_THOUSAND,
        within: Decimal::from_parts(8, 0, 0, false, 2),
        beyond: Decimal::from_parts(2, 0, 0, false, 1),
    },
    Contract {
        plan: "committed-10k",
        committed_usd: Decimal::from_parts(10_000, 0, 0, false, 0),
        within: Decimal::from_parts(3, 0, 0, false, 2),
        beyond: Decimal::from_parts(1, 0, 0, false, 1),
    },
];

/// The provider and the model that a true-up is reported as.
const TRUE_UP: (&str, &str) = ("contract", "true-up");

/// The contracts above, over a book that says what calls cost.
#[derive(Debug)]
pub struct CommittedSpend {
    book: BookView,
}

impl Policy for CommittedSpend {
    fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
        let book = BookView::open(canonical_book).map_err(|error| ConfigError::Malformed {
            what: error.to_string().into(),
        })?;
        let has_true_up = book
            .find(TRUE_UP.0, TRUE_UP.1)
            .is_ok_and(|model| model.is_some());
        if has_true_up {
            Ok(Self { book })
        } else {
            Err(ConfigError::Unusable {
                what: "it has no model `true-up` of provider `contract`".into(),
            })
        }
    }

    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal> {
        let contract = contract_of(facts)?;
        let mut quote = rating::quote(&self.book, request, facts)?;
        let asked = (&*request.provider, request.model.as_deref());
        // The commitment may be used up by the time of the call, so the dearer share is quoted.
        let share = contract.within.max(contract.beyond);
        let line = contract.line(asked, quote.total_usd, share, facts)?;
        quote.total_usd = add(&mut quote.lines, quote.total_usd, line)?;
        Ok(quote)
    }

    fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
        let contract = contract_of(facts)?;
        let mut rating = rating::rate(&self.book, event, facts)?;
        let asked = (&*event.provider, event.model());
        let line = contract.line(asked, rating.total_usd, contract.share(facts), facts)?;
        rating.total_usd = add(&mut rating.lines, rating.total_usd, line)?;
        Ok(rating)
    }

    fn rate_card(&self, request: &RateCardRequest, facts: &Facts) -> Result<RateCardPage, Refusal> {
        let contract = contract_of(facts)?;
        let factor = exact::add(Decimal::ONE, contract.share(facts)).map_err(lost)?;
        let mut page = rating::rate_card(&self.book, request, facts)?;
        for rate in page.entries.iter_mut().flat_map(|entry| &mut entry.rates) {
            rate.unit_price_usd = exact::mul(rate.unit_price_usd, factor).map_err(lost)?;
        }
        Ok(page)
    }

    fn describe(&self) -> Description {
        let terms = self.book.terms();
        Description {
            name: "committed-spend".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary:
                "Little on top of cost for who commits, and a true-up at the end of the month."
                    .into(),
            book_name: Some(terms.name.clone()),
            book_as_of: Some(terms.as_of.clone()),
        }
    }
}

/// What the customer has signed; nobody else is sold to, and nobody on a key of their own.
fn contract_of(facts: &Facts) -> Result<&'static Contract, Refusal> {
    let refused = |rule: &str| Refusal::NotAllowed { rule: rule.into() };
    if facts.key_source == KeySource::Own {
        return Err(refused("contract:managed_keys_only"));
    }
    let plan = facts.plan.as_deref();
    let mut contracts = CONTRACTS.iter();
    contracts
        .find(|contract| Some(contract.plan) == plan)
        .ok_or_else(|| refused("contract:none"))
}

impl Contract {
    /// What a call pays on top of its cost.
    fn share(&self, facts: &Facts) -> Decimal {
        if facts.month_to_date_usd < self.committed_usd {
            self.within
        } else {
            self.beyond
        }
    }

    /// The line that stands below the cost: what is missing of the month, or the share on top.
    fn line(
        &self,
        asked: (&str, Option<&str>),
        cost_usd: Decimal,
        share: Decimal,
        facts: &Facts,
    ) -> Result<Option<Line>, Refusal> {
        let is_true_up = asked == (TRUE_UP.0, Some(TRUE_UP.1));
        let (kind, quantity, unit_price_usd, reason) = if is_true_up {
            let spent = facts.month_to_date_usd;
            let missing = exact::sub(self.committed_usd, spent).map_err(lost)?;
            (
                LineKind::Minimum,
                Decimal::ONE,
                missing,
                self.true_up(spent),
            )
        } else {
            let rule = format!("contract:{}", self.plan).into();
            (LineKind::Markup, cost_usd, share, Reason::Markup { rule })
        };
        let amount_usd = exact::mul(quantity, unit_price_usd).map_err(lost)?;
        Ok((amount_usd > Decimal::ZERO).then_some(Line {
            kind,
            meter: None,
            quantity,
            unit_price_usd,
            amount_usd,
            reason,
        }))
    }

    fn true_up(&self, spent_usd: Decimal) -> Reason {
        let parameter = |name: &str, usd: Decimal| Attribute {
            name: name.into(),
            value: usd.normalize().to_string().into(),
        };
        Reason::Custom {
            code: "true_up".into(),
            parameters: vec![
                parameter("committed_usd", self.committed_usd),
                parameter("spent_usd", spent_usd),
            ],
        }
    }
}

/// Adds a line and returns the new total.
fn add(lines: &mut Vec<Line>, total_usd: Decimal, line: Option<Line>) -> Result<Decimal, Refusal> {
    let Some(line) = line else {
        return Ok(total_usd);
    };
    let total = exact::add(total_usd, line.amount_usd).map_err(lost)?;
    lines.push(line);
    Ok(total)
}

fn lost(_: ArithmeticError) -> Refusal {
    Refusal::OutOfRange {
        what: "a number with more digits than a decimal holds".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_book_are_refused_when_loading() {
        assert!(matches!(
            CommittedSpend::load(b"[book]".to_vec()),
            Err(ConfigError::Malformed { .. })
        ));
    }
}
