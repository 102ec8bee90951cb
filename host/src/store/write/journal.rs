//! The rows of an effect. Statements are prepared once: preparing costs more than running them.
//!
//! Rows that every effect of a commit would change again (a wallet, what is left of a lot) are
//! only noted here and written once per commit, by [`flush`].

use super::super::connection::failure;
use super::super::rows::ledger::{
    dimensions_body, end_code, hold_body, movements_bytes, postings_bytes,
};
use super::memory::{Memory, Tail, month_of};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::budget::{Budget, BudgetScope, BudgetUse};
use farebox_ledger::effect::{BudgetChange, Effect, HoldChange, UnpricedChange};
use farebox_ledger::grant::Grant;
use farebox_ledger::hold::EndedHold;
use farebox_ledger::ids::{ChargeId, EventId, OrgId, TransactionId};
use farebox_ledger::state::Wallet;
use farebox_ledger::transaction::{Transaction, TransactionKind};
use farebox_pricing::money::Nanos;
use rusqlite::{Connection, Statement, params};

/// Every so many rows of a list one is marked.
pub const MARK_EVERY: u64 = 64;
/// The list of transactions, in `marks`.
pub const LIST_TRANSACTIONS: i64 = 0;
/// The list of usage events, in `marks`.
pub const LIST_USAGE: i64 = 1;

/// The statements of the hot path.
#[derive(Debug)]
pub struct Statements<'c> {
    transaction: Statement<'c>,
    usage: Statement<'c>,
    receipt: Statement<'c>,
    hold_placed: Statement<'c>,
    hold_changed: Statement<'c>,
    hold_body: Statement<'c>,
    hold_ended: Statement<'c>,
    hold_gone: Statement<'c>,
    mark: Statement<'c>,
    wallet: Statement<'c>,
    lot: Statement<'c>,
    lot_gone: Statement<'c>,
    budget_use: Statement<'c>,
}

impl<'c> Statements<'c> {
    /// Prepares them.
    pub fn new(connection: &'c Connection) -> Result<Self, StorageError> {
        let prepare = |sql| connection.prepare(sql).map_err(failure);
        Ok(Self {
            transaction: prepare(
                "INSERT OR FAIL INTO transactions VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
            usage: prepare(
                "INSERT OR FAIL INTO usage_events VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
                  ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            )?,
            receipt: prepare("INSERT OR FAIL INTO receipts VALUES (?1, ?2, ?3, ?4, ?5)")?,
            hold_placed: prepare("INSERT OR FAIL INTO holds_active VALUES (?1, ?2, ?3)")?,
            hold_changed: prepare("UPDATE holds_active SET body = ?2 WHERE id = ?1")?,
            hold_body: prepare("SELECT body FROM holds_active WHERE id = ?1")?,
            hold_ended: prepare(
                "INSERT OR FAIL INTO holds_ended VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            hold_gone: prepare("DELETE FROM holds_active WHERE id = ?1")?,
            mark: prepare("INSERT OR FAIL INTO marks VALUES (?1, ?2, ?3, ?4)")?,
            wallet: prepare(
                "INSERT INTO wallets VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT DO UPDATE SET
                 credit_limit_nanos = ?3, overdraft_nanos = ?4, balances = ?5, seq = ?6,
                 head_hash = ?7, head = ?8, usage_seq = ?9, usage_head = ?10, month = ?11,
                 month_nanos = ?12, at_ms = ?13",
            )?,
            lot: prepare(
                "INSERT INTO lots VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET remaining_nanos = ?3",
            )?,
            lot_gone: prepare("DELETE FROM lots WHERE id = ?1")?,
            budget_use: prepare(
                "UPDATE budgets SET window_start_ms = ?2, window_end_ms = ?3, spent_nanos = ?4
                 WHERE id = ?1",
            )?,
        })
    }
}

/// A usage event as a row; see `schema.sql`.
#[derive(Debug)]
pub struct UsageRow<'a> {
    pub id: EventId,
    pub occurred_at_ms: i64,
    pub recorded_at_ms: i64,
    pub hold: Option<[u8; 16]>,
    pub charge: Option<(ChargeId, Nanos, Nanos)>,
    pub provider: &'a str,
    pub model: Option<&'a str>,
    pub dimensions: &'a farebox_ledger::hold::Dimensions,
    pub body: &'a [u8],
    pub raw: Option<&'a [u8]>,
}

impl Statements<'_> {
    /// Writes the rows of an effect. `new_lot`: the id of a lot that a refund may have made.
    pub fn write(
        &mut self,
        connection: &Connection,
        memory: &mut Memory,
        effect: &Effect,
        refund_lot: Option<farebox_ledger::ids::GrantId>,
    ) -> Result<(), StorageError> {
        let org = effect.org;
        memory.dirty.seen.insert(org);
        for transaction in &effect.transactions {
            self.write_transaction(memory, transaction)?;
        }
        if !effect.transactions.is_empty() {
            memory.dirty.wallets.insert(org);
            for grant in &effect.grants {
                let is_new = refund_lot == Some(grant.id())
                    || effect.transactions.iter().any(|transaction| {
                        matches!(transaction.kind, TransactionKind::Grant { grant: id } if id == grant.id())
                    });
                if is_new {
                    insert_grant(connection, org, grant)?;
                }
                // Holds change what is reserved of a lot, which is not stored; only a
                // transaction changes what is left.
                let left = (org, grant.remaining);
                memory.dirty.lots.insert(grant.id(), left);
            }
        }
        for change in &effect.holds {
            self.write_hold(org, change)?;
        }
        for change in &effect.unpriced {
            write_unpriced(connection, org, change)?;
        }
        for change in &effect.budgets {
            write_budget(connection, org, change)?;
        }
        // What is held by a budget is the sum of its holds; only what is spent is stored.
        if !effect.transactions.is_empty() || !effect.budgets.is_empty() {
            for used in &effect.budget_uses {
                self.write_budget_use(used)?;
            }
        }
        Ok(())
    }

