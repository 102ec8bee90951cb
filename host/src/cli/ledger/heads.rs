//! Signed heads as they travel: how they are printed, and every form in which they come back.
//!
//! `farebox ledger heads` prints one JSON object a line. `GET /v1/admin/heads` answers one array, in the
//! words of the API. Whoever keeps heads keeps either, so both are read.

use crate::cli::failure::{self, Failure};
use crate::clock::SystemClock;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::view::SignedHead;
use crate::store::SqliteStore;
use crate::store::directory::DataDirectory;
use farebox_ledger::chain::Head;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A head as `farebox ledger heads` prints it, bytes in hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    org: String,
    seq: u64,
    hash: String,
    signed_at_ms: i64,
    signature: String,
    public_key: String,
}

/// A head as the API answers it: the same, but for the names and the time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    org_id: String,
    seq: u64,
    hash: String,
    signed_at: String,
    signature: String,
    public_key: String,
}

impl From<&SignedHead> for Printed {
    fn from(signed: &SignedHead) -> Self {
        Self {
            org: signed.head.org.to_string(),
            seq: signed.head.seq,
            hash: hex::encode(signed.head.hash),
            signed_at_ms: signed.signed_at_ms,
            signature: hex::encode(signed.signature),
            public_key: hex::encode(signed.public_key),
        }
    }
}

impl Answered {
    fn into_printed(self) -> Option<Printed> {
        Some(Printed {
            org: self.org_id,
            seq: self.seq,
            hash: self.hash,
            signed_at_ms: farebox_book::moment(&self.signed_at)?,
            signature: self.signature,
            public_key: self.public_key,
        })
    }
}

impl Printed {
    fn into_head(self) -> Option<SignedHead> {
        fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
            let mut bytes = [0; N];
            hex::decode_to_slice(text, &mut bytes).ok()?;
            Some(bytes)
        }
        Some(SignedHead {
            head: Head {
                org: self.org.parse().ok()?,
                seq: self.seq,
                hash: bytes(&self.hash)?,
            },
            signed_at_ms: self.signed_at_ms,
            signature: bytes(&self.signature)?,
            public_key: bytes(&self.public_key)?,
        })
    }
}

/// Prints the head of every org.
///
/// # Errors
/// The ledger cannot be read, or has no head to sign.
pub(super) fn print(directory: DataDirectory, out: &mut dyn Write) -> Result<(), Failure> {
    let store = SqliteStore::open_read_only(directory, Arc::new(SystemClock::new()))
        .map_err(|error| Failure::unavailable("the ledger cannot be opened", error))?;
    let heads = store
        .signed_heads()
        .map_err(|error| Failure::unavailable("the heads cannot be read", error))?;
    if heads.is_empty() {
        return Err(Failure::Found(
            "there is no head to sign: no org yet, or nobody has served from this directory".into(),
        ));
    }
    for head in &heads {
        serde_json::to_writer(&mut *out, &Printed::from(head)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The heads in a file: values of JSON one after the other, each a head or an array of heads.
///
/// # Errors
/// [`Failure::Usage`] with the line of what is no head, also where there is none at all: nothing
/// would be proved.
pub(super) fn read(path: &Path) -> Result<Vec<SignedHead>, Failure> {
    let text = failure::read_text(path)?;
    let mut heads = Vec::new();
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    loop {
        let begun = values.byte_offset();
        let Some(value) = values.next() else { break };
        let found = value.ok().and_then(|value| match value {
            Value::Array(items) => items.into_iter().map(head).collect(),
            value => head(value).map(|head| vec![head]),
        });
        let Some(found) = found else {
            let line = line_after(&text, begun);
            let told = format!("{} line {line} is not a signed head", path.display());
            return Err(Failure::Usage(told));
        };
        heads.extend(found);
    }
    if heads.is_empty() {
        let told = format!("{} has no signed head in it", path.display());
        return Err(Failure::Usage(told));
    }
    Ok(heads)
}

fn head(value: Value) -> Option<SignedHead> {
    let printed = if value.get("org_id").is_some() {
        serde_json::from_value::<Answered>(value)
            .ok()?
            .into_printed()?
    } else {
        serde_json::from_value(value).ok()?
    };
    printed.into_head()
}

/// The number, from 1, of the line on which the first thing after `offset` stands.
fn line_after(text: &str, offset: usize) -> usize {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let blank = after.len().saturating_sub(after.trim_start().len());
    let blank = after.get(..blank).unwrap_or_default();
    let breaks = [before, blank].map(|part| part.matches('\n').count());
    breaks.iter().sum::<usize>().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(seq: u64) -> Printed {
        Printed {
            org: "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".into(),
            seq,
            hash: "ab".repeat(32),
            signed_at_ms: 1_700_000_000_120,
            signature: "cd".repeat(64),
            public_key: "ef".repeat(32),
        }
    }

    fn answered(seq: u64) -> Value {
        let head = printed(seq);
        serde_json::json!({"org_id": head.org, "seq": seq, "hash": head.hash,
            "signed_at": "2023-11-14T22:13:20.120Z", "signature": head.signature,
            "public_key": head.public_key})
    }

    fn read_text(text: &str) -> Result<Vec<SignedHead>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        std::fs::write(&path, text).unwrap();
        let told = |error: Failure| {
            assert!(matches!(error, Failure::Usage(_)));
            let told = error.to_string();
            told.split_once("heads ").unwrap().1.to_owned()
        };
        read(&path).map_err(told)
    }

    #[test]
    fn what_is_printed_and_what_the_api_answers_are_the_same_heads() {
        let [one, two] = [1, 2].map(|seq| serde_json::to_string(&printed(seq)).unwrap());
        let expected = [1, 2].map(|seq| printed(seq).into_head().unwrap());
        let (first, second) = (answered(1), answered(2));
        for text in [
            format!("{one}\n{two}\n"),
            format!("{one}\n\n{two}"),
            format!("[{first},{second}]"),
            format!("{:#}\n", serde_json::json!([first, second])),
            // Kept one after the other.
            format!("[{first}]\n[{second}]\n"),
            format!("{first}\n{second}\n"),
            format!("{one}\n[{second}]"),
        ] {
            assert_eq!(read_text(&text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_head_is_named_by_its_line() {
        let one = serde_json::to_string(&printed(1)).unwrap();
        let short = one.replace("abab", "ab");
        let more = one.replace('{', "{\"more\":1,");
        let soon = answered(1).to_string().replace("2023-11", "soon");
        for (text, told) in [
            (format!("{one}\n\n{short}\n"), "line 3 is not a signed head"),
            (format!("{one}\n{more}\n"), "line 2 is not a signed head"),
            (format!("[{soon}]"), "line 1 is not a signed head"),
            (format!("{one}\n{{"), "line 2 is not a signed head"),
            (r#"{"status":401}"#.into(), "line 1 is not a signed head"),
            (String::new(), "has no signed head in it"),
            ("[]\n".into(), "has no signed head in it"),
        ] {
            assert_eq!(read_text(&text).unwrap_err(), told, "{text}");
        }
    }
}
