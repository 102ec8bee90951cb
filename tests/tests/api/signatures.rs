//! A server that pins keys: what it admits, binds, falls back to and starts with, and what it does
//! when a key is taken away.

use super::releases::{activate, post};
use super::server::{Server, call, options, release_file, usage};
use farebox::app::server::start;
use farebox::config::{Config, FallbackOption, Options};
use farebox::engine::package::Package;
use farebox::service::policy::LimitClass;
use farebox::service::signature::{self, SecretKey, Signature, Statement};
use hyper::Method;
use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};

const RELEASER: u8 = 1;
const REVIEWER: u8 = 2;
const STRANGER: u8 = 3;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn pin(name: &str, number: u8) -> String {
    format!("{name}={}", key(number).public())
}

/// The file, signed by these keys as well.
fn signed(file: &[u8], by: &[u8]) -> Vec<u8> {
    let mut package = Package::open(file).unwrap();
    let statement = package.statement().unwrap();
    for number in by {
        signature::add(&mut package.signatures, key(*number).sign(&statement));
    }
    package.to_file()
}

/// The file with these signatures, whatever they are over.
fn with(file: &[u8], signatures: Vec<Signature>) -> Vec<u8> {
    let package = Package {
        signatures,
        ..Package::open(file).unwrap()
    };
    package.to_file()
}

/// A file beside the data directory.
fn write(options: &Options, name: &str, file: &[u8]) -> PathBuf {
    let path = options.data_dir.clone().unwrap().with_file_name(name);
    std::fs::write(&path, file).unwrap();
    path
}

/// Pins both keys and configures a release that the releaser signed.
fn strict(options: &mut Options) {
    let file = signed(&release_file("start", "5"), &[RELEASER]);
    options.policy = Some(write(options, "start.wasm", &file));
    options.policy_keys = Some(vec![pin("releaser", RELEASER), pin("reviewer", REVIEWER)]);
}

/// Why a server does not start on this folder.
async fn refused(folder: &Path, change: impl FnOnce(&mut Options)) -> String {
    let mut options = options(folder);
    change(&mut options);
    let Err(error) = start(&Config::load(options).unwrap()).await else {
        panic!("the server starts");
    };
    let cause = error.source().map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

async fn shown(server: &Server, release: &str, what: &str) -> super::server::Answer {
    let path = format!("/v1/admin/policies/{release}{what}");
    server.client.admin(Method::GET, &path, Value::Null).await
}

fn signers(release: &Value) -> Vec<Value> {
    let signed = release["signed_by"].as_array().unwrap().iter();
    signed.map(|signed| signed["name"].clone()).collect()
}

fn id(pushed: &Value) -> String {
    pushed["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_way_around_a_signature_is_refused_by_name() {
    let server = Server::start_as(strict).await;
    let (file, other) = (release_file("mine", "3"), release_file("other", "4"));
    let package = Package::open(&file).unwrap();
    let release = package.statement().unwrap().release();
    let whole = signed(&file, &[RELEASER]);
    let of_other = Package::open(&signed(&other, &[RELEASER])).unwrap();
    let over = |contract, class| {
        let statement = Statement::new(release, contract, class).unwrap();
        with(&file, vec![key(RELEASER).sign(&statement)])
    };
    // Its own signature with another's words, and another's with its own.
    let mut dressed = of_other.signatures[0].clone();
    dressed.statement = package.statement().unwrap();
    let mut beside = Package::open(&whole).unwrap().signatures;
    let strangers = key(STRANGER).sign(&of_other.statement().unwrap());
    signature::add(&mut beside, strangers);
    let section = &whole[file.len()..];
    let twice = [&whole[..], section].concat();
    let mut flipped = whole.clone();
    let last = flipped.len() - 2;
    flipped[last] ^= 1;
    for (file, reason) in [
        (file.clone(), "unsigned"),
        (whole[..file.len()].to_vec(), "unsigned"),
        (signed(&file, &[STRANGER]), "signature_unknown_key"),
        (with(&file, of_other.signatures.clone()), "signature_wrong"),
        (with(&file, vec![dressed]), "signature_wrong"),
        (with(&file, beside), "signature_wrong"),
        (over("1.1.0", LimitClass::Native), "signature_wrong"),
        (over("1.0.0", LimitClass::Scripted), "signature_wrong"),
        ([&other[..], section].concat(), "signature_wrong"),
        (twice, "section_twice"),
        (whole[..whole.len() - 1].to_vec(), "damaged"),
        (flipped, "section_damaged"),
    ] {
        let problem = server.push(&file).await.problem(422, "not-admitted");
        assert_eq!(problem["reason"], reason, "{problem}");
    }
    let told = server.push(&file).await.problem(422, "not-admitted");
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("by one of `releaser`, `reviewer`"),
        "{detail}"
    );
    // Nothing of it was kept, and what is signed is.
    let list = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null);
    assert_eq!(list.await.expect(200).as_array().unwrap().len(), 1);
    let pushed = server.push(&whole).await.expect(201);
    assert_eq!(signers(&pushed), [json!("releaser")]);
}

