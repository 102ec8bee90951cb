//! The writing end of the journal: the open chunks of its lists, and where what they say stands.

use super::super::chunks::ids::NewIds;
use super::super::chunks::{List, OpenList, Place};
use super::super::connection::{DamagedRow, damaged, failure};
use super::super::rows::records::{
    NewReceipt, NewUsage, put_hold, put_hold_end, put_receipt, put_transaction, put_usage,
};
use super::memory::{Tail, month_of};
use super::personal::PersonalSlots;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::Personal;
use farebox_ledger::effect::HoldChange;
use farebox_ledger::ids::{ChargeId, HoldId, OrgId};
use farebox_ledger::transaction::{Transaction, TransactionKind};
use farebox_pricing::money::Nanos;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, HashMap};

/// Every so many usage events of an org one is marked.
pub const MARK_EVERY: u64 = 64;

/// The journal's lists as they are written to. Entries are durable after
/// [`flush`](Self::flush) and commit.
#[derive(Debug)]
pub struct Journal {
    transactions: OpenList,
    usage: OpenList,
    receipts: OpenList,
    holds: OpenList,
    events: NewIds,
    charges: NewIds,
    personal: PersonalSlots,
    /// Where each active hold was last written.
    active: HashMap<HoldId, Place>,
    changed: BTreeMap<HoldId, Changed>,
    ended: Vec<(HoldId, Place)>,
    charge: Option<(ChargeId, Place)>,
}

/// What of a hold's row differs from the database.
#[derive(Debug)]
struct Changed {
    org: OrgId,
    has_row: bool,
    /// Absent: it is over.
    place: Option<Place>,
}

impl Journal {
    /// Goes on where the database ends, with the places of active holds.
    pub fn load(connection: &Connection, active: HashMap<HoldId, Place>) -> rusqlite::Result<Self> {
        Ok(Self {
            transactions: OpenList::load(connection, List::Transactions)?,
            usage: OpenList::load(connection, List::Usage)?,
            receipts: OpenList::load(connection, List::Receipts)?,
            holds: OpenList::load(connection, List::Holds)?,
            events: NewIds::load(connection, List::Usage)?,
            charges: NewIds::load(connection, List::Receipts)?,
            personal: PersonalSlots::default(),
            active,
            changed: BTreeMap::new(),
            ended: Vec::new(),
            charge: None,
        })
    }

    /// Posts a transaction at the end of its org's list.
    pub fn post(
        &mut self,
        connection: &Connection,
        tail: &mut Tail,
        transaction: &Transaction,
    ) -> Result<(), StorageError> {
        let place = self
            .transactions
            .add(connection, |out| {
                put_transaction(out, transaction, tail.head)
            })
            .map_err(failure)?;
        tail.head = Some(place);
        if let TransactionKind::Charge { charge, .. } = transaction.kind {
            self.charge = Some((charge, place));
        }
        Ok(())
    }

    /// Records what happened to a hold.
    pub fn hold(
        &mut self,
        connection: &Connection,
        org: OrgId,
        change: &HoldChange,
    ) -> Result<(), StorageError> {
        match change {
            HoldChange::Placed(hold) | HoldChange::Changed(hold) => {
                let place = self
                    .holds
                    .add(connection, |out| put_hold(out, org, hold))
                    .map_err(failure)?;
                let has_row = self.active.insert(hold.id, place).is_some();
                self.note(org, hold.id, has_row, Some(place));
            }
            HoldChange::Ended(ended) => {
                let id = ended.id;
                let before = self.active.remove(&id).ok_or_else(|| {
                    damaged(DamagedRow(format!("hold `{id}` ended without a place")))
                })?;
                let place = self
                    .holds
                    .add(connection, |out| put_hold_end(out, org, ended, before))
                    .map_err(failure)?;
                self.note(org, id, true, None);
                self.ended.push((id, place));
            }
        }
        Ok(())
    }

