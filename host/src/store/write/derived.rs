//! The derived rows of an effect: what is alive now. Statements of the hot path are prepared once:
//! preparing costs more than running them.
//!
//! Rows that every effect of a commit would change again (a wallet, what is left of a lot) are
//! only noted here and written once per commit, by [`flush`](Statements::flush).

use super::super::chunks::Place;
use super::super::connection::failure;
use super::super::rows::ledger::dimensions_body;
use super::memory::{Memory, Tail};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::budget::{Budget, BudgetScope, BudgetUse};
use farebox_ledger::effect::{BudgetChange, Effect, UnpricedChange};
use farebox_ledger::grant::Grant;
use farebox_ledger::ids::{GrantId, OrgId};
use farebox_ledger::state::Wallet;
use farebox_ledger::transaction::TransactionKind;
use rusqlite::{Connection, Statement, params};

/// The statements of the hot path.
#[derive(Debug)]
pub struct Statements<'c> {
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

    /// Writes an effect: its entries in the journal, and what is alive after it. `refund_lot`: the
    /// lot that a refund may have made.
    pub fn write(
        &mut self,
        connection: &Connection,
        memory: &mut Memory,
        effect: &Effect,
        refund_lot: Option<GrantId>,
    ) -> Result<(), StorageError> {
        let org = effect.org;
        memory.dirty.seen.insert(org);
        for transaction in &effect.transactions {
            let tail = memory.tails.entry(org).or_default();
            memory.journal.post(connection, tail, transaction)?;
        }
        if !effect.transactions.is_empty() {
            memory.dirty.wallets.insert(org);
            for grant in &effect.grants {
                if refund_lot == Some(grant.id()) || is_granted(effect, grant.id()) {
                    insert_grant(connection, org, grant)?;
                }
                // Holds change what is reserved of a lot, which is not stored; only a
                // transaction changes what is left.
                let left = (org, grant.remaining);
                memory.dirty.lots.insert(grant.id(), left);
            }
        }
        for change in &effect.holds {
            memory.journal.hold(connection, org, change)?;
        }
        for change in &effect.unpriced {
            write_unpriced(connection, org, change)?;
        }
        for change in &effect.budgets {
            let head = memory.tails.get(&org).and_then(|tail| tail.head);
            write_budget(connection, effect, change, head)?;
        }
        // What is held by a budget is the sum of its holds; only what is spent is stored.
        if !effect.transactions.is_empty() || !effect.budgets.is_empty() {
            for used in &effect.budget_uses {
                self.write_budget_use(used)?;
            }
        }
        Ok(())
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
                tail.head,
                signed(tail.usage_seq),
                tail.usage_head,
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

fn is_granted(effect: &Effect, id: GrantId) -> bool {
    effect.transactions.iter().any(
        |transaction| matches!(transaction.kind, TransactionKind::Grant { grant } if grant == id),
    )
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
    effect: &Effect,
    change: &BudgetChange,
    head: Option<Place>,
) -> Result<(), StorageError> {
    match change {
        BudgetChange::Put(budget) => put_budget(connection, effect, budget, head),
        BudgetChange::Removed(id) => connection
            .execute("DELETE FROM budgets WHERE id = ?1", [id.to_bytes()])
            .map(drop)
            .map_err(failure),
    }
}

/// A budget that counts something else than before counts from here on.
fn put_budget(
    connection: &Connection,
    effect: &Effect,
    budget: &Budget,
    head: Option<Place>,
) -> Result<(), StorageError> {
    let used = effect.budget_uses.iter();
    let spent = used
        .filter(|used| used.budget == budget.id)
        .map(|used| used.spent.get())
        .next();
    connection
        .execute(
            "INSERT INTO budgets VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, ?9, ?10, ?11)
             ON CONFLICT DO UPDATE SET
             (since_place, since_ms, since_nanos) = (SELECT
                iif(same, budgets.since_place, ?9), iif(same, budgets.since_ms, ?10),
                iif(same, budgets.since_nanos, ?11)
                FROM (SELECT scope = ?3 AND scope_value IS ?4 AND window = ?6 AND zone = ?7
                      AS same)),
             scope = ?3, scope_value = ?4, kind = ?5, window = ?6, zone = ?7, limit_nanos = ?8",
            params![
                budget.id.to_bytes(),
                effect.org.to_bytes(),
                budget.scope.name(),
                scope_value(&budget.scope),
                budget.kind.name(),
                budget.window.name(),
                budget.zone.name(),
                budget.limit.get(),
                head,
                effect.at_ms,
                spent.unwrap_or_default(),
            ],
        )
        .map(drop)
        .map_err(failure)
}
