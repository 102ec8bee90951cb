//! Backtests: past charges rated again under another release give what that release would have
//! charged, to the digit; what has no price is named, and nothing is charged by asking.

use super::server::{ADMIN, Customer, Server, release_file, usage};
use farebox::app::shipped::STANDARD_COMPONENT;
use farebox::clock::ManualClock;
use farebox::config::Options;
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::service::backtest::tally::Miss;
use farebox::service::backtest::{self, Question};
use farebox::service::ledger::past::{Lines, PastCharge};
use farebox::service::policy::{PolicyEngine, Priced, SharedEngine};
use farebox::service::rerate::{self, Control, End, Sink, Task, Tools, Under, Unrated};
use farebox::wire::BacktestReportJson;
use farebox_ledger::ids::ChargeId;
use farebox_tests::books::NOW_MS;
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const PATH: &str = "/v1/admin/backtests";

/// A backtest that was followed to its end.
pub async fn ended(server: &Server, question: Value) -> Value {
    let begun = server.client.admin(Method::POST, PATH, question).await;
    follow(server, begun.expect(202)).await
}

async fn follow(server: &Server, begun: Value) -> Value {
    server.ended(PATH, &begun).await
}

/// Binds what this file holds, and says which release it is.
pub async fn sells(server: &Server, file: &[u8]) -> String {
    let pushed = server.push(file).await.expect(201);
    let release = pushed["id"].as_str().unwrap().to_owned();
    let bound = server.bound(None).await;
    let body = json!({"release_id": release, "expected": bound});
    let path = "/v1/admin/bindings/activate";
    server
        .client
        .admin(Method::POST, path, body)
        .await
        .expect(200);
    release
}

pub async fn charged(customer: &Customer, report: Value) -> Value {
    let charged = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(charged["status"], "charged", "{charged}");
    charged
}

pub fn of_feature(feature: &str, tokens: u32) -> Value {
    json!({"provider": "openai", "model": "gpt-4o-mini", "feature": feature,
        "usage": {"input": tokens}})
}

/// A book under which each org has a thousand free tokens a period, and others cost a dollar per
/// thousand.
fn with_free_tokens(per: &str) -> Vec<u8> {
    let text = format!(
        "name = \"free\"\nas_of = \"2026-11-21\"\n[defaults]\nloss_leader = true\n\
         free = [{{ meter = \"input\", quantity = \"1000\", per = \"{per}\" }}]\n\
         [[models]]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n\
         per_million = {{ input = \"1000\" }}\n"
    );
    Package {
        component: STANDARD_COMPONENT.to_vec(),
        book: Some(
            farebox_book::compile(&text, farebox_book::Format::Toml)
                .unwrap_or_else(|errors| panic!("{errors:#?}"))
                .canonical,
        ),
        book_source: Some(text.into()),
        ..Package::default()
    }
    .to_file()
}

