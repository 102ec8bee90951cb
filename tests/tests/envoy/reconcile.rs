//! What a killed Envoy never reported: bounded by its leases, and charged from its access log, once.

use super::client::whole;
use super::house::{DOUBT_MS, House, PRICE, TTL_MS, USUAL, Wish, decimal};
use super::proxy::until;
use farebox::cli::{self, Exit};
use farebox_tests::http::ADMIN_KEY;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

/// One whose reports never leave by themselves.
const SILENT: Wish = Wish {
    report_ms: 600_000,
    ..USUAL
};

/// `farebox usage reconcile` of this log, and what it says.
fn reconcile(house: &House, key: &str, log: &Path, more: &[&str]) -> (Exit, Value) {
    let url = format!("http://{}", house.host.address());
    let command = ["farebox", "usage", "reconcile", "--json"];
    let server = ["--url", &url, "--key", key];
    let log = ["--access-log", log.to_str().unwrap()];
    let mut out = Vec::new();
    let exit = cli::run(&[&command[..], &server, &log, more].concat(), &mut out);
    (exit, serde_json::from_slice(&out).unwrap_or_default())
}

/// What a clean run says, by name.
fn reconciled(house: &House, log: &Path, more: &[&str]) -> Value {
    let (exit, said) = reconcile(house, ADMIN_KEY, log, more);
    assert_eq!(exit, Exit::Done, "{said:#}");
    assert_eq!(said["not_reconciled"], 0, "{said:#}");
    said
}

