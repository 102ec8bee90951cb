//! `farebox ledger` as a shell sees it: backup, proof, restore and heads, of ledgers that are served,
//! tampered with, of an earlier version and of a later one.

use crate::serving::{ADMIN_KEY, Server};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The data directory of a server that has charged something, and the server.
fn lived_in(folder: &Path) -> (PathBuf, Server) {
    let book = folder.join("book.toml");
    let text = "name = \"cli\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
                model = \"gpt\"\nper_million = { input = \"2\", output = \"8\" }\n";
    std::fs::write(&book, text).unwrap();
    let data = folder.join("data");
    let server = Server::start(&data, ["--price-book".as_ref(), book.as_os_str()]);
    let org = call(&server, "/v1/admin/orgs", None, &json!({"name": "acme"}));
    let org = org["id"].as_str().unwrap();
    let grant = json!({"amount_credits": "10", "source": "purchase"});
    let path = format!("/v1/admin/orgs/{org}/grants");
    call(&server, &path, None, &grant);
    for _ in 0..3 {
        let report = json!({"provider": "openai", "model": "gpt",
            "usage": {"input": 1_000, "output": 100}});
        let charged = call(&server, "/v1/usage", Some(org), &report);
        assert_eq!(charged["status"], "charged", "{charged}");
    }
    (data, server)
}

