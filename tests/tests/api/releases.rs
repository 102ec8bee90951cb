//! Releases are pushed, bound, rolled back and revoked on a server that serves: who is priced by
//! what, who is told what, and which calls end under which release.

use super::server::{ADMIN, Customer, Server, call, release_file, usage};
use farebox::app::server::StartError;
use farebox::config::{FallbackOption, Options};
use farebox::engine::package::Package;
use farebox::service::policy::AdmitError;
use hyper::Method;
use serde_json::{Value, json};

/// The release of this file, pushed.
pub async fn pushed(server: &Server, name: &str, per_million: &str) -> String {
    let answer = server.push(&release_file(name, per_million)).await;
    answer.expect(201)["id"].as_str().unwrap().to_owned()
}

pub async fn post(server: &Server, path: &str, body: Value) -> super::server::Answer {
    server.client.admin(Method::POST, path, body).await
}

pub async fn activate(server: &Server, release: &str, expected: &str) -> super::server::Answer {
    let body = json!({"release_id": release, "expected": expected, "why": "test"});
    post(server, "/v1/admin/bindings/activate", body).await
}

async fn rollback(server: &Server, expected: &str) -> super::server::Answer {
    let body = json!({"expected": expected});
    post(server, "/v1/admin/bindings/rollback", body).await
}

/// What the worst case of a call costs now, in USD.
async fn quoted(customer: &Customer) -> String {
    let quote = customer.post("/v1/quotes", json!({"call": call()})).await;
    quote.expect(200)["max_price_usd"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The price and the release of a charge.
pub async fn priced(customer: &Customer, charged: &Value) -> (String, String) {
    let charge = charged["charge_id"].as_str().unwrap();
    let receipt = customer.get(&format!("/v1/charges/{charge}/receipt")).await;
    let receipt = receipt.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&receipt["price"]["price_usd"]),
        text(&receipt["release"]["id"]),
    )
}

async fn charged(customer: &Customer) -> (String, String) {
    let charged = customer.post("/v1/usage", usage()).await.expect(200);
    priced(customer, &charged).await
}

#[tokio::test]
async fn the_same_file_twice_is_one_release_and_comes_back_as_it_was() {
    let server = Server::start().await;
    let file = release_file("twice", "3");
    let first = server.push(&file).await.expect(201);
    assert_eq!(server.push(&file).await.expect(201), first);
    let list = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null)
        .await
        .expect(200);
    // The configured one, and this.
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[1], first);
    assert_eq!(first["name"], "twice");
    assert_eq!(
        (&first["class"], &first["trust"], &first["admitted_by"]),
        (
            &json!("native"),
            &json!("trusted"),
            &json!("admin:bootstrap")
        )
    );
    let path = format!("/v1/admin/policies/{}", first["id"].as_str().unwrap());
    let get = async |what: &str| {
        let path = format!("{path}{what}");
        server.client.admin(Method::GET, &path, Value::Null).await
    };
    let exported = get("/file").await;
    assert_eq!(exported.headers["content-type"], "application/wasm");
    assert_eq!(exported.body, file);
    assert!(get("/book").await.text().starts_with("# The book `twice`."));
    let shown = get("").await.expect(200);
    assert_eq!(shown["policy"]["book_name"], "twice");
    // Another attachment, or none, is the same release; another trust is not.
    let bare = Package {
        book_source: None,
        ..Package::open(&file).unwrap()
    };
    assert_eq!(server.push(&bare.to_file()).await.expect(201), first);
    // It survives the server.
    let server = server.restart().await;
    let again = server
        .client
        .admin(Method::GET, &path, Value::Null)
        .await
        .expect(200);
    assert_eq!(again, shown);
}

