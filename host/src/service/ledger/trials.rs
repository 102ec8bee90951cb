//! Trials: a candidate beside what is bound, before it is activated.
//!
//! In a **shadow** the candidate prices again what was charged, and nobody pays by it. In a
//! **canary** it prices the calls of some orgs, and what is bound prices those again. Either way what
//! differs is counted, and the trial ends by itself when it passes its bounds. A trial is two rows
//! that are written once: how it began, and how it ended with all that was counted.

use super::releases::BindingScope;
use crate::service::policy::ReleaseId;
use farebox_ledger::ids::{ChargeId, OrgId, TransactionId};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

/// A part of a whole, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BasisPoints(u32);

/// The text is no percentage of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a percentage is a number above 0 with at most two decimal places, such as `5` or `0.25`")]
pub struct PercentError;

impl BasisPoints {
    /// A hundred percent.
    pub const WHOLE: Self = Self(10_000);

    /// `None` for zero.
    pub const fn new(points: u32) -> Option<Self> {
        match points {
            0 => None,
            points => Some(Self(points)),
        }
    }

    /// The hundredths of a percent.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Of percent, such as `2.5`.
    ///
    /// # Errors
    /// It is not above zero, or has more than two decimal places.
    pub fn of_percent(percent: Decimal) -> Result<Self, PercentError> {
        let points = percent.checked_mul(Decimal::ONE_HUNDRED);
        points
            .map(|points| points.normalize())
            .filter(|points| points.scale() == 0)
            .and_then(|points| u32::try_from(points).ok())
            .and_then(Self::new)
            .ok_or(PercentError)
    }

    /// In percent.
    pub fn percent(self) -> Decimal {
        Decimal::new(i64::from(self.0), 2).normalize()
    }
}

/// Whose calls a canary prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A share of the scope's orgs, chosen by their ids: always the same ones, and those of a
    /// smaller share are among those of a larger one.
    Share(BasisPoints),
    /// These orgs, sorted.
    Orgs(Box<[OrgId]>),
}

impl Whom {
    fn includes(&self, release: &ReleaseId, org: OrgId) -> bool {
        match self {
            Self::Orgs(orgs) => orgs.binary_search(&org).is_ok(),
            Self::Share(share) => {
                let digest = Sha256::new()
                    .chain_update(release.component.0)
                    .chain_update(release.book.0)
                    .chain_update(org.to_bytes())
                    .finalize();
                let drawn = digest
                    .first_chunk()
                    .map_or(0, |first| u64::from_be_bytes(*first));
                let whole = u64::from(BasisPoints::WHOLE.get());
                drawn.checked_rem(whole).unwrap_or_default() < u64::from(share.get())
            }
        }
    }
}

/// What a trial is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialKind {
    /// The candidate prices again what was charged. Nobody pays by it.
    Shadow,
    /// The candidate prices the calls of these orgs.
    Canary(Whom),
}

impl TrialKind {
    /// The word used in the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary(_) => "canary",
        }
    }
}

/// When a trial ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialBounds {
    /// More faults of the candidate than this end it.
    pub faults_max: u64,
    /// More calls than this that only one of the two prices end it.
    pub refused_max: Option<u64>,
    /// Prices that differ, call by call and whichever way, by more than this part of the sum under what
    /// is bound end it, ...
    pub change_max: Option<BasisPoints>,
    /// ... once so many calls were compared.
    pub calls_min: u64,
}

/// A trial, as it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which; sorts by time.
    pub id: TransactionId,
    /// When it began, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who began it.
    pub by: Box<str>,
    /// Beside what is bound to whom.
    pub scope: BindingScope,
    /// The candidate.
    pub release: ReleaseId,
    /// Which kind.
    pub kind: TrialKind,
    /// When it ends by itself.
    pub bounds: TrialBounds,
    /// Why, in the asker's words.
    pub why: Option<Box<str>>,
}

impl Trial {
    /// Whether the candidate prices this org's calls.
    pub fn is_canary_for(&self, org: OrgId) -> bool {
        match &self.kind {
            TrialKind::Shadow => false,
            TrialKind::Canary(whom) => whom.includes(&self.release, org),
        }
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialEnding {
    /// Somebody stopped it.
    Stopped,
    /// It passed one of its bounds.
    Halted,
    /// Another trial of the same candidate followed it.
    Followed,
    /// The candidate was activated.
    Promoted,
}

impl TrialEnding {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Halted, Self::Followed, Self::Promoted];

    /// The word used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Halted => "halted",
            Self::Followed => "followed",
            Self::Promoted => "promoted",
        }
    }
}

