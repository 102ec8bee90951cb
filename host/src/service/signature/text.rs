//! Signatures as text, one after the other: the five lines of the statement, then `key` and
//! `signature` in hexadecimal. There is one way to write them, so that equal releases are equal
//! files and nothing can hide between the lines.

use super::super::policy::{Digest, ReleaseId};
use super::{PREFIX, PublicKey, SIGNATURES_MAX, Signature, Statement};
use std::str::Lines;

/// Why a text is no list of signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A line is not what stands there.
    #[error("the signatures are malformed at line {line}: `{expected}` belongs there")]
    Line {
        /// Which, from 1.
        line: usize,
        /// The word that begins it.
        expected: &'static str,
    },
    /// It is not UTF-8.
    #[error("the signatures are not text")]
    NotText,
    /// There are none, or they are not as they would be written.
    #[error("the signatures are not in the order of their keys, each key once")]
    Order,
    /// There are too many.
    #[error("there are more than {SIGNATURES_MAX} signatures")]
    TooMany,
}

pub fn write(signatures: &[Signature]) -> String {
    let one = |signed: &Signature| {
        let (statement, key) = (&signed.statement, signed.key);
        let signature = hex::encode(signed.bytes);
        format!("{statement}key {key}\nsignature {signature}\n")
    };
    signatures.iter().map(one).collect()
}

pub fn read(text: &[u8]) -> Result<Vec<Signature>, TextError> {
    let text = std::str::from_utf8(text).map_err(|_| TextError::NotText)?;
    let mut reader = Reader {
        lines: text.lines(),
        line: 0,
    };
    let mut signatures: Vec<Signature> = Vec::new();
    while !reader.is_at_end() {
        if signatures.len() >= SIGNATURES_MAX {
            return Err(TextError::TooMany);
        }
        let signature = reader.signature()?;
        if signatures
            .last()
            .is_some_and(|last| last.key >= signature.key)
        {
            return Err(TextError::Order);
        }
        signatures.push(signature);
    }
    // What `lines` forgives (a return before the end of a line, a last one without end) differs
    // here; no signature at all is an absent section, not an empty one.
    if signatures.is_empty() || write(&signatures) != text {
        return Err(TextError::Order);
    }
    Ok(signatures)
}

struct Reader<'a> {
    lines: Lines<'a>,
    line: usize,
}

impl<'a> Reader<'a> {
    fn is_at_end(&self) -> bool {
        self.lines.clone().next().is_none()
    }

    fn signature(&mut self) -> Result<Signature, TextError> {
        self.word(PREFIX, |rest| rest.is_empty().then_some(()))?;
        let component = Digest(self.word("component ", hexadecimal)?);
        let book = Digest(self.word("book ", hexadecimal)?);
        let release = ReleaseId { component, book };
        let contract = self.word("contract ", Some)?;
        let statement = self.word("limits ", |class| {
            Statement::of_words(release, contract, class)
        })?;
        Ok(Signature {
            statement,
            key: PublicKey::claimed(self.word("key ", hexadecimal)?),
            bytes: self.word("signature ", hexadecimal)?,
        })
    }

    fn word<T>(
        &mut self,
        expected: &'static str,
        value: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, TextError> {
        self.line = self.line.saturating_add(1);
        let line = self.line;
        let rest = self
            .lines
            .next()
            .and_then(|line| line.strip_prefix(expected));
        rest.and_then(value)
            .ok_or(TextError::Line { line, expected })
    }
}

fn hexadecimal<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
