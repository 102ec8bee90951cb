//! One write's turn: retry or not, allowed or not, then its rows.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::rows::usage::{FirstEffect, detail_digest};
use super::journal::{Statements, UsageRow};
use super::memory::Memory;
use super::prepare::{Prepared, Ready};
use super::{outcome, recall, registry};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::{Acknowledged, SettleWrite, UsageWrite, WriteError};
use farebox_ledger::command::{Command, Past, SettleUnpriced, Stamp};
use farebox_ledger::effect::{Effect, Outcome};
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{ChargeId, GrantId, OrgId, TransactionId};
use farebox_ledger::transaction::TransactionKind;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// What a write is answered with after the commit.
pub type Verdict = Result<Acknowledged, WriteError>;

/// Where a write's turn happens.
#[derive(Debug)]
pub struct Turn<'t, 'c> {
    pub connection: &'c Connection,
    pub statements: &'t mut Statements<'c>,
    pub memory: &'t mut Memory,
    /// The id of this write.
    pub id: TransactionId,
}

/// A write's turn ends with a verdict, or storage fails and the whole commit with it.
type Ended<T> = Result<Result<T, WriteError>, StorageError>;

impl Turn<'_, '_> {
    /// Applies one write.
    pub fn apply(&mut self, write: &Prepared) -> Result<Verdict, StorageError> {
        let known = outcome::known(self.connection, self.memory, write)?;
        if let Some(verdict) = known.into() {
            return Ok(verdict);
        }
        let done = match &write.action {
            Ready::Ledger { command, note } => self.ledger(write, command, note.as_deref())?,
            Ready::Usage {
                command,
                write: usage,
                body,
                receipt,
            } => self.usage(write.at_ms, command, usage, body, receipt.as_deref())?,
            Ready::Settle {
                write: settle,
                receipt,
            } => self.settle(write.at_ms, settle, receipt)?,
            Ready::CreateOrg { org, wallet } => {
                if let Err(refusal) = registry::create_org(self.connection, org)? {
                    Err(refusal.into())
                } else {
                    let command = Command::OpenWallet(wallet.clone());
                    let opened = self.command(write.at_ms, &command)?;
                    if opened.is_err() {
                        registry::forget_org(self.connection, org.id)?;
                    }
                    opened.map(Some)
                }
            }
            Ready::Directory(directory) => {
                let done = registry::apply(self.connection, self.memory, directory, write.at_ms)?;
                done.map(|()| None).map_err(WriteError::from)
            }
        };
        match done {
            Err(error) => Ok(Err(error)),
            Ok(effect) => self.acknowledge(write, effect).map(Ok),
        }
    }

    /// Ends what is due of one org.
    pub fn expire(&mut self, org: OrgId, now_ms: i64) -> Result<(), StorageError> {
        let command = Command::ExpireDue(farebox_ledger::command::ExpireDue { org });
        self.command(now_ms, &command).map(drop)
    }

    fn acknowledge(
        &mut self,
        write: &Prepared,
        effect: Option<Effect>,
    ) -> Result<Acknowledged, StorageError> {
        let (outcome, alerts, at_ms) = effect.map_or_else(
            || (Outcome::Done, Vec::new(), write.at_ms),
            |effect| (effect.outcome, effect.alerts, effect.at_ms),
        );
        if write.key.is_some() || write.once.is_some() {
            let place = self.memory.effects.add(&FirstEffect {
                id: self.id,
                request_digest: write.request_digest,
                at_ms,
                made: write.made,
                outcome,
            });
            for key in write.key.iter().chain(&write.once) {
                self.memory.dedupe.insert(*key, place.to_bytes());
            }
        }
        registry::audit(self.connection, self.id, at_ms, write)?;
        Ok(Acknowledged {
            replayed: false,
            id: self.id,
            at_ms,
            made: write.made,
            outcome,
            wallet: write
                .org
                .and_then(|org| self.memory.state.org(org))
                .map(|org| *org.wallet()),
            alerts,
        })
    }

