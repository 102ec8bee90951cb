//! The rate card: what the asking org would pay, as the policy shows it.

use super::calls::{CallError, Labels};
use super::{Context, Service};
use farebox_pricing::card::{FeatureFloor, RateCardPage, RateCardRequest};
use farebox_pricing::event::KeySource;

/// What the org would pay.
#[derive(Clone, Debug)]
pub struct RateCard {
    /// Model by model.
    pub page: RateCardPage,
    /// What calls for features need and cost at least.
    pub floors: Vec<FeatureFloor>,
}

impl Service {
    /// A page of the org's rate card.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn rate_card(
        &self,
        context: &Context,
        request: &RateCardRequest,
        key_source: KeySource,
    ) -> Result<RateCard, CallError> {
        let org = self.known_org(context.org)?;
        let facts = self.facts(&org, key_source, &Labels::default(), self.clock.now_ms())?;
        let release = self.release_for(&org);
        Ok(RateCard {
            page: self.beside_others(&release, || {
                self.engine.rate_card(&release, request, &facts)
            })?,
            floors: self.engine.feature_floors(&release, &facts),
        })
    }
}