#[tokio::test]
async fn a_call_ends_under_the_release_it_began_under() {
    let server = Server::start().await;
    let customer = server.customer("acme", "100").await;
    let start = server.bound(None).await;
    let cheap = pushed(&server, "cheap", "10").await;
    let dear = pushed(&server, "dear", "20").await;
    activate(&server, &cheap, &start).await.expect(200);
    assert_eq!(charged(&customer).await, ("0.011".into(), cheap.clone()));
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let hold = hold.expect(201)["id"].clone();
    let changed = activate(&server, &dear, &cheap).await.expect(200);
    assert_eq!(
        (
            &changed["scope"],
            &changed["before_release_id"],
            &changed["by"]
        ),
        (&json!("hosted"), &json!(cheap), &json!("admin:bootstrap"))
    );
    // New calls at once, the held one as it was held.
    assert_eq!(charged(&customer).await, ("0.022".into(), dear.clone()));
    let mut report = usage();
    report["hold_id"] = hold;
    let captured = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(
        priced(&customer, &captured).await,
        ("0.011".into(), cheap.clone())
    );
    // Back, to the same digits.
    let back = rollback(&server, &dear).await.expect(200);
    assert_eq!(back["release_id"], json!(cheap));
    assert_eq!(charged(&customer).await, ("0.011".into(), cheap));
    // Each charge is priced again by the release on its receipt, whatever is bound.
    let charge = captured["charge_id"].as_str().unwrap();
    let replay = customer
        .post(&format!("/v1/charges/{charge}/replay"), json!({}))
        .await
        .expect(200);
    assert_eq!(replay["same"], true, "{replay}");
}

#[tokio::test]
async fn a_revoked_release_ends_even_for_calls_that_are_held_under_it() {
    let server = Server::start().await;
    let customer = server.customer("acme", "100").await;
    let start = server.bound(None).await;
    let wrong = pushed(&server, "wrong", "10").await;
    let right = pushed(&server, "right", "20").await;
    activate(&server, &wrong, &start).await.expect(200);
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let hold = hold.expect(201)["id"].clone();
    let path = format!("/v1/admin/policies/{wrong}/revoke");
    let why = json!({"why": "ten times too cheap"});
    let told = post(&server, &path, why.clone())
        .await
        .problem(409, "conflict");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("still bound to `hosted`"), "{detail}");
    activate(&server, &right, &wrong).await.expect(200);
    let revoked = post(&server, &path, why).await.expect(200);
    assert_eq!(revoked["revoked"]["why"], "ten times too cheap");
    let mut report = usage();
    report["hold_id"] = hold;
    let captured = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(
        priced(&customer, &captured).await,
        ("0.022".into(), right.clone())
    );
    // It can be neither activated nor gone back to.
    let told = activate(&server, &wrong, &right).await;
    told.problem(409, "conflict");
    let back = rollback(&server, &right).await.expect(200);
    assert_eq!(back["release_id"], json!(start));
}