    fn write_transaction(
        &mut self,
        memory: &mut Memory,
        transaction: &Transaction,
    ) -> Result<(), StorageError> {
        let org = transaction.org.to_bytes();
        let id = transaction.id.to_bytes();
        let tail = memory.tails.entry(transaction.org).or_default();
        let [subject, second, third] = subjects(&transaction.kind);
        let detail = Some(transaction.detail_digest).filter(|digest| *digest != [0; 32]);
        self.transaction
            .execute(params![
                id,
                org,
                signed(transaction.seq),
                tail.head.map(TransactionId::to_bytes),
                transaction.at_ms,
                transaction.commodity.to_bytes(),
                transaction.kind.code(),
                subject,
                second,
                third,
                postings_bytes(&transaction.postings),
                movements_bytes(&transaction.movements),
                detail,
                transaction.hash,
            ])
            .map_err(failure)?;
        tail.head = Some(transaction.id);
        if transaction.seq.checked_rem(MARK_EVERY) == Some(0) {
            self.mark
                .execute(params![org, LIST_TRANSACTIONS, transaction.at_ms, id])
                .map_err(failure)?;
        }
        Ok(())
    }

    fn write_hold(&mut self, org: OrgId, change: &HoldChange) -> Result<(), StorageError> {
        match change {
            HoldChange::Placed(hold) => self.hold_placed.execute(params![
                hold.id.to_bytes(),
                org.to_bytes(),
                hold_body(hold)
            ]),
            HoldChange::Changed(hold) => self
                .hold_changed
                .execute(params![hold.id.to_bytes(), hold_body(hold)]),
            HoldChange::Ended(ended) => self.end_hold(org, ended),
        }
        .map(drop)
        .map_err(failure)
    }

    /// Moves a hold from the active ones to the ended ones, with its body as it was.
    fn end_hold(&mut self, org: OrgId, ended: &EndedHold) -> rusqlite::Result<usize> {
        let id = ended.id.to_bytes();
        let mut rows = self.hold_body.query([id])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        self.hold_ended.execute(params![
            id,
            org.to_bytes(),
            end_code(ended.end),
            ended.ended_at_ms,
            ended.captured.get(),
            ended.returned.get(),
            row.get_ref(0)?.as_blob()?,
        ])?;
        drop(rows);
        self.hold_gone.execute([id])
    }

