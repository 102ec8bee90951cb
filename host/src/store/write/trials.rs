//! Trials: rows that are written once, how each began and how it ended.

use super::super::read::releases::{is_revoked, newest};
use super::super::read::trials;
use super::releases::{By, bind, is_admitted};
use super::signatures::must_be_signed;
use super::statement::run;
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::{BindTo, BindingChange};
use crate::service::ledger::trials::{
    Trial, TrialEnding, TrialKind, TrialResult, TrialWrite, Whom,
};
use crate::service::policy::ReleaseId;
use farebox_ledger::ids::{OrgId, TransactionId};
use rusqlite::{Connection, params};

type Done = Result<Result<(), DirectoryRefusal>, StorageError>;

/// Begins or ends a trial.
pub fn apply(connection: &Connection, write: &TrialWrite, by: By<'_>) -> Done {
    match write {
        TrialWrite::Start { trial, follows } => start(connection, trial, follows.as_ref(), by),
        TrialWrite::End {
            trial,
            ending,
            why,
            result,
        } => {
            let Some(running) = trials::one(connection, *trial)? else {
                return Ok(Err(DirectoryRefusal::TrialNotFound(*trial)));
            };
            if running.end.is_some() {
                return Ok(Err(DirectoryRefusal::TrialOver(*trial)));
            }
            if *ending == TrialEnding::Promoted {
                let scope = running.trial.scope;
                let change = BindingChange {
                    to: BindTo::Release(running.trial.release),
                    // Had anybody bound another since it began, it would be over.
                    expected: newest(connection, &scope)?.and_then(|top| top.release),
                    scope,
                    beside: Some((*trial, result.clone())),
                    why: why.clone(),
                };
                return bind(connection, &change, by);
            }
            end(connection, *trial, *ending, why.as_deref(), result, by).map(Ok)
        }
    }
}

fn start(
    connection: &Connection,
    trial: &Trial,
    follows: Option<&(TransactionId, Box<TrialResult>)>,
    by: By<'_>,
) -> Done {
    let release = &trial.release;
    if !is_admitted(connection, release)? {
        return Ok(Err(DirectoryRefusal::ReleaseNotFound(*release)));
    }
    if is_revoked(connection, release)? {
        return Ok(Err(DirectoryRefusal::ReleaseRevoked(*release)));
    }
    if matches!(trial.kind, TrialKind::Canary(_))
        && let Err(refusal) = must_be_signed(connection, &trial.scope, release)?
    {
        return Ok(Err(refusal));
    }
    let mut running = trials::running(connection)?.into_iter();
    if let Some(running) = running.find(|running| running.scope == trial.scope) {
        match follows {
            Some((id, result)) if *id == running.id && running.release == *release => {
                end(connection, *id, TrialEnding::Followed, None, result, by)?;
            }
            _ => {
                return Ok(Err(DirectoryRefusal::TrialRuns {
                    scope: Box::new(trial.scope.clone()),
                    trial: running.id,
                }));
            }
        }
    }
    let (share, orgs) = match &trial.kind {
        TrialKind::Shadow => (None, None),
        TrialKind::Canary(Whom::Share(share)) => (Some(share.get()), None),
        TrialKind::Canary(Whom::Orgs(orgs)) => {
            let ids: Vec<u8> = orgs.iter().copied().flat_map(OrgId::to_bytes).collect();
            (None, Some(ids))
        }
    };
    let bounds = &trial.bounds;
    run(
        connection,
        "INSERT INTO trials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            by.id.to_bytes(),
            trial.scope.to_string(),
            by.at_ms,
            by.actor,
            release.component.0,
            release.book.0,
            share,
            orgs,
            stored(bounds.faults_max),
            bounds.refused_max.map(stored),
            bounds.change_max.map(|points| points.get()),
            stored(bounds.calls_min),
            trial.why,
        ],
    )
    .map(Ok)
}

/// Counts never come near the end of a column's range.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn end(
    connection: &Connection,
    trial: TransactionId,
    ending: TrialEnding,
    why: Option<&str>,
    result: &TrialResult,
    by: By<'_>,
) -> Result<(), StorageError> {
    run(
        connection,
        "INSERT INTO trial_ends VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
         ?14)",
        params![
            trial.to_bytes(),
            by.at_ms,
            by.actor,
            ending.name(),
            why,
            stored(result.compared),
            stored(result.same),
            stored(result.dearer),
            stored(result.cheaper),
            stored(result.refused),
            stored(result.faults),
            result.bound_usd.to_string(),
            result.candidate_usd.to_string(),
            result.moved_usd.to_string(),
        ],
    )?;
    for (number, sample) in (0_i64..).zip(&result.samples) {
        run(
            connection,
            "INSERT INTO trial_samples VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                trial.to_bytes(),
                number,
                sample.org.to_bytes(),
                sample.charge.to_bytes(),
                sample.bound_usd.map(|price| price.to_string()),
                sample.candidate_usd.map(|price| price.to_string()),
                sample.reason,
            ],
        )?;
    }
    Ok(())
}

/// Ends the trial beside a scope that is bound anew: promoted where it is bound to the candidate,
/// else stopped.
pub fn end_beside(
    connection: &Connection,
    change: &BindingChange,
    release: Option<ReleaseId>,
    by: By<'_>,
) -> Result<(), StorageError> {
    let mut running = trials::running(connection)?.into_iter();
    let Some(trial) = running.find(|trial| trial.scope == change.scope) else {
        return Ok(());
    };
    let ending = if release == Some(trial.release) {
        TrialEnding::Promoted
    } else {
        TrialEnding::Stopped
    };
    let shown = change.beside.as_ref().filter(|(id, _)| *id == trial.id);
    let nothing = TrialResult::default();
    let result = shown.map_or(&nothing, |(_, result)| result);
    end(
        connection,
        trial.id,
        ending,
        change.why.as_deref(),
        result,
        by,
    )
}

/// A scope beside whose binding this release is tried now.
pub fn tried(connection: &Connection, release: &ReleaseId) -> Result<Option<Trial>, StorageError> {
    let mut running = trials::running(connection)?.into_iter();
    Ok(running.find(|trial| trial.release == *release))
}
