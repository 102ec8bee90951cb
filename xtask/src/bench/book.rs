//! How long the importer takes over the two price files of the repository.

use super::table::Table;
use crate::peers::Peer;
use crate::peers::prices;
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// Measures and adds the figure.
///
/// # Errors
/// A file is not there, or the importer refuses it.
pub fn measure(root: &Path, binary: &Path, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut took = Duration::ZERO;
    for peer in Peer::ALL {
        let file = prices::unpack(root, peer, folder.path())?;
        let book = folder.path().join("book.toml");
        let begun = Instant::now();
        prices::import(binary, peer, &file, &book)?;
        took = took.saturating_add(begun.elapsed());
    }
    table.add("import_both_ms", u64::try_from(took.as_millis())?);
    Ok(())
}
