//! Before a call: quotes and holds.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json};
use super::super::problem::{Kind, Problem};
use super::super::show::{AlertJson, BalanceJson, credits};
use super::super::time;
use super::receipts::ReleaseJson;
use super::reports::{KeySourceJson, labels};
use super::{digest, nanos, text};
use crate::http::amount::Amount;
use crate::service::calls::Call;
use crate::service::holds::Held;
use crate::service::intake;
use crate::service::ledger::view::HoldView;
use crate::service::quotes::Quoted;
use crate::wire::{AmountText, LineJson, PoolsText, plain};
use axum::http::StatusCode;
use farebox_ledger::ids::{HoldId, OrgId, QuoteId};
use farebox_pricing::event::QuoteRequest;
use farebox_pricing::money::Nanos;
use farebox_pricing::provider;
use farebox_usage::RequestFacts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A call that is about to run. `request` is the body as it will be sent to the provider: model,
/// limits and size are read from it, and nothing of it is kept. What is stated beside it wins.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallBody {
    /// The provider's id.
    #[schema(example = "openai")]
    provider: String,
    /// The model asked for.
    #[schema(example = "gpt-4o-mini")]
    model: Option<String>,
    /// The request body as it will be sent.
    #[schema(value_type = Option<Object>)]
    request: Option<Box<RawValue>>,
    /// Bytes of the request body: an upper bound of its text tokens.
    #[schema(example = 812)]
    body_bytes: Option<u64>,
    /// The request's own limit on output tokens.
    #[schema(example = 500)]
    max_output_tokens: Option<u64>,
    /// The service tier asked for.
    service_tier: Option<String>,
    /// Where it will be served.
    region: Option<String>,
    /// Upper bounds of what bytes do not bound: media, searches, tools; by pool.
    declared: Option<PoolsText>,
    /// Upper bound of a vouched provider cost, such as an actor run's.
    #[schema(value_type = Option<Amount>)]
    provider_cost_max_usd: Option<AmountText>,
    /// Whose provider key serves the call; `managed` when not given.
    key_source: Option<KeySourceJson>,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    /// What the call is for.
    feature: Option<String>,
}

impl CallBody {
    fn read(self) -> Result<Call, Problem> {
        let facts = match &self.request {
            Some(raw) => RequestFacts::from_body(raw.get().as_bytes()).map_err(|error| {
                Problem::new(Kind::InvalidRequest, format!("`request`: {error}"))
            })?,
            None => RequestFacts::default(),
        };
        let provider = provider::normalise(&self.provider)
            .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`provider` is not a provider id"))?;
        let body_bytes = match self.body_bytes {
            Some(bytes) => bytes,
            None => facts.body_bytes,
        };
        let provider_cost_max_usd = self
            .provider_cost_max_usd
            .as_ref()
            .map(|amount| intake::cost("provider_cost_max_usd", amount.as_str()))
            .transpose()?;
        let declared = match &self.declared {
            Some(pools) => intake::pools(&pools.iter().collect::<Vec<_>>())?,
            None => Vec::new(),
        };
        let feature = text("feature", self.feature)?;
        let request = QuoteRequest {
            provider: provider.as_ref().into(),
            model: text("model", self.model)?.or(facts.model),
            service_tier: text("service_tier", self.service_tier)?.or(facts.service_tier),
            region: text("region", self.region)?,
            feature: feature.clone(),
            body_bytes,
            max_output_tokens: self.max_output_tokens.or(facts.max_output_tokens),
            declared,
            provider_cost_max_usd,
        };
        if request.model.is_some() && self.request.is_none() && self.body_bytes.is_none() {
            return Err(Problem::new(
                Kind::InvalidRequest,
                "give `request` or `body_bytes`: without it nothing bounds the input",
            ));
        }
        Ok(Call {
            request,
            key_source: self.key_source.unwrap_or_default().into(),
            labels: labels(self.project, self.user, self.agent, None)?.with_feature(feature),
        })
    }
}

/// A quote.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteBody {
    /// The call.
    call: CallBody,
    /// Whether to keep the quote for a day, so that somebody can approve it.
    #[serde(default)]
    keep: bool,
}

