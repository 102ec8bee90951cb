//! What one thread finds: sums by group, losses, and what has no price. Memory grows with groups,
//! which are bounded, and with orgs; never with charges.

use super::sums::{Amounts, Sums, Worth};
use crate::service::ledger::past::PastCharge;
use crate::service::policy::{PolicyError, Priced, ReleaseId};
use crate::service::rerate::{Sink, Unrated};
use farebox_ledger::ids::OrgId;
use farebox_pricing::answer::Refusal;
use farebox_pricing::exact::ArithmeticError;
use farebox_pricing::money::Nanos;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// The most groups of a kind, orgs apart; what comes later is summed as the rest. Labels are texts
/// of callers: there could be as many as charges.
pub const GROUPS_MAX: usize = 10_000;

/// The most reasons for which there is no price.
pub const REASONS_MAX: usize = 1_000;

/// Sums by some key.
#[derive(Debug)]
pub struct Groups<K> {
    /// Each group.
    known: Vec<(K, Sums)>,
    /// Where in it.
    places: HashMap<K, usize>,
    /// The one of the charge before: often it is the next one's too.
    last: usize,
    /// All groups beyond the most.
    pub rest: Sums,
}

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            places: HashMap::new(),
            last: 0,
            rest: Sums::default(),
        }
    }
}

impl<K: Eq + Hash + Clone> Groups<K> {
    /// Each group.
    pub fn known(&self) -> &[(K, Sums)] {
        &self.known
    }

    /// The sums of a group that is `made` of the key when it is the first of its kind; of the rest,
    /// where there are `most` others.
    fn of<Q>(&mut self, key: &Q, most: usize, made: impl FnOnce() -> K) -> &mut Sums
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let last = self.known.get(self.last);
        if last.is_none_or(|(last, _)| last.borrow() != key) {
            self.last = match self.places.get(key) {
                Some(place) => *place,
                None if self.known.len() < most => {
                    let (made, place) = (made(), self.known.len());
                    self.known.push((made.clone(), Sums::default()));
                    self.places.insert(made, place);
                    place
                }
                None => return &mut self.rest,
            };
        }
        match self.known.get_mut(self.last) {
            Some((_, sums)) => sums,
            None => &mut self.rest,
        }
    }

    fn merge(&mut self, other: Self) {
        for (key, sums) in other.known {
            self.of(&key, usize::MAX, || key.clone()).merge(&sums);
        }
        self.rest.merge(&other.rest);
    }
}

/// Why a charge has no price under the release.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// The policy refuses it, for this reason.
    Refused(RefusalKey),
    /// The policy breaks its contract: a stable word.
    Fault(&'static str),
    /// The price does not fit credits.
    OutOfRange,
    /// It was written off: no release priced it, so there is nothing to compare with.
    WrittenOff,
    /// The engine has no room or no such release, or what was counted is not known.
    Unavailable(&'static str),
    /// More reasons than are kept.
    Others,
}

/// A refusal without what differs from call to call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKey {
    /// The provider and the model.
    UnknownModel(Box<str>, Box<str>),
    /// The model and the meter.
    NotPriced(Box<str>, Box<str>),
    /// The rule.
    NotAllowed(Box<str>),
    /// A quantity or result is out of range.
    OutOfRange,
}

impl From<Refusal> for RefusalKey {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownModel { provider, model } => Self::UnknownModel(provider, model),
            Refusal::NotPriced { model, meter } => Self::NotPriced(model, meter),
            Refusal::NotAllowed { rule } => Self::NotAllowed(rule),
            Refusal::OutOfRange { .. } => Self::OutOfRange,
        }
    }
}

/// Charges that have no price, for one reason.
#[derive(Clone, Debug, Default)]
pub struct Missed {
    /// What they were charged.
    pub charged: Sums,
    /// The first one's fault or refusal, in words.
    pub example: Option<Box<str>>,
}

/// What a thread found.
#[derive(Debug, Default)]
pub struct Tally {
    /// All that has a price.
    pub total: Sums,
    /// By org.
    pub orgs: Groups<OrgId>,
    /// By feature.
    pub features: Groups<Box<str>>,
    /// By `provider/model`.
    pub models: Groups<Box<str>>,
    /// By plan.
    pub plans: Groups<Box<str>>,
    /// By the release that priced it.
    pub releases: Groups<ReleaseId>,
    /// What would be sold below cost, as the release declares that it may.
    pub declared_losses: Sums,
    /// What has no price.
    pub missed: HashMap<Miss, Missed>,
    /// When the first and the last were posted.
    pub posted_ms: Option<(i64, i64)>,
    /// A text that is written again and again.
    scratch: String,
}

