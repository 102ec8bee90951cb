//! What each charge should come to, what it comes to by now, and so what is due.

use super::{Question, RepairFailure};
use crate::service::backtest::sums::Worth;
use crate::service::backtest::tally::{Miss, miss_of, rated, worth_of};
use crate::service::ledger::failure::ReadError;
use crate::service::ledger::past::{Corrected, Past, PastCharge};
use crate::service::ledger::write::Way;
use crate::service::policy::Priced;
use crate::service::rerate::{Control, Sink, Unrated};
use farebox_ledger::ids::{ChargeId, OrgId};
use farebox_pricing::money::Nanos;
use std::collections::HashMap;
use std::sync::mpsc::SyncSender;

/// A correction that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Whose.
    pub org: OrgId,
    /// Of which charge.
    pub charge: ChargeId,
    /// What had become of the charge before it.
    pub seen: Corrected,
    /// What is to be posted.
    pub steps: Steps,
    /// What the credits are.
    pub worth: Worth,
}

/// How a charge is brought to what it should come to. There are two steps where more goes back than
/// corrections took: the rest is of the charge itself.
pub type Steps = (Step, Option<Step>);

/// One correction: which way, and how much, above zero.
pub type Step = (Way, Nanos);

/// Corrections of one org.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Charges that are corrected.
    pub charges: u64,
    /// To the customer, in nano-credits.
    pub back_nanos: i128,
    /// From the customer, in nano-credits.
    pub taken_nanos: i128,
}

impl Owed {
    /// A step of one more charge, or (zero) of one that is counted already.
    pub fn add(&mut self, (way, amount): Step, charges: u64) {
        let amount = i128::from(amount.get());
        self.charges = self.charges.saturating_add(charges);
        match way {
            Way::Back | Way::Returned => self.back_nanos = self.back_nanos.saturating_add(amount),
            Way::Taken => self.taken_nanos = self.taken_nanos.saturating_add(amount),
        }
    }

    const fn merge(&mut self, other: Self) {
        self.charges = self.charges.saturating_add(other.charges);
        self.back_nanos = self.back_nanos.saturating_add(other.back_nanos);
        self.taken_nanos = self.taken_nanos.saturating_add(other.taken_nanos);
    }
}

/// Corrections by org and by what its credits are: one kind, whose peg may have changed between
/// charges. Grows with orgs.
#[derive(Debug, Default)]
pub struct ByOrg(pub HashMap<OrgId, Vec<(Worth, Owed)>>);

impl ByOrg {
    /// A step of a correction of one more charge, or (zero) of one that is counted already.
    pub fn add(&mut self, correction: &Correction, step: Step, charges: u64) {
        self.with(correction.org, correction.worth, |owed| {
            owed.add(step, charges);
        });
    }

    fn merge(&mut self, other: Self) {
        for (org, all) in other.0 {
            for (worth, owed) in all {
                self.with(org, worth, |known| known.merge(owed));
            }
        }
    }

    fn with(&mut self, org: OrgId, worth: Worth, change: impl FnOnce(&mut Owed)) {
        let all = self.0.entry(org).or_default();
        if let Some((_, owed)) = all.iter_mut().find(|(known, _)| *known == worth) {
            return change(owed);
        }
        let mut owed = Owed::default();
        change(&mut owed);
        all.push((worth, owed));
    }
}

/// All that is due.
#[derive(Debug, Default)]
pub struct Due {
    /// Charges that were looked at.
    pub charges: u64,
    /// Charges that have no price under the corrected release, by reason.
    pub missed: HashMap<Miss, u64>,
    /// When the last charge was posted.
    pub last_posted_ms: Option<i64>,
    /// What is due.
    pub orgs: ByOrg,
}

impl Due {
    /// Takes in what another thread found.
    pub fn merge(&mut self, other: Self) {
        self.charges = self.charges.saturating_add(other.charges);
        self.last_posted_ms = self.last_posted_ms.max(other.last_posted_ms);
        for (why, charges) in other.missed {
            let known = self.missed.entry(why).or_default();
            *known = known.saturating_add(charges);
        }
        self.orgs.merge(other.orgs);
    }
}

/// Finds what is due, and hands it on where it is to be posted.
pub struct Finder<'f> {
    past: &'f dyn Past,
    question: &'f Question,
    control: &'f Control,
    found: SyncSender<Correction>,
    due: Due,
    failed: Option<ReadError>,
}

impl<'f> Finder<'f> {
    /// Nothing found yet.
    pub fn new(
        past: &'f dyn Past,
        question: &'f Question,
        control: &'f Control,
        found: SyncSender<Correction>,
    ) -> Self {
        Self {
            past,
            question,
            control,
            found,
            due: Due::default(),
            failed: None,
        }
    }

    /// What was found. Nothing more is handed on.
    pub fn into_due(self) -> Result<Due, RepairFailure> {
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(self.due),
        }
    }
}

