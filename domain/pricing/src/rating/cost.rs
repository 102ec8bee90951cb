//! What a call costs at the provider: the one pass over the pools, for [`super::rate`] and for
//! the host's floor alike.

use super::lookup::{Conditions, FoundRate, PriceList};
use super::out_of_range;
use super::scope::Call;
use super::sheet::SheetPrices;
use crate::answer::{Refusal, is_in_range};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, UsageEvent};
use crate::exact;
use crate::meter::Meter;
use rust_decimal::Decimal;

/// What a call costs the operator, and what it would cost at list price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What the operator owes the provider, in USD. With managed keys, the floor of any price.
    pub provider_cost_usd: Decimal,
    /// The list price in USD, where the book knows it; else the vouched cost, if any.
    pub market_usd: Option<Decimal>,
    /// Where the provider cost comes from.
    pub basis: CostBasis,
}

/// Where a provider cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostBasis {
    /// The book's rates.
    Book,
    /// The provider's own figure, vouched by the host. It wins over the book.
    Vouched,
    /// The customer's own key was used: the operator owes nothing.
    OwnKey,
}

/// What the call costs, computed from the book and the vouched cost alone.
///
/// # Errors
/// With managed keys and no vouched cost: what keeps the book from pricing the event. A vouched
/// cost that is out of range is refused always.
pub fn cost(book: &BookView, event: &UsageEvent, facts: &Facts) -> Result<Cost, Refusal> {
    let vouched = vouched(event.provider_cost_usd)?;
    Ok(match (facts.key_source, vouched) {
        (KeySource::Own, _) => Cost {
            provider_cost_usd: Decimal::ZERO,
            market_usd: market(book, event, facts, vouched).ok(),
            basis: CostBasis::OwnKey,
        },
        (KeySource::Managed, Some(vouched)) => Cost {
            provider_cost_usd: vouched,
            market_usd: market(book, event, facts, Some(vouched)).ok(),
            basis: CostBasis::Vouched,
        },
        (KeySource::Managed, None) => {
            let costs = SheetPrices::costs(&Call::of_event(book, event, facts));
            let list = price_list(book, event, facts)?;
            let usd = price_usage(&list, event, costs, |_| {})?;
            Cost {
                provider_cost_usd: usd,
                market_usd: if costs.is_list() {
                    Some(usd)
                } else {
                    price_usage(&list, event, SheetPrices::LIST, |_| {}).ok()
                },
                basis: CostBasis::Book,
            }
        }
    })
}

/// The list price of the event, else its vouched cost.
pub(super) fn market(
    book: &BookView,
    event: &UsageEvent,
    facts: &Facts,
    vouched: Option<Decimal>,
) -> Result<Decimal, Refusal> {
    list_price(book, event, facts).or_else(|refusal| vouched.ok_or(refusal))
}

fn list_price(book: &BookView, event: &UsageEvent, facts: &Facts) -> Result<Decimal, Refusal> {
    let list = price_list(book, event, facts)?;
    price_usage(&list, event, SheetPrices::LIST, |_| {})
}

pub(super) fn price_list<'b>(
    book: &'b BookView,
    event: &UsageEvent,
    facts: &Facts,
) -> Result<PriceList<'b>, Refusal> {
    PriceList::find(book, &event.provider, event.model(), facts.occurred_at_ms)
}

/// A vouched cost, when it is one: at least zero, and in range.
pub(super) fn vouched(usd: Option<Decimal>) -> Result<Option<Decimal>, Refusal> {
    match usd {
        Some(usd) if exact::is_negative(usd) || !is_in_range(usd) => {
            Err(out_of_range("vouched provider cost"))
        }
        usd => Ok(usd),
    }
}

/// One priced pool.
pub(super) struct PricedPool<'c, 'b> {
    pub meter: &'c Meter,
    pub quantity: Decimal,
    pub unit_price_usd: Decimal,
    pub amount_usd: Decimal,
    pub conditions: &'c Conditions<'c>,
    pub found: FoundRate<'b>,
}

/// SheetPrices every pool at the provider's rates as `prices` has them, hands each to `each`, and
/// returns the exact sum.
///
/// A pool of zero needs no rate and is passed over. A rate for `request` is a fee per call, due
/// once unless the event counts its requests itself. An event without any pool is one request.
pub(super) fn price_usage<'b>(
    list: &PriceList<'b>,
    event: &UsageEvent,
    prices: SheetPrices<'_>,
    mut each: impl FnMut(PricedPool<'_, 'b>),
) -> Result<Decimal, Refusal> {
    let conditions = &Conditions::of(event, list)?;
    let mut price = |meter: &Meter, quantity: Decimal, found: FoundRate<'b>| {
        let list_usd = conditions.unit_price(&found)?;
        let unit_price_usd = prices.of_found(meter, list_usd, &found)?;
        let amount_usd = exact::mul(quantity, unit_price_usd)?;
        each(PricedPool {
            meter,
            quantity,
            unit_price_usd,
            amount_usd,
            conditions,
            found,
        });
        Ok(amount_usd)
    };
    let mut total = Decimal::ZERO;
    let mut counts_requests = false;
    for pool in &event.pools {
        let meter = &pool.meter;
        counts_requests |= *meter == Meter::Request;
        let quantity = pool.quantity.get();
        if quantity.is_zero() {
            continue;
        }
        if quantity.scale() != 0 && meter.is_whole() {
            return Err(out_of_range(format!("fraction of `{}`", meter.name())));
        }
        let Some(found) = conditions.rate_for(list, meter, &pool.attributes) else {
            return Err(list.not_priced(meter));
        };
        total = price(meter, quantity, found)
            .and_then(|amount| exact::add(total, amount))
            .map_err(|_| amount_out_of_range(meter))?;
    }
    if !counts_requests {
        // Only a rate of the book's own is a fee, never a fallback.
        let meter = &Meter::Request;
        match conditions.direct(list, meter, &[]) {
            Some(found) => {
                total = price(meter, Decimal::ONE, found)
                    .and_then(|amount| exact::add(total, amount))
                    .map_err(|_| amount_out_of_range(meter))?;
            }
            None if event.pools.is_empty() => return Err(list.not_priced(meter)),
            None => {}
        }
    }
    if !is_in_range(total) {
        return Err(out_of_range("provider cost"));
    }
    Ok(total)
}

#[cold]
fn amount_out_of_range(meter: &Meter) -> Refusal {
    out_of_range(format!("amount of `{}`", meter.name()))
}