#[tokio::test]
async fn signatures_are_kept_added_to_and_given_back() {
    let server = Server::start_as(strict).await;
    let file = release_file("mine", "3");
    let pushed = server.push(&signed(&file, &[RELEASER])).await.expect(201);
    let mine = id(&pushed);
    assert_eq!(
        pushed["signed_by"][0]["key"],
        key(RELEASER).public().to_string()
    );
    assert_eq!(pushed["signed_by"][0]["by"], "admin:bootstrap");
    // A stranger's beside a pinned one is kept, and has no name here.
    let both = signed(&file, &[REVIEWER, STRANGER]);
    let added = server.push(&both).await.expect(201);
    let mut names = signers(&added);
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, [json!("releaser"), json!("reviewer"), Value::Null]);
    assert_eq!(id(&added), mine);
    // The first push of a signature is the one that stands, and less takes none away.
    let again = server.push(&signed(&file, &[RELEASER])).await.expect(201);
    assert_eq!(again, added);
    let all = signed(&file, &[RELEASER, REVIEWER, STRANGER]);
    assert_eq!(shown(&server, &mine, "/file").await.body, all);
    let server = server.restart_as(strict).await;
    assert_eq!(shown(&server, &mine, "/file").await.body, all);
    let list = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null);
    let list = list.await.expect(200);
    let kept = list
        .as_array()
        .unwrap()
        .iter()
        .find(|kept| kept["id"] == mine);
    assert_eq!(kept, Some(&added));
    // What was exported is a release elsewhere.
    let elsewhere = Server::start_as(strict).await;
    assert_eq!(id(&elsewhere.push(&all).await.expect(201)), mine);
    // A release has as many signatures as its file may.
    let mut full = None;
    for number in 10..40 {
        let answer = server.push(&signed(&file, &[RELEASER, number])).await;
        if answer.status != 201 {
            full = Some((number, answer.problem(409, "conflict")));
            break;
        }
    }
    let (number, told) = full.unwrap();
    assert_eq!(number, 23, "{told}");
    let exported = shown(&server, &mine, "/file").await.body;
    assert_eq!(Package::open(&exported).unwrap().signatures.len(), 16);
}

