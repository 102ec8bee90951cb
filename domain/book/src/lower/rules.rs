//! Who pays what: terms become rules in the order in which they are tried.
//!
//! Order: features, plans, deployments (each by name), own keys, the default. Cost plus is for
//! managed keys and a fee for own keys, so each part of some terms is a rule of its own; what the
//! terms do not say is left to the next rule that matches.

use super::Problems;
use super::values::{any_meter, check_name, check_tier, positive};
use crate::amount::Amount;
use crate::document::Path;
use crate::text::{BookText, OwnKeysText, Terms};
use farebox_pricing::book::{
    Charge, ChargeRule, FeeCap, MeterFallback, Minimum, Scope, TierFallback,
};
use farebox_pricing::event::{Deployment, KeySource};
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;

/// The fallbacks of a book that lists none: a rate that a provider does not list apart is that of
/// the meter it is a part of.
const STANDARD_FALLBACKS: [(Meter, Meter); 9] = [
    (Meter::CacheRead, Meter::Input),
    (Meter::CacheWrite5m, Meter::Input),
    (Meter::CacheWrite1h, Meter::CacheWrite5m),
    (Meter::CacheWrite1h, Meter::Input),
    (Meter::Reasoning, Meter::Output),
    (Meter::InputAudio, Meter::Input),
    (Meter::OutputAudio, Meter::Output),
    (Meter::InputImage, Meter::Input),
    (Meter::InputVideo, Meter::Input),
];

const ROOT: Path<'static> = Path::Root;

/// Some terms, the calls they are for, and where they stand.
struct Place<'a> {
    name: String,
    scope: Scope,
    terms: &'a Terms,
    /// `plans` and `pro`.
    steps: (&'static str, &'a str),
}

/// All terms of the book in order of precedence.
fn places(text: &BookText) -> Vec<Place<'_>> {
    let mut features: Vec<_> = text.features.iter().collect();
    features.sort_by_key(|(name, _)| name.as_str());
    let features = features.into_iter().map(|(name, terms)| Place {
        name: format!("feature:{name}"),
        scope: Scope {
            feature: Some(name.as_str().into()),
            ..Scope::default()
        },
        terms,
        steps: ("features", name),
    });
    let mut plans: Vec<_> = text.plans.iter().collect();
    plans.sort_by_key(|(name, _)| name.as_str());
    let plans = plans.into_iter().map(|(name, terms)| Place {
        name: format!("plan:{name}"),
        scope: Scope {
            plan: Some(name.as_str().into()),
            ..Scope::default()
        },
        terms,
        steps: ("plans", name),
    });
    let deployments = [
        (Deployment::Hosted, "hosted", &text.deployments.hosted),
        (
            Deployment::SelfHosted,
            "self_hosted",
            &text.deployments.self_hosted,
        ),
    ];
    let deployments = deployments
        .into_iter()
        .filter_map(|(deployment, name, terms)| {
            Some(Place {
                name: format!("deployment:{name}"),
                scope: Scope {
                    deployment: Some(deployment),
                    ..Scope::default()
                },
                terms: terms.as_ref()?,
                steps: ("deployments", name),
            })
        });
    features.chain(plans).chain(deployments).collect()
}

/// The charge rules, in order of precedence.
pub(super) fn charge_rules(
    text: &BookText,
    cap: &FeeCap,
    problems: &mut Problems<'_>,
) -> Vec<ChargeRule> {
    let mut rules = Vec::new();
    for place in places(text) {
        let list = ROOT.field(place.steps.0);
        let path = list.field(place.steps.1);
        check_name(place.steps.1, &path, problems);
        let terms = place.terms;
        let rule = |key_source, suffix: &str, charge| ChargeRule {
            name: format!("{}{suffix}", place.name).into(),
            scope: Scope {
                key_source: Some(key_source),
                ..place.scope.clone()
            },
            charge,
            loss_leader: false,
        };
        if let Some(charge) = managed(terms, text.loss_leader, &path, problems) {
            rules.push(rule(KeySource::Managed, "", charge));
        }
        if let Some(own) = &terms.own_keys {
            let path = path.field("own_keys");
            if own.cap.is_some() {
                problems.note(
                    &path.field("cap"),
                    "the cap stands in the book's own `own_keys`",
                );
            }
            rules.push(rule(
                KeySource::Own,
                "/own_keys",
                fee(own, cap, &path, problems),
            ));
        }
    }
    let path = ROOT.field("own_keys");
    rules.push(ChargeRule {
        name: "own_keys".into(),
        scope: Scope {
            key_source: Some(KeySource::Own),
            ..Scope::default()
        },
        charge: match &text.own_keys {
            Some(own) => fee(own, cap, &path, problems),
            None => Charge::NotAllowed,
        },
        loss_leader: false,
    });
    let path = ROOT.field("defaults");
    let default = text.defaults.markup.unwrap_or(Amount::new(Decimal::ONE));
    rules.push(ChargeRule {
        name: "default".into(),
        scope: Scope::default(),
        charge: cost_plus(default, text.loss_leader, &path.field("markup"), problems),
        loss_leader: false,
    });
    rules
}

