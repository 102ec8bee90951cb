//! Policies from a file: what is none, what answers as the shipped one, and what breaks the contract.

use super::{BOOK, Bench, refused, usage};
use std::path::{Path, PathBuf};

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/guests")
        .join(name)
}

#[test]
fn what_is_no_policy_is_refused_before_any_line_is_read() {
    let bench = Bench::new();
    let standard = std::fs::read(guest("farebox_standard.wasm")).unwrap();
    bench.file("cut.wasm", standard.get(..standard.len() / 2).unwrap());
    bench.file("core.wasm", b"\0asm\x01\0\0\0");
    bench.file("text.wasm", "not wasm");
    bench.file("empty.wasm", "");
    bench.file("other-world.wasm", b"\0asm\x0d\0\x01\0");
    bench.file("imports.wasm", importing_an_exit());
    for (name, reason) in [
        ("cut.wasm", "because this is not a valid component: "),
        ("text.wasm", "because this is not WebAssembly: "),
        ("empty.wasm", "because this is not WebAssembly: "),
        (
            "core.wasm",
            "because this is a core wasm module, not a component",
        ),
        (
            "other-world.wasm",
            "because it does not export `farebox:policy/policy` in a version that this host serves: 1.0.0",
        ),
        (
            "imports.wasm",
            "because a policy must not import anything, but this one imports wasi:cli/exit@0.2.0",
        ),
    ] {
        let args = ["rate", "--price-book", "book.toml", "--policy", name];
        let (code, error) = refused(&bench.farebox(&args, usage(r#"{"input":1}"#).as_bytes()));
        assert_eq!(code, 3, "{name}: {error}");
        // What was tried, and one line for each reason, whatever the compiler says.
        let [first, ref reasons @ ..] = error.lines().collect::<Vec<_>>()[..] else {
            panic!("{error}");
        };
        assert_eq!(first, "error: cannot load the policy");
        assert!(
            reasons.iter().all(|line| line.starts_with("  because ")),
            "{error}"
        );
        assert!(error.contains(reason), "{name}: {error}");
    }
}

/// A component whose only content is an import of WASI's `exit`.
fn importing_an_exit() -> Vec<u8> {
    const NAME: &[u8] = b"wasi:cli/exit@0.2.0";
    let mut import = vec![1, 0, NAME.len() as u8];
    import.extend(NAME);
    // An instance of the type numbered 0.
    import.extend([5, 0]);
    // One type: an instance that has a function without parameters and results, named `exit`.
    let types = *b"\x01\x42\x02\x01\x40\x00\x01\x00\x04\x00\x04exit\x01\x00";
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    for (section, content) in [(7, types.to_vec()), (10, import)] {
        component.extend([section, content.len() as u8]);
        component.extend(content);
    }
    component
}

#[test]
fn a_policy_from_a_file_gives_what_the_shipped_one_gives() {
    let bench = Bench::new();
    bench.file(
        "policy.wasm",
        std::fs::read(guest("farebox_standard.wasm")).unwrap(),
    );
    let call = usage(r#"{"input":1000,"output":3}"#);
    assert_eq!(
        bench.rate(&["--policy", "policy.wasm"], &call),
        bench.rate(&[], &call)
    );
}

/// The hostile guest takes its orders from the name of its book.
#[test]
fn a_policy_that_breaks_the_contract_prices_nothing() {
    let bench = Bench::new();
    bench.file(
        "hostile.wasm",
        std::fs::read(guest("farebox_hostile.wasm")).unwrap(),
    );
    let line = usage(r#"{"input":1000}"#);
    for mode in [
        "trap",
        "total_off_by_a_nano",
        "under_cost",
        "negative_total",
        "spin",
    ] {
        bench.file(
            "book.toml",
            BOOK.replace(r#"name = "cli""#, &format!(r#"name = "{mode}""#)),
        );
        for out in bench.rate(&["--policy", "hostile.wasm"], &format!("{line}\n{line}")) {
            assert!(
                out.starts_with(r#"{"error":{"type":"policy-fault","detail":"policy fault: "#),
                "{mode}: {out}"
            );
        }
    }
}
