//! History: transactions, usage (row by row or summed), audit. JSON or CSV.

use super::super::auth::Auth;
use super::super::body::{Id, Query};
use super::super::export::{Row, format, respond};
use super::super::paging::{self, PageJson, PageQuery};
use super::super::problem::{Kind, Problem, ProblemJson};
use super::super::show::{balance, credits};
use super::super::{State, time};
use super::receipts::EventJson;
use super::{blocking, text};
use crate::service::Context;
use crate::service::ledger::view::{
    AuditView, GroupBy, Page, TransactionView, UsageFilter, UsageGroup, UsageView,
};
use crate::service::ledger::write::Actor;
use crate::wire::plain;
use axum::http::HeaderMap;
use axum::response::Response;
use farebox_ledger::account::Account;
use farebox_ledger::ids::KeyId;
use farebox_ledger::transaction::TransactionKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

fn page<V, J>(page: Page<V>) -> PageJson<J>
where
    J: for<'a> From<&'a V>,
{
    PageJson {
        items: page.items.iter().map(J::from).collect(),
        next_cursor: page.next.map(paging::show),
    }
}

/// A change of one account's balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostingJson {
    /// `wallet`, `revenue`, `cost`, `payable`, `breakage`, `shortfall`, …
    account: &'static str,
    amount_credits: String,
}

/// A row of the org's journal; its postings sum to zero.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionJson {
    id: String,
    /// Its place in the journal, from 1, without gaps.
    seq: u64,
    /// `charge`, `grant`, `charge_refund`, `breakage`, …
    kind: &'static str,
    at: String,
    /// What it did to the wallet.
    wallet_credits: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    postings: Vec<PostingJson>,
    /// SHA-256 that the next transaction continues from, hex.
    hash: String,
}

impl From<&TransactionView> for TransactionJson {
    fn from(view: &TransactionView) -> Self {
        let transaction = &view.transaction;
        let (charge, grant, refund, hold) = match transaction.kind {
            TransactionKind::Grant { grant } | TransactionKind::Breakage { grant } => {
                (None, Some(grant), None, None)
            }
            TransactionKind::GrantRefund { grant, refund } => {
                (None, Some(grant), Some(refund), None)
            }
            TransactionKind::Charge { charge, hold, .. } => (Some(charge), None, None, hold),
            TransactionKind::ChargeRefund { charge, refund } => {
                (Some(charge), None, Some(refund), None)
            }
            _ => (None, None, None, None),
        };
        Self {
            id: transaction.id.to_string(),
            seq: transaction.seq,
            kind: transaction.kind.name(),
            at: time::show(transaction.at_ms),
            wallet_credits: balance(transaction.postings.on(Account::Wallet)),
            charge_id: charge.map(|id| id.to_string()),
            grant_id: grant.map(|id| id.to_string()),
            refund_id: refund.map(|id| id.to_string()),
            hold_id: hold.map(|id| id.to_string()),
            note: view.note.as_deref().map(Into::into),
            postings: transaction
                .postings
                .as_slice()
                .iter()
                .map(|posting| PostingJson {
                    account: posting.account.name(),
                    amount_credits: balance(posting.amount_nanos),
                })
                .collect(),
            hash: hex::encode(transaction.hash),
        }
    }
}

impl Row for TransactionJson {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "seq",
        "kind",
        "at",
        "wallet_credits",
        "charge_id",
        "grant_id",
        "refund_id",
        "hold_id",
        "note",
        "hash",
    ];

    fn cells(&self) -> Vec<String> {
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.seq.to_string(),
            self.kind.to_owned(),
            self.at.clone(),
            self.wallet_credits.clone(),
            some(&self.charge_id),
            some(&self.grant_id),
            some(&self.refund_id),
            some(&self.hold_id),
            some(&self.note),
            self.hash.clone(),
        ]
    }
}

/// The org's transactions, newest first
#[utoipa::path(get, path = "/v1/transactions", tag = "wallet", params(PageQuery),
    responses((status = 200, body = PageJson<TransactionJson>),
        (status = "4XX", body = ProblemJson)))]
