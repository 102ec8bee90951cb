//! The directory's rows: orgs, keys, releases, bindings, quotes, queries; and the audit trail.

use super::super::rows::quote::{query_body, quote_body};
use super::memory::Memory;
use super::personal;
use super::prepare::{Prepared, Ready};
use super::releases::{self, By};
use super::signatures;
use super::statement::{changed, exists, run};
use super::trials;
use crate::service::ledger::directory::{
    DirectoryRefusal, DirectoryWrite, KeyRecord, OrgRecord, QueryRecord, QuoteRecord,
};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::BindingScope;
use crate::service::ledger::trials::TrialWrite;
use crate::service::ledger::write::{Actor, Counted};
use farebox_ledger::command::Command;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::ids::{ChargeId, EventId, KeyId, OrgId, TransactionId};
use rusqlite::{Connection, params};

type Done = Result<Result<(), DirectoryRefusal>, StorageError>;

/// Applies a change of the directory, or says why not. A refusal writes nothing.
pub fn apply(
    connection: &Connection,
    memory: &mut Memory,
    write: &DirectoryWrite,
    by: By<'_>,
) -> Done {
    let at_ms = by.at_ms;
    match write {
        DirectoryWrite::CreateCommodity(commodity) => {
            create_commodity(connection, memory, commodity)
        }
        DirectoryWrite::SetPlan { org, plan } => {
            let sql = "UPDATE orgs SET plan = ?2 WHERE id = ?1";
            let changed = changed(connection, sql, params![org.to_bytes(), plan])?;
            Ok(found(changed, DirectoryRefusal::OrgNotFound(*org)))
        }
        DirectoryWrite::CreateKey(key) => create_key(connection, key),
        DirectoryWrite::RevokeKey { org, key } => revoke_key(connection, *org, *key, at_ms),
        DirectoryWrite::AdmitRelease { release, parts } => {
            memory.dirty.bindings |= !parts.filters.is_empty();
            releases::admit(connection, release, parts, by)
        }
        DirectoryWrite::PinKeys { deployment, keys } => {
            memory.dirty.bindings = true;
            signatures::pin(connection, *deployment, keys, by).map(Ok)
        }
        DirectoryWrite::Bind(change) => {
            memory.dirty.bindings = true;
            releases::bind(connection, change, by)
        }
        DirectoryWrite::RevokeRelease { release, why } => {
            memory.dirty.bindings = true;
            releases::revoke(connection, release, why, by)
        }
        DirectoryWrite::Trial(trial) => {
            memory.dirty.bindings = true;
            trials::apply(connection, trial, by)
        }
        DirectoryWrite::KeepQuote(quote) => keep_quote(connection, quote),
        DirectoryWrite::RecordQuery(query) => record_query(connection, query),
        DirectoryWrite::ErasePersonal { org, event } => {
            erase_personal(connection, memory, *org, *event).map(Ok)
        }
    }
}

/// Forgets who made one call, or all of the org's.
fn erase_personal(
    connection: &Connection,
    memory: &mut Memory,
    org: OrgId,
    event: Option<EventId>,
) -> Result<(), StorageError> {
    run(
        connection,
        "DELETE FROM personal WHERE org = ?1 AND (?2 IS NULL OR subject = ?2)",
        params![org.to_bytes(), event.map(|event| event.to_bytes())],
    )?;
    memory.journal.flush(connection)?;
    let places = match event {
        Some(event) => super::super::read::usage::record(connection, org, event)?
            .map(|(place, _)| place)
            .into_iter()
            .collect(),
        None => {
            let newest = memory.tails.get(&org).and_then(|tail| tail.usage_head);
            personal::places_of(connection, org, newest)?
        }
    };
    personal::erase(connection, places)
}

fn found(changed: usize, refusal: DirectoryRefusal) -> Result<(), DirectoryRefusal> {
    if changed == 0 { Err(refusal) } else { Ok(()) }
}

fn create_commodity(connection: &Connection, memory: &mut Memory, new: &Commodity) -> Done {
    if let Some(known) = memory.state.commodity(new.id) {
        let same = known == new;
        return Ok(if same {
            Ok(())
        } else {
            Err(DirectoryRefusal::CommodityExists(new.id))
        });
    }
    run(
        connection,
        "INSERT INTO commodities VALUES (?1, ?2, ?3, ?4)",
        params![
            new.id.to_bytes(),
            new.name,
            new.per_credit.to_string(),
            new.currency.code()
        ],
    )?;
    memory.state.add_commodity(new.clone());
    memory.dirty.commodities.push(new.clone());
    Ok(Ok(()))
}

