//! Readers of provider payloads: bodies, streams, frames, headers, batches and requests.

use crate::Named;
use farebox_pricing::meter::Meter;
use farebox_usage::parse_exact;
use farebox_usage::{Normalised, Normaliser, RequestFacts, USAGE_BYTES_MAX, UsageError};
use farebox_usage::{normalise_answer, normalise_batch, normalise_response, normalise_sse};
use rust_decimal::Decimal;
use serde_json::Value;

/// The targets of this module.
pub const TARGETS: [Named; 7] = [
    ("usage_answer", usage_answer),
    ("usage_stream", usage_stream),
    ("usage_frames", usage_frames),
    ("usage_headers", usage_headers),
    ("usage_batch", usage_batch),
    ("usage_request", usage_request),
    ("usage_number", usage_number),
];

/// The first line: a provider, an api (`-`: the shape decides) and how long each chunk is.
struct Told<'a> {
    provider: &'a str,
    api: Option<&'a str>,
    chunk_bytes: usize,
}

/// The first line and what follows it.
fn told(data: &[u8]) -> Option<(Told<'_>, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&data[..end]).ok()?;
    let mut words = line.split(' ');
    let told = Told {
        provider: words.next()?,
        api: words.next().filter(|api| *api != "-"),
        chunk_bytes: words.next().and_then(|word| word.parse().ok()).unwrap_or(1),
    };
    Some((told, &data[end + 1..]))
}

/// Pools are exclusive, in order and in range, a detail of zero is left out, and what is kept is
/// small.
fn holds(outcome: &Result<Normalised, UsageError>) {
    let normalised = match outcome {
        Ok(normalised) => normalised,
        Err(error) => {
            assert!(error.to_string().len() < 4 << 10, "{error}");
            assert!(!error.kind().is_empty());
            return;
        }
    };
    let pools = &normalised.pools;
    let keys: Vec<_> = pools.iter().map(|p| (&p.meter, &p.attributes)).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{pools:?}");
    for pool in pools {
        let quantity = pool.quantity.get();
        assert!(!quantity.is_sign_negative(), "{pool:?}");
        assert!(!quantity.is_zero() || may_be_zero(&pool.meter), "{pool:?}");
        assert!(
            !pool.meter.is_whole() || quantity.fract().is_zero(),
            "{pool:?}"
        );
    }
    for cost in [normalised.provider_cost_usd, normalised.upstream_cost_usd] {
        assert!(cost.is_none_or(|cost| !cost.is_sign_negative()), "{cost:?}");
    }
    assert!(!pools.is_empty() || normalised.provider_cost_usd.is_some());
    assert!(normalised.raw_usage.len() <= 4 * USAGE_BYTES_MAX);
}

/// The totals of an answer are kept at zero, its details are not.
const fn may_be_zero(meter: &Meter) -> bool {
    matches!(
        meter,
        Meter::Input
            | Meter::Output
            | Meter::OutputAudio
            | Meter::OutputImage
            | Meter::Second
            | Meter::Page
    )
}

/// A body of any api means the same however it is laid out; and OpenAI's tokens are those it
/// states, whatever their parts.
pub fn usage_answer(data: &[u8]) {
    let Some((told, body)) = told(data) else {
        return;
    };
    let read = |body: &[u8]| normalise_response(told.provider, told.api, body);
    let outcome = read(body);
    holds(&outcome);
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    if let (Ok(normalised), "openai", Some("chat")) = (&outcome, told.provider, told.api) {
        all_tokens_are_stated(normalised, &value);
    }
    let compact = read(value.to_string().as_bytes());
    let pretty = read(format!("{value:#}").as_bytes());
    match (compact, pretty) {
        (Ok(compact), Ok(pretty)) => {
            assert_eq!(compact.pools, pretty.pools);
            assert_eq!(compact.model_served, pretty.model_served);
            assert_eq!(compact.unrecognised, pretty.unrecognised);
        }
        (Err(compact), Err(pretty)) => assert_eq!(compact.kind(), pretty.kind()),
        // Only a usage object near the limit may fit in one layout and not in the other.
        (compact, pretty) => assert!(
            value.to_string().len() > USAGE_BYTES_MAX / 8,
            "{compact:?} but {pretty:?}"
        ),
    }
}

