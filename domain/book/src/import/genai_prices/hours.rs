//! Prices by time of day: the source says which hours are dear, our text which are cheap, so that
//! the standard price is the dearest and nothing costs too little by an omission.

use crate::import::draft::Prices;
use crate::text::{HoursText, WeekHoursText};
use serde_json::Value;

const DAY: u32 = 24 * 60;

/// Dear hours of every day, in minutes of UTC, and their prices.
#[derive(Default)]
pub(super) struct Daily {
    pub(super) peaks: Vec<(Option<(u32, u32)>, Prices)>,
}

impl Daily {
    /// The other hours with the prices of `last`, which becomes the dear ones. `None` where the
    /// dear hours differ in price, or overlap the end of the day.
    pub(super) fn off_peak(&self, last: &mut Prices) -> Option<HoursText> {
        let (_, peak) = self.peaks.first()?;
        if self.peaks.iter().any(|(_, prices)| prices != peak) {
            return None;
        }
        let mut spans = self.peaks.iter().map(|(span, _)| *span);
        let mut spans = spans.by_ref().collect::<Option<Vec<_>>>()?;
        spans.sort_unstable();
        let mut times = Vec::new();
        let mut free_from = 0;
        for (from, to) in spans {
            if from < free_from || to <= from {
                return None;
            }
            if free_from < from {
                times.push(told(free_from, from));
            }
            free_from = to;
        }
        if free_from < DAY {
            times.push(told(free_from, DAY));
        }
        let cheap = std::mem::replace(last, peak.clone());
        let leaf = cheap.leaf(None, None);
        for (cell, rates) in cheap.0 {
            if cell != (None, None) {
                last.0.entry(cell).or_insert(rates);
            }
        }
        Some(HoursText {
            name: "off-peak".to_owned(),
            when: vec![WeekHoursText {
                days: Vec::new(),
                times,
            }],
            per_million: leaf.per_million,
            per_unit: leaf.per_unit,
            rates: leaf.rates,
            ..HoursText::default()
        })
    }
}

fn told(from: u32, to: u32) -> String {
    let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{}-{}", clock(from), clock(to))
}

/// The hours of a constraint, where they are told in UTC: `00:30:00+00:00`.
pub(super) fn span(constraint: &Value) -> Option<(u32, u32)> {
    let clock = |field: &str| -> Option<u32> {
        let text = constraint.get(field)?.as_str()?;
        let time = text.strip_suffix("+00:00").or(text.strip_suffix('Z'))?;
        let mut parts = time.split(':').map(|part| part.parse::<u32>().ok());
        let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
        let whole = hours < 24 && minutes < 60 && seconds == 0;
        whole.then(|| hours.checked_mul(60)?.checked_add(minutes))?
    };
    Some((clock("start_time")?, clock("end_time")?))
}
