//! A kind of credit. What it is worth is fixed when it is created: another worth is another
//! commodity, so no balance ever changes its worth behind the customer's back.

use crate::ids::CommodityId;
use farebox_pricing::currency::{Currency, Pegs};
use farebox_pricing::money::Peg;
use rust_decimal::Decimal;

/// A kind of credit and what one of it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commodity {
    /// Which.
    pub id: CommodityId,
    /// The operator's name for it, such as `credit`.
    pub name: Box<str>,
    /// The currency it is pegged to.
    pub currency: Currency,
    /// How much of the currency one credit is worth. What that is in USD stands in every receipt.
    pub per_credit: Decimal,
}

impl Commodity {
    /// A kind of credit that is worth this much in USD.
    pub const fn of_usd(id: CommodityId, name: Box<str>, peg: Peg) -> Self {
        Self {
            id,
            name,
            currency: Currency::USD,
            per_credit: peg.usd_per_credit(),
        }
    }

    /// Whether `pegs` say of a credit what it was made with.
    pub fn is_worth(&self, pegs: &Pegs) -> bool {
        self.currency == pegs.currency() && self.per_credit == pegs.per_credit()
    }
}
