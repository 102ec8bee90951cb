//! The rate card.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::Query;
use super::super::problem::{Kind, Problem};
use super::reports::KeySourceJson;
use super::{blocking, text};
use crate::wire::plain;
use farebox_pricing::card::{FeatureFloor, PAGE_MAX, RateCardEntry, RateCardRate, RateCardRequest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which part of the card.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CardQuery {
    /// Only models of this provider.
    provider: Option<String>,
    /// Only models whose name begins with this.
    model_prefix: Option<String>,
    /// Whose provider key would serve the calls; `managed` when not given.
    key_source: Option<KeySourceJson>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many models, 1 to 500; 100 when not given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// What one unit sells for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateJson {
    #[schema(example = "input")]
    meter: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// Holds when the prompt tokens of the request pass this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_above: Option<u64>,
    /// USD per unit, every markup included.
    unit_price_usd: String,
    /// USD per unit at the provider's list price.
    market_usd: String,
}

impl From<&RateCardRate> for RateJson {
    fn from(rate: &RateCardRate) -> Self {
        Self {
            meter: rate.meter.name().to_owned(),
            attributes: rate
                .attributes
                .iter()
                .map(|attribute| (attribute.name.to_string(), attribute.value.to_string()))
                .collect(),
            service_tier: rate.service_tier.as_deref().map(Into::into),
            region: rate.region.as_deref().map(Into::into),
            context_above: rate.context_above,
            unit_price_usd: plain(rate.unit_price_usd),
            market_usd: plain(rate.market_usd),
        }
    }
}

/// A model and its rates.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryJson {
    provider: String,
    model: String,
    rates: Vec<RateJson>,
}

impl From<&RateCardEntry> for EntryJson {
    fn from(entry: &RateCardEntry) -> Self {
        Self {
            provider: entry.provider.to_string(),
            model: entry.model.to_string(),
            rates: entry.rates.iter().map(Into::into).collect(),
        }
    }
}

/// What calls for a feature need and cost at least.
#[derive(Debug, Serialize, ToSchema)]
pub struct FloorJson {
    #[schema(example = "lead_enrichment")]
    feature: String,
    /// The least that a quote says and a hold reserves; the charge may be less.
    #[serde(skip_serializing_if = "Option::is_none")]
    preflight_usd: Option<String>,
    /// The least that a call is charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_usd: Option<String>,
}

impl From<&FeatureFloor> for FloorJson {
    fn from(floor: &FeatureFloor) -> Self {
        Self {
            feature: floor.feature.to_string(),
            preflight_usd: floor.preflight_usd.map(plain),
            minimum_usd: floor.minimum_usd.map(plain),
        }
    }
}

/// A page of the rate card.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardJson {
    /// By provider, then model.
    items: Vec<EntryJson>,
    /// By feature; on every page. Features without a floor are not on it.
    features: Vec<FloorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What the org would pay, model by model
#[utoipa::path(get, path = "/v1/rate-card", tag = "wallet", params(CardQuery),
    responses((status = 200, body = CardJson)))]
pub async fn rate_card(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<CardQuery>,
) -> Result<Answer<CardJson>, Problem> {
    let context = auth.to_read()?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidRequest,
            format!("`limit` is `{limit}`, but must be 1 to {PAGE_MAX}"),
        ));
    }
    let request = RateCardRequest {
        provider: text("provider", query.provider)?,
        model_prefix: text("model_prefix", query.model_prefix)?,
        after: query.cursor.map(|cursor| after(&cursor)).transpose()?,
        limit,
    };
    let key_source = query.key_source.unwrap_or_default().into();
    let card = blocking(&api, move |service| {
        service.rate_card(&context, &request, key_source)
    })
    .await?;
    Ok(Answer(CardJson {
        items: card.page.entries.iter().map(Into::into).collect(),
        features: card.floors.iter().map(Into::into).collect(),
        next_cursor: card.page.next.map(|next| hex::encode(next.as_bytes())),
    }))
}

/// The same as `/v1/rate-card`, for clients of older paths
#[utoipa::path(get, path = "/api/v1/credits/rate-cards/", tag = "wallet", params(CardQuery),
    responses((status = 200, body = CardJson)))]
pub async fn rate_card_alias(
    state: State,
    auth: Auth,
    query: Query<CardQuery>,
) -> Result<Answer<CardJson>, Problem> {
    rate_card(state, auth, query).await
}

fn after(cursor: &str) -> Result<Box<str>, Problem> {
    hex::decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Into::into)
        .ok_or_else(|| Problem::new(Kind::InvalidCursor, "use `next_cursor` of the page before"))
}
