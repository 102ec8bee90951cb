//! What changes between two books: models that come and go, names that come to mean another model,
//! and every price that differs, in percent.
//!
//! Books are compared as calls meet them from one moment on: at that moment, and at each later one
//! at which either has other prices. What ended before is no change. It must not know text.

mod names;
mod prices;

use farebox_pricing::book::Book;
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
    /// Names that mean another model in the second than they meant in the first: those of the first in
    /// order, then those of the second whose prices differ.
    pub moved: Vec<NameMove>,
}

/// A name that comes to mean another model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameMove {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The name, prefix or pattern.
    pub name: Box<str>,
    /// Which of these it was.
    pub kind: NameKind,
    /// The model that it meant.
    pub from: Box<str>,
    /// The model that it means now; absent: none, and calls by this name are refused.
    pub to: Option<Box<str>>,
    /// Every price that differs between the two.
    pub prices: Vec<PriceChange>,
}

/// How a name leads to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// Its own name.
    Name,
    /// An alias.
    Alias,
    /// A beginning of names.
    Prefix,
    /// A pattern of names.
    Pattern,
}

impl NameKind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Alias => "alias",
            Self::Prefix => "prefix",
            Self::Pattern => "pattern",
        }
    }
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

/// A price that differs, or a free allowance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// What has this price, such as ``flex tier, above 200000 tokens, `input` ``.
    pub what: Box<str>,
    /// What `before` and `after` count.
    pub of: Counted,
    /// Before; absent: there was none.
    pub before: Option<Decimal>,
    /// After; absent: there is none.
    pub after: Option<Decimal>,
}

/// What a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// USD per unit.
    Usd,
    /// Free units of an allowance.
    Units,
}

impl PriceChange {
    /// The change in percent of what was before, to two places; `None` where there was nothing
    /// before, or zero, or there is nothing after.
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
        let shown = |value: Option<Decimal>| match (value, self.of) {
            (None, _) => "nothing".to_owned(),
            (Some(usd), Counted::Usd) => format!("${usd}"),
            (Some(units), Counted::Units) => format!("{units} free"),
        };
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

/// What changes from `before` to `after`, for calls from `from_ms` on (milliseconds since the Unix
/// epoch).
pub fn diff(before: &Book, after: &Book, from_ms: i64) -> Diff {
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
        moved: names::moved(before, after, from_ms),
    };
    for (key, at) in &old {
        let pair = new
            .get(key)
            .and_then(|other| Some((before.models.get(*at)?, after.models.get(*other)?)));
        let Some((old, new)) = pair else { continue };
        let prices = prices::changes(old, new, from_ms);
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
