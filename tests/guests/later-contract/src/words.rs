//! The domain's types as the fixture's words, and back. The guest and the host's side of this version
//! (`tests/src/later_contract`) have this text in common, each with its own bindings: what one says
//! is what the other reads.
#![allow(dead_code, reason = "each side says what the other reads")]

use super::pricing::answer::{Line, LineKind, Quote, RateReason, Rating, Reason, Refusal};
use super::pricing::card::{RateCardEntry, RateCardPage, RateCardRate, RateCardRequest};
use super::pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use super::pricing::load::{ConfigError, Description};
use super::pricing::meter::{Attribute, Meter, Pool, Quantity};
use super::wit;
use rust_decimal::Decimal;
use std::str::FromStr;

fn is(name: &str, value: impl ToString) -> Option<wit::Named> {
    Some(wit::Named {
        name: name.to_owned(),
        value: value.to_string(),
    })
}

fn may(name: &str, value: &Option<impl ToString>) -> Option<wit::Named> {
    is(name, value.as_ref()?.to_string())
}

fn all<const N: usize>(properties: [Option<wit::Named>; N]) -> Vec<wit::Named> {
    properties.into_iter().flatten().collect()
}

fn text(properties: &[wit::Named], name: &str) -> Option<Box<str>> {
    let found = properties.iter().find(|property| property.name == name)?;
    Some(found.value.as_str().into())
}

/// A value that may be absent, but not be something else.
fn read<T: FromStr>(properties: &[wit::Named], name: &str) -> Option<Option<T>> {
    match text(properties, name) {
        Some(value) => value.parse().ok().map(Some),
        None => Some(None),
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).ok()
}

