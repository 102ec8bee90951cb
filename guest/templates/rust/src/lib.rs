//! The rules of {{name}}. Prices stand in the price book; here stands what is made of them.

use farebox_sdk::pricing::answer::{Line, LineKind, Quote, Rating, Reason, Refusal};
use farebox_sdk::pricing::canonical::BookView;
use farebox_sdk::pricing::card::{RateCardPage, RateCardRequest};
use farebox_sdk::pricing::event::{Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::exact::{self, ArithmeticError};
use farebox_sdk::pricing::rating;
use farebox_sdk::{ConfigError, Description, Policy};
use rust_decimal::Decimal;

#[cfg(target_family = "wasm")]
farebox_sdk::export_component!(Rules);

/// What every call pays on top of its cost: a quarter.
const MARKUP: Decimal = Decimal::from_parts(25, 0, 0, false, 2);

pub struct Rules {
    book: BookView,
}

impl Policy for Rules {
    fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
        let book = BookView::open(canonical_book).map_err(|error| ConfigError::Malformed {
            what: error.to_string().into(),
        })?;
        Ok(Self { book })
    }

    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal> {
        is_sold(request.feature.as_deref())?;
        let mut quote = match facts.key_source {
            KeySource::Managed => rating::quote(&self.book, request, facts)?,
            KeySource::Own => Quote {
                lines: Vec::new(),
                total_usd: Decimal::ZERO,
                max_output_tokens: None,
            },
        };
        quote.total_usd = self.add_terms(&mut quote.lines, quote.total_usd, facts)?;
        Ok(quote)
    }

    fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
        is_sold(event.feature.as_deref())?;
        let mut rating = match facts.key_source {
            KeySource::Managed => rating::rate(&self.book, event, facts)?,
            KeySource::Own => Rating {
                lines: Vec::new(),
                total_usd: Decimal::ZERO,
            },
        };
        rating.total_usd = self.add_terms(&mut rating.lines, rating.total_usd, facts)?;
        Ok(rating)
    }

    fn rate_card(&self, request: &RateCardRequest, facts: &Facts) -> Result<RateCardPage, Refusal> {
        let factor = exact::add(Decimal::ONE, MARKUP).map_err(lost)?;
        let mut page = rating::rate_card(&self.book, request, facts)?;
        for rate in page.entries.iter_mut().flat_map(|entry| &mut entry.rates) {
            rate.unit_price_usd = exact::mul(rate.unit_price_usd, factor).map_err(lost)?;
        }
        Ok(page)
    }

    fn describe(&self) -> Description {
        let terms = self.book.terms();
        Description {
            name: "{{name}}".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Cost plus a quarter.".into(),
            book_name: Some(terms.name.clone()),
            book_as_of: Some(terms.as_of.clone()),
        }
    }
}

impl Rules {
    /// Puts the terms below what the call costs, and returns the new total. Equal calls must get
    /// equal answers: use nothing but the call and its facts.
    fn add_terms(
        &self,
        lines: &mut Vec<Line>,
        cost_usd: Decimal,
        facts: &Facts,
    ) -> Result<Decimal, Refusal> {
        let (kind, quantity, unit_price_usd, reason) = match facts.key_source {
            KeySource::Managed => {
                let rule = "{{name}}".into();
                (LineKind::Markup, cost_usd, MARKUP, Reason::Markup { rule })
            }
            KeySource::Own => {
                let fee_usd = self.book.terms().own_key_cap.fixed_usd;
                (LineKind::PlatformFee, Decimal::ONE, fee_usd, Reason::PlatformFeeFixed)
            }
        };
        let amount_usd = exact::mul(quantity, unit_price_usd).map_err(lost)?;
        lines.push(Line {
            kind,
            meter: None,
            quantity,
            unit_price_usd,
            amount_usd,
            reason,
        });
        exact::add(cost_usd, amount_usd).map_err(lost)
    }
}

fn is_sold(feature: Option<&str>) -> Result<(), Refusal> {
    match feature {
        Some("not_for_sale") => Err(Refusal::NotAllowed {
            rule: "feature:not_for_sale".into(),
        }),
        _ => Ok(()),
    }
}

fn lost(_: ArithmeticError) -> Refusal {
    Refusal::OutOfRange {
        what: "a number with more digits than a decimal holds".into(),
    }
}
