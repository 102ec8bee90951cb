//! What changes between books, what an import holds back, what two sources do not agree on, and
//! what is old.

use farebox_book::check::stale;
use farebox_book::diff::diff;
use farebox_book::import::{merge, quarantine};
use farebox_book::text::BookText;
use farebox_book::{Compiled, Format, compile, parse, to_toml};
use rust_decimal::Decimal;
use std::collections::BTreeSet;

/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;
const HEAD: &str = "name = \"x\"\nas_of = \"2026-11-21\"\n";

fn text(models: &str) -> BookText {
    parse(&format!("{HEAD}{models}"), Format::Toml).unwrap()
}

fn compiled(models: &str) -> Compiled {
    compile(&format!("{HEAD}{models}"), Format::Toml).unwrap()
}

fn model(name: &str, prices: &str) -> String {
    format!("[[models]]\nprovider = \"openai\"\nmodel = \"{name}\"\n{prices}\n")
}

#[test]
fn every_price_that_differs_is_told_in_percent() {
    let before = model("gone", "per_million = { input = \"1\" }")
        + &model("same", "per_million = { input = \"1.50\" }")
        + &model(
            "m",
            "per_million = { input = \"1.25\", output = \"10\", reasoning = \"0\" }
             [[models.tiers]]
             name = \"flex\"
             per_million = { input = \"0.6\" }
             [[models.periods]]
             valid_from = \"2027-01-01\"
             per_million = { input = \"9\" }",
        );
    let after = model("new", "per_million = { input = \"1\" }")
        + &model("same", "per_million = { input = \"1.5\" }")
        + &model(
            "m",
            "per_million = { input = \"1\", output = \"10\", reasoning = \"10\", cache_read = \"0.1\" }
             [[models.tiers]]
             name = \"flex\"
             per_million = { input = \"0.7\" }",
        );
    let found = diff(&compiled(&before).book, &compiled(&after).book, NOW_MS);
    assert_eq!(&*found.added[0].1, "new");
    assert_eq!(&*found.removed[0].1, "gone");
    assert_eq!(
        found.changed.len(),
        1,
        "what is written otherwise is the same"
    );
    let shown: Vec<String> = found.changed[0]
        .prices
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "`input`: $0.00000125 → $0.000001 (-20 %)",
            "`cache_read`: nothing → $0.0000001",
            "`reasoning`: $0 → $0.00001",
            // What the flex tier does not price costs the standard price.
            "flex tier, `input`: $0.0000006 → $0.0000007 (+16.67 %)",
            "flex tier, `cache_read`: nothing → $0.0000001",
            "flex tier, `reasoning`: $0 → $0.00001",
            // The announced price is gone; what differs already is not told again.
            "from 2027-01-01T00:00:00Z on, `input`: $0.000009 → $0.000001 (-88.89 %)",
            "from 2027-01-01T00:00:00Z on, `output`: nothing → $0.00001",
            "from 2027-01-01T00:00:00Z on, `reasoning`: nothing → $0.00001",
            "from 2027-01-01T00:00:00Z on, flex tier, `input`: nothing → $0.0000007",
            "from 2027-01-01T00:00:00Z on, flex tier, `output`: nothing → $0.00001",
            "from 2027-01-01T00:00:00Z on, flex tier, `reasoning`: nothing → $0.00001",
        ]
    );
}

fn changed(before: &str, after: &str) -> Vec<String> {
    let [before, after] = [before, after].map(|prices| compiled(&model("m", prices)).book);
    let found = diff(&before, &after, NOW_MS);
    let changed = found.changed.iter().flat_map(|change| &change.prices);
    changed.map(ToString::to_string).collect()
}

#[test]
fn hours_thresholds_and_allowances_are_prices_too() {
    let hours = |times: &str| {
        format!(
            "per_million = {{ input = \"2\" }}
             [[models.hours]]
             name = \"cheap\"
             when = [{{ days = [\"mon\"], times = [\"{times}\"] }}]
             per_million = {{ input = \"1\" }}"
        )
    };
    assert_eq!(
        changed(&hours("00:00-06:00"), &hours("00:00-01:00")),
        [
            "cheap hours (UTC Mon 00:00-Mon 01:00), `input`: nothing → $0.000001",
            "cheap hours (UTC Mon 00:00-Mon 06:00), `input`: $0.000001 → nothing",
        ]
    );
    let context = |how: &str| {
        format!(
            "{how}
             per_million = {{ input = \"2\" }}
             [[models.context]]
             above = 10
             per_million = {{ input = \"1\" }}"
        )
    };
    assert_eq!(
        changed(&context(""), &context("context_inclusive = true")),
        [
            "above 10 tokens, `input`: $0.000001 → nothing",
            "from 10 tokens on, `input`: nothing → $0.000001",
        ]
    );
    assert_eq!(
        changed(&context("context_marginal = true"), &context("")),
        [
            "above 10 tokens, `input`: nothing → $0.000001",
            "of units beyond 10, `input`: $0.000001 → nothing",
        ]
    );
    let allowance = |count: u32| {
        format!(
            "per_unit = {{ search = \"1\" }}
             allowances = [{{ name = \"a\", meter = \"search\", count = {count}, per = \"day\" }}]"
        )
    };
    assert_eq!(
        changed(&allowance(10), &allowance(5)),
        ["allowance `a` of `search` a day: 10 free → 5 free (-50 %)"]
    );
}

#[test]
fn an_announced_price_that_jumps_is_held_back_too() {
    let announced = |usd: &str| {
        model(
            "m",
            &format!(
                "per_million = {{ input = \"1\" }}
                 [[models.periods]]
                 valid_from = \"2026-12-01\"
                 per_million = {{ input = \"{usd}\" }}"
            ),
        )
    };
    let none = BTreeSet::new();
    let bound = Decimal::from(50);
    let (old, new) = (text(&announced("1")), text(&announced("100")));
    let (book, held) = quarantine(new, &old, bound, &none, NOW_MS).unwrap();
    let jumps: Vec<String> = held[0].jumps.iter().map(ToString::to_string).collect();
    assert_eq!(
        jumps,
        ["from 2026-12-01T00:00:00Z on, `input`: $0.000001 → $0.0001 (+9900 %)"]
    );
    assert!(!to_toml(&book, &[]).contains("100"), "the old period stays");
    // What is over is no change: from 2027 on, one book has the price that the other had before.
    let over = model("m", "per_million = { input = \"100\" }");
    let after_ms = NOW_MS + 11 * 24 * 60 * 60 * 1000;
    let (_, held) = quarantine(
        text(&over),
        &text(&announced("100")),
        bound,
        &none,
        after_ms,
    )
    .unwrap();
    assert_eq!(held, []);
}

#[test]
fn a_name_that_would_mean_a_dearer_model_keeps_its_own() {
    let named = |name: &str, names: &str, usd: &str| {
        model(
            name,
            &format!("{names}\nper_million = {{ input = \"{usd}\" }}"),
        )
    };
    let old = named(
        "small",
        "aliases = [\"latest\", \"mine\", \"near\"]\nprefixes = [\"s-\"]\npatterns = [\"*-s\"]",
        "1",
    ) + &named("gone", "aliases = [\"going\"]", "1")
        + &named("large", "", "9");
    // `latest` and `gone` become names of `large`, and so do a prefix and a pattern; `mine` becomes
    // a model of its own; `near` moves to a model that costs nearly the same.
    let new = named("small", "", "1")
        + &named(
            "large",
            "aliases = [\"gone\", \"going\", \"latest\"]\nprefixes = [\"s-\"]\npatterns = [\"*-s\"]",
            "9",
        )
        + &named("mine", "", "9")
        + &named("other", "aliases = [\"near\"]", "1.4");
    let hold = |accepted: &[&str]| {
        let accepted: BTreeSet<String> = accepted.iter().map(|name| (*name).to_owned()).collect();
        let bound = Decimal::from(50);
        let (book, held) = quarantine(text(&new), &text(&old), bound, &accepted, NOW_MS).unwrap();
        let held: Vec<String> = held
            .into_iter()
            .map(|held| format!("{} {}", held.name, held.moved_to.unwrap()))
            .collect();
        (
            compile(&to_toml(&book, &[]), Format::Toml).unwrap().book,
            held,
        )
    };
    let meant = |book: &farebox_pricing::book::Book| -> Vec<String> {
        let names = [
            "gone", "going", "latest", "mine", "near", "s-1", "x-s", "large",
        ];
        let names = names.into_iter();
        names
            .map(|name| {
                let found = farebox_book::describe::describe_model(book, "openai", name).unwrap();
                format!("{name}: {}", found.model.name)
            })
            .collect()
    };
    let (book, held) = hold(&[]);
    assert_eq!(
        held,
        [
            "openai/gone openai/large",
            "openai/going openai/large",
            "openai/latest openai/large",
            "openai/mine openai/mine",
            "openai/s- openai/large",
            "openai/*-s openai/large",
        ]
    );
    assert_eq!(
        meant(&book),
        [
            "gone: gone",
            "going: gone",
            "latest: small",
            "mine: small",
            "near: other",
            "s-1: small",
            "x-s: small",
            "large: large",
        ]
    );
    let (book, held) = hold(&["openai/latest", "openai/gone"]);
    assert_eq!(held.len(), 4);
    assert_eq!(
        meant(&book)[..3],
        // `going` brings its model back, which then has its own name as well.
        ["gone: gone", "going: gone", "latest: large"]
    );
    assert_eq!(
        meant(&hold(&["*"]).0)[..4],
        ["gone: large", "going: large", "latest: large", "mine: mine",]
    );
}

#[test]
fn a_new_name_that_hides_another_models_keeps_what_it_meant() {
    let priced = |name: &str, names: &str, usd: &str| {
        model(
            name,
            &format!("{names}\nper_million = {{ input = \"{usd}\" }}"),
        )
    };
    let old = priced("m", "prefixes = [\"m-2\"]", "1");
    // A dated model, a longer prefix of a dear one, and a model that costs nearly the same.
    let new = old.clone()
        + &priced("m-20260801", "", "10")
        + &priced("dear", "prefixes = [\"m-2027\"]", "10")
        + &priced("m-20260802", "", "1.4");
    let hold = |accepted: &str| {
        let accepted = BTreeSet::from([accepted.to_owned()]);
        let bound = Decimal::from(50);
        let (book, held) = quarantine(text(&new), &text(&old), bound, &accepted, NOW_MS).unwrap();
        let held: Vec<String> = held.into_iter().map(|held| held.name).collect();
        let book = compile(&to_toml(&book, &[]), Format::Toml).unwrap().book;
        let meant = ["m-20260801", "m-20270101", "m-20260802"].map(|name| {
            let found = farebox_book::describe::describe_model(&book, "openai", name).unwrap();
            found.model.name.to_string()
        });
        (held, meant)
    };
    let (held, meant) = hold("");
    assert_eq!(held, ["openai/m-2027", "openai/m-20260801"]);
    assert_eq!(meant, ["m", "m", "m-20260802"]);
    let (held, meant) = hold("openai/m-20260801");
    assert_eq!(held, ["openai/m-2027"]);
    assert_eq!(meant, ["m-20260801", "m", "m-20260802"]);
}

#[test]
fn a_jump_beyond_the_bound_is_held_back_until_it_is_accepted() {
    let old = model("up", "per_million = { input = \"1\" }")
        + &model("down", "per_million = { input = \"1\" }")
        + &model("calm", "per_million = { input = \"1\" }");
    let new = model(
        "up",
        "aliases = [\"up-2\"]\nper_million = { input = \"1.51\" }",
    ) + &model("down", "per_million = { input = \"0.49\" }")
        + &model("calm", "per_million = { input = \"1.50\" }")
        + &model("new", "per_million = { input = \"100\" }");
    let hold = |accepted: &[&str]| {
        let accepted: BTreeSet<String> = accepted.iter().map(|name| (*name).to_owned()).collect();
        let bound = Decimal::from(50);
        let (book, held) = quarantine(text(&new), &text(&old), bound, &accepted, NOW_MS).unwrap();
        let held: Vec<String> = held.into_iter().map(|held| held.name).collect();
        (to_toml(&book, &[]), held)
    };
    let (book, held) = hold(&[]);
    assert_eq!(held, ["openai/down", "openai/up"]);
    // Old prices, new names; what is within the bound, and what is new, is taken.
    assert!(
        book.contains("aliases = [\"up-2\"]\nper_million = { input = \"1\" }"),
        "{book}"
    );
    assert!(
        book.contains("1.5\"") && book.contains("100") && !book.contains("0.49"),
        "{book}"
    );
    let (book, held) = hold(&["openai/up"]);
    assert_eq!(held, ["openai/down"]);
    assert!(book.contains("1.51"), "{book}");
    assert_eq!(hold(&["*"]).1, [""; 0]);
}

#[test]
fn a_price_that_sources_do_not_agree_on_stays_marked() {
    let first = model(
        "m",
        "per_million = { input = \"1\", output = \"5\" }\nper_unit = { search = \"0.01\" }",
    );
    let second = model(
        "m",
        "per_million = { input = \"1\", output = \"6\" }\nper_unit = { search = \"0.02\" }",
    );
    let mut second = text(&second);
    second.sources = parse(
        &format!("{HEAD}[[sources]]\nname = \"other\"\nversion = \"1\"\n"),
        Format::Toml,
    )
    .unwrap()
    .sources;
    let merged = merge(text(&first), second).book;
    let written = to_toml(&merged, &[]);
    let compiled = compile(&written, Format::Toml).unwrap();
    let notes: Vec<&str> = compiled.notes.iter().map(|note| &*note.text).collect();
    assert_eq!(
        notes,
        [
            "disputed: other has `output` at 6 per million",
            "disputed: other has `search` at 0.02",
        ]
    );
    assert!(compiled.notes.iter().all(|note| note.is_dispute));
    // The mark is no price: the book is the same without it.
    assert_eq!(compiled.digest, {
        let mut plain = merged;
        plain.models[0].other_prices.clear();
        compile(&to_toml(&plain, &[]), Format::Toml).unwrap().digest
    });
}

#[test]
fn overrides_are_told_with_the_models_that_they_change() {
    let change = "[[overrides]]\nreason = \"contract 7\"\nprovider = \"openai\"\nmodel = \"m*\"\n\
                  valid_from = \"2026-12-01\"\nfactor = \"0.9\"\n";
    let models = model("m1", "per_million = { input = \"1\" }")
        + &model("n", "per_million = { input = \"1\" }");
    let compiled = compiled(&format!("{change}{models}"));
    let notes: Vec<String> = compiled
        .notes
        .iter()
        .map(|note| format!("{}/{}: {}", note.provider, note.model, note.text))
        .collect();
    assert_eq!(
        notes,
        ["openai/m1: override: every price × 0.9 from 2026-12-01 on (contract 7)"]
    );
}

#[test]
fn what_is_old_is_told() {
    let ended = model(
        "ended",
        "[[models.periods]]\nvalid_from = \"2025-01-01\"\nvalid_to = \"2026-11-21\"\n\
         per_million = { input = \"1\" }",
    );
    let to_come = model(
        "to-come",
        "[[models.periods]]\nvalid_from = \"2027-01-01\"\nper_million = { input = \"1\" }",
    );
    let book = compiled(&(ended + &to_come)).book;
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let told = |at_ms| -> Vec<String> {
        let found = stale(&book, at_ms, 90);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(NOW_MS - 1), [""; 0]);
    let ended = "model `openai/ended`: its last price has ended";
    assert_eq!(told(NOW_MS), [ended]);
    assert_eq!(told(NOW_MS + 91 * DAY_MS - 1), [ended]);
    assert_eq!(
        told(NOW_MS + 91 * DAY_MS),
        ["the prices are of 2026-11-21, 91 days ago", ended]
    );
}
