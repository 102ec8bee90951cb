//! docs/custom-policies.md, run as a reader would, and a new project in every language: it builds with
//! the language's own tools and passes its own cases. The tools are those that `cargo xtask test`
//! installs below `target/languages`.

use crate::page::{assert_shown, blocks, share_compiled, shell, text};
use crate::serving::Server;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/custom-policies.md");

fn languages() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages");
    root.canonicalize()
        .unwrap_or_else(|_| panic!("no tools: `cargo xtask guests --all` installs them"))
}

/// What a script that works prints.
#[track_caller]
fn done(folder: &Path, script: &str) -> String {
    let output = shell(folder, "", script);
    let told = text(&output);
    assert!(output.status.success(), "{script}\n{told}");
    told
}

#[test]
fn the_page_goes_from_nothing_to_an_admitted_policy_in_javascript() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("farebox-data");
    let server = Server::start(&data, [] as [&str; 0]);
    let mut folder = temporary.path().to_owned();
    let mut output = String::new();
    let mut run = 0;
    for block in blocks(PAGE) {
        let text_of = block.text;
        match block.kind {
            "sh" | "sh fails" => {
                let done = shell(&folder, &server.url, text_of);
                output = text(&done);
                share_compiled(&data);
                let code = i32::from(block.kind == "sh fails");
                assert_eq!(done.status.code(), Some(code), "{text_of}\n{output}");
                run += 1;
                let moves = text_of.lines().filter_map(|line| line.strip_prefix("cd "));
                moves.for_each(|into| folder.push(into));
            }
            "text" => assert_shown(text_of, &output),
            // What npm installs is there already, from the same list.
            "sh setup" => {
                assert_eq!(text_of.trim(), "npm install");
                let modules = languages().join("js/node_modules");
                std::os::unix::fs::symlink(modules, folder.join("node_modules")).unwrap();
            }
            kind => {
                let (_, name) = kind.split_once(' ').unwrap();
                std::fs::write(folder.join(name), text_of).unwrap();
            }
        }
    }
    assert!(run >= 7, "{run}");
}

#[test]
fn a_new_project_in_python_passes_its_own_cases() {
    let folder = tempfile::tempdir().unwrap();
    let python = languages().join("python/venv/bin/python");
    done(folder.path(), "farebox policy new --lang python late-fee");
    let project = folder.path().join("late-fee");
    done(&project, &format!("{} build.py", python.display()));
    let test = "farebox policy test dist/late-fee.wasm --cases cases.json";
    assert!(done(&project, test).contains("golden     equal"));
}

#[test]
fn a_new_project_in_rust_passes_its_own_cases_with_the_wasm_target() {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), "farebox policy new --lang rust late-fee");
    let project = folder.path().join("late-fee");
    // What was compiled for an earlier run stays: only the project is new.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-rust");
    let build = format!(
        "unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS; export CARGO_TARGET_DIR={target}\n\
         cargo build --quiet --release --target wasm32-unknown-unknown\n\
         mkdir -p dist\n\
         farebox policy build {target}/wasm32-unknown-unknown/release/late_fee.wasm -o dist/late-fee.wasm \
         --book book.toml",
        target = target.display()
    );
    done(&project, &build);
    let test = "farebox policy test dist/late-fee.wasm --cases cases.json";
    let told = done(&project, test);
    assert!(
        told.contains("native limits") && told.contains("golden     equal"),
        "{told}"
    );
}

#[test]
fn a_name_that_is_none_and_a_folder_that_is_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, what) in [
        ("Weekend", "is no name of a policy"),
        ("9to5", "is no name of a policy"),
        ("up/../there", "is no name of a policy"),
        ("ends-", "is no name of a policy"),
        ("taken", "`taken` exists already"),
    ] {
        std::fs::create_dir_all(folder.path().join("taken")).unwrap();
        let output = shell(
            folder.path(),
            "",
            &format!("farebox policy new --lang js {name}"),
        );
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(text(&output).contains(what), "{}", text(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
