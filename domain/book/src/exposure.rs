//! What each public name leaves the seller, over its upstreams: the margins of a book before any
//! traffic, in the standard tier and without a region. Prices and costs are those of the one
//! arithmetic ([`farebox_pricing::rating`]), so the report cannot differ from a later bill.
//!
//! A million tokens show the prices of large prompts or those of small ones, never both. So where a
//! model prices large prompts otherwise, calls on both sides of each threshold are looked at too.

use crate::text::BookText;
use farebox_pricing::answer::Refusal;
use farebox_pricing::book::{Model, RateTable};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Facts, UsageEvent};
use farebox_pricing::exact;
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::provider;
use farebox_pricing::rating::{cost, rate};
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use std::fmt;

/// A share of a price, in hundredths of a percent, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Margin(i64);

const WHOLE: i64 = 10_000;

impl Margin {
    /// What of `price_usd` is left after `cost_usd`. `None` for a price of zero, of which there is
    /// no share, and for amounts beyond all reason.
    pub fn of(price_usd: Decimal, cost_usd: Decimal) -> Option<Self> {
        let scale = price_usd.scale().max(cost_usd.scale());
        let whole = |d: Decimal| {
            let places = scale.checked_sub(d.scale())?;
            d.mantissa().checked_mul(10_i128.checked_pow(places)?)
        };
        let (price, cost) = (whole(price_usd)?, whole(cost_usd)?);
        let left = price.checked_sub(cost)?.checked_mul(i128::from(WHOLE))?;
        let share = left.checked_div_euclid(price)?;
        i64::try_from(share).ok().map(Self)
    }

    /// The margin that a decimal share means, `0.25` for a quarter; parts of a hundredth of a
    /// percent round up, so a bound is never softened.
    pub fn at_least(share: Decimal) -> Option<Self> {
        let one = Decimal::ONE;
        let kept = Self::of(one, exact::sub(one, share).ok()?)?;
        let exact = Decimal::new(kept.0, 4) == share;
        kept.0.checked_add(i64::from(!exact)).map(Self)
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let hundredths = self.0.unsigned_abs();
        let (percent, rest) = (hundredths / 100, hundredths % 100);
        f.pad(&format!("{sign}{percent}.{rest:02} %"))
    }
}

/// One meter of one upstream: what a good many units cost and sell for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The upstream, `provider/model`.
    pub upstream: Box<str>,
    /// What is counted.
    pub meter: Meter,
    /// How many units: a million tokens, one of anything else, or as many tokens of a prompt as lie
    /// on either side of a threshold.
    pub units: u32,
    /// Tokens of `input` beside them, which make the prompt a large one, or just not.
    pub beside: Option<u32>,
    /// What they sell for under the public name, in USD.
    pub price_usd: Decimal,
    /// What they cost, in USD.
    pub cost_usd: Decimal,
    /// Absent where they sell for nothing.
    pub margin: Option<Margin>,
}

/// A public name over its whole chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The public name.
    pub name: Box<str>,
    /// Every meter of every upstream, in the order of the chain.
    pub legs: Vec<Leg>,
    /// Upstreams whose calls would be refused, and why.
    pub refused: Vec<(Box<str>, Refusal)>,
}

impl Exposure {
    /// The leg that leaves least. One that is given away leaves less than any other.
    pub fn worst(&self) -> Option<&Leg> {
        self.legs.iter().min_by_key(|leg| leg.margin)
    }

    /// The leg that leaves most.
    pub fn best(&self) -> Option<&Leg> {
        self.legs.iter().max_by_key(|leg| leg.margin)
    }
}

/// The margins of every public name of a book, for a customer with these facts.
pub fn exposures(text: &BookText, book: &BookView, facts: &Facts) -> Vec<Exposure> {
    let exposure = |(name, upstreams): (&String, &Vec<String>)| {
        let mut exposure = Exposure {
            name: name.as_str().into(),
            legs: Vec::new(),
            refused: Vec::new(),
        };
        for upstream in upstreams {
            exposure.add(upstream, book, facts);
        }
        exposure
    };
    text.routes.iter().map(exposure).collect()
}

impl Exposure {
    fn add(&mut self, upstream: &str, book: &BookView, facts: &Facts) {
        let Some((provider, model)) = upstream.split_once('/') else {
            return;
        };
        let Some(provider) = provider::normalise(provider) else {
            return;
        };
        let Ok(Some(model)) = book.find(&provider, model) else {
            return;
        };
        for meter in meters(model, facts) {
            for amount in amounts(model, &meter, facts) {
                match leg(&self.name, upstream, model, &meter, amount, book, facts) {
                    Ok(leg) => self.push(leg),
                    Err(refusal) => {
                        self.refused.push((upstream.into(), refusal));
                        return;
                    }
                }
            }
        }
    }

