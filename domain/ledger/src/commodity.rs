//! A kind of credit. Its peg is fixed when it is created: another peg is another commodity, so no
//! balance ever changes its worth behind the customer's back.

use crate::ids::CommodityId;
use farebox_pricing::money::Peg;

/// A kind of credit and what one of it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commodity {
    /// Which.
    pub id: CommodityId,
    /// The operator's name for it, such as `credit`.
    pub name: Box<str>,
    /// USD for one credit. Kept in every receipt.
    pub peg: Peg,
}
