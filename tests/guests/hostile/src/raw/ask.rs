//! What is asked: binding types → plain types, validated.

use super::wit;
use farebox_sdk::pricing::answer::Refusal;
use farebox_sdk::pricing::card::RateCardRequest;
use farebox_sdk::pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::meter::{Attribute, Meter, Pool, Quantity};
use rust_decimal::Decimal;

pub fn rate_request(request: wit::RateRequest) -> Result<(UsageEvent, Facts), Refusal> {
    Ok((event(request.event)?, facts(request.facts)?))
}

pub fn quote_request(request: wit::QuoteRequest) -> Result<(QuoteRequest, Facts), Refusal> {
    let plain = QuoteRequest {
        provider: request.provider.into(),
        model: text(request.model),
        service_tier: text(request.service_tier),
        region: text(request.region),
        feature: text(request.feature),
        body_bytes: request.body_bytes,
        max_output_tokens: request.max_output_tokens,
        declared: pools(request.declared)?,
        provider_cost_max_usd: request.provider_cost_max_usd.map(amount).transpose()?,
    };
    Ok((plain, facts(request.facts)?))
}

pub fn rate_card_request(
    request: wit::RateCardRequest,
) -> Result<(RateCardRequest, Facts), Refusal> {
    let plain = RateCardRequest {
        provider: text(request.provider),
        model_prefix: text(request.model_prefix),
        after: text(request.after),
        limit: request.limit,
    };
    Ok((plain, facts(request.facts)?))
}

fn event(event: wit::UsageEvent) -> Result<UsageEvent, Refusal> {
    Ok(UsageEvent {
        provider: event.provider.into(),
        model_asked: text(event.model_asked),
        model_served: text(event.model_served),
        service_tier: text(event.service_tier),
        region: text(event.region),
        feature: text(event.feature),
        pools: pools(event.pools)?,
        provider_cost_usd: event.provider_cost_usd.map(amount).transpose()?,
    })
}

fn facts(facts: wit::Facts) -> Result<Facts, Refusal> {
    Ok(Facts {
        occurred_at_ms: facts.occurred_at_ms,
        month_to_date_usd: amount(facts.month_to_date_usd)?,
        ..caller(facts.caller)
    })
}

/// The facts of a caller at no time in particular.
pub fn caller(caller: wit::Caller) -> Facts {
    Facts {
        deployment: match caller.deployment {
            wit::Deployment::Hosted => Deployment::Hosted,
            wit::Deployment::SelfHosted => Deployment::SelfHosted,
        },
        key_source: match caller.key_source {
            wit::KeySource::Managed => KeySource::Managed,
            wit::KeySource::Own => KeySource::Own,
        },
        occurred_at_ms: 0,
        plan: text(caller.plan),
        org: text(caller.org),
        project: text(caller.project),
        user: text(caller.user),
        agent: text(caller.agent),
        month_to_date_usd: Decimal::ZERO,
        other: caller.other.map(attributes).unwrap_or_default(),
    }
}

fn pools(pools: Vec<wit::Pool>) -> Result<Vec<Pool>, Refusal> {
    pools.into_iter().map(pool).collect()
}

fn pool(pool: wit::Pool) -> Result<Pool, Refusal> {
    let meter = meter(pool.meter)?;
    let quantity = Quantity::of(&meter, amount(pool.quantity)?)
        .map_err(|error| out_of_range(&error.to_string()))?;
    Ok(Pool {
        meter,
        quantity,
        attributes: pool.attributes.map(attributes).unwrap_or_default(),
    })
}

fn meter(meter: wit::Meter) -> Result<Meter, Refusal> {
    Ok(match meter {
        wit::Meter::Input => Meter::Input,
        wit::Meter::CacheRead => Meter::CacheRead,
        wit::Meter::CacheWrite5m => Meter::CacheWrite5m,
        wit::Meter::CacheWrite1h => Meter::CacheWrite1h,
        wit::Meter::Output => Meter::Output,
        wit::Meter::Reasoning => Meter::Reasoning,
        wit::Meter::InputAudio => Meter::InputAudio,
        wit::Meter::OutputAudio => Meter::OutputAudio,
        wit::Meter::InputImage => Meter::InputImage,
        wit::Meter::OutputImage => Meter::OutputImage,
        wit::Meter::InputVideo => Meter::InputVideo,
        wit::Meter::Request => Meter::Request,
        wit::Meter::Search => Meter::Search,
        wit::Meter::ToolCall => Meter::ToolCall,
        wit::Meter::Second => Meter::Second,
        wit::Meter::Character => Meter::Character,
        wit::Meter::Page => Meter::Page,
        wit::Meter::Image => Meter::Image,
        wit::Meter::Other(name) => {
            Meter::from_name(&name).ok_or_else(|| out_of_range("the name of a meter"))?
        }
    })
}

fn attributes(attributes: Vec<wit::Attribute>) -> Vec<Attribute> {
    attributes
        .into_iter()
        .map(|attribute| Attribute {
            name: attribute.name.into(),
            value: attribute.value.into(),
        })
        .collect()
}

/// The decimal of a coefficient and a scale, where there is one: the scale is at most 28.
fn amount(decimal: wit::Decimal) -> Result<Decimal, Refusal> {
    if decimal.scale > 28 {
        return Err(out_of_range("a decimal of more than 28 places"));
    }
    // Three 32-bit words of the coefficient.
    #[expect(clippy::cast_possible_truncation, reason = "each takes one word")]
    let (low, middle) = (
        decimal.coefficient_low as u32,
        (decimal.coefficient_low >> 32) as u32,
    );
    Ok(Decimal::from_parts(
        low,
        middle,
        decimal.coefficient_high,
        decimal.negative,
        u32::from(decimal.scale),
    ))
}

fn text(text: Option<String>) -> Option<Box<str>> {
    text.map(String::into_boxed_str)
}

fn out_of_range(what: &str) -> Refusal {
    Refusal::OutOfRange { what: what.into() }
}
