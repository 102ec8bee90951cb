//! The checks on every answer of a policy. The host trusts none.
//!
//! The same checks serve charging, replay, shadow, backtest and the edge:
//!
//! 1. each line is its quantity times its unit price, lines add up to the total, amounts are in
//!    range, nothing is negative but discounts, and the total never is;
//! 2. with managed keys the price is at least the provider cost, which is computed here from the
//!    book and the vouched cost, never taken from the policy (unless the book, or the rule that the
//!    call falls under, declares a loss-leader: then the call is marked as below cost);
//! 3. with own keys the charge is within the book's cap, whatever its lines are called;
//! 4. a quote is at least the bound of what the call can cost.
//!
//! It must not know where an answer comes from, nor how it is rounded and posted.

use crate::answer::{LINES_MAX, Line, LineKind, Quote, Rating, Refusal, is_in_range};
use crate::book::Book;
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, QuoteRequest, UsageEvent};
use crate::exact;
use crate::rating::{self, Cost};
use rust_decimal::Decimal;

#[cfg(test)]
mod tests;

/// An answer that breaks the contract. In order of precedence: the first that holds is reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More than [`LINES_MAX`] lines.
    #[error("an answer has {0} lines, more than {LINES_MAX}")]
    TooManyLines(usize),
    /// A line whose quantity, unit price or amount is beyond the largest.
    #[error("line {line}: a number is out of range")]
    LineOutOfRange {
        /// Number of the line, from 0.
        line: usize,
    },
    /// A line with a quantity below zero, or with a negative amount though it is no discount.
    #[error("line {line} is negative and no discount")]
    NegativeLine {
        /// Number of the line, from 0.
        line: usize,
    },
    /// A discount that adds to the price.
    #[error("line {line} is a discount that raises the price")]
    PositiveDiscount {
        /// Number of the line, from 0.
        line: usize,
    },
    /// The amount is not exactly the quantity times the unit price.
    #[error("line {line}: the amount {amount} is not its quantity times its unit price")]
    WrongLineAmount {
        /// Number of the line, from 0.
        line: usize,
        /// What the line says.
        amount: Decimal,
    },
    /// The total is not exactly the sum of the lines.
    #[error("the lines add up to {sum}, the total says {total}")]
    WrongTotal {
        /// The exact sum.
        sum: Decimal,
        /// What the answer says.
        total: Decimal,
    },
    /// The exact sum of the lines does not fit a decimal.
    #[error("the exact sum of the lines does not fit a decimal")]
    TotalNotExact,
    /// The total is below zero.
    #[error("the total {0} is negative")]
    NegativeTotal(Decimal),
    /// The total is above the largest amount.
    #[error("the total {0} is out of range")]
    TotalOutOfRange(Decimal),
    /// The provider cost cannot be computed, so no price can be checked against it.
    #[error("the provider cost of the call is not known: {0}")]
    CostUnknown(Refusal),
    /// With managed keys, a price below the provider cost.
    #[error("the price {price} is below the provider cost {cost}")]
    BelowCost {
        /// What the policy asks.
        price: Decimal,
        /// What the host computed.
        cost: Decimal,
    },
    /// With own keys, a charge above the declared cap.
    #[error("the charge {price} on an own key is above the declared cap {cap}")]
    AboveOwnKeyCap {
        /// What the policy asks.
        price: Decimal,
        /// What the book allows.
        cap: Decimal,
    },
    /// A quote below the bound of the provider cost.
    #[error("the quote {total} is below the most the call can cost, {bound}")]
    BelowCostBound {
        /// What the policy quotes.
        total: Decimal,
        /// What the host computed.
        bound: Decimal,
    },
}

/// What is known of a price that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The price in USD, exact and unrounded.
    pub price_usd: Decimal,
    /// What the operator owes the provider, in USD, as computed here.
    pub provider_cost_usd: Decimal,
    /// The list price in USD, where it is known.
    pub market_usd: Option<Decimal>,
    /// Sold below cost by a declared loss-leader.
    pub below_cost: bool,
}

