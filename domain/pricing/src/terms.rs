//! The terms of sale in plain types: which calls a rule is for, and what such calls pay.
//!
//! One model for every way of billing. A call's pools are priced by a **sheet** (the provider's
//! list, the operator's own costs, or a selling price list), times a **factor**; then free
//! quotas, volume steps, the rounding step, the minimum, the maximum and, last, the **floor** are
//! applied in this order. Each is a list of rules with a [`Scope`]; which of them holds is looked
//! up, never computed. [`crate::rating`] interprets them; nothing here decides anything.
//!
//! It must not know bytes, text formats or the ledger. What a rule needs to know of the past (how
//! much was used this month) the host counts and vouches for ([`Counter`]).

use crate::event::{Deployment, KeySource};
use crate::meter::Meter;
use rust_decimal::Decimal;

/// Which calls a rule is for. An absent field matches every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Where this Farebox runs.
    pub deployment: Option<Deployment>,
    /// Whose provider key serves the call.
    pub key_source: Option<KeySource>,
    /// The customer's plan.
    pub plan: Option<Box<str>>,
    /// What the call is for.
    pub feature: Option<Box<str>>,
    /// What few rules ask; apart, so that the others do not pay for it.
    pub narrowing: Option<Box<Narrowing>>,
}

/// What narrows a scope further. At least one field says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The customer.
    pub org: Option<Box<str>>,
    /// The call's model is one of these; empty: any, or none.
    pub models: Vec<ModelPattern>,
    /// From this moment on, milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Before this moment, milliseconds since the Unix epoch.
    pub until_ms: Option<i64>,
    /// Minutes of the UTC day, from the first until before the second; past midnight where the
    /// second is smaller.
    pub minutes: Option<(u16, u16)>,
}

/// Some models, as `openai/gpt-4o*` or `*/llama-3` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern {
    /// Canonical provider id; absent: any.
    pub provider: Option<Box<str>>,
    /// The model's name.
    pub model: ModelName,
}

/// Which names of models a pattern means: the book's own name of the model, the name served, or
/// the name asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// Every name.
    Any,
    /// This name.
    Is(Box<str>),
    /// Names that begin so.
    Begins(Box<str>),
}

/// Who pays what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRule {
    /// The rule's name, as lines show it: `plan:pro`, `feature:lead_enrichment`, `default`.
    pub name: Box<str>,
    /// Which calls it is for.
    pub scope: Scope,
    /// What they pay.
    pub charge: Charge,
    /// Whether it may sell below provider cost.
    pub loss_leader: bool,
}

/// What a call pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Provider cost × `markup` (1.25 adds 25 %), at least 1 unless a loss-leader is declared.
    CostPlus {
        /// The factor on provider cost.
        markup: Decimal,
    },
    /// A fee only: the customer pays the provider with a key of their own.
    PlatformFee {
        /// USD per call.
        fixed_usd: Decimal,
        /// Share of the market rate, 0.05 for 5 %.
        share_of_market: Decimal,
    },
    /// Such calls are refused.
    NotAllowed,
    /// The prices of a sheet × `share`, whatever the call costs; never below that.
    Listed {
        /// Number of the sheet in [`Sale::sheets`]; absent: the providers' list (market rates).
        sheet: Option<u16>,
        /// The factor on the sheet: 0.85 takes 15 % off.
        share: Decimal,
    },
    /// Used and recorded, never billed. Declares by itself that it may cost more than it brings.
    Free,
}

/// "A call in this scope costs at least `usd`."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// The rule's name, as lines show it.
    pub name: Box<str>,
    /// Which calls it is for.
    pub scope: Scope,
    /// The least such a call is charged, in USD.
    pub usd: Decimal,
}

/// The most that a call on the customer's own key may be charged, whatever its lines are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeeCap {
    /// USD per call.
    pub fixed_usd: Decimal,
    /// Plus this share of the market rate.
    pub share_of_market: Decimal,
}

