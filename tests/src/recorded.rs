//! 801 recorded answers of real providers (see `NOTICE`), as `farebox rate` reads them.

use super::repository;
use farebox::cli::rate::input::{self, Call};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;

/// 2026-11-21T00:00:00Z: when the recorded calls are said to have run, so that their prices do
/// not move with the day on which the tests run.
pub const OCCURRED_AT_MS: i64 = 1_795_219_200_000;

/// One recorded call.
#[derive(Debug)]
pub struct Recorded {
    /// Its line in the recording, from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
}

impl Recorded {
    /// All of them.
    ///
    /// # Panics
    /// The recording is not there or not whole.
    pub fn all() -> Vec<Self> {
        let packed = File::open(repository("tests/data/responses.jsonl.gz")).unwrap();
        let mut lines = String::new();
        GzDecoder::new(packed).read_to_string(&mut lines).unwrap();
        let all: Vec<_> = (1..)
            .zip(lines.lines())
            .map(|(line, text)| Self {
                line,
                text: text.to_owned(),
            })
            .collect();
        assert_eq!(all.len(), 801, "the recording is not whole");
        all
    }

    /// The call, understood by the command line's own reader.
    ///
    /// # Panics
    /// It is not understood.
    pub fn call(&self) -> Call {
        input::read(self.text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.line))
    }

    /// The line as JSON, numbers as they are written.
    ///
    /// # Panics
    /// It is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}
