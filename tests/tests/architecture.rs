//! Holds the arrows of docs/ARCHITECTURE.md: which crate, and which module inside the host, may
//! know which. Crate boundaries are read from the manifests, module boundaries from the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Which crates of this workspace each crate may depend on (build and test dependencies apart).
const CRATES: &[(&str, &[&str])] = &[
    ("domain/pricing", &[]),
    ("domain/usage", &["farebox-pricing"]),
    ("domain/book", &["farebox-pricing"]),
    ("domain/ledger", &["farebox-pricing"]),
    ("domain/stamp", &[]),
    ("guest/sdk", &["farebox-pricing"]),
    ("guest/standard", &["farebox-pricing", "farebox-sdk"]),
    (
        "guest/envoy",
        &["farebox-sdk", "farebox-stamp", "farebox-usage"],
    ),
    ("guest/filter", &["farebox-envoy", "farebox-standard"]),
    (
        "host",
        &[
            "farebox-book",
            "farebox-ledger",
            "farebox-pricing",
            "farebox-stamp",
            "farebox-usage",
        ],
    ),
];

/// Which modules of the host each module may name. `main` is the crate root.
const HOST_MODULES: &[(&str, &[&str])] = &[
    ("service", &[]),
    ("wire", &["service"]),
    ("clock", &["service"]),
    ("config", &["service"]),
    ("store", &["service"]),
    ("engine", &["service"]),
    ("http", &["service", "wire"]),
    (
        "app",
        &[
            "clock", "config", "engine", "http", "service", "store", "wire",
        ],
    ),
    (
        "cli",
        &[
            "app", "clock", "config", "engine", "service", "store", "wire",
        ],
    ),
];

/// Words that only one module of the host may write.
const OWNED_WORDS: &[(&str, &[&str])] = &[
    ("wasmtime", &["engine"]),
    ("rusqlite", &["store"]),
    ("axum", &["http"]),
    ("std::env::var", &["config"]),
    ("env::vars", &["config"]),
    ("SystemTime", &["clock"]),
    ("Timestamp::now", &["clock"]),
];

/// Words that the pure crates may not write at all.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "async fn",
    "getrandom",
    "f64",
    "f32",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The code of a file without comments and without its trailing `#[cfg(test)]` module.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap();
    shipped
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| {
            let stem = stem.to_string_lossy();
            stem == "tests" || stem.ends_with("_tests")
        })
}

