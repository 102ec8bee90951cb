//! The table of a bench run: what was measured, what it should be.

use std::fmt;

/// Measured figures by name, in the order in which they came.
#[derive(Debug, Default)]
pub struct Table {
    figures: Vec<(String, u64)>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
enum Target {
    AtLeast(u64),
    AtMost(u64),
    /// Stands there to be compared with.
    None,
}

/// Labels and targets. A figure that is not listed is shown by its own name.
const KNOWN: [(&str, &str, Target); 33] = [
    (
        "rate_single_ns",
        "rate one event, component",
        Target::AtMost(2_000),
    ),
    (
        "rate_batch_event_ns",
        "rate in batches of 256, per event",
        Target::AtMost(1_000),
    ),
    (
        "rate_native_ns",
        "  the same natively, one event",
        Target::None,
    ),
    (
        "rate_native_batch_event_ns",
        "  the same natively, in batches",
        Target::None,
    ),
    (
        "rate_fresh_batch_event_ns",
        "rate, fresh instance per batch",
        Target::None,
    ),
    ("quote_single_ns", "quote one call, component", Target::None),
    ("load_book_us", "load the full price book", Target::None),
    (
        "component_bytes",
        "standard policy, component",
        Target::AtMost(1 << 20),
    ),
    (
        "pairs_per_s",
        "hold + capture, 1,024 concurrent",
        Target::AtLeast(30_000),
    ),
    ("hold_p99_us", "  p99 of a hold", Target::AtMost(20_000)),
    (
        "capture_p99_us",
        "  p99 of a capture",
        Target::AtMost(20_000),
    ),
    (
        "pairs_one_wallet_per_s",
        "hold + capture, one wallet",
        Target::AtLeast(15_000),
    ),
    (
        "op_serial_p50_us",
        "one operation, concurrency 1, p50",
        Target::AtMost(1_000),
    ),
    (
        "pair_serial_p50_us",
        "hold + capture, concurrency 1, p50",
        Target::AtMost(2_000),
    ),
    ("bytes_per_pair", "bytes written per pair", Target::None),
    (
        "pairs_at_5m_events_per_s",
        "hold + capture on 5 million events",
        Target::AtLeast(30_000),
    ),
    (
        "http_pairs_per_s",
        "hold + capture over HTTP",
        Target::AtLeast(8_000),
    ),
    ("http_hold_p50_us", "  p50 of a hold", Target::None),
    ("http_hold_p99_us", "  p99 of a hold", Target::None),
    ("http_usage_p50_us", "  p50 of a usage report", Target::None),
    ("http_usage_p99_us", "  p99 of a usage report", Target::None),
    (
        "http_server_cpu_us_per_pair",
        "  CPU per pair, server",
        Target::None,
    ),
    (
        "http_client_cpu_us_per_pair",
        "  CPU per pair, client",
        Target::None,
    ),
    (
        "start_cold_ms",
        "start to ready, empty directory",
        Target::None,
    ),
    (
        "start_warm_ms",
        "start to ready, warm cache",
        Target::AtMost(1_000),
    ),
    (
        "resident_idle_kib",
        "resident memory, idle",
        Target::AtMost(150 << 10),
    ),
    (
        "resident_loaded_kib",
        "resident memory, after the load",
        Target::None,
    ),
    (
        "postgres_one_wallet_per_s",
        "Postgres, debits on one wallet",
        Target::None,
    ),
    (
        "postgres_thousand_wallets_per_s",
        "Postgres, debits on 1,000 wallets",
        Target::None,
    ),
    (
        "one_wallet_over_postgres_times",
        "one wallet, against Postgres",
        Target::AtLeast(50),
    ),
    (
        "many_wallets_over_postgres_times",
        "many wallets, against Postgres",
        Target::None,
    ),
    (
        "default_book_bytes",
        "default book, canonical",
        Target::None,
    ),
    ("verify_events_per_s", "ledger verify", Target::None),
];

impl Table {
    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: u64) {
        self.figures.push((name.to_owned(), value));
    }

    /// Adds how many times faster the ledger is than Postgres, where both were measured.
    pub fn compare(&mut self) {
        for (name, ours, theirs) in [
            (
                "one_wallet_over_postgres_times",
                "pairs_one_wallet_per_s",
                "postgres_one_wallet_per_s",
            ),
            (
                "many_wallets_over_postgres_times",
                "pairs_per_s",
                "postgres_thousand_wallets_per_s",
            ),
        ] {
            let times = self.get(ours).zip(self.get(theirs));
            if let Some(times) = times.and_then(|(ours, theirs)| ours.checked_div(theirs)) {
                self.add(name, times);
            }
        }
    }

    fn get(&self, name: &str) -> Option<u64> {
        let found = self.figures.iter().find(|(figure, _)| figure == name);
        found.map(|(_, value)| *value)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | measured | target | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        for (name, value) in &self.figures {
            let known = KNOWN.iter().find(|(known, _, _)| known == name);
            let (label, target) =
                known.map_or((name.as_str(), Target::None), |known| (known.1, known.2));
            let (aim, verdict) = match target {
                Target::None => (String::new(), ""),
                Target::AtLeast(least) => (
                    format!("≥ {}", figure(name, least)),
                    verdict(*value >= least),
                ),
                Target::AtMost(most) => {
                    (format!("≤ {}", figure(name, most)), verdict(*value <= most))
                }
            };
            writeln!(
                f,
                "| {label} | {} | {aim} | {verdict} |",
                figure(name, *value)
            )?;
        }
        Ok(())
    }
}

fn verdict(met: bool) -> &'static str {
    match met {
        true => "met",
        false => "missed",
    }
}

/// A number with the unit that its name ends in.
fn figure(name: &str, value: u64) -> String {
    let number = grouped(value);
    for (suffix, unit) in [
        ("_per_s", "/s"),
        ("_us_per_pair", " µs"),
        ("_ns", " ns"),
        ("_us", " µs"),
        ("_ms", " ms"),
        ("_times", "×"),
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
    }

    #[test]
    fn a_missed_target_is_said() {
        let mut table = Table::default();
        table.add("pairs_per_s", 29_999);
        table.add("pairs_one_wallet_per_s", 25_000);
        table.add("postgres_one_wallet_per_s", 500);
        table.compare();
        let text = table.to_string();
        assert!(
            text.contains("| 29,999/s | ≥ 30,000/s | missed |"),
            "{text}"
        );
        assert!(text.contains("| 50× | ≥ 50× | met |"), "{text}");
    }
}
