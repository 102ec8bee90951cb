//! The price of one event, line by line.

use super::charge::{Bill, rule_for};
use super::cost::{market, price_usage, vouched};
use super::lookup::PriceList;
use crate::answer::{Line, LineKind, Rating, Reason, Refusal};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, UsageEvent};

/// The price of one event under a book.
///
/// # Errors
/// A typed refusal: the rules forbid the call, the model or a meter has no price, or an amount is
/// out of range or would lose digits.
pub fn rate(book: &BookView, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
    let terms = book.terms();
    let feature = event.feature.as_deref();
    let rule = rule_for(terms, feature, facts)?;
    let vouched = vouched(event.provider_cost_usd)?;
    // A line for each pool, a request fee, a markup and a minimum.
    let mut bill = Bill::with_capacity(event.pools.len().saturating_add(3));
    match (facts.key_source, vouched) {
        (KeySource::Own, _) => {}
        (KeySource::Managed, Some(usd)) => bill.add_provider_cost(usd)?,
        (KeySource::Managed, None) => {
            let list = PriceList::find(book, &event.provider, event.model(), facts.occurred_at_ms)?;
            bill.total_usd = price_usage(&list, event, |pool| {
                bill.lines.push(Line {
                    kind: LineKind::Usage,
                    meter: Some(pool.meter.clone()),
                    quantity: pool.quantity,
                    unit_price_usd: pool.unit_price_usd,
                    amount_usd: pool.amount_usd,
                    reason: Reason::Rate(pool.conditions.reason(&list, &pool.found)),
                });
            })?;
        }
    }
    bill.charge(rule, || market(book, event, facts, vouched))?;
    bill.lift(terms, feature, facts)?;
    let bill = bill.finish()?;
    Ok(Rating {
        lines: bill.lines,
        total_usd: bill.total_usd,
    })
}
