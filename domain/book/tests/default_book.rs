//! The shipped default book is what the importer makes of the sources and the overlay, prices the
//! models of the recorded calls, and holds no nonsense.
//!
//! `INSTA_UPDATE=always` writes the book anew, as it does for snapshots.

use crate::prices;
use farebox_book::describe::describe_model;
use farebox_book::import::{genai_prices, litellm, merge};
use farebox_book::{Format, compile, parse, to_toml};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::Instant;

const BOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/standard/books");
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/data/responses.jsonl.gz"
);

fn shipped(name: &str) -> String {
    std::fs::read_to_string(format!("{BOOKS}/{name}")).unwrap()
}

/// The default book as the importer makes it.
fn made() -> String {
    let overlay = parse(&shipped("overlay.toml"), Format::Toml).unwrap();
    let litellm = litellm(&prices::litellm(), "1.106.2", "2026-11-21")
        .unwrap()
        .book;
    let genai = genai_prices(&prices::genai_prices(), "0.2.3", "2026-11-21")
        .unwrap()
        .book;
    let book = merge(merge(overlay, litellm).book, genai).book;
    let comments = [
        "The default price book of Farebox. Made by the importer; edit `overlay.toml` instead."
            .into(),
        String::new(),
        "Sources, the first that prices a model is believed: overlay.toml (our own),".into(),
        "LiteLLM 1.106.2 (MIT, Copyright (c) 2023 Berri AI),".into(),
        "genai-prices 0.2.3 (MIT, Copyright (c) Pydantic Services Inc.). See NOTICE.".into(),
        format!("{} models, prices as of {}.", book.models.len(), book.as_of),
    ];
    to_toml(&book, &comments)
}

#[test]
fn the_shipped_book_is_what_the_importer_makes() {
    let made = made();
    assert!(made.len() < 2_500_000, "{} bytes", made.len());
    let path = format!("{BOOKS}/default.toml");
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(&path, &made).unwrap();
    }
    let differs = shipped("default.toml")
        .lines()
        .zip(made.lines())
        .position(|(shipped, made)| shipped != made);
    assert_eq!(
        differs, None,
        "the first differing line of default.toml, from 0"
    );
    assert_eq!(shipped("default.toml").len(), made.len());
}

#[test]
fn the_default_book_compiles_fast_and_makes_sense() {
    let text = shipped("default.toml");
    let started = Instant::now();
    let compiled = compile(&text, Format::Toml).unwrap();
    // Generous, because tests share the machine: it takes a quarter of a second alone.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    let mut oddities: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in &compiled.findings {
        let kind = format!("{:?}", finding.oddity);
        let kind = kind.split([' ', '{']).next().unwrap().to_owned();
        oddities.entry(kind).or_default().push(finding.to_string());
    }
    let shown: Vec<String> = oddities
        .iter()
        .map(|(kind, all)| format!("{kind}: {}\n  {}", all.len(), all.join("\n  ")))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn every_recorded_model_is_found() {
    let compiled = compile(&shipped("default.toml"), Format::Toml).unwrap();
    let recorded = std::fs::File::open(RECORDED).unwrap();
    let mut calls: BTreeMap<(String, String), u32> = BTreeMap::new();
    for line in BufReader::new(flate2::read::GzDecoder::new(recorded)).lines() {
        let call: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let provider = call["provider"].as_str().unwrap().to_owned();
        *calls.entry((provider, served(&call))).or_default() += 1;
    }
    let found: Vec<String> = calls
        .iter()
        .map(|((provider, model), count)| {
            let found = describe_model(&compiled.book, provider, model);
            let how = found.map_or("nothing".to_owned(), |description| {
                format!("{} by {:?}", description.model.name, description.found_by)
            });
            format!("{count} × {provider} {model}: {how}")
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"));
}

/// The model that answered, as far as the answer says so.
fn served(call: &serde_json::Value) -> String {
    let response = &call["response"];
    let told = [&response["model"], &response["modelVersion"]];
    let told = told.into_iter().find_map(|model| model.as_str());
    let streamed = || {
        let sse = call["sse"].as_str()?;
        [
            "\"model\":\"",
            "\"model\": \"",
            "\"modelVersion\":\"",
            "\"modelVersion\": \"",
        ]
        .into_iter()
        .find_map(|key| sse.split_once(key)?.1.split_once('"'))
        .map(|(model, _)| model)
    };
    told.or_else(streamed)
        .or(call["request"]["model"].as_str())
        .unwrap()
        .to_owned()
}
