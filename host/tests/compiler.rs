//! Components that the compiler cannot stomach: it has a process of its own, with limits, and ends
//! there. These run the real binary as that process.

use crate::page::shell;
use crate::serving::{ADMIN_KEY, Server};
use farebox::app::shipped;
use farebox::engine::admission::AdmissionError;
use farebox::engine::compiler::{Compiler, Exceeded};
use farebox::engine::limits::{CompileLimits, LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::engine::{Engine, LoadError};
use farebox::service::policy::{AdmitError, PolicyEngine as _};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// What compiling the standard policy never needs, and each test makes one of smaller.
const AMPLE: CompileLimits = CompileLimits {
    memory_bytes: 4 << 30,
    cpu_seconds: 600,
    time: Duration::from_secs(600),
};

struct Host {
    engine: Engine,
    cache: TempDir,
}

impl Host {
    fn new(program: &str, limits: CompileLimits) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let compiler = Compiler::Process {
            program: PathBuf::from(program),
            limits: Some(limits),
        };
        let engine = Engine::new(cache.path().to_owned()).unwrap();
        Self {
            engine: engine.compiling(compiler),
            cache,
        }
    }

    fn load(&self, component: &[u8]) -> Result<(), LoadError> {
        let book = shipped::default_book().unwrap().canonical;
        let loaded = self
            .engine
            .load_release(component, book, LimitClass::Native, Trust::Trusted);
        loaded.map(drop)
    }

    fn refused(&self, component: &[u8]) -> AdmissionError {
        let refused = match self.load(component) {
            Err(LoadError::Component(refused)) => refused,
            other => panic!("{other:?}"),
        };
        // Nothing of it stays.
        assert_eq!(std::fs::read_dir(self.cache.path()).unwrap().count(), 0);
        refused
    }
}

const FAREBOX: &str = env!("CARGO_BIN_EXE_farebox");

/// A component of half a megabyte in one function, whose values are all needed until its end: it takes
/// a compiler several seconds and three times the memory that the standard policy does.
fn monster() -> Vec<u8> {
    const LOCALS: usize = 200;
    let mut body = String::new();
    for round in 0..280 {
        for local in 0..LOCALS {
            let (a, b) = ((local * 7 + round) % LOCALS, (local * 13 + 5) % LOCALS);
            writeln!(
                body,
                "(local.set {local} (i64.mul (local.get {a}) (i64.add (local.get {b}) (i64.const {local}))))"
            )
            .unwrap();
        }
    }
    let locals = "i64 ".repeat(LOCALS);
    wat::parse_str(format!(
        "(component (core module (func (local {locals}) (loop {body} (br_if 0 (i64.eqz (local.get 9)))))))"
    ))
    .unwrap()
}

/// A component of a fifth of a megabyte whose values each begin anew in every one of its loops, each
/// within the next: a compiler keeps account of all values of all loops.
fn maze() -> Vec<u8> {
    const LOCALS: usize = 20_000;
    const LOOPS: usize = 100;
    let mut body = String::new();
    for local in 0..LOCALS {
        let other = (local * 7 + 1) % LOCALS;
        writeln!(
            body,
            "(local.set {local} (i64.add (local.get {other}) (i64.const 1)))"
        )
        .unwrap();
    }
    let locals = "i64 ".repeat(LOCALS);
    let (begin, end) = (
        "(loop ".repeat(LOOPS),
        "(br_if 0 (i64.eqz (local.get 9))))".repeat(LOOPS),
    );
    wat::parse_str(format!(
        "(component (core module (func (local {locals}) {begin} {body} {end})))"
    ))
    .unwrap()
}

#[test]
fn what_another_process_compiled_is_kept_and_prices() {
    let host = Host::new(FAREBOX, AMPLE);
    host.load(shipped::STANDARD_COMPONENT).unwrap();
    let kept = std::fs::read_dir(host.cache.path()).unwrap().count();
    assert_eq!(kept, 1);
    let damaged = host.load(b"\0asm\x0d\0\x01\0\xff").unwrap_err();
    assert!(
        matches!(&damaged, LoadError::Component(AdmissionError::Invalid(reason)) if !reason.is_empty()),
        "{damaged:?}"
    );
}

