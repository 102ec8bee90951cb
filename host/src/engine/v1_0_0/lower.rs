//! The domain's types as the contract's, borrowed: nothing is copied before it enters the guest.

use super::wit;
use farebox_pricing::card::RateCardRequest;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest};
use farebox_pricing::meter::{Attribute, Meter, Pool};

/// A decimal as integers.
pub fn decimal(decimal: rust_decimal::Decimal) -> wit::Decimal {
    let parts = decimal.unpack();
    wit::Decimal {
        negative: parts.negative && !decimal.is_zero(),
        coefficient_high: parts.hi,
        coefficient_low: u64::from(parts.mid) << 32 | u64::from(parts.lo),
        // A decimal's scale is at most 28.
        scale: u8::try_from(parts.scale).unwrap_or(u8::MAX),
    }
}

/// The attributes of the pools that have any, in order: a list of lists has to stand somewhere.
pub fn pool_attributes<'a>(
    pools: impl Iterator<Item = &'a Pool>,
) -> Vec<Vec<wit::AttributeParam<'a>>> {
    pools
        .filter(|pool| !pool.attributes.is_empty())
        .map(|pool| attributes(&pool.attributes))
        .collect()
}

/// Pools; `attributes` are [`pool_attributes`] of the same.
pub fn pools<'a>(
    pools: impl Iterator<Item = &'a Pool>,
    attributes: &'a [Vec<wit::AttributeParam<'a>>],
) -> Vec<wit::Pool<'a>> {
    let mut attributes = attributes.iter();
    pools
        .map(|pool| wit::Pool {
            meter: meter(&pool.meter),
            quantity: decimal(pool.quantity.get()),
            attributes: if pool.attributes.is_empty() {
                None
            } else {
                attributes.next().map(Vec::as_slice)
            },
        })
        .collect()
}

/// A list of attributes.
pub fn attributes(attributes: &[Attribute]) -> Vec<wit::AttributeParam<'_>> {
    attributes
        .iter()
        .map(|attribute| wit::AttributeParam {
            name: &attribute.name,
            value: &attribute.value,
        })
        .collect()
}

fn meter(meter: &Meter) -> wit::MeterParam<'_> {
    match meter {
        Meter::Input => wit::MeterParam::Input,
        Meter::CacheRead => wit::MeterParam::CacheRead,
        Meter::CacheWrite5m => wit::MeterParam::CacheWrite5m,
        Meter::CacheWrite1h => wit::MeterParam::CacheWrite1h,
        Meter::Output => wit::MeterParam::Output,
        Meter::Reasoning => wit::MeterParam::Reasoning,
        Meter::InputAudio => wit::MeterParam::InputAudio,
        Meter::OutputAudio => wit::MeterParam::OutputAudio,
        Meter::InputImage => wit::MeterParam::InputImage,
        Meter::OutputImage => wit::MeterParam::OutputImage,
        Meter::InputVideo => wit::MeterParam::InputVideo,
        Meter::Request => wit::MeterParam::Request,
        Meter::Search => wit::MeterParam::Search,
        Meter::ToolCall => wit::MeterParam::ToolCall,
        Meter::Second => wit::MeterParam::Second,
        Meter::Character => wit::MeterParam::Character,
        Meter::Page => wit::MeterParam::Page,
        Meter::Image => wit::MeterParam::Image,
        Meter::Other(name) => wit::MeterParam::Other(name),
    }
}

/// On whose behalf a call is made; `other` is [`attributes`] of the facts' own.
pub fn caller<'a>(facts: &'a Facts, other: &'a [wit::AttributeParam<'a>]) -> wit::Caller<'a> {
    wit::Caller {
        deployment: match facts.deployment {
            Deployment::Hosted => wit::Deployment::Hosted,
            Deployment::SelfHosted => wit::Deployment::SelfHosted,
        },
        key_source: match facts.key_source {
            KeySource::Managed => wit::KeySource::Managed,
            KeySource::Own => wit::KeySource::Own,
        },
        plan: facts.plan.as_deref(),
        org: facts.org.as_deref(),
        project: facts.project.as_deref(),
        user: facts.user.as_deref(),
        agent: facts.agent.as_deref(),
        other: (!other.is_empty()).then_some(other),
    }
}

/// Whether two events have the same caller.
pub fn is_same_caller(a: &Facts, b: &Facts) -> bool {
    // Named one by one, so that a new fact has to be put here or among those of the event.
    let Facts {
        deployment,
        key_source,
        occurred_at_ms: _,
        plan,
        org,
        project,
        user,
        agent,
        month_to_date_usd: _,
        other,
    } = a;
    *org == b.org
        && *plan == b.plan
        && *deployment == b.deployment
        && *key_source == b.key_source
        && *project == b.project
        && *user == b.user
        && *agent == b.agent
        && *other == b.other
}

/// The facts; `other` is [`attributes`] of their own.
pub fn facts<'a>(facts: &'a Facts, other: &'a [wit::AttributeParam<'a>]) -> wit::Facts<'a> {
    wit::Facts {
        caller: caller(facts, other),
        occurred_at_ms: facts.occurred_at_ms,
        month_to_date_usd: decimal(facts.month_to_date_usd),
    }
}

/// What is known before a call.
pub fn quote_request<'a>(
    request: &'a QuoteRequest,
    declared: &'a [wit::Pool<'a>],
    facts: wit::Facts<'a>,
) -> wit::QuoteRequest<'a> {
    wit::QuoteRequest {
        provider: &request.provider,
        model: request.model.as_deref(),
        service_tier: request.service_tier.as_deref(),
        region: request.region.as_deref(),
        feature: request.feature.as_deref(),
        body_bytes: request.body_bytes,
        max_output_tokens: request.max_output_tokens,
        declared,
        provider_cost_max_usd: request.provider_cost_max_usd.map(decimal),
        facts,
    }
}

/// A page of the rate card.
pub fn rate_card_request<'a>(
    request: &'a RateCardRequest,
    facts: wit::Facts<'a>,
) -> wit::RateCardRequest<'a> {
    wit::RateCardRequest {
        provider: request.provider.as_deref(),
        model_prefix: request.model_prefix.as_deref(),
        after: request.after.as_deref(),
        limit: request.limit,
        facts,
    }
}
