//! A model while it is being imported: prices by service tier and context size.

use crate::amount::Amount;
use crate::text::{ContextText, ModelText, RateText, RegionText, TierText};
use farebox_pricing::exact;
use farebox_pricing::meter::Meter;
use indexmap::IndexMap;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// How a price is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Per {
    Million,
    Unit,
}

/// What is priced: a meter, perhaps with attributes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Priced {
    meter: Meter,
    attributes: Vec<(String, String)>,
    per: Per,
}

impl Priced {
    pub(super) fn new(meter: &str, per: Per) -> Option<Self> {
        Some(Self {
            meter: Meter::from_name(meter)?,
            attributes: Vec::new(),
            per,
        })
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self.attributes.sort_unstable();
        self
    }

    /// Whether tokens are counted that were read from a cache or written to it.
    pub(super) const fn is_cached(&self) -> bool {
        matches!(
            self.meter,
            Meter::CacheRead | Meter::CacheWrite5m | Meter::CacheWrite1h
        )
    }

    fn is_tokens(&self) -> bool {
        self.per == Per::Million && self.meter != Meter::Character
    }
}

/// Service tier and context size; absent: standard, from zero.
pub(super) type Cell = (Option<String>, Option<u64>);

/// The prices of one stretch of time, as amounts per million or per unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prices(pub(super) BTreeMap<Cell, BTreeMap<Priced, Amount>>);

