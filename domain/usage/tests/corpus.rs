//! 801 recorded answers of real providers (see `NOTICE`): each is normalised, or stands in the
//! reviewed list of refusals; their pools are a snapshot; and the sums agree with the sums that
//! the providers stated.

use farebox_usage::{Answer, Finish, Normalised, Normaliser, RequestFacts, UsageError};
use farebox_usage::{normalise_response, normalise_sse};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

/// One line of the recording.
#[derive(Deserialize)]
struct Recorded {
    provider: String,
    api: String,
    request: Box<RawValue>,
    response: Option<Box<RawValue>>,
    sse: Option<String>,
}

/// One reviewed refusal: the line (from 1), the kind of error, and why it is right.
#[derive(Deserialize)]
struct Refused {
    line: usize,
    kind: String,
    #[serde(rename = "why")]
    _why: String,
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn corpus() -> Vec<Recorded> {
    let packed = std::fs::File::open(repository("tests/data/responses.jsonl.gz")).unwrap();
    let mut lines = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut lines)
        .unwrap();
    let corpus: Vec<Recorded> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(corpus.len(), 801);
    corpus
}

impl Recorded {
    fn normalise(&self, api: Option<&str>) -> Result<Normalised, UsageError> {
        match (&self.response, &self.sse) {
            (Some(body), None) => normalise_response(&self.provider, api, body.get().as_bytes()),
            (None, Some(stream)) => normalise_sse(&self.provider, api, stream.as_bytes()),
            _ => panic!("a record has a response or a stream"),
        }
    }
}

#[test]
fn every_answer_is_normalised_or_refused_for_a_reviewed_reason() {
    let reviewed = std::fs::read(repository("tests/cases/usage/refused.json")).unwrap();
    let reviewed: Vec<Refused> = serde_json::from_slice(&reviewed).unwrap();
    let reviewed: Vec<(usize, String)> = reviewed.into_iter().map(|r| (r.line, r.kind)).collect();
    let refused: Vec<(usize, String)> = corpus()
        .iter()
        .zip(1..)
        .filter_map(|(recorded, line)| {
            let error = recorded.normalise(Some(&recorded.api)).err()?;
            eprintln!("line {line}: {error}");
            Some((line, error.kind().to_owned()))
        })
        .collect();
    assert_eq!(refused, reviewed);
}

#[test]
fn every_stream_is_whole_and_every_field_understood() {
    for (recorded, line) in corpus().iter().zip(1..) {
        if let Ok(normalised) = recorded.normalise(Some(&recorded.api)) {
            assert_eq!(normalised.finish, Finish::Complete, "line {line}");
            assert_eq!(normalised.unrecognised, [], "line {line}");
            assert!(normalised.model_served.is_some(), "line {line}");
            assert!(normalised.response_id.is_some(), "line {line}");
        }
    }
}

#[test]
fn the_shape_alone_tells_the_family() {
    for (recorded, line) in corpus().iter().zip(1..) {
        assert_eq!(
            recorded.normalise(None),
            recorded.normalise(Some(&recorded.api)),
            "line {line}"
        );
    }
}

#[test]
fn a_stream_by_single_bytes_is_the_stream_at_once() {
    for (recorded, line) in corpus().iter().zip(1..) {
        let Some(stream) = &recorded.sse else {
            continue;
        };
        let mut normaliser = Normaliser::new(&recorded.provider, Some(&recorded.api)).unwrap();
        for byte in stream.as_bytes() {
            normaliser.feed(std::slice::from_ref(byte)).unwrap();
        }
        let by_bytes = normaliser.finish();
        assert_eq!(
            by_bytes,
            recorded.normalise(Some(&recorded.api)),
            "line {line}"
        );
    }
}

/// Answers are compared as they were read, to save putting together what they say.
#[test]
fn answers_that_are_equal_say_the_same() {
    let (mut same, mut other) = (0, 0);
    for (recorded, line) in corpus().iter().zip(1..) {
        let text = match (&recorded.response, &recorded.sse) {
            (Some(body), _) => body.get(),
            (_, stream) => stream.as_deref().unwrap(),
        };
        let api = Some(recorded.api.as_str());
        let read = |text: &str| match recorded.sse {
            None => Answer::of_body(&recorded.provider, api, [], text.as_bytes()),
            Some(_) => Answer::of_stream(&recorded.provider, api, [], text.as_bytes()),
        };
        let answer = read(text);
        assert_eq!(answer, read(text), "line {line}");
        let said = answer.clone().and_then(Answer::normalise);
        // One digit of it is another.
        let digits = text.match_indices(|char: char| char.is_ascii_digit());
        for (at, digit) in digits.step_by(text.len() / 200 + 1) {
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, if digit == "7" { "8" } else { "7" });
            let changed = read(&changed);
            if changed == answer {
                same += 1;
                assert_eq!(changed.and_then(Answer::normalise), said, "line {line}");
            } else {
                other += 1;
            }
        }
    }
    assert!(same > 1_000 && other > 1_000, "{same} {other}");
}

