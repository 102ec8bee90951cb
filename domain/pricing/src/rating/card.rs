//! The rate card: what a customer with these facts pays per unit, a page at a time.

use super::lookup::malformed;
use super::out_of_range;
use super::rate::{base_prices, factor};
use super::scope::Call;
use super::sheet::SheetPrices;
use crate::answer::Refusal;
use crate::book::{Minimum, Model, Rate};
use crate::canonical::BookView;
use crate::card::{
    FeatureFloor, PAGE_MAX, RateCardEntry, RateCardPage, RateCardRate, RateCardRequest,
};
use crate::event::{Facts, KeySource};
use crate::exact;
use std::collections::BTreeSet;

/// A page ends early beyond this many rates, so that its size stays bounded.
const PAGE_RATES_MAX: usize = 1000;

/// A page of the rate card. Minimums and fixed fees are per call, so they are not on it; a rule
/// for a feature does not show either, nor do quotas and volume steps. Models that the terms do
/// not sell to this customer are left out. A limit of 0 or above [`PAGE_MAX`] means that.
///
/// # Errors
/// `NotAllowed` when no rule sells to a customer with these facts, `OutOfRange` when a price
/// would lose digits.
pub fn rate_card(
    book: &BookView,
    request: &RateCardRequest,
    facts: &Facts,
) -> Result<RateCardPage, Refusal> {
    // Who is sold nothing at all is told so, and not shown an empty card.
    Call::of_anything(book, facts).charge_rule()?;
    let limit = match request.limit {
        0 => PAGE_MAX,
        limit => limit.min(PAGE_MAX),
    } as usize;
    let mut page = RateCardPage::default();
    let mut rate_count = 0_usize;
    for number in first(book, request)?..book.model_count() {
        if let Some(provider) = &request.provider {
            // Models stand in order, so nothing after the first that misses can hit.
            let prefix = request.model_prefix.as_deref().unwrap_or_default();
            if !book.is_under(number, provider, prefix).map_err(malformed)? {
                break;
            }
        }
        let model = book.model(number).map_err(malformed)?;
        if let Some(prefix) = &request.model_prefix
            && !model.name.starts_with(&**prefix)
        {
            continue;
        }
        let rates = rates(book, model, facts)?;
        if rates.is_empty() {
            continue;
        }
        if page.entries.len() >= limit || rate_count >= PAGE_RATES_MAX {
            page.next = page.entries.last().map(cursor);
            break;
        }
        rate_count = rate_count.saturating_add(rates.len());
        page.entries.push(RateCardEntry {
            provider: model.provider.clone(),
            model: (*model.name).into(),
            rates,
        });
    }
    Ok(page)
}

/// The floors of every feature that the terms name for a customer with these facts, by feature.
/// They are data of the book, so a host shows them whatever policy prices.
pub fn feature_floors(book: &BookView, facts: &Facts) -> Vec<FeatureFloor> {
    let terms = book.terms();
    let preflights = terms.sale.iter().flat_map(|sale| &sale.preflights);
    let rules = || preflights.clone().chain(&terms.minimums);
    let features: BTreeSet<&str> = rules()
        .filter_map(|rule| rule.scope.feature.as_deref())
        .collect();
    let floors = features.into_iter().map(|feature| {
        let call = Call::of_feature(book, facts, feature);
        let highest = |rules: &mut dyn Iterator<Item = &Minimum>| {
            let matching = rules.filter(|rule| call.is_in(&rule.scope));
            matching.map(|rule| rule.usd).max()
        };
        FeatureFloor {
            feature: feature.into(),
            preflight_usd: highest(&mut preflights.clone()),
            minimum_usd: highest(&mut terms.minimums.iter()),
        }
    });
    floors
        .filter(|floor| floor.preflight_usd.is_some() || floor.minimum_usd.is_some())
        .collect()
}

/// The number of the first model the page may have.
fn first(book: &BookView, request: &RateCardRequest) -> Result<u32, Refusal> {
    let prefix = request.model_prefix.as_deref().unwrap_or_default();
    let start = match &request.provider {
        Some(provider) => book.position(provider, prefix, false),
        None => Ok(0),
    };
    let after = match &request.after {
        // Provider ids have no slash, model names may.
        Some(after) => {
            let (provider, model) = after
                .split_once('/')
                .ok_or_else(|| out_of_range("cursor of the rate card"))?;
            book.position(provider, model, true)
        }
        None => Ok(0),
    };
    let start = start.map_err(malformed)?;
    Ok(start.max(after.map_err(malformed)?))
}

fn cursor(entry: &RateCardEntry) -> Box<str> {
    format!("{}/{}", entry.provider, entry.model).into()
}

/// What a model's rates sell for; nothing where the terms do not sell it.
fn rates(book: &BookView, model: &Model, facts: &Facts) -> Result<Vec<RateCardRate>, Refusal> {
    let at_ms = facts.occurred_at_ms;
    let call = Call::of_model(book, facts, &model.provider, &model.name);
    let rule = match call.charge_rule() {
        Ok(rule) => rule,
        Err(Refusal::NotAllowed { .. }) => return Ok(Vec::new()),
        Err(refusal) => return Err(refusal),
    };
    let prices = match facts.key_source {
        KeySource::Managed => base_prices(&call, rule),
        KeySource::Own => SheetPrices::LIST,
    };
    let period = model.period_at(at_ms, at_ms);
    let mut rates = Vec::new();
    let tables = || period.into_iter().flat_map(|period| &period.tables);
    for table in tables().filter(|table| table.hours.is_none()) {
        // A card is of the moment: what holds in these hours stands in for what holds at others.
        let now = tables().find(|other| {
            let hours = other.hours.as_ref();
            hours.is_some_and(|hours| hours.hold_at(at_ms))
                && other.service_tier == table.service_tier
                && other.region == table.region
                && other.context_above == table.context_above
        });
        for rate in &table.rates {
            let same =
                |other: &&Rate| other.meter == rate.meter && other.attributes == rate.attributes;
            let now = now.and_then(|now| now.rates.iter().find(same));
            let rate = now.unwrap_or(rate);
            let unit_price = prices.unit_price(&rate.meter, rate.usd, None);
            rates.push(RateCardRate {
                meter: rate.meter.clone(),
                attributes: rate.attributes.clone(),
                service_tier: table.service_tier.clone(),
                region: table.region.clone(),
                context_above: table.context_above,
                unit_price_usd: unit_price
                    .and_then(|usd| exact::mul(usd, factor(rule)))
                    .map_err(|_| out_of_range(format!("price of `{}`", rate.meter.name())))?,
                market_usd: rate.usd,
            });
        }
    }
    Ok(rates)
}