/// Writes a new org, without its wallet.
pub fn create_org(connection: &Connection, org: &OrgRecord) -> Done {
    let taken = exists(
        connection,
        "SELECT 1 FROM orgs WHERE id = ?1 OR name = ?2",
        params![org.id.to_bytes(), org.name],
    )?;
    if taken {
        return Ok(Err(DirectoryRefusal::OrgExists(org.name.clone())));
    }
    run(
        connection,
        "INSERT INTO orgs VALUES (?1, ?2, ?3, ?4)",
        params![org.id.to_bytes(), org.name, org.plan, org.created_at_ms],
    )?;
    Ok(Ok(()))
}

/// Takes back an org whose wallet was refused, in the same database transaction.
pub fn forget_org(connection: &Connection, org: OrgId) -> Result<(), StorageError> {
    let sql = "DELETE FROM orgs WHERE id = ?1";
    run(connection, sql, [org.to_bytes()])
}

fn create_key(connection: &Connection, key: &KeyRecord) -> Done {
    let org_known = exists(
        connection,
        "SELECT 1 FROM orgs WHERE id = ?1",
        [key.org.to_bytes()],
    )?;
    if !org_known {
        return Ok(Err(DirectoryRefusal::OrgNotFound(key.org)));
    }
    let taken = exists(
        connection,
        "SELECT 1 FROM api_keys WHERE id = ?1 OR hash = ?2",
        params![key.id.to_bytes(), key.hash],
    )?;
    if taken {
        return Ok(Err(DirectoryRefusal::KeyExists(key.id)));
    }
    run(
        connection,
        "INSERT INTO api_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            key.id.to_bytes(),
            key.org.to_bytes(),
            key.name,
            key.prefix,
            key.hash,
            key.scopes.join(" "),
            key.created_at_ms,
            key.expires_at_ms,
            key.revoked_at_ms,
        ],
    )?;
    Ok(Ok(()))
}

fn revoke_key(connection: &Connection, org: OrgId, key: KeyId, at_ms: i64) -> Done {
    let changed = changed(
        connection,
        "UPDATE api_keys SET revoked_at_ms = coalesce(revoked_at_ms, ?3)
         WHERE id = ?1 AND org = ?2",
        params![key.to_bytes(), org.to_bytes(), at_ms],
    )?;
    Ok(found(changed, DirectoryRefusal::KeyNotFound(key)))
}

fn keep_quote(connection: &Connection, quote: &QuoteRecord) -> Done {
    let id = quote.id.to_bytes();
    if exists(connection, "SELECT 1 FROM quotes WHERE id = ?1", [id])? {
        return Ok(Err(DirectoryRefusal::QuoteExists(quote.id)));
    }
    run(
        connection,
        "INSERT INTO quotes VALUES (?1, ?2, ?3)",
        params![id, quote.org.to_bytes(), quote_body(quote)],
    )?;
    Ok(Ok(()))
}

fn record_query(connection: &Connection, query: &QueryRecord) -> Done {
    run(
        connection,
        "INSERT INTO data_queries VALUES (?1, ?2, ?3, ?4)",
        params![
            query.id.to_bytes(),
            query.org.to_bytes(),
            query.at_ms,
            query_body(query)
        ],
    )?;
    keep_personal(connection, query)?;
    Ok(Ok(()))
}

/// Keeps what rules of the price book counted of a charge.
pub fn keep_counts(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
    counts: &[Counted],
) -> Result<(), StorageError> {
    for count in counts {
        run(
            connection,
            "INSERT OR FAIL INTO counts VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                org.to_bytes(),
                count.rule,
                count.period,
                charge.to_bytes(),
                count.quantity.normalize().to_string(),
            ],
        )?;
    }
    Ok(())
}

/// Keeps who made a query, apart from the query.
fn keep_personal(connection: &Connection, query: &QueryRecord) -> Result<(), StorageError> {
    let personal = &query.personal;
    if personal.is_empty() {
        return Ok(());
    }
    run(
        connection,
        "INSERT INTO personal VALUES (?1, ?2, ?3, ?4)",
        params![
            query.id.to_bytes(),
            query.org.to_bytes(),
            personal.client_ip,
            personal.user_agent
        ],
    )
    .map(drop)
}

