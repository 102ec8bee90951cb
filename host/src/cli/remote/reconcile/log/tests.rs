//! Lines as proxies, other programs, crashes and people leave them.

use super::*;

const REPORT: &str = r#"{"idempotency_key":"k1","hold_id":"hold_1","usage":{"input":1.50}}"#;

fn record(report: &str) -> String {
    format!(
        r#"{{"org_id":"org_1","idempotency_key":"k1","price_usd":"0.004375","report":{report}}}"#
    )
}

/// As the proxy prints what the filter has kept: a text in JSON.
fn line(record: &str) -> String {
    serde_json::json!({"path": "/v1/x", "farebox": record}).to_string()
}

fn read(log: &[u8]) -> Vec<Line> {
    let mut log = Log::new(log, "farebox".to_owned());
    std::iter::from_fn(|| log.next().unwrap()).collect()
}

fn only(log: &str) -> Result<Found, LineError> {
    let mut lines = read(log.as_bytes());
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0).1
}

#[test]
fn a_call_has_its_report_to_the_letter() {
    for log in [
        format!("{}\n", line(&record(REPORT))),
        // Without an end, but whole.
        line(&record(REPORT)),
        // Not as a text in JSON.
        format!("{{\"farebox\":{}}}\r\n", record(REPORT)),
    ] {
        let Found::Call(call) = only(&log).unwrap() else {
            panic!("{log}");
        };
        assert_eq!(call.org, "org_1");
        assert_eq!(call.idempotency_key, "k1");
        assert_eq!(call.price_usd, Some(Decimal::new(4_375, 6)));
        assert_eq!(call.report.unwrap().get(), REPORT);
    }
}

#[test]
fn what_is_not_of_the_filter_is_passed_over() {
    for log in [
        "",
        "[2026-11-21T09:30:00.000Z] \"GET / HTTP/1.1\" 200",
        r#"{"path":"/x"}"#,
        r#"{"path":"/x","farebox":null}"#,
        r#"{"path":"/x","farebox":"-"}"#,
        "[1,2]",
        "\u{0}\u{1}",
    ] {
        let found = only(&format!("{log}\n"));
        assert!(matches!(found, Ok(Found::Nothing)), "{log}: {found:?}");
    }
    assert!(matches!(
        read(b"\xff\xfe\n").remove(0).1,
        Ok(Found::Nothing)
    ));
}

#[test]
fn what_was_changed_or_is_damaged_is_said_and_stops_nobody() {
    let other_key = REPORT.replace("k1", "k2");
    let no_hold = REPORT.replace("hold_id", "held_id");
    for (log, expect) in [
        (line(&record(&other_key)), LineError::Keys),
        (line(&record(&no_hold)), LineError::NoHold),
        (
            line(&record(REPORT).replace("org_id", "gro_id")),
            LineError::NoOrg,
        ),
        (
            line(&record(REPORT).replace("0.004375", "4e-3x")),
            LineError::Price {
                text: "4e-3x".to_owned(),
            },
        ),
        ("{\"farebox\": }".to_owned(), LineError::Malformed),
    ] {
        let good = line(&record(REPORT));
        let lines = read(format!("{log}\n{good}\n").as_bytes());
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0].0, 1);
        assert_eq!(lines[0].1.as_ref().unwrap_err(), &expect, "{log}");
        assert!(matches!(lines[1], (2, Ok(Found::Call(_)))), "{log}");
    }
    for broken in ["{}", "5", "x", r#"{"org_id":"o"}"#, &record("5")] {
        let found = only(&line(broken));
        assert!(
            matches!(found, Err(LineError::Record { .. })),
            "{broken}: {found:?}"
        );
    }
}

#[test]
fn a_line_that_was_cut_costs_no_other() {
    let whole = line(&record(REPORT));
    for cut in 1..whole.len() {
        let (cut, _) = whole.split_at(cut);
        let lines = read(format!("{whole}\n{cut}").as_bytes());
        assert!(matches!(lines[0].1, Ok(Found::Call(_))));
        assert_eq!(lines[1].1.as_ref().unwrap_err(), &LineError::CutOff);
        // The next process writes on in the same file.
        let lines = read(format!("{cut}{whole}\n{whole}\n").as_bytes());
        let found: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(found, [1, 1, 2], "{cut}");
        assert_eq!(lines[0].1.as_ref().unwrap_err(), &LineError::CutBefore);
        assert!(matches!(lines[1].1, Ok(Found::Call(_))), "{cut}");
        assert!(matches!(lines[2].1, Ok(Found::Call(_))), "{cut}");
    }
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let long = io::repeat(b'{').take(LINE_BYTES_MAX.saturating_mul(3));
    let good = format!("\n{}\n", line(&record(REPORT)));
    let input = io::BufReader::new(long.chain(good.as_bytes()));
    let mut log = Log::new(input, "farebox".to_owned());
    let (number, found) = log.next().unwrap().unwrap();
    assert_eq!((number, found.unwrap_err()), (1, LineError::TooLong));
    assert!(log.line.capacity() <= 2 * usize::try_from(LINE_BYTES_MAX).unwrap());
    assert!(matches!(log.next().unwrap(), Some((2, Ok(Found::Call(_))))));
    assert!(log.next().unwrap().is_none());
}
