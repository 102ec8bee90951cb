//! Margins as a shell sees them: of a book before any traffic, and of what a server has recorded
//! over models and paid APIs alike. Both end with a code that a nightly job can act on.

use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn farebox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.env_clear();
    command
}

fn book(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../guest/standard/books/{name}.toml"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn of_book(arguments: &[&str]) -> Output {
    let mut command = farebox();
    command
        .args(["price-book", "margins"])
        .arg(book("provider-costs"));
    command.args(arguments).output().unwrap()
}

#[test]
fn the_margins_of_a_book_are_shown_and_held_to_a_bound() {
    let shown = of_book(&["--at-least", "0.16"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(
        text(&shown.stdout),
        "\
fast-chat
  worst     16.66 %  output           google/gemini-2.5-flash: sells $3 a million, costs $2.5
  best      82.00 %  output           openai/gpt-4o-mini: sells $3 a million, costs $0.54
deep-chat
  worst     23.07 %  input            anthropic/claude-sonnet-4: sells $3.9 a million, costs $3
  best      27.69 %  output           aws_bedrock/claude-sonnet-4: sells $19.5 a million, costs $14.1
"
    );
    let below = of_book(&["--at-least", "0.17"]);
    assert_eq!(below.status.code(), Some(1));
    let found = text(&below.stderr);
    assert!(
        found.contains("`fast-chat` is below 17.00 % at `google/gemini-2.5-flash`"),
        "{found}"
    );
}

fn post(server: &Server, path: &str, org: Option<&str>, body: &Value) -> Value {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let mut request = agent
        .post(format!("{}{path}", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json");
    if let Some(org) = org {
        request = request.header("farebox-org", org);
    }
    let mut answer = request.send(body.to_string()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn margins(server: &Server, arguments: &[&str]) -> Output {
    let mut command = farebox();
    command.arg("margins").args(arguments);
    command.env("FAREBOX_URL", &server.url);
    command.env("FAREBOX_ADMIN_KEY", ADMIN_KEY);
    command.output().unwrap()
}

#[test]
fn realised_margins_are_summed_over_orgs_and_held_to_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        folder.path(),
        [OsString::from("--price-book"), book("cost-plus").into()],
    );
    let mut run = None;
    for name in ["acme", "globex"] {
        let org = post(&server, "/v1/admin/orgs", None, &json!({"name": name}));
        let org = org.get("id").and_then(Value::as_str).unwrap().to_owned();
        let grant = json!({"source": "promotional", "amount_credits": "1000"});
        post(
            &server,
            &format!("/v1/admin/orgs/{org}/grants"),
            None,
            &grant,
        );
        // A model and a paid API, both for features; both a quarter above cost.
        let model = json!({
            "provider": "openrouter", "model": "openai/gpt-4o-mini", "feature": "outreach_draft",
            "usage": {"input": 100_000, "output": 10_000}
        });
        let actor = json!({
            "provider": "apify", "feature": "lead_signal_fetch", "provider_cost_usd": "0.42"
        });
        post(&server, "/v1/usage", Some(&org), &model);
        let charged = post(&server, "/v1/usage", Some(&org), &actor);
        run = Some((org, charged));
    }
    let shown = margins(&server, &["--at-least", "0.2"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let lines = text(&shown.stdout);
    let rows: Vec<Vec<&str>> = lines
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [
            vec!["feature", "events", "charged", "cost", "margin"],
            // 2 × 0.42 USD × 1.25, and 2 × 0.021 USD × 1.25, in credits of 0.10 USD.
            vec!["lead_signal_fetch", "2", "10.5", "8.4", "20.00", "%"],
            vec!["outreach_draft", "2", "0.525", "0.42", "20.00", "%"],
        ]
    );
    let below = margins(&server, &["--at-least", "0.2001", "--by", "provider"]);
    assert_eq!(below.status.code(), Some(1), "{}", text(&below.stdout));
    let found = text(&below.stderr);
    assert!(
        found.contains("provider `apify` is below the bound: 20.00 %"),
        "{found}"
    );

    // A feature's own bound stands in place of the one for all.
    let bounds = |bounds: &[&str]| {
        let bounds = bounds.iter().flat_map(|bound| ["--at-least", *bound]);
        margins(&server, &bounds.collect::<Vec<_>>())
    };
    let below = bounds(&["0.2", "outreach_draft=0.25"]);
    assert_eq!(below.status.code(), Some(1), "{}", text(&below.stdout));
    let found = text(&below.stderr);
    let named = "feature `outreach_draft` is below the bound: 20.00 %";
    assert!(found.contains(named), "{found}");
    assert!(!found.contains("lead_signal_fetch"), "{found}");
    let kept = bounds(&["0.25", "outreach_draft=0.2", "lead_signal_fetch=0.1"]);
    assert!(kept.status.success(), "{}", text(&kept.stderr));
    let unused = bounds(&["nobody=0.5"]);
    assert!(unused.status.success(), "{}", text(&unused.stderr));
    assert!(
        text(&unused.stdout).contains("\nnobody "),
        "shown without usage"
    );
    for wrong in [
        ["0.2", "0.3"],
        ["chat=0.2", "chat=0.2"],
        ["0.2", "chat=much"],
    ] {
        assert_eq!(bounds(&wrong).status.code(), Some(2), "{wrong:?}");
    }

    // What is given back was not earned: of 2 × 5.25 credits one is left, for a cost of 8.4.
    let (org, charged) = run.unwrap();
    let refund = json!({"charge_id": charged.get("charge_id"), "note": "apology"});
    let path = format!("/v1/admin/orgs/{org}/refunds");
    post(&server, &path, None, &refund);
    let below = bounds(&["0.2"]);
    assert_eq!(below.status.code(), Some(1), "{}", text(&below.stdout));
    let found = text(&below.stderr);
    let named = "feature `lead_signal_fetch` is below the bound: -60.00 %";
    assert!(found.contains(named), "{found}");
}
