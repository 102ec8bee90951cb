//! The price files of the peers as the repository keeps them, and the books that the importer makes of
//! them.

use super::Peer;
use crate::step;
use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The day of the prices and of the calls: both files are older, and no result moves with the day
/// on which the command runs.
const AS_OF: &str = "2026-11-21";

/// Unpacks a peer's price file into `folder`, and says where it is.
///
/// # Errors
/// It is not there, or cannot be written.
pub fn unpack(root: &Path, peer: Peer, folder: &Path) -> Result<PathBuf> {
    let packed = root.join("tests/data/prices").join(peer.prices());
    let to = folder.join(peer.prices());
    unpack_file(&packed, &to)?;
    Ok(to)
}

/// `path`.gz into `to`.
pub(super) fn unpack_file(path: &Path, to: &Path) -> Result<()> {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let file = File::open(&packed).with_context(|| format!("no `{}`", packed.display()))?;
    let mut unpacked = GzDecoder::new(BufReader::new(file));
    std::io::copy(&mut unpacked, &mut File::create(to)?)?;
    Ok(())
}

/// Makes a book of a peer's price file.
///
/// # Errors
/// The importer refuses the file.
pub fn import(binary: &Path, peer: Peer, prices: &Path, book: &Path) -> Result<()> {
    step::output(
        Command::new(binary)
            .args(["price-book", "import", "--as-of", AS_OF, "--from"])
            .arg(peer.name())
            .arg(prices)
            .arg("--output")
            .arg(book),
    )?;
    Ok(())
}