#[tokio::test]
async fn what_changes_is_what_the_other_release_would_have_charged() {
    let server = Server::start().await;
    let now = sells(&server, &release_file("now", "3")).await;
    let then = server.push(&release_file("then", "5")).await.expect(201);
    let acme = server.customer("acme", "10").await;
    let other = server.customer("other", "10").await;
    charged(&acme, of_feature("chat", 1_000)).await;
    charged(&acme, of_feature("search", 2_000)).await;
    charged(&other, usage()).await;
    let before = acme.available().await;

    let job = ended(&server, json!({"release_id": then["id"]})).await;
    assert_eq!(job["status"], "done", "{job}");
    let report = &job["report"];
    // 4,100 tokens at three and at five dollars per million, which is their cost too.
    let total = &report["total"];
    assert_eq!(total["charges"], 3);
    assert_eq!(total["charged"]["revenue_usd"], "0.0123");
    assert_eq!(total["rated"]["revenue_usd"], "0.0205");
    assert_eq!(total["rated"]["cost_usd"], "0.0205");
    assert_eq!(total["rated"]["margin_usd"], "0");
    assert_eq!(total["change_usd"], "0.0082");
    assert_eq!(total["change_percent"], "66.67");
    let features = report["by_feature"]["items"].as_array().unwrap();
    let features: Vec<_> = features
        .iter()
        .map(|group| (group["key"].as_str(), group["change_usd"].as_str().unwrap()))
        .collect();
    assert_eq!(
        features,
        [
            (Some("search"), "0.004"),
            (None, "0.0022"),
            (Some("chat"), "0.002")
        ]
    );
    assert_eq!(report["by_model"]["items"][0]["key"], "openai/gpt-4o-mini");
    assert_eq!(report["by_release"]["items"][0]["key"], now.as_str());
    let losers = report["losers"].as_array().unwrap();
    assert_eq!(
        (losers.len(), &losers[0]["name"], &losers[0]["change_usd"]),
        (2, &json!("acme"), &json!("0.006"))
    );
    assert_eq!(report["winners"], json!([]));
    assert_eq!(report["missed"], json!([]));
    assert_eq!(report["recounted"], false);

    // The release that charged it changes nothing, and asking charged nothing.
    let job = ended(&server, json!({"release_id": now})).await;
    assert_eq!(job["report"]["total"]["change_usd"], "0");
    assert_eq!(job["report"]["losers"], json!([]));
    assert_eq!(acme.available().await, before);

    // A file that was not pushed says the same as one that was, and is not kept.
    let file = release_file("draft", "5");
    let path = format!("{PATH}/file?priced_by={now}");
    let begun = server.send_file(&path, &file).await.expect(202);
    let draft = follow(&server, begun).await;
    assert_eq!(&draft["report"]["total"], total);
    let path = "/v1/admin/policies";
    let kept = server.client.admin(Method::GET, path, Value::Null).await;
    assert!(!kept.text().contains("draft"));
}

#[tokio::test]
async fn what_would_have_no_price_is_counted_with_its_reason() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    charged(&customer, usage()).await;
    let other = json!({"provider": "openai", "model": "gpt-4o", "usage": {"input": 1000}});
    charged(&customer, other.clone()).await;
    charged(&customer, other).await;
    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    customer
        .post("/v1/usage", unknown.clone())
        .await
        .expect(202);
    let written_off = customer.post("/v1/usage", unknown).await.expect(202);
    let path = format!(
        "/v1/admin/orgs/{}/usage/{}/settle",
        customer.org,
        written_off["event_id"].as_str().unwrap()
    );
    let body = json!({"write_off": true});
    server
        .client
        .admin(Method::POST, &path, body)
        .await
        .expect(200);

    let narrow = server.push(&release_file("narrow", "5")).await.expect(201);
    let job = ended(&server, json!({"release_id": narrow["id"]})).await;
    let report = &job["report"];
    assert_eq!(report["total"]["charges"], 1);
    let missed = report["missed"].as_array().unwrap();
    assert_eq!(missed.len(), 2, "{missed:?}");
    assert_eq!(missed[0]["reason"], "unknown_model");
    assert_eq!(
        missed[0]["parameters"],
        json!({"provider": "openai", "model": "gpt-4o"})
    );
    assert_eq!(missed[0]["charges"], 2);
    assert_eq!(missed[1]["reason"], "written_off");
    assert_eq!(report["waiting"], json!({"unknown_model": 1}));
}

#[tokio::test]
async fn only_what_was_posted_in_the_range_is_rated() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let server = Server::start_at(Arc::clone(&clock) as _).await;
    let release = sells(&server, &release_file("range", "3")).await;
    let customer = server.customer("acme", "10").await;
    let mut times = Vec::new();
    for hour in 0..5 {
        clock.set(NOW_MS + hour * 3_600_000);
        charged(&customer, usage()).await;
        times.push(hour);
    }
    let charges = async |since: &str, until: Option<&str>| {
        let question = json!({"release_id": release, "since": since, "until": until});
        ended(&server, question).await["report"]["total"]["charges"].clone()
    };
    // Every hour from 2026-11-21T00:00:00Z on; the end is not in the range.
    assert_eq!(charges("2026-11-20T00:00:00Z", None).await, 5);
    assert_eq!(charges("2026-11-21T02:00:00Z", None).await, 3);
    let until = Some("2026-11-21T03:00:00Z");
    assert_eq!(charges("2026-11-21T02:00:00Z", until).await, 1);
    assert_eq!(charges("2026-11-21T02:00:00.001Z", until).await, 0);
    // Only what another release priced: nothing.
    let shipped = server.push(&release_file("other", "3")).await.expect(201);
    let question = json!({"release_id": release, "priced_by": shipped["id"]});
    let job = ended(&server, question).await;
    assert_eq!(job["report"]["total"]["charges"], 0);
    assert_eq!(job["report"]["total"].get("change_percent"), None);
}

