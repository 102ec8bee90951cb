//! The wallet.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::problem::Problem;
use super::super::show::{BalanceJson, GrantJson, TotalsJson};
use crate::wire::plain;
use serde::Serialize;
use utoipa::ToSchema;

/// An org's wallet.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletJson {
    org_id: String,
    /// The name of the credits.
    #[schema(example = "credit")]
    commodity: String,
    /// What one of them is worth in USD today.
    #[schema(example = "0.1")]
    credit_usd: String,
    /// The currency that they are pegged to.
    #[schema(example = "USD")]
    currency: String,
    /// What one of them is worth in that currency, always.
    #[schema(example = "0.1")]
    credit_value: String,
    balance: BalanceJson,
    totals: TotalsJson,
    /// Lots with something left, in the order they are spent.
    grants: Vec<GrantJson>,
}

/// What the org has
#[utoipa::path(get, path = "/v1/wallet", tag = "wallet",
    responses((status = 200, body = WalletJson)))]
pub async fn wallet(
    axum::extract::State(api): State,
    auth: Auth,
) -> Result<Answer<WalletJson>, Problem> {
    let context = auth.to_read()?;
    let (view, grants) = api.service.wallet(&context)?;
    Ok(Answer(WalletJson {
        org_id: context.org.to_string(),
        commodity: view.commodity.name.to_string(),
        credit_usd: plain(api.service.peg_now().usd_per_credit()),
        currency: view.commodity.currency.to_string(),
        credit_value: plain(view.commodity.per_credit),
        balance: (&view.wallet).into(),
        totals: (&view.wallet).into(),
        grants: grants.iter().map(Into::into).collect(),
    }))
}

/// The same as `/v1/wallet`, for clients of older paths
#[utoipa::path(get, path = "/api/v1/credits/wallet/", tag = "wallet",
    responses((status = 200, body = WalletJson)))]
pub async fn wallet_alias(state: State, auth: Auth) -> Result<Answer<WalletJson>, Problem> {
    wallet(state, auth).await
}