    fn write_budget_use(&mut self, used: &BudgetUse) -> Result<(), StorageError> {
        self.budget_use
            .execute(params![
                used.budget.to_bytes(),
                used.window_start_ms,
                used.window_end_ms,
                used.spent.get(),
            ])
            .map(drop)
            .map_err(failure)
    }

    /// Writes a usage event and takes it into the org's tail.
    pub fn write_usage(
        &mut self,
        memory: &mut Memory,
        org: OrgId,
        row: &UsageRow<'_>,
    ) -> Result<(), StorageError> {
        let tail = memory.tails.entry(org).or_default();
        tail.usage_seq = tail.usage_seq.saturating_add(1);
        let (charge, price, cost) = match row.charge {
            Some((charge, price, cost)) => {
                (Some(charge.to_bytes()), Some(price.get()), Some(cost.get()))
            }
            None => (None, None, None),
        };
        let dimensions = row.dimensions;
        self.usage
            .execute(params![
                row.id.to_bytes(),
                org.to_bytes(),
                signed(tail.usage_seq),
                tail.usage_head.map(EventId::to_bytes),
                row.occurred_at_ms,
                row.recorded_at_ms,
                row.hold,
                charge,
                price,
                cost,
                row.provider,
                row.model,
                dimensions.key.map(|key| key.to_bytes()),
                dimensions.project,
                dimensions.user,
                dimensions.agent,
                dimensions.feature,
                dimensions.plan,
                row.body,
                row.raw,
            ])
            .map_err(failure)?;
        tail.usage_head = Some(row.id);
        if tail.usage_seq.checked_rem(MARK_EVERY) == Some(0) {
            let id = row.id.to_bytes();
            self.mark
                .execute(params![org.to_bytes(), LIST_USAGE, row.recorded_at_ms, id])
                .map_err(failure)?;
        }
        memory.dirty.wallets.insert(org);
        Ok(())
    }

    /// Writes a receipt, and counts its price in the org's month.
    pub fn write_receipt(
        &mut self,
        memory: &mut Memory,
        (org, charge, event): (OrgId, ChargeId, EventId),
        transaction: TransactionId,
        (at_ms, price): (i64, Nanos),
        body: &[u8],
    ) -> Result<(), StorageError> {
        self.receipt
            .execute(params![
                charge.to_bytes(),
                org.to_bytes(),
                event.to_bytes(),
                transaction.to_bytes(),
                body,
            ])
            .map_err(failure)?;
        let tail = memory.tails.entry(org).or_default();
        let month = month_of(at_ms);
        if tail.month != month {
            tail.month = month;
            tail.month_nanos = Nanos::ZERO;
        }
        // A volume tier has no step at nine billion credits.
        tail.month_nanos = tail.month_nanos.checked_add(price).unwrap_or(Nanos::MAX);
        Ok(())
    }

    /// Writes the derived rows that the batch changed. Before each commit.
    pub fn flush(&mut self, memory: &Memory) -> Result<(), StorageError> {
        for org in &memory.dirty.wallets {
            let Some(state) = memory.state.org(*org) else {
                continue;
            };
            let tail = memory.tails.get(org).copied().unwrap_or_default();
            self.write_wallet(*org, state.wallet(), &tail)?;
        }
        for (id, (org, left)) in &memory.dirty.lots {
            if left.is_zero() {
                self.lot_gone.execute([id.to_bytes()])
            } else {
                self.lot
                    .execute(params![id.to_bytes(), org.to_bytes(), left.get()])
            }
            .map_err(failure)?;
        }
        Ok(())
    }

    fn write_wallet(
        &mut self,
        org: OrgId,
        wallet: &Wallet,
        tail: &Tail,
    ) -> Result<(), StorageError> {
        let balances: Vec<u8> = wallet
            .balances
            .to_array()
            .iter()
            .flat_map(|balance| balance.to_be_bytes())
            .collect();
        self.wallet
            .execute(params![
                org.to_bytes(),
                wallet.commodity.to_bytes(),
                wallet.credit_limit.get(),
                wallet.overdraft.get(),
                balances,
                signed(wallet.seq),
                wallet.head_hash,
                tail.head.map(TransactionId::to_bytes),
                signed(tail.usage_seq),
                tail.usage_head.map(EventId::to_bytes),
                tail.month,
                tail.month_nanos.get(),
                wallet.at_ms,
            ])
            .map(drop)
            .map_err(failure)
    }
}