#[tokio::test]
async fn a_release_that_counts_counts_again_from_the_start_of_the_month() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let server = Server::start_at(Arc::clone(&clock) as _).await;
    sells(&server, &release_file("plain", "3")).await;
    let customer = server.customer("acme", "100").await;
    let other = server.customer("other", "100").await;
    let counting = with_free_tokens("month");
    let counting = server.push(&counting).await.expect(201)["id"].clone();
    for hour in 0..4 {
        clock.set(NOW_MS + hour * 3_600_000);
        charged(&customer, of_feature("chat", 400)).await;
    }
    charged(&other, of_feature("chat", 400)).await;
    let rated = async |since: Value| {
        let question = json!({"release_id": counting, "since": since});
        let job = ended(&server, question).await;
        assert_eq!(job["report"]["recounted"], true);
        let total = &job["report"]["total"];
        let revenue = total["rated"]["revenue_usd"].as_str().unwrap().to_owned();
        (total["charges"].as_u64().unwrap(), revenue)
    };
    // Of 1,600 tokens a thousand are free, and of 400 of another org all.
    assert_eq!(rated(Value::Null).await, (5, "0.6".to_owned()));
    // The free ones were used by what came before the range.
    let since = json!("2026-11-21T02:00:00Z");
    assert_eq!(rated(since).await, (3, "0.6".to_owned()));
    let since = json!("2026-11-21T03:00:00Z");
    assert_eq!(rated(since).await, (2, "0.4".to_owned()));

    // What it says is what the release would have charged.
    let there = Server::start_at(Arc::new(ManualClock::at(NOW_MS))).await;
    let release = sells(&there, &with_free_tokens("month")).await;
    let acme = there.customer("acme", "100").await;
    for _ in 0..4 {
        charged(&acme, of_feature("chat", 400)).await;
    }
    let job = ended(&there, json!({"release_id": release})).await;
    let total = &job["report"]["total"];
    assert_eq!(total["charged"]["revenue_usd"], "0.6");
    assert_eq!(total["change_usd"], "0");
}

#[tokio::test]
async fn late_usage_does_not_make_a_count_begin_anew() {
    // 2026-10-15T00:00:00Z, and then three minutes into November.
    let (october, november) = (1_792_022_400_000, 1_793_491_380_000);
    let clock = Arc::new(ManualClock::at(october));
    let late = |options: &mut Options| options.skew_max_ms = Some(29 * 86_400_000);
    let server = Server::start_as_at(late, Arc::clone(&clock) as _).await;
    let used = |at: &str, tokens| {
        let mut report = of_feature("chat", tokens);
        report["occurred_at"] = json!(at);
        report
    };
    let same = async |release: &str, since: Value| {
        let question = json!({"release_id": release, "since": since});
        let total = ended(&server, question).await["report"]["total"].clone();
        assert_eq!(total["change_usd"], "0", "{total}");
        total["charged"]["revenue_usd"].clone()
    };
    let monthly = sells(&server, &with_free_tokens("month")).await;
    let acme = server.customer("acme", "100").await;
    charged(&acme, used("2026-10-15T00:00:00Z", 1_000)).await;
    // What was used in October and posted in November is counted in October.
    clock.set(november);
    charged(&acme, used("2026-10-31T23:59:00Z", 400)).await;
    let since = json!("2026-11-01T00:00:00Z");
    assert_eq!(same(&monthly, since).await, "0.4");
    // Of a day, after others of long before.
    let daily = sells(&server, &with_free_tokens("day")).await;
    let other = server.customer("other", "100").await;
    for day in [31, 30, 29, 28, 27, 26, 31] {
        charged(&other, used(&format!("2026-10-{day}T12:00:00Z"), 600)).await;
    }
    let question = json!({"release_id": daily, "priced_by": daily});
    let total = ended(&server, question).await["report"]["total"].clone();
    assert_eq!(total["charged"]["revenue_usd"], "0.2");
    assert_eq!(total["change_usd"], "0", "{total}");
}

