//! The receipt: all that is needed to price a charge again (L10).

use crate::service::policy::ReleaseId;
use farebox_ledger::ids::{ChargeId, CommodityId, EventId};
use farebox_pricing::answer::Line;
use farebox_pricing::event::{Facts, UsageEvent};
use farebox_pricing::money::{Nanos, Peg, Rounding};
use rust_decimal::Decimal;

/// How a charge came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The charge.
    pub charge: ChargeId,
    /// What was used.
    pub event_id: EventId,
    /// What was used, as it was priced.
    pub event: UsageEvent,
    /// How it was priced.
    pub pricing: Pricing,
}

/// How an event was priced: the inputs besides the event itself, and the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Pricing {
    /// What priced it. Absent: an operator wrote the usage off, without a policy.
    pub release: Option<ReleaseId>,
    /// What the host vouched for.
    pub facts: Facts,
    /// Lines that add up to `price_usd`.
    pub lines: Vec<Line>,
    /// The price in USD, exact and unrounded.
    pub price_usd: Decimal,
    /// What the operator owes the provider, in USD, as the host computed it.
    pub provider_cost_usd: Decimal,
    /// The provider's list price in USD, where the book knows it.
    pub market_usd: Option<Decimal>,
    /// How the total became nano-credits.
    pub rounding: Rounding,
    /// Whether the release declares that it sells below cost, and this call was.
    pub below_cost: bool,
    /// Which credits.
    pub commodity: CommodityId,
    /// What one of them is worth.
    pub peg: Peg,
    /// The price in nano-credits: `price_usd ÷ peg`, rounded once.
    pub price: Nanos,
    /// The provider cost in nano-credits, rounded in the same way.
    pub cost: Nanos,
}
