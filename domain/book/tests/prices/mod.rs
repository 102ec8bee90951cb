//! The price files of the tests' data, as shipped by their projects (see NOTICE).

use std::io::Read as _;

fn unpacked(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/prices");
    let packed = std::fs::File::open(format!("{folder}/{file}.json.gz")).unwrap();
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed);
    unpacked.read_to_string(&mut text).unwrap();
    text
}

/// LiteLLM 1.106.2.
pub fn litellm() -> String {
    unpacked("litellm-1.106.2")
}

/// genai-prices 0.2.3.
pub fn genai_prices() -> String {
    unpacked("genai-prices-0.2.3")
}
