//! The price of one event, line by line.

use super::charge::Bill;
use super::cost::{market, price_usage, prices_of, vouched, within_cap};
use super::lookup::Prices;
use super::sale::Tally;
use super::scope::Call;
use super::sheet::SheetPrices;
use crate::answer::{Line, LineKind, RateReason, Rating, Reason, Refusal};
use crate::book::{Charge, ChargeRule, Per, Sale};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, UsageEvent};
use crate::exact;
use crate::meter::Meter;
use rust_decimal::Decimal;

/// The price of one event under a book.
///
/// # Errors
/// A typed refusal: the rules forbid the call, the model or a meter has no price, or an amount is
/// out of range or would lose digits.
pub fn rate(book: &BookView, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
    let bill = price(book, event, facts)?.bill;
    Ok(Rating {
        lines: bill.lines,
        total_usd: bill.total_usd,
    })
}

/// The lowest price that the terms allow for an event with managed keys: its cost, less what
/// rules that declare a loss took off; zero where the whole rule is one.
///
/// # Errors
/// As [`rate`].
pub fn lowest_price(
    book: &BookView,
    event: &UsageEvent,
    facts: &Facts,
) -> Result<Decimal, Refusal> {
    price(book, event, facts).map(|priced| priced.floor_usd)
}

/// How much further a counter of the book goes with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The rule that counts.
    pub rule: Box<str>,
    /// In what time.
    pub per: Per,
    /// How much: units of a free quota; USD before the rule, of volume steps; USD charged, of a
    /// maximum.
    pub quantity: Decimal,
}

/// What the host counts of an event that was charged `charged_usd`. Nothing for most books.
///
/// # Errors
/// As [`rate`].
pub fn counts(
    book: &BookView,
    event: &UsageEvent,
    facts: &Facts,
    charged_usd: Decimal,
) -> Result<Vec<Count>, Refusal> {
    let Some(sale) = book.terms().sale.as_deref().filter(|sale| sale.counts()) else {
        return Ok(Vec::new());
    };
    let mut tally = price(book, event, facts)?.tally;
    tally.count_charged(&Call::of_event(book, event, facts), sale, charged_usd);
    let counts = tally.counts.into_iter();
    Ok(counts
        .map(|(rule, per, quantity)| Count {
            rule,
            per,
            quantity,
        })
        .collect())
}

/// A price, and what was noted on the way to it.
struct Priced {
    bill: Bill,
    tally: Tally,
    /// No price may be below; zero with own keys.
    floor_usd: Decimal,
}

fn price(book: &BookView, event: &UsageEvent, facts: &Facts) -> Result<Priced, Refusal> {
    let terms = book.terms();
    let call = Call::of_event(book, event, facts);
    let rule = call.charge_rule()?;
    let vouched = vouched(event.provider_cost_usd)?;
    // A line for each pool, a request fee, a markup and a minimum.
    let mut bill = Bill::with_capacity(event.pools.len().saturating_add(3));
    let cost_usd = bill.add_base(&call, event, rule, vouched)?;
    let mut tally = Tally::default();
    if rule.charge == Charge::Free {
        let floor_usd = Decimal::ZERO;
        return Ok(Priced {
            bill,
            tally,
            floor_usd,
        });
    }
    bill.charge(rule, || market(book, event, facts, vouched))?;
    if let Some(sale) = call.sale() {
        bill.apply(&call, sale, rule, &mut tally)?;
    }
    bill.lift(&call, &terms.minimums)?;
    if let Some(sale) = call.sale() {
        bill.cut(&call, sale, false, &mut tally)?;
    }
    let floor_usd = if rule.loss_leader || terms.loss_leader {
        Decimal::ZERO
    } else if tally.declared_usd.is_zero() {
        cost_usd
    } else {
        exact::sub(cost_usd, tally.declared_usd.min(cost_usd))
            .map_err(|_| super::out_of_range("cost floor"))?
    };
    bill.lift_to_floor(floor_usd)?;
    if facts.key_source == KeySource::Own && call.sale().is_some() {
        let market_usd = market(book, event, facts, vouched).ok();
        bill.keep_own_key_cap(terms, market_usd)?;
    }
    Ok(Priced {
        bill: bill.finish()?,
        tally,
        floor_usd,
    })
}

