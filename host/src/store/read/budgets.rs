//! Budgets, and what each has counted.

use super::super::chunks::Place;
use super::{get, known, nanos, query};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::budget::{Budget, BudgetKind, BudgetScope, BudgetUse};
use farebox_ledger::ids::{BudgetId, OrgId};
use farebox_ledger::window::{Window, Zone};
use farebox_pricing::money::Nanos;
use rusqlite::{Connection, Row};
use std::collections::HashMap;

/// A budget with what it has counted, and whose it is.
pub type OfOrg = (OrgId, (Budget, BudgetUse));

/// Budgets of one org or of all. What is held is left at zero: it is the sum of the holds.
pub fn all(connection: &Connection, org: Option<OrgId>) -> Result<Vec<OfOrg>, StorageError> {
    let sql = "SELECT id, org, scope, scope_value, kind, window, zone, limit_nanos,
         window_start_ms, window_end_ms, spent_nanos FROM budgets
         WHERE ?1 IS NULL OR org = ?1 ORDER BY id";
    query(connection, sql, [org.map(OrgId::to_bytes)], read)
}

/// Since when a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// After this transaction of the org; after none: from the first on.
    pub place: Option<Place>,
    pub at_ms: i64,
    /// What it counted then.
    pub counted: Nanos,
}

/// Since when each budget counts.
pub fn since(connection: &Connection) -> Result<HashMap<BudgetId, Since>, StorageError> {
    let sql = "SELECT id, since_place, since_ms, since_nanos FROM budgets";
    let rows = query(connection, sql, [], |row| {
        let since = Since {
            place: get(row, 1)?,
            at_ms: get(row, 2)?,
            counted: nanos(row, 3)?,
        };
        Ok((BudgetId::from_bytes(get(row, 0)?), since))
    })?;
    Ok(rows.into_iter().collect())
}

fn read(row: &Row<'_>) -> Result<OfOrg, StorageError> {
    let id = BudgetId::from_bytes(get(row, 0)?);
    let kind: String = get(row, 4)?;
    let window: String = get(row, 5)?;
    let zone: String = get(row, 6)?;
    let budget = Budget {
        id,
        scope: known(scope(&get::<String>(row, 2)?, get(row, 3)?), "budget scope")?,
        kind: known(BudgetKind::from_name(&kind), "kind of budget")?,
        window: known(Window::from_name(&window), "budget window")?,
        zone: known(Zone::new(&zone).ok(), "time zone")?,
        limit: nanos(row, 7)?,
    };
    let used = BudgetUse {
        budget: id,
        window_start_ms: get(row, 8)?,
        window_end_ms: get(row, 9)?,
        spent: nanos(row, 10)?,
        held: Nanos::ZERO,
    };
    Ok((OrgId::from_bytes(get(row, 1)?), (budget, used)))
}

fn scope(name: &str, value: Option<String>) -> Option<BudgetScope> {
    if name == "org" {
        return Some(BudgetScope::Org);
    }
    let value = value?;
    Some(match name {
        "key" => BudgetScope::Key(value.parse().ok()?),
        "project" => BudgetScope::Project(value.into()),
        "user" => BudgetScope::User(value.into()),
        "agent" => BudgetScope::Agent(value.into()),
        "feature" => BudgetScope::Feature(value.into()),
        _ => return None,
    })
}