    fn note(&mut self, org: OrgId, hold: HoldId, has_row: bool, place: Option<Place>) {
        let first = Changed {
            org,
            has_row,
            place,
        };
        self.changed.entry(hold).or_insert(first).place = place;
    }

    /// Records a usage event at the end of its org's list, and who called beside it.
    pub fn record_usage(
        &mut self,
        connection: &Connection,
        tail: &mut Tail,
        usage: &NewUsage<'_>,
        personal: &Personal,
    ) -> Result<Place, StorageError> {
        tail.usage_seq = tail.usage_seq.saturating_add(1);
        let (seq, previous) = (tail.usage_seq, tail.usage_head);
        let place = self
            .usage
            .add(connection, |out| put_usage(out, usage, seq, previous))
            .map_err(failure)?;
        tail.usage_head = Some(place);
        self.events.add(usage.id.get(), place);
        self.personal
            .add(connection, place, personal)
            .map_err(failure)?;
        if seq.checked_rem(MARK_EVERY) == Some(0) {
            connection
                .prepare_cached("INSERT OR FAIL INTO marks VALUES (?1, ?2, ?3)")
                .and_then(|mut mark| {
                    mark.execute(params![usage.org.to_bytes(), usage.recorded_at_ms, place])
                })
                .map_err(failure)?;
        }
        Ok(place)
    }

    /// Where the transaction of this charge, posted last, stands.
    pub fn charged_at(&mut self, wanted: ChargeId) -> Result<Place, StorageError> {
        match self.charge.take() {
            Some((charge, place)) if charge == wanted => Ok(place),
            _ => Err(damaged(DamagedRow(format!(
                "charge `{wanted}` posted no transaction"
            )))),
        }
    }

    /// Records a receipt, and counts its price in the org's month.
    pub fn issue_receipt(
        &mut self,
        connection: &Connection,
        tail: &mut Tail,
        receipt: &NewReceipt<'_>,
        (at_ms, price): (i64, Nanos),
    ) -> Result<(), StorageError> {
        let place = self
            .receipts
            .add(connection, |out| put_receipt(out, receipt))
            .map_err(failure)?;
        self.charges.add(receipt.charge.get(), place);
        let month = month_of(at_ms);
        if tail.month != month {
            tail.month = month;
            tail.month_nanos = Nanos::ZERO;
        }
        // A volume tier has no step at nine billion credits.
        tail.month_nanos = tail.month_nanos.checked_add(price).unwrap_or(Nanos::MAX);
        Ok(())
    }

    /// Writes what is open. Before each commit, and before the journal is read within one.
    pub fn flush(&mut self, connection: &Connection) -> Result<(), StorageError> {
        for list in [
            &mut self.transactions,
            &mut self.usage,
            &mut self.receipts,
            &mut self.holds,
        ] {
            list.flush(connection).map_err(failure)?;
        }
        self.personal.flush(connection).map_err(failure)?;
        self.events.flush(connection)?;
        self.charges.flush(connection)?;
        self.flush_holds(connection).map_err(failure)
    }

    fn flush_holds(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT OR FAIL INTO holds_active VALUES (?1, ?2, ?3)")?;
        let mut update =
            connection.prepare_cached("UPDATE holds_active SET place = ?2 WHERE id = ?1")?;
        let mut delete = connection.prepare_cached("DELETE FROM holds_active WHERE id = ?1")?;
        for (id, changed) in std::mem::take(&mut self.changed) {
            let id = id.to_bytes();
            match (changed.has_row, changed.place) {
                (false, Some(place)) => {
                    insert.execute(params![id, changed.org.to_bytes(), place])?
                }
                (true, Some(place)) => update.execute(params![id, place])?,
                (true, None) => delete.execute([id])?,
                (false, None) => 0,
            };
        }
        self.ended.sort_unstable();
        let mut ended = connection.prepare_cached("INSERT INTO holds_ended VALUES (?1, ?2)")?;
        for (id, place) in self.ended.drain(..) {
            ended.execute(params![id.to_bytes(), place])?;
        }
        Ok(())
    }
}