/// What a trial showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialResult {
    /// Charges that both releases priced.
    pub compared: u64,
    /// Of those: equal to the last digit.
    pub same: u64,
    /// Of those: dearer under the candidate.
    pub dearer: u64,
    /// Of those: cheaper under the candidate.
    pub cheaper: u64,
    /// Calls that what is bound prices and the candidate refuses, or the other way round.
    pub refused: u64,
    /// Faults of the candidate.
    pub faults: u64,
    /// The sum under what is bound of what was compared, in USD.
    pub bound_usd: Decimal,
    /// The sum under the candidate of what was compared, in USD.
    pub candidate_usd: Decimal,
    /// The sum of how much each differs, whichever way, in USD.
    pub moved_usd: Decimal,
    /// Some of what differed, the largest first.
    pub samples: Vec<TrialSample>,
}

/// A charge whose price differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialSample {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub charge: ChargeId,
    /// Under what is bound, in USD; absent: no price.
    pub bound_usd: Option<Decimal>,
    /// Under the candidate, in USD; absent: no price.
    pub candidate_usd: Option<Decimal>,
    /// Why one of them has no price.
    pub reason: Option<Box<str>>,
}

/// How a trial ended, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialEnd {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who ended it.
    pub by: Box<str>,
    /// How.
    pub ending: TrialEnding,
    /// Why.
    pub why: Option<Box<str>>,
    /// What it showed.
    pub result: TrialResult,
}

/// A trial that runs or ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialRecord {
    /// As it began.
    pub trial: Trial,
    /// Absent: it runs.
    pub end: Option<TrialEnd>,
}

/// What is asked of the writer.
#[derive(Clone, Debug)]
pub enum TrialWrite {
    /// Begins a trial; `id`, `at_ms` and `by` are the writer's to say. One of the same candidate that
    /// runs beside the same binding ends with this result.
    Start {
        /// The trial.
        trial: Box<Trial>,
        /// The one that it follows.
        follows: Option<(TransactionId, Box<TrialResult>)>,
    },
    /// Ends a trial. `Promoted` binds its scope to the candidate in the same step.
    End {
        /// Which.
        trial: TransactionId,
        /// How.
        ending: TrialEnding,
        /// Why.
        why: Option<Box<str>>,
        /// What it showed.
        result: Box<TrialResult>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::policy::Digest;

    fn release(number: u8) -> ReleaseId {
        ReleaseId {
            component: Digest([number; 32]),
            book: Digest([0; 32]),
        }
    }

    #[test]
    fn a_percentage_is_exact_or_refused() {
        let percent = |text: &str| BasisPoints::of_percent(text.parse().unwrap());
        assert_eq!(percent("5").map(BasisPoints::get), Ok(500));
        assert_eq!(percent("0.25").map(BasisPoints::get), Ok(25));
        assert_eq!(
            percent("2.50").map(|points| points.percent().to_string()),
            Ok("2.5".into())
        );
        for wrong in ["0", "-1", "0.001", "79228162514264337593543950335"] {
            assert_eq!(percent(wrong), Err(PercentError), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_stable_grows_by_adding_and_differs_between_candidates() {
        let orgs: Vec<OrgId> = (0..10_000).map(OrgId::new).collect();
        let chosen = |number, points| -> Vec<OrgId> {
            let whom = Whom::Share(BasisPoints::new(points).unwrap());
            let release = release(number);
            let mut orgs = orgs.clone();
            orgs.retain(|org| whom.includes(&release, *org));
            orgs
        };
        let five = chosen(1, 500);
        assert!((400..600).contains(&five.len()), "{}", five.len());
        assert_eq!(five, chosen(1, 500));
        let twenty = chosen(1, 2_000);
        assert!(five.iter().all(|org| twenty.contains(org)));
        assert_ne!(five, chosen(2, 500));
        assert_eq!(chosen(1, 10_000).len(), orgs.len());
        assert!(chosen(1, 1).len() < 10);
    }

    #[test]
    fn a_list_of_orgs_is_those_orgs() {
        let whom = Whom::Orgs([OrgId::new(3), OrgId::new(7)].into());
        let is_in = |org| whom.includes(&release(1), OrgId::new(org));
        assert!(is_in(3) && is_in(7) && !is_in(5));
    }
}
