//! Every price of a model as calls meet it from a moment on, and how those of two models differ.

use super::{Counted, PriceChange};
use crate::describe::spans;
use farebox_pricing::book::{Hours, Model, Per, Period, RateTable};
use farebox_pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// How a table of large prompts counts; another way of it is another price.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Context {
    Above,
    From,
    Beyond,
}

/// What has a price.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'m> {
    Rate {
        service_tier: Option<&'m str>,
        region: Option<&'m str>,
        context: Option<(u64, Context)>,
        hours: Option<&'m Hours>,
        meter: &'m Meter,
        attributes: &'m [Attribute],
    },
    Allowance {
        meter: &'m Meter,
        name: &'m str,
        is_daily: bool,
    },
}

/// Every difference from `from_ms` on, each told when it begins.
pub(super) fn changes(old: &Model, new: &Model, from_ms: i64) -> Vec<PriceChange> {
    let mut moments = BTreeSet::from([from_ms]);
    for period in old.periods.iter().chain(&new.periods) {
        let of_period = [
            period.valid_from_ms,
            period.valid_to_ms,
            period.known_since_ms,
        ];
        moments.extend(of_period.into_iter().flatten().filter(|at| *at > from_ms));
    }
    let mut all = Vec::new();
    let mut known: Vec<PriceChange> = Vec::new();
    for at_ms in moments {
        let differing = differing(old, new, at_ms);
        for change in differing.iter().filter(|change| !known.contains(*change)) {
            let mut change = change.clone();
            if at_ms > from_ms {
                change.what = format!("from {} on, {}", time(at_ms), change.what).into();
            }
            all.push(change);
        }
        known = differing;
    }
    all
}

fn differing(old: &Model, new: &Model, at_ms: i64) -> Vec<PriceChange> {
    let (old, new) = (prices(old, at_ms), prices(new, at_ms));
    let keys: BTreeSet<&Key<'_>> = old.keys().chain(new.keys()).collect();
    let pairs = keys
        .into_iter()
        .map(|key| (key, old.get(key).copied(), new.get(key).copied()));
    pairs
        .filter(|(_, before, after)| before != after)
        .map(|(key, before, after)| PriceChange {
            what: described(key).into(),
            of: match key {
                Key::Rate { .. } => Counted::Usd,
                Key::Allowance { .. } => Counted::Units,
            },
            before,
            after,
        })
        .collect()
}

/// What a call at `at_ms` meets.
fn prices(model: &Model, at_ms: i64) -> BTreeMap<Key<'_>, Decimal> {
    let Some(period) = model.period_at(at_ms, at_ms) else {
        return BTreeMap::new();
    };
    rates(model, period).chain(allowances(period)).collect()
}

fn rates<'m>(model: &'m Model, period: &'m Period) -> impl Iterator<Item = (Key<'m>, Decimal)> {
    let context = if model.context_marginal {
        Context::Beyond
    } else if model.context_inclusive {
        Context::From
    } else {
        Context::Above
    };
    let of_table = move |table: &'m RateTable| {
        table.rates.iter().map(move |rate| {
            let key = Key::Rate {
                service_tier: table.service_tier.as_deref(),
                region: table.region.as_deref(),
                context: table.context_above.map(|above| (above, context)),
                hours: table.hours.as_deref(),
                meter: &rate.meter,
                attributes: &rate.attributes,
            };
            (key, rate.usd.normalize())
        })
    };
    period.tables.iter().flat_map(of_table)
}

fn allowances(period: &Period) -> impl Iterator<Item = (Key<'_>, Decimal)> {
    period.allowances.iter().map(|allowance| {
        let key = Key::Allowance {
            meter: &allowance.meter,
            name: &allowance.name,
            is_daily: allowance.per == Per::Day,
        };
        (key, Decimal::from(allowance.count))
    })
}

fn described(key: &Key<'_>) -> String {
    match key {
        Key::Rate {
            service_tier,
            region,
            context,
            hours,
            meter,
            attributes,
        } => {
            let mut text = String::new();
            if let Some(tier) = service_tier {
                text.push_str(&format!("{tier} tier, "));
            }
            if let Some(region) = region {
                text.push_str(&format!("region {region}, "));
            }
            text.push_str(&match context {
                Some((above, Context::Above)) => format!("above {above} tokens, "),
                Some((above, Context::From)) => format!("from {above} tokens on, "),
                Some((above, Context::Beyond)) => format!("of units beyond {above}, "),
                None => String::new(),
            });
            if let Some(hours) = hours {
                text.push_str(&format!("{} hours (UTC {}), ", hours.name, spans(hours)));
            }
            text.push_str(&format!("`{}`", meter.name()));
            for attribute in *attributes {
                text.push_str(&format!(" {}={}", attribute.name, attribute.value));
            }
            text
        }
        Key::Allowance {
            meter,
            name,
            is_daily,
        } => {
            let window = if *is_daily { "day" } else { "month" };
            format!("allowance `{name}` of `{}` a {window}", meter.name())
        }
    }
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