fn managed(
    terms: &Terms,
    loss_leader: bool,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Charge> {
    match (terms.managed_keys, terms.markup) {
        (Some(false), None) => Some(Charge::NotAllowed),
        (Some(false), Some(_)) => {
            problems.note(
                &path.field("markup"),
                "a markup has no use where managed keys are not allowed",
            );
            None
        }
        (_, Some(markup)) => Some(cost_plus(
            markup,
            loss_leader,
            &path.field("markup"),
            problems,
        )),
        (_, None) => None,
    }
}

fn cost_plus(
    markup: Amount,
    loss_leader: bool,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Charge {
    let markup = positive(markup, path, problems);
    if markup < Decimal::ONE && !loss_leader {
        problems.note(
            path,
            format!("`{markup}` sells below cost; `\"1.25\"` adds 25 % (or declare `loss_leader = true`)"),
        );
    }
    Charge::CostPlus { markup }
}

fn fee(own: &OwnKeysText, cap: &FeeCap, path: &Path<'_>, problems: &mut Problems<'_>) -> Charge {
    if own.allowed == Some(false) {
        if own.fixed_usd.is_some() || own.share_of_market.is_some() {
            problems.note(path, "a fee has no use where own keys are not allowed");
        }
        return Charge::NotAllowed;
    }
    let (fixed, share) = (path.field("fixed_usd"), path.field("share_of_market"));
    let fixed_usd = positive(own.fixed_usd.unwrap_or_default(), &fixed, problems);
    let share_of_market = positive(own.share_of_market.unwrap_or_default(), &share, problems);
    for (amount, most, path) in [
        (fixed_usd, cap.fixed_usd, &fixed),
        (share_of_market, cap.share_of_market, &share),
    ] {
        if amount > most {
            problems.note(path, format!("`{amount}` is above the cap of `{most}`"));
        }
    }
    Charge::PlatformFee {
        fixed_usd,
        share_of_market,
    }
}

/// The declared cap, or the highest fees of the book.
pub(super) fn own_key_cap(text: &BookText, problems: &mut Problems<'_>) -> FeeCap {
    let declared = text.own_keys.as_ref().and_then(|own| own.cap.as_ref());
    if let Some(cap) = declared {
        let own = ROOT.field("own_keys");
        let path = own.field("cap");
        let (fixed, share) = (path.field("fixed_usd"), path.field("share_of_market"));
        return FeeCap {
            fixed_usd: positive(cap.fixed_usd.unwrap_or_default(), &fixed, problems),
            share_of_market: positive(cap.share_of_market.unwrap_or_default(), &share, problems),
        };
    }
    let all = places(text);
    let fees = || {
        let terms = all.iter().filter_map(|place| place.terms.own_keys.as_ref());
        terms
            .chain(&text.own_keys)
            .filter(|own| own.allowed != Some(false))
    };
    let highest = |part: fn(&OwnKeysText) -> Option<Amount>| {
        let amounts = fees().filter_map(part).map(Amount::get);
        amounts.max().unwrap_or_default().max(Decimal::ZERO)
    };
    FeeCap {
        fixed_usd: highest(|own| own.fixed_usd),
        share_of_market: highest(|own| own.share_of_market),
    }
}

/// The minimum charges. They hold for managed keys: with own keys the cap rules.
pub(super) fn minimums(text: &BookText, problems: &mut Problems<'_>) -> Vec<Minimum> {
    let mut minimums = Vec::new();
    for place in places(text) {
        let list = ROOT.field(place.steps.0);
        let path = list.field(place.steps.1);
        if let Some(usd) = place.terms.minimum_usd {
            minimums.push(Minimum {
                name: place.name.into(),
                scope: Scope {
                    key_source: Some(KeySource::Managed),
                    ..place.scope
                },
                usd: positive(usd, &path.field("minimum_usd"), problems),
            });
        }
    }
    if let Some(usd) = text.defaults.minimum_usd {
        let path = ROOT.field("defaults");
        minimums.push(Minimum {
            name: "default".into(),
            scope: Scope {
                key_source: Some(KeySource::Managed),
                ..Scope::default()
            },
            usd: positive(usd, &path.field("minimum_usd"), problems),
        });
    }
    minimums
}

/// The declared meter fallbacks, or the standard ones.
pub(super) fn meter_fallbacks(text: &BookText, problems: &mut Problems<'_>) -> Vec<MeterFallback> {
    let Some(texts) = &text.meter_fallbacks else {
        let standard = STANDARD_FALLBACKS
            .into_iter()
            .map(|(meter, base)| MeterFallback {
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
        if let Some(name) = &fallback.name {
            check_name(name, &path.field("name"), problems);
        }
        if let (Some(meter), Some(base)) = (meter, base) {
            fallbacks.push(MeterFallback {
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
