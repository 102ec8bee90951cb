//! The ledger's state out of its rows: at start, and after a commit that failed.
//!
//! Reads what is alive, never the journal, so a start takes as long as there are open holds and
//! lots, not as long as there is history. The ledger itself checks that the rows agree.

use super::chunks::{self, List, Place};
use super::connection::{DamagedRow, damaged, failure};
use super::dedupe::Dedupe;
use super::read::{budgets, grants, holds, wallets};
use super::rows::records;
use super::write::journal::Journal;
use super::write::memory::{Dirty, Memory};
use super::write::outcome::Effects;
use crate::service::ledger::failure::StorageError;
use farebox_ledger::budget::{Budget, BudgetUse};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::effect::Unpriced;
use farebox_ledger::grant::Grant;
use farebox_ledger::hold::{Hold, Payer};
use farebox_ledger::ids::{EventId, HoldId, OrgId, TransactionId};
use farebox_ledger::state::{OrgRows, State};
use farebox_pricing::money::Nanos;
use rusqlite::Connection;
use std::collections::HashMap;

/// What is alive of one org besides its wallet.
#[derive(Debug, Default)]
struct Alive {
    grants: Vec<Grant>,
    holds: Vec<Hold>,
    unpriced: Vec<Unpriced>,
    budgets: Vec<(Budget, BudgetUse)>,
}

/// The ledger in memory, and all kinds of credit.
pub fn memory(connection: &Connection) -> Result<(Memory, Vec<Commodity>), StorageError> {
    let commodities = super::read::directory::commodities(connection)?;
    let mut state = State::new(0);
    for commodity in &commodities {
        state.add_commodity(commodity.clone());
    }
    let (mut alive, places) = everything_alive(connection)?;
    let mut tails = HashMap::new();
    for row in wallets::all(connection)? {
        let Alive {
            grants,
            holds,
            unpriced,
            budgets,
        } = alive.remove(&row.org).unwrap_or_default();
        let mut wallet = row.wallet;
        (wallet.held, wallet.held_on_credit) = held(&holds)
            .ok_or_else(|| damaged(DamagedRow(format!("org `{}` holds too much", row.org))))?;
        // A hold moves time on without touching the wallet's row.
        let placed = holds.iter().map(|hold| hold.placed_at_ms).max();
        wallet.at_ms = wallet.at_ms.max(placed.unwrap_or(i64::MIN));
        state
            .restore(OrgRows {
                org: row.org,
                wallet,
                grants,
                holds,
                unpriced,
                budgets,
            })
            .map_err(damaged)?;
        tails.insert(row.org, row.tail);
    }
    if let Some(org) = alive.keys().next() {
        return Err(damaged(DamagedRow(format!(
            "org `{org}` has lots or holds but no wallet"
        ))));
    }
    let memory = Memory {
        state,
        tails,
        journal: Journal::load(connection, places).map_err(failure)?,
        dedupe: Dedupe::load(connection).map_err(failure)?,
        effects: Effects::load(connection).map_err(failure)?,
        dirty: Dirty::default(),
        last_id: last_id(connection)?,
    };
    Ok((memory, commodities))
}

/// The highest id that a write has had.
fn last_id(connection: &Connection) -> Result<TransactionId, StorageError> {
    let posted = chunks::last(connection, List::Transactions, |entry| {
        let record = records::transaction(entry).map_err(damaged)?;
        Ok(record.transaction.id)
    })?;
    let sql = "SELECT max(id) FROM audit";
    let audited: Option<Option<[u8; 16]>> =
        super::read::query_one(connection, sql, [], |row| super::read::get(row, 0))?;
    let audited = TransactionId::from_bytes(audited.flatten().unwrap_or_default());
    Ok(posted.map_or(audited, |posted| posted.max(audited)))
}

/// What active holds put aside, and the part of it on credit.
pub fn held(holds: &[Hold]) -> Option<(Nanos, Nanos)> {
    let mut held = Nanos::ZERO;
    let mut on_credit = Nanos::ZERO;
    for part in holds.iter().flat_map(|hold| &hold.reserves) {
        held = held.checked_add(part.amount)?;
        if part.payer == Payer::Credit {
            on_credit = on_credit.checked_add(part.amount)?;
        }
    }
    Some((held, on_credit))
}

type Places = HashMap<HoldId, Place>;

fn everything_alive(
    connection: &Connection,
) -> Result<(HashMap<OrgId, Alive>, Places), StorageError> {
    let mut alive: HashMap<OrgId, Alive> = HashMap::new();
    let mut places = HashMap::new();
    for (org, grant) in grants::live(connection, None)? {
        alive.entry(org).or_default().grants.push(grant);
    }
    for active in holds::active(connection, None)? {
        places.insert(active.hold.id, active.place);
        alive.entry(active.org).or_default().holds.push(active.hold);
    }
    for (org, usage) in unpriced(connection)? {
        alive.entry(org).or_default().unpriced.push(usage);
    }
    for (org, budget) in budgets::all(connection, None)? {
        alive.entry(org).or_default().budgets.push(budget);
    }
    Ok((alive, places))
}

fn unpriced(connection: &Connection) -> Result<Vec<(OrgId, Unpriced)>, StorageError> {
    let mut statement = connection
        .prepare_cached("SELECT org, event, hold, dimensions FROM unpriced")
        .map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(failure)? {
        let body = row.get_ref(3).map_err(failure)?;
        let body = body.as_blob().map_err(damaged)?;
        let hold: Option<[u8; 16]> = row.get(2).map_err(failure)?;
        all.push((
            OrgId::from_bytes(row.get(0).map_err(failure)?),
            Unpriced {
                event: EventId::from_bytes(row.get(1).map_err(failure)?),
                hold: hold.map(HoldId::from_bytes),
                dimensions: super::rows::ledger::dimensions(body).map_err(damaged)?,
            },
        ));
    }
    Ok(all)
}
