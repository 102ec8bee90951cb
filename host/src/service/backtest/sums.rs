//! Sums of charges as they were and as they would be, in the ledger's own integers: whole
//! nano-credits, each rounded once as its charge was. US dollars are made of them at the end.
//!
//! Credits of two kinds, or of one kind at two pegs, are never added to each other.

use farebox_ledger::ids::CommodityId;
use farebox_pricing::exact::{self, ArithmeticError};
use farebox_pricing::money::{Nanos, Peg};
use rust_decimal::Decimal;

/// What credits are: which kind, and what one is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    /// Which kind.
    pub commodity: CommodityId,
    /// What one of them is worth in USD.
    pub peg: Peg,
}

/// A price and what the call costs the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The price.
    pub price: Nanos,
    /// The provider cost.
    pub cost: Nanos,
}

/// Sums of prices and costs, in nano-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Of prices.
    pub price_nanos: i128,
    /// Of costs.
    pub cost_nanos: i128,
}

impl Sum {
    // 2^63 charges of 2^63 nano-credits each still fit: these never saturate.
    fn add(&mut self, amounts: Amounts) {
        self.price_nanos = self
            .price_nanos
            .saturating_add(i128::from(amounts.price.get()));
        self.cost_nanos = self
            .cost_nanos
            .saturating_add(i128::from(amounts.cost.get()));
    }

    const fn merge(&mut self, other: Self) {
        self.price_nanos = self.price_nanos.saturating_add(other.price_nanos);
        self.cost_nanos = self.cost_nanos.saturating_add(other.cost_nanos);
    }
}

/// Charges, as they were and as they would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// As they were charged.
    pub charged: Sum,
    /// As the release rates them.
    pub rated: Sum,
}

/// Sums of a group of charges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many charges.
    pub charges: u64,
    /// By what their credits are: nearly always one kind.
    pub by_worth: Vec<(Worth, Compared)>,
}

impl Sums {
    /// The next charge.
    pub fn add(&mut self, worth: Worth, charged: Amounts, rated: Amounts) {
        self.charges = self.charges.saturating_add(1);
        self.with(worth, |sums| {
            sums.charged.add(charged);
            sums.rated.add(rated);
        });
    }

    /// The sums of other charges.
    pub fn merge(&mut self, other: &Self) {
        self.charges = self.charges.saturating_add(other.charges);
        for (worth, compared) in &other.by_worth {
            self.with(*worth, |sums| {
                sums.charged.merge(compared.charged);
                sums.rated.merge(compared.rated);
            });
        }
    }

    fn with(&mut self, worth: Worth, change: impl FnOnce(&mut Compared)) {
        let mut known = self.by_worth.iter_mut();
        if let Some((_, sums)) = known.find(|(known, _)| *known == worth) {
            return change(sums);
        }
        let mut sums = Compared::default();
        change(&mut sums);
        self.by_worth.push((worth, sums));
    }

    /// The same in USD.
    ///
    /// # Errors
    /// A sum passes 28 digits.
    pub fn usd(&self) -> Result<Usd, ArithmeticError> {
        let mut usd = Usd::default();
        for (worth, compared) in &self.by_worth {
            let add = |to: &mut Decimal, nanos: i128| -> Result<(), ArithmeticError> {
                *to = exact::add(*to, usd_of(nanos, *worth)?)?;
                Ok(())
            };
            add(&mut usd.charged.revenue, compared.charged.price_nanos)?;
            add(&mut usd.charged.cost, compared.charged.cost_nanos)?;
            add(&mut usd.rated.revenue, compared.rated.price_nanos)?;
            add(&mut usd.rated.cost, compared.rated.cost_nanos)?;
        }
        Ok(usd)
    }
}

/// Nano-credits of some worth in USD, exactly.
///
/// # Errors
/// The result passes 28 digits.
pub fn usd_of(nanos: i128, worth: Worth) -> Result<Decimal, ArithmeticError> {
    let credits = Decimal::try_from_i128_with_scale(nanos, 9)
        .map_err(|_| ArithmeticError::OutOfRange)?
        .normalize();
    exact::mul(credits, worth.peg.usd_per_credit())
}

/// Revenue and cost in USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// What customers pay.
    pub revenue: Decimal,
    /// What providers get.
    pub cost: Decimal,
}

/// Both sides in USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usd {
    /// As charged.
    pub charged: Money,
    /// As the release rates it.
    pub rated: Money,
}

impl Usd {
    /// How much more customers would pay; below zero: less.
    ///
    /// # Errors
    /// It passes 28 digits.
    pub fn change(&self) -> Result<Decimal, ArithmeticError> {
        exact::sub(self.rated.revenue, self.charged.revenue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(amount: i64) -> Nanos {
        Nanos::new(amount).unwrap()
    }

    #[test]
    fn credits_of_another_worth_are_apart_until_they_are_dollars() {
        let dime = Worth {
            commodity: CommodityId::new(1),
            peg: Peg::DEFAULT,
        };
        let dollar = Worth {
            commodity: CommodityId::new(2),
            peg: Peg::new(Decimal::ONE).unwrap(),
        };
        let amounts = |price, cost| Amounts {
            price: nanos(price),
            cost: nanos(cost),
        };
        let mut sums = Sums::default();
        sums.add(dime, amounts(5_000_000_000, 1), amounts(4_000_000_000, 1));
        sums.add(dollar, amounts(1, 0), amounts(3, 0));
        let mut more = Sums::default();
        more.add(dime, amounts(1, 0), amounts(0, 0));
        sums.merge(&more);
        assert_eq!(sums.charges, 3);
        let usd = sums.usd().unwrap();
        assert_eq!(usd.charged.revenue.to_string(), "0.5000000011");
        assert_eq!(usd.rated.revenue.to_string(), "0.400000003");
        assert_eq!(usd.change().unwrap().to_string(), "-0.0999999981");
    }
}
