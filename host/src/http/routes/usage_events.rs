//! A usage event as it is shown: alone, in a list, as a line of a CSV file.

use super::super::export::{Row, cell};
use super::super::show::{credits, owned};
use super::super::time;
use super::receipts::EventJson;
use crate::service::ledger::view::{Savings, UsageView};
use crate::wire::plain;
use serde::Serialize;
use utoipa::ToSchema;

/// A usage event and what it cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageJson {
    id: String,
    occurred_at: String,
    recorded_at: String,
    /// `charged` or `unpriced`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market_usd: Option<String>,
    /// How much less than `market_usd` the call cost, in USD; below zero where it cost more. Absent on
    /// the customer's own key, where the list price was paid to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_usd: Option<String>,
    /// The same in percent of `market_usd`, cut to two decimal places.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_percent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    event: EventJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    streaming: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl From<&UsageView> for UsageJson {
    fn from(usage: &UsageView) -> Self {
        let charge = usage.charge.as_ref();
        let savings = charge.and_then(Savings::of);
        Self {
            id: usage.id.to_string(),
            occurred_at: time::show(usage.occurred_at_ms),
            recorded_at: time::show(usage.recorded_at_ms),
            status: if charge.is_some() {
                "charged"
            } else {
                "unpriced"
            },
            charge_id: charge.map(|charge| charge.id.to_string()),
            hold_id: usage.hold.map(|hold| hold.to_string()),
            credits: charge.map(|charge| credits(charge.price)),
            market_usd: charge.and_then(|charge| charge.market_usd).map(plain),
            saved_usd: savings.map(|savings| plain(savings.saved_usd)),
            saved_percent: savings.and_then(Savings::percent).map(plain),
            reason: usage
                .unpriced
                .as_ref()
                .map(|unpriced| unpriced.reason.to_string()),
            event: (&usage.event).into(),
            key_id: usage.dimensions.key.map(|key| key.to_string()),
            project: owned(&usage.dimensions.project),
            user: owned(&usage.dimensions.user),
            agent: owned(&usage.dimensions.agent),
            latency_ms: usage.audit.latency_ms,
            provider_status: usage.audit.status,
            streaming: usage.audit.streaming,
            response_id: owned(&usage.audit.response_id),
            external_id: owned(&usage.audit.external_id),
            client_ip: owned(&usage.personal.client_ip),
            user_agent: owned(&usage.personal.user_agent),
        }
    }
}

impl Row for UsageJson {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "occurred_at",
        "recorded_at",
        "status",
        "charge_id",
        "hold_id",
        "credits",
        "market_usd",
        "saved_usd",
        "saved_percent",
        "provider",
        "model",
        "feature",
        "key_id",
        "project",
        "user",
        "agent",
        "pools",
        "latency_ms",
        "provider_status",
    ];

    fn cells(&self) -> Vec<String> {
        let pools: Vec<_> = self.event.pools().collect();
        vec![
            self.id.clone(),
            self.occurred_at.clone(),
            self.recorded_at.clone(),
            self.status.to_owned(),
            cell(&self.charge_id),
            cell(&self.hold_id),
            cell(&self.credits),
            cell(&self.market_usd),
            cell(&self.saved_usd),
            cell(&self.saved_percent),
            self.event.provider().to_owned(),
            self.event.model().unwrap_or_default().to_owned(),
            self.event.feature().unwrap_or_default().to_owned(),
            cell(&self.key_id),
            cell(&self.project),
            cell(&self.user),
            cell(&self.agent),
            pools.join(" "),
            self.latency_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            self.provider_status
                .map(|status| status.to_string())
                .unwrap_or_default(),
        ]
    }
}