fn decimals(properties: &[wit::Named], name: &str) -> Option<Option<Decimal>> {
    match text(properties, name) {
        Some(value) => decimal(&value).map(Some),
        None => Some(None),
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<wit::Named> {
    let named = attributes.iter();
    named
        .filter_map(|attribute| is(&attribute.name, &attribute.value))
        .collect()
}

fn attributes_of(named: &[wit::Named]) -> Vec<Attribute> {
    let attribute = |named: &wit::Named| Attribute {
        name: named.name.as_str().into(),
        value: named.value.as_str().into(),
    };
    named.iter().map(attribute).collect()
}

fn pool(pool: &Pool) -> wit::Pool {
    wit::Pool {
        meter: pool.meter.name().to_owned(),
        quantity: pool.quantity.get().to_string(),
        attributes: attributes(&pool.attributes),
    }
}

fn pool_of(pool: &wit::Pool) -> Option<Pool> {
    let meter = Meter::from_name(&pool.meter)?;
    Some(Pool {
        quantity: Quantity::of(&meter, decimal(&pool.quantity)?).ok()?,
        meter,
        attributes: attributes_of(&pool.attributes),
    })
}

pub fn event(event: &UsageEvent) -> wit::Event {
    wit::Event {
        properties: all([
            is("provider", &event.provider),
            may("model-asked", &event.model_asked),
            may("model-served", &event.model_served),
            may("service-tier", &event.service_tier),
            may("region", &event.region),
            may("feature", &event.feature),
            may("provider-cost-usd", &event.provider_cost_usd),
        ]),
        pools: event.pools.iter().map(pool).collect(),
    }
}

pub fn event_of(event: &wit::Event) -> Option<UsageEvent> {
    let properties = &event.properties;
    Some(UsageEvent {
        provider: text(properties, "provider")?,
        model_asked: text(properties, "model-asked"),
        model_served: text(properties, "model-served"),
        service_tier: text(properties, "service-tier"),
        region: text(properties, "region"),
        feature: text(properties, "feature"),
        pools: event.pools.iter().map(pool_of).collect::<Option<_>>()?,
        provider_cost_usd: decimals(properties, "provider-cost-usd")?,
    })
}

pub fn quote_request(request: &QuoteRequest) -> wit::Event {
    wit::Event {
        properties: all([
            is("provider", &request.provider),
            may("model", &request.model),
            may("service-tier", &request.service_tier),
            may("region", &request.region),
            may("feature", &request.feature),
            is("body-bytes", request.body_bytes),
            may("max-output-tokens", &request.max_output_tokens),
            may("provider-cost-max-usd", &request.provider_cost_max_usd),
        ]),
        pools: request.declared.iter().map(pool).collect(),
    }
}

pub fn quote_request_of(request: &wit::Event) -> Option<QuoteRequest> {
    let properties = &request.properties;
    Some(QuoteRequest {
        provider: text(properties, "provider")?,
        model: text(properties, "model"),
        service_tier: text(properties, "service-tier"),
        region: text(properties, "region"),
        feature: text(properties, "feature"),
        body_bytes: read(properties, "body-bytes")??,
        max_output_tokens: read(properties, "max-output-tokens")?,
        declared: request.pools.iter().map(pool_of).collect::<Option<_>>()?,
        provider_cost_max_usd: decimals(properties, "provider-cost-max-usd")?,
    })
}

pub fn card_request(request: &RateCardRequest) -> Vec<wit::Named> {
    all([
        may("provider", &request.provider),
        may("model-prefix", &request.model_prefix),
        may("after", &request.after),
        is("limit", request.limit),
    ])
}

pub fn card_request_of(properties: &[wit::Named]) -> Option<RateCardRequest> {
    Some(RateCardRequest {
        provider: text(properties, "provider"),
        model_prefix: text(properties, "model-prefix"),
        after: text(properties, "after"),
        limit: read(properties, "limit")??,
    })
}

pub fn facts(facts: &Facts) -> wit::Facts {
    let deployment = match facts.deployment {
        Deployment::Hosted => "hosted",
        Deployment::SelfHosted => "self-hosted",
    };
    let keys = match facts.key_source {
        KeySource::Managed => "managed",
        KeySource::Own => "own",
    };
    wit::Facts {
        properties: all([
            is("deployment", deployment),
            is("key-source", keys),
            is("occurred-at-ms", facts.occurred_at_ms),
            may("plan", &facts.plan),
            may("org", &facts.org),
            may("project", &facts.project),
            may("user", &facts.user),
            may("agent", &facts.agent),
            is("month-to-date-usd", facts.month_to_date_usd),
        ]),
        other: attributes(&facts.other),
    }
}

pub fn facts_of(facts: &wit::Facts) -> Option<Facts> {
    let properties = &facts.properties;
    Some(Facts {
        deployment: match &*text(properties, "deployment")? {
            "hosted" => Deployment::Hosted,
            "self-hosted" => Deployment::SelfHosted,
            _ => return None,
        },
        key_source: match &*text(properties, "key-source")? {
            "managed" => KeySource::Managed,
            "own" => KeySource::Own,
            _ => return None,
        },
        occurred_at_ms: read(properties, "occurred-at-ms")??,
        plan: text(properties, "plan"),
        org: text(properties, "org"),
        project: text(properties, "project"),
        user: text(properties, "user"),
        agent: text(properties, "agent"),
        month_to_date_usd: decimals(properties, "month-to-date-usd")??,
        other: attributes_of(&facts.other),
    })
}

const KINDS: [(LineKind, &str); 6] = [
    (LineKind::Usage, "usage"),
    (LineKind::ProviderCost, "provider-cost"),
    (LineKind::Markup, "markup"),
    (LineKind::PlatformFee, "platform-fee"),
    (LineKind::Minimum, "minimum"),
    (LineKind::Discount, "discount"),
];

fn line(line: Line) -> wit::Line {
    let kind = KINDS.iter().find(|(kind, _)| *kind == line.kind);
    let mut of_it = Vec::new();
    let (reason, says) = match &line.reason {
        Reason::Rate(rate) => {
            of_it = attributes(&rate.conditions);
            let says = all([
                is("model", &rate.model),
                may("service-tier", &rate.service_tier),
                may("context-above", &rate.context_above),
                may("fallback", &rate.fallback),
            ]);
            ("rate", says)
        }
        Reason::ProviderCost => ("provider-cost", Vec::new()),
        Reason::Markup { rule } => ("markup", all([is("rule", rule)])),
        Reason::PlatformFeeFixed => ("platform-fee-fixed", Vec::new()),
        Reason::PlatformFeeShare => ("platform-fee-share", Vec::new()),
        Reason::Minimum { rule } => ("minimum", all([is("rule", rule)])),
        Reason::Discount { rule } => ("discount", all([is("rule", rule)])),
        Reason::Custom { code, parameters } => {
            of_it = attributes(parameters);
            ("custom", all([is("code", code)]))
        }
    };
    wit::Line {
        kind: kind.map(|(_, name)| *name).unwrap_or_default().to_owned(),
        meter: line.meter.map(|meter| meter.name().to_owned()),
        quantity: line.quantity.to_string(),
        unit_price_usd: line.unit_price_usd.to_string(),
        amount_usd: line.amount_usd.to_string(),
        reason: reason.to_owned(),
        says,
        attributes: of_it,
    }
}

fn line_of(line: &wit::Line) -> Option<Line> {
    let says = &line.says;
    let rule = || text(says, "rule");
    let attributes = attributes_of(&line.attributes);
    Some(Line {
        kind: KINDS.iter().find(|(_, name)| *name == line.kind)?.0,
        meter: match &line.meter {
            Some(name) => Some(Meter::from_name(name)?),
            None => None,
        },
        quantity: decimal(&line.quantity)?,
        unit_price_usd: decimal(&line.unit_price_usd)?,
        amount_usd: decimal(&line.amount_usd)?,
        reason: match line.reason.as_str() {
            "rate" => Reason::Rate(RateReason {
                model: (&*text(says, "model")?).into(),
                service_tier: text(says, "service-tier"),
                context_above: read(says, "context-above")?,
                fallback: text(says, "fallback"),
                conditions: attributes,
            }),
            "provider-cost" => Reason::ProviderCost,
            "markup" => Reason::Markup { rule: rule()? },
            "platform-fee-fixed" => Reason::PlatformFeeFixed,
            "platform-fee-share" => Reason::PlatformFeeShare,
            "minimum" => Reason::Minimum { rule: rule()? },
            "discount" => Reason::Discount { rule: rule()? },
            "custom" => Reason::Custom {
                code: text(says, "code")?,
                parameters: attributes,
            },
            _ => return None,
        },
    })
}

pub fn rating(rating: Rating) -> wit::Bill {
    wit::Bill {
        total_usd: rating.total_usd.to_string(),
        max_output_tokens: None,
        lines: rating.lines.into_iter().map(line).collect(),
    }
}

pub fn rating_of(bill: &wit::Bill) -> Option<Rating> {
    Some(Rating {
        lines: bill.lines.iter().map(line_of).collect::<Option<_>>()?,
        total_usd: decimal(&bill.total_usd)?,
    })
}

pub fn quote(quote: Quote) -> wit::Bill {
    wit::Bill {
        total_usd: quote.total_usd.to_string(),
        max_output_tokens: quote.max_output_tokens,
        lines: quote.lines.into_iter().map(line).collect(),
    }
}

pub fn quote_of(bill: &wit::Bill) -> Option<Quote> {
    let rating = rating_of(bill)?;
    Some(Quote {
        lines: rating.lines,
        total_usd: rating.total_usd,
        max_output_tokens: bill.max_output_tokens,
    })
}

pub fn card_page(page: RateCardPage) -> wit::CardPage {
    let rate = |rate: RateCardRate| wit::CardRate {
        meter: rate.meter.name().to_owned(),
        attributes: attributes(&rate.attributes),
        properties: all([
            may("service-tier", &rate.service_tier),
            may("region", &rate.region),
            may("context-above", &rate.context_above),
        ]),
        unit_price_usd: rate.unit_price_usd.to_string(),
        market_usd: rate.market_usd.to_string(),
    };
    let entry = |entry: RateCardEntry| wit::CardEntry {
        provider: entry.provider.into(),
        model: entry.model.into(),
        rates: entry.rates.into_iter().map(rate).collect(),
    };
    wit::CardPage {
        entries: page.entries.into_iter().map(entry).collect(),
        next: page.next.map(Into::into),
    }
}

pub fn card_page_of(page: wit::CardPage) -> Option<RateCardPage> {
    let rate = |rate: wit::CardRate| {
        Some(RateCardRate {
            meter: Meter::from_name(&rate.meter)?,
            attributes: attributes_of(&rate.attributes),
            service_tier: text(&rate.properties, "service-tier"),
            region: text(&rate.properties, "region"),
            context_above: read(&rate.properties, "context-above")?,
            unit_price_usd: decimal(&rate.unit_price_usd)?,
            market_usd: decimal(&rate.market_usd)?,
        })
    };
    let entry = |entry: wit::CardEntry| {
        Some(RateCardEntry {
            provider: entry.provider.into(),
            model: entry.model.into(),
            rates: entry
                .rates
                .into_iter()
                .map(rate)
                .collect::<Option<Vec<_>>>()?,
        })
    };
    let entries = page.entries.into_iter().map(entry);
    Some(RateCardPage {
        entries: entries.collect::<Option<_>>()?,
        next: page.next.map(Into::into),
    })
}

fn refused<const N: usize>(code: &str, texts: [Box<str>; N]) -> wit::Refusal {
    wit::Refusal {
        code: code.to_owned(),
        texts: texts.into_iter().map(Into::into).collect(),
    }
}

pub fn refusal(refusal: Refusal) -> wit::Refusal {
    match refusal {
        Refusal::UnknownModel { provider, model } => refused("unknown-model", [provider, model]),
        Refusal::NotPriced { model, meter } => refused("not-priced", [model, meter]),
        Refusal::NotAllowed { rule } => refused("not-allowed", [rule]),
        Refusal::OutOfRange { what } => refused("out-of-range", [what]),
    }
}

pub fn refusal_of(refusal: wit::Refusal) -> Option<Refusal> {
    let mut texts = refusal.texts.into_iter().map(String::into_boxed_str);
    let mut text = || texts.next();
    Some(match refusal.code.as_str() {
        "unknown-model" => Refusal::UnknownModel {
            provider: text()?,
            model: text()?,
        },
        "not-priced" => Refusal::NotPriced {
            model: text()?,
            meter: text()?,
        },
        "not-allowed" => Refusal::NotAllowed { rule: text()? },
        "out-of-range" => Refusal::OutOfRange { what: text()? },
        _ => return None,
    })
}

pub fn config_error(error: ConfigError) -> wit::Refusal {
    match error {
        ConfigError::Malformed { what } => refused("malformed", [what]),
        ConfigError::UnsupportedVersion { version } => {
            refused("unsupported-version", [version.to_string().into()])
        }
        ConfigError::Unusable { what } => refused("unusable", [what]),
    }
}

pub fn config_error_of(refusal: wit::Refusal) -> Option<ConfigError> {
    let what = refusal.texts.into_iter().next()?.into_boxed_str();
    Some(match refusal.code.as_str() {
        "malformed" => ConfigError::Malformed { what },
        "unsupported-version" => ConfigError::UnsupportedVersion {
            version: what.parse().ok()?,
        },
        "unusable" => ConfigError::Unusable { what },
        _ => return None,
    })
}

pub fn description(description: Description) -> Vec<wit::Named> {
    all([
        is("name", &description.name),
        is("version", &description.version),
        is("summary", &description.summary),
        may("book-name", &description.book_name),
        may("book-as-of", &description.book_as_of),
    ])
}

pub fn description_of(properties: &[wit::Named]) -> Option<Description> {
    Some(Description {
        name: text(properties, "name")?,
        version: text(properties, "version")?,
        summary: text(properties, "summary")?,
        book_name: text(properties, "book-name"),
        book_as_of: text(properties, "book-as-of"),
    })
}
