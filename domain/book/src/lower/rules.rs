//! Who pays what: terms become rules in the order in which they are tried.
//!
//! Order: rules as they are written, contracts, features, plans, deployments (each by name), own
//! keys, the default ([`super::places`]). Cost plus is for managed keys and a fee for own keys, so each
//! part of some terms is a rule of its own; what the terms do not say is left to the next rule that
//! matches.

use super::places::{Place, Stand};
use super::values::{check_name, positive};
use super::{Problems, sale};
use crate::amount::Amount;
use crate::document::Path;
use crate::text::{BookText, OwnKeysText, Terms};
use farebox_pricing::book::{Charge, ChargeRule, FeeCap, Minimum, Scope};
use farebox_pricing::event::KeySource;
use rust_decimal::Decimal;

const ROOT: Path<'static> = Path::Root;

/// The charge rules, in order of precedence.
pub(super) fn charge_rules(
    text: &BookText,
    places: &[Place<'_>],
    cap: &FeeCap,
    problems: &mut Problems<'_>,
) -> Vec<ChargeRule> {
    let mut rules = Vec::new();
    for place in places.iter().filter(|place| !place.is_defaults()) {
        place.at(|path| {
            if let Stand::Named(_, name) = place.stand {
                check_name(name, path, problems);
            }
            let charge = managed(text, &place.terms, path, problems);
            rules.extend(charge.map(|charge| rule(place, charge)));
            if let Some(own) = &place.terms.own_keys {
                let path = path.field("own_keys");
                if own.cap.is_some() {
                    problems.note(
                        &path.field("cap"),
                        "the cap stands in the book's own `own_keys`",
                    );
                }
                rules.push(ChargeRule {
                    name: format!("{}/own_keys", place.name).into(),
                    scope: place.scope_of(KeySource::Own),
                    charge: fee(own, cap, &path, problems),
                    loss_leader: false,
                });
            }
        });
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
    for place in places.iter().filter(|place| place.is_defaults()) {
        let charge = place.at(|path| managed(text, &place.terms, path, problems));
        let at_cost = Charge::CostPlus {
            markup: Decimal::ONE,
        };
        rules.push(ChargeRule {
            scope: Scope::default(),
            ..rule(place, charge.unwrap_or(at_cost))
        });
    }
    rules
}

fn rule(place: &Place<'_>, charge: Charge) -> ChargeRule {
    ChargeRule {
        name: place.name.as_str().into(),
        scope: match charge {
            // What is never billed is so on every key.
            Charge::Free => place.scope.clone(),
            _ => place.scope_of(KeySource::Managed),
        },
        loss_leader: place.terms.loss_leader && charge != Charge::Free,
        charge,
    }
}

/// What calls on managed keys pay; `None` where the terms leave it to the next.
fn managed(
    text: &BookText,
    terms: &Terms,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Charge> {
    let refused = (terms.managed_keys == Some(false)).then_some("managed_keys");
    let free = (terms.billed == Some(false)).then_some("billed");
    let said = [
        refused,
        free,
        terms.markup.map(|_| "markup"),
        terms.share_of_market.map(|_| "share_of_market"),
        terms.sheet.as_ref().map(|_| "sheet"),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if let [first, second, ..] = said.as_slice() {
        let message = match *first {
            "managed_keys" => {
                format!("`{second}` has no use where managed keys are not allowed")
            }
            first => format!("`{second}` and `{first}` are two prices for one call"),
        };
        problems.note(&path.field(second), message);
        return None;
    }
    if let (Some(_), None) = (terms.share_of_sheet, &terms.sheet) {
        problems.note(&path.field("share_of_sheet"), "which `sheet`?");
    }
    if refused.is_some() {
        return Some(Charge::NotAllowed);
    }
    if free.is_some() {
        return Some(Charge::Free);
    }
    if let Some(markup) = terms.markup {
        let declared = text.loss_leader || terms.loss_leader;
        return Some(cost_plus(markup, declared, &path.field("markup"), problems));
    }
    if let Some(share) = terms.share_of_market {
        let share = positive(share, &path.field("share_of_market"), problems);
        return Some(Charge::Listed { sheet: None, share });
    }
    let sheet = terms.sheet.as_ref()?;
    let share = terms.share_of_sheet.unwrap_or(Amount::new(Decimal::ONE));
    Some(Charge::Listed {
        sheet: sale::sheet_number(text, sheet, &path.field("sheet"), problems),
        share: positive(share, &path.field("share_of_sheet"), problems),
    })
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
pub(super) fn own_key_cap(
    text: &BookText,
    places: &[Place<'_>],
    problems: &mut Problems<'_>,
) -> FeeCap {
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
    let fees = || {
        let terms = places
            .iter()
            .filter_map(|place| place.terms.own_keys.as_ref());
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
pub(super) fn minimums(places: &[Place<'_>], problems: &mut Problems<'_>) -> Vec<Minimum> {
    least(places, "minimum_usd", |terms| terms.minimum_usd, problems)
}

/// The least that quotes say, likewise.
pub(super) fn preflights(places: &[Place<'_>], problems: &mut Problems<'_>) -> Vec<Minimum> {
    least(
        places,
        "preflight_usd",
        |terms| terms.preflight_usd,
        problems,
    )
}

fn least(
    places: &[Place<'_>],
    field: &str,
    said: fn(&Terms) -> Option<Amount>,
    problems: &mut Problems<'_>,
) -> Vec<Minimum> {
    let said = places.iter().filter_map(|place| {
        let usd = said(&place.terms)?;
        Some(Minimum {
            name: place.name.as_str().into(),
            scope: place.scope_of(KeySource::Managed),
            usd: place.at(|path| positive(usd, &path.field(field), problems)),
        })
    });
    said.collect()
}
