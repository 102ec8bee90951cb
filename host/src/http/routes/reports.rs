//! A usage report as JSON, on its own or in a batch.

use super::super::body::key_digest;
use super::super::problem::{Kind, Problem};
use super::super::time;
use super::text;
use crate::http::amount::Amount;
use crate::service::calls::Labels;
use crate::service::intake::Report;
use crate::service::ledger::write::{CallAudit, Personal};
use crate::service::usage::Reported;
use crate::wire::{AmountText, PoolsText};
use farebox_ledger::command::Reach;
use farebox_ledger::idempotency::Idempotency;
use farebox_pricing::event::KeySource;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// Whose provider key serves a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeySourceJson {
    /// The operator's.
    #[default]
    Managed,
    /// The customer's own (BYOK).
    Own,
}

impl From<KeySourceJson> for KeySource {
    fn from(json: KeySourceJson) -> Self {
        match json {
            KeySourceJson::Managed => Self::Managed,
            KeySourceJson::Own => Self::Own,
        }
    }
}

impl From<KeySource> for KeySourceJson {
    fn from(source: KeySource) -> Self {
        match source {
            KeySource::Managed => Self::Managed,
            KeySource::Own => Self::Own,
        }
    }
}

/// What operations want to know about a call. Client address and user agent are kept apart and can
/// be erased.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditBody {
    /// How long the provider took.
    pub latency_ms: Option<u32>,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// Whether the answer was streamed.
    pub streaming: Option<bool>,
    /// The caller's own id of the call.
    pub external_id: Option<String>,
    /// The end client's address.
    pub client_ip: Option<String>,
    /// The end client's user agent.
    pub user_agent: Option<String>,
}

impl AuditBody {
    /// What is kept with the call, and what is kept apart.
    pub fn read(self) -> Result<(CallAudit, Personal), Problem> {
        let client_ip = self
            .client_ip
            .map(|address| {
                address.parse::<IpAddr>().map_err(|_| {
                    Problem::new(Kind::InvalidRequest, "`client_ip` is not an IP address")
                })
            })
            .transpose()?;
        let audit = CallAudit {
            latency_ms: self.latency_ms,
            status: self.status,
            streaming: self.streaming,
            response_id: None,
            external_id: text("external_id", self.external_id)?,
        };
        let personal = Personal {
            client_ip: client_ip.map(|address| address.to_string().into()),
            // Agents grow long; what is beyond the limit says nothing.
            user_agent: self.user_agent.map(|agent| {
                agent
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(256)
                    .collect()
            }),
        };
        Ok((audit, personal))
    }
}

/// What a call used. Exactly one of `response`, `sse`, `usage` and `provider_cost_usd` says it;
/// a vouched cost may stand beside `usage`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageBody {
    /// The provider's id.
    #[schema(example = "openai")]
    provider: String,
    /// The family of the answer: `chat`, `completions`, `embeddings`, `responses`, `realtime`,
    /// `images`, `speech`, `transcriptions`, `messages`, `generate_content`, `predict`, `converse`,
    /// `invoke`, `cohere`, `ollama`, `ocr`, `batch` (see docs/usage.md); without it, its shape
    /// decides.
    api: Option<String>,
    /// The model asked for; the one that answered is read from the answer.
    model: Option<String>,
    /// What was known of the request: `{model, stream, max_output, service_tier, body_bytes}`.
    #[schema(value_type = Option<Object>)]
    request: Option<Box<RawValue>>,
    /// The provider's HTTP status. From 400 on, the price book's rule for errors holds.
    status: Option<u16>,
    /// Whether the caller went away before the end of the answer: the price book's rule for that
    /// holds.
    aborted: Option<bool>,
    /// The gateway ended the stream because what it came to had passed its hold: bytes of text, in
    /// UTF-8, that it had passed on by then. What the answer stated is charged, and tokens for that
    /// text.
    cut_off_bytes: Option<u64>,
    /// The provider's JSON answer. Only its usage object, ids, model and tier are kept.
    #[schema(value_type = Option<Object>)]
    response: Option<Box<RawValue>>,
    /// The provider's event stream, as text.
    sse: Option<String>,
    /// Headers of that answer in which its provider counts, as Bedrock does; all may be given.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Exclusive pools: `{"input": 1200, "cache_read": 800, "output": 64}`.
    usage: Option<PoolsText>,
    /// What the provider says the call cost, in USD.
    #[schema(value_type = Option<Amount>)]
    provider_cost_usd: Option<AmountText>,
    /// The tier that was served, where the answer does not say.
    service_tier: Option<String>,
    /// Where it was served, where the answer does not say.
    region: Option<String>,
    /// The hold to capture from.
    hold_id: Option<String>,
    /// Whether nothing more comes under the hold: its rest is given back. A job that reports in
    /// parts says `false` until its last.
    #[serde(rename = "final")]
    is_final: Option<bool>,
    /// When it was used; not further from the server's clock than is declared, or between the placing
    /// of its hold and now. Without it: when the hold was placed, else now.
    occurred_at: Option<String>,
    /// Whose provider key served it; the hold's when not given, else `managed`.
    key_source: Option<KeySourceJson>,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    /// What the call was for.
    feature: Option<String>,
    /// What operations want to know.
    audit: Option<AuditBody>,
    /// Under which this report counts once, in the place of `Idempotency-Key`: the same text by
    /// itself and in any batch is the same report.
    idempotency_key: Option<String>,
}