pub async fn transactions(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    let format = format(query.format.as_deref(), &headers)?;
    let asked = paging::request(query.cursor.as_deref(), query.limit)?;
    let found = blocking(&api, move |service| service.transactions(&context, asked)).await?;
    Ok(respond::<TransactionJson>(format, page(found)))
}

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
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let charge = usage.charge.as_ref();
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
            reason: usage
                .unpriced
                .as_ref()
                .map(|unpriced| unpriced.reason.to_string()),
            event: (&usage.event).into(),
            key_id: usage.dimensions.key.map(|key| key.to_string()),
            project: text(&usage.dimensions.project),
            user: text(&usage.dimensions.user),
            agent: text(&usage.dimensions.agent),
            latency_ms: usage.audit.latency_ms,
            provider_status: usage.audit.status,
            streaming: usage.audit.streaming,
            response_id: text(&usage.audit.response_id),
            external_id: text(&usage.audit.external_id),
            client_ip: text(&usage.personal.client_ip),
            user_agent: text(&usage.personal.user_agent),
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
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        let pools: Vec<_> = self.event.pools().collect();
        vec![
            self.id.clone(),
            self.occurred_at.clone(),
            self.recorded_at.clone(),
            self.status.to_owned(),
            some(&self.charge_id),
            some(&self.hold_id),
            some(&self.credits),
            some(&self.market_usd),
            self.event.provider().to_owned(),
            self.event.model().unwrap_or_default().to_owned(),
            self.event.feature().unwrap_or_default().to_owned(),
            some(&self.key_id),
            some(&self.project),
            some(&self.user),
            some(&self.agent),
            pools.join(" "),
            self.latency_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            self.provider_status
                .map(|status| status.to_string())
                .unwrap_or_default(),
        ]
    }
}

/// Which usage, and how it is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// Recorded from here on, RFC 3339.
    from: Option<String>,
    /// Recorded before, RFC 3339.
    to: Option<String>,
    key_id: Option<String>,
    provider: Option<String>,
    /// The model that answered, else the one asked.
    model: Option<String>,
    feature: Option<String>,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    /// Only what waits, or waited at first, for a price.
    unpriced: Option<bool>,
    /// Sum by these, in this order, with commas: `day`, `model`, `provider`, `feature`, `key`,
    /// `project`, `user`, `agent`. Without it: row by row.
    group_by: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many items, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `json` or `csv`; `Accept: text/csv` says the same.
    format: Option<String>,
}

impl UsageQuery {
    fn filter(&mut self) -> Result<UsageFilter, Problem> {
        let key = self
            .key_id
            .take()
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Problem::new(Kind::NotFound, "there is no such key"))?;
        Ok(UsageFilter {
            from_ms: time::read_some("from", self.from.as_deref())?,
            to_ms: time::read_some("to", self.to.as_deref())?,
            key,
            provider: text("provider", self.provider.take())?,
            model: text("model", self.model.take())?,
            feature: text("feature", self.feature.take())?,
            project: text("project", self.project.take())?,
            user: text("user", self.user.take())?,
            agent: text("agent", self.agent.take())?,
            unpriced: self.unpriced,
        })
    }
}

fn group_by(text: &str) -> Result<Vec<GroupBy>, Problem> {
    let mut by = Vec::new();
    for name in text.split(',') {
        let group = match name.trim() {
            "day" => GroupBy::Day,
            "model" => GroupBy::Model,
            "provider" => GroupBy::Provider,
            "feature" => GroupBy::Feature,
            "key" => GroupBy::Key,
            "project" => GroupBy::Project,
            "user" => GroupBy::User,
            "agent" => GroupBy::Agent,
            other => {
                let shown: String = other.chars().take(32).collect();
                return Err(Problem::new(
                    Kind::InvalidRequest,
                    format!("`group_by` has `{shown}`: nothing is summed by that"),
                ));
            }
        };
        if by.contains(&group) {
            return Err(Problem::new(
                Kind::InvalidRequest,
                format!("`group_by` has `{}` twice", name.trim()),
            ));
        }
        by.push(group);
    }
    Ok(by)
}

const fn group_name(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Day => "day",
        GroupBy::Model => "model",
        GroupBy::Provider => "provider",
        GroupBy::Feature => "feature",
        GroupBy::Key => "key",
        GroupBy::Project => "project",
        GroupBy::User => "user",
        GroupBy::Agent => "agent",
    }
}

/// Usage summed.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupJson {
    /// The value of each dimension it is summed by; null where events have none.
    group: BTreeMap<&'static str, Option<String>>,
    events: u64,
    /// How many of them wait for a price.
    unpriced: u64,
    /// What they were charged.
    credits: String,
    /// What they cost the operator.
    cost_credits: String,
    /// Quantities by pool.
    quantities: BTreeMap<String, String>,
}

impl GroupJson {
    fn of(group: &UsageGroup, by: &[GroupBy]) -> Self {
        Self {
            group: by
                .iter()
                .zip(&group.values)
                .map(|(by, value)| (group_name(*by), value.as_deref().map(str::to_owned)))
                .collect(),
            events: group.events,
            unpriced: group.unpriced,
            credits: credits(group.price),
            cost_credits: credits(group.cost),
            quantities: group
                .quantities
                .iter()
                .map(|(meter, quantity)| (meter.to_string(), plain(*quantity)))
                .collect(),
        }
    }
}