fn append(log: &Path, text: &str) {
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

#[test]
fn what_a_killed_envoy_never_reported_is_charged_from_its_access_log_once() {
    let mut house = House::new(&SILENT);
    let key = house.host.sell_to("10");
    for _ in 0..5 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    let in_flight = [house.begin(0, &key), house.begin(0, &key)];
    house.envoys[0].until_recorded(5);
    house.envoys[0].kill();
    drop(in_flight);

    // It is the sum of its leases that it can lose at most: what ran there was taken out of them.
    let leased = house.balance(&key, "held_credits");
    assert!(house.spent() <= leased, "{leased}");
    assert_eq!(house.balance(&key, "posted_credits"), Decimal::from(10));

    let log = house.envoys[0].calls();
    // Nothing in it opens a door, or is anybody's text.
    let text = std::fs::read_to_string(&log).unwrap();
    let secret = key.rsplit_once('_').unwrap().1;
    for absent in [&key, secret, "sk-upstream", "Bearer", "xxxxxxxx"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    let told = reconciled(&house, &log, &["--dry-run"]);
    assert_eq!(told["missing"], 5, "{told:#}");
    assert_eq!(told["missing_price_usd"], "0.021875");
    assert_eq!(house.balance(&key, "posted_credits"), Decimal::from(10));

    let done = reconciled(&house, &log, &[]);
    assert_eq!(done["charged"], 5, "{done:#}");
    assert_eq!(done["charged_credits"], house.spent().to_string());
    assert_eq!(done["shortfall_credits"], "0");
    let left = Decimal::from(10) - house.spent();
    assert_eq!(house.balance(&key, "posted_credits"), left);

    let again = reconciled(&house, &log, &[]);
    assert_eq!(
        (&again["charged"], &again["recorded_before"]),
        (&json!(0), &json!(5))
    );
    house.host.advance(TTL_MS + DOUBT_MS);
    house.until_free(&key);
    assert_eq!(house.balance(&key, "available_credits"), left);
    house.host.verify();
}

/// Killed at any moment of any load.
#[test]
fn what_a_busy_envoy_loses_when_it_is_killed_is_within_its_leases() {
    let mut house = House::new(&Wish {
        report_ms: 250,
        ..USUAL
    });
    let key = house.host.sell_to("100");
    let callers: Vec<_> = (0..4).map(|_| house.call_on(0, &key)).collect();
    until(|| match house.served.load(Ordering::SeqCst) {
        served if served < 200 => Err(format!("{served} calls were served")),
        _ => Ok(()),
    });
    house.envoys[0].kill();
    for caller in callers {
        house.runtime.block_on(caller).unwrap();
    }
    // Reports that left may still arrive, so this is read first.
    let leased = house.balance(&key, "held_credits");
    let charged = |house: &House| Decimal::from(100) - house.balance(&key, "posted_credits");
    let unreported = house.spent() - charged(&house);
    assert!(unreported <= leased, "{unreported} of {leased}");
    let done = reconciled(&house, &house.envoys[0].calls(), &[]);
    assert_eq!(done["shortfall_credits"], "0");
    // Of what ended in its last moment the log may lack some; it has nothing that was not served.
    let lost = house.spent() - charged(&house);
    assert!(lost >= Decimal::ZERO);
    assert!(lost <= leased, "{lost} of {leased}");
    house.host.advance(TTL_MS + DOUBT_MS);
    house.until_free(&key);
    let charged = charged(&house);
    let left = house.balance(&key, "available_credits");
    assert_eq!(left, Decimal::from(100) - charged);
    house.host.verify();
}

#[test]
fn lines_that_cannot_be_reconciled_are_named_and_cost_no_other_of_a_killed_envoy() {
    let mut house = House::new(&SILENT);
    let key = house.host.sell_to("10");
    let other = house.host.sell_to("9");
    for _ in 0..2 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    house.envoys[0].until_recorded(2);
    house.envoys[0].kill();
    let log = house.envoys[0].calls();
    let text = std::fs::read_to_string(&log).unwrap();
    let last = text.lines().last().unwrap();
    let mut record: Value = serde_json::from_str(last).unwrap();
    let mut again = |change: &dyn Fn(&mut Value)| {
        let text = record["farebox_report"].as_str().unwrap().to_owned();
        let mut report: Value = serde_json::from_str(&text).unwrap();
        change(&mut report);
        record["farebox_report"] = report.to_string().into();
        let line = record.to_string();
        record["farebox_report"] = text.into();
        line
    };
    let lines = [
        again(&|report| report["org_id"] = house.org(&other).into()),
        again(&|report| report["org_id"] = "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".into()),
        again(&|report| {
            report["idempotency_key"] = "another".into();
            report["report"]["idempotency_key"] = "another".into();
            report["report"]["hold_id"] = "hold_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".into();
        }),
        again(&|report| report["report"]["idempotency_key"] = "another".into()),
        "somebody else's line".to_owned(),
        last[..last.len() / 2].to_owned(),
    ];
    append(&log, &lines.join("\n"));

    let (exit, said) = reconcile(&house, ADMIN_KEY, &log, &[]);
    assert_eq!(exit, Exit::Found, "{said:#}");
    assert_eq!(said["charged"], 2, "{said:#}");
    assert_eq!(said["without_call"], 1);
    let reasons = said["reasons"].as_array().unwrap();
    let mut named: Vec<_> = reasons
        .iter()
        .map(|reason| {
            (
                reason["line"].as_u64().unwrap(),
                reason["reason"].as_str().unwrap(),
            )
        })
        .collect();
    named.sort_unstable();
    let expect = [
        (3, "does not exist"),
        (4, "does not exist (404"),
        (5, "does not exist"),
        (6, "another idempotency key"),
        (8, "cut off"),
    ];
    assert_eq!(named.len(), expect.len(), "{said:#}");
    for ((line, why), (expect, part)) in named.into_iter().zip(expect) {
        assert_eq!(line, expect, "{said:#}");
        assert!(why.contains(part), "{why}");
    }
    // Whoever is no admin charges its own org alone.
    let (exit, said) = reconcile(&house, &other, &log, &[]);
    assert_eq!(exit, Exit::Found);
    assert_eq!(said["charged"], 0, "{said:#}");
    let (exit, _) = reconcile(&house, "no such key", &log, &[]);
    assert_eq!(exit, Exit::Found);
    assert_eq!(house.balance(&other, "posted_credits"), Decimal::from(9));
    house.settled_by_log(&key, "10");
}

#[test]
fn what_envoys_log_tells_after_the_money_is_gone_is_a_shortfall() {
    let mut house = House::new(&SILENT);
    let key = house.host.sell_to("1");
    for _ in 0..3 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    house.envoys[0].until_recorded(3);
    house.envoys[0].kill();
    // The time in doubt is over, and somebody else has spent what came back.
    house.host.advance(TTL_MS + DOUBT_MS);
    house.until_free(&key);
    let path = format!("/v1/admin/orgs/{}/adjustments", house.org(&key));
    let (status, answer) = house.host.administer(
        "POST",
        &path,
        &json!({"amount_credits": "-0.95", "note": "spent"}),
    );
    assert_eq!(status, 200, "{answer}");
    let done = reconciled(&house, &house.envoys[0].calls(), &[]);
    assert_eq!(done["charged"], 3, "{done:#}");
    let short = decimal(PRICE) * Decimal::from(3) - decimal("0.05");
    assert_eq!(done["shortfall_credits"], short.normalize().to_string());
    assert_eq!(house.balance(&key, "posted_credits"), Decimal::ZERO);
    assert_eq!(house.balance(&key, "shortfall_credits"), short);
    house.host.verify();
}

/// What its key may not pay for any more, its operator has charged all the same.
#[test]
fn a_key_that_has_ended_keeps_no_call_of_a_killed_envoy_from_being_charged() {
    let mut house = House::new(&SILENT);
    let key = house.host.sell_to("10");
    for _ in 0..3 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    house.envoys[0].until_recorded(3);
    house.envoys[0].kill();
    house.host.advance(TTL_MS + DOUBT_MS);
    house.until_free(&key);
    house.revoke(&key);
    let log = house.envoys[0].calls();
    let (exit, _) = reconcile(&house, &key, &log, &[]);
    assert_eq!(exit, Exit::Found);
    let done = reconciled(&house, &log, &[]);
    assert_eq!(done["charged"], 3, "{done:#}");
    assert_eq!(
        done["charged_credits"],
        house.spent().normalize().to_string()
    );
    house.host.verify();
}

#[test]
fn calls_that_envoy_reported_itself_are_recorded_before() {
    for leases in [true, false] {
        let house = House::new(&Wish { leases, ..USUAL });
        let key = house.host.sell_to("10");
        let envoy = &house.envoys[0];
        for _ in 0..3 {
            assert_eq!(house.post(0, &key, 1_000).status, 200);
        }
        house.until_reported();
        envoy.until_recorded(3);
        let zipped = envoy.calls().with_extension("gz");
        let log = std::fs::read(envoy.calls()).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&log).unwrap();
        std::fs::write(&zipped, gzip.finish().unwrap()).unwrap();
        for log in [envoy.calls(), zipped] {
            let done = reconciled(&house, &log, &[]);
            assert_eq!(done["recorded_before"], 3, "{done:#}");
            assert_eq!(done["charged"], 0, "{done:#}");
        }
        house.settle(&key, "10");
    }
}

#[test]
fn a_call_that_was_held_by_itself_is_charged_from_the_log_of_a_killed_envoy() {
    let mut house = House::new(&Wish {
        leases: false,
        timeout_ms: 200,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    let streams = [house.begin(0, &key), house.begin(0, &key)];
    // From here on the host hears nothing.
    house.door.is_shut.send(true).unwrap();
    house.end_streams();
    for stream in streams {
        let got = house.runtime.block_on(whole(stream));
        assert_eq!(got.in_comment().unwrap().0["credits"], PRICE);
    }
    house.envoys[0].until_recorded(2);
    house.envoys[0].kill();
    let done = reconciled(&house, &house.envoys[0].calls(), &[]);
    assert_eq!(done["charged"], 2, "{done:#}");
    assert_eq!(house.balance(&key, "held_credits"), Decimal::ZERO);
    house.settled_by_log(&key, "10");
}
