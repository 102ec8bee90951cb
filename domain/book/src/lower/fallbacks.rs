//! What supplies a rate that a table lacks: the meter and tier fallbacks of a book.

use super::Problems;
use super::values::{any_meter, check_name, check_tier, positive};
use crate::amount::Amount;
use crate::document::Path;
use crate::text::BookText;
use farebox_pricing::book::{MeterFallback, TierFallback};
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;

/// The fallbacks of a book that lists none: a rate that a provider does not list apart is that of
/// the meter it is a part of.
const STANDARD_FALLBACKS: [(Option<&str>, Meter, Meter); 10] = [
    // A discount for cached tokens that a batch's prices do not state is not assumed: the standard
    // one may be below it.
    (Some("batch"), Meter::CacheRead, Meter::Input),
    (None, Meter::CacheRead, Meter::Input),
    (None, Meter::CacheWrite5m, Meter::Input),
    (None, Meter::CacheWrite1h, Meter::CacheWrite5m),
    (None, Meter::CacheWrite1h, Meter::Input),
    (None, Meter::Reasoning, Meter::Output),
    (None, Meter::InputAudio, Meter::Input),
    (None, Meter::OutputAudio, Meter::Output),
    (None, Meter::InputImage, Meter::Input),
    (None, Meter::InputVideo, Meter::Input),
];

const ROOT: Path<'static> = Path::Root;

/// The declared meter fallbacks, or the standard ones.
pub(super) fn meter_fallbacks(text: &BookText, problems: &mut Problems<'_>) -> Vec<MeterFallback> {
    let Some(texts) = &text.meter_fallbacks else {
        let standard = STANDARD_FALLBACKS
            .into_iter()
            .map(|(service_tier, meter, base)| MeterFallback {
                service_tier: service_tier.map(Into::into),
                meter,
                base,
                factor: Decimal::ONE,
                name: None,
            });
        return standard.collect();
    };
    let list = ROOT.field("meter_fallbacks");
    let mut fallbacks = Vec::with_capacity(texts.len());
    for (number, fallback) in texts.iter().enumerate() {
        let path = list.index(number);
        let meter = any_meter(&fallback.meter, &path.field("meter"), problems);
        let base = any_meter(&fallback.base, &path.field("base"), problems);
        let factor = fallback.factor.unwrap_or(Amount::new(Decimal::ONE));
        let factor = positive(factor, &path.field("factor"), problems);
        if let Some(tier) = &fallback.service_tier {
            check_tier(tier, &path.field("service_tier"), problems);
        }
        if let Some(name) = &fallback.name {
            check_name(name, &path.field("name"), problems);
        }
        if let (Some(meter), Some(base)) = (meter, base) {
            fallbacks.push(MeterFallback {
                service_tier: fallback.service_tier.as_deref().map(Into::into),
                meter,
                base,
                factor,
                name: fallback.name.as_deref().map(Into::into),
            });
        }
    }
    fallbacks
}

/// The tiers that have a price at every model.
pub(super) fn tier_fallbacks(text: &BookText, problems: &mut Problems<'_>) -> Vec<TierFallback> {
    let list = ROOT.field("tier_fallbacks");
    let mut fallbacks = Vec::with_capacity(text.tier_fallbacks.len());
    for (tier, factor) in &text.tier_fallbacks {
        let path = list.field(tier);
        if check_tier(tier, &path, problems) {
            fallbacks.push(TierFallback {
                service_tier: tier.as_str().into(),
                factor: positive(*factor, &path, problems),
            });
        }
    }
    fallbacks.sort_by(|a, b| a.service_tier.cmp(&b.service_tier));
    fallbacks
}
