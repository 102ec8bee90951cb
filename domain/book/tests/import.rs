//! The real price files of others: what is imported of them, and what is not and why.

use crate::prices;
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
    let lost: Vec<String> = merged
        .lost
        .iter()
        .map(|lost| {
            let from = lost.valid_from.as_deref().unwrap_or("the beginning");
            format!(
                "{}/{} from {from} on: {}",
                lost.provider, lost.model, lost.what
            )
        })
        .collect();
    insta::assert_snapshot!(format!(
        "{} models added, {} names added, {} prices added, {} agree, {} prices differ:\n{}\n\
         lost in prices of other times:\n{}",
        merged.models_added,
        merged.names_added,
        merged.prices_added,
        merged.agreeing,
        merged.disagreements.len(),
        disagreements.join("\n"),
        lost.join("\n")
    ));
}

/// Further meters, past and announced prices come from the second source.
#[test]
fn what_the_first_lacks_is_taken_where_they_agree() {
    let head = |models: &str| format!("name = \"x\"\nas_of = \"2026-11-21\"\n{models}");
    let model = "[[models]]\nprovider = \"openai\"\nmodel = ";
    let dated = "
        per_million = { input = \"9\" }
        [[models.periods]]
        valid_from = \"2026-01-01\"
        per_million = { input = \"1\" }
        [[models.periods]]
        valid_from = \"2026-10-01\"
        per_million = { input = \"1\" }
        [[models.periods.tiers]]
        name = \"batch\"
        per_million = { input = \"0.5\" }
        [[models.periods]]
        valid_from = \"2027-01-01\"
        per_million = { input = \"2\" }
    ";
    let primary = head(&format!(
        "{model}\"agrees\"\nper_million = {{ input = \"1\", output = \"7\" }}\n\
         {model}\"differs\"\nper_million = {{ input = \"3\" }}\n\
         {model}\"named\"\nper_million = {{ input = \"5\" }}\n"
    ));
    let named = "aliases = [\"named\", \"new\"]
        per_million = { input = \"5\", cache_read = \"1\" }
        per_unit = { search = \"0.01\" }\n";
    let secondary = head(&format!(
        "{model}\"agrees\"\n{dated}{model}\"differs\"\n{dated}{model}\"other\"\n{named}"
    ));
    let read = |text: &str| farebox_book::parse(text, Format::Toml).unwrap();
    let merged = merge(read(&primary), read(&secondary));
    assert_eq!((merged.agreeing, merged.disagreements.len()), (1, 1));
    assert_eq!((merged.models_added, merged.prices_added), (1, 2));
    insta::assert_snapshot!(to_toml(&merged.book, &[]));
}

/// What only the first source says stays with prices of another time where that is safe, and is
/// told where it is not.
#[test]
fn what_dated_prices_lack_is_carried_over_or_told() {
    let book = |models: &str| {
        let text = format!("name = \"x\"\nas_of = \"2026-11-21\"\n{models}");
        farebox_book::parse(&text, Format::Toml).unwrap()
    };
    let own = book(
        "[[models]]
        provider = \"google\"
        model = \"m\"
        per_million = { input = \"1\", input_audio = \"3\" }
        per_unit = { search = \"0.01\", maps_search = \"0.02\" }
        allowances = [{ name = \"a\", meter = \"maps_search\", count = 5, per = \"day\" }]
        [[models.tiers]]
        name = \"batch\"
        per_million = { input = \"0.5\" }
        [[models.tiers]]
        name = \"flex\"
        per_million = { input = \"0.5\" }
        [[models.context]]
        above = 10
        per_million = { input = \"2\" }
        [[models.regions]]
        name = \"eu\"
        factor = \"1.1\"
        [[models]]
        provider = \"google\"
        model = \"unrelated\"
        per_unit = { search = \"0.01\" }",
    );
    let dated = "per_million = { input = \"9\" }
        [[models.tiers]]
        name = \"batch\"
        per_million = { input = \"4.5\", output = \"9\" }
        [[models.periods]]
        valid_from = \"2026-01-01\"
        per_million = { input = \"1\" }
        [[models.periods.tiers]]
        name = \"batch\"
        per_million = { input = \"0.5\", output = \"2\" }
        [[models.periods]]
        valid_from = \"2027-01-01\"
        per_million = { input = \"2\" }
        per_unit = { search = \"0.02\" }
        [[models.periods.tiers]]
        name = \"batch\"
        per_million = { input = \"1\" }
        ";
    let other = book(&format!(
        "[[models]]\nprovider = \"google\"\nmodel = \"m\"\n{dated}\n\
         [[models]]\nprovider = \"google\"\nmodel = \"unrelated\"\n{dated}"
    ));
    let merged = merge(own, other);
    let lost: Vec<String> = merged
        .lost
        .iter()
        .map(|lost| format!("{} {:?}: {}", lost.model, lost.valid_from, lost.what))
        .collect();
    assert_eq!(
        lost,
        [
            "m None: `input_audio`",
            "m None: tier `flex`",
            "m None: region `eu`",
            "m None: above 10 tokens",
            "m Some(\"2027-01-01\"): `input_audio`",
            "m Some(\"2027-01-01\"): tier `flex`",
            "m Some(\"2027-01-01\"): region `eu`",
            "m Some(\"2027-01-01\"): above 10 tokens",
        ]
    );
    insta::assert_snapshot!(to_toml(&merged.book, &[]));
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