/// Who, in a row.
pub fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Key(key) => key.to_string(),
        Actor::Admin(name) => format!("admin:{name}"),
        Actor::Host => "host".to_owned(),
    }
}

/// Records who did what. Holds and usage are their own record; everything else leaves a row.
pub fn audit(
    connection: &Connection,
    id: TransactionId,
    at_ms: i64,
    write: &Prepared,
) -> Result<(), StorageError> {
    let Some((verb, subject)) = audited(write) else {
        return Ok(());
    };
    let actor = actor_text(&write.actor);
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let org = write.org.map_or([0; 16], OrgId::to_bytes);
    let row = params![
        id.to_bytes(),
        org,
        at_ms,
        actor,
        verb,
        subject,
        write.request_id
    ];
    run(connection, sql, row)
}

fn audited(write: &Prepared) -> Option<(&'static str, Option<String>)> {
    let (verb, subject) = match &write.action {
        Ready::Ledger { command, .. } => audited_command(command)?,
        Ready::Usage { .. } | Ready::Recall => return None,
        Ready::Settle { write, .. } => ("settle_unpriced", Some(write.event_id.to_string())),
        Ready::Correct { write, .. } => ("correct_charge", Some(write.charge.to_string())),
        Ready::CreateOrg { org, .. } => ("create_org", Some(org.id.to_string())),
        Ready::Directory(directory) => audited_directory(directory)?,
    };
    Some((verb, subject))
}

fn audited_command(command: &Command) -> Option<(&'static str, Option<String>)> {
    Some(match command {
        Command::OpenWallet(_) => ("open_wallet", None),
        Command::SetCreditLimit(_) => ("set_credit_limit", None),
        Command::GrantCredits(command) => ("grant_credits", Some(command.grant.to_string())),
        Command::Deduct(_) => ("deduct", None),
        Command::RefundCharge(command) => ("refund_charge", Some(command.charge.to_string())),
        Command::RefundGrant(command) => ("refund_grant", Some(command.grant.to_string())),
        Command::AbsorbShortfall(_) => ("absorb_shortfall", None),
        Command::PutBudget(command) => ("put_budget", Some(command.budget.id.to_string())),
        Command::RemoveBudget(command) => ("remove_budget", Some(command.budget.to_string())),
        Command::SettleUnpriced(command) => ("settle_unpriced", Some(command.event.to_string())),
        Command::PlaceHold(_)
        | Command::RenewHold(_)
        | Command::ReleaseHold(_)
        | Command::GrantLease(_)
        | Command::RenewLease(_)
        | Command::ReturnLease(_)
        | Command::Capture(_)
        | Command::RecordUnpriced(_)
        | Command::ExpireDue(_) => return None,
    })
}

fn audited_directory(write: &DirectoryWrite) -> Option<(&'static str, Option<String>)> {
    Some(match write {
        DirectoryWrite::CreateCommodity(new) => ("create_commodity", Some(new.id.to_string())),
        DirectoryWrite::SetPlan { plan, .. } => {
            ("set_plan", plan.as_ref().map(ToString::to_string))
        }
        DirectoryWrite::CreateKey(key) => ("create_key", Some(key.id.to_string())),
        DirectoryWrite::RevokeKey { key, .. } => ("revoke_key", Some(key.to_string())),
        DirectoryWrite::AdmitRelease { release, .. } => {
            ("admit_release", Some(release.id.to_string()))
        }
        DirectoryWrite::PinKeys { deployment, .. } => {
            let deployment = BindingScope::everyone(*deployment).to_string();
            ("pin_keys", Some(deployment))
        }
        DirectoryWrite::Bind(change) => ("bind", Some(change.scope.to_string())),
        DirectoryWrite::Trial(TrialWrite::Start { trial, .. }) => {
            ("start_trial", Some(trial.release.to_string()))
        }
        DirectoryWrite::Trial(TrialWrite::End { trial, .. }) => {
            ("end_trial", Some(trial.to_string()))
        }
        DirectoryWrite::RevokeRelease { release, .. } => {
            ("revoke_release", Some(release.to_string()))
        }
        DirectoryWrite::ErasePersonal { event, .. } => {
            ("erase_personal", event.map(|event| event.to_string()))
        }
        DirectoryWrite::KeepQuote(_) | DirectoryWrite::RecordQuery(_) => return None,
    })
}
