//! What a verification says.

use super::super::directory::DirectoryError;
use super::super::migrate::MigrateError;
use crate::service::ledger::failure::StorageError;
use crate::service::policy::Digest;
use farebox_ledger::ids::{BudgetId, ChargeId, EventId, HoldId, OrgId, TransactionId};
use rust_decimal::Decimal;
use std::fmt;

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no ledger, or it cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its schema is another.
    #[error(transparent)]
    Schema(#[from] MigrateError),
    /// Rows cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Something that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, as docs/ARCHITECTURE.md numbers it; `file` for the database file itself.
    pub invariant: String,
    /// Whose ledger.
    pub org: Option<OrgId>,
    /// What exactly, naming the row.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        match self.org {
            Some(org) => write!(f, " (org `{org}`)"),
            None => Ok(()),
        }
    }
}

/// What is wrong with stored rows, beyond what the ledger's own auditor knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum Problem {
    #[error("the database file is damaged: {0}")]
    File(String),
    #[error("the guard `{0}` of an append-only table is missing or changed")]
    Guard(String),
    #[error("chunk {chunk} of `{table}` cannot be read")]
    Unreadable { table: &'static str, chunk: i64 },
    #[error("active holds put aside more than can be counted")]
    HeldRange,
    #[error("the exported head of transaction {seq} was not signed by its key")]
    Signature { seq: u64 },
    #[error("`{0}` belongs to an org without a wallet")]
    Orphan(String),
    #[error("transaction `{id}` is not linked to the one before it")]
    Link { id: TransactionId },
    #[error("transaction `{id}`: its receipt, usage event or note is missing")]
    BesideMissing { id: TransactionId },
    #[error("transaction `{id}`: its receipt, usage event or note is not what was chained")]
    BesideChanged { id: TransactionId },
    #[error("the receipt of `{charge}` belongs to no transaction")]
    ReceiptAlone { charge: ChargeId },
    #[error("the receipt of `{charge}` cannot be read: {why}")]
    Receipt { charge: ChargeId, why: String },
    #[error("`{charge}` posted {posted_nanos} nano-credits, its receipt says {receipt_nanos}")]
    Price {
        charge: ChargeId,
        posted_nanos: i64,
        receipt_nanos: i64,
    },
    #[error("the lines of the receipt of `{charge}` do not add up to its price")]
    Lines { charge: ChargeId },
    #[error("the price in USD of `{charge}` is not its price in credits")]
    Rounded { charge: ChargeId },
    #[error("usage event `{0}` has neither a charge nor a place among what waits for a price")]
    UsageDropped(EventId),
    #[error("usage event `{0}` is not linked to the one before it")]
    UsageLink(EventId),
    #[error("hold `{0}` ended, but what it was is gone")]
    HoldGone(HoldId),
    #[error("{found} of {expected} entries of `{table}` are found by id, {astray} of them astray")]
    Places {
        table: &'static str,
        expected: u64,
        found: u64,
        astray: u64,
    },
    #[error("{found} usage events of {expected} are there")]
    UsageMissing { expected: u64, found: u64 },
    #[error("this month counts {row_nanos} nano-credits, the journal charged {journal_nanos}")]
    Month { row_nanos: i64, journal_nanos: i128 },
    #[error(
        "budget `{budget}` counts {row_nanos} nano-credits, the journal charged {journal_nanos}"
    )]
    Budget {
        budget: BudgetId,
        row_nanos: i64,
        journal_nanos: i128,
    },
    #[error("the price book `{}` that receipts name is missing, or not what its digest says", hex::encode(.0.0))]
    Book(Digest),
    #[error("rule `{rule}` did not count charge `{charge}` in {period}")]
    Uncounted {
        rule: String,
        period: String,
        charge: ChargeId,
    },
    #[error("rule `{rule}` counts {row} of charge `{charge}` in {period}, its receipt {receipt}")]
    Counted {
        rule: String,
        period: String,
        charge: ChargeId,
        row: String,
        receipt: Decimal,
    },
    #[error("rule `{rule}` counts charge `{charge}` in {period}, and no receipt says so")]
    CountAlone {
        rule: String,
        period: String,
        charge: ChargeId,
    },
    #[error("a component or book is not what its digest `{0}` says")]
    Content(String),
    #[error("the correction of charge `{charge}` by transaction `{id}` is not what was posted")]
    Correction { charge: ChargeId, id: TransactionId },
    #[error("{found} corrections of {expected} are explained by a transaction")]
    Corrections { expected: u64, found: u64 },
    #[error("hold `{0}` is active and over")]
    HoldTwice(HoldId),
    #[error("{0} idempotency keys, responses or payments are there twice")]
    KeysTwice(u64),
    #[error("{0} idempotency keys lead to effects that are gone")]
    Effects(u64),
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Orgs looked at.
    pub orgs: u64,
    /// Transactions looked at.
    pub transactions: u64,
    /// Receipts looked at.
    pub receipts: u64,
    /// Usage events looked at.
    pub usage_events: u64,
    /// Holds looked at, active and over.
    pub holds: u64,
    /// Those of them that are over.
    pub holds_ended: u64,
    /// What is broken, at most [`Report::FINDINGS_MAX`] of it.
    pub findings: Vec<Finding>,
    /// How much more is broken.
    pub more: u64,
}

impl Report {
    /// Beyond so many, findings are only counted: a broken ledger can break in every row.
    pub const FINDINGS_MAX: usize = 1_000;

    /// Whether nothing is broken.
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, invariant: &str, org: Option<OrgId>, problem: Problem) {
        self.push(Finding {
            invariant: invariant.to_owned(),
            org,
            what: problem.to_string(),
        });
    }

    pub(super) fn orphan(&mut self, org: OrgId, row: &impl fmt::Display) {
        self.add("L1", Some(org), Problem::Orphan(row.to_string()));
    }

    pub(super) fn extend(&mut self, found: Vec<farebox_ledger::verify::Finding>) {
        for finding in found {
            let transaction = finding
                .transaction
                .map_or_else(String::new, |id| format!(" (`{id}`)"));
            self.push(Finding {
                invariant: finding.invariant.to_string(),
                org: Some(finding.org),
                what: format!("{}{transaction}", finding.violation),
            });
        }
    }

    /// Takes in what another part of the verification says.
    pub(super) fn merge(&mut self, other: Self) {
        let sum = u64::saturating_add;
        self.orgs = sum(self.orgs, other.orgs);
        self.transactions = sum(self.transactions, other.transactions);
        self.receipts = sum(self.receipts, other.receipts);
        self.usage_events = sum(self.usage_events, other.usage_events);
        self.holds = sum(self.holds, other.holds);
        self.holds_ended = sum(self.holds_ended, other.holds_ended);
        for finding in other.findings {
            self.push(finding);
        }
        self.more = sum(self.more, other.more);
    }

    fn push(&mut self, finding: Finding) {
        if self.findings.len() < Self::FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}
