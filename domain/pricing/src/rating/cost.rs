//! What a call costs at the provider: the one pass over the pools, for [`super::rate`] and for
//! the host's floor alike.

use super::lookup::{Conditions, FoundRate, PriceList, Prices};
use super::out_of_range;
use super::scope::Call;
use super::sheet::SheetPrices;
use crate::answer::{RateReason, Refusal, is_in_range};
use crate::book::UnknownModels;
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, UsageEvent};
use crate::exact;
use crate::meter::{Attribute, Meter};
use rust_decimal::Decimal;

mod parts;

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
            let (provider_cost_usd, market_usd) = match prices_of(book, event, facts)? {
                Prices::Cap(usd) => (usd, Some(usd)),
                Prices::List(list) => {
                    let usd = price_usage(&list, event, costs, facts, |_| {})?;
                    let market = if costs.is_list() {
                        Some(usd)
                    } else {
                        price_usage(&list, event, SheetPrices::LIST, facts, |_| {}).ok()
                    };
                    (usd, market)
                }
            };
            Cost {
                provider_cost_usd,
                market_usd,
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
    match prices_of(book, event, facts)? {
        Prices::List(list) => price_usage(&list, event, SheetPrices::LIST, facts, |_| {}),
        Prices::Cap(usd) => Ok(usd),
    }
}

pub(super) fn prices_of<'b>(
    book: &'b BookView,
    event: &UsageEvent,
    facts: &Facts,
) -> Result<Prices<'b>, Refusal> {
    Prices::find(book, &event.provider, event.model(), facts)
}

/// Refuses a vouched cost that is above the book's cap for models it does not have.
pub(super) fn within_cap(
    book: &BookView,
    event: &UsageEvent,
    facts: &Facts,
    vouched: Decimal,
) -> Result<(), Refusal> {
    if !matches!(book.terms().unknown_models, UnknownModels::Cap { .. }) {
        return Ok(());
    }
    match prices_of(book, event, facts) {
        Ok(Prices::Cap(usd)) if vouched > usd => Err(out_of_range(
            "vouched cost: above the cap for unknown models",
        )),
        _ => Ok(()),
    }
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
    /// The allowance that makes these units free.
    pub allowance: Option<&'b str>,
}

impl PricedPool<'_, '_> {
    /// Why these units have this price.
    pub fn reason(&self, list: &PriceList<'_>) -> RateReason {
        let mut reason = self.conditions.reason(list, &self.found);
        if let Some(allowance) = self.allowance {
            let free = Attribute {
                name: "allowance".into(),
                value: allowance.into(),
            };
            reason.conditions.insert(0, free);
        }
        reason
    }
}

/// Prices every pool at the provider's rates as `prices` has them, hands each to `each`, and
/// returns the exact sum.
///
/// A pool of zero needs no rate and is passed over. A pool is priced in parts where some of its
/// units are free or a marginal context divides it. A rate for `request` is a fee per call, due
/// once unless the event counts its requests itself. An event without any pool is one request.
pub(super) fn price_usage<'b>(
    list: &PriceList<'b>,
    event: &UsageEvent,
    prices: SheetPrices<'_>,
    facts: &Facts,
    mut each: impl FnMut(PricedPool<'_, 'b>),
) -> Result<Decimal, Refusal> {
    if list.model.context_marginal || !list.period.allowances.is_empty() {
        return parts::price_usage(list, event, prices, facts, &mut each);
    }
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
            allowance: None,
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
        must_be_whole(meter, quantity)?;
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

#[inline]
fn must_be_whole(meter: &Meter, quantity: Decimal) -> Result<(), Refusal> {
    if quantity.scale() != 0 && meter.is_whole() {
        return Err(out_of_range(format!("fraction of `{}`", meter.name())));
    }
    Ok(())
}

#[cold]
fn amount_out_of_range(meter: &Meter) -> Refusal {
    out_of_range(format!("amount of `{}`", meter.name()))
}