#[tokio::test]
async fn a_question_without_an_answer_is_refused() {
    let server = Server::start().await;
    let release = server.bound(None).await;
    let ask = async |question: Value| server.client.admin(Method::POST, PATH, question).await;
    let nobody = format!("rel_{}", "5".repeat(64));
    ask(json!({"release_id": nobody}))
        .await
        .problem(404, "not-found");
    ask(json!({"release_id": "november"}))
        .await
        .problem(400, "invalid-request");
    let ahead = json!({"release_id": release, "since": "2999-01-01T00:00:00Z"});
    ask(ahead).await.problem(400, "invalid-request");
    let turned = json!({"release_id": release, "since": "2026-02-01T00:00:00Z",
        "until": "2026-01-01T00:00:00Z"});
    ask(turned).await.problem(400, "invalid-request");
    let unknown = format!("{PATH}/job_{}", "0".repeat(32));
    for method in [Method::GET, Method::DELETE] {
        let answer = server.client.admin(method, &unknown, Value::Null).await;
        answer.problem(404, "not-found");
    }
    let path = format!("{PATH}/file");
    let answer = server.send_file(&path, b"no wasm").await;
    assert_eq!(answer.problem(422, "not-admitted")["reason"], "not_wasm");
    // Nothing was posted yet, which is no mistake.
    let job = ended(&server, json!({"release_id": release})).await;
    assert_eq!(
        (&job["status"], &job["permille"]),
        (&json!("done"), &json!(0))
    );
    assert_eq!(job["report"]["total"]["charges"], 0);
}

/// Keeps what it sees; the first one wishes that it ends.
struct Until<'c>(&'c Control, Vec<ChargeId>, bool);

impl Sink for Until<'_> {
    fn see(&mut self, charge: &PastCharge, again: Result<Priced, Unrated>) {
        assert!(again.is_ok());
        self.1.push(charge.charge);
        if self.2 {
            self.0.stop();
        }
    }
}

#[tokio::test]
async fn what_was_done_when_it_is_stopped_is_all_up_to_a_moment() {
    let server = Server::start().await;
    let file = release_file("stopped", "3");
    sells(&server, &file).await;
    let customer = server.customer("acme", "1000").await;
    for _ in 0..20 {
        let items = vec![usage(); 256];
        let batch = customer.post("/v1/usage/batch", json!({"items": items}));
        batch.await.expect(200);
    }
    let store = Arc::clone(server.app.service().store());
    let run = move |stops: bool| {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::new(cache.path().into()).unwrap();
        let engine = engine.trusting(STANDARD_COMPONENT);
        let release = engine.admit(&file, None).unwrap().id;
        let task = Task {
            posted_ms: i64::MIN..i64::MAX,
            under: Under::Release(release),
            priced_by: None,
            lines: Lines::LeftOut,
        };
        let tools = Tools {
            past: store.as_ref(),
            engine: &engine,
            prepare: || {},
        };
        let control = Control::default();
        let mut sinks = [(); 2].map(|()| Until(&control, Vec::new(), stops));
        let end = rerate::run(tools, &task, &control, &mut sinks).unwrap();
        let seen: BTreeSet<_> = sinks.into_iter().flat_map(|sink| sink.1).collect();
        (end, seen)
    };
    let (whole, all) = run(false);
    assert_eq!((whole, all.len()), (End::Whole, 20 * 256));
    let (stopped, some) = run(true);
    assert_eq!(stopped, End::Stopped);
    assert!(!some.is_empty() && some.len() < all.len(), "{}", some.len());
    assert!(all.iter().take(some.len()).eq(&some));
}

#[tokio::test]
async fn a_backtest_that_is_stopped_ends_and_says_so() {
    let server = Server::start().await;
    let release = sells(&server, &release_file("stop", "3")).await;
    let customer = server.customer("acme", "1000").await;
    for _ in 0..8 {
        let items = vec![usage(); 256];
        let batch = customer.post("/v1/usage/batch", json!({"items": items}));
        batch.await.expect(200);
    }
    let begun = server
        .client
        .admin(Method::POST, PATH, json!({"release_id": release}))
        .await
        .expect(202);
    let path = format!("{PATH}/{}", begun["id"].as_str().unwrap());
    let stop = [("authorization", format!("Bearer {ADMIN}"))];
    let stop: Vec<_> = stop
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = server.client.send(Method::DELETE, &path, &stop, "").await;
    answer.expect(202);
    let job = follow(&server, begun).await;
    // It may have been over already; then it is whole.
    let whole = job["report"]["whole"].as_bool().unwrap();
    assert_eq!(job["status"], if whole { "done" } else { "stopped" });
    assert_eq!(whole, job["report"]["total"]["charges"] == 8 * 256);
}