impl Row for GroupJson {
    const COLUMNS: &'static [&'static str] = &[
        "group",
        "events",
        "unpriced",
        "credits",
        "cost_credits",
        "quantities",
    ];

    fn cells(&self) -> Vec<String> {
        let pairs = |pairs: Vec<String>| pairs.join(" ");
        vec![
            pairs(
                self.group
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("")))
                    .collect(),
            ),
            self.events.to_string(),
            self.unpriced.to_string(),
            self.credits.clone(),
            self.cost_credits.clone(),
            pairs(
                self.quantities
                    .iter()
                    .map(|(meter, quantity)| format!("{meter}={quantity}"))
                    .collect(),
            ),
        ]
    }
}

/// The org's usage, newest first, or summed
///
/// With `group_by` each item is a sum over all that the filter admits; there are no pages then.
#[utoipa::path(get, path = "/v1/usage", tag = "usage", params(UsageQuery),
    responses((status = 200, body = PageJson<UsageJson>), (status = "4XX", body = ProblemJson)))]
pub async fn usage(
    state: State,
    auth: Auth,
    Query(mut query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    let filter = query.filter()?;
    answer(state, context, filter, query, &headers).await
}

/// The usage of one of the org's keys, newest first, or summed
#[utoipa::path(get, path = "/v1/keys/{key_id}/usage", tag = "usage",
    params(("key_id" = String, Path), UsageQuery),
    responses((status = 200, body = PageJson<UsageJson>), (status = "4XX", body = ProblemJson)))]
pub async fn key_usage(
    state: State,
    auth: Auth,
    Id(key): Id<KeyId>,
    Query(mut query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    state.service.require_key(&context, key)?;
    let filter = UsageFilter {
        key: Some(key),
        ..query.filter()?
    };
    answer(state, context, filter, query, &headers).await
}

async fn answer(
    axum::extract::State(api): State,
    context: Context,
    filter: UsageFilter,
    query: UsageQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let format = format(query.format.as_deref(), headers)?;
    if let Some(by) = query.group_by.as_deref().map(group_by).transpose()? {
        let groups = blocking(&api, move |service| {
            service.usage_groups(&context, &filter, &by).map(|groups| {
                groups
                    .iter()
                    .map(|group| GroupJson::of(group, &by))
                    .collect()
            })
        })
        .await?;
        return Ok(respond(
            format,
            PageJson {
                items: groups,
                next_cursor: None,
            },
        ));
    }
    let asked = paging::request(query.cursor.as_deref(), query.limit)?;
    let found = blocking(&api, move |service| service.usage(&context, &filter, asked)).await?;
    Ok(respond::<UsageJson>(format, page(found)))
}

/// Something that was done to the org, by its operator or with its keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditJson {
    id: String,
    at: String,
    /// `key`, `admin` or `host`.
    actor: &'static str,
    /// Which key, or which admin credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<String>,
    /// What, as a stable word.
    verb: String,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    request_id: String,
}

impl From<&AuditView> for AuditJson {
    fn from(view: &AuditView) -> Self {
        let (actor, actor_id) = match &view.actor {
            Actor::Key(key) => ("key", Some(key.to_string())),
            Actor::Admin(name) => ("admin", Some(name.to_string())),
            Actor::Host => ("host", None),
        };
        Self {
            id: view.id.to_string(),
            at: time::show(view.at_ms),
            actor,
            actor_id,
            verb: view.verb.to_string(),
            subject: view.subject.as_deref().map(Into::into),
            request_id: view.request_id.to_string(),
        }
    }
}

impl Row for AuditJson {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "actor",
        "actor_id",
        "verb",
        "subject",
        "request_id",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.at.clone(),
            self.actor.to_owned(),
            self.actor_id.clone().unwrap_or_default(),
            self.verb.clone(),
            self.subject.clone().unwrap_or_default(),
            self.request_id.clone(),
        ]
    }
}

/// What was done to the org, newest first
#[utoipa::path(get, path = "/v1/audit", tag = "wallet", params(PageQuery),
    responses((status = 200, body = PageJson<AuditJson>), (status = "4XX", body = ProblemJson)))]
pub async fn audit(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    let format = format(query.format.as_deref(), &headers)?;
    let asked = paging::request(query.cursor.as_deref(), query.limit)?;
    let found = blocking(&api, move |service| service.audit(&context, asked)).await?;
    Ok(respond::<AuditJson>(format, page(found)))
}
