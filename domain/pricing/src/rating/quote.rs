//! The worst case of a call, before it is made.
//!
//! Bytes bound text: a token and a character have at least one byte each, so the body's bytes are
//! taken as tokens at the dearest of input, cache read and cache write. Output is bounded by the
//! request, else by the model, else by the book's default, at the dearest of output and
//! reasoning. What bytes do not bound (media, searches, tools) is bounded by what is declared.

use super::bound::{Reach, UnitPrice, dearer};
use super::charge::Bill;
use super::cost::vouched;
use super::lookup::{PriceList, Prices};
use super::out_of_range;
use super::rate::{add_cap, base_prices};
use super::sale::Tally;
use super::scope::Call;
use super::sheet::SheetPrices;
use crate::answer::{LineKind, Quote, Reason, Refusal};
use crate::book::{Charge, ChargeRule, UnknownModels};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, QuoteRequest};
use crate::exact;
use crate::meter::{Attribute, Meter, Pool};
use crate::money::Rounding;
use rust_decimal::Decimal;

const TEXT: [Meter; 4] = [
    Meter::Input,
    Meter::CacheRead,
    Meter::CacheWrite5m,
    Meter::CacheWrite1h,
];
const OUTPUT: [Meter; 2] = [Meter::Output, Meter::Reasoning];

/// The most that a call within the bounds of `request` can be charged: [`super::rate`] never
/// answers more for an event with at most `body_bytes` text tokens of prompt, at most the quoted
/// output tokens, and of every other meter at most what is declared.
///
/// # Errors
/// As [`super::rate`]; and `NotPriced` for a model of which nothing is bounded (an image model,
/// say, without a declared number of images).
pub fn quote(book: &BookView, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal> {
    let terms = book.terms();
    let call = Call::of_request(book, request, facts);
    let rule = call.charge_rule()?;
    let worst = worst_case(&call, request, base_prices(&call, rule));
    let (mut bill, market, max_output_tokens) = match (facts.key_source, worst) {
        (KeySource::Managed, worst) => {
            let worst = worst?;
            let market = Ok(worst.bill.total_usd);
            (worst.bill, market, worst.max_output_tokens)
        }
        (KeySource::Own, Ok(worst)) => {
            let market = Ok(worst.bill.total_usd);
            (Bill::with_capacity(3), market, worst.max_output_tokens)
        }
        // A fixed fee needs no list price; a share of it asks below and refuses.
        (KeySource::Own, Err(refusal)) => (Bill::with_capacity(3), Err(refusal), None),
    };
    if rule.charge == Charge::Free {
        return Ok(Quote {
            lines: Vec::new(),
            total_usd: Decimal::ZERO,
            max_output_tokens,
        });
    }
    let market_usd = market.as_ref().ok().copied();
    bill.charge(rule, || market)?;
    if let Some(sale) = call.sale() {
        // Discounts may be used up by then, so none is counted on.
        bill.step_volume_at_worst(&call, sale)?;
        if let Some(step) = sale.step_usd {
            bill.round_to(step, Rounding::AwayFromZero)?;
        }
    }
    bill.lift(&call, &terms.minimums)?;
    if let Some(sale) = call.sale() {
        bill.cut(&call, sale, true, &mut Tally::default())?;
    }
    if may_be_below_cost(&call, rule) && !rule.loss_leader && !terms.loss_leader {
        bill.lift_to_floor(cost_bound(book, request, facts)?.0)?;
    }
    if let Some(sale) = call.sale() {
        match facts.key_source {
            KeySource::Managed => bill.lift(&call, &sale.preflights)?,
            KeySource::Own => bill.keep_own_key_cap(terms, market_usd)?,
        }
    }
    let bill = bill.finish()?;
    Ok(Quote {
        lines: bill.lines,
        total_usd: bill.total_usd,
        max_output_tokens,
    })
}

/// Whether a bill that follows this rule can stand below its cost before the floor lifts it.
fn may_be_below_cost(call: &Call<'_>, rule: &ChargeRule) -> bool {
    matches!(rule.charge, Charge::Listed { .. }) || call.sale().is_some()
}

/// Whether the rule for this request declares that it may sell below cost.
///
/// # Errors
/// When the terms refuse the call.
pub fn is_declared_loss(
    book: &BookView,
    request: &QuoteRequest,
    facts: &Facts,
) -> Result<bool, Refusal> {
    let rule = Call::of_request(book, request, facts).charge_rule()?;
    Ok(rule.loss_leader || rule.charge == Charge::Free)
}

/// The most that a call within the bounds of `request` can cost the operator, in USD, computed
/// from the book alone: the floor of a quote. Zero with own keys. Beside it the bound of its list
/// price.
///
/// # Errors
/// With managed keys, as [`quote`].
pub fn cost_bound(
    book: &BookView,
    request: &QuoteRequest,
    facts: &Facts,
) -> Result<(Decimal, Option<Decimal>), Refusal> {
    let call = Call::of_request(book, request, facts);
    let costs = SheetPrices::costs(&call);
    let worst = |prices| worst_case(&call, request, prices).map(|worst| worst.bill.total_usd);
    match facts.key_source {
        KeySource::Managed if costs.is_list() => worst(costs).map(|usd| (usd, Some(usd))),
        KeySource::Managed => Ok((worst(costs)?, worst(SheetPrices::LIST).ok())),
        KeySource::Own => Ok((Decimal::ZERO, worst(SheetPrices::LIST).ok())),
    }
}

/// The largest output limit, at least 1, with which the quote is at most `budget_usd`.
///
/// `None` when even one token does not fit, when the call cannot be quoted, or when the model has
/// no output to limit. Never above the limit that the quote assumes.
pub fn largest_max_output(
    book: &BookView,
    request: &QuoteRequest,
    facts: &Facts,
    budget_usd: Decimal,
) -> Option<u64> {
    let mut request = request.clone();
    let limit = quote(book, &request, facts).ok()?.max_output_tokens?;
    let mut fits = |tokens: u64| {
        request.max_output_tokens = Some(tokens);
        quote(book, &request, facts).is_ok_and(|quote| quote.total_usd <= budget_usd)
    };
    // A quote never falls when its output limit rises, so the largest that fits is found by
    // halving: `low` fits (or is zero), everything above `high` does not.
    let (mut low, mut high) = (0_u64, limit);
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low) / 2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle.saturating_sub(1);
        }
    }
    (low > 0).then_some(low)
}