#[tokio::test]
async fn floors_that_would_break_and_faults_are_counted_apart() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for _ in 0..3 {
        charged(&customer, usage()).await;
    }
    let store = Arc::clone(server.app.service().store());
    // No admission lets these in; a policy may still fail with input that no trial has.
    let missed = |mode: &str| {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::new(cache.path().into()).unwrap();
        let release = engine
            .load_release(
                &farebox_tests::guests::component(farebox_tests::guests::HOSTILE),
                farebox_tests::books::two_models(mode).canonical,
                LimitClass::Native,
                Trust::Trusted,
            )
            .unwrap();
        let question = Question {
            release,
            posted_ms: i64::MIN..i64::MAX,
            priced_by: None,
        };
        let engine: SharedEngine = Arc::new(engine);
        backtest::run(&store, &engine, || {}, &question, &Control::default()).unwrap()
    };
    let honest = missed("honest");
    assert_eq!((honest.total.charges, honest.missed.len()), (3, 0));
    let report = missed("under_cost");
    assert_eq!(report.total.charges, 0);
    assert_eq!(report.missed.len(), 1);
    assert_eq!(report.missed[0].why, Miss::Fault("below_cost"));
    let shown = BacktestReportJson::of(&report, |at_ms| at_ms.to_string());
    assert_eq!(shown.losses.floors_broken, 3);
    // Three calls of a thousand tokens in and a hundred out, at the list price.
    assert_eq!(shown.losses.floors_broken_cost_usd, "0.00063");
    assert_eq!(shown.missed[0].reason, "fault");
    let report = missed("trap");
    assert_eq!(report.missed[0].why, Miss::Fault("trap"));
    assert_eq!(report.missed[0].charges, 3);
}

#[tokio::test]
async fn charges_of_a_release_that_is_not_loaded_are_rated_by_the_other_and_a_missing_one_rates_none()
 {
    let server = Server::start().await;
    let now = sells(&server, &release_file("now", "3")).await;
    let customer = server.customer("acme", "10").await;
    charged(&customer, of_feature("chat", 1_000)).await;
    let lost = sells(&server, &release_file("lost", "5")).await;
    charged(&customer, of_feature("chat", 1_000)).await;
    let body = json!({"release_id": now, "expected": lost});
    let path = "/v1/admin/bindings/activate";
    let back = server.client.admin(Method::POST, path, body).await;
    back.expect(200);
    let folder = server.stop().await;
    let database = rusqlite::Connection::open(folder.path().join("data/ledger.db")).unwrap();
    super::promises::damage_book(&database);
    drop(database);
    let options = super::server::options(folder.path());
    let server = Server::on(folder, options).await;
    // What it charged stands on its receipts, and needs nobody to price it.
    for priced_by in [Value::Null, json!(lost)] {
        let question = json!({"release_id": now, "priced_by": priced_by});
        let report = ended(&server, question).await["report"].clone();
        let releases = if priced_by.is_null() { 2 } else { 1 };
        assert_eq!(report["total"]["charges"], releases, "{report}");
        assert_eq!(report["total"]["change_usd"], "-0.002");
        assert_eq!(report["missed"], json!([]));
    }
    // It rates nothing itself.
    let question = json!({"release_id": lost});
    let refused = server.client.admin(Method::POST, PATH, question).await;
    refused.problem(409, "release-missing");
    let repair = json!({"wrong_release_id": lost, "corrected_release_id": now, "post": true});
    let begun = server
        .client
        .admin(Method::POST, "/v1/admin/repairs", repair)
        .await;
    let ended = server.ended("/v1/admin/repairs", &begun.expect(202)).await;
    assert_eq!(ended["report"]["posted"]["back_usd"], "0.002");
}
