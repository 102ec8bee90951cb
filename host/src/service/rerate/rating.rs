//! The charges of a part in batches: as many at once as the engine takes, those of one
//! release together.

use super::{Sink, Under, Unrated, Work};
use crate::service::ledger::past::PastCharge;
use crate::service::policy::{BATCH_MAX, PolicyError, ReleaseId};
use farebox_pricing::event::Facts;
use farebox_pricing::rating::COUNT_PREFIX;

impl Work<'_> {
    /// Rates a part, in any order of releases; the order of charges under one release stays.
    pub(super) fn rate_part(&self, mut charges: Vec<PastCharge>, sink: &mut impl Sink) {
        charges.retain(|charge| self.is_asked_for(charge));
        if self.task.under != Under::ItsOwn {
            for charge in &mut charges {
                without_counts(&mut charge.pricing.facts);
            }
        }
        let mut groups: Vec<(Option<ReleaseId>, Vec<&PastCharge>)> = Vec::new();
        for charge in &charges {
            let release = self.release_of(charge);
            match groups.iter_mut().find(|(known, _)| *known == release) {
                Some((_, group)) => group.push(charge),
                None => groups.push((release, vec![charge])),
            }
        }
        for (release, group) in groups {
            for batch in group.chunks(BATCH_MAX) {
                match release {
                    Some(release) => self.rate_batch(release, batch, sink),
                    // Written off: no release priced it, so none prices it again.
                    None => batch
                        .iter()
                        .for_each(|charge| sink.see(charge, Err(Unrated::WrittenOff))),
                }
            }
        }
    }

    fn release_of(&self, charge: &PastCharge) -> Option<ReleaseId> {
        match self.task.under {
            Under::Release(release) => charge.pricing.release.map(|_| release),
            Under::ItsOwn => charge.pricing.release,
        }
    }

    fn rate_batch(&self, release: ReleaseId, batch: &[&PastCharge], sink: &mut impl Sink) {
        let requests: Vec<_> = batch.iter().map(|charge| charge.request()).collect();
        let answers = self.when_there_is_room(
            || self.tools.engine.rate_batch(&release, &requests),
            |answers| answers.contains(&Err(PolicyError::Busy)),
        );
        let mut answers = answers.into_iter();
        for charge in batch {
            // An engine that answers too few has failed for the rest.
            let answer = answers.next().unwrap_or(Err(PolicyError::NotLoaded));
            sink.see(charge, answer.map_err(Unrated::Policy));
        }
    }
}

/// Puts aside what another release counted.
pub(super) fn without_counts(facts: &mut Facts) {
    facts
        .other
        .retain(|fact| !fact.name.starts_with(COUNT_PREFIX));
}
