//! A page of the docs, run as a reader would: its fenced blocks, a shell for them, and what is shown
//! beside what comes out.

use crate::serving::ADMIN_KEY;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fenced block.
pub struct Block {
    /// What stands after the fence, such as `sh` or `toml book.toml`.
    pub kind: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The blocks of a page, in order.
pub fn blocks(page: &'static str) -> Vec<Block> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (kind, text) = block.split_once('\n').unwrap();
            Block { kind, text }
        })
        .collect()
}

/// Runs a script in a folder, with the binary on the path, against the server at `url`.
pub fn shell(folder: &Path, url: &str, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_farebox")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("FAREBOX_URL", url)
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .env("XDG_CACHE_HOME", cache())
        .output()
        .unwrap()
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Lets a server that runs find what commands have compiled. To compile a whole interpreter takes long,
/// and to the server and to the commands it is the same code.
pub fn share_compiled(data_dir: &Path) {
    for file in std::fs::read_dir(cache().join("farebox"))
        .into_iter()
        .flatten()
    {
        let file = file.unwrap().path();
        let link = data_dir.join("cache").join(file.file_name().unwrap());
        // What is written just now has another name until it is whole.
        if file.extension().is_some_and(|kind| kind == "cwasm") && link.symlink_metadata().is_err()
        {
            std::os::unix::fs::symlink(file, link).unwrap();
        }
    }
}

/// All that a command said.
pub fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// Each line of `shown` is in the output: its parts between `…`, in order.
#[track_caller]
pub fn assert_shown(shown: &str, output: &str) {
    for line in shown.lines() {
        assert!(is_shown(line, output), "`{line}` is not in\n{output}");
    }
}

fn is_shown(shown: &str, output: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        shown.split('…').all(|part| match rest.find(part.trim()) {
            Some(at) => {
                rest = &rest[at + part.trim().len()..];
                true
            }
            None => false,
        })
    })
}
