//! The real price files of others: what is imported of them, and what is not and why.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it breaks"
)]

mod prices;

use farebox_book::import::{Imported, Report, genai_prices, litellm, merge};
use farebox_book::{Format, compile, to_toml};

/// The report, and all entries that were left out for other reasons than having no price.
fn told(report: &Report) -> String {
    format!("{report}")
}

fn compiles(imported: &Imported) {
    let text = to_toml(&imported.book, &[]);
    let compiled = compile(&text, Format::Toml);
    let errors = compiled.err().unwrap_or_default();
    let shown: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn all_of_litellm() {
    let imported = litellm(&prices::litellm(), "1.106.2", "2026-11-21").unwrap();
    insta::assert_snapshot!(told(&imported.report));
    compiles(&imported);
}

#[test]
fn all_of_genai_prices() {
    let imported = genai_prices(&prices::genai_prices(), "0.2.3", "2026-11-21").unwrap();
    insta::assert_snapshot!(told(&imported.report));
    compiles(&imported);
}

#[test]
fn both_together() {
    let litellm = litellm(&prices::litellm(), "1.106.2", "2026-11-21").unwrap();
    let genai = genai_prices(&prices::genai_prices(), "0.2.3", "2026-11-21").unwrap();
    let merged = merge(litellm.book, genai.book);
    let disagreements: Vec<String> = merged
        .disagreements
        .iter()
        .map(|d| {
            format!(
                "{}/{} {}: {} not {}",
                d.provider, d.model, d.meter, d.used, d.other
            )
        })
        .collect();
    insta::assert_snapshot!(format!(
        "{} models added, {} names added, {} agree, {} prices differ:\n{}",
        merged.models_added,
        merged.names_added,
        merged.agreeing,
        merged.disagreements.len(),
        disagreements.join("\n")
    ));
}

#[test]
fn what_is_not_a_price_file_is_told() {
    let told = |text| litellm(text, "1", "2026-11-21").unwrap_err().to_string();
    assert_eq!(told("{\n  nope"), "not JSON, line 2, column 3");
    assert_eq!(
        told("[]"),
        "not a litellm price file: the file is not an object of models"
    );
    let told = genai_prices("{}", "1", "2026-11-21")
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "not a genai-prices price file: the file is not a list of providers"
    );
}
