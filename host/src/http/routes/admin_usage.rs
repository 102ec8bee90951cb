//! For admins: usage that waits for a price.

use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Json, Pair};
use super::super::problem::Problem;
use super::super::show::{BalanceJson, PriceJson};
use super::super::{Api, State};
use super::blocking;
use super::jobs::address;
use super::reports::KeySourceJson;
use crate::service::policy::ReleaseId;
use crate::service::settle::Settlement;
use farebox_ledger::ids::{EventId, OrgId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// How the price is found.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleBody {
    /// Charge nothing, instead of rating it again.
    #[serde(default)]
    write_off: bool,
    /// Whose provider key served it, where there was no hold; `managed` when not given.
    key_source: Option<KeySourceJson>,
    /// What prices it where the release that it ran under has no price for it, is not loaded, or was
    /// revoked; not the candidate of a trial. When not given, nothing does.
    under_release_id: Option<String>,
}

/// The release that an operator lets price what its own cannot.
///
/// # Errors
/// It is no release, or one that may not.
pub(super) async fn under(
    api: &Arc<Api>,
    named: Option<String>,
) -> Result<Option<ReleaseId>, Problem> {
    let Some(named) = named else { return Ok(None) };
    let address = address("under_release_id", &named)?;
    blocking(api, move |service| service.rates_waiting(address).map(Some)).await
}

/// Usage that has its price now.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettledJson {
    event_id: String,
    charge_id: String,
    #[serde(flatten)]
    price: PriceJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

/// Rate usage again that was recorded without a price, and charge it
///
/// It is rated under the release that it ran under; under another only where that one is named.
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/usage/{event_id}/settle", tag = "admin",
    params(("org_id" = String, Path), ("event_id" = String, Path)), request_body = SettleBody,
    responses((status = 200, body = SettledJson)))]
pub async fn settle(
    axum::extract::State(api): State,
    auth: Auth,
    Pair(org, event): Pair<OrgId, EventId>,
    body: Json<SettleBody>,
) -> Result<Answer<SettledJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let settlement = if body.value.write_off {
        Settlement::WriteOff
    } else {
        Settlement::Rate {
            key_source: body.value.key_source.map(Into::into),
            under: under(&api, body.value.under_release_id).await?,
        }
    };
    let (charge, pricing, acknowledged) = api.service.settle(&context, event, settlement).await?;
    Ok(Answer(SettledJson {
        event_id: event.to_string(),
        charge_id: charge.to_string(),
        price: (&pricing).into(),
        balance: acknowledged.wallet.as_ref().map(Into::into),
    }))
}