    /// Adds a leg, unless one of the same meter leaves the same.
    fn push(&mut self, leg: Leg) {
        let same = |known: &Leg| {
            (&known.upstream, &known.meter, known.margin) == (&leg.upstream, &leg.meter, leg.margin)
        };
        if !self.legs.iter().any(same) {
            self.legs.push(leg);
        }
    }
}

/// The model's standard prices of now, for prompts of each size.
fn standard<'m>(model: &'m Model, facts: &Facts) -> impl Iterator<Item = &'m RateTable> {
    let at_ms = facts.occurred_at_ms;
    let period = model.period_at(at_ms, at_ms);
    let tables = period.into_iter().flat_map(|period| &period.tables);
    tables.filter(|table| table.service_tier.is_none() && table.region.is_none())
}

/// What the model has a standard price for now, without attributes.
fn meters(model: &Model, facts: &Facts) -> BTreeSet<Meter> {
    let rates = standard(model, facts).flat_map(|table| &table.rates);
    rates
        .filter(|rate| rate.attributes.is_empty())
        .map(|rate| rate.meter.clone())
        .collect()
}

/// How much of a meter is looked at, and beside how many tokens of input: a good many, and what lies
/// on both sides of each threshold beyond which the model prices it otherwise.
fn amounts(model: &Model, meter: &Meter, facts: &Facts) -> Vec<(u32, Option<u32>)> {
    let many = if meter.is_tokens() { 1_000_000 } else { 1 };
    let mut amounts = vec![(many, None)];
    let tables = standard(model, facts).filter(|table| {
        let mut rates = table.rates.iter();
        rates.any(|rate| rate.meter == *meter)
    });
    for above in tables.filter_map(|table| table.context_above) {
        let Ok(above) = u32::try_from(above) else {
            continue;
        };
        let below = if model.context_inclusive {
            above.saturating_sub(1)
        } else {
            above
        };
        for prompt in [below, below.saturating_add(1)] {
            amounts.push(if meter.is_prompt_tokens() {
                (prompt, None)
            } else {
                (many, Some(prompt))
            });
        }
    }
    amounts
}

