//! Readers of price books: TOML, JSON, the price files of others, and canonical bytes.

use crate::Named;
use farebox_book::amount::Amount;
use farebox_book::describe::describe_model;
use farebox_book::import::Imported;
use farebox_book::text::BookText;
use farebox_book::{BookError, Compiled, Format, compile, import, parse, to_json, to_toml};
use farebox_pricing::answer::Rating;
use farebox_pricing::book::Model;
use farebox_pricing::canonical::{self, BookView};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::{rating, verify};
use rust_decimal::Decimal;

/// The targets of this module.
pub const TARGETS: [Named; 6] = [
    ("book_toml", book_toml),
    ("book_json", book_json),
    ("book_amount", book_amount),
    ("book_litellm", book_litellm),
    ("book_genai_prices", book_genai_prices),
    ("book_canonical", book_canonical),
];

/// Models of a book that are looked at: more of them only take time.
const MODELS_MAX: usize = 8;

/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;

/// A text has errors with places, or compiles, to what is compiled again from what is written of it.
fn text(text: &str, format: Format) {
    let compiled = match compile(text, format) {
        Ok(compiled) => compiled,
        Err(errors) => return are_placed(&errors, text),
    };
    sound(&compiled);
    let written = parse(text, format).expect("it compiled");
    comes_back(&written, &compiled);
}

fn are_placed(errors: &[BookError], text: &str) {
    assert!(!errors.is_empty());
    let lines = text.split('\n').count();
    for error in errors {
        assert!((1..=lines).contains(&error.line), "{error}");
        assert!(error.column >= 1, "{error}");
        assert!(!error.message.is_empty());
    }
}

/// What is written of a book, in either format, is that book.
fn comes_back(text: &BookText, compiled: &Compiled) {
    let json = to_json(text).expect("a book can be written as JSON");
    for (written, format) in [(to_toml(text, &[]), Format::Toml), (json, Format::Json)] {
        match compile(&written, format) {
            Ok(again) => assert_eq!(again.digest, compiled.digest, "{written}"),
            Err(errors) => panic!("{errors:#?}\n{written}"),
        }
    }
}

/// The canonical bytes are those of the book, every model is found, and its prices hold.
fn sound(compiled: &Compiled) {
    let view = BookView::open(compiled.canonical.clone()).expect("canonical bytes open");
    view.check_all().expect("canonical bytes are sound");
    let book = view.to_book().expect("canonical bytes are read");
    assert_eq!(book, compiled.book);
    for model in book.models.iter().take(MODELS_MAX) {
        let found = describe_model(&book, &model.provider, &model.name).expect("it is there");
        assert_eq!(found.model, model);
        is_priced_as_promised(&view, model);
    }
}

/// Calls of a model with every meter it has a price for, and what they are answered.
fn priced(view: &BookView, model: &Model) -> Vec<(UsageEvent, Facts, Rating)> {
    let tables = model.periods.iter().flat_map(|period| &period.tables);
    let rates = tables.flat_map(|table| &table.rates).take(MODELS_MAX);
    let mut pools: Vec<Pool> = rates
        .filter_map(|rate| {
            let quantity = Quantity::of(&rate.meter, Decimal::from(1_000)).ok()?;
            Some(Pool::new(rate.meter.clone(), quantity))
        })
        .collect();
    pools.push(Pool::new(Meter::Input, 300_000.into()));
    pools.sort_by(|a, b| a.meter.cmp(&b.meter));
    pools.dedup_by(|a, b| a.meter == b.meter);
    let event = UsageEvent {
        provider: model.provider.clone(),
        model_asked: Some((&*model.name).into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools,
        provider_cost_usd: None,
    };
    [
        (Deployment::Hosted, KeySource::Managed),
        (Deployment::SelfHosted, KeySource::Own),
    ]
    .into_iter()
    .filter_map(|(deployment, keys)| {
        let facts = Facts::new(deployment, keys, NOW_MS);
        let answer = rating::rate(view, &event, &facts).ok()?;
        Some((event.clone(), facts, answer))
    })
    .collect()
}

/// Whatever a model costs, each answer passes the checks that the host makes of every policy's.
fn is_priced_as_promised(view: &BookView, model: &Model) {
    for (event, facts, answer) in priced(view, model) {
        let checked = verify::rating(view, &event, &facts, &answer);
        assert!(checked.is_ok(), "{checked:?} of {answer:?}");
    }
}

fn utf8(data: &[u8], read: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(data) {
        read(text);
    }
}

/// A book as TOML.
pub fn book_toml(data: &[u8]) {
    utf8(data, |book| text(book, Format::Toml));
}

/// A book as JSON.
pub fn book_json(data: &[u8]) {
    utf8(data, |book| text(book, Format::Json));
}

/// An amount as people write it is what its own plain text says.
pub fn book_amount(data: &[u8]) {
    utf8(data, |text| {
        if let Ok(amount) = Amount::parse(text) {
            assert_eq!(
                Amount::parse(&amount.to_string()).ok(),
                Some(amount),
                "{text}"
            );
        }
    });
}

/// A price file of LiteLLM.
pub fn book_litellm(data: &[u8]) {
    utf8(data, |text| {
        if let Ok(imported) = import::litellm(text, "fuzz", "2026-01-01") {
            is_a_book(&imported);
        }
    });
}

/// A price file of genai-prices.
pub fn book_genai_prices(data: &[u8]) {
    utf8(data, |text| {
        if let Ok(imported) = import::genai_prices(text, "fuzz", "2026-01-01") {
            is_a_book(&imported);
        }
    });
}

/// What an importer writes can be read, and what it says of it is true.
fn is_a_book(imported: &Imported) {
    let written = to_toml(&imported.book, &[]);
    match parse(&written, Format::Toml) {
        Ok(again) => assert_eq!(again, imported.book, "{written}"),
        Err(errors) => panic!("{errors:#?}\n{written}"),
    }
    match compile(&written, Format::Toml) {
        Ok(compiled) => sound(&compiled),
        Err(errors) => are_placed(&errors, &written),
    }
}

/// Canonical bytes, damaged in any way, are a book or an error; and only the bytes that a book is
/// encoded to pass for it. Until they are checked their prices may be anything, and are still read.
pub fn book_canonical(data: &[u8]) {
    let Ok(view) = BookView::open(data.to_vec()) else {
        return;
    };
    for model in view.models_from(0).take(MODELS_MAX).flatten() {
        let _answers = priced(&view, model);
    }
    if view.check_all().is_ok() {
        let book = view.to_book().expect("it was checked");
        assert_eq!(canonical::encode(&book).expect("it was decoded"), data);
        for model in book.models.iter().take(MODELS_MAX) {
            is_priced_as_promised(&view, model);
        }
    }
}
