//! From list prices to other prices: what the operator really pays, or what it sells for.

use super::lookup::FoundRate;
use super::scope::Call;
use crate::book::{MeterFallback, Sheet, SheetEntry};
use crate::exact::{self, ArithmeticError};
use crate::meter::Meter;
use rust_decimal::Decimal;

/// The prices of one model on a sheet.
#[derive(Clone, Copy, Debug)]
pub(super) struct SheetPrices<'b>(Option<&'b SheetEntry>);

impl<'b> SheetPrices<'b> {
    /// The providers' list.
    pub const LIST: Self = Self(None);

    /// What the operator pays for the call's model.
    pub fn costs(call: &Call<'b>) -> Self {
        match call.sale() {
            Some(sale) => Self::of(&sale.costs, call),
            None => Self::LIST,
        }
    }

    /// What the call's model has on sheet number `sheet`; without a number, the list.
    pub fn sheet(call: &Call<'b>, sheet: Option<u16>) -> Self {
        let sheets = call.sale().map(|sale| &sale.sheets);
        let found = sheet.and_then(|number| sheets?.get(usize::from(number)));
        found.map_or(Self::LIST, |Sheet { entries, .. }| Self::of(entries, call))
    }

    fn of(entries: &'b [SheetEntry], call: &Call<'b>) -> Self {
        let mut entries = entries.iter();
        Self(entries.find(|entry| call.is_any_of(&entry.models)))
    }

    /// Whether these are the list prices themselves.
    pub const fn is_list(self) -> bool {
        self.0.is_none()
    }

    /// The price of one unit whose list price is `list_usd`. A meter that the list prices by
    /// another's rate is priced so here as well, when the sheet says nothing of its own about it.
    pub fn unit_price(
        self,
        meter: &Meter,
        list_usd: Decimal,
        fallback: Option<&MeterFallback>,
    ) -> Result<Decimal, ArithmeticError> {
        let Some(entry) = self.0 else {
            return Ok(list_usd);
        };
        if let Some(usd) = price_of(entry, meter) {
            return Ok(usd);
        }
        if let Some(fallback) = fallback
            && let Some(usd) = price_of(entry, &fallback.base)
        {
            return exact::mul(usd, fallback.factor);
        }
        exact::mul(list_usd, entry.factor)
    }

    /// [`Self::unit_price`] of a rate that was found.
    #[inline]
    pub fn of_found(
        self,
        meter: &Meter,
        list_usd: Decimal,
        found: &FoundRate<'_>,
    ) -> Result<Decimal, ArithmeticError> {
        if self.is_list() {
            Ok(list_usd)
        } else {
            self.unit_price(meter, list_usd, found.fallback)
        }
    }
}

fn price_of(entry: &SheetEntry, meter: &Meter) -> Option<Decimal> {
    let mut prices = entry.prices.iter();
    prices.find(|(m, _)| m == meter).map(|(_, usd)| *usd)
}
