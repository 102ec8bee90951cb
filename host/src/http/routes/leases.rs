//! Leases: what an edge holds and charges calls with by itself.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json};
use super::super::problem::{Kind, Problem};
use super::super::show::{BalanceJson, credits};
use super::reports::labels;
use super::{digest, nanos, text};
use crate::http::amount::Amount;
use crate::service::leases::{Edge, Leased, Renewal};
use crate::wire::plain;
use axum::http::StatusCode;
use farebox_ledger::effect::Outcome;
use farebox_ledger::ids::{HoldId, TransactionId};
use farebox_pricing::event::Deployment;
use farebox_pricing::money::Nanos;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A lease to be granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseBody {
    /// The edge's own name, which people will read.
    #[schema(example = "envoy-1")]
    edge: String,
    /// Of an edge that runs a filter: the SHA-256 that the filter carries, in hexadecimal. One that
    /// does not belong to the release is refused (403 `filter-not-known`).
    filter: Option<String>,
    /// The worst case of the call that waits for it. Less is not granted.
    needed_credits: Amount,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    /// What its calls are for.
    feature: Option<String>,
}

/// What the edge prices by: what this server vouches for, as it was when the lease was granted.
#[derive(Debug, Serialize, ToSchema)]
pub struct VouchedJson {
    org_id: String,
    /// The org's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// `hosted` or `self-hosted`.
    deployment: &'static str,
    /// The release that prices its calls.
    release_id: String,
    /// SHA-256 of the release's component, in hexadecimal.
    component: String,
    /// SHA-256 of its canonical price book, in hexadecimal. An edge with another book cannot use
    /// the lease.
    book: String,
    /// What the org had been charged this month, in USD.
    month_to_date_usd: String,
    /// What one credit is worth.
    usd_per_credit: String,
}

/// A lease that was granted or renewed.
///
/// Of its time only lengths are told, from when the request was sent: clocks differ.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseJson {
    /// The hold to report usage under.
    #[schema(example = "hold_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    /// Names the lease as it is now: to be said when it is changed next.
    turn: String,
    /// Everything it was ever given, less what went back. What calls under it have cost or can
    /// still cost must never pass this.
    granted_credits: String,
    /// What is to be free for further calls. More than that goes back with the next renewal.
    free_credits: String,
    /// Whether a call elsewhere waits for what lies idle: renew at once, and keep only what is used.
    recalled: bool,
    /// Whether what is vouched for has changed: new calls need another lease.
    superseded: bool,
    /// Whether less is free than is needed, and no more can come: nothing lies in other leases.
    exhausted: bool,
    /// How long it may be spent from, in milliseconds.
    expires_in_ms: i64,
    /// When to renew it, in milliseconds.
    renew_in_ms: i64,
    /// This server's clock, in milliseconds since the Unix epoch: prices depend on the time.
    now_ms: i64,
    /// Whether this is the answer to an earlier, equal request.
    replayed: bool,
    vouched: VouchedJson,
}

impl LeaseJson {
    fn of(leased: &Leased, now_ms: i64, renew_in_ms: i64) -> Self {
        let vouched = &leased.vouched;
        Self {
            id: leased.id.to_string(),
            turn: leased.turn.to_string(),
            granted_credits: credits(leased.granted),
            free_credits: credits(leased.free_target),
            recalled: leased.recalled,
            superseded: leased.superseded,
            exhausted: leased.exhausted,
            expires_in_ms: leased.expires_at_ms.saturating_sub(now_ms),
            renew_in_ms,
            now_ms,
            replayed: leased.acknowledged.replayed,
            vouched: VouchedJson {
                org_id: vouched.org.to_string(),
                plan: vouched.plan.as_deref().map(str::to_owned),
                deployment: match vouched.deployment {
                    Deployment::Hosted => "hosted",
                    Deployment::SelfHosted => "self-hosted",
                },
                release_id: vouched.release.to_string(),
                component: hex::encode(vouched.release.component.0),
                book: hex::encode(vouched.release.book.0),
                month_to_date_usd: plain(vouched.month_to_date_usd),
                usd_per_credit: plain(vouched.peg.usd_per_credit()),
            },
        }
    }
}

/// Lease credits for the calls of an edge
///
/// For a proxy or gateway that holds and charges calls by itself and reports them under the
/// lease's id. It gets what wallet and budgets have, within a declared share of it. 409 `not-leased`:
/// hold each call instead.
#[utoipa::path(post, path = "/v1/leases", tag = "leases", request_body = LeaseBody,
    responses((status = 201, body = LeaseJson)))]