#[tokio::test]
async fn the_most_specific_binding_prices_an_org() {
    let server = Server::start().await;
    let acme = server.customer("acme", "100").await;
    let other = server.customer("other", "100").await;
    let start = server.bound(None).await;
    let everyone = pushed(&server, "everyone", "10").await;
    let pro = pushed(&server, "pro", "20").await;
    let own = pushed(&server, "own", "30").await;
    activate(&server, &everyone, &start).await.expect(200);
    for customer in [&acme, &other] {
        let path = format!("/v1/admin/orgs/{}/plan", customer.org);
        let plan = json!({"plan": "pro"});
        let set = server.client.admin(Method::PUT, &path, plan).await;
        set.expect(200);
    }
    let narrow = async |release: &str, expected: &str, field: &str, value: &str| {
        let mut body = json!({"release_id": release, "expected": expected});
        body[field] = json!(value);
        post(&server, "/v1/admin/bindings/activate", body).await
    };
    narrow(&pro, "none", "plan", "pro").await.expect(200);
    narrow(&own, "none", "org_id", &acme.org).await.expect(200);
    assert_eq!(charged(&acme).await.1, own);
    assert_eq!(charged(&other).await.1, pro);
    // The worst case and the rate card follow as well.
    assert_ne!(quoted(&acme).await, quoted(&other).await);
    let card = acme.get("/v1/rate-card").await.expect(200).to_string();
    assert!(card.contains(r#""unit_price_usd":"0.00003""#), "{card}");
    // Without its own, an org is priced as its plan; without that, as everyone.
    let taken = narrow("none", &own, "org_id", &acme.org).await.expect(200);
    assert_eq!(taken["kind"], "deactivate");
    assert_eq!(charged(&acme).await.1, pro);
    let body = json!({"plan": "pro", "expected": pro});
    let back = post(&server, "/v1/admin/bindings/rollback", body).await;
    assert_eq!(back.expect(200)["release_id"], Value::Null);
    assert_eq!(charged(&acme).await.1, everyone);
    let history = "/v1/admin/bindings/history?plan=pro";
    let history = server.client.admin(Method::GET, history, Value::Null).await;
    let kinds: Vec<_> = history.expect(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].clone())
        .collect();
    assert_eq!(kinds, ["rollback", "activate"]);
}

#[tokio::test]
async fn of_operators_at_once_one_wins_and_the_others_are_told() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let mut releases = Vec::new();
    for number in 1..=4 {
        let price = number.to_string();
        releases.push(pushed(&server, &format!("book-{number}"), &price).await);
    }
    let mut asked = Vec::new();
    for release in &releases {
        let client = server.client.clone();
        let body = json!({"release_id": release, "expected": start});
        asked.push(tokio::spawn(async move {
            let path = "/v1/admin/bindings/activate";
            client.admin(Method::POST, path, body).await
        }));
    }
    let mut won = Vec::new();
    let mut told = Vec::new();
    for asked in asked {
        let answer = asked.await.unwrap();
        match answer.status.as_u16() {
            200 => won.push(answer.json()["release_id"].clone()),
            _ => told.push(answer.problem(409, "binding-moved")["bound_release_id"].clone()),
        }
    }
    assert_eq!((won.len(), told.len()), (1, 3));
    assert!(told.iter().all(|bound| *bound == won[0]), "{told:?}");
    assert_eq!(json!(server.bound(None).await), won[0]);
    // A retry with the same key is answered with the first change.
    let keyed = [("idempotency-key", "swap-1")];
    let next = releases.iter().find(|release| json!(release) != won[0]);
    let body = json!({"release_id": next, "expected": won[0]});
    let path = "/v1/admin/bindings/activate";
    let send = async || {
        let body = body.clone();
        let sent = server
            .client
            .with_headers(ADMIN, Method::POST, path, &keyed, body);
        sent.await.expect(200)
    };
    let first = send().await;
    assert_eq!(send().await, first);
}

#[tokio::test]
async fn what_names_nothing_is_refused_before_anything_changes() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let known = pushed(&server, "known", "3").await;
    let never = format!("rel_{}", "7".repeat(64));
    let told = activate(&server, &never, &start).await;
    told.problem(404, "not-found");
    let told = activate(&server, "rel_short", &start).await;
    told.problem(400, "invalid-request");
    let refine = async |field: &str, value: &str| {
        let mut body = json!({"release_id": known, "expected": "none"});
        body[field] = json!(value);
        post(&server, "/v1/admin/bindings/activate", body).await
    };
    let told = refine("plan", "platinum").await.problem(404, "not-found");
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("no org is on the plan `platinum`"),
        "{detail}"
    );
    let nobody = "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01";
    refine("org_id", nobody).await.problem(404, "not-found");
    refine("org_id", "acme").await.problem(404, "not-found");
    refine("deployment", "moon")
        .await
        .problem(400, "invalid-request");
    let both = json!({"release_id": known, "expected": "none", "plan": "pro", "org_id": nobody});
    let told = post(&server, "/v1/admin/bindings/activate", both).await;
    told.problem(400, "invalid-request");
    // A plan that only the book names is one.
    refine("plan", "pro").await.expect(200);
    let told = rollback(&server, &start).await.problem(409, "conflict");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("no earlier release"), "{detail}");
    let none = json!({"release_id": "none", "expected": start});
    let told = post(&server, "/v1/admin/bindings/activate", none).await;
    told.problem(409, "conflict");
    assert_eq!(server.bound(None).await, start);
}