#[test]
fn crates_depend_one_way() {
    let mut wrong = Vec::new();
    for (folder, allowed) in CRATES {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest
            .split("\n[dependencies]")
            .nth(1)
            .unwrap()
            .split("\n[")
            .next()
            .unwrap();
        for line in dependencies
            .lines()
            .filter(|line| line.starts_with("farebox"))
        {
            let name = line.split(['.', ' ', '=']).next().unwrap();
            if !allowed.contains(&name) {
                wrong.push(format!("{folder} depends on {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn host_modules_depend_one_way() {
    let allowed: BTreeMap<_, BTreeSet<_>> = HOST_MODULES
        .iter()
        .map(|(module, names)| (*module, names.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let source = root().join("host/src");
    for path in sources(&source) {
        let relative = path.strip_prefix(&source).unwrap();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") || is_test_file(relative) {
            continue;
        }
        let may = allowed.get(module).unwrap_or_else(|| {
            panic!("`{module}` is a new module of the host: give it a place here")
        });
        seen.insert(module.to_owned());
        let text = code(&path);
        for named in text.split("crate::").skip(1) {
            let name: String = named
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if allowed.contains_key(name.as_str()) && name != module && !may.contains(name.as_str())
            {
                wrong.push(format!("{} names `{name}`", relative.display()));
            }
        }
    }
    assert_eq!(
        seen.len(),
        allowed.len(),
        "a module of the map is gone: {seen:?}"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_outside_thing_is_named_by_one_module() {
    let mut wrong = Vec::new();
    let source = root().join("host/src");
    for path in sources(&source) {
        let relative = path.strip_prefix(&source).unwrap();
        if is_test_file(relative) {
            continue;
        }
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs");
        let text = code(&path);
        for (word, owners) in OWNED_WORDS {
            if text.contains(word) && !owners.contains(&module) {
                wrong.push(format!("{} writes `{word}`", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_callbacks_of_the_filter_name_the_proxy() {
    let source = root().join("guest/envoy/src");
    let callbacks = source.join("callbacks");
    let naming = sources(&source).into_iter().filter(|path| {
        let text = code(path);
        text.contains("proxy_wasm") || text.contains("hostcalls")
    });
    let (inside, outside): (Vec<_>, Vec<_>) = naming.partition(|path| path.starts_with(&callbacks));
    assert!(!inside.is_empty());
    assert!(outside.is_empty(), "{outside:#?}");
}

#[test]
fn the_domain_is_pure() {
    let mut wrong = Vec::new();
    for folder in [
        "domain/pricing",
        "domain/usage",
        "domain/book",
        "domain/ledger",
        "domain/stamp",
    ] {
        let source = root().join(folder).join("src");
        for path in sources(&source) {
            if is_test_file(path.strip_prefix(&source).unwrap()) {
                continue;
            }
            // Serde's macro that refuses a list of types has to name them.
            let text = code(&path).replace("u128 f32 f64 char", "u128 char");
            for word in IMPURE {
                if text.contains(word) {
                    wrong.push(format!("{} writes `{word}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn serde_never_touches_types_of_pricing_or_ledger() {
    for folder in ["domain/pricing", "domain/ledger"] {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("serde"), "{folder} depends on serde");
    }
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut wrong = Vec::new();
    let mut promises = 0;
    let mut numbers = BTreeSet::new();
    for row in page.lines().filter(|line| is_promise(line)) {
        promises += 1;
        let number = row.split('|').nth(1).unwrap_or_default().trim();
        if !numbers.insert(number) {
            wrong.push(format!("`{number}` stands for two promises"));
        }
        let tests = row.rsplit('|').nth(1).unwrap();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        for test in named {
            if !is_there(test) {
                wrong.push(format!("`{test}` is not there"));
            }
        }
    }
    assert!(promises >= 20, "the table of promises was not found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a file of tests, or with `::` and a name a test in it, exists.
fn is_there(test: &str) -> bool {
    let (file, function) = match test.split_once("::") {
        Some((file, function)) => (file, format!("fn {function}(")),
        None => (test, String::new()),
    };
    std::fs::read_to_string(root().join(file))
        .is_ok_and(|text| !text.is_empty() && text.contains(&function))
}

#[test]
fn a_promise_is_any_letter_with_a_number_and_its_test_is_named_in_full() {
    for row in ["| S1 | a | b |", "| L10 | a | b |", "|Z9|a|b|"] {
        assert!(is_promise(row), "{row}");
    }
    for row in [
        "| s1 | a |",
        "| S | a |",
        "| S1b | a |",
        "| | a |",
        "S1 | a |",
    ] {
        assert!(!is_promise(row), "{row}");
    }
    let name = "a_promise_is_any_letter_with_a_number_and_its_test_is_named_in_full";
    let file = "tests/tests/architecture.rs";
    assert!(is_there(file) && is_there(&format!("{file}::{name}")));
    let cut = name.strip_suffix("_in_full").unwrap();
    for missing in [&format!("{file}::{cut}"), "tests/tests/nowhere.rs"] {
        assert!(!is_there(missing), "{missing}");
    }
}

/// A row of the invariants: its first cell is a capital letter and a number.
fn is_promise(line: &str) -> bool {
    let cell = line
        .trim_start_matches('|')
        .split('|')
        .next()
        .unwrap_or_default()
        .trim();
    line.starts_with('|')
        && cell.starts_with(|c: char| c.is_ascii_uppercase())
        && cell.len() > 1
        && cell.chars().skip(1).all(|c| c.is_ascii_digit())
}
