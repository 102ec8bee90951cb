//! Regions of a period: their standard prices, and what every service tier costs there.
//!
//! It must not know canonical tables: [`super::tables`] makes these of the cells.

use super::Problems;
use super::tables::{Contexts, PeriodView, below, overlay, times};
use super::uplift::{Uplift, of_large_prompts};
use super::values::{check_name, positive};
use crate::document::Path;
use crate::text::RegionText;
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// What a service tier costs in one place.
#[derive(Clone)]
pub(super) struct Tier {
    pub(super) contexts: Contexts,
    /// Meters that have no rate here because a fallback of the tier speaks for them.
    pub(super) silent: BTreeSet<Meter>,
}

/// By name.
pub(super) type Tiers<'a> = BTreeMap<&'a str, Tier>;

/// A region and its standard prices.
pub(super) struct Region<'a, 'p> {
    pub(super) text: &'a RegionText,
    pub(super) path: Path<'p>,
    factor: Option<Decimal>,
    /// The standard prices elsewhere, times its factor.
    under: Contexts,
    /// Its own standard prices.
    pub(super) contexts: Contexts,
}

impl<'a, 'p> Region<'a, 'p> {
    pub(super) fn lower(
        text: &'a RegionText,
        standard: &Contexts,
        path: Path<'p>,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        if !check_name(&text.name, &path.field("name"), problems) {
            return None;
        }
        let factor = text.factor;
        let factor = factor.map(|factor| positive(factor, &path.field("factor"), problems));
        let mut region = Self {
            text,
            path,
            factor,
            under: Contexts::new(),
            contexts: Contexts::new(),
        };
        region.under = region.times_factor(standard, problems);
        let small = overlay(&region.under, &text.view(), &region.path, problems);
        let raised = of_large_prompts(&region.under, &below(&small, None));
        region.contexts = match raised {
            Ok(raised) if raised == region.under => small,
            Ok(raised) => {
                // The text was read above, with its problems.
                let mut again = Problems::new(problems.document);
                overlay(&raised, &text.view(), &region.path, &mut again)
            }
            Err(meter) => {
                region.too_dear("large prompts", &meter, problems);
                small
            }
        };
        Some(region)
    }

    /// Notes that `what` would cost more in the region than any price may be.
    fn too_dear(&self, what: &str, meter: &Meter, problems: &mut Problems<'_>) {
        let meter = meter.name();
        let message = format!(
            "raised as the region raises the standard price, `{meter}` in {what} is too dear to be \
             meant"
        );
        problems.note(&self.path, message);
    }

    /// What every tier costs here: each of `elsewhere` and, of those that only `any` region has,
    /// what it costs there; then what the text of this region says.
    pub(super) fn tiers(
        &self,
        view: &PeriodView<'a>,
        elsewhere: &Tiers<'a>,
        any: Option<&(&Self, Tiers<'a>)>,
        problems: &mut Problems<'_>,
    ) -> Tiers<'a> {
        let mut tiers = Tiers::new();
        for (name, tier) in elsewhere {
            let contexts = self.times_factor(&tier.contexts, problems);
            let silent = tier.silent.clone();
            let tier = Tier { contexts, silent };
            tiers.extend(self.raised(name, tier, &self.under, problems));
        }
        if let Some((any, theirs)) = any {
            let only = theirs
                .iter()
                .filter(|(name, _)| !elsewhere.contains_key(*name));
            for (name, tier) in only {
                tiers.extend(self.raised(name, tier.clone(), &any.contexts, problems));
            }
        }
        let Self {
            text,
            contexts,
            path,
            ..
        } = self;
        view.lower_tiers(&text.tiers, contexts, &mut tiers, path, problems);
        tiers
    }

    fn times_factor(&self, cells: &Contexts, problems: &mut Problems<'_>) -> Contexts {
        match self.factor {
            Some(factor) => times(cells, factor, &self.path.field("factor"), problems),
            None => cells.clone(),
        }
    }

    /// A tier raised as the region raises the standard prices from `elsewhere`.
    fn raised(
        &self,
        name: &'a str,
        mut tier: Tier,
        elsewhere: &Contexts,
        problems: &mut Problems<'_>,
    ) -> Option<(&'a str, Tier)> {
        let uplift = Uplift {
            elsewhere,
            regional: &self.contexts,
        };
        match uplift.of(&tier.contexts, &tier.silent) {
            Ok(contexts) => tier.contexts = contexts,
            Err(meter) => {
                self.too_dear(&format!("tier `{name}`"), &meter, problems);
                return None;
            }
        }
        Some((name, tier))
    }
}
