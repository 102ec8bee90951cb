//! Of every recorded stream the digest says what the stream says, and is what the host is sent.

use farebox_envoy::digest::Digest;
use farebox_usage::normalise_sse;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

#[test]
fn every_recorded_stream_has_a_digest_that_says_the_same() {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/responses.jsonl.gz");
    let mut lines = String::new();
    let mut unpacked = GzDecoder::new(File::open(packed).unwrap());
    unpacked.read_to_string(&mut lines).unwrap();
    let (mut streams, mut bytes, mut kept_bytes) = (0_usize, 0_usize, 0_usize);
    for (line, text) in (1..).zip(lines.lines()) {
        let call: Value = serde_json::from_str(text).unwrap();
        let Some(stream) = call["sse"].as_str() else {
            continue;
        };
        let (provider, api) = (call["provider"].as_str().unwrap(), call["api"].as_str());
        let mut digest = Digest::new(4 << 20);
        for chunk in stream.as_bytes().chunks(97) {
            digest.feed(chunk);
        }
        let whole = normalise_sse(provider, api, stream.as_bytes());
        let kept = digest.faithful(provider, api, &whole);
        let kept = kept.unwrap_or_else(|| panic!("line {line} says something else: {whole:?}"));
        streams = streams.saturating_add(1);
        bytes = bytes.saturating_add(stream.len());
        kept_bytes = kept_bytes.saturating_add(kept.len());
    }
    println!("{streams} streams, {bytes} bytes, {kept_bytes} kept");
    assert_eq!(streams, 340, "the recording is not whole");
    assert!(kept_bytes < bytes, "{kept_bytes} of {bytes} bytes are kept");
}
