//! What an import did: counts, and every cost field that has no place in our book, with its reason.

use std::collections::BTreeMap;
use std::fmt;

/// Why something of a source is not in the imported book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No price in the entry.
    NoPrice,
    /// Only prices of zero: free or unknown, the source does not say.
    OnlyZeros,
    /// The provider id or model name is not one.
    BadName,
    /// Not a number, or one that is not exact in 96 bits.
    BadNumber,
    /// A negative price.
    Negative,
    /// Another entry of the same provider has this name and other prices.
    NameTaken,
    /// The name, alias or prefix belongs to an entry before it.
    AliasTaken,
    /// Prices by time of day in a way our hours cannot say; the dearest hour's price holds all day.
    TimeOfDay,
    /// A price in another unit than USD beside the USD price.
    OtherCurrency,
    /// Says how a price is counted, not what it is.
    NotAPrice,
    /// A choice of the caller that is not a service tier.
    CallerChoice,
    /// The same thing has a price under another field, which is used.
    Superseded,
    /// A clause that cannot be said by names, aliases and prefixes.
    Clause,
    /// A standard-tier price that says the same as the model's own, or differs from it.
    StandardTier,
    /// Rounded up to 15 decimal places of a second: the source prices hours.
    RoundedUp,
    /// A field this importer does not know.
    UnknownField,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPrice => "the entry has no price",
            Self::OnlyZeros => {
                "every price is zero: free or unknown, the source does not say which"
            }
            Self::BadName => "not a well-formed provider or model name",
            Self::BadNumber => "not an exact decimal number",
            Self::Negative => "a negative price",
            Self::NameTaken => "an entry before it has the same name and other prices",
            Self::AliasTaken => "the name or prefix belongs to another model",
            Self::TimeOfDay => "prices by time of day: the dearest holds all day",
            Self::OtherCurrency => "not in USD; the USD price stands beside it",
            Self::NotAPrice => "says how a price is counted, not what it is",
            Self::CallerChoice => "depends on a choice of the caller that is not a service tier",
            Self::Superseded => "another field prices the same",
            Self::Clause => "a match that names, aliases and prefixes cannot say",
            Self::StandardTier => "the standard tier's prices stand at the model itself",
            Self::RoundedUp => "imported, rounded up to 15 decimal places per second",
            Self::UnknownField => "an unknown field",
        })
    }
}

/// Something of a source that is not, or not exactly, in the imported book.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The source's name of the entry.
    pub entry: String,
    /// The field or clause.
    pub field: String,
    /// Why.
    pub reason: Reason,
}

/// Two sources name different prices for one meter of a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// Canonical provider id.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The meter.
    pub meter: String,
    /// The price that is used, as the book writes it (per million or per unit).
    pub used: String,
    /// The other source's price.
    pub other: String,
}

/// Something that a source says of a model without a date and that dated prices of another source
/// do not have: calls of their time pay by the book's fallbacks, or are refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// Canonical provider id.
    pub provider: String,
    /// The model.
    pub model: String,
    /// From which day on those prices hold; absent: since ever.
    pub valid_from: Option<String>,
    /// What they do not have, such as ``tier `flex` ``.
    pub what: String,
}

/// A model that keeps the prices in use, because new ones jump too far; or a name that keeps its
/// model, because that of another is dearer or cheaper by as much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// `provider/model`, as it is accepted by.
    pub name: String,
    /// The model that the name would have come to mean, as `provider/model`.
    pub moved_to: Option<String>,
    /// The prices that jump.
    pub jumps: Vec<crate::diff::PriceChange>,
}

/// What an import read, imported and left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries of the source.
    pub entries: u64,
    /// Models in the imported book.
    pub models: u64,
    /// Imported prices by field of the source.
    pub imported: BTreeMap<String, u64>,
    /// Everything that is not imported as it stands.
    pub left_out: Vec<LeftOut>,
}

impl Report {
    pub(super) fn imported(&mut self, field: &str) {
        let count = self.imported.entry(field.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn left_out(&mut self, entry: &str, field: &str, reason: Reason) {
        self.left_out.push(LeftOut {
            entry: entry.to_owned(),
            field: field.to_owned(),
            reason,
        });
    }

    /// How often each field was left out for each reason, sorted.
    pub fn left_out_counts(&self) -> BTreeMap<(Reason, &str), u64> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for left_out in &self.left_out {
            let count = counts
                .entry((left_out.reason, left_out.field.as_str()))
                .or_default();
            *count = count.saturating_add(1);
        }
        counts
    }
}

impl fmt::Display for Report {
    /// One line a fact: for a terminal and for snapshots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries, {} models", self.entries, self.models)?;
        writeln!(f, "imported prices by field:")?;
        for (field, count) in &self.imported {
            writeln!(f, "  {field}: {count}")?;
        }
        writeln!(f, "left out:")?;
        for ((reason, field), count) in self.left_out_counts() {
            writeln!(f, "  {field}: {count} ({reason})")?;
        }
        Ok(())
    }
}
