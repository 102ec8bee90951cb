//! No test is left out by a manifest: every file of tests is in a program that is built, and where a
//! manifest says that there is nothing to test, there is nothing.
//!
//! Cargo takes each file in `tests/` for a program of its own unless it is told otherwise. Here most
//! share one, so a file that nobody names would never be compiled, and nobody would miss it.

use farebox_tests::repository;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a file with tests has.
const TESTS: [&str; 3] = ["#[test]", "#[tokio::test", "#[cfg(test)]"];

/// The folder and the manifest of each crate of the workspace.
fn crates() -> Vec<(PathBuf, String)> {
    let workspace = std::fs::read_to_string(repository("Cargo.toml")).unwrap();
    let (_, members) = workspace.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let folders = members.split('"').skip(1).step_by(2).map(repository);
    folders
        .map(|folder| {
            let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            (folder, manifest)
        })
        .collect()
}

/// The tables of this name, each up to the next one.
fn tables<'a>(manifest: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let tables = manifest.split("\n[");
    tables.filter_map(move |table| table.strip_prefix(name))
}

/// The file at the root of what a table describes.
fn root_file(folder: &Path, table: &str, otherwise: &str) -> PathBuf {
    let path = table.lines().find_map(|line| line.strip_prefix("path = "));
    folder.join(path.map_or(otherwise, |path| path.trim_matches('"')))
}

/// The file, and every file that it names as a module.
fn named(file: &Path) -> BTreeSet<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap();
    let stem = file.file_stem().unwrap();
    let is_root = ["main", "lib", "mod"].iter().any(|root| stem == *root);
    let folder = file.parent().unwrap();
    let folder = if is_root {
        folder.to_owned()
    } else {
        folder.join(stem)
    };
    let mut files = BTreeSet::from([file.to_owned()]);
    let modules = text.lines().filter_map(|line| {
        let (_, module) = line
            .trim()
            .rsplit_once("mod ")
            .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))?;
        module.strip_suffix(';')
    });
    for module in modules {
        let places = [
            folder.join(module).with_extension("rs"),
            folder.join(module).join("mod.rs"),
        ];
        // One with a path of its own stands elsewhere, and is none of these.
        let place = places.iter().find(|place| place.is_file());
        files.extend(place.into_iter().flat_map(|place| named(place)));
    }
    files
}

fn sources(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    found
}

#[test]
fn every_file_of_tests_is_in_a_program() {
    let mut programs = 0;
    let mut left_out = Vec::new();
    for (folder, manifest) in crates() {
        if !manifest.contains("\nautotests = false\n") {
            continue;
        }
        let mut files = sources(&folder.join("tests"));
        for program in tables(&manifest, "[test]]") {
            programs += 1;
            let in_program = named(&root_file(&folder, program, "tests/main.rs"));
            files.retain(|file| !in_program.contains(file));
        }
        left_out.extend(files);
    }
    assert!(programs >= 6, "programs were lost: {programs} are left");
    assert!(left_out.is_empty(), "in no program: {left_out:#?}");
}

#[test]
fn what_is_said_to_have_no_tests_has_none() {
    let mut targets = 0;
    let mut untested = Vec::new();
    for (folder, manifest) in crates() {
        let libraries = tables(&manifest, "lib]").map(|table| (table, "src/lib.rs"));
        let binaries = tables(&manifest, "[bin]]").map(|table| (table, "src/main.rs"));
        let is_without = |table: &str| table.lines().any(|line| line == "test = false");
        let without = libraries.chain(binaries);
        for (table, otherwise) in without.filter(|(table, _)| is_without(table)) {
            targets += 1;
            let files = named(&root_file(&folder, table, otherwise));
            untested.extend(files.into_iter().filter(|file| {
                let text = std::fs::read_to_string(file).unwrap();
                TESTS.iter().any(|test| text.contains(test))
            }));
        }
    }
    assert!(targets >= 5, "targets were lost: {targets} are left");
    assert!(untested.is_empty(), "never run: {untested:#?}");
}
