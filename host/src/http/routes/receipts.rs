//! Why a charge is what it is.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json};
use super::super::problem::Problem;
use super::super::show::{PriceJson, credits, owned};
use super::super::time;
use super::reports::KeySourceJson;
use crate::service::ledger::past::CorrectionView;
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::write::Way;
use crate::service::policy::ReleaseId;
use crate::service::receipts::Basis;
use crate::wire::plain;
use farebox_ledger::ids::ChargeId;
use farebox_pricing::event::{Deployment, Facts, UsageEvent};
use farebox_pricing::meter::{Attribute, Pool};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A quantity of one meter.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolJson {
    #[schema(example = "input")]
    meter: String,
    #[schema(example = "1200")]
    quantity: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

impl From<&Pool> for PoolJson {
    fn from(pool: &Pool) -> Self {
        Self {
            meter: pool.meter.name().to_owned(),
            quantity: plain(pool.quantity.get()),
            attributes: named(&pool.attributes),
        }
    }
}

fn named(attributes: &[Attribute]) -> BTreeMap<String, String> {
    attributes
        .iter()
        .map(|attribute| (attribute.name.to_string(), attribute.value.to_string()))
        .collect()
}

/// What was used.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventJson {
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_asked: Option<String>,
    /// The model that answered: the one that is priced.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_served: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
    /// Exclusive pools: a token stands in exactly one.
    pools: Vec<PoolJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_cost_usd: Option<String>,
}

impl EventJson {
    /// The provider.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The model that is priced.
    pub fn model(&self) -> Option<&str> {
        self.model_served.as_deref().or(self.model_asked.as_deref())
    }

    /// What it was for.
    pub fn feature(&self) -> Option<&str> {
        self.feature.as_deref()
    }

    /// Each pool as `meter=quantity`.
    pub fn pools(&self) -> impl Iterator<Item = String> {
        self.pools
            .iter()
            .map(|pool| format!("{}={}", pool.meter, pool.quantity))
    }
}

impl From<&UsageEvent> for EventJson {
    fn from(event: &UsageEvent) -> Self {
        Self {
            provider: event.provider.to_string(),
            model_asked: owned(&event.model_asked),
            model_served: owned(&event.model_served),
            service_tier: owned(&event.service_tier),
            region: owned(&event.region),
            feature: owned(&event.feature),
            pools: event.pools.iter().map(Into::into).collect(),
            provider_cost_usd: event.provider_cost_usd.map(plain),
        }
    }
}

/// What the server vouched for.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactsJson {
    /// `hosted` or `self-hosted`.
    deployment: &'static str,
    key_source: KeySourceJson,
    occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// What the org was charged this month before this event.
    month_to_date_usd: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    other: BTreeMap<String, String>,
}

impl From<&Facts> for FactsJson {
    fn from(facts: &Facts) -> Self {
        Self {
            deployment: match facts.deployment {
                Deployment::Hosted => "hosted",
                Deployment::SelfHosted => "self-hosted",
            },
            key_source: facts.key_source.into(),
            occurred_at: time::show(facts.occurred_at_ms),
            plan: owned(&facts.plan),
            org: owned(&facts.org),
            project: owned(&facts.project),
            user: owned(&facts.user),
            agent: owned(&facts.agent),
            month_to_date_usd: plain(facts.month_to_date_usd),
            other: named(&facts.other),
        }
    }
}

/// What prices calls; component and book by SHA-256, hex.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseJson {
    /// The release's address.
    id: String,
    component: String,
    book: String,
}

impl From<&ReleaseId> for ReleaseJson {
    fn from(release: &ReleaseId) -> Self {
        Self {
            id: release.to_string(),
            component: hex::encode(release.component.0),
            book: hex::encode(release.book.0),
        }
    }
}

/// By what a charge came to its price.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BasisJson {
    /// A release priced it: by rates, a vouched provider cost, or the fee on an own key.
    Policy,
    /// An operator decided to charge nothing for usage that had no price.
    WriteOff,
}

impl From<Basis> for BasisJson {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Policy(_) => Self::Policy,
            Basis::WriteOff => Self::WriteOff,
        }
    }
}