pub async fn grant(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<LeaseBody>,
) -> Result<(StatusCode, Answer<LeaseJson>), Problem> {
    let context = auth.to_write(body.idempotency)?;
    let asked = body.value;
    let edge = text("edge", Some(asked.edge))?.unwrap_or_default();
    let edge = Edge {
        name: &edge,
        filter: digest("filter", asked.filter.as_deref())?,
    };
    let needed = nanos("needed_credits", asked.needed_credits)?;
    let labels = labels(asked.project, asked.user, asked.agent, asked.feature)?;
    let leased = api
        .service
        .grant_lease(&context, edge, needed, &labels)
        .await?;
    let answer = shown(&api, &leased);
    Ok((StatusCode::CREATED, Answer(answer)))
}

fn shown(api: &super::super::Api, leased: &Leased) -> LeaseJson {
    let service = &api.service;
    let renew_in_ms = service.settings().leases.renew_ms;
    LeaseJson::of(leased, service.clock().now_ms(), renew_in_ms)
}

/// What an edge tells to have its lease renewed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewLeaseBody {
    /// The lease's turn, as the last answer told it.
    turn: String,
    /// Of all it was ever given, what it keeps; the rest goes back. Nothing beyond may be spent
    /// from when this is said until the answer.
    keep_credits: Amount,
    /// What of that no call has taken.
    free_credits: Amount,
    /// What calls took since the last renewal, by their worst cases.
    recent_credits: Amount,
    /// As when the lease was granted.
    filter: Option<String>,
    /// What is to be free at least, for a call that runs and needs more than it took: beyond the
    /// lease's share, if need be.
    needed_credits: Option<Amount>,
}

/// Renew a lease: give back, take more, go on
///
/// 409 `turn-passed` when another request renewed it since; 409 `hold-ended` when it is over.
#[utoipa::path(post, path = "/v1/leases/{lease_id}/renew", tag = "leases",
    params(("lease_id" = String, Path)), request_body = RenewLeaseBody,
    responses((status = 200, body = LeaseJson)))]
pub async fn renew(
    axum::extract::State(api): State,
    auth: Auth,
    Id(lease): Id<HoldId>,
    body: Json<RenewLeaseBody>,
) -> Result<Answer<LeaseJson>, Problem> {
    let context = auth.to_write(body.idempotency)?;
    let asked = Renewal {
        turn: turn(&body.value.turn)?,
        keep: nanos("keep_credits", body.value.keep_credits)?,
        free: nanos("free_credits", body.value.free_credits)?,
        recent: nanos("recent_credits", body.value.recent_credits)?,
        filter: digest("filter", body.value.filter.as_deref())?,
        needed: match body.value.needed_credits {
            Some(needed) => nanos("needed_credits", needed)?,
            None => Nanos::ZERO,
        },
    };
    let leased = api.service.renew_lease(&context, lease, asked).await?;
    Ok(Answer(shown(&api, &leased)))
}

fn turn(text: &str) -> Result<TransactionId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(Kind::InvalidRequest, "`turn` is not one that a lease had"))
}

/// A lease to be returned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLeaseBody {
    /// The lease's turn, as the last answer told it.
    turn: String,
    /// What stays put aside for usage under it that has no price yet; without any, everything goes
    /// back.
    keep_credits: Option<Amount>,
}

/// A lease that was returned.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReturnedJson {
    id: String,
    /// What is kept for usage that has no price yet.
    kept_credits: String,
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

/// Return a lease of which everything is reported
#[utoipa::path(post, path = "/v1/leases/{lease_id}/release", tag = "leases",
    params(("lease_id" = String, Path)), request_body = ReturnLeaseBody,
    responses((status = 200, body = ReturnedJson)))]
pub async fn take_back(
    axum::extract::State(api): State,
    auth: Auth,
    Id(lease): Id<HoldId>,
    body: Json<ReturnLeaseBody>,
) -> Result<Answer<ReturnedJson>, Problem> {
    let context = auth.to_write(body.idempotency)?;
    let turn = turn(&body.value.turn)?;
    let keep = match body.value.keep_credits {
        Some(amount) => nanos("keep_credits", amount)?,
        None => Nanos::ZERO,
    };
    let acknowledged = api
        .service
        .return_lease(&context, lease, turn, keep)
        .await?;
    let kept = match acknowledged.outcome {
        Outcome::Leased { left, .. } => left,
        _ => Nanos::ZERO,
    };
    Ok(Answer(ReturnedJson {
        id: lease.to_string(),
        kept_credits: credits(kept),
        replayed: acknowledged.replayed,
        balance: acknowledged.wallet.as_ref().map(Into::into),
    }))
}