/// Trials compare what two settings of the compiler answer; pricing needs one.
#[test]
fn what_is_pushed_is_tried_under_two_settings_of_the_compiler() {
    let host = Host::new(FAREBOX, AMPLE);
    let kept = || std::fs::read_dir(host.cache.path()).unwrap().count();
    let package = || Package {
        component: shipped::STANDARD_COMPONENT.to_vec(),
        book: Some(shipped::default_book().unwrap().canonical),
        ..Package::default()
    };
    // What the host is configured with, nobody pushed.
    host.engine.admit_package(package(), None).unwrap();
    assert_eq!(kept(), 1);
    let mut other = package();
    other.declare(LimitClass::Native);
    host.engine.admit(&other.to_file(), None).unwrap();
    // Another component by its digest, in both; and prepared with its book, for nobody trusts it.
    assert_eq!(kept(), 4);
}

#[test]
fn a_component_that_takes_the_compiler_too_much_is_refused_by_what_it_takes() {
    let monster = monster();
    assert!(monster.len() < LimitClass::Native.limits().component_bytes_max);
    let memory = CompileLimits {
        memory_bytes: 100 << 20,
        ..AMPLE
    };
    let cpu = CompileLimits {
        cpu_seconds: 1,
        ..AMPLE
    };
    let time = CompileLimits {
        time: Duration::from_millis(100),
        ..AMPLE
    };
    for (limits, exceeded, reason, says) in [
        (
            memory,
            Exceeded::Memory(memory),
            "compile_memory",
            "104857600 bytes of memory",
        ),
        (
            cpu,
            Exceeded::Cpu(cpu),
            "compile_cpu",
            "1 seconds of a processor",
        ),
        (
            time,
            Exceeded::Time(time),
            "compile_time",
            "100 milliseconds",
        ),
    ] {
        let host = Host::new(FAREBOX, limits);
        if reason != "compile_time" {
            // It is the component: a harmless one is compiled under the same limit.
            let harmless = host.load(&wat::parse_str("(component)").unwrap());
            assert!(
                matches!(
                    harmless,
                    Err(LoadError::Component(AdmissionError::WrongWorld { .. }))
                ),
                "{reason}: {harmless:?}"
            );
            std::fs::read_dir(host.cache.path())
                .unwrap()
                .for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
        }
        let refused = host.refused(&monster);
        assert_eq!(refused, AdmissionError::CompileLimit(exceeded));
        assert!(refused.to_string().contains(says), "{refused}");
        assert_eq!(AdmitError::from(refused).reason(), reason);
        // This process goes on, and so does its engine.
        assert!(host.engine.faults().is_empty());
    }
}

/// The same with the limits that a server has, over HTTP, while somebody asks for prices.
#[test]
fn a_push_that_takes_the_compiler_too_much_is_refused_over_http_and_calls_go_on() {
    let package = Package {
        component: maze(),
        book: Some(shipped::default_book().unwrap().canonical),
        ..Package::default()
    };
    let bytes = package.component.len();
    assert!(
        bytes < LimitClass::Native.limits().component_bytes_max,
        "{bytes}"
    );
    let folder = tempfile::tempdir().unwrap();
    let nothing: [&str; 0] = [];
    let server = Server::start(&folder.path().join("farebox-data"), nothing);
    let made = shell(folder.path(), &server.url, "farebox org create acme --json");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let org = made["id"].as_str().unwrap();
    let post = |path: &str, kind: &str, body: &[u8]| {
        let sent = ureq::post(format!("{}{path}", server.url))
            .config()
            .http_status_as_error(false)
            .build()
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", kind)
            .header("farebox-org", org)
            .send(body);
        let mut answer = sent.unwrap();
        let said = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&said).unwrap(),
        )
    };
    let quoted = || {
        let call = json!({"call": {"provider": "openai", "model": "gpt-4o-mini",
            "body_bytes": 100, "max_output_tokens": 10}});
        let (status, quote): (_, Value) = post(
            "/v1/quotes",
            "application/json",
            call.to_string().as_bytes(),
        );
        assert_eq!(status, 200, "{quote}");
        quote["max_price_usd"].clone()
    };
    let before = quoted();
    let (asked, refused): (u32, Value) = std::thread::scope(|scope| {
        let push =
            scope.spawn(|| post("/v1/admin/policies", "application/wasm", &package.to_file()));
        let mut asked = 0;
        while !push.is_finished() {
            assert_eq!(quoted(), before);
            asked += 1;
        }
        let (status, refused) = push.join().unwrap();
        assert_eq!(status, 422, "{refused}");
        (asked, refused)
    });
    assert!(asked > 10, "{asked}");
    assert_eq!(refused["type"], "/problems/not-admitted");
    let reason = refused["reason"].as_str().unwrap();
    assert!(
        ["compile_memory", "compile_cpu", "compile_time"].contains(&reason),
        "{refused}"
    );
    assert_eq!(quoted(), before);
    drop(server);
    let kept = std::fs::read_dir(folder.path().join("farebox-data/cache")).unwrap();
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_compiler_that_ends_otherwise_is_said_to() {
    let failed = Host::new("/bin/false", AMPLE).refused(shipped::STANDARD_COMPONENT);
    assert!(
        matches!(failed, AdmissionError::CompilerFailed(_)),
        "{failed:?}"
    );
    assert_eq!(AdmitError::from(failed).reason(), "compiler_failed");
    // What the machine does not give, and what somebody ends, says nothing of the component.
    let killed = Script::new("kill -9 $$");
    for program in ["/nowhere/at-all", killed.path()] {
        let refused = Host::new(program, AMPLE).refused(shipped::STANDARD_COMPONENT);
        assert!(
            matches!(refused, AdmissionError::NoCompiler(_)),
            "{program}: {refused:?}"
        );
        assert_eq!(AdmitError::from(refused).reason(), "no_compiler");
    }
}

