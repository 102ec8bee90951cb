//! The table of a bench run: what was measured, what it should be, and what bounds it.
//!
//! A figure is a whole number whose name ends in its unit. What is known of it stands in one row
//! of [`figures::KNOWN`] or [`edge_figures::KNOWN`]; a figure without a row is shown by its own name.

use super::edge_figures;
use super::figures::{self, Aim, Known, QUOTIENTS};
use std::fmt;

/// Measured figures by name, in the order in which they came.
#[derive(Debug, Default)]
pub struct Table {
    figures: Vec<(String, u64)>,
}

impl Table {
    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: u64) {
        self.figures.push((name.to_owned(), value));
    }

    /// Adds what follows from two figures, where both were measured.
    pub fn compare(&mut self) {
        for (name, one, other, times) in QUOTIENTS {
            let both = self.get(one).zip(self.get(other));
            let quotient =
                both.and_then(|(one, other)| one.saturating_mul(times).checked_div(other));
            if let Some(quotient) = quotient {
                self.add(name, quotient);
            }
        }
    }

    /// A figure, where it was measured.
    pub fn get(&self, name: &str) -> Option<u64> {
        let found = self.figures.iter().find(|(figure, _)| figure == name);
        found.map(|(_, value)| *value)
    }

    /// An aim as the number it comes to, and whether `value` meets it.
    fn judged(&self, name: &str, aim: Aim, value: u64) -> (String, &'static str) {
        let (sign, bound, met) = match aim {
            Aim::AtLeast(least) => ("≥", least, value >= least),
            Aim::AtMost(most) => ("≤", most, value <= most),
            Aim::HalfOf(other) => match self.get(other) {
                Some(other) => ("≥", other.div_ceil(2), value >= other.div_ceil(2)),
                None => return (String::new(), ""),
            },
            Aim::None => return (String::new(), ""),
        };
        let verdict = if met { "met" } else { "missed" };
        (format!("{sign} {}", figure(name, bound)), verdict)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | here | aim | | bounded by |")?;
        writeln!(f, "|---|---:|---:|---|---|")?;
        for (name, value) in &self.figures {
            let known = known().find(|known| known.0 == name);
            let (label, aim, bound) = match known {
                Some(Known(_, label, aim, bound)) => (*label, *aim, *bound),
                None => (name.as_str(), Aim::None, ""),
            };
            let (aim, verdict) = self.judged(name, aim, *value);
            let here = figure(name, *value);
            writeln!(f, "| {label} | {here} | {aim} | {verdict} | {bound} |")?;
        }
        Ok(())
    }
}

/// Every row.
fn known() -> impl Iterator<Item = &'static Known> {
    figures::KNOWN.iter().chain(&edge_figures::KNOWN)
}

/// A number with the unit that its name ends in.
fn figure(name: &str, value: u64) -> String {
    let number = grouped(value);
    for (suffix, unit) in [
        ("_per_s", "/s"),
        ("_us_per_pair", " µs"),
        ("_ns_per_pair", " ns"),
        ("_ns", " ns"),
        ("_us", " µs"),
        ("_ms", " ms"),
        ("_s", " s"),
        ("_times", "×"),
        ("_percent", " %"),
    ] {
        if name.ends_with(suffix) {
            return format!("{number}{unit}");
        }
    }
    if name.ends_with("_kib") {
        return format!("{} MiB", grouped(value.div_ceil(1024)));
    }
    if name.contains("bytes") {
        return match value {
            0..100_000 => format!("{number} B"),
            _ => format!("{} KiB", grouped(value.div_ceil(1024))),
        };
    }
    number
}

/// `1234567` as `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    let groups: Vec<_> = groups.into_iter().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_the_unit_of_their_name() {
        assert_eq!(figure("pairs_per_s", 31_415), "31,415/s");
        assert_eq!(figure("rate_single_ns", 999), "999 ns");
        assert_eq!(figure("resident_idle_kib", 102_400), "100 MiB");
        assert_eq!(figure("component_bytes", 160_000), "157 KiB");
        assert_eq!(figure("bytes_per_pair", 1_200), "1,200 B");
        assert_eq!(figure("bench_s", 480), "480 s");
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut names: Vec<_> = known().map(|known| known.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known().count());
        for (name, one, other, _) in QUOTIENTS {
            assert!([name, one, other].iter().all(|name| names.contains(name)));
        }
    }

    #[test]
    fn a_missed_aim_is_said() {
        let mut table = Table::default();
        table.add("pairs_per_s", 29_999);
        table.add("pairs_one_wallet_per_s", 25_000);
        table.add("postgres_one_wallet_per_s", 500);
        table.compare();
        let text = table.to_string();
        assert!(
            text.contains("| 29,999/s | ≥ 30,000/s | missed | the single"),
            "{text}"
        );
        assert!(text.contains("| 25,000/s | ≥ 15,000/s | met |"), "{text}");
        assert!(text.contains("| 50× | ≥ 50× | met |"), "{text}");
    }
}
