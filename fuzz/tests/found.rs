//! Every input that fuzzing ever found, and every seed it starts from, keeps each promise.

use farebox_fuzz::{Target, seeds, targets};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a target, naming the input when it fails.
fn run(target: Target, input: &[u8], name: &str) {
    let outcome = std::panic::catch_unwind(|| target(input));
    assert!(outcome.is_ok(), "{name} breaks a promise");
}

#[test]
fn every_input_that_was_found_is_handled() {
    let targets: BTreeMap<_, _> = targets().into_iter().collect();
    let mut inputs = 0;
    for entry in std::fs::read_dir(root().join("tests/cases/fuzz")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_str().unwrap();
        let target = targets
            .get(name)
            .unwrap_or_else(|| panic!("`{name}` is no fuzz target"));
        for input in std::fs::read_dir(&folder).unwrap() {
            let path = input.unwrap().path();
            run(
                *target,
                &std::fs::read(&path).unwrap(),
                &path.display().to_string(),
            );
            inputs += 1;
        }
    }
    assert!(inputs >= 5, "inputs were lost: {inputs} are left");
}

#[cfg(feature = "host")]
#[test]
fn a_component_that_was_found_is_kept_as_one() {
    let folder = root().join("tests/cases/fuzz/engine_admission");
    for input in std::fs::read_dir(folder).into_iter().flatten() {
        let path = input.unwrap().path();
        // What wasm-smith and wasm-mutate make of an input, an ordinary test does not know.
        let way = std::fs::read(&path).unwrap()[0];
        assert_eq!(
            way,
            0,
            "run `cargo run -p farebox-fuzz --features wasm --bin fuzz-component {}`",
            path.display()
        );
    }
}

#[test]
fn every_target_holds_on_its_seeds() {
    for (name, target) in targets() {
        let seeds = seeds::of(&root(), name).unwrap();
        assert!(seeds.len() >= 4, "{name} starts from {} seeds", seeds.len());
        for (number, seed) in seeds.iter().enumerate() {
            run(target, seed, &format!("seed {number} of {name}"));
        }
    }
}

#[test]
fn every_target_has_its_binary() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in targets() {
        let binary = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(binary).unwrap();
        assert!(text.contains(&format!("::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
