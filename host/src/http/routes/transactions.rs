//! The org's journal, row by row. JSON or CSV.

use super::super::auth::Auth;
use super::super::body::Query;
use super::super::export::{Row, cell};
use super::super::paging::{PageJson, PageQuery};
use super::super::problem::Problem;
use super::super::show::balance;
use super::super::{State, time};
use super::listing::listed;
use crate::service::Service;
use crate::service::ledger::view::TransactionView;
use crate::service::ledger::write::corrected_charge;
use axum::http::HeaderMap;
use axum::response::Response;
use farebox_ledger::account::Account;
use farebox_ledger::transaction::TransactionKind;
use serde::Serialize;
use utoipa::ToSchema;

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
                // One that gives back what a correction took names the charge in its note.
                let corrected = view.note.as_deref().and_then(corrected_charge);
                (corrected, Some(grant), None, None)
            }
            TransactionKind::GrantRefund { grant, refund } => {
                (None, Some(grant), Some(refund), None)
            }
            TransactionKind::Charge { charge, hold, .. } => (Some(charge), None, None, hold),
            TransactionKind::ChargeRefund { charge, refund } => {
                (Some(charge), None, Some(refund), None)
            }
            // What was taken for a charge that came to too little names it in its note.
            TransactionKind::Deduction => {
                let corrected = view.note.as_deref().and_then(corrected_charge);
                (corrected, None, None, None)
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
        vec![
            self.id.clone(),
            self.seq.to_string(),
            self.kind.to_owned(),
            self.at.clone(),
            self.wallet_credits.clone(),
            cell(&self.charge_id),
            cell(&self.grant_id),
            cell(&self.refund_id),
            cell(&self.hold_id),
            cell(&self.note),
            self.hash.clone(),
        ]
    }
}

/// The org's transactions, newest first
#[utoipa::path(get, path = "/v1/transactions", tag = "wallet", params(PageQuery),
    responses((status = 200, body = PageJson<TransactionJson>)))]
pub async fn transactions(
    state: State,
    auth: Auth,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let read = Service::transactions;
    listed::<_, TransactionJson, _>(&state, &auth, &query, &headers, read).await
}