/// A bound of the provider's list price, line by line.
struct WorstCase {
    bill: Bill,
    max_output_tokens: Option<u64>,
    /// Whether it is the book's cap for unknown models.
    is_cap: bool,
}

/// The dearer of what the book bounds and what the caller declares for a vouched cost: either may
/// turn out to be the provider cost.
fn worst_case(
    call: &Call<'_>,
    request: &QuoteRequest,
    prices: SheetPrices<'_>,
) -> Result<WorstCase, Refusal> {
    let declared = vouched(request.provider_cost_max_usd)?;
    let listed = worst_listed(call, request, prices);
    let Some(usd) = declared else {
        return listed;
    };
    let max_output_tokens = match listed {
        Ok(listed) if usd <= listed.bill.total_usd => return Ok(listed),
        // The cap bounds a vouched cost too.
        Ok(listed) if listed.is_cap => return Ok(listed),
        Ok(listed) => listed.max_output_tokens,
        // A bound too large to compute is not a small one.
        Err(refusal @ (Refusal::OutOfRange { .. } | Refusal::NotAllowed { .. })) => {
            return Err(refusal);
        }
        // Before the call, a cost that is only promised does not make an unknown model known.
        Err(refusal @ Refusal::UnknownModel { .. })
            if request.model.is_some()
                && call.book.terms().unknown_models == UnknownModels::Refuse =>
        {
            return Err(refusal);
        }
        Err(Refusal::UnknownModel { .. } | Refusal::NotPriced { .. }) => None,
    };
    let mut bill = Bill::with_capacity(3);
    bill.add_provider_cost(usd)?;
    Ok(WorstCase {
        bill,
        max_output_tokens,
        is_cap: false,
    })
}

