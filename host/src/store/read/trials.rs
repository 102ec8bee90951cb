//! Trials: how each began, and how it ended.

use super::releases::scope;
use super::{count, get, known, query, query_one};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::trials::{
    BasisPoints, Trial, TrialBounds, TrialEnd, TrialEnding, TrialKind, TrialRecord, TrialResult,
    TrialSample, Whom,
};
use crate::service::ledger::view::{Page, PageRequest};
use crate::service::policy::{Digest, ReleaseId};
use farebox_ledger::ids::{ChargeId, OrgId, TransactionId};
use farebox_pricing::exact;
use rusqlite::{Connection, Row, params};
use rust_decimal::Decimal;

const TRIAL: &str = "SELECT t.id, t.scope, t.at_ms, t.actor, t.component, t.book, t.share, t.orgs,
    t.faults_max, t.refused_max, t.change_max, t.calls_min, t.why FROM trials t";

fn trial(row: &Row<'_>) -> Result<Trial, StorageError> {
    let of: String = get(row, 1)?;
    let optional = |column| -> Result<Option<u64>, StorageError> {
        let value: Option<i64> = get(row, column)?;
        value
            .map(|value| known(u64::try_from(value).ok(), "bound of a trial"))
            .transpose()
    };
    let points = |column| -> Result<Option<BasisPoints>, StorageError> {
        let value: Option<u32> = get(row, column)?;
        value
            .map(|value| known(BasisPoints::new(value), "share of a trial"))
            .transpose()
    };
    let orgs: Option<Vec<u8>> = get(row, 7)?;
    let kind = match (points(6)?, orgs) {
        (None, None) => TrialKind::Shadow,
        (Some(share), None) => TrialKind::Canary(Whom::Share(share)),
        (_, Some(orgs)) => {
            let (orgs, rest) = orgs.as_chunks::<16>();
            known(rest.is_empty().then_some(()), "orgs of a trial")?;
            let orgs = orgs.iter().map(|id| OrgId::from_bytes(*id));
            TrialKind::Canary(Whom::Orgs(orgs.collect()))
        }
    };
    Ok(Trial {
        id: TransactionId::from_bytes(get(row, 0)?),
        scope: known(scope(&of), "scope of a trial")?,
        at_ms: get(row, 2)?,
        by: get(row, 3)?,
        release: ReleaseId {
            component: Digest(get(row, 4)?),
            book: Digest(get(row, 5)?),
        },
        kind,
        bounds: TrialBounds {
            faults_max: count(row, 8)?,
            refused_max: optional(9)?,
            change_max: points(10)?,
            calls_min: count(row, 11)?,
        },
        why: get(row, 12)?,
    })
}

/// The trials that run, oldest first.
pub fn running(connection: &Connection) -> Result<Vec<Trial>, StorageError> {
    let sql = format!(
        "{TRIAL} WHERE NOT EXISTS (SELECT 1 FROM trial_ends e WHERE e.trial = t.id) ORDER BY t.id"
    );
    query(connection, &sql, [], trial)
}

/// Trials, newest first.
pub fn page(connection: &Connection, page: PageRequest) -> Result<Page<TrialRecord>, StorageError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = page.after.map(u128::to_be_bytes);
    let sql = format!("{TRIAL} WHERE (?1 IS NULL OR t.id < ?1) ORDER BY t.id DESC LIMIT ?2");
    let trials = query(connection, &sql, params![after, rows], trial)?;
    let next = (trials.len() == limit)
        .then(|| trials.last().map(|last| last.id.get()))
        .flatten();
    let items = trials.into_iter().map(|trial| with_end(connection, trial));
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next,
    })
}

/// One trial.
pub fn one(
    connection: &Connection,
    id: TransactionId,
) -> Result<Option<TrialRecord>, StorageError> {
    let sql = format!("{TRIAL} WHERE t.id = ?1");
    let trial = query_one(connection, &sql, [id.to_bytes()], trial)?;
    trial.map(|trial| with_end(connection, trial)).transpose()
}

fn with_end(connection: &Connection, trial: Trial) -> Result<TrialRecord, StorageError> {
    let sql = "SELECT at_ms, actor, ending, why, compared, same, dearer, cheaper, refused, faults,
        bound_usd, candidate_usd, moved_usd FROM trial_ends WHERE trial = ?1";
    let end = query_one(connection, sql, [trial.id.to_bytes()], |row| {
        let ending: String = get(row, 2)?;
        let ending = TrialEnding::ALL
            .into_iter()
            .find(|known| known.name() == ending);
        let bound_usd = known(some_amount(row, 10)?, "sum of a trial")?;
        let candidate_usd = known(some_amount(row, 11)?, "sum of a trial")?;
        // Where only the sums are known, they differ by this at least.
        let moved_usd = match some_amount(row, 12)? {
            Some(moved_usd) => moved_usd,
            None => known(exact::sub(candidate_usd, bound_usd).ok(), "sum of a trial")?.abs(),
        };
        Ok(TrialEnd {
            at_ms: get(row, 0)?,
            by: get(row, 1)?,
            ending: known(ending, "ending of a trial")?,
            why: get(row, 3)?,
            result: TrialResult {
                compared: count(row, 4)?,
                same: count(row, 5)?,
                dearer: count(row, 6)?,
                cheaper: count(row, 7)?,
                refused: count(row, 8)?,
                faults: count(row, 9)?,
                bound_usd,
                candidate_usd,
                moved_usd,
                samples: Vec::new(),
            },
        })
    })?;
    let end = match end {
        None => None,
        Some(mut end) => {
            end.result.samples = samples(connection, trial.id)?;
            Some(end)
        }
    };
    Ok(TrialRecord { trial, end })
}

fn samples(
    connection: &Connection,
    trial: TransactionId,
) -> Result<Vec<TrialSample>, StorageError> {
    let sql = "SELECT org, charge, bound_usd, candidate_usd, reason FROM trial_samples
        WHERE trial = ?1 ORDER BY number";
    query(connection, sql, [trial.to_bytes()], |row| {
        Ok(TrialSample {
            org: OrgId::from_bytes(get(row, 0)?),
            charge: ChargeId::from_bytes(get(row, 1)?),
            bound_usd: some_amount(row, 2)?,
            candidate_usd: some_amount(row, 3)?,
            reason: get(row, 4)?,
        })
    })
}

fn some_amount(row: &Row<'_>, column: usize) -> Result<Option<Decimal>, StorageError> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| known(text.parse().ok(), "amount of a trial"))
        .transpose()
}