/// What a call can cost at most.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuoteJson {
    /// The id of a kept quote.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// The most that the call can be charged, in USD, exact.
    max_price_usd: String,
    /// The same in credits, rounded up.
    max_credits: String,
    /// The output tokens the bound assumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    /// The worst case, line by line.
    lines: Vec<LineJson>,
}

impl From<&Quoted> for QuoteJson {
    fn from(quoted: &Quoted) -> Self {
        let quote = &quoted.quote;
        Self {
            id: quoted.kept.map(|(id, _)| id.to_string()),
            expires_at: quoted.kept.map(|(_, at_ms)| time::show(at_ms)),
            max_price_usd: plain(quote.total_usd),
            max_credits: credits(quoted.amount),
            max_output_tokens: quote.max_output_tokens,
            lines: quote.lines.iter().map(LineJson::from).collect(),
        }
    }
}

/// What a call can cost at most, before it runs
#[utoipa::path(post, path = "/v1/quotes", tag = "calls", request_body = QuoteBody,
    responses((status = 200, body = QuoteJson)))]
pub async fn quote(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<QuoteBody>,
) -> Result<Answer<QuoteJson>, Problem> {
    let context = auth.to_write(body.idempotency)?;
    let call = body.value.call.read()?;
    let quoted = api.service.quote(&context, &call, body.value.keep).await?;
    Ok(Answer((&quoted).into()))
}

/// A hold to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    /// The call.
    call: CallBody,
    /// How long the hold lives, in milliseconds.
    ttl_ms: Option<i64>,
    /// A kept quote: the hold is refused when the call can cost more than it says.
    quote_id: Option<String>,
    /// Of a gateway that runs a filter: the SHA-256 that the filter carries, in hexadecimal. One that
    /// does not belong to the release is refused (403 `filter-not-known`).
    filter: Option<String>,
}

/// A hold that was placed or renewed.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldJson {
    #[schema(example = "hold_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    /// Whose it is.
    org_id: String,
    /// What is put aside now.
    credits: String,
    /// When it is over unless renewed.
    expires_at: String,
    /// The release that will price what is reported under it.
    release: ReleaseJson,
    /// Whether this is the answer to an earlier, equal request.
    replayed: bool,
    /// The output tokens the hold allows for.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
    /// Budgets that are now past their limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alerts: Vec<AlertJson>,
}

impl HoldJson {
    fn of(org: OrgId, held: &Held, max_output_tokens: Option<u64>) -> Self {
        let acknowledged = &held.acknowledged;
        Self {
            id: held.id.to_string(),
            org_id: org.to_string(),
            credits: credits(held.left),
            expires_at: time::show(held.expires_at_ms),
            release: (&held.release).into(),
            replayed: acknowledged.replayed,
            max_output_tokens,
            balance: acknowledged.wallet.as_ref().map(Into::into),
            alerts: acknowledged.alerts.iter().map(Into::into).collect(),
        }
    }
}

fn quote_id(text: Option<String>) -> Result<Option<QuoteId>, Problem> {
    text.map(|text| text.parse())
        .transpose()
        .map_err(|_| Problem::new(Kind::NotFound, "there is no such quote"))
}

/// Put the worst case of a call aside
///
/// Wallet and budgets are checked in the same step. When there is not enough: 402, with what is
/// missing and the largest limit on output that would fit.
#[utoipa::path(post, path = "/v1/holds", tag = "calls", request_body = HoldBody,
    responses((status = 201, body = HoldJson)))]
pub async fn hold(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<HoldBody>,
) -> Result<(StatusCode, Answer<HoldJson>), Problem> {
    let context = auth.to_write(body.idempotency)?;
    let call = body.value.call.read()?;
    let quote = quote_id(body.value.quote_id)?;
    let filter = digest("filter", body.value.filter.as_deref())?;
    let (held, worst) = api
        .service
        .hold(&context, &call, body.value.ttl_ms, quote, filter)
        .await?;
    let answer = HoldJson::of(context.org, &held, worst.quote.max_output_tokens);
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// A hold, active or over.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldStateJson {
    id: String,
    /// `active`, `captured`, `released` or `expired`; of a lease also `in_doubt`, and `lapsed`.
    status: &'static str,
    /// Whether it is a lease: the hold of an edge, for many calls.
    lease: bool,
    /// Everything that was ever put aside by it.
    amount_credits: String,
    /// What is still put aside.
    left_credits: String,
    /// What was charged to it so far.
    captured_credits: String,
    placed_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Usage under it that waits for a price.
    unpriced: u32,
}

