//! `farebox policy new`: a project that builds with its language's own tools to a component, and passes
//! `farebox policy test`.
//!
//! What a project begins with is in the binary: the language's template, the library as this version
//! has it, and the contract. So a project needs no other download than its language's tools.

use crate::cli::failure::Failure;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The files of each language's project: path in it, and content.
mod files {
    include!(concat!(env!("OUT_DIR"), "/templates.rs"));
}

const EXAMPLES: &str = "\
Examples:
  farebox policy new --lang js happy-hour
  farebox policy new --lang python surge";

const NAME_CHARS_MAX: usize = 63;

/// Begin a policy of your own: a project with rules, cases and the library of its language.
///
/// It is complete: built with its language's own tools, it passes `farebox policy test`. Its README
/// says how; docs/custom-policies.md goes from there to an admitted policy.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct New {
    /// What it is called: lower-case letters, digits and `-`. Also the folder that is made.
    name: String,
    /// The language it is written in.
    #[arg(long, value_enum)]
    lang: Language,
}

/// A language that policies are written in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// Rust: native speed. Built with cargo.
    Rust,
    /// JavaScript: with an interpreter inside. Built with npm.
    Js,
    /// Python: with an interpreter inside. Built with pip's componentize-py.
    Python,
}

impl Language {
    const fn files(self) -> &'static [(&'static str, &'static [u8])] {
        match self {
            Self::Rust => files::RUST,
            Self::Js => files::JS,
            Self::Python => files::PYTHON,
        }
    }

    /// The file in which an author works.
    const fn policy(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Js => "policy.js",
            Self::Python => "policy.py",
        }
    }

    /// How a project is built.
    const fn build(self) -> &'static str {
        match self {
            Self::Rust => {
                "cargo build --release --target wasm32-unknown-unknown\n\
                 mkdir -p dist\n\
                 farebox policy build target/wasm32-unknown-unknown/release/{{module}}.wasm -o dist/{{name}}.wasm"
            }
            Self::Js => "npm install\nnpm run build",
            Self::Python => {
                "python3 -m venv .venv\n\
                 .venv/bin/pip install -r requirements.txt\n\
                 .venv/bin/python build.py"
            }
        }
    }
}

impl New {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        check(&self.name)?;
        let project = PathBuf::from(&self.name);
        if project.exists() {
            let name = &self.name;
            return Err(Failure::Usage(format!("`{name}` exists already")));
        }
        for (path, content) in self.lang.files() {
            self.write(&project, path, content)?;
        }
        writeln!(out, "made {}; next:", project.display())?;
        writeln!(out, "  cd {}", self.name)?;
        for line in self.filled(self.lang.build()).lines() {
            writeln!(out, "  {line}")?;
        }
        let name = &self.name;
        let test = format!("farebox policy test dist/{name}.wasm --cases cases.json");
        Ok(writeln!(out, "  {test}")?)
    }

    fn write(&self, project: &Path, path: &str, content: &[u8]) -> Result<(), Failure> {
        let content = match std::str::from_utf8(content) {
            // The library is the same in every project.
            Ok(text) if !path.starts_with("farebox/") => self.filled(text).into_bytes(),
            _ => content.to_vec(),
        };
        let path = match path.strip_suffix(".in").unwrap_or(path) {
            "gitignore" => ".gitignore",
            path => path,
        };
        let path = project.join(path);
        let folder = path.parent().unwrap_or(project);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, content))
            .map_err(|source| Failure::Write { path, source })
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{{build}}", self.lang.build())
            .replace("{{policy}}", self.lang.policy())
            .replace("{{module}}", &self.name.replace('-', "_"))
            .replace("{{name}}", &self.name)
    }
}

/// A name that is one in every language and in every file system.
fn check(name: &str) -> Result<(), Failure> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARS_MAX
        && name.chars().all(is_word)
        && !name.ends_with('-');
    if is_name {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "`{name}` is no name of a policy: 1 to {NAME_CHARS_MAX} lower-case letters, digits and `-`, \
         beginning with a letter"
    )))
}