/// Labels of a call.
pub fn labels(
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    feature: Option<String>,
) -> Result<Labels, Problem> {
    Ok(Labels {
        project: text("project", project)?,
        user: text("user", user)?,
        agent: text("agent", agent)?,
        feature: text("feature", feature)?,
    })
}

impl UsageBody {
    /// The report's own idempotency, where it has one. `text`: the body, as it came.
    pub fn idempotency(&self, text: &[u8]) -> Result<Option<Idempotency>, Problem> {
        let Some(key) = &self.idempotency_key else {
            return Ok(None);
        };
        Ok(Some(Idempotency {
            key_digest: key_digest("idempotency_key", key.as_bytes())?,
            request_digest: Sha256::digest(text).into(),
        }))
    }

    /// The report, borrowing what is large.
    pub fn read(&mut self) -> Result<Reported<'_>, Problem> {
        let labels = labels(
            self.project.take(),
            self.user.take(),
            self.agent.take(),
            self.feature.clone(),
        )?;
        for (field, value) in [
            ("model", &self.model),
            ("service_tier", &self.service_tier),
            ("region", &self.region),
        ] {
            text(field, value.clone())?;
        }
        let hold = self
            .hold_id
            .take()
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Problem::new(Kind::NotFound, "there is no such hold"))?;
        let occurred_at_ms = time::read_some("occurred_at", self.occurred_at.as_deref())?;
        let (mut audit, personal) = self.audit.take().unwrap_or_default().read()?;
        audit.status = audit.status.or(self.status);
        audit.streaming = audit.streaming.or(self.sse.is_some().then_some(true));
        Ok(Reported {
            report: Report {
                provider: &self.provider,
                api: self.api.as_deref(),
                model: self.model.as_deref(),
                request: self.request.as_ref().map(|raw| raw.get().as_bytes()),
                response: self.response.as_ref().map(|raw| raw.get().as_bytes()),
                sse: self.sse.as_ref().map(String::as_bytes),
                headers: self
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect(),
                usage: self.usage.as_ref().map(|pools| pools.iter().collect()),
                provider_cost_usd: self.provider_cost_usd.as_ref().map(AmountText::as_str),
                service_tier: self.service_tier.as_deref(),
                region: self.region.as_deref(),
                feature: self.feature.as_deref(),
            },
            hold,
            reach: Reach::default(),
            last: self.is_final.unwrap_or(true),
            occurred_at_ms,
            key_source: self.key_source.map(Into::into),
            labels,
            audit,
            personal,
            aborted: self.aborted.unwrap_or(false),
            cut_off_bytes: self.cut_off_bytes,
        })
    }
}