impl HoldStateJson {
    fn of(view: &HoldView, now_ms: i64) -> Self {
        let hold = &view.hold;
        let ended = view.ended.as_ref();
        Self {
            id: hold.id.to_string(),
            status: match ended {
                Some(ended) => ended.end.name(),
                None if hold.is_in_doubt(now_ms) => "in_doubt",
                None => "active",
            },
            lease: hold.lease.is_some(),
            amount_credits: credits(hold.amount),
            left_credits: credits(if ended.is_some() {
                Nanos::ZERO
            } else {
                hold.left()
            }),
            captured_credits: credits(ended.map_or(hold.captured, |ended| ended.captured)),
            placed_at: time::show(hold.placed_at_ms),
            expires_at: time::show(hold.expires_at_ms),
            ended_at: ended.map(|ended| time::show(ended.ended_at_ms)),
            unpriced: hold.unpriced,
        }
    }
}

/// A hold, active or over
#[utoipa::path(get, path = "/v1/holds/{hold_id}", tag = "calls",
    params(("hold_id" = String, Path)),
    responses((status = 200, body = HoldStateJson)))]
pub async fn show_hold(
    axum::extract::State(api): State,
    auth: Auth,
    Id(hold): Id<HoldId>,
) -> Result<Answer<HoldStateJson>, Problem> {
    let context = auth.to_read()?;
    let view = api.service.find_hold(&context, hold)?;
    let now_ms = api.service.clock().now_ms();
    Ok(Answer(HoldStateJson::of(&view, now_ms)))
}

/// How a hold is renewed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    /// How long it lives from now on, in milliseconds. Never shortens it.
    ttl_ms: Option<i64>,
    /// What is put aside on top.
    extra_credits: Option<Amount>,
}

/// Prolong a hold
#[utoipa::path(post, path = "/v1/holds/{hold_id}/renew", tag = "calls",
    params(("hold_id" = String, Path)), request_body = RenewBody,
    responses((status = 200, body = HoldJson)))]
pub async fn renew(
    axum::extract::State(api): State,
    auth: Auth,
    Id(hold): Id<HoldId>,
    body: Json<RenewBody>,
) -> Result<Answer<HoldJson>, Problem> {
    let context = auth.to_write(body.idempotency)?;
    let extra = match body.value.extra_credits {
        Some(amount) => nanos("extra_credits", amount)?,
        None => Nanos::ZERO,
    };
    let held = api
        .service
        .renew_hold(&context, hold, body.value.ttl_ms, extra)
        .await?;
    Ok(Answer(HoldJson::of(context.org, &held, None)))
}

/// Nothing: every field of a release is in its path.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {}

/// A hold that was let go.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleasedJson {
    id: String,
    /// `released`.
    status: &'static str,
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

/// End a hold without a charge; send `{}`
#[utoipa::path(post, path = "/v1/holds/{hold_id}/release", tag = "calls",
    params(("hold_id" = String, Path)), request_body = ReleaseBody,
    responses((status = 200, body = ReleasedJson)))]
pub async fn release(
    axum::extract::State(api): State,
    auth: Auth,
    Id(hold): Id<HoldId>,
    body: Json<ReleaseBody>,
) -> Result<Answer<ReleasedJson>, Problem> {
    let context = auth.to_write(body.idempotency)?;
    let acknowledged = api.service.release_hold(&context, hold).await?;
    Ok(Answer(ReleasedJson {
        id: hold.to_string(),
        status: "released",
        replayed: acknowledged.replayed,
        balance: acknowledged.wallet.as_ref().map(Into::into),
    }))
}
