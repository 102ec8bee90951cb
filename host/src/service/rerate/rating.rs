//! The charges of a part in batches: as many in one call of the policy as it takes, those of one
//! release together.

use super::{Sink, Under, Unrated, Work};
use crate::service::ledger::past::PastCharge;
use crate::service::policy::{BATCH_MAX, PolicyError, ReleaseId};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::rating::COUNT_PREFIX;

impl Work<'_> {
    /// Rates a part, in any order of releases; the order of charges under one release stays.
    pub(super) fn rate_part(&self, charges: Vec<PastCharge>, sink: &mut impl Sink) {
        let mut groups: Vec<(Option<ReleaseId>, Vec<PastCharge>)> = Vec::new();
        for charge in charges {
            if !self.is_asked_for(&charge) {
                continue;
            }
            let release = self.release_of(&charge);
            match groups.iter_mut().find(|(known, _)| *known == release) {
                Some((_, group)) => group.push(charge),
                None => groups.push((release, vec![charge])),
            }
        }
        for (release, mut group) in groups {
            for batch in group.chunks_mut(BATCH_MAX) {
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

    fn rate_batch(&self, release: ReleaseId, batch: &mut [PastCharge], sink: &mut impl Sink) {
        let foreign = self.task.under != Under::ItsOwn;
        let questions: Vec<(UsageEvent, Facts)> = batch
            .iter_mut()
            .map(|charge| {
                if foreign {
                    without_counts(&mut charge.pricing.facts);
                }
                // Taken for the call and given back after it: texts are not copied.
                let event = std::mem::replace(&mut charge.event, nothing());
                let facts = std::mem::replace(&mut charge.pricing.facts, no_facts());
                (event, facts)
            })
            .collect();
        let answers = self.when_there_is_room(
            || self.tools.engine.rate_batch(&release, &questions),
            |answers| answers.contains(&Err(PolicyError::Busy)),
        );
        let mut answers = answers.into_iter();
        for (charge, (event, facts)) in batch.iter_mut().zip(questions) {
            charge.event = event;
            charge.pricing.facts = facts;
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

fn nothing() -> UsageEvent {
    UsageEvent {
        provider: Box::default(),
        model_asked: None,
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: Vec::new(),
        provider_cost_usd: None,
    }
}

const fn no_facts() -> Facts {
    Facts::new(Deployment::Hosted, KeySource::Managed, 0)
}
