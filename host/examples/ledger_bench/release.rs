//! The release that the receipts of a load name: they must lead to a book that is there.

use super::Failure;
use farebox::service::ledger::directory::DirectoryWrite;
use farebox::service::ledger::releases::{ReleaseParts, ReleaseRecord};
use farebox::service::policy::{Digest, LimitClass, ReleaseId, Trust};
use farebox_book::{Format, compile};
use sha2::Digest as _;

/// Nothing of a load runs it.
const COMPONENT: &[u8] = b"no component";
const BOOK: &str = r#"
name = "bench"
as_of = "2026-11-21"
[[models]]
provider = "openai"
model = "gpt-5-mini"
per_million = { input = "0.25", cache_read = "0.025", output = "2" }
"#;

fn book() -> Result<(Vec<u8>, [u8; 32]), Failure> {
    let compiled = compile(BOOK, Format::Toml).map_err(|errors| format!("{errors:?}"))?;
    Ok((compiled.canonical, compiled.digest))
}

/// What it is, by content.
pub fn id() -> Result<ReleaseId, Failure> {
    Ok(ReleaseId {
        component: Digest(sha2::Sha256::digest(COMPONENT).into()),
        book: Digest(book()?.1),
    })
}

/// What makes it known to the store.
pub fn admission(at_ms: i64) -> Result<DirectoryWrite, Failure> {
    Ok(DirectoryWrite::AdmitRelease {
        release: ReleaseRecord {
            id: id()?,
            name: "bench".into(),
            contract: "1.0.0".into(),
            class: LimitClass::Native,
            trust: Trust::Untrusted,
            component_bytes: 0,
            book_bytes: 0,
            admitted_at_ms: at_ms,
            admitted_by: Box::default(),
            revoked: None,
            signatures: Vec::new(),
            filters: Vec::new(),
        },
        parts: ReleaseParts {
            component: COMPONENT.into(),
            book: book()?.0.into(),
            book_source: None,
            signatures: [].into(),
            filters: [].into(),
        },
    })
}