#[tokio::test]
async fn what_is_no_release_is_refused_by_name() {
    let server = Server::start().await;
    let whole = release_file("whole", "3");
    let package = Package::open(&whole).unwrap();
    let with = |change: &dyn Fn(&mut Package)| {
        let mut package = package.clone();
        change(&mut package);
        package.to_file()
    };
    let mut flipped = whole.clone();
    let at = flipped.windows(6).position(|six| six == b"FBBOOK").unwrap();
    flipped[at + 20] ^= 1;
    let twice = [&whole[..], &whole[package.component.len()..]].concat();
    let imports = wat(r#"(component (import "wasi:cli/exit@0.2.0" (func)))"#);
    let other = wat(r#"(component (instance $i)
        (export "farebox:policy/policy@9.0.0" (instance $i)))"#);
    let with_book = |component: Vec<u8>| with(&|package| package.component = component.clone());
    for (file, reason) in [
        (b"name = \"not wasm\"".to_vec(), "not_wasm"),
        (Vec::new(), "not_wasm"),
        (whole[..whole.len() / 3].to_vec(), "damaged"),
        (whole[..whole.len() - 1].to_vec(), "damaged"),
        (flipped, "section_damaged"),
        (twice, "section_twice"),
        (with(&|package| package.book = None), "no_book"),
        (
            with(&|package| package.book = Some(b"FBBOOK and more".to_vec())),
            "book_damaged",
        ),
        (
            with(&|package| package.book_source = Some(b"name = \"another\"".to_vec())),
            "book_text",
        ),
        (
            with(&|package| package.book = Some(vec![0; (16 << 20) + 1])),
            "book_too_large",
        ),
        (with_book(imports), "imports"),
        (with_book(other), "unknown_contract"),
        (with_book(wat("(component)")), "wrong_world"),
        (with_book(b"\0asm\x01\0\0\0".to_vec()), "core_module"),
    ] {
        let problem = server.push(&file).await.problem(422, "not-admitted");
        assert_eq!(problem["reason"], reason, "{problem}");
    }
    let json = server
        .client
        .admin(Method::POST, "/v1/admin/policies", json!({}))
        .await;
    json.problem(415, "unsupported-media-type");
    let list = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null)
        .await;
    assert_eq!(list.expect(200).as_array().unwrap().len(), 1);
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_body_of_200_megabytes_is_refused_and_the_server_goes_on() {
    let server = Server::start().await;
    let answer = server.push(&vec![0; 200 << 20]).await;
    answer.problem(413, "body-too-large");
    server.push(&release_file("small", "3")).await.expect(201);
}

#[tokio::test]
async fn what_an_operator_activated_stays_whatever_is_configured() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let own = pushed(&server, "own", "3").await;
    activate(&server, &own, &start).await.expect(200);
    let book = server.folder().join("configured.toml");
    let text = "name = \"configured\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
        model = \"gpt-4o-mini\"\nper_million = { input = \"5\", output = \"5\" }\n";
    std::fs::write(&book, text).unwrap();
    let server = server
        .restart_as(|options| options.price_book = Some(book))
        .await;
    assert_eq!(server.bound(None).await, own);
    // The configured one is there to be activated.
    let list = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null)
        .await
        .expect(200);
    let names: Vec<_> = list.as_array().unwrap().iter().collect();
    assert!(names.iter().any(|release| release["name"] == "configured"));
}

/// Configures a hostile policy in this mode, which is the name of its book. It must be kept with the
/// ledger, or it is tried.
fn hostile(options: &mut Options, mode: &str) {
    let folder = options.data_dir.clone().unwrap();
    let file = folder.with_file_name(format!("{mode}.wasm"));
    std::fs::write(&file, hostile_file(mode)).unwrap();
    options.policy = Some(file);
    options.settle_interval_ms = Some(0);
}

pub fn hostile_file(mode: &str) -> Vec<u8> {
    Package {
        component: farebox_tests::guests::component(farebox_tests::guests::HOSTILE),
        ..Package::open(&release_file(mode, "10")).unwrap()
    }
    .to_file()
}

