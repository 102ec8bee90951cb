//! What changes between two books: models that come and go, and every price that differs, in
//! percent.
//!
//! Books are compared as a call at one moment meets them, so a dated price that does not hold then
//! is no change. It must not know text.

use farebox_pricing::book::{Book, Model, Rate, RateTable};
use farebox_pricing::meter::Meter;
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::BTreeMap;
use std::fmt;

/// What changes from one book to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Models that only the second has, as (provider, name).
    pub added: Vec<(Box<str>, Box<str>)>,
    /// Models that only the first has.
    pub removed: Vec<(Box<str>, Box<str>)>,
    /// Models whose prices differ, in order.
    pub changed: Vec<ModelChange>,
}

/// A model whose prices differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelChange {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// Every price that differs, in the order of the book.
    pub prices: Vec<PriceChange>,
}

/// A price that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// What has this price, such as ``flex tier, above 200000 tokens, `input` ``.
    pub what: Box<str>,
    /// USD per unit before; absent: there was none.
    pub before: Option<Decimal>,
    /// USD per unit after; absent: there is none.
    pub after: Option<Decimal>,
}

impl PriceChange {
    /// The change in percent of the price before, to two places; `None` where there was no price
    /// before, or a price of zero, or there is none after.
    pub fn percent(&self) -> Option<Decimal> {
        let (before, after) = (self.before?, self.after?);
        let change = after.checked_sub(before)?.checked_div(before)?;
        let percent = change.checked_mul(Decimal::ONE_HUNDRED)?;
        let places = RoundingStrategy::MidpointNearestEven;
        Some(percent.round_dp_with_strategy(2, places).normalize())
    }

    /// Whether the price changes by more than this many percent, up or down. From or to nothing
    /// (or zero) is more than any.
    pub fn is_beyond(&self, percent_max: Decimal) -> bool {
        self.percent()
            .is_none_or(|percent| percent.abs() > percent_max)
    }
}

impl fmt::Display for PriceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |usd: Option<Decimal>| usd.map_or_else(|| "nothing".into(), |usd| format!("${usd}"));
        write!(
            f,
            "{}: {} → {}",
            self.what,
            shown(self.before),
            shown(self.after)
        )?;
        match self.percent() {
            Some(percent) if percent.is_sign_positive() => write!(f, " (+{percent} %)"),
            Some(percent) => write!(f, " ({percent} %)"),
            None => Ok(()),
        }
    }
}

/// What changes from `before` to `after`, for calls at `at_ms` (milliseconds since the Unix
/// epoch).
pub fn diff(before: &Book, after: &Book, at_ms: i64) -> Diff {
    let by_name = |book: &'_ Book| -> BTreeMap<(Box<str>, Box<str>), usize> {
        let models = book.models.iter().enumerate();
        models
            .map(|(at, model)| ((model.provider.clone(), Box::from(&*model.name)), at))
            .collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let missing = |from: &BTreeMap<_, usize>, of: &BTreeMap<(Box<str>, Box<str>), usize>| {
        let keys = of.keys().filter(|key| !from.contains_key(*key));
        keys.cloned().collect()
    };
    let mut found = Diff {
        added: missing(&old, &new),
        removed: missing(&new, &old),
        changed: Vec::new(),
    };
    for (key, at) in &old {
        let pair = new
            .get(key)
            .and_then(|other| Some((before.models.get(*at)?, after.models.get(*other)?)));
        let Some((old, new)) = pair else { continue };
        let prices = changes(old, new, at_ms);
        if !prices.is_empty() {
            found.changed.push(ModelChange {
                provider: key.0.clone(),
                model: key.1.clone(),
                prices,
            });
        }
    }
    found
}

type Key = (String, Meter, Vec<farebox_pricing::meter::Attribute>);

fn changes(old: &Model, new: &Model, at_ms: i64) -> Vec<PriceChange> {
    let (old, new) = (prices(old, at_ms), prices(new, at_ms));
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let pairs = keys
        .into_iter()
        .map(|key| (key, old.get(key).copied(), new.get(key).copied()));
    pairs
        .filter(|(_, before, after)| before != after)
        .map(|(key, before, after)| PriceChange {
            what: described(key).into(),
            before,
            after,
        })
        .collect()
}

fn prices(model: &Model, at_ms: i64) -> BTreeMap<Key, Decimal> {
    let period = model.period_at(at_ms, i64::MAX);
    let tables = period.into_iter().flat_map(|period| &period.tables);
    let rates = tables.flat_map(|table| table.rates.iter().map(move |rate| (table, rate)));
    rates
        .map(|(table, rate): (&RateTable, &Rate)| {
            let key = (place(table), rate.meter.clone(), rate.attributes.clone());
            (key, rate.usd.normalize())
        })
        .collect()
}

fn place(table: &RateTable) -> String {
    let mut place = String::new();
    if let Some(tier) = &table.service_tier {
        place.push_str(&format!("{tier} tier, "));
    }
    if let Some(region) = &table.region {
        place.push_str(&format!("region {region}, "));
    }
    if let Some(above) = table.context_above {
        place.push_str(&format!("above {above} tokens, "));
    }
    if let Some(hours) = &table.hours {
        place.push_str(&format!("{} hours, ", hours.name));
    }
    place
}

fn described((place, meter, attributes): &Key) -> String {
    let mut text = format!("{place}`{}`", meter.name());
    for attribute in attributes {
        text.push_str(&format!(" {}={}", attribute.name, attribute.value));
    }
    text
}