impl Sink for Finder<'_> {
    fn see(&mut self, charge: &PastCharge, again: Result<Priced, Unrated>) {
        self.due.charges = self.due.charges.saturating_add(1);
        let at_ms = Some(charge.posted_at_ms);
        self.due.last_posted_ms = self.due.last_posted_ms.max(at_ms);
        let should = match rated(charge, &again) {
            Ok(rated) => rated.price,
            Err(_) => {
                let (why, _) = miss_of(again.err());
                let charges = self.due.missed.entry(why).or_default();
                *charges = charges.saturating_add(1);
                return;
            }
        };
        let corrected = match self.past.corrected(charge.charge) {
            Ok(corrected) => corrected,
            Err(error) => {
                self.failed.get_or_insert(error);
                return self.control.stop();
            }
        };
        let Some(steps) = due(charge.pricing.price, should, corrected) else {
            return;
        };
        let correction = Correction {
            org: charge.org,
            charge: charge.charge,
            seen: corrected,
            steps,
            worth: worth_of(charge),
        };
        let (first, second) = steps;
        self.due.orgs.add(&correction, first, 1);
        if let Some(second) = second {
            self.due.orgs.add(&correction, second, 0);
        }
        if self.question.post && (first.0 != Way::Taken || self.question.debit) {
            // A poster that has ended says why by itself.
            let _ = self.found.send(correction);
        }
    }
}

/// What is due for a charge, from what it comes to by now.
///
/// What was refunded by hand counts as given back for this charge, and is never taken again: only
/// what corrections gave back may be. What goes back is first what corrections took, and then of the
/// charge itself. The two are always enough: what a charge comes to, less what was refunded by hand,
/// is what is left of both.
pub(crate) fn due(price: Nanos, should: Nanos, corrected: Corrected) -> Option<Steps> {
    let by_hand = corrected.refunded.checked_sub(corrected.given_back)?;
    let taken = corrected.taken.checked_sub(corrected.returned)?;
    let base = price
        .checked_sub(corrected.given_back)?
        .checked_add(taken)?;
    let Some(too_much) = base.checked_sub(should) else {
        return Some(((Way::Taken, should.checked_sub(base)?), None));
    };
    let back = too_much.checked_sub(by_hand)?;
    let returned = back.min(taken);
    let of_charge = back.checked_sub(returned)?;
    match (returned.is_zero(), of_charge.is_zero()) {
        (true, true) => None,
        (true, false) => Some(((Way::Back, of_charge), None)),
        (false, true) => Some(((Way::Returned, returned), None)),
        (false, false) => Some(((Way::Returned, returned), Some((Way::Back, of_charge)))),
    }
}

/// What has become of a charge after a step; absent beyond all amounts.
pub(crate) fn after(seen: Corrected, (way, amount): Step) -> Option<Corrected> {
    let mut after = seen;
    match way {
        Way::Back => {
            after.refunded = seen.refunded.checked_add(amount)?;
            after.given_back = seen.given_back.checked_add(amount)?;
        }
        Way::Returned => after.returned = seen.returned.checked_add(amount)?,
        Way::Taken => after.taken = seen.taken.checked_add(amount)?,
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(amount: i64) -> Nanos {
        Nanos::new(amount).unwrap()
    }

    #[test]
    fn what_is_due_is_what_is_missing_to_the_right_price_and_then_nothing() {
        let check = |price, should, [refunded, given_back, taken]: [i64; 3], expect| {
            let corrected = Corrected {
                refunded: nanos(refunded),
                given_back: nanos(given_back),
                taken: nanos(taken),
                returned: Nanos::ZERO,
            };
            let found = due(nanos(price), nanos(should), corrected);
            let found: Vec<_> = found
                .into_iter()
                .flat_map(|(first, second)| [Some(first), second])
                .flatten()
                .map(|(way, amount)| (way, amount.get()))
                .collect();
            assert_eq!(found, expect, "{price} {should} {corrected:?}");
        };
        check(10, 10, [0, 0, 0], [].as_slice());
        check(10, 7, [0, 0, 0], &[(Way::Back, 3)]);
        // The same again: nothing. Under a release that is lower or higher still: the rest.
        check(10, 7, [3, 3, 0], [].as_slice());
        check(10, 5, [3, 3, 0], &[(Way::Back, 2)]);
        check(10, 9, [3, 3, 0], &[(Way::Taken, 2)]);
        check(10, 13, [0, 0, 0], &[(Way::Taken, 3)]);
        check(10, 13, [0, 0, 3], [].as_slice());
        check(10, 12, [0, 0, 3], &[(Way::Returned, 1)]);
        // More than the charge itself: what was taken goes back too.
        check(1, 1, [0, 0, 100], &[(Way::Returned, 100)]);
        check(10, 4, [0, 0, 3], &[(Way::Returned, 3), (Way::Back, 6)]);
        check(25, 15, [20, 20, 20], &[(Way::Returned, 10)]);
        // What was refunded by hand is not given twice, nor taken again.
        check(10, 7, [2, 0, 0], &[(Way::Back, 1)]);
        check(10, 7, [10, 0, 0], [].as_slice());
        check(10, 10, [4, 0, 0], [].as_slice());
        check(10, 12, [4, 0, 0], &[(Way::Taken, 2)]);
    }
}
