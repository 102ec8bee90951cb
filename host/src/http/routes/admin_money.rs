//! For admins: grants, adjustments, refunds, shortfalls.

use super::super::State;
use super::super::amount::Amount;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json};
use super::super::problem::{Kind, Problem};
use super::super::show::{BalanceJson, credits};
use super::super::time;
use super::{nanos, text};
use crate::service::grants::NewGrant;
use crate::service::ledger::write::Acknowledged;
use crate::service::refunds::Refundable;
use axum::http::StatusCode;
use farebox_ledger::effect::Outcome;
use farebox_ledger::grant::{Cash, GrantSource};
use farebox_ledger::ids::OrgId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Priority of a grant whose giver does not say: purchased and promotional credits alike.
const PRIORITY_DEFAULT: u16 = 100;

/// Where a grant comes from.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceJson {
    /// The customer paid for it.
    Purchase,
    /// Given away.
    Promotional,
}

/// Money outside the ledger.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CashBody {
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// In the currency's smallest unit, such as cents.
    #[schema(example = 5000)]
    minor_units: u64,
}

impl CashBody {
    fn read(&self) -> Result<Cash, Problem> {
        let currency: Option<[u8; 3]> = self.currency.as_bytes().try_into().ok();
        currency
            .filter(|code| code.iter().all(u8::is_ascii_uppercase))
            .map(|currency| Cash {
                currency,
                minor_units: self.minor_units,
            })
            .ok_or_else(|| {
                Problem::new(
                    Kind::InvalidRequest,
                    "`cash_paid.currency` must be three capital letters, such as `USD`",
                )
            })
    }
}

/// A payment, which buys once, whatever the idempotency key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentBody {
    #[schema(example = "stripe")]
    provider: String,
    /// The provider's id of the payment.
    id: String,
}

/// Credits to be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// How much, above zero.
    amount_credits: Amount,
    source: SourceJson,
    /// What was paid.
    cash_paid: Option<CashBody>,
    payment: Option<PaymentBody>,
    /// Lower is spent first; 100 when not given.
    priority: Option<u16>,
    /// When it can no longer be spent.
    expires_at: Option<String>,
    /// The only features it may be spent on; empty: any.
    #[serde(default)]
    features: Vec<String>,
    /// Why.
    note: Option<String>,
}

/// Credits that were given.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantedJson {
    #[schema(example = "grant_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

/// Give credits; an open shortfall is settled from them at once
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/grants", tag = "admin",
    params(("org_id" = String, Path)), request_body = GrantBody,
    responses((status = 201, body = GrantedJson)))]
pub async fn grant(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<GrantBody>,
) -> Result<(StatusCode, Answer<GrantedJson>), Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let value = body.value;
    let mut features = Vec::with_capacity(value.features.len());
    for feature in value.features {
        features.extend(text("features", Some(feature))?);
    }
    let payment = match value.payment {
        Some(payment) => text("payment.provider", Some(payment.provider))?
            .zip(text("payment.id", Some(payment.id))?),
        None => None,
    };
    let grant = NewGrant {
        source: match value.source {
            SourceJson::Purchase => GrantSource::Purchase,
            SourceJson::Promotional => GrantSource::Promotional,
        },
        amount: nanos("amount_credits", value.amount_credits)?,
        cash_paid: value.cash_paid.as_ref().map(CashBody::read).transpose()?,
        priority: value.priority.unwrap_or(PRIORITY_DEFAULT),
        expires_at_ms: time::read_some("expires_at", value.expires_at.as_deref())?,
        features: features.into(),
        payment,
        note: text("note", value.note)?,
    };
    let (id, acknowledged) = api.service.grant(&context, grant).await?;
    Ok((
        StatusCode::CREATED,
        Answer(GrantedJson {
            id: id.to_string(),
            replayed: acknowledged.replayed,
            balance: acknowledged.wallet.as_ref().map(Into::into),
        }),
    ))
}

/// A correction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentBody {
    /// What the customer gains; below zero: loses.
    amount_credits: Amount,
    /// Why. Shown to the customer.
    note: String,
}

/// What the wallet is after an operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoneJson {
    replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