impl Sink for Tally {
    fn see(&mut self, charge: &PastCharge, again: Result<Priced, Unrated>) {
        let at_ms = charge.posted_at_ms;
        let (first, last) = self.posted_ms.unwrap_or((at_ms, at_ms));
        self.posted_ms = Some((first.min(at_ms), last.max(at_ms)));
        match rated(charge, &again) {
            Ok(rated) => self.compare(charge, rated, again.is_ok_and(|priced| priced.below_cost)),
            Err(_) => self.miss(charge, again.err()),
        }
    }
}

/// The price and cost in the credits of the receipt: the one rounding of a charge, as charging does
/// it.
pub fn rated(
    charge: &PastCharge,
    again: &Result<Priced, Unrated>,
) -> Result<Amounts, ArithmeticError> {
    let priced = again.as_ref().map_err(|_| ArithmeticError::OutOfRange)?;
    let nanos = |usd| -> Result<Nanos, ArithmeticError> {
        charge.pricing.peg.to_nanos(usd, priced.rounding)
    };
    Ok(Amounts {
        price: nanos(priced.price_usd)?,
        cost: nanos(priced.provider_cost_usd)?,
    })
}

/// What the credits of a charge are.
pub const fn worth_of(charge: &PastCharge) -> Worth {
    Worth {
        commodity: charge.pricing.commodity,
        peg: charge.pricing.peg,
    }
}

/// Why a charge has no price, and the first words about it; absent: the price does not fit.
pub fn miss_of(error: Option<Unrated>) -> (Miss, Option<String>) {
    let error = match error {
        None => return (Miss::OutOfRange, None),
        Some(Unrated::WrittenOff) => return (Miss::WrittenOff, None),
        Some(Unrated::Uncounted) => return (Miss::Unavailable("uncounted"), None),
        Some(Unrated::Policy(error)) => error,
    };
    match error {
        PolicyError::Refused(refusal) => {
            let example = refusal.to_string();
            (Miss::Refused(refusal.into()), Some(example))
        }
        PolicyError::Fault(fault) => (Miss::Fault(fault.word()), Some(fault.to_string())),
        PolicyError::NotLoaded => (Miss::Unavailable("not_loaded"), None),
        PolicyError::Paused => (Miss::Unavailable("paused"), None),
        PolicyError::Busy => (Miss::Unavailable("busy"), None),
    }
}

const fn charged(charge: &PastCharge) -> (Worth, Amounts) {
    let pricing = &charge.pricing;
    let worth = worth_of(charge);
    let amounts = Amounts {
        price: pricing.price,
        cost: pricing.cost,
    };
    (worth, amounts)
}

impl Tally {
    fn compare(&mut self, charge: &PastCharge, rated: Amounts, declared_loss: bool) {
        let (worth, was) = charged(charge);
        let event = &charge.event;
        self.scratch.clear();
        self.scratch.push_str(&event.provider);
        self.scratch.push('/');
        self.scratch.push_str(event.model().unwrap_or_default());
        let add = |sums: &mut Sums| sums.add(worth, was, rated);
        add(&mut self.total);
        add(self.orgs.of(&charge.org, usize::MAX, || charge.org));
        let text = |groups: &mut Groups<Box<str>>, text: &str| {
            add(groups.of(text, GROUPS_MAX, || text.into()));
        };
        // An empty text stands for none.
        text(
            &mut self.features,
            event.feature.as_deref().unwrap_or_default(),
        );
        text(&mut self.models, &self.scratch);
        let plan = charge.pricing.facts.plan.as_deref();
        text(&mut self.plans, plan.unwrap_or_default());
        if let Some(release) = charge.pricing.release {
            add(self.releases.of(&release, usize::MAX, || release));
        }
        if declared_loss {
            add(&mut self.declared_losses);
        }
    }

    fn miss(&mut self, charge: &PastCharge, error: Option<Unrated>) {
        let (why, example) = miss_of(error);
        let known = self.missed.contains_key(&why) || self.missed.len() < REASONS_MAX;
        let missed = match known {
            true => self.missed.entry(why).or_default(),
            false => self.missed.entry(Miss::Others).or_default(),
        };
        let (worth, was) = charged(charge);
        missed.charged.add(worth, was, Amounts::default());
        if missed.example.is_none() {
            missed.example = example.map(Into::into);
        }
    }

    /// Takes in what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.total.merge(&other.total);
        self.orgs.merge(other.orgs);
        self.features.merge(other.features);
        self.models.merge(other.models);
        self.plans.merge(other.plans);
        self.releases.merge(other.releases);
        self.declared_losses.merge(&other.declared_losses);
        for (why, missed) in other.missed {
            let known = self.missed.entry(why).or_default();
            known.charged.merge(&missed.charged);
            known.example = known.example.take().or(missed.example);
        }
        self.posted_ms = match (self.posted_ms, other.posted_ms) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}
