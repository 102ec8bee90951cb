//! What would the past have cost under another release: revenue, cost and margin as they were and
//! as they would be, by org, feature, model and plan, and all that would no longer have a price.
//!
//! Nothing is charged by it. A backtest is a job on threads of its own, of which only few run at
//! once; requests come first. It reads what was posted when it began; refunds are not considered,
//! because they follow no price. How charges are priced again is [`super::rerate`]'s.

pub mod job;
pub mod report;
pub mod sums;
pub mod tally;

use super::ledger::failure::ReadError;
use super::ledger::past::Lines;
use super::ledger::{LedgerStore, SharedStore};
use super::policy::{ReleaseId, SharedEngine};
use super::rerate::{self, Control, End, Task, Tools, Under};
use report::{Report, ReportError};
use std::collections::BTreeMap;
use std::ops::Range;
use tally::Tally;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Under which release; it is loaded.
    pub release: ReleaseId,
    /// What was posted from the first on and before the second, milliseconds since the Unix epoch.
    pub posted_ms: Range<i64>,
    /// Only what this release priced.
    pub priced_by: Option<ReleaseId>,
}

/// Usage that waits is read in steps of so many.
const WAITING_STEP: usize = 256;

/// Rates the past again and says what it comes to.
///
/// # Errors
/// See [`ReportError`].
pub fn run(
    store: &SharedStore,
    engine: &SharedEngine,
    prepare: fn(),
    question: &Question,
    control: &Control,
) -> Result<Report, ReportError> {
    let task = Task {
        posted_ms: question.posted_ms.clone(),
        under: Under::Release(question.release),
        priced_by: question.priced_by,
        lines: Lines::LeftOut,
    };
    let tools = Tools {
        past: store.as_ref(),
        engine: engine.as_ref(),
        prepare,
    };
    let mut tallies: Vec<Tally> = Vec::new();
    let threads = rerate::threads(tools.engine, task.under);
    tallies.resize_with(threads, Tally::default);
    let end = rerate::run(tools, &task, control, &mut tallies)?;
    let mut total = Tally::default();
    for tally in tallies {
        total.merge(tally);
    }
    let waiting = match question.priced_by {
        // What has no price was priced by none.
        Some(_) => BTreeMap::new(),
        None => waiting(store.as_ref(), question, control)?,
    };
    let recounted = !engine.counters(&question.release).is_empty();
    let whole = end == End::Whole;
    Report::of(total, waiting, whole, recounted, store.as_ref())
}

/// How much usage of the range waits for a price, by reason.
fn waiting(
    store: &dyn LedgerStore,
    question: &Question,
    control: &Control,
) -> Result<BTreeMap<Box<str>, u64>, ReadError> {
    let mut reasons: BTreeMap<Box<str>, u64> = BTreeMap::new();
    let mut after = None;
    while !control.is_stopped() {
        let some = store.waiting(after, WAITING_STEP)?;
        let Some(last) = some.last() else { break };
        after = Some(last.event_id);
        for waits in &some {
            if question.posted_ms.contains(&waits.recorded_at_ms) {
                let reason = waits.unpriced.as_ref().map(|why| why.reason.clone());
                let count = reasons.entry(reason.unwrap_or_default()).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    Ok(reasons)
}
