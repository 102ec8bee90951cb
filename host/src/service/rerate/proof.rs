//! The proof of L10 over a whole ledger: each charge priced again from its receipt, under the release
//! that priced it, gives the same lines and amounts, to the last digit. What cannot be proved is
//! counted with what is missing for it.

use super::{Control, End, Sink, Task, Tools, Under, Unrated, run, threads};
use crate::service::ledger::failure::ReadError;
use crate::service::ledger::past::{Lines, PastCharge};
use crate::service::policy::{Fault, PolicyError, Priced};
use farebox_ledger::ids::{ChargeId, OrgId};
use std::collections::BTreeMap;

/// The most differences that are told one by one.
pub const DIFFERENCES_MAX: usize = 1_000;

/// A charge that its receipt does not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub charge: ChargeId,
    /// What differs, in words.
    pub what: String,
}

/// What was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Charges that were priced again and are the same.
    pub same: u64,
    /// Charges that were written off: no release priced them, and they come to nothing.
    pub written_off: u64,
    /// Charges that are not the same, the first of them.
    pub differences: Vec<Difference>,
    /// How many more.
    pub more: u64,
    /// Charges that could not be priced again, by the release that is missing for them, or too slow.
    pub missing: BTreeMap<String, u64>,
}

impl Proof {
    /// All charges that were looked at.
    pub fn charges(&self) -> u64 {
        let differ = u64::try_from(self.differences.len()).unwrap_or(u64::MAX);
        let missing = self.missing.values();
        [self.written_off, differ, self.more]
            .iter()
            .chain(missing)
            .fold(self.same, |sum, count| sum.saturating_add(*count))
    }

    /// Whether every charge was proved.
    pub fn is_whole(&self) -> bool {
        self.differences.is_empty() && self.missing.is_empty()
    }

    fn differs(&mut self, difference: Difference) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    fn merge(&mut self, other: Self) {
        self.same = self.same.saturating_add(other.same);
        self.written_off = self.written_off.saturating_add(other.written_off);
        self.more = self.more.saturating_add(other.more);
        for difference in other.differences {
            self.differs(difference);
        }
        for (release, charges) in other.missing {
            let known = self.missing.entry(release).or_default();
            *known = known.saturating_add(charges);
        }
    }
}

impl Sink for Proof {
    fn see(&mut self, charge: &PastCharge, again: Result<Priced, Unrated>) {
        let what = match (charge.pricing.release, again) {
            (None, _) => {
                self.written_off = self.written_off.saturating_add(1);
                let nothing = charge.pricing.price.is_zero() && charge.pricing.lines.is_empty();
                (!nothing).then(|| "no release priced it, and it is not nothing".to_owned())
            }
            // A machine that is too slow today says nothing of the receipt.
            (
                Some(release),
                Err(Unrated::Policy(PolicyError::NotLoaded | PolicyError::Fault(Fault::Time))),
            ) => {
                let charges = self.missing.entry(release.to_string()).or_default();
                *charges = charges.saturating_add(1);
                return;
            }
            (Some(_), Err(Unrated::Policy(error))) => {
                Some(format!("priced again, there is no price: {error}"))
            }
            (Some(_), Err(Unrated::WrittenOff | Unrated::Uncounted)) => {
                Some("it was not priced again".to_owned())
            }
            (Some(_), Ok(priced)) => difference(charge, &priced),
        };
        match what {
            Some(what) => self.differs(Difference {
                org: charge.org,
                charge: charge.charge,
                what,
            }),
            None if charge.pricing.release.is_some() => self.same = self.same.saturating_add(1),
            None => {}
        }
    }
}

fn difference(charge: &PastCharge, priced: &Priced) -> Option<String> {
    let was = &charge.pricing;
    if priced.price_usd != was.price_usd {
        return Some(format!("priced again, it is {} USD", priced.price_usd));
    }
    if priced.lines != was.lines {
        return Some("priced again, its lines differ".to_owned());
    }
    if priced.provider_cost_usd != was.provider_cost_usd {
        let cost = priced.provider_cost_usd;
        return Some(format!("its provider cost is {cost} USD now"));
    }
    if (priced.market_usd, priced.rounding, priced.below_cost)
        != (was.market_usd, was.rounding, was.below_cost)
    {
        return Some("its market rate, rounding or mark of a loss differs".to_owned());
    }
    let nanos = was.peg.to_nanos(priced.price_usd, priced.rounding);
    (nanos != Ok(was.price)).then(|| "its price in credits differs".to_owned())
}

/// Proves every charge. Releases that are loaded are those that can be proved.
///
/// # Errors
/// The past cannot be read.
pub fn prove(tools: Tools<'_>, control: &Control) -> Result<(Proof, End), ReadError> {
    let task = Task {
        posted_ms: i64::MIN..i64::MAX,
        under: Under::ItsOwn,
        priced_by: None,
        lines: Lines::Read,
    };
    let mut proofs: Vec<Proof> = Vec::new();
    proofs.resize_with(threads(tools.engine, task.under), Proof::default);
    let end = run(tools, &task, control, &mut proofs)?;
    let mut all = Proof::default();
    for proof in proofs {
        all.merge(proof);
    }
    all.differences.sort_by_key(|difference| difference.charge);
    Ok((all, end))
}