impl From<&Acknowledged> for DoneJson {
    fn from(acknowledged: &Acknowledged) -> Self {
        Self {
            replayed: acknowledged.replayed,
            balance: acknowledged.wallet.as_ref().map(Into::into),
        }
    }
}

/// Correct a wallet, up or down
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/adjustments", tag = "admin",
    params(("org_id" = String, Path)), request_body = AdjustmentBody,
    responses((status = 200, body = DoneJson)))]
pub async fn adjust(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<AdjustmentBody>,
) -> Result<Answer<DoneJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let note = text("note", Some(body.value.note))?
        .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`note` is missing"))?;
    let Amount(amount) = body.value.amount_credits;
    let acknowledged = if amount < Decimal::ZERO {
        let amount = nanos("amount_credits", Amount(amount.abs()))?;
        api.service.deduct(&context, amount, note).await?
    } else {
        let grant = NewGrant {
            source: GrantSource::Adjustment,
            amount: nanos("amount_credits", Amount(amount))?,
            cash_paid: None,
            priority: PRIORITY_DEFAULT,
            expires_at_ms: None,
            features: Box::default(),
            payment: None,
            note: Some(note),
        };
        api.service.grant(&context, grant).await?.1
    };
    Ok(Answer((&acknowledged).into()))
}

/// What is given back: exactly one of `charge_id` and `grant_id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundBody {
    /// A charge: back into the lots it was paid from.
    charge_id: Option<String>,
    /// A lot: its unspent part, for cash that goes back outside the ledger.
    grant_id: Option<String>,
    /// How much; all that is left when not given.
    amount_credits: Option<Amount>,
    /// Why.
    note: Option<String>,
}

/// What was given back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundedJson {
    #[schema(example = "refund_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    replayed: bool,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_credits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
}

fn refundable(body: &RefundBody) -> Result<Refundable, Problem> {
    match (&body.charge_id, &body.grant_id) {
        (Some(charge), None) => charge
            .parse()
            .map(Refundable::Charge)
            .map_err(|_| Problem::new(Kind::NotFound, "there is no such charge")),
        (None, Some(grant)) => grant
            .parse()
            .map(Refundable::Grant)
            .map_err(|_| Problem::new(Kind::NotFound, "there is no such grant")),
        _ => Err(Problem::new(
            Kind::InvalidRequest,
            "give exactly one of `charge_id` and `grant_id`",
        )),
    }
}

/// Give back a charge or a lot, to the nano; nothing is priced again
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/refunds", tag = "admin",
    params(("org_id" = String, Path)), request_body = RefundBody,
    responses((status = 201, body = RefundedJson)))]
pub async fn refund(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<RefundBody>,
) -> Result<(StatusCode, Answer<RefundedJson>), Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let what = refundable(&body.value)?;
    let amount = body
        .value
        .amount_credits
        .map(|amount| nanos("amount_credits", amount))
        .transpose()?;
    let note = text("note", body.value.note)?;
    let (id, acknowledged) = api.service.refund(&context, what, amount, note).await?;
    Ok((
        StatusCode::CREATED,
        Answer(RefundedJson {
            id: id.to_string(),
            replayed: acknowledged.replayed,
            amount_credits: match &acknowledged.outcome {
                Outcome::Refunded(refunded) => Some(credits(refunded.amount)),
                _ => None,
            },
            balance: acknowledged.wallet.as_ref().map(Into::into),
        }),
    ))
}

/// How much of a shortfall the operator takes on itself.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsorbBody {
    /// How much; all of it when not given.
    amount_credits: Option<Amount>,
    /// Why.
    note: Option<String>,
}

/// Take an open shortfall on, so that the org can call again
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/shortfall/absorb", tag = "admin",
    params(("org_id" = String, Path)), request_body = AbsorbBody,
    responses((status = 200, body = DoneJson)))]
pub async fn absorb(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<AbsorbBody>,
) -> Result<Answer<DoneJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let amount = body
        .value
        .amount_credits
        .map(|amount| nanos("amount_credits", amount))
        .transpose()?;
    let note = text("note", body.value.note)?;
    let acknowledged = api.service.absorb_shortfall(&context, amount, note).await?;
    Ok(Answer((&acknowledged).into()))
}