fn worst_listed(
    call: &Call<'_>,
    request: &QuoteRequest,
    prices: SheetPrices<'_>,
) -> Result<WorstCase, Refusal> {
    let list = match Prices::find(call.book, call.provider, call.model, call.facts)? {
        Prices::List(list) => list,
        Prices::Cap(usd) => {
            let mut bill = Bill::with_capacity(3);
            add_cap(&mut bill, call.model, usd)?;
            return Ok(WorstCase {
                bill: bill.finish()?,
                max_output_tokens: request.max_output_tokens,
                is_cap: true,
            });
        }
    };
    let body_bytes = Decimal::from(request.body_bytes);
    let text = exact::add(body_bytes, declared(request, |m| TEXT.contains(m))?);
    let text = text.map_err(|_| out_of_range("prompt tokens"))?;
    let media = |m: &Meter| m.is_prompt_tokens() && !TEXT.contains(m);
    let prompt = exact::add(text, declared(request, media)?);
    let reach = Reach::of(
        request,
        &list,
        prices,
        prompt.map_err(|_| out_of_range("prompt tokens"))?,
    );

    let mut bill = Bill::with_capacity(request.declared.len().saturating_add(6));
    if let Some((meter, price)) = dearest_of(&reach, &list, &TEXT)? {
        add(&mut bill, &list, meter, text, &price)?;
    }
    let mut max_output_tokens = None;
    if let Some((meter, price)) = dearest_of(&reach, &list, &OUTPUT)? {
        let max = request
            .max_output_tokens
            .or(list.model.max_output_tokens)
            .unwrap_or(list.terms.max_output_tokens_default);
        max_output_tokens = Some(max);
        let declared = declared(request, |m| OUTPUT.contains(m))?;
        let tokens = exact::add(Decimal::from(max), declared);
        let tokens = tokens.map_err(|_| out_of_range("output tokens"))?;
        add(&mut bill, &list, meter, tokens, &price)?;
    }
    let is_declared = |meter: &Meter| request.declared.iter().any(|pool| pool.meter == *meter);
    if !is_declared(&Meter::Character)
        && let Some(price) = reach.dearest(&list, &Meter::Character, &[])?
    {
        add(&mut bill, &list, &Meter::Character, body_bytes, &price)?;
    }
    for pool in &request.declared {
        add_declared(&mut bill, &reach, &list, pool)?;
    }
    if !is_declared(&Meter::Request)
        && let Some(price) = reach.request_fee()?
    {
        add(&mut bill, &list, &Meter::Request, Decimal::ONE, &price)?;
    }
    if bill.lines.is_empty() {
        // The model is priced by something that neither bytes nor the request bound.
        return Err(list.not_priced(&Meter::Input));
    }
    let bill = bill.finish()?;
    Ok(WorstCase {
        bill,
        max_output_tokens,
        is_cap: false,
    })
}

/// A line for a declared pool, unless text or output has counted it.
fn add_declared(
    bill: &mut Bill,
    reach: &Reach<'_, '_>,
    list: &PriceList<'_>,
    pool: &Pool,
) -> Result<(), Refusal> {
    let Pool {
        meter,
        quantity,
        attributes,
    } = pool;
    if TEXT.contains(meter) || OUTPUT.contains(meter) {
        return Ok(());
    }
    let mut quantity = quantity.get();
    if *meter == Meter::Request {
        // An event that does not count its requests pays the fee once.
        quantity = quantity.max(Decimal::ONE);
    }
    if quantity.is_zero() {
        return Ok(());
    }
    let price = reach.dearest(list, meter, attributes)?;
    match price {
        Some(price) => add(bill, list, meter, quantity, &price),
        None if *meter == Meter::Request => Ok(()),
        None => Err(list.not_priced(meter)),
    }
}

fn add(
    bill: &mut Bill,
    list: &PriceList<'_>,
    meter: &Meter,
    quantity: Decimal,
    price: &UnitPrice<'_>,
) -> Result<(), Refusal> {
    let reason = Reason::Rate(list.reason(price.table, price.tier, price.meter));
    bill.add(LineKind::Usage, Some(meter), quantity, price.usd, reason)
}

fn dearest_of<'b, 'm>(
    reach: &Reach<'_, 'b>,
    list: &PriceList<'b>,
    meters: &'m [Meter],
) -> Result<Option<(&'m Meter, UnitPrice<'b>)>, Refusal> {
    const ANY: &[Attribute] = &[];
    let mut found: Option<(&Meter, UnitPrice<'b>)> = None;
    for meter in meters {
        let price = reach.dearest(list, meter, ANY)?;
        let before = found.map(|(_, price)| price);
        if let Some(dearest) = dearer(before, price)
            && before.is_none_or(|before| dearest.usd > before.usd)
        {
            found = Some((meter, dearest));
        }
    }
    Ok(found)
}

/// How many units of these meters are declared.
fn declared(request: &QuoteRequest, of: impl Fn(&Meter) -> bool) -> Result<Decimal, Refusal> {
    let pools = request.declared.iter().filter(|pool| of(&pool.meter));
    exact::sum(pools.map(|pool| pool.quantity.get())).map_err(|_| out_of_range("declared pools"))
}
