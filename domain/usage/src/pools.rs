//! Collects exclusive pools. Knows which totals are kept at zero, and takes parts out of totals.
//! Must not know any provider's field names.

use crate::error::{QuantityFault, UsageError};
use farebox_pricing::meter::{Attribute, Meter, Pool, Quantity};
use rust_decimal::Decimal;

/// Pools under construction, in canonical order; a meter with the same attributes stands once.
#[derive(Debug, Default)]
pub(crate) struct Pools(Vec<Pool>);

impl Pools {
    /// A total that the provider stated: kept at zero too.
    pub(crate) fn stated(&mut self, meter: Meter, count: u64) -> Result<(), UsageError> {
        self.add(meter, Decimal::from(count), Vec::new())
    }

    /// A detail that the provider stated: zero of it is nothing.
    pub(crate) fn detail(&mut self, meter: Meter, count: u64) -> Result<(), UsageError> {
        self.detail_with(meter, count, Vec::new())
    }

    /// A detail with attributes, sorted by name.
    pub(crate) fn detail_with(
        &mut self,
        meter: Meter,
        count: u64,
        attributes: Vec<Attribute>,
    ) -> Result<(), UsageError> {
        if count == 0 {
            return Ok(());
        }
        self.add(meter, Decimal::from(count), attributes)
    }

    /// Any quantity, added to what the meter already has.
    pub(crate) fn add(
        &mut self,
        meter: Meter,
        quantity: Decimal,
        attributes: Vec<Attribute>,
    ) -> Result<(), UsageError> {
        let present = self
            .0
            .iter_mut()
            .find(|pool| pool.meter == meter && pool.attributes == attributes);
        let before = present
            .as_ref()
            .map_or(Decimal::ZERO, |pool| pool.quantity.get());
        let sum = before.checked_add(quantity).unwrap_or(Decimal::MAX);
        let quantity = Quantity::of(&meter, sum).map_err(|fault| UsageError::Quantity {
            path: meter.name().to_owned(),
            value: sum.to_string(),
            fault: QuantityFault::from(fault),
        })?;
        match present {
            Some(pool) => pool.quantity = quantity,
            None => {
                let pool = Pool {
                    meter,
                    quantity,
                    attributes,
                };
                pool.put_among(&mut self.0);
            }
        }
        Ok(())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_sorted(self) -> Vec<Pool> {
        self.0
    }
}

/// What is left of `total` without its parts. `path` is the total's, and only made to refuse.
pub(crate) fn rest(
    path: impl FnOnce() -> String,
    total: u64,
    parts: &[u64],
) -> Result<u64, UsageError> {
    let sum = sum(parts);
    total
        .checked_sub(sum)
        .ok_or_else(|| UsageError::DetailsExceedTotal {
            path: path(),
            total,
            parts: sum,
        })
}

/// The sum of counts, each of which is at most 10^15, so that no real sum saturates.
pub(crate) fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

/// One attribute.
pub(crate) fn attribute(name: &str, value: &str) -> Vec<Attribute> {
    vec![Attribute {
        name: name.into(),
        value: value.into(),
    }]
}