fn leg(
    name: &str,
    upstream: &str,
    model: &Model,
    meter: &Meter,
    (units, beside): (u32, Option<u32>),
    book: &BookView,
    facts: &Facts,
) -> Result<Leg, Refusal> {
    let prompt = beside.map(|tokens| Pool::new(Meter::Input, Quantity::from(tokens)));
    let counted = Pool::new(meter.clone(), Quantity::from(units));
    let event = UsageEvent {
        provider: model.provider.clone(),
        model_asked: Some(name.into()),
        model_served: Some((&*model.name).into()),
        service_tier: None,
        region: None,
        feature: None,
        pools: prompt.into_iter().chain([counted]).collect(),
        provider_cost_usd: None,
    };
    let price_usd = rate(book, &event, facts)?.total_usd.normalize();
    let cost_usd = cost(book, &event, facts)?.provider_cost_usd.normalize();
    Ok(Leg {
        upstream: upstream.into(),
        meter: meter.clone(),
        units,
        beside,
        price_usd,
        cost_usd,
        margin: Margin::of(price_usd, cost_usd),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, compile, parse};
    use farebox_pricing::event::{Deployment, KeySource};

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_margin_is_a_share_of_the_price_rounded_down() {
        for (price, cost, expected) in [
            ("1", "0.75", Some("25.00 %")),
            ("3", "2", Some("33.33 %")),
            ("1", "1", Some("0.00 %")),
            ("1", "1.00001", Some("-0.01 %")),
            ("1", "3", Some("-200.00 %")),
            ("0", "1", None),
        ] {
            let margin = Margin::of(d(price), d(cost)).map(|margin| margin.to_string());
            assert_eq!(margin.as_deref(), expected, "{price} {cost}");
        }
        let third = Margin::at_least(d("0.33333")).unwrap();
        assert_eq!(third.to_string(), "33.34 %");
        assert_eq!(Margin::at_least(d("0.25")), Margin::of(d("4"), d("3")));
    }

    #[test]
    fn the_worst_and_the_best_of_a_chain_are_those_of_its_upstreams() {
        let text = include_str!("../../../guest/standard/books/provider-costs.toml");
        let view = BookView::open(compile(text, Format::Toml).unwrap().canonical).unwrap();
        let facts = Facts::new(Deployment::Hosted, KeySource::Managed, 0);
        let all = exposures(&parse(text, Format::Toml).unwrap(), &view, &facts);
        let shown: Vec<_> = all
            .iter()
            .flat_map(|exposure| [exposure.worst().unwrap(), exposure.best().unwrap()])
            .map(|leg| {
                let margin = leg.margin.unwrap();
                format!("{} {} {margin}", leg.upstream, leg.meter.name())
            })
            .collect();
        assert_eq!(
            shown,
            [
                // 3.00 for what costs 2.50; 3.00 for what costs 0.54.
                "google/gemini-2.5-flash output 16.66 %",
                "openai/gpt-4o-mini output 82.00 %",
                // 3.90 for what costs 3; the same less 6 %.
                "anthropic/claude-sonnet-4 input 23.07 %",
                "aws_bedrock/claude-sonnet-4 output 27.69 %",
            ]
        );
    }

    #[test]
    fn both_sides_of_a_threshold_of_large_prompts_are_looked_at() {
        let shown = |inclusive: &str| {
            let text = format!(
                r#"
                name = "x"
                as_of = "2026-11-21"
                defaults = {{ sheet = "retail" }}
                routes = {{ chat = ["openai/m"] }}
                sheets = {{ retail = [
                    {{ models = ["openai/*"], per_million = {{ input = "6", output = "20" }} }},
                ] }}
                [[models]]
                provider = "openai"
                model = "m"
                {inclusive}
                per_million = {{ input = "3", output = "10" }}
                [[models.context]]
                above = 1000
                per_million = {{ input = "5", output = "19" }}
                "#
            );
            let compiled = compile(&text, Format::Toml).unwrap();
            let view = BookView::open(compiled.canonical).unwrap();
            let facts = Facts::new(Deployment::Hosted, KeySource::Managed, 0);
            let all = exposures(&parse(&text, Format::Toml).unwrap(), &view, &facts);
            assert_eq!(all[0].refused, []);
            let worst = all[0].worst().unwrap();
            assert_eq!(worst.meter, Meter::Output);
            let legs = all[0].legs.iter().map(|leg| {
                let (meter, margin) = (leg.meter.name(), leg.margin.unwrap());
                format!("{} {meter} beside {:?}: {margin}", leg.units, leg.beside)
            });
            legs.collect::<Vec<_>>()
        };
        let legs = |small: u32| {
            let large = small + 1;
            [
                // 6 for 5, as all of a large prompt costs; 6 for 3 up to the threshold.
                "1000000 input beside None: 16.66 %".to_owned(),
                format!("{small} input beside None: 50.00 %"),
                // 20 for 10 without a prompt; 20.006006 for 19.005005 beside a large one.
                "1000000 output beside None: 50.00 %".to_owned(),
                format!("1000000 output beside Some({large}): 5.00 %"),
            ]
        };
        assert_eq!(shown(""), legs(1000));
        assert_eq!(shown("context_inclusive = true"), legs(999));
    }

    #[test]
    fn the_prices_of_now_are_looked_at_and_those_of_the_standard_tier() {
        let text = r#"
            name = "x"
            as_of = "2026-11-21"
            defaults = { markup = "2" }
            [routes]
            chat = ["openai/m"]
            [[models]]
            provider = "openai"
            model = "m"
            per_million = { input = "1" }
            [[models.tiers]]
            name = "flex"
            per_million = { cache_read = "1" }
            [[models.periods]]
            valid_from = "1970-01-01"
            per_million = { input = "1" }
            [[models.periods]]
            valid_from = "1969-12-31"
            valid_to = "1970-02-01"
            known_since = "1969-12-31"
            per_unit = { search = "3" }
        "#;
        let view = BookView::open(compile(text, Format::Toml).unwrap().canonical).unwrap();
        let facts = Facts::new(Deployment::Hosted, KeySource::Managed, 0);
        let all = exposures(&parse(text, Format::Toml).unwrap(), &view, &facts);
        assert_eq!(all[0].refused, []);
        let legs = all[0].legs.iter();
        let shown: Vec<_> = legs
            .map(|leg| format!("{} {}", leg.meter.name(), leg.cost_usd))
            .collect();
        assert_eq!(shown, ["search 3"]);
        let before = Facts::new(Deployment::Hosted, KeySource::Managed, -100_000_000_000);
        let all = exposures(&parse(text, Format::Toml).unwrap(), &view, &before);
        assert_eq!(all[0].refused, []);
        assert_eq!(all[0].legs.len(), 1, "a flex price is no standard price");
    }
}
