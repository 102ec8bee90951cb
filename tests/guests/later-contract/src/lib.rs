//! The rules of the book under another version of the contract (`wit/policy.wit`), so that tests can
//! serve two at once. Not made of the standard policy: cargo would give it the exports of both.
#![cfg(target_family = "wasm")]

mod bindings;
mod words;

use bindings::exports::farebox::policy::policy as wit;
use farebox_sdk::pricing::answer::Refusal;
use farebox_sdk::pricing::canonical::BookView;
use farebox_sdk::pricing::{self, rating};
use farebox_sdk::{ConfigError, Description};
use std::sync::OnceLock;

struct Component;

bindings::export!(Component with_types_in bindings);

/// The instance is the policy.
static BOOK: OnceLock<BookView> = OnceLock::new();

fn ask<A, T>(
    asked: Option<A>,
    answer: impl FnOnce(&BookView, A) -> Result<T, Refusal>,
) -> Result<T, wit::Refusal> {
    let nothing = |what: &str| Refusal::OutOfRange { what: what.into() };
    let book = BOOK.get().ok_or_else(|| nothing("nothing is loaded"));
    book.and_then(|book| answer(book, asked.ok_or_else(|| nothing("no such words"))?))
        .map_err(words::refusal)
}

impl wit::Guest for Component {
    fn load(canonical_book: Vec<u8>) -> Result<Vec<wit::Named>, wit::Refusal> {
        let book = BookView::open(canonical_book).map_err(|error| {
            let what = error.to_string().into();
            words::config_error(ConfigError::Malformed { what })
        })?;
        let book = BOOK.get_or_init(|| book);
        Ok(words::description(Description {
            name: env!("CARGO_PKG_NAME").into(),
            book_name: Some(book.terms().name.clone()),
            ..Description::default()
        }))
    }

    fn bound(asked: wit::Event, by: wit::Facts) -> Result<wit::Bill, wit::Refusal> {
        let asked = words::quote_request_of(&asked).zip(words::facts_of(&by));
        ask(asked, |book, (request, facts)| {
            rating::quote(book, &request, &facts).map(words::quote)
        })
    }

    fn price(asked: Vec<(wit::Event, wit::Facts)>) -> Vec<Result<wit::Bill, wit::Refusal>> {
        let price = |(event, facts): &(wit::Event, wit::Facts)| {
            let asked = words::event_of(event).zip(words::facts_of(facts));
            ask(asked, |book, (event, facts)| {
                rating::rate(book, &event, &facts).map(words::rating)
            })
        };
        asked.iter().map(price).collect()
    }

    fn card(asked: Vec<wit::Named>, by: wit::Facts) -> Result<wit::CardPage, wit::Refusal> {
        let asked = words::card_request_of(&asked).zip(words::facts_of(&by));
        ask(asked, |book, (request, facts)| {
            rating::rate_card(book, &request, &facts).map(words::card_page)
        })
    }
}
