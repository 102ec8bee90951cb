//! Hours of the week as people write them, in any fixed offset, become spans of minutes in UTC.

use super::Problems;
use super::values::check_name;
use crate::document::Path;
use crate::text::{DayText, HoursText, WeekHoursText};
use farebox_pricing::book::{Hours, WEEK_MINUTES};

const DAY: i32 = 24 * 60;
const WEEK: i32 = 7 * DAY;

/// The hours that `text` names; `None` when it names none, and problems are noted.
pub(super) fn lower(
    text: &HoursText,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Hours> {
    if !check_name(&text.name, &path.field("name"), problems) {
        return None;
    }
    let offset = match text.utc_offset.as_deref().map(offset) {
        None => 0,
        Some(Some(minutes)) => minutes,
        Some(None) => {
            problems.note(
                &path.field("utc_offset"),
                "an offset is written `+08:00`, up to 14 hours; a clock that changes with the \
                 season is written as dated periods",
            );
            return None;
        }
    };
    let mut minutes = vec![false; usize::from(WEEK_MINUTES)];
    let list = path.field("when");
    for (number, when) in text.when.iter().enumerate() {
        for (start, length) in lengths(when, &list.index(number), problems)? {
            let start = start.saturating_sub(offset).rem_euclid(WEEK);
            for minute in start..start.saturating_add(length) {
                let minute = usize::try_from(minute.rem_euclid(WEEK)).ok();
                if let Some(held) = minute.and_then(|minute| minutes.get_mut(minute)) {
                    *held = true;
                }
            }
        }
    }
    let spans = spans(&minutes);
    if spans.is_empty() {
        problems.note(&list, "no hours are given");
        return None;
    }
    Some(Hours {
        name: text.name.as_str().into(),
        spans,
    })
}

/// Starts and lengths in minutes, from Monday midnight of the book's own clock.
fn lengths(
    when: &WeekHoursText,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<(i32, i32)>> {
    let mut times = Vec::with_capacity(when.times.len());
    let list = path.field("times");
    for (number, text) in when.times.iter().enumerate() {
        let Some(span) = span(text) else {
            problems.note(
                &list.index(number),
                format!("`{text}` is no span of hours: write `16:30-00:30`"),
            );
            return None;
        };
        times.push(span);
    }
    if when.times.is_empty() {
        times.push((0, DAY));
    }
    let days = DayText::ALL.into_iter().zip(0_i32..);
    let days = days.filter(|(day, _)| when.days.is_empty() || when.days.contains(day));
    let lengths = days.flat_map(|(_, day)| {
        let midnight = day.saturating_mul(DAY);
        times
            .iter()
            .map(move |(start, length)| (midnight.saturating_add(*start), *length))
    });
    Some(lengths.collect())
}

/// `16:30-00:30` → when it begins and how long it lasts, in minutes.
fn span(text: &str) -> Option<(i32, i32)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    if from == DAY {
        return None;
    }
    let length = to.saturating_sub(from).rem_euclid(DAY);
    Some((from, if length == 0 { DAY } else { length }))
}

/// `HH:MM` up to `24:00`, in minutes.
fn clock(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let clock = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && clock <= DAY).then_some(clock)
}

/// `+08:00`, `-03:30` or `Z`, in minutes.
fn offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let minutes = clock(rest)?;
    (minutes <= 14 * 60).then(|| minutes.saturating_mul(sign))
}

fn spans(minutes: &[bool]) -> Vec<(u16, u16)> {
    let mut spans: Vec<(u16, u16)> = Vec::new();
    for (minute, held) in (0_u16..).zip(minutes) {
        if !held {
            continue;
        }
        let after = minute.saturating_add(1);
        match spans.last_mut() {
            Some((_, to)) if *to == minute => *to = after,
            _ => spans.push((minute, after)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse_toml;

    fn lowered(offset: Option<&str>, when: &[WeekHoursText]) -> Result<Vec<(u16, u16)>, String> {
        let document = parse_toml("").unwrap();
        let mut problems = Problems::new(&document);
        let text = HoursText {
            name: "off-peak".into(),
            utc_offset: offset.map(Into::into),
            when: when.to_vec(),
            ..HoursText::default()
        };
        let hours = lower(&text, &Path::Root, &mut problems);
        let errors = problems.into_errors();
        match hours {
            Some(hours) => Ok(hours.spans),
            None => Err(errors[0].message.clone()),
        }
    }

    fn when(days: &[DayText], times: &[&str]) -> WeekHoursText {
        WeekHoursText {
            days: days.to_vec(),
            times: times.iter().map(|time| (*time).to_owned()).collect(),
        }
    }

    #[test]
    fn hours_become_minutes_of_the_week_in_utc() {
        use DayText::{Mon, Sun};
        let monday = |times: &[&str]| [when(&[Mon], times)];
        assert_eq!(
            lowered(None, &monday(&["01:00-04:00"])),
            Ok(vec![(60, 240)])
        );
        assert_eq!(lowered(None, &monday(&[])), Ok(vec![(0, 1440)]));
        assert_eq!(
            lowered(None, &monday(&["00:00-00:00"])),
            Ok(vec![(0, 1440)])
        );
        assert_eq!(
            lowered(None, &monday(&["10:00-24:00"])),
            Ok(vec![(600, 1440)])
        );
        // Past midnight into Tuesday.
        assert_eq!(
            lowered(None, &monday(&["16:30-00:30"])),
            Ok(vec![(990, 1470)])
        );
        // Monday 00:30 in Beijing is Sunday 16:30 in UTC, and the week is a ring.
        assert_eq!(
            lowered(Some("+08:00"), &monday(&["00:30-08:30"])),
            Ok(vec![(0, 30), (9630, 10_080)])
        );
        assert_eq!(
            lowered(Some("-03:30"), &[when(&[Sun], &["23:00-24:00"])]),
            Ok(vec![(150, 210)])
        );
        // What touches is one.
        assert_eq!(
            lowered(None, &monday(&["01:00-02:00", "02:00-03:00"])),
            Ok(vec![(60, 180)])
        );
        let all: Vec<WeekHoursText> = vec![when(&[], &["00:00-00:00"])];
        assert_eq!(lowered(None, &all), Ok(vec![(0, 10_080)]));
        assert_eq!(lowered(None, &[]), Err("no hours are given".into()));
        for bad in [
            "1:00-2:00",
            "01:00",
            "01:60-02:00",
            "24:00-01:00",
            "24:01-25:00",
        ] {
            assert_eq!(
                lowered(None, &monday(&[bad])),
                Err(format!("`{bad}` is no span of hours: write `16:30-00:30`"))
            );
        }
        for bad in ["Europe/Berlin", "+15:00", "8"] {
            assert!(lowered(Some(bad), &monday(&[])).is_err(), "{bad}");
        }
    }
}
