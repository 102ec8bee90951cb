//! Of every recorded answer the digest says what the answer says, and is what the host is sent.

use farebox_envoy::digest::{self, Digest};
use farebox_usage::{Answer, Normaliser};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

#[test]
fn every_recorded_answer_has_a_digest_that_says_the_same() {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/responses.jsonl.gz");
    let mut lines = String::new();
    let mut unpacked = GzDecoder::new(File::open(packed).unwrap());
    unpacked.read_to_string(&mut lines).unwrap();
    let (mut streams, mut bodies) = (Kept::default(), Kept::default());
    for (line, text) in (1..).zip(lines.lines()) {
        let call: Value = serde_json::from_str(text).unwrap();
        let (provider, api) = (call["provider"].as_str().unwrap(), call["api"].as_str());
        let Some(stream) = call["sse"].as_str() else {
            let answer = call["response"].to_string();
            let whole = Answer::of_body(provider, api, [], answer.as_bytes());
            let kept = digest::body(provider, api, &Vec::new(), &answer, &whole);
            let kept = kept.unwrap_or_else(|| panic!("line {line} says something else: {whole:?}"));
            bodies.count(&answer, &kept);
            continue;
        };
        let mut digest = Digest::default();
        let mut events = Normaliser::new(provider, api).unwrap();
        for chunk in stream.as_bytes().chunks(97) {
            events
                .feed_seen(chunk, |event| {
                    digest.take(event);
                })
                .unwrap_or_default();
        }
        let whole = events.end(|event| {
            digest.take(event);
        });
        let kept = digest.faithful(provider, api, &Vec::new(), &whole);
        let kept = kept.unwrap_or_else(|| panic!("line {line} says something else: {whole:?}"));
        streams.count(stream, &kept);
    }
    println!("streams: {streams:?}, bodies: {bodies:?}");
    assert_eq!(streams.answers, 340, "the recording is not whole");
    for kept in [streams, bodies] {
        assert!(kept.kept_bytes < kept.bytes, "{kept:?}");
    }
}

#[derive(Debug, Default)]
struct Kept {
    answers: usize,
    bytes: usize,
    kept_bytes: usize,
}

impl Kept {
    fn count(&mut self, whole: &str, kept: &str) {
        self.answers = self.answers.saturating_add(1);
        self.bytes = self.bytes.saturating_add(whole.len());
        self.kept_bytes = self.kept_bytes.saturating_add(kept.len());
    }
}
