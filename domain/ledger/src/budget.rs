//! Budgets: limits on spending by org, key, project, user, agent or feature, per day, month or in
//! total. Checked in the same step as the wallet: there is no moment between check and charge.
//!
//! Spent and held both count. A hold counts from placing to end against whatever window is
//! current; what is charged counts in the window of the charge. Usage that is already there is
//! never dropped, so a charge may carry a budget past its limit; the next hold is refused.

use crate::hold::Dimensions;
use crate::ids::{BudgetId, KeyId};
use crate::window::{Window, Zone};
use farebox_pricing::money::Nanos;

/// What a budget limits. A budget counts the calls whose dimension has this very value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetScope {
    /// Every call of the org.
    Org,
    /// Calls with this API key.
    Key(KeyId),
    /// Calls of this project.
    Project(Box<str>),
    /// Calls for this user.
    User(Box<str>),
    /// Calls by this agent.
    Agent(Box<str>),
    /// Calls for this feature.
    Feature(Box<str>),
}

impl BudgetScope {
    /// The dimension's name in rows and the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Key(_) => "key",
            Self::Project(_) => "project",
            Self::User(_) => "user",
            Self::Agent(_) => "agent",
            Self::Feature(_) => "feature",
        }
    }

    /// Whether a call with these dimensions counts.
    pub fn covers(&self, dimensions: &Dimensions) -> bool {
        match self {
            Self::Org => true,
            Self::Key(key) => dimensions.key == Some(*key),
            Self::Project(name) => dimensions.project.as_ref() == Some(name),
            Self::User(name) => dimensions.user.as_ref() == Some(name),
            Self::Agent(name) => dimensions.agent.as_ref() == Some(name),
            Self::Feature(name) => dimensions.feature.as_ref() == Some(name),
        }
    }
}

/// What happens at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKind {
    /// New holds are refused.
    Hard,
    /// The effect says so; nothing is refused.
    Warning,
}

impl BudgetKind {
    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Warning => "warning",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Hard, Self::Warning]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A limit on spending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which.
    pub id: BudgetId,
    /// What it limits.
    pub scope: BudgetScope,
    /// What happens at the limit.
    pub kind: BudgetKind,
    /// How long it counts before it starts again.
    pub window: Window,
    /// Where days and months begin and end.
    pub zone: Zone,
    /// The most that may be spent and held in one window.
    pub limit: Nanos,
}

/// What a budget has counted in its current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// Which budget.
    pub budget: BudgetId,
    /// Beginning of the window, milliseconds since the Unix epoch; `i64::MIN` for a total.
    pub window_start_ms: i64,
    /// End of the window, exclusive; `i64::MAX` for a total.
    pub window_end_ms: i64,
    /// Charged in the window, less refunds of charges made in it.
    pub spent: Nanos,
    /// Put aside by the active holds it covers.
    pub held: Nanos,
}

/// A budget that an operation carried past its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetAlert {
    /// Which budget.
    pub budget: BudgetId,
    /// Whether new holds are refused from now on.
    pub kind: BudgetKind,
    /// Its limit.
    pub limit: Nanos,
    /// Spent and held, above the limit.
    pub used: Nanos,
}
