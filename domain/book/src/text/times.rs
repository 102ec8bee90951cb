//! Prices by hour of the week, and what a provider gives away per day or month.

use super::{PerText, RateText};
use crate::amount::Amount;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Prices of some hours of the week. They win over the standard prices beside them; what they do
/// not price costs the standard price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursText {
    /// The hours' name, as lines show it, such as `off-peak`.
    pub name: String,
    /// The clock that `when` is told by, as a fixed offset: `+08:00`. Default: UTC. A clock that
    /// changes with the season is written as dated periods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// The hours.
    pub when: Vec<WeekHoursText>,
    /// Factor on every standard price of a token, in place of prices: `"0.5"` halves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Amount>,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
}

/// Some hours of some days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeekHoursText {
    /// Days on which the hours begin. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<DayText>,
    /// From and to, `16:30-00:30`; past midnight they end on the next day. Default: all day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is described by its name")]
pub enum DayText {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl DayText {
    pub(crate) const ALL: [Self; 7] = [
        Self::Mon,
        Self::Tue,
        Self::Wed,
        Self::Thu,
        Self::Fri,
        Self::Sat,
        Self::Sun,
    ];

    /// The day as books write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }
}

/// "The first `count` units of each day or month are free." The host says how many were used so
/// far; a call of which it does not say so pays in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowanceText {
    /// What shares the allowance, over models, such as `gemini-3`: the host counts under it.
    pub name: String,
    /// The meter.
    pub meter: String,
    /// Free units of each window.
    pub count: u64,
    /// When the count begins anew: at midnight UTC of each day, or of each first of the month.
    pub per: PerText,
}