#[tokio::test]
async fn nothing_unsigned_is_served_from() {
    let folder = tempfile::tempdir().unwrap();
    let unsigned = |options: &mut Options| {
        options.policy_keys = Some(vec![pin("releaser", RELEASER)]);
    };
    let told = refused(folder.path(), unsigned).await;
    assert!(
        told.contains("configure a signed file as `policy`"),
        "{told}"
    );
    assert!(told.contains("must be by one of `releaser`"), "{told}");
    // A book of one's own is another release than the signed file.
    let with_book = |options: &mut Options| {
        strict(options);
        let text = "name = \"own\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
            model = \"gpt-4o-mini\"\nper_million = { input = \"5\", output = \"5\" }\n";
        options.price_book = Some(write(options, "own.toml", text.as_bytes()));
    };
    let told = refused(folder.path(), with_book).await;
    assert!(
        told.contains("configure a signed file as `policy`"),
        "{told}"
    );
    let mut options = options(folder.path());
    strict(&mut options);
    let app = start(&Config::load(options).unwrap()).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn without_its_key_a_release_prices_nobody_anew() {
    let server = Server::start_as(strict).await;
    let customer = server.customer("acme", "100").await;
    let first = server.bound(None).await;
    let file = signed(&release_file("old", "10"), &[RELEASER]);
    let old = id(&server.push(&file).await.expect(201));
    let file = signed(&release_file("new", "20"), &[REVIEWER]);
    let new = id(&server.push(&file).await.expect(201));
    activate(&server, &old, &first).await.expect(200);
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let hold = hold.expect(201)["id"].clone();
    // While it is bound, no server starts without its key: it says what to do.
    let folder = server.stop().await;
    let reviewer = |options: &mut Options| {
        strict(options);
        options.policy_keys = Some(vec![pin("reviewer", REVIEWER)]);
    };
    let told = refused(folder.path(), reviewer).await;
    assert!(
        told.contains(&format!("release `{old}` prices calls of hosted")),
        "{told}"
    );
    assert!(
        told.contains("`farebox policy activate --data-dir`"),
        "{told}"
    );
    assert!(told.contains("must be by one of `reviewer`"), "{told}");
    let mut options = options(folder.path());
    strict(&mut options);
    let server = Server::on(folder, options).await;
    activate(&server, &new, &old).await.expect(200);
    let customer = customer.of(&server);
    // Now one does: with it what is configured is left alone, and what was bound stays away.
    let server = server.restart_as(reviewer).await;
    assert_eq!(server.bound(None).await, new);
    for answer in [
        activate(&server, &old, &new).await,
        post(
            &server,
            "/v1/admin/bindings/rollback",
            json!({"expected": new}),
        )
        .await,
    ] {
        let told = answer.problem(422, "not-admitted");
        assert_eq!(told["reason"], "signature_unknown_key", "{told}");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("may not price `hosted`"), "{detail}");
    }
    let canary = json!({"kind": "canary", "release_id": old, "percent": "100"});
    let told = post(&server, "/v1/admin/trials", canary).await;
    let told = told.problem(422, "not-admitted");
    assert_eq!(told["reason"], "signature_unknown_key", "{told}");
    let repair = json!({"wrong_release_id": first, "corrected_release_id": old, "post": true});
    let told = post(&server, "/v1/admin/repairs", repair).await;
    let told = told.problem(422, "not-admitted");
    assert_eq!(told["reason"], "signature_unknown_key", "{told}");
    // What was promised under it is kept, and priced again by it.
    let customer = customer.of(&server);
    let mut report = usage();
    report["hold_id"] = hold;
    let captured = customer.post("/v1/usage", report).await.expect(200);
    let (price, release) = super::releases::priced(&customer, &captured).await;
    assert_eq!((price.as_str(), release), ("0.011", old.clone()));
    // The other key's signature brings it back.
    let file = shown(&server, &old, "/file").await.body;
    let both = signed(&file, &[REVIEWER]);
    server.push(&both).await.expect(201);
    activate(&server, &old, &new).await.expect(200);
    server.restart_as(reviewer).await;
}

#[tokio::test]
async fn what_nobody_signed_does_not_stand_in_for_what_fails() {
    // Its quotes are lies, so each call of it fails before it begins.
    let lying = Package {
        component: farebox_tests::guests::component(farebox_tests::guests::HOSTILE),
        ..Package::open(&release_file("low_quote", "10")).unwrap()
    };
    let lying = signed(&lying.to_file(), &[REVIEWER]);
    let server = Server::start_as(strict).await;
    let customer = server.customer("acme", "100").await;
    let folder = server.stop().await;
    super::server::keep(&folder.path().join("data"), &lying).await;
    for (pinned, status) in [
        (
            vec![pin("releaser", RELEASER), pin("reviewer", REVIEWER)],
            201,
        ),
        (vec![pin("reviewer", REVIEWER)], 503),
    ] {
        let mut options = options(folder.path());
        options.policy = Some(write(&options, "lying.wasm", &lying));
        options.policy_keys = Some(pinned);
        options.policy_fallback = Some(FallbackOption::LastGood);
        options.settle_interval_ms = Some(0);
        let app = start(&Config::load(options).unwrap()).await.unwrap();
        let mut customer = customer.clone();
        customer.api = customer.api.at(app.address());
        let held = customer.post("/v1/holds", json!({"call": call()})).await;
        assert_eq!(held.status, status, "{}", held.text());
        app.stop().await;
    }
}
