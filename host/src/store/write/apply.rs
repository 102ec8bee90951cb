//! One write's turn: retry or not, allowed or not, then its rows.

use super::super::connection::failure;
use super::super::read::corrections::corrected;
use super::super::rows::records::{NewReceipt, NewUsage};
use super::super::rows::usage::{FirstEffect, detail_digest};
use super::derived::Statements;
use super::memory::Memory;
use super::prepare::{Prepared, Ready};
use super::releases::By;
use super::{outcome, recall, registry};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::{
    Acknowledged, CorrectionWrite, SettleWrite, UsageWrite, Way, WriteError,
};
use farebox_ledger::command::{Command, Past, SettleUnpriced, Stamp};
use farebox_ledger::effect::{Effect, Outcome};
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{GrantId, OrgId, TransactionId};
use farebox_ledger::transaction::TransactionKind;
use rusqlite::{Connection, params};
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
            Ready::Correct {
                command,
                note,
                write: correction,
            } => self.correct(write, command, note, correction)?,
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
            Ready::Recall => Err(WriteError::NotRecorded),
            Ready::Directory(directory) => {
                let by = By {
                    id: self.id,
                    at_ms: write.at_ms,
                    actor: &registry::actor_text(&write.actor),
                };
                let done = registry::apply(self.connection, self.memory, directory, by)?;
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

    fn recall(&mut self, command: &Command) -> Result<Past, StorageError> {
        match self.memory.state.recall(command) {
            None => Ok(Past::Nothing),
            Some(asked) => {
                // It may be of this very commit.
                self.memory.journal.flush(self.connection)?;
                recall::recall(self.connection, command.org(), asked)
            }
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

    fn correct(
        &mut self,
        write: &Prepared,
        command: &Command,
        note: &str,
        correction: &CorrectionWrite,
    ) -> Ended<Option<Effect>> {
        // What waits in the queue is from before the writes ahead of it.
        if corrected(self.connection, correction.charge)? != correction.seen {
            return Ok(Err(WriteError::Moved));
        }
        let effect = match self.ledger(write, command, Some(note))? {
            Ok(effect) => effect,
            Err(error) => return Ok(Err(error)),
        };
        let transaction = effect
            .as_ref()
            .and_then(|effect| own_transaction(effect, command));
        let size = correction.amount.get();
        let amount_nanos = match correction.way {
            Way::Back | Way::Returned => size.saturating_neg(),
            Way::Taken => size,
        };
        self.connection
            .prepare_cached("INSERT INTO corrections VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .map_err(failure)?
            .execute(params![
                correction.charge.to_bytes(),
                transaction.unwrap_or(self.id).to_bytes(),
                correction.release.component.0,
                correction.release.book.0,
                amount_nanos,
                correction.way == Way::Returned,
            ])
            .map_err(failure)?;
        Ok(Ok(effect))
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
        let row = NewUsage {
            id: usage.event_id,
            org: usage.org,
            occurred_at_ms: usage.occurred_at_ms,
            recorded_at_ms: effect.at_ms,
            hold: usage.hold,
            charge,
            dimensions: &dimensions,
            body,
            raw: usage.raw_usage.as_deref(),
        };
        self.memory.dirty.wallets.insert(usage.org);
        let tail = self.memory.tails.entry(usage.org).or_default();
        let journal = &mut self.memory.journal;
        let place = journal.record_usage(self.connection, tail, &row, &usage.personal)?;
        if let (Some((charge, price, _)), Some(body)) = (charge, receipt) {
            let receipt = NewReceipt {
                charge,
                org: usage.org,
                event: usage.event_id,
                usage: place,
                transaction: journal.charged_at(charge)?,
                body,
            };
            journal.issue_receipt(self.connection, tail, &receipt, (effect.at_ms, price))?;
            registry::keep_counts(self.connection, usage.org, charge, &usage.counts)?;
        }
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
        self.memory.journal.flush(self.connection)?;
        let stored =
            super::super::read::usage::record(self.connection, settle.org, settle.event_id)?;
        // Without an entry the ledger does not know the event either, and refuses it.
        let (place, body, raw) = match &stored {
            Some((place, usage)) => (Some(*place), &*usage.body, usage.raw.as_deref()),
            None => (None, &[][..], None),
        };
        let pricing = &settle.pricing;
        let command = Command::SettleUnpriced(SettleUnpriced {
            org: settle.org,
            event: settle.event_id,
            charge: settle.charge,
            price: pricing.price,
            cost: pricing.cost,
            detail_digest: detail_digest(body, raw, receipt),
        });
        let effect = match self.command(now_ms, &command)? {
            Ok(effect) => effect,
            Err(error) => return Ok(Err(error)),
        };
        let tail = self.memory.tails.entry(settle.org).or_default();
        let journal = &mut self.memory.journal;
        if let Some(usage) = place {
            let entry = NewReceipt {
                charge: settle.charge,
                org: settle.org,
                event: settle.event_id,
                usage,
                transaction: journal.charged_at(settle.charge)?,
                body: receipt,
            };
            let counted = (effect.at_ms, pricing.price);
            journal.issue_receipt(self.connection, tail, &entry, counted)?;
        }
        registry::keep_counts(self.connection, settle.org, settle.charge, &settle.counts)?;
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
