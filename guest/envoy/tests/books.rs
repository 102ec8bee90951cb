//! The books of a VM, as the proxy hands them over.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_book::{Format, compile};
use farebox_envoy::release::Unpriced;
use farebox_envoy::shelf::{Shelf, ShelfError};
use farebox_sdk::pricing::event::{Deployment, Facts, KeySource, QuoteRequest};
use farebox_standard::StandardPolicy;
use sha2::{Digest as _, Sha256};

fn book(name: &str) -> Vec<u8> {
    let text = format!(
        "name = \"{name}\"\nas_of = \"2026-11-01\"\n\
         [defaults]\nmarkup = \"1.25\"\n"
    );
    compile(&text, Format::Toml).unwrap().canonical
}

fn list(books: &[&[u8]]) -> Vec<u8> {
    let books: Vec<String> = books
        .iter()
        .map(|book| format!("\"{}\"", STANDARD.encode(book)))
        .collect();
    format!("{{\"books\": [{}]}}", books.join(",")).into_bytes()
}

fn load(configuration: Vec<u8>) -> Result<Shelf, ShelfError> {
    Shelf::load::<StandardPolicy>(configuration)
}

fn digest(book: &[u8]) -> String {
    hex::encode(Sha256::digest(book))
}

#[test]
fn a_book_is_found_by_its_digest_and_the_first_is_asked_until_one_is_named() {
    let (a, b) = (book("a"), book("b"));
    let shelf = load(list(&[&a, &b])).unwrap();
    assert!(shelf.has_several());
    assert_eq!(shelf.first().book(), digest(&a));
    for book in [&a, &b] {
        let found = shelf.find(&digest(book)).unwrap();
        assert_eq!(found.book(), digest(book));
    }
    assert!(shelf.find(&digest(&book("c"))).is_none());
    // Which one it is, nobody has said.
    let request = QuoteRequest {
        provider: "openai".into(),
        model: Some("gpt-4o".into()),
        service_tier: None,
        region: None,
        feature: None,
        body_bytes: 10,
        max_output_tokens: Some(10),
        declared: Vec::new(),
        provider_cost_max_usd: None,
    };
    let facts = Facts::new(Deployment::Hosted, KeySource::Managed, 0);
    let quoted = shelf.only().quote(&request, &facts).map(|bound| bound.usd);
    assert_eq!(quoted, Err(Unpriced::OtherBook));
}

#[test]
fn one_book_alone_or_in_a_list_is_the_same_shelf_and_order_makes_no_other() {
    let (a, b) = (book("a"), book("b"));
    let alone = load(a.clone()).unwrap();
    assert!(!alone.has_several());
    assert_eq!(alone.only().book(), digest(&a));
    assert_eq!(load(list(&[&a])).unwrap().name(), alone.name());
    let both = load(list(&[&a, &b])).unwrap();
    assert_eq!(both.name(), load(list(&[&b, &a])).unwrap().name());
    assert_ne!(both.name(), alone.name());
}

#[test]
fn what_is_no_list_of_books_is_refused_by_what_is_wrong() {
    let a = book("a");
    for (configuration, expect) in [
        (b"{}".to_vec(), "the VM configuration is neither"),
        (list(&[]), "the list of books is empty"),
        (
            br#"{"books": ["?"]}"#.to_vec(),
            "book 1 of the list is not base64",
        ),
        (list(&[&a, b"x"]), "book 2 of the list cannot be used"),
        (list(&[&a, &a]), "stands twice in the list"),
        (Vec::new(), "not a canonical book"),
    ] {
        let error = load(configuration).err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
    }
}