/// A count as SQLite has it. Counts begin at zero and cannot reach 2⁶³.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The ids of a transaction's kind, as the hash chain orders them.
fn subjects(kind: &TransactionKind) -> [Option<[u8; 16]>; 3] {
    match kind {
        TransactionKind::Grant { grant } | TransactionKind::Breakage { grant } => {
            [Some(grant.to_bytes()), None, None]
        }
        TransactionKind::GrantRefund { grant, refund } => {
            [Some(grant.to_bytes()), Some(refund.to_bytes()), None]
        }
        TransactionKind::Charge {
            charge,
            event,
            hold,
        } => [
            Some(charge.to_bytes()),
            Some(event.to_bytes()),
            hold.map(|hold| hold.to_bytes()),
        ],
        TransactionKind::ChargeRefund { charge, refund } => {
            [Some(charge.to_bytes()), Some(refund.to_bytes()), None]
        }
        TransactionKind::Deduction
        | TransactionKind::Settlement
        | TransactionKind::Repayment
        | TransactionKind::Absorption => [None; 3],
    }
}

fn insert_grant(connection: &Connection, org: OrgId, grant: &Grant) -> Result<(), StorageError> {
    let terms = &grant.terms;
    let currency = terms
        .cash_paid
        .map(|cash| String::from_utf8_lossy(&cash.currency).into_owned());
    connection
        .prepare_cached("INSERT INTO grants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
        .map_err(failure)?
        .execute(params![
            terms.id.to_bytes(),
            org.to_bytes(),
            terms.source.name(),
            terms.amount.get(),
            currency,
            terms.cash_paid.map(|cash| signed(cash.minor_units)),
            terms.priority,
            terms.expires_at_ms,
            terms.features.join("\n"),
            terms.granted_at_ms,
        ])
        .map(drop)
        .map_err(failure)
}

fn write_unpriced(
    connection: &Connection,
    org: OrgId,
    change: &UnpricedChange,
) -> Result<(), StorageError> {
    match change {
        UnpricedChange::Recorded(usage) => connection
            .prepare_cached("INSERT INTO unpriced VALUES (?1, ?2, ?3, ?4)")
            .map_err(failure)?
            .execute(params![
                usage.event.to_bytes(),
                org.to_bytes(),
                usage.hold.map(|hold| hold.to_bytes()),
                dimensions_body(&usage.dimensions),
            ]),
        UnpricedChange::Settled(event) => connection
            .prepare_cached("DELETE FROM unpriced WHERE event = ?1")
            .map_err(failure)?
            .execute([event.to_bytes()]),
    }
    .map(drop)
    .map_err(failure)
}

fn scope_value(scope: &BudgetScope) -> Option<String> {
    match scope {
        BudgetScope::Org => None,
        BudgetScope::Key(key) => Some(key.to_string()),
        BudgetScope::Project(name)
        | BudgetScope::User(name)
        | BudgetScope::Agent(name)
        | BudgetScope::Feature(name) => Some(name.to_string()),
    }
}

fn write_budget(
    connection: &Connection,
    org: OrgId,
    change: &BudgetChange,
) -> Result<(), StorageError> {
    match change {
        BudgetChange::Put(budget) => put_budget(connection, org, budget),
        BudgetChange::Removed(id) => connection
            .execute("DELETE FROM budgets WHERE id = ?1", [id.to_bytes()])
            .map(drop)
            .map_err(failure),
    }
}

fn put_budget(connection: &Connection, org: OrgId, budget: &Budget) -> Result<(), StorageError> {
    connection
        .execute(
            "INSERT INTO budgets VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0)
             ON CONFLICT DO UPDATE SET scope = ?3, scope_value = ?4, kind = ?5, window = ?6,
             zone = ?7, limit_nanos = ?8",
            params![
                budget.id.to_bytes(),
                org.to_bytes(),
                budget.scope.name(),
                scope_value(&budget.scope),
                budget.kind.name(),
                budget.window.name(),
                budget.zone.name(),
                budget.limit.get(),
            ],
        )
        .map(drop)
        .map_err(failure)
}