    fn recall(&self, command: &Command) -> Result<Past, StorageError> {
        match self.memory.state.recall(command) {
            None => Ok(Past::Nothing),
            Some(asked) => recall::recall(self.connection, command.org(), asked),
        }
    }

    fn command(&mut self, now_ms: i64, command: &Command) -> Ended<Effect> {
        let past = self.recall(command)?;
        self.command_with(now_ms, command, &past)
    }

    /// Applies a command to the ledger and writes the rows of its effect.
    fn command_with(&mut self, now_ms: i64, command: &Command, past: &Past) -> Ended<Effect> {
        let stamp = Stamp {
            now_ms,
            transaction: self.id,
        };
        let effect = match farebox_ledger::apply(&mut self.memory.state, command, past, stamp) {
            Ok(effect) => effect,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let refund_lot = match command {
            Command::RefundCharge(refund) => Some(refund.grant),
            _ => None,
        };
        self.statements.write(
            self.connection,
            self.memory,
            &effect,
            made_lot(&effect, refund_lot),
        )?;
        if matches!(command, Command::OpenWallet(_) | Command::SetCreditLimit(_)) {
            self.memory.dirty.wallets.insert(effect.org);
        }
        Ok(Ok(effect))
    }

    fn ledger(
        &mut self,
        write: &Prepared,
        command: &Command,
        note: Option<&str>,
    ) -> Ended<Option<Effect>> {
        let effect = match self.command(write.at_ms, command)? {
            Ok(effect) => effect,
            Err(error) => return Ok(Err(error)),
        };
        if let (Command::RefundCharge(refund), Outcome::Refunded(refunded)) =
            (command, &effect.outcome)
        {
            self.connection
                .prepare_cached("INSERT INTO refunds VALUES (?1, ?2, ?3)")
                .map_err(failure)?
                .execute(params![
                    refund.charge.to_bytes(),
                    refund.refund.to_bytes(),
                    refunded.amount.get(),
                ])
                .map_err(failure)?;
        }
        if let (Some(note), Some(transaction)) = (note, own_transaction(&effect, command)) {
            self.connection
                .prepare_cached("INSERT INTO notes VALUES (?1, ?2)")
                .map_err(failure)?
                .execute(params![transaction.to_bytes(), note])
                .map_err(failure)?;
        }
        Ok(Ok(Some(effect)))
    }

    fn usage(
        &mut self,
        now_ms: i64,
        command: &Command,
        usage: &UsageWrite,
        body: &[u8],
        receipt: Option<&[u8]>,
    ) -> Ended<Option<Effect>> {
        let past = self.recall(command)?;
        // A hold's own dimensions are what is counted, so they are what is shown.
        let dimensions = self.dimensions(usage, &past);
        let effect = match self.command_with(now_ms, command, &past)? {
            Ok(effect) => effect,
            Err(error) => return Ok(Err(error)),
        };
        let charge = usage
            .charge
            .as_ref()
            .map(|(charge, pricing)| (*charge, pricing.price, pricing.cost));
        let row = UsageRow {
            id: usage.event_id,
            occurred_at_ms: usage.occurred_at_ms,
            recorded_at_ms: effect.at_ms,
            hold: usage.hold.map(|hold| hold.to_bytes()),
            charge,
            provider: &usage.event.provider,
            model: usage.event.model(),
            dimensions: &dimensions,
            body,
            raw: usage.raw_usage.as_deref(),
        };
        self.statements.write_usage(self.memory, usage.org, &row)?;
        if let (Some((charge, price, _)), Some(body)) = (charge, receipt) {
            let transaction = charge_transaction(&effect, charge)?;
            let ids = (usage.org, charge, usage.event_id);
            self.statements.write_receipt(
                self.memory,
                ids,
                transaction,
                (effect.at_ms, price),
                body,
            )?;
        }
        registry::keep_personal(
            self.connection,
            usage.event_id.to_bytes(),
            usage.org,
            &usage.personal,
        )?;
        Ok(Ok(Some(effect)))
    }

    fn dimensions(&self, usage: &UsageWrite, past: &Past) -> Arc<Dimensions> {
        let active = usage.hold.and_then(|hold| {
            let org = self.memory.state.org(usage.org)?;
            org.hold(hold).map(|hold| Arc::clone(&hold.dimensions))
        });
        match (active, past) {
            (Some(dimensions), _) => dimensions,
            (None, Past::Hold(past)) => Arc::clone(&past.dimensions),
            _ => Arc::clone(&usage.dimensions),
        }
    }

    fn settle(
        &mut self,
        now_ms: i64,
        settle: &SettleWrite,
        receipt: &[u8],
    ) -> Ended<Option<Effect>> {
        let stored: Option<(Vec<u8>, Option<Vec<u8>>)> = self
            .connection
            .prepare_cached("SELECT body, raw FROM usage_events WHERE id = ?1 AND org = ?2")
            .map_err(failure)?
            .query_row(
                params![settle.event_id.to_bytes(), settle.org.to_bytes()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(failure)?;
        // Without a row the ledger does not know the event either, and refuses it.
        let (body, raw) = stored.unwrap_or_default();
        let pricing = &settle.pricing;
        let command = Command::SettleUnpriced(SettleUnpriced {
            org: settle.org,
            event: settle.event_id,
            charge: settle.charge,
            price: pricing.price,
            cost: pricing.cost,
            detail_digest: detail_digest(&body, raw.as_deref(), receipt),
        });
        let effect = match self.command(now_ms, &command)? {
            Ok(effect) => effect,
            Err(error) => return Ok(Err(error)),
        };
        let transaction = charge_transaction(&effect, settle.charge)?;
        self.statements.write_receipt(
            self.memory,
            (settle.org, settle.charge, settle.event_id),
            transaction,
            (effect.at_ms, pricing.price),
            receipt,
        )?;
        self.connection
            .prepare_cached("INSERT INTO settlements VALUES (?1, ?2, ?3, ?4)")
            .map_err(failure)?
            .execute(params![
                settle.event_id.to_bytes(),
                settle.charge.to_bytes(),
                pricing.price.get(),
                pricing.cost.get(),
            ])
            .map_err(failure)?;
        Ok(Ok(Some(effect)))
    }
}

/// The refund's lot, where one was made.
fn made_lot(effect: &Effect, refund_lot: Option<GrantId>) -> Option<GrantId> {
    refund_lot.filter(|id| effect.grants.iter().any(|grant| grant.id() == *id))
}

fn charge_transaction(effect: &Effect, wanted: ChargeId) -> Result<TransactionId, StorageError> {
    effect
        .transactions
        .iter()
        .find(|transaction| {
            matches!(transaction.kind, TransactionKind::Charge { charge, .. } if charge == wanted)
        })
        .map(|transaction| transaction.id)
        .ok_or_else(|| {
            damaged(DamagedRow(format!(
                "charge `{wanted}` posted no transaction"
            )))
        })
}

/// The transaction that a command is about, among those that came due with it.
fn own_transaction(effect: &Effect, command: &Command) -> Option<TransactionId> {
    effect
        .transactions
        .iter()
        .find(|transaction| match (command, transaction.kind) {
            (Command::GrantCredits(own), TransactionKind::Grant { grant }) => own.grant == grant,
            (Command::Deduct(_), TransactionKind::Deduction)
            | (Command::AbsorbShortfall(_), TransactionKind::Absorption) => true,
            (Command::RefundCharge(own), TransactionKind::ChargeRefund { refund, .. }) => {
                own.refund == refund
            }
            (Command::RefundGrant(own), TransactionKind::GrantRefund { refund, .. }) => {
                own.refund == refund
            }
            _ => false,
        })
        .map(|transaction| transaction.id)
}