#[tokio::test]
async fn a_policy_that_fails_its_trial_is_not_admitted() {
    let server = Server::start().await;
    for (mode, reason) in [
        ("remember", "not_deterministic"),
        ("short_batch", "fault"),
        ("trap", "fault"),
        ("spin", "fault"),
        ("low_quote", "fault"),
        ("under_cost", "fault"),
        ("total_off_by_a_nano", "fault"),
        ("minus_zero", "fault"),
        ("spin_in_load", "fault"),
        ("allocate_in_load", "fault"),
    ] {
        let problem = server.push(&hostile_file(mode)).await;
        let problem = problem.problem(422, "not-admitted");
        assert_eq!(problem["reason"], reason, "{mode}: {problem}");
    }
    let admitted = server.push(&hostile_file("honest")).await.expect(201);
    assert_eq!(admitted["trust"], "untrusted");
    // What is not admitted is not there to be activated.
    let all = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null)
        .await;
    assert_eq!(all.expect(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_the_configuration_names_is_tried_as_what_is_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = super::server::options(folder.path());
    hostile(&mut options, "remember");
    let config = farebox::config::Config::load(options).unwrap();
    let Err(error) = farebox::app::server::start(&config).await else {
        panic!("it serves");
    };
    let StartError::Load(AdmitError::NotDeterministic { .. }) = &error else {
        panic!("{error:?}");
    };
    // One that is in order prices, and is what a push of it is.
    let file = hostile_file("honest");
    let server = Server::start_as(|options| hostile(options, "honest")).await;
    let pushed = server.push(&file).await.expect(201);
    assert_eq!(pushed["id"], server.bound(None).await.as_str());
}

#[tokio::test]
async fn a_configured_book_of_the_own_component_is_tried_when_it_is_pushed() {
    // The host's own component with an operator's book is not tried at the start; pushed, it is.
    let server = Server::start_as(|options| {
        let data_dir = options.data_dir.clone().unwrap();
        // What is compiled is counted, so nothing is there yet.
        std::fs::remove_dir_all(data_dir.join("cache")).unwrap();
        let book = data_dir.with_file_name("own.toml");
        let text = "name = \"own\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
            model = \"gpt-4o-mini\"\nper_million = { input = \"5\", output = \"5\" }\n";
        std::fs::write(&book, text).unwrap();
        options.price_book = Some(book);
    })
    .await;
    let compiled = || {
        let folder = server.folder().join("data/cache");
        let files = std::fs::read_dir(folder).unwrap();
        files.count()
    };
    assert_eq!(compiled(), 1);
    let bound = server.bound(None).await;
    let path = format!("/v1/admin/policies/{bound}/file");
    let file = server.client.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(file.status, 200);
    server.push(&file.body).await.expect(201);
    // Its answers under the second setting were compared.
    assert_eq!(compiled(), 2);
}

#[tokio::test]
async fn what_fails_before_a_call_falls_back_where_that_is_declared_and_after_it_never() {
    for declared in [FallbackOption::Refuse, FallbackOption::LastGood] {
        let server = Server::start().await;
        let customer = server.customer("acme", "100").await;
        let good = server.bound(None).await;
        // Its quotes are lies, so each is a fault.
        let server = server
            .restart_with_kept(&hostile_file("low_quote"), |options| {
                hostile(options, "low_quote");
                options.policy_fallback = Some(declared);
            })
            .await;
        let customer = customer.of(&server);
        assert_ne!(server.bound(None).await, good);
        let hold = customer.post("/v1/holds", json!({"call": call()})).await;
        if declared == FallbackOption::Refuse {
            hold.problem(503, "policy-fault");
        } else {
            let hold = hold.expect(201)["id"].clone();
            let mut report = usage();
            report["hold_id"] = hold;
            let captured = customer.post("/v1/usage", report).await.expect(200);
            assert_eq!(priced(&customer, &captured).await.1, good);
        }
        let page = server.client.send(Method::GET, "/metrics", &[], "").await;
        let expected = u8::from(declared == FallbackOption::LastGood);
        let line = format!("farebox_policy_fallbacks {expected}\n");
        assert!(page.text().contains(&line), "{}", page.text());
        // What has run already is priced by what is bound, or waits for it: never by another.
        let server = server
            .restart_with_kept(&hostile_file("trap"), |options| {
                hostile(options, "trap");
                options.policy_fallback = Some(declared);
            })
            .await;
        let customer = customer.of(&server);
        let waits = customer.post("/v1/usage", usage()).await.expect(202);
        assert_eq!(waits["reason"], "policy_fault");
    }
}
