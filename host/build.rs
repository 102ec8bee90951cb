//! Finds the standard policy, which is built for another target and so cannot be a dependency, and
//! lists the files that a new policy's project begins with.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What each language's project is made of: folders of the repository, and where they go in it. Of two
/// files with one path the later stands.
const TEMPLATES: [(&str, &[(&str, &str)]); 3] = [
    (
        "RUST",
        &[
            ("guest/templates/shared", ""),
            ("guest/templates/rust", ""),
            ("guest/sdk", "farebox/sdk/"),
            ("domain/pricing", "farebox/pricing/"),
        ],
    ),
    (
        "JS",
        &[
            ("guest/templates/shared", ""),
            ("guest/templates/js", ""),
            ("guest/js", "farebox/"),
            ("wit/1.0.0", "wit/"),
        ],
    ),
    (
        "PYTHON",
        &[
            ("guest/templates/shared", ""),
            ("guest/templates/python", ""),
            ("guest/python", "farebox/"),
            ("wit/1.0.0", "wit/"),
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let host = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = host.parent().ok_or("the host stands in a workspace")?;
    templates(root)?;
    let component = root.join("target/guests/farebox_standard.wasm");
    println!("cargo::rerun-if-changed={}", component.display());
    if !component.is_file() {
        println!(
            "cargo::error=the standard policy is not built yet: run `cargo xtask guests` once"
        );
        return Ok(());
    }
    println!(
        "cargo::rustc-env=FAREBOX_STANDARD_COMPONENT={}",
        component.display()
    );
    Ok(())
}

/// Writes one list per language: path in the project, and content.
fn templates(root: &Path) -> Result<(), Box<dyn Error>> {
    let mut code = String::new();
    for (language, folders) in TEMPLATES {
        writeln!(code, "pub const {language}: &[(&str, &[u8])] = &[")?;
        for (folder, to) in folders {
            let folder = root.join(folder);
            println!("cargo::rerun-if-changed={}", folder.display());
            for (path, file) in files(&folder, to)? {
                writeln!(code, "    ({path:?}, include_bytes!({file:?})),")?;
            }
        }
        code.push_str("];\n");
    }
    Ok(std::fs::write(
        Path::new(&env::var("OUT_DIR")?).join("templates.rs"),
        code,
    )?)
}

/// Every file of a folder, and of those in it, sorted.
fn files(folder: &Path, to: &str) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let name = name.to_str().ok_or("a file's name is not UTF-8")?;
        if path.is_dir() {
            // What tools leave beside the sources, and what only this repository's tests read.
            if !matches!(name, "__pycache__" | "tests" | "snapshots") {
                found.extend(files(&path, &format!("{to}{name}/"))?);
            }
        } else if !name.starts_with('.') {
            found.push((format!("{to}{name}"), path));
        }
    }
    found.sort();
    Ok(found)
}