fn all_tokens_are_stated(normalised: &Normalised, body: &Value) {
    let stated = |name: &str| match &body["usage"][name] {
        Value::Null => Some(0),
        count => count.to_string().parse::<u64>().ok(),
    };
    let counts = ["prompt_tokens", "completion_tokens", "total_tokens"].map(stated);
    let [Some(prompt), Some(completion), Some(total)] = counts else {
        return;
    };
    let stated = Decimal::from(prompt) + Decimal::from(completion);
    // Embeddings state the total alone.
    let stated = stated.max(Decimal::from(total));
    let is_token = |meter: &Meter| {
        meter.is_prompt_tokens()
            || matches!(
                meter,
                Meter::Output | Meter::Reasoning | Meter::OutputAudio | Meter::OutputImage
            )
    };
    let tokens = normalised.pools.iter().filter(|pool| is_token(&pool.meter));
    let sum: Decimal = tokens.map(|pool| pool.quantity.get()).sum();
    assert_eq!(sum, stated, "{:?}", normalised.pools);
}

/// A stream in chunks of any size is the stream at once.
pub fn usage_stream(data: &[u8]) {
    if let Some((told, stream)) = told(data) {
        any_chunks_are_the_whole(&told, stream);
    }
}

/// As a stream, in AWS frames around each line: an event type, a blank, a payload. The checksums
/// are right, so that what is inside is read.
pub fn usage_frames(data: &[u8]) {
    let Some((told, lines)) = told(data) else {
        return;
    };
    let mut stream = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let (event, payload) = match line.iter().position(|byte| *byte == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        stream.extend(frame(event, payload));
    }
    any_chunks_are_the_whole(&told, &stream);
}

/// A message of an AWS event stream; an event type that begins with `!` is an exception's.
fn frame(event: &[u8], payload: &[u8]) -> Vec<u8> {
    let (name, value) = match event {
        [b'!', exception @ ..] => (":exception-type", exception),
        event => (":event-type", event),
    };
    let value = &value[..value.len().min(u16::MAX.into())];
    let mut headers = vec![name.len() as u8];
    headers.extend(name.as_bytes());
    headers.push(7);
    headers.extend((value.len() as u16).to_be_bytes());
    headers.extend(value);
    let length = 16 + headers.len() + payload.len();
    let mut bytes = (length as u32).to_be_bytes().to_vec();
    bytes.extend((headers.len() as u32).to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn any_chunks_are_the_whole(told: &Told<'_>, stream: &[u8]) {
    let whole = normalise_sse(told.provider, told.api, stream);
    holds(&whole);
    for chunk_bytes in [told.chunk_bytes.clamp(1, 1 << 16), 1] {
        let in_chunks = || {
            let mut normaliser = Normaliser::new(told.provider, told.api)?;
            for chunk in stream.chunks(chunk_bytes) {
                normaliser.feed(chunk)?;
            }
            normaliser.finish()
        };
        assert_eq!(in_chunks(), whole, "in chunks of {chunk_bytes}");
    }
}

/// Headers, a line each, up to a blank line; then a body.
pub fn usage_headers(data: &[u8]) {
    let Some((told, answer)) = told(data) else {
        return;
    };
    let cut = answer.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = answer.split_at(cut.unwrap_or(answer.len()));
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    holds(&normalise_answer(told.provider, told.api, headers, body));
}

/// A batch's output file: each answered line is one line of it, in order.
pub fn usage_batch(data: &[u8]) {
    let Some((told, file)) = told(data) else {
        return;
    };
    let lines = file.split(|byte| *byte == b'\n').count() as u64;
    let mut last = 0;
    for item in normalise_batch(told.provider, file) {
        assert!(last < item.line && item.line <= lines, "line {}", item.line);
        last = item.line;
        holds(&item.result);
    }
}

/// A request body, and the record of one.
pub fn usage_request(data: &[u8]) {
    let asked = [
        RequestFacts::from_body(data),
        RequestFacts::from_recorded(data),
    ];
    for facts in asked.into_iter().flatten() {
        assert!(facts.choices > 0);
    }
}

/// A number is what its own plain text says.
pub fn usage_number(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(number) = parse_exact(text)
    {
        assert_eq!(parse_exact(&number.to_string()), Ok(number), "{text}");
    }
}
