//! Prices by hour of the week, and free searches.

use super::Reader;
use super::key::{Basis, CostKey};
use crate::import::draft::shifted;
use crate::import::report::Reason;
use crate::text::{AllowanceText, DayText, HoursText, PerText, WeekHoursText};
use indexmap::IndexMap;
use serde_json::{Map, Value};

impl Reader<'_> {
    /// `{count, period, shared_group}`: searches that cost nothing until the count is used up.
    pub(super) fn free_searches(&mut self, field: &str, free: &Map<String, Value>) {
        let count = free.get("count").and_then(Value::as_u64);
        let name = free.get("shared_group").and_then(Value::as_str);
        let per = match free.get("period").and_then(Value::as_str) {
            Some("day") => Some(PerText::Day),
            Some("month") => Some(PerText::Month),
            _ => None,
        };
        let (Some(count), Some(name), Some(per)) = (count, name, per) else {
            self.left_out(field, Reason::UnknownField);
            return;
        };
        self.allowances.push(AllowanceText {
            name: name.to_owned(),
            meter: "search".to_owned(),
            count,
            per,
        });
        self.report.imported(field);
    }

    /// Token prices with the `windows` in which they hold.
    pub(super) fn off_peak(&mut self, field: &str, prices: &Map<String, Value>) {
        // Hours are told in UTC, days in this zone. Zones with a fixed offset are enough so far.
        let offset = match prices.get("weekday_timezone").and_then(Value::as_str) {
            None | Some("UTC") => Some(None),
            Some("Asia/Shanghai") => Some(Some(8)),
            Some(_) => None,
        };
        let windows = prices.get("windows").and_then(Value::as_array);
        let when = windows.zip(offset).and_then(|(windows, offset)| {
            let when = windows.iter().map(|window| when(window, offset));
            Some((when.collect::<Option<Vec<_>>>()?, offset))
        });
        let Some((when, offset)) = when else {
            self.left_out(field, Reason::TimeOfDay);
            return;
        };
        let mut per_million = IndexMap::new();
        for (name, value) in prices {
            if matches!(name.as_str(), "windows" | "weekday_timezone") {
                continue;
            }
            let place = format!("{field}.{name}");
            let Some(CostKey {
                basis: Basis::Million(meter),
                tier: None,
                above: None,
            }) = CostKey::parse(name)
            else {
                self.left_out(&place, Reason::UnknownField);
                continue;
            };
            let amount = self.amount(&place, value);
            if let Some(amount) = amount.and_then(|amount| shifted(amount, 6)) {
                per_million.insert(meter.to_owned(), amount);
                self.report.imported(&place);
            }
        }
        if per_million.is_empty() {
            return;
        }
        self.hours.push(HoursText {
            name: "off-peak".to_owned(),
            utc_offset: offset.map(|hours| format!("+{hours:02}:00")),
            when,
            per_million,
            ..HoursText::default()
        });
    }
}

/// A window: `hours_utc` (one span or several) on `weekdays` (Monday is 1). With an offset in
/// hours, the days are those of that clock, so the spans are told by it and end at its midnight.
fn when(window: &Value, offset: Option<u64>) -> Option<WeekHoursText> {
    let spans = match window.get("hours_utc")? {
        Value::String(span) => vec![span.as_str()],
        Value::Array(spans) => spans.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    let mut times = Vec::with_capacity(spans.len());
    for span in spans {
        match offset {
            None => times.push(span.replace("-00:00", "-24:00")),
            Some(offset) => times.extend(told_by(span, offset)?),
        }
    }
    let days = window.get("weekdays").and_then(Value::as_array);
    let days = days.into_iter().flatten().map(|day| {
        let number = usize::try_from(day.as_u64()?).ok()?;
        DayText::ALL.get(number.checked_sub(1)?).copied()
    });
    Some(WeekHoursText {
        days: days.collect::<Option<_>>()?,
        times,
    })
}

/// A span in UTC, told by a clock `offset` hours ahead, cut at that clock's midnight.
fn told_by(span: &str, offset: u64) -> Option<Vec<String>> {
    let clock = |text: &str| -> Option<u64> {
        let (hours, minutes) = text.split_once(':')?;
        let hours = hours.parse::<u64>().ok()?.checked_mul(60)?;
        hours.checked_add(minutes.parse().ok()?)
    };
    const DAY: u64 = 24 * 60;
    let (from, to) = span.split_once('-')?;
    let ahead = |minutes: u64| Some(minutes.checked_add(offset.checked_mul(60)?)? % DAY);
    let (from, to) = (ahead(clock(from)?)?, ahead(clock(to)?)?);
    let told = |minutes: u64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    Some(if from == to {
        vec!["00:00-24:00".to_owned()]
    } else if from < to || to == 0 {
        let to = if to == 0 { DAY } else { to };
        vec![format!("{}-{}", told(from), told(to))]
    } else {
        vec![
            format!("{}-24:00", told(from)),
            format!("00:00-{}", told(to)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_by_another_clock_and_cut_at_its_midnight() {
        let told = |span| told_by(span, 8).unwrap();
        assert_eq!(told("04:00-06:00"), ["12:00-14:00"]);
        assert_eq!(told("10:00-00:00"), ["18:00-24:00", "00:00-08:00"]);
        assert_eq!(told("08:00-16:00"), ["16:00-24:00"]);
        assert_eq!(told("16:00-17:00"), ["00:00-01:00"]);
        assert_eq!(told("00:00-00:00"), ["00:00-24:00"]);
        assert_eq!(told_by("4-6", 8), None);
    }
}