/// A stream cut anywhere is never taken for a whole one before its usage is.
#[test]
fn a_cut_stream_is_partial_or_has_the_whole_usage() {
    for (recorded, line) in corpus().iter().zip(1..).step_by(7) {
        let Some(stream) = &recorded.sse else {
            continue;
        };
        let whole = recorded.normalise(Some(&recorded.api)).unwrap();
        for cut in (0..stream.len()).step_by(61) {
            let cut_stream = stream.as_bytes().get(..cut).unwrap();
            match normalise_sse(&recorded.provider, Some(&recorded.api), cut_stream) {
                Ok(part) if part.finish == Finish::Complete => {
                    assert_eq!(part.pools, whole.pools, "line {line} cut at {cut}");
                }
                Ok(part) => assert_eq!(part.finish, Finish::Partial, "line {line} cut at {cut}"),
                Err(error) => assert_eq!(error.kind(), "no_usage", "line {line} cut at {cut}"),
            }
        }
    }
}

/// The stated sum of all tokens, which only covers tokens: pools of other meters are left out.
#[test]
fn exclusive_pools_add_up_to_the_stated_total() {
    let mut checked = 0;
    for (recorded, line) in corpus().iter().zip(1..) {
        let Ok(normalised) = recorded.normalise(Some(&recorded.api)) else {
            continue;
        };
        let usage: serde_json::Value = serde_json::from_str(&normalised.raw_usage).unwrap();
        let total = ["total_tokens", "totalTokenCount"]
            .iter()
            .find_map(|name| usage.get(name)?.as_u64());
        let tokens: Decimal = normalised
            .pools
            .iter()
            .filter(|pool| !matches!(pool.meter.name(), "search" | "tool_call" | "image"))
            .map(|pool| pool.quantity.get())
            .sum();
        if let Some(total) = total {
            assert_eq!(tokens, Decimal::from(total), "line {line}");
            checked += 1;
        } else {
            // Anthropic states no total; its last stated fields are the tokens.
            let stated: u64 = [
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
            ]
            .iter()
            .map(|name| {
                let last = usage.get(1).unwrap_or(&usage);
                last[name].as_u64().unwrap()
            })
            .sum();
            assert_eq!(tokens, Decimal::from(stated), "line {line}");
            checked += 1;
        }
    }
    assert_eq!(checked, 801);
}

#[test]
fn what_was_known_before_each_call_is_read() {
    for (recorded, line) in corpus().iter().zip(1..) {
        let facts = RequestFacts::from_recorded(recorded.request.get().as_bytes()).unwrap();
        assert!(facts.model.is_some() && facts.body_bytes > 0, "line {line}");
        assert_eq!(facts.stream, recorded.sse.is_some(), "line {line}");
    }
}

#[test]
fn pools_by_provider_and_api() {
    let mut table: BTreeMap<String, BTreeMap<String, Decimal>> = BTreeMap::new();
    for recorded in corpus() {
        let Ok(normalised) = recorded.normalise(Some(&recorded.api)) else {
            continue;
        };
        let kind = if recorded.sse.is_some() {
            "sse"
        } else {
            "json"
        };
        let row = table
            .entry(format!("{} {} {kind}", normalised.provider, recorded.api))
            .or_default();
        *row.entry("answers".to_owned()).or_default() += Decimal::ONE;
        for pool in &normalised.pools {
            *row.entry(pool.meter.name().to_owned()).or_default() += pool.quantity.get();
        }
        if let Some(cost) = normalised.provider_cost_usd {
            *row.entry("provider_cost_usd".to_owned()).or_default() += cost;
        }
        for word in [&normalised.service_tier, &normalised.region]
            .into_iter()
            .flatten()
        {
            *row.entry(format!("served {word}")).or_default() += Decimal::ONE;
        }
    }
    let mut lines = Vec::new();
    for (row, cells) in table {
        let cells: Vec<String> = cells
            .iter()
            .map(|(n, q)| format!("  {n}: {}", q.normalize()))
            .collect();
        lines.push(format!("{row}\n{}", cells.join("\n")));
    }
    insta::assert_snapshot!(lines.join("\n"));
}