/// All that is needed to price a charge again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptJson {
    charge_id: String,
    event_id: String,
    event: EventJson,
    facts: FactsJson,
    basis: BasisJson,
    /// The release that priced it; absent on a write-off.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseJson>,
    price: PriceJson,
    /// What one credit was worth.
    credit_usd: String,
    /// How the price became whole nano-credits.
    rounding: &'static str,
    /// Whether the release declares that it sells below cost, and this call was.
    below_cost: bool,
    /// What was corrected since, because the release was wrong; oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionJson>,
}

/// A correction of a charge.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionJson {
    /// The transaction that posted it; its note says why.
    transaction_id: String,
    /// The release that should have priced the charge.
    release_id: String,
    /// `back`: to the customer; `taken`: from it.
    way: &'static str,
    credits: String,
}

impl From<&CorrectionView> for CorrectionJson {
    fn from(view: &CorrectionView) -> Self {
        Self {
            transaction_id: view.transaction.to_string(),
            release_id: view.release.to_string(),
            way: match view.way {
                Way::Back | Way::Returned => "back",
                Way::Taken => "taken",
            },
            credits: credits(view.amount),
        }
    }
}

impl From<&Receipt> for ReceiptJson {
    fn from(receipt: &Receipt) -> Self {
        let pricing = &receipt.pricing;
        Self {
            charge_id: receipt.charge.to_string(),
            event_id: receipt.event_id.to_string(),
            event: (&receipt.event).into(),
            facts: (&pricing.facts).into(),
            basis: Basis::of(pricing).into(),
            release: pricing.release.as_ref().map(Into::into),
            price: pricing.into(),
            credit_usd: plain(pricing.peg.usd_per_credit()),
            rounding: pricing.rounding.name(),
            below_cost: pricing.below_cost,
            corrections: Vec::new(),
        }
    }
}

/// Why a charge is what it is
#[utoipa::path(get, path = "/v1/charges/{charge_id}/receipt", tag = "charges",
    params(("charge_id" = String, Path)),
    responses((status = 200, body = ReceiptJson)))]
pub async fn receipt(
    axum::extract::State(api): State,
    auth: Auth,
    Id(charge): Id<ChargeId>,
) -> Result<Answer<ReceiptJson>, Problem> {
    let context = auth.to_read()?;
    let receipt = api.service.receipt(&context, charge)?;
    let corrections = api.service.store().corrections(charge)?;
    Ok(Answer(ReceiptJson {
        corrections: corrections.iter().map(Into::into).collect(),
        ..(&receipt).into()
    }))
}

/// Nothing: everything a replay needs is in the receipt.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {}

/// A charge priced again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayJson {
    charge_id: String,
    /// What prices it again: its own release; of a write-off, the rule that it costs nothing.
    basis: BasisJson,
    /// Whether every line and amount is the same, to the digit.
    same: bool,
    charged: PriceJson,
    replayed: PriceJson,
}

/// Price a charge again from its receipt; nothing is charged by it; send `{}`
///
/// Every kind of charge has an answer: one that a release priced (by rates, by a vouched provider
/// cost, with an own key, or at zero) is priced by that release; a write-off is zero by its rule.
/// Only a release that is not loaded any more gives a problem, `release-missing`.
#[utoipa::path(post, path = "/v1/charges/{charge_id}/replay", tag = "charges",
    params(("charge_id" = String, Path)), request_body = ReplayBody,
    responses((status = 200, body = ReplayJson)))]
pub async fn replay(
    axum::extract::State(api): State,
    auth: Auth,
    Id(charge): Id<ChargeId>,
    _body: Json<ReplayBody>,
) -> Result<Answer<ReplayJson>, Problem> {
    let context = auth.to_read()?;
    let replay = api.service.replay(&context, charge)?;
    Ok(Answer(ReplayJson {
        charge_id: charge.to_string(),
        basis: Basis::of(&replay.receipt.pricing).into(),
        same: replay.is_same(),
        charged: (&replay.receipt.pricing).into(),
        replayed: (&replay.again).into(),
    }))
}
