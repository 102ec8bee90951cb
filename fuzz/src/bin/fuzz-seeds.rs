//! Writes the seeds of every target below a folder, one folder each, and the dictionary beside them:
//! `fuzz-seeds FOLDER`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: fuzz-seeds FOLDER"))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (target, _) in farebox_fuzz::targets() {
        let folder = Path::new(&out).join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in farebox_fuzz::seeds::of(&root, target)?.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    fs::write(
        Path::new(&out).join("words.dict"),
        farebox_fuzz::words::dictionary(),
    )
}