impl Bill {
    /// Adds the call at the rule's base prices, and returns what it costs the operator.
    fn add_base(
        &mut self,
        call: &Call<'_>,
        event: &UsageEvent,
        rule: &ChargeRule,
        vouched: Option<Decimal>,
    ) -> Result<Decimal, Refusal> {
        let facts = call.facts;
        let is_listed = match rule.charge {
            Charge::Listed { .. } => true,
            // Nothing stands on the bill, but what cannot be costed is refused like anywhere.
            Charge::Free => return super::cost(call.book, event, facts).map(|_| Decimal::ZERO),
            _ => false,
        };
        match (facts.key_source, vouched) {
            (KeySource::Own, _) => Ok(Decimal::ZERO),
            (KeySource::Managed, Some(usd)) => {
                within_cap(call.book, event, facts, usd)?;
                if !is_listed || self.add_usage(call, event, rule).is_err() {
                    *self = Self::with_capacity(3);
                    self.add_provider_cost(usd)?;
                }
                Ok(usd)
            }
            (KeySource::Managed, None) => {
                self.add_usage(call, event, rule)?;
                if is_listed {
                    super::cost(call.book, event, facts).map(|cost| cost.provider_cost_usd)
                } else {
                    Ok(self.total_usd)
                }
            }
        }
    }

    /// A line for each pool.
    fn add_usage(
        &mut self,
        call: &Call<'_>,
        event: &UsageEvent,
        rule: &ChargeRule,
    ) -> Result<(), Refusal> {
        let prices = base_prices(call, rule);
        let list = match prices_of(call.book, event, call.facts)? {
            Prices::List(list) => list,
            Prices::Cap(usd) => return add_cap(self, event.model(), usd),
        };
        self.total_usd = price_usage(&list, event, prices, call.facts, |pool| {
            self.lines.push(Line {
                kind: LineKind::Usage,
                meter: Some(pool.meter.clone()),
                quantity: pool.quantity,
                unit_price_usd: pool.unit_price_usd,
                amount_usd: pool.amount_usd,
                reason: Reason::Rate(pool.reason(&list)),
            });
        })?;
        Ok(())
    }

    /// What follows the rule: free quotas, volume steps, rounding.
    fn apply(
        &mut self,
        call: &Call<'_>,
        sale: &Sale,
        rule: &ChargeRule,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        self.give_free_quotas(call, sale, factor(rule), tally)?;
        self.step_volume(call, sale, tally)?;
        match sale.step_usd {
            Some(step) => self.round_to(step, call.book.terms().rounding),
            None => Ok(()),
        }
    }
}

/// The prices at which a rule puts a call on the bill.
pub(super) fn base_prices<'b>(call: &Call<'b>, rule: &ChargeRule) -> SheetPrices<'b> {
    match rule.charge {
        // A fee is a share of what the customer pays the provider.
        _ if call.facts.key_source == KeySource::Own => SheetPrices::LIST,
        Charge::Listed { sheet, .. } => SheetPrices::sheet(call, sheet),
        _ => SheetPrices::costs(call),
    }
}

/// What a rule multiplies those prices by.
pub(super) const fn factor(rule: &ChargeRule) -> Decimal {
    match rule.charge {
        Charge::CostPlus { markup } => markup,
        Charge::Listed { share, .. } => share,
        Charge::PlatformFee {
            share_of_market, ..
        } => share_of_market,
        Charge::Free | Charge::NotAllowed => Decimal::ZERO,
    }
}

/// The one line of a call of an unknown model: what the book says that it costs.
pub(super) fn add_cap(bill: &mut Bill, model: Option<&str>, usd: Decimal) -> Result<(), Refusal> {
    let reason = Reason::Rate(RateReason {
        model: model.unwrap_or_default().into(),
        fallback: Some("unknown_models".into()),
        ..RateReason::default()
    });
    let meter = Some(&Meter::Request);
    bill.add(LineKind::Usage, meter, Decimal::ONE, usd, reason)
}