impl Prices {
    /// Sets a price; `false` when there was one and it stays.
    pub(super) fn set(&mut self, cell: Cell, priced: Priced, amount: Amount) -> bool {
        let rates = self.0.entry(cell).or_default();
        let free = !rates.contains_key(&priced);
        if free {
            rates.insert(priced, amount);
        }
        free
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    pub(super) fn only_zeros(&self) -> bool {
        let mut amounts = self.0.values().flat_map(BTreeMap::values);
        amounts.all(|amount| amount.get().is_zero())
    }

    fn standard_contexts(&self) -> Vec<Option<u64>> {
        let standard = self.0.keys().filter(|(tier, _)| tier.is_none());
        standard.map(|(_, above)| *above).collect()
    }

    /// Whether both price alike what both have a price for.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.0.iter().all(|(cell, rates)| {
            let theirs = other.0.get(cell);
            let differs = |(priced, amount): (&Priced, &Amount)| {
                let their_amount = theirs.and_then(|theirs| theirs.get(priced));
                their_amount.is_some_and(|theirs| theirs != amount)
            };
            !rates.iter().any(differs)
        })
    }

    /// Takes the prices that only `other` has.
    pub(super) fn fill_from(&mut self, other: &Self) {
        for (cell, rates) in &other.0 {
            for (priced, amount) in rates {
                self.set(cell.clone(), priced.clone(), *amount);
            }
        }
    }

    /// Puts what a variant of the standard prices states beside them, as the tier `tier`. It
    /// replaces the prices that it states and keeps the rest: those of cached tokens are written
    /// down, because a tier's own prices would speak for them, and all of them where it states
    /// nothing.
    pub(super) fn put_variant(&mut self, tier: &str, variant: &Self) {
        let tier = Some(tier.to_owned());
        let states_nothing = variant.is_empty();
        for above in self.standard_contexts() {
            let standard = self.0.get(&(None, above)).cloned().unwrap_or_default();
            let stated = |priced: &Priced| {
                let cells = [(None, above), (None, None)];
                let mut cells = cells.iter().filter_map(|cell| variant.0.get(cell));
                cells.any(|rates| rates.contains_key(priced))
            };
            let kept = standard
                .into_iter()
                .filter(|(priced, _)| states_nothing || (priced.is_cached() && !stated(priced)));
            let kept: BTreeMap<Priced, Amount> = kept.collect();
            if !kept.is_empty() {
                self.0
                    .entry((tier.clone(), above))
                    .or_default()
                    .extend(kept);
            }
        }
        for ((_, above), rates) in &variant.0 {
            let cell = self.0.entry((tier.clone(), *above)).or_default();
            cell.extend(
                rates
                    .iter()
                    .map(|(priced, amount)| (priced.clone(), *amount)),
            );
        }
    }

    /// `factor` × the standard price for every kind of token that is `wanted` and that `tier`, if
    /// there is such a tier, has no price for.
    pub(super) fn derive_missing(
        &mut self,
        tier: &str,
        factor: Decimal,
        wanted: impl Fn(&Priced) -> bool,
    ) {
        let tier = Some(tier.to_owned());
        if !self.0.keys().any(|(name, _)| *name == tier) {
            return;
        }
        for above in self.standard_contexts() {
            let Some(standard) = self.0.get(&(None, above)).cloned() else {
                continue;
            };
            for (priced, amount) in standard {
                if let Ok(derived) = exact::mul(amount.get(), factor)
                    && priced.is_tokens()
                    && wanted(&priced)
                {
                    self.set((tier.clone(), above), priced, Amount::new(derived));
                }
            }
        }
    }

    /// `factor` × the price of `base` for tokens that `meter` counts, where they have no price.
    pub(super) fn derive(&mut self, meter: &Meter, base: &Meter, factor: Decimal) {
        let tokens = |meter: &Meter| Priced::new(meter.name(), Per::Million);
        let (Some(base), Some(missing)) = (tokens(base), tokens(meter)) else {
            return;
        };
        let cells: Vec<Cell> = self.0.keys().cloned().collect();
        for cell in cells {
            let usd = self.0.get(&cell).and_then(|rates| rates.get(&base));
            if let Some(derived) = usd.and_then(|usd| exact::mul(usd.get(), factor).ok()) {
                self.set(cell, missing.clone(), Amount::new(derived));
            }
        }
    }

    /// Adds the prices that `chosen` has for pools with this attribute.
    pub(super) fn choose(&mut self, name: &str, value: &str, chosen: &Self) {
        for (cell, rates) in &chosen.0 {
            for (priced, amount) in rates {
                self.set(cell.clone(), priced.clone().with(name, value), *amount);
            }
        }
    }

    /// Where `other` is dearer, its price.
    pub(super) fn raise_to(&mut self, other: &Self) {
        for (cell, rates) in &other.0 {
            let own = self.0.entry(cell.clone()).or_default();
            for (priced, amount) in rates {
                let price = own.entry(priced.clone()).or_insert(*amount);
                *price = (*price).max(*amount);
            }
        }
    }

    /// These prices with every token at `factor` times its price, and nothing else.
    pub(super) fn times(&self, factor: Decimal) -> Self {
        let cells = self.0.iter().map(|(cell, rates)| {
            let tokens = rates.iter().filter(|(priced, _)| priced.is_tokens());
            let scaled = tokens.filter_map(|(priced, amount)| {
                let product = exact::mul(amount.get(), factor).ok()?;
                Some((priced.clone(), Amount::new(product)))
            });
            (cell.clone(), scaled.collect())
        });
        Self(cells.collect())
    }

    /// A tier's price without a context size holds for every size of the standard tier too.
    pub(super) fn spread_tiers(&mut self) {
        let tiers: Vec<Option<String>> = self.0.keys().map(|(tier, _)| tier.clone()).collect();
        for tier in tiers.into_iter().filter(Option::is_some) {
            let Some(base) = self.0.get(&(tier.clone(), None)).cloned() else {
                continue;
            };
            for above in self.standard_contexts() {
                for (priced, amount) in &base {
                    self.set((tier.clone(), above), priced.clone(), *amount);
                }
            }
        }
    }

    pub(super) fn leaf(&self, tier: Option<&str>, above: Option<u64>) -> LeafText {
        let mut leaf = LeafText::default();
        let rates = self.0.get(&(tier.map(ToOwned::to_owned), above));
        for (priced, amount) in rates.into_iter().flatten() {
            let meter = priced.meter.name().to_owned();
            if priced.attributes.is_empty() {
                let map = match priced.per {
                    Per::Million => &mut leaf.per_million,
                    Per::Unit => &mut leaf.per_unit,
                };
                map.insert(meter, *amount);
            } else {
                leaf.rates.push(RateText {
                    meter,
                    attributes: priced.attributes.iter().cloned().collect(),
                    per_million: (priced.per == Per::Million).then_some(*amount),
                    per_unit: (priced.per == Per::Unit).then_some(*amount),
                });
            }
        }
        leaf
    }

    pub(super) fn contexts(&self, tier: Option<&str>) -> Vec<ContextText> {
        let cells = self.0.keys().filter(|(name, _)| name.as_deref() == tier);
        let sizes = cells.filter_map(|(_, above)| *above);
        sizes
            .map(|above| {
                let leaf = self.leaf(tier, Some(above));
                ContextText {
                    above,
                    per_million: leaf.per_million,
                    per_unit: leaf.per_unit,
                    rates: leaf.rates,
                }
            })
            .collect()
    }

    pub(super) fn tiers(&self) -> Vec<TierText> {
        let mut names: Vec<&str> = self
            .0
            .keys()
            .filter_map(|(tier, _)| tier.as_deref())
            .collect();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let leaf = self.leaf(Some(name), None);
                TierText {
                    name: name.to_owned(),
                    per_million: leaf.per_million,
                    per_unit: leaf.per_unit,
                    rates: leaf.rates,
                    context: self.contexts(Some(name)),
                }
            })
            .collect()
    }

    /// These prices as those of a region.
    pub(super) fn region(&self, name: &str) -> RegionText {
        let leaf = self.leaf(None, None);
        RegionText {
            name: name.to_owned(),
            factor: None,
            per_million: leaf.per_million,
            per_unit: leaf.per_unit,
            rates: leaf.rates,
            context: self.contexts(None),
            tiers: self.tiers(),
        }
    }

    /// These prices at the model itself.
    pub(super) fn put(&self, model: &mut ModelText) {
        let leaf = self.leaf(None, None);
        model.per_million = leaf.per_million;
        model.per_unit = leaf.per_unit;
        model.rates = leaf.rates;
        model.context = self.contexts(None);
        model.tiers = self.tiers();
    }
}

/// The three price fields of any level.
#[derive(Default)]
pub(super) struct LeafText {
    pub(super) per_million: IndexMap<String, Amount>,
    pub(super) per_unit: IndexMap<String, Amount>,
    pub(super) rates: Vec<RateText>,
}

/// `amount × 10^places`, exactly; `None` when it has too many digits.
pub(super) fn shifted(amount: Amount, places: i32) -> Option<Amount> {
    let value = amount.get().normalize();
    let scale = i32::try_from(value.scale()).ok()?.checked_sub(places)?;
    let shifted = match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(value.mantissa(), scale),
        Err(_) => {
            let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
            Decimal::try_from_i128_with_scale(value.mantissa().checked_mul(factor)?, 0)
        }
    };
    shifted.ok().map(Amount::new)
}
