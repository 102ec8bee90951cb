//! What a call costs at the provider: the one pass over the pools, for [`super::rate`] and for
//! the host's floor alike.

use super::lookup::{Conditions, PriceList, UnitPrice};
use super::out_of_range;
use crate::answer::{AMOUNT_MAX_USD, Refusal};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, UsageEvent};
use crate::exact;
use crate::meter::{Meter, Pool};
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
            let usd = list_price(book, event, facts)?;
            Cost {
                provider_cost_usd: usd,
                market_usd: Some(usd),
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
    let list = PriceList::find(book, &event.provider, event.model(), facts.occurred_at_ms)?;
    price_usage(&list, event, |_| {})
}

/// A vouched cost, when it is one: at least zero, and in range.
pub(super) fn vouched(usd: Option<Decimal>) -> Result<Option<Decimal>, Refusal> {
    match usd {
        Some(usd) if usd < Decimal::ZERO || usd > AMOUNT_MAX_USD => {
            Err(out_of_range("vouched provider cost"))
        }
        usd => Ok(usd),
    }
}

/// One priced pool.
pub(super) struct PricedPool<'b, 'e> {
    pub meter: &'e Meter,
    pub quantity: Decimal,
    pub price: UnitPrice<'b>,
    pub amount_usd: Decimal,
}

/// Prices every pool at the provider's rates, hands each to `each`, and returns the exact sum.
///
/// A pool of zero needs no rate and is passed over. A rate for `request` is a fee per call, due
/// once unless the event counts its requests itself. An event without any pool is one request.
pub(super) fn price_usage<'b, 'e>(
    list: &PriceList<'b>,
    event: &'e UsageEvent,
    mut each: impl FnMut(PricedPool<'b, 'e>),
) -> Result<Decimal, Refusal> {
    let conditions = Conditions::of(event, list)?;
    let mut total = Decimal::ZERO;
    let mut add = |meter: &'e Meter, quantity: Decimal, price: UnitPrice<'b>| {
        let amount_usd = exact::mul(quantity, price.usd)
            .map_err(|_| out_of_range(format!("amount of `{}`", meter.name())))?;
        total = exact::add(total, amount_usd).map_err(|_| out_of_range("provider cost"))?;
        each(PricedPool {
            meter,
            quantity,
            price,
            amount_usd,
        });
        Ok(())
    };
    let mut counts_requests = false;
    for Pool {
        meter,
        quantity,
        attributes,
    } in &event.pools
    {
        counts_requests |= *meter == Meter::Request;
        let quantity = quantity.get();
        if quantity.is_zero() {
            continue;
        }
        if meter.is_whole() && quantity.scale() != 0 {
            return Err(out_of_range(format!("fraction of `{}`", meter.name())));
        }
        let price = conditions
            .unit_price(list, meter, attributes)?
            .ok_or_else(|| list.not_priced(meter))?;
        add(meter, quantity, price)?;
    }
    if !counts_requests {
        match conditions.request_fee(list)? {
            Some(price) => add(&Meter::Request, Decimal::ONE, price)?,
            None if event.pools.is_empty() => return Err(list.not_priced(&Meter::Request)),
            None => {}
        }
    }
    if total > AMOUNT_MAX_USD {
        return Err(out_of_range("provider cost"));
    }
    Ok(total)
}

impl Conditions<'_> {
    /// The fee per call: only a rate of the book's own, never a fallback.
    fn request_fee<'b>(&self, list: &PriceList<'b>) -> Result<Option<UnitPrice<'b>>, Refusal> {
        match self.direct(list, &Meter::Request, &[]) {
            Some(_) => self.unit_price(list, &Meter::Request, &[]),
            None => Ok(None),
        }
    }
}
