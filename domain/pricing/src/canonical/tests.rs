//! Round trips, hostile bytes, and each rule broken once.

use super::*;
use crate::generated::{book, small_book, view};
use crate::meter::Meter;
use crate::pattern;
use proptest::prelude::*;
use proptest::sample::Index;
use rust_decimal::Decimal;
use std::cmp::Reverse;

proptest! {
    #[test]
    fn a_book_comes_back_as_it_went_in(book in book()) {
        let bytes = encode(&book).unwrap();
        let view = BookView::open(bytes.clone()).unwrap();
        view.check_all().unwrap();
        prop_assert_eq!(view.to_book().unwrap(), book.clone());
        prop_assert_eq!(encode(&book).unwrap(), bytes);
    }

    #[test]
    fn a_lookup_finds_what_a_search_of_the_book_finds(book in book(), name in "[a-c]{1,6}") {
        let view = view(&book);
        for provider in ["azure", "google", "openai", "vertex_ai", "nobody"] {
            let of_provider = || book.models.iter().filter(|m| &*m.provider == provider);
            let exact = of_provider().find(|m| *m.name == *name);
            let alias = || of_provider().find(|m| m.aliases.iter().any(|a| **a == *name));
            let prefix = || of_provider()
                .flat_map(|m| m.prefixes.iter().map(move |p| (p, m)))
                .filter(|(p, _)| name.starts_with(&***p))
                .max_by_key(|(p, _)| p.len())
                .map(|(_, m)| m);
            let pattern = || of_provider()
                .flat_map(|m| m.patterns.iter().map(move |p| (p, m)))
                .filter(|(p, _)| pattern::matches(p, &name))
                .filter(|(_, m)| !m.except.iter().any(|p| pattern::matches_any_case(p, &name)))
                .min_by_key(|(p, _)| (Reverse(pattern::fixed(p)), (*p).clone()))
                .map(|(_, m)| m);
            let expected = exact.or_else(alias).or_else(prefix).or_else(pattern);
            prop_assert_eq!(view.find(provider, &name).unwrap(), expected);
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_book_never_a_panic(
        book in book(),
        flips in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut bytes = encode(&book).unwrap();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(view) = BookView::open(bytes) {
            let _ = view.find("openai", "abc");
            let _ = view.position("openai", "abc", true);
            // What passes the full check is canonical, whatever was done to it.
            if view.check_all().is_ok() {
                prop_assert_eq!(encode(&view.to_book().unwrap()).unwrap(), view.bytes());
            }
        }
    }
}

#[test]
fn every_truncation_and_every_byte_of_a_small_book_is_survived() {
    let bytes = encode(&small_book(&[(Meter::Input, "0.000001")], "1.2")).unwrap();
    for len in 0..bytes.len() {
        assert!(BookView::open(bytes[..len].to_vec()).is_err(), "{len}");
    }
    for at in 0..bytes.len() {
        for byte in [0, 0x1f, 0x7f, 0x9f, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            if let Ok(view) = BookView::open(bytes) {
                let _ = view.find("openai", "m");
                let _ = view.find("openai", "m-1");
                let _ = view.check_all();
            }
        }
    }
}

#[test]
fn what_is_not_canonical_is_said_to_be_so() {
    let bytes = encode(&small_book(&[(Meter::Input, "0.1")], "1")).unwrap();
    assert_eq!(
        BookView::open(b"hello".to_vec()).unwrap_err(),
        CanonicalError::NotABook
    );
    let mut newer = bytes.clone();
    newer[6] = 2;
    assert_eq!(
        BookView::open(newer).unwrap_err(),
        CanonicalError::UnsupportedVersion(2)
    );
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        BookView::open(longer).unwrap_err(),
        CanonicalError::WrongLength {
            declared: bytes.len() as u64,
            actual: bytes.len() as u64 + 1,
        }
    );
    // 0.1 is [-1, 1]; [-2, 10] says the same.
    let at = bytes
        .windows(4)
        .position(|window| window == [0xc4, 0x82, 0x20, 0x01])
        .unwrap();
    let mut padded = bytes;
    padded[at + 2] = 0x21;
    padded[at + 3] = 0x0a;
    let view = BookView::open(padded).unwrap();
    assert_eq!(view.check_all(), Err(CanonicalError::NotCanonical));
}

/// Two tables that hold in these hours.
fn hourly(first: &[(u16, u16)], second: &[(u16, u16)]) -> [crate::book::RateTable; 2] {
    [("a", first), ("b", second)].map(|(name, spans)| crate::book::RateTable {
        service_tier: None,
        region: None,
        context_above: None,
        hours: Some(Box::new(crate::book::Hours {
            name: name.into(),
            spans: spans.to_vec(),
        })),
        rates: Vec::new(),
    })
}

#[test]
fn each_rule_is_checked_and_its_place_named() {
    type Break = fn(&mut crate::book::Book);
    let cases: [(Break, &str); 20] = [
        (|b| b.name = "".into(), "name: a name must have"),
        (|b| b.as_of = "21.11.2026".into(), "as_of: a date must be"),
        (
            |b| b.models[0].provider = "gemini".into(),
            "model `gemini/m`: the provider id must be the canonical one",
        ),
        (
            |b| b.models[0].periods[0].tables[0].rates[0].usd = Decimal::NEGATIVE_ONE,
            "model `openai/m`, period 0, table 0, rate `input`: an amount cannot be negative",
        ),
        (
            |b| b.models[0].periods[0].tables[0].rates[0].usd = Decimal::new(1, 25),
            "model `openai/m`, period 0, table 0, rate `input`: an amount cannot have more",
        ),
        (
            |b| b.models[0].periods[0].tables[0].region = Some("eu".into()),
            "model `openai/m`, period 0: the first table must be the standard one",
        ),
        (
            |b| {
                let mut table = b.models[0].periods[0].tables[0].clone();
                table.service_tier = Some("default".into());
                b.models[0].periods[0].tables.push(table);
            },
            "model `openai/m`, period 0, table 1: `default`, `standard` and `auto` mean",
        ),
        (
            |b| {
                let period = b.models[0].periods[0].clone();
                b.models[0].periods.push(period);
            },
            "model `openai/m`: periods must follow each other",
        ),
        (
            |b| {
                b.models[0].periods[0]
                    .tables
                    .extend(hourly(&[(0, 60)], &[(59, 90)]))
            },
            "model `openai/m`, period 0: two tables hold in the same hours",
        ),
        (
            |b| {
                b.models[0].periods[0]
                    .tables
                    .extend(hourly(&[(0, 60)], &[(60, 60)]))
            },
            "model `openai/m`, period 0, table 2: hours must be spans of a week",
        ),
        (
            |b| {
                b.models[0].periods[0]
                    .tables
                    .extend(hourly(&[(0, 60)], &[(60, 10_081)]))
            },
            "model `openai/m`, period 0, table 2: hours must be spans of a week",
        ),
        (
            |b| {
                b.models[0].context_marginal = true;
                b.models[0].context_inclusive = true;
            },
            "model `openai/m`: a marginal context begins beyond its threshold",
        ),
        (
            |b| b.failure_rules.estimate.bytes_per_token = 0,
            "estimate: an estimate needs at least 1 byte a token",
        ),
        (
            |b| {
                b.unknown_models = crate::book::UnknownModels::DefaultRate {
                    model: Box::new(b.models[0].clone()),
                }
            },
            "unknown models: the rule can never match",
        ),
        (
            |b| {
                let model = b.models[0].clone();
                b.models.push(model);
            },
            "models: must be sorted, and nothing may stand twice",
        ),
        (
            |b| {
                let mut model = b.models[0].clone();
                model.name = "n".into();
                b.models.push(model);
            },
            "model `openai/n`, `m-`: another model of the provider has the same",
        ),
        (
            |b| {
                b.charge_rules[0].charge = crate::book::Charge::CostPlus {
                    markup: Decimal::new(99, 2),
                }
            },
            "charge rule `default`: a markup below 1 needs a declared loss-leader",
        ),
        (
            |b| {
                b.charge_rules[0].charge = crate::book::Charge::PlatformFee {
                    fixed_usd: Decimal::ONE,
                    share_of_market: Decimal::ZERO,
                }
            },
            "charge rule `default`: the platform fee is above the declared cap",
        ),
        (
            |b| b.charge_rules[0].scope.key_source = Some(crate::event::KeySource::Own),
            "charge rule `default`: the rule can never match",
        ),
        (
            |b| {
                b.plans = vec!["pro".into()];
                b.charge_rules[0].scope.plan = Some("prod".into());
            },
            "charge rule `default`: the plan is not listed",
        ),
    ];
    for (break_it, expected) in cases {
        let mut book = small_book(&[(Meter::Input, "0.1")], "1");
        break_it(&mut book);
        let error = encode(&book).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn an_exact_name_wins_over_an_alias_and_an_alias_over_a_prefix() {
    let mut book = small_book(&[(Meter::Input, "0.1")], "1");
    let model = |name: &str, aliases: &[&str], prefixes: &[&str]| crate::book::Model {
        name: name.into(),
        aliases: aliases.iter().map(|a| Box::from(*a)).collect(),
        prefixes: prefixes.iter().map(|p| Box::from(*p)).collect(),
        ..book.models[0].clone()
    };
    book.models = vec![
        model("gpt", &[], &["gpt-"]),
        model("gpt-5", &["gpt-6"], &["gpt-5-mini"]),
        model("gpt-6", &["gpt-latest"], &[]),
    ];
    let view = view(&book);
    for (name, expected) in [
        ("gpt-5", Some("gpt-5")),
        ("gpt-6", Some("gpt-6")),
        ("gpt-latest", Some("gpt-6")),
        ("gpt-5-mini-2026", Some("gpt-5")),
        ("gpt-5-max", Some("gpt")),
        ("gpt-5-min", Some("gpt")),
        ("claude", None),
        ("", None),
    ] {
        let found = view.find("openai", name).unwrap();
        assert_eq!(found.map(|m| &*m.name), expected, "{name}");
    }
}