/// Terms beyond markups and minimums. Empty lists are rules that nobody made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sale {
    /// What the operator really pays, where it is not the list price. The first entry that
    /// matches a model decides.
    pub costs: Vec<SheetEntry>,
    /// Selling prices, sorted by name.
    pub sheets: Vec<Sheet>,
    /// Which models may be called; the first scope that matches decides.
    pub access: Vec<Access>,
    /// Free units per period; for each meter the first that matches.
    pub free_quotas: Vec<FreeQuota>,
    /// Prices by consumption; the first that matches.
    pub volumes: Vec<Volume>,
    /// The most a call, a day or a month may cost; the lowest that matches.
    pub maximums: Vec<Maximum>,
    /// The least that a *quote* may say; the highest that matches. The charge is not lifted.
    pub preflights: Vec<Minimum>,
    /// Charges are whole multiples of this, in USD, rounded as the book rounds.
    pub step_usd: Option<Decimal>,
}

impl Sale {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a price depends on what was used before.
    pub fn counts(&self) -> bool {
        self.counters().next().is_some()
    }

    /// What the host must count for these terms.
    pub fn counters(&self) -> impl Iterator<Item = Counter<'_>> {
        let free_quotas = self.free_quotas.iter().map(|free| (&free.name, free.per));
        let volumes = self.volumes.iter().map(|volume| (&volume.name, Per::Month));
        let maximums = self.maximums.iter().map(|most| (&most.name, most.per));
        free_quotas
            .chain(volumes)
            .chain(maximums)
            .filter(|(_, per)| *per != Per::Call)
            .map(|(name, per)| Counter { name, per })
    }
}

/// What the host counts for one rule: how much of it each org has used in the present period. It
/// comes back as the fact `count:` + name, as a decimal in plain notation; absent means 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter<'b> {
    /// The rule's name.
    pub name: &'b str,
    /// When it begins again at 0.
    pub per: Per,
}

/// How long something is counted. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// One call.
    Call,
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

/// Prices by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The operator's name for it.
    pub name: Box<str>,
    /// The first entry that matches a model decides; a model without one has list prices.
    pub entries: Vec<SheetEntry>,
}

/// What units of some models are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetEntry {
    /// The models; never empty.
    pub models: Vec<ModelPattern>,
    /// The factor on the list price of every meter without a price below.
    pub factor: Decimal,
    /// USD per single unit, whatever the list says; sorted by meter.
    pub prices: Vec<(Meter, Decimal)>,
}

/// "Calls in this scope may use these models."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The rule's name, as refusals show it.
    pub name: Box<str>,
    /// Which calls it is for.
    pub scope: Scope,
    /// The models that are allowed; calls without a model always are.
    pub models: Vec<ModelPattern>,
}

/// "The first `quantity` units of `meter` in each period are free."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeQuota {
    /// The rule's name, and its counter's.
    pub name: Box<str>,
    /// Which calls it is for, and which are counted.
    pub scope: Scope,
    /// What is free.
    pub meter: Meter,
    /// How many units.
    pub quantity: Decimal,
    /// In what time: a day or a month.
    pub per: Per,
    /// Whether the free units may be given below cost.
    pub loss_leader: bool,
}

/// Prices that change with what an org has consumed this month, in USD before this rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The rule's name, and its counter's.
    pub name: Box<str>,
    /// Which calls it is for, and which are counted.
    pub scope: Scope,
    /// Whether the step that is reached holds for the whole call (`true`), or each part of the
    /// call has the price of the step it falls in (`false`, graduated).
    pub whole: bool,
    /// Sorted by `above_usd`, not empty. Below the first the factor is 1.
    pub steps: Vec<VolumeStep>,
    /// Whether the discount may go below cost.
    pub loss_leader: bool,
}

/// One step of a [`Volume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeStep {
    /// Consumption strictly above this many USD a month, above 0.
    pub above_usd: Decimal,
    /// What it is charged, as a factor: 0.9 takes 10 % off.
    pub factor: Decimal,
}

/// "Calls in this scope cost at most `usd`", each or together in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maximum {
    /// The rule's name, and its counter's.
    pub name: Box<str>,
    /// Which calls it is for, and which are counted.
    pub scope: Scope,
    /// The most, in USD.
    pub usd: Decimal,
    /// A call, a day or a month.
    pub per: Per,
    /// Whether it may cut below cost.
    pub loss_leader: bool,
}