fn call(server: &Server, path: &str, org: Option<&str>, body: &Value) -> Value {
    let request = ureq::post(format!("{}{path}", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json");
    let request = match org {
        Some(org) => request.header("farebox-org", org),
        None => request,
    };
    let mut answer = request.send(body.to_string()).unwrap();
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

/// `farebox ledger …` on a data directory.
fn ledger(command: &str, data: &Path, more: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["ledger", command, "--data-dir"])
        .arg(data)
        .args(more)
        // Where releases are compiled to be priced by again.
        .env(
            "XDG_CACHE_HOME",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        )
        .output()
        .unwrap()
}

/// What a command says, which must end with this code.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let said = [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Changes a ledger behind its back.
fn tamper(data: &Path, sql: &str) {
    let connection = Connection::open(data.join("ledger.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

/// Writes heads into a file, as the option names it.
fn heads_option(file: &Path, heads: &str) -> [PathBuf; 2] {
    std::fs::write(file, heads).unwrap();
    ["--heads".into(), file.to_owned()]
}

#[test]
fn what_was_tampered_with_is_named_and_comes_back_from_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, mut server) = lived_in(folder);
    let file = folder.join("ledger.backup");
    let done = said(&ledger("backup", &data, &[&file]), 0);
    assert_eq!(done, format!("backed up to {}\n", file.display()));
    let again = said(&ledger("backup", &data, &[&file]), 3);
    assert!(again.contains("ledger.backup` exists already"), "{again}");
    // Beside the server.
    let clean = said(&ledger("verify", &data, &[]), 0);
    assert_eq!(
        clean,
        "1 orgs, 4 transactions, 3 receipts, 3 usage events, 0 holds\nevery invariant holds\n"
    );
    server.stop();

    tamper(
        &data,
        "UPDATE lots SET remaining_nanos = remaining_nanos + 7",
    );
    let broken = said(&ledger("verify", &data, &[]), 1);
    assert!(broken.contains("L2: the row of `"), "{broken}");
    assert!(
        broken.contains("has 9916000007 left, the journal says 9916000000"),
        "{broken}"
    );
    assert!(
        broken.ends_with("the ledger is broken: 1 findings\n"),
        "{broken}"
    );
    // A backup of what is broken is not restored.
    let of_broken = folder.join("broken.backup");
    said(&ledger("backup", &data, &[&of_broken]), 0);
    let target = folder.join("restored");
    let refused = said(&ledger("restore", &target, &[&of_broken]), 1);
    assert!(refused.contains("L2: the row of `"), "{refused}");
    assert!(!target.join("ledger.db").exists());

    let over = said(&ledger("restore", &data, &[&file]), 3);
    assert!(over.contains("ledger.db` exists already"), "{over}");
    assert_eq!(said(&ledger("restore", &target, &[&file]), 0), clean);
    assert_eq!(said(&ledger("verify", &target, &[]), 0), clean);
    let none = said(&ledger("restore", &target, &[&folder.join("none")]), 3);
    assert!(none.contains("nothing was restored"), "{none}");
}

#[test]
fn heads_are_good_evidence_in_every_form_they_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, mut server) = lived_in(folder);
    let printed = said(&ledger("heads", &data, &[]), 0);
    let mut answer = ureq::get(format!("{}/v1/admin/heads", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .call()
        .unwrap();
    let answered = answer.body_mut().read_to_string().unwrap();
    let heads: Value = serde_json::from_str(&answered).unwrap();
    let hash = heads[0]["hash"].as_str().unwrap();
    assert_eq!(heads[0]["seq"], 4);
    assert!(printed.contains(hash), "{printed}");
    let other = match hash.strip_prefix('0') {
        Some(rest) => format!("1{rest}"),
        None => format!("0{}", &hash[1..]),
    };
    let file = folder.join("heads");
    let verify = |heads: &str, code| {
        let option = heads_option(&file, heads);
        let output = ledger("verify", &data, &option.each_ref().map(PathBuf::as_path));
        said(&output, code)
    };
    for genuine in [&answered, &printed] {
        let told = verify(genuine, 0);
        assert!(told.ends_with("every invariant holds\n"), "{told}");
        let told = verify(&genuine.replace(hash, &other), 1);
        assert!(
            told.contains("L5: the exported head of transaction 4 was not signed by its key"),
            "{told}"
        );
    }
    for none in ["", "[]", "{\"status\":401}"] {
        verify(none, 2);
    }

    // The same credits, in a ledger that never saw the last two calls.
    let early = folder.join("early");
    let backup = folder.join("early.backup");
    said(&ledger("backup", &data, &[&backup]), 0);
    said(&ledger("restore", &early, &[&backup]), 0);
    // Whoever never served from it has no key to sign with.
    let unsigned = said(&ledger("heads", &early, &[]), 1);
    assert!(
        unsigned.contains("nobody has served from this directory"),
        "{unsigned}"
    );
    let org = heads[0]["org_id"].as_str().unwrap().to_owned();
    let grant = json!({"amount_credits": "1", "source": "purchase"});
    call(
        &server,
        &format!("/v1/admin/orgs/{org}/grants"),
        None,
        &grant,
    );
    let later = said(&ledger("heads", &data, &[]), 0);
    server.stop();
    verify(&later, 0);
    let option = heads_option(&file, &later);
    let cut = ledger("verify", &early, &option.each_ref().map(PathBuf::as_path));
    let told = said(&cut, 1);
    assert!(
        told.contains("L5: an exported head says otherwise of transaction 5"),
        "{told}"
    );
}

/// Makes a ledger what the version before the last change of the schema left: that change adds one
/// table.
fn make_older(database: &Path) {
    let connection = Connection::open(database).unwrap();
    connection
        .execute_batch("DROP TABLE filters; PRAGMA user_version = 9; PRAGMA journal_mode = DELETE")
        .unwrap();
}

#[test]
fn a_ledger_of_an_earlier_version_is_verified_as_it_is_and_its_backup_restored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, mut server) = lived_in(folder);
    server.stop();
    let clean = said(&ledger("verify", &data, &[]), 0);
    let database = data.join("ledger.db");
    make_older(&database);
    let bytes = std::fs::read(&database).unwrap();
    assert_eq!(said(&ledger("verify", &data, &[]), 0), clean);
    let file = folder.join("ledger.backup");
    said(&ledger("backup", &data, &[&file]), 0);
    // What needs this version's schema says how to come to it, and that way works.
    for told in [
        ledger("heads", &data, &[]),
        ledger("verify", &data, &["--replay".as_ref()]),
    ] {
        let told = said(&told, 3);
        assert!(
            told.contains("serve from it once, or restore a backup of it into another directory"),
            "{told}"
        );
    }
    assert_eq!(std::fs::read(&database).unwrap(), bytes);
    let restored = folder.join("restored");
    assert_eq!(said(&ledger("restore", &restored, &[&file]), 0), clean);
    let replayed = said(&ledger("verify", &restored, &["--replay".as_ref()]), 0);
    assert!(replayed.contains("3 the same, 0 written off"), "{replayed}");

    Connection::open(&file)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let newer = said(&ledger("restore", &folder.join("newer"), &[&file]), 3);
    assert!(
        newer.contains("the ledger has schema 99, this program knows up to 10: use a newer one"),
        "{newer}"
    );
    assert!(!folder.join("newer").join("ledger.db").exists());
}