/// Checks the answer to `rate`.
///
/// # Errors
/// The first [`Violation`] by precedence.
pub fn rating(
    book: &BookView,
    event: &UsageEvent,
    facts: &Facts,
    answer: &Rating,
) -> Result<Checked, Violation> {
    check_sums(&answer.lines, answer.total_usd)?;
    let Cost {
        provider_cost_usd,
        market_usd,
        basis: _,
    } = rating::cost(book, event, facts).map_err(Violation::CostUnknown)?;
    let price_usd = answer.total_usd;
    let terms = book.terms();
    if facts.key_source == KeySource::Own {
        check_cap(terms, price_usd, market_usd)?;
    }
    let below_cost = exact::cmp(price_usd, provider_cost_usd).is_lt();
    if below_cost && !terms.loss_leader && !is_declared(book, event, facts, price_usd) {
        return Err(Violation::BelowCost {
            price: price_usd,
            cost: provider_cost_usd,
        });
    }
    Ok(Checked {
        price_usd,
        provider_cost_usd,
        market_usd,
        below_cost,
    })
}

/// Checks the answer to `quote`.
///
/// A loss-leader may quote below cost; only its sums are checked.
///
/// # Errors
/// The first [`Violation`] by precedence.
pub fn quote(
    book: &BookView,
    request: &QuoteRequest,
    facts: &Facts,
    answer: &Quote,
) -> Result<(), Violation> {
    check_sums(&answer.lines, answer.total_usd)?;
    let bound_of = |request| rating::cost_bound(book, request, facts);
    let (mut bound, mut market_usd) = bound_of(request).map_err(Violation::CostUnknown)?;
    if request.max_output_tokens.is_none() && answer.max_output_tokens.is_some() {
        // A quote that says it covers more output than the book assumes is held to its word.
        let assumed = QuoteRequest {
            max_output_tokens: answer.max_output_tokens,
            ..request.clone()
        };
        let (more, more_market) = bound_of(&assumed).map_err(Violation::CostUnknown)?;
        bound = bound.max(more);
        market_usd = market_usd.max(more_market);
    }
    let terms = book.terms();
    if facts.key_source == KeySource::Own {
        check_cap(terms, answer.total_usd, market_usd)?;
    }
    let is_declared =
        || rating::is_declared_loss(book, request, facts).is_ok_and(|declared| declared);
    if answer.total_usd < bound && !terms.loss_leader && !is_declared() {
        return Err(Violation::BelowCostBound {
            total: answer.total_usd,
            bound,
        });
    }
    Ok(())
}

/// Whether the rules for this event declare a price this far below its cost.
#[cold]
fn is_declared(book: &BookView, event: &UsageEvent, facts: &Facts, price_usd: Decimal) -> bool {
    rating::lowest_price(book, event, facts)
        .is_ok_and(|lowest| exact::cmp(price_usd, lowest).is_ge())
}

fn check_sums(lines: &[Line], total: Decimal) -> Result<(), Violation> {
    if lines.len() > LINES_MAX {
        return Err(Violation::TooManyLines(lines.len()));
    }
    let mut sum = Ok(Decimal::ZERO);
    for (number, line) in lines.iter().enumerate() {
        check_line(number, line)?;
        sum = sum.and_then(|sum| exact::add(sum, line.amount_usd));
    }
    let sum = sum.map_err(|_| Violation::TotalNotExact)?;
    if exact::cmp(sum, total).is_ne() {
        return Err(Violation::WrongTotal { sum, total });
    }
    if exact::is_negative(total) {
        return Err(Violation::NegativeTotal(total));
    }
    if !is_in_range(total) {
        return Err(Violation::TotalOutOfRange(total));
    }
    Ok(())
}

fn check_line(number: usize, line: &Line) -> Result<(), Violation> {
    let amount = line.amount_usd;
    if !is_in_range(amount) {
        return Err(Violation::LineOutOfRange { line: number });
    }
    let discount = line.kind == LineKind::Discount;
    if exact::is_negative(line.quantity) || (exact::is_negative(amount) && !discount) {
        return Err(Violation::NegativeLine { line: number });
    }
    if discount && amount > Decimal::ZERO {
        return Err(Violation::PositiveDiscount { line: number });
    }
    let product = exact::mul(line.quantity, line.unit_price_usd);
    if !product.is_ok_and(|product| exact::cmp(product, amount).is_eq()) {
        return Err(Violation::WrongLineAmount {
            line: number,
            amount,
        });
    }
    Ok(())
}

fn check_cap(terms: &Book, price: Decimal, market_usd: Option<Decimal>) -> Result<(), Violation> {
    let cap = rating::own_key_cap(terms, market_usd);
    if exact::cmp(price, cap).is_gt() {
        return Err(Violation::AboveOwnKeyCap { price, cap });
    }
    Ok(())
}
