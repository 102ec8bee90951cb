//! What holds for any input of any parser: it is answered, never by a panic, and the answer keeps
//! the parser's promises.
//!
//! Each target takes bytes as they come. Where a parser needs to be told something (an api, a
//! provider, where a stream is cut), the first bytes tell it, so that a found input is one file.

use farebox_book::amount::Amount;
use farebox_book::{Format, compile, import, parse, to_toml};
use farebox_pricing::canonical::BookView;
use farebox_usage::parse_exact;
use farebox_usage::{Api, Normalised, Normaliser, RequestFacts, UsageError};
use farebox_usage::{normalise_answer, normalise_batch, normalise_response, normalise_sse};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("usage_answer", usage_answer),
    ("usage_stream", usage_stream),
    ("usage_headers", usage_headers),
    ("usage_batch", usage_batch),
    ("usage_request", usage_request),
    ("usage_number", usage_number),
    ("book_toml", book_toml),
    ("book_json", book_json),
    ("book_amount", book_amount),
    ("book_litellm", book_litellm),
    ("book_genai_prices", book_genai_prices),
    ("book_canonical", book_canonical),
];

/// The providers that have fields of their own.
const PROVIDERS: [&str; 12] = [
    "openai",
    "anthropic",
    "google",
    "vertex_ai",
    "bedrock",
    "openrouter",
    "xai",
    "perplexity",
    "mistral",
    "groq",
    "deepseek",
    "cohere",
];

/// A provider, an api or none, a size, and the rest: each picked by one byte.
fn picked(data: &[u8]) -> Option<(&'static str, Option<&'static str>, usize, &[u8])> {
    let [provider, api, size, rest @ ..] = data else {
        return None;
    };
    let provider = PROVIDERS[usize::from(*provider) % PROVIDERS.len()];
    let api = usize::from(*api) % (Api::NAMES.len() + 1);
    let api = Api::NAMES.get(api).map(|(name, _)| *name);
    Some((provider, api, usize::from(*size), rest))
}

/// Pools are exclusive, in order and in range; what is kept is small.
fn holds(outcome: &Result<Normalised, UsageError>) {
    match outcome {
        Ok(normalised) => {
            let pools = &normalised.pools;
            let keys: Vec<_> = pools.iter().map(|p| (&p.meter, &p.attributes)).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{pools:?}");
            assert!(
                pools
                    .iter()
                    .all(|pool| !pool.quantity.get().is_sign_negative())
            );
            assert!(!pools.is_empty() || normalised.provider_cost_usd.is_some());
            assert!(
                normalised
                    .provider_cost_usd
                    .is_none_or(|cost| !cost.is_sign_negative())
            );
            assert!(normalised.raw_usage.len() <= 4 * farebox_usage::USAGE_BYTES_MAX);
        }
        Err(error) => {
            assert!(error.to_string().len() < 64 << 10);
            assert!(!error.kind().is_empty());
        }
    }
}

/// A body of any api.
pub fn usage_answer(data: &[u8]) {
    if let Some((provider, api, _, body)) = picked(data) {
        holds(&normalise_response(provider, api, body));
    }
}

/// A stream in chunks of any size is the stream at once.
pub fn usage_stream(data: &[u8]) {
    let Some((provider, api, size, stream)) = picked(data) else {
        return;
    };
    let whole = normalise_sse(provider, api, stream);
    holds(&whole);
    let in_chunks = || {
        let mut normaliser = Normaliser::new(provider, api)?;
        for chunk in stream.chunks(size.max(1)) {
            normaliser.feed(chunk)?;
        }
        normaliser.finish()
    };
    assert_eq!(in_chunks(), whole);
}

/// Headers, a line each, up to a blank line; then a body.
pub fn usage_headers(data: &[u8]) {
    let Some((provider, api, _, answer)) = picked(data) else {
        return;
    };
    let cut = answer.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = answer.split_at(cut.unwrap_or(answer.len()));
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    holds(&normalise_answer(provider, api, headers, body));
}

/// A batch's output file.
pub fn usage_batch(data: &[u8]) {
    if let Some((provider, _, _, file)) = picked(data) {
        for item in normalise_batch(provider, file) {
            holds(&item.result);
        }
    }
}

/// A request body, and the record of one.
pub fn usage_request(data: &[u8]) {
    for facts in [
        RequestFacts::from_body(data),
        RequestFacts::from_recorded(data),
    ] {
        if let Ok(facts) = facts {
            assert!(facts.choices > 0);
        }
    }
}

/// A number is what its own plain text says.
pub fn usage_number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(number) = parse_exact(text) {
        assert_eq!(parse_exact(&number.to_string()), Ok(number), "{text}");
    }
}

/// A book has an error with a place, or compiles; and compiles again from what is written of it.
fn book(text: &str, format: Format) {
    match compile(text, format) {
        Ok(compiled) => {
            let view = BookView::open(compiled.canonical.clone()).expect("canonical bytes open");
            view.check_all().expect("canonical bytes are sound");
            let written = to_toml(&parse(text, format).expect("it compiled"), &[]);
            let again = compile(&written, Format::Toml).expect("what is written compiles");
            assert_eq!(again.canonical, compiled.canonical, "{written}");
        }
        Err(errors) => assert!(!errors.is_empty()),
    }
}

/// A book as TOML.
pub fn book_toml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        book(text, Format::Toml);
    }
}

/// A book as JSON.
pub fn book_json(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        book(text, Format::Json);
    }
}

/// An amount as people write it.
pub fn book_amount(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(amount) = Amount::parse(text)
    {
        assert_eq!(
            Amount::parse(&amount.to_string()).ok(),
            Some(amount),
            "{text}"
        );
    }
}

/// A price file of LiteLLM.
pub fn book_litellm(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = import::litellm(text, "fuzz", "2026-01-01");
    }
}

/// A price file of genai-prices.
pub fn book_genai_prices(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = import::genai_prices(text, "fuzz", "2026-01-01");
    }
}

/// Canonical bytes, damaged in any way, are a book or an error.
pub fn book_canonical(data: &[u8]) {
    if let Ok(view) = BookView::open(data.to_vec()) {
        let _ = view.check_all();
        let _ = view.to_book();
    }
}