/// A program of one line of the shell.
struct Script {
    folder: TempDir,
    path: String,
}

impl Script {
    fn new(line: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compiler");
        std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        Self { folder, path }
    }

    fn path(&self) -> &str {
        &self.path
    }
}

#[test]
fn what_imports_something_is_refused_without_a_compiler() {
    let wasi = wat::parse_str(
        r#"(component
            (import "types" (instance (type $t (record (field "a" u8))) (export "t" (type (eq $t)))))
            (import "wasi:random/random@0.2.0" (instance
                (export "get-random-u64" (func (result u64)))))
            (import "log" (func)))"#,
    );
    let refused = Host::new("/bin/false", AMPLE).refused(&wasi.unwrap());
    let names = vec!["wasi:random/random@0.2.0".to_owned(), "log".to_owned()];
    assert_eq!(refused, AdmissionError::ImportsNotAllowed { names });
}

/// Types within types, as deep as there is room for: who follows them without a bound has no stack
/// left, and neither has its process.
#[test]
fn types_that_are_nested_without_end_are_refused_and_the_host_goes_on() {
    const DEPTH: usize = 300_000;
    let mut types = vec![1];
    types.extend([0x41, 1, 1].repeat(DEPTH));
    types.extend([0x41, 0]);
    let mut component = b"\0asm\x0d\0\x01\0\x07".to_vec();
    let mut length = types.len();
    while length >= 0x80 {
        component.push((length % 0x80 + 0x80).try_into().unwrap());
        length /= 0x80;
    }
    component.push(length.try_into().unwrap());
    component.extend(types);
    assert!(component.len() < LimitClass::Native.limits().component_bytes_max);
    let host = Host::new(FAREBOX, AMPLE);
    let refused = host.refused(&component);
    assert!(
        matches!(
            refused,
            AdmissionError::Invalid(_) | AdmissionError::CompilerFailed(_)
        ),
        "{refused:?}"
    );
    host.load(shipped::STANDARD_COMPONENT).unwrap();
}

#[test]
fn a_component_that_is_pushed_often_at_once_is_compiled_once() {
    let count = Script::new("echo once >> \"$0.log\"\nexec \"$0.farebox\" \"$@\"");
    std::os::unix::fs::symlink(FAREBOX, format!("{}.farebox", count.path())).unwrap();
    let host = Host::new(count.path(), AMPLE);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| host.load(shipped::STANDARD_COMPONENT).unwrap());
        }
    });
    let log = std::fs::read_to_string(count.folder.path().join("compiler.log")).unwrap();
    assert_eq!(log, "once\n");
}

#[test]
fn of_what_is_refused_no_more_than_the_last_stays_on_disk() {
    let host = Host::new(FAREBOX, AMPLE);
    let files = || -> Vec<String> {
        let files = std::fs::read_dir(host.cache.path()).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let package = |class| {
        let mut package = Package {
            component: wat::parse_str(HOLLOW).unwrap(),
            book: Some(shipped::default_book().unwrap().canonical),
            ..Package::default()
        };
        package.declare(class);
        package
    };
    let mut before = Vec::new();
    for class in [LimitClass::Native, LimitClass::Scripted] {
        let refused = host.engine.admit(&package(class).to_file(), None);
        assert_eq!(refused.unwrap_err().reason(), "wrong_interface");
        let now = files();
        assert_eq!(now.len(), 1);
        assert_ne!(now, before);
        before = now;
    }
    host.engine.keep_compiled_only(&[]);
    assert!(files().is_empty());
}

/// A component of the right name with nothing in it.
const HOLLOW: &str = r#"(component
    (instance $none)
    (export "farebox:policy/policy@1.0.0" (instance $none)))"#;
