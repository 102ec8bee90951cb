//! Builds the policies of `guest/examples` that are written in other languages, with the tools of
//! those languages, into `target/guests/<name>.wasm`.
//!
//! An example is a project as `farebox policy new` makes it, of which only the author's own files
//! are kept: the rest comes from `guest/templates` and from the language's library. Tools are
//! installed once, in pinned versions, below `target/languages`. A policy is built again only when
//! what it is made of has changed. On a machine without a language's tools its examples are left
//! out, which is said.

use crate::step::{self, note, step};
use anyhow::{Context, Result};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A language whose policies bring their interpreter.
struct Language {
    /// How people call it, in lower case; also the word in the names of its tests.
    name: &'static str,
    /// The folder of its template, of its library, and of its tools.
    folder: &'static str,
    /// What must be on the PATH.
    tools: &'static [&'static str],
    /// Where the versions of its tools are pinned, in its template.
    pins: &'static str,
    /// Folders of `guest/examples`.
    examples: &'static [&'static str],
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "javascript",
        folder: "js",
        tools: &["node", "npm"],
        pins: "package.json",
        examples: &["happy-hour"],
    },
    Language {
        name: "python",
        folder: "python",
        tools: &["python3"],
        pins: "requirements.txt",
        examples: &["surge"],
    },
];

/// Files of a project that its component is not made of.
const READ_LATER: [&str; 3] = ["README.md", "cases.json", "golden.json"];

/// Builds every example whose language has its tools here, or can get them, and returns the names of
/// the languages for which neither holds.
///
/// # Errors
/// An example does not build.
pub fn build(root: &Path) -> Result<Vec<&'static str>> {
    let mut left_out = Vec::new();
    for language in &LANGUAGES {
        step(&format!("policies in {}", language.name), || {
            let missing = language.tools.iter().find(|tool| !runs(tool));
            if let Some(missing) = missing {
                note(&format!(
                    "left out: there is no `{missing}` on this machine"
                ));
                left_out.push(language.name);
                return Ok(());
            }
            if let Err(error) = language.install(root) {
                note(&format!(
                    "left out: its tools cannot be had here: {error:#}"
                ));
                left_out.push(language.name);
                return Ok(());
            }
            let mut examples = language.examples.iter();
            examples.try_for_each(|example| language.build(root, example))
        })?;
    }
    Ok(left_out)
}

fn runs(tool: &str) -> bool {
    let mut command = Command::new(tool);
    step::output(command.arg("--version")).is_ok()
}

impl Language {
    fn build(&self, root: &Path, example: &str) -> Result<()> {
        let files = self.files(root, example)?;
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        let inputs = format!("{:016x}", hasher.finish());
        let built = root
            .join("target/guests")
            .join(example.replace('-', "_"))
            .with_extension("wasm");
        let memory = built.with_extension("inputs");
        if built.is_file() && std::fs::read_to_string(&memory).is_ok_and(|last| last == inputs) {
            note(&format!("{example}: unchanged"));
            return Ok(());
        }
        let tools = self.tools_folder(root);
        let project = root.join("target/languages").join(example);
        write(&project, &files)?;
        step::run(self.build_command(&tools)?.current_dir(&project))?;
        let made = project.join("dist").join(example).with_extension("wasm");
        std::fs::create_dir_all(root.join("target/guests"))?;
        std::fs::copy(&made, &built)
            .with_context(|| format!("`{}` was not made", made.display()))?;
        Ok(std::fs::write(memory, inputs)?)
    }

    /// The files of the example's project: path in it, and content.
    fn files(&self, root: &Path, example: &str) -> Result<Vec<(PathBuf, String)>> {
        let guest = root.join("guest");
        let mut files = Vec::new();
        for (from, to) in [
            (guest.join("templates/shared"), ""),
            (guest.join("templates").join(self.folder), ""),
            (guest.join(self.folder), "farebox"),
            (root.join("wit/1.0.0"), "wit"),
            // Last: an author's own file stands in for the template's.
            (guest.join("examples").join(example), ""),
        ] {
            for entry in std::fs::read_dir(&from)
                .with_context(|| format!("could not read `{}`", from.display()))?
            {
                let path = entry?.path();
                let name = path.file_name().filter(|_| path.is_file());
                // What is read only after it is built.
                let name = name.filter(|name| !READ_LATER.iter().any(|later| later == name));
                if let Some(name) = name {
                    let text = std::fs::read_to_string(&path)?.replace("{{name}}", example);
                    files.push((Path::new(to).join(name), text));
                }
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(files)
    }

    fn tools_folder(&self, root: &Path) -> PathBuf {
        root.join("target/languages").join(self.folder)
    }

    /// Installs the language's tools below `target`, where they are not there yet.
    fn install(&self, root: &Path) -> Result<()> {
        let tools = self.tools_folder(root);
        let template = root.join("guest/templates").join(self.folder);
        let wanted = std::fs::read_to_string(template.join(self.pins))?;
        let memory = tools.join("installed");
        if std::fs::read_to_string(&memory).is_ok_and(|last| last == wanted) {
            return Ok(());
        }
        std::fs::create_dir_all(&tools)?;
        std::fs::write(tools.join(self.pins), wanted.replace("{{name}}", "tools"))?;
        if self.folder == "js" {
            note("npm install, once");
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
            step::output(npm.current_dir(&tools))?;
        } else {
            note("pip install, once");
            let mut python = Command::new("python3");
            python.args(["-m", "venv", "venv"]);
            step::output(python.current_dir(&tools))?;
            let mut pip = Command::new(tools.join("venv/bin/python"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]);
            step::output(pip.args(["-r", self.pins]).current_dir(&tools))?;
        }
        Ok(std::fs::write(memory, wanted)?)
    }

    /// What an author runs to build a project.
    fn build_command(&self, tools: &Path) -> Result<Command> {
        if self.folder == "js" {
            // Modules are looked for in every folder above as well.
            let link = tools.with_file_name("node_modules");
            if !link.exists() {
                std::os::unix::fs::symlink("js/node_modules", link)?;
            }
            let mut npm = Command::new("npm");
            npm.args(["run", "--silent", "build"]);
            return Ok(npm);
        }
        let mut python = Command::new(tools.join("venv/bin/python"));
        python.arg("build.py");
        Ok(python)
    }
}

fn write(project: &Path, files: &[(PathBuf, String)]) -> Result<()> {
    for (path, text) in files {
        let path = project.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)
            .with_context(|| format!("could not write `{}`", path.display()))?;
    }
    Ok(())
}
