//! The grants that pages of ways of billing show, as an operator would run them: given once, spent
//! before what was bought, gone at their end.

use crate::page::{blocks, shell, text};
use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};

const PLAN_TIERS: &str = include_str!("../../docs/billing/plan-tiers.md");
const COMPUTE_UNITS: &str = include_str!("../../docs/billing/compute-units.md");

/// The command that a page shows, for this org.
fn grant(page: &'static str, org: &str) -> String {
    let shown = blocks(page).into_iter().map(|block| block.text);
    let mut grants = shown.filter(|text| text.starts_with("farebox wallet grant ORG "));
    let grant = grants.next().unwrap();
    assert!(grants.next().is_none());
    grant.replace("ORG", org)
}

/// A grant's source, what is left of it, and when it ends.
fn lots(wallet: &Value) -> Vec<(&str, &str, Option<&str>)> {
    let lots = wallet["grants"].as_array().unwrap().iter();
    lots.map(|lot| {
        (
            lot["source"].as_str().unwrap(),
            lot["remaining_credits"].as_str().unwrap(),
            lot["expires_at"].as_str(),
        )
    })
    .collect()
}

#[test]
fn included_credits_and_starter_balances_are_given_once_and_spent_first() {
    for (page, credits, rest, ends) in [
        (PLAN_TIERS, "50", "40", "2027-01-01T00:00:00.000Z"),
        (COMPUTE_UNITS, "100", "90", "2027-03-01T00:00:00.000Z"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let nothing: [&str; 0] = [];
        let server = Server::start(&folder.path().join("data"), nothing);
        let run = |script: &str| -> Value {
            let done = shell(folder.path(), &server.url, script);
            assert!(done.status.success(), "{script}: {}", text(&done));
            serde_json::from_slice(&done.stdout).unwrap()
        };
        let org = run("farebox org create acme --json")["id"]
            .as_str()
            .unwrap()
            .to_owned();
        // Bought first, and for ever; and the page's command a second time, as a job is retried.
        run(&format!(
            "farebox wallet grant {org} 500 --source purchase --paid USD:5000 --payment test:1 --json"
        ));
        let command = format!("{} --json", grant(page, &org).trim_end());
        let [first, again] = [run(&command), run(&command)];
        assert_eq!(
            (&first["id"], &again["replayed"]),
            (&again["id"], &json!(true))
        );
        let wallet = || run(&format!("farebox wallet show {org} --json"));
        let before = wallet();
        let mut given = lots(&before);
        given.sort_unstable();
        let bought = ("purchase", "500", None);
        assert_eq!(given, [("promotional", credits, Some(ends)), bought]);
        let report = json!({"provider": "apify", "provider_cost_usd": "0.8"});
        let mut answer = ureq::post(format!("{}/v1/usage", server.url))
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/json")
            .header("farebox-org", &org)
            .send(report.to_string())
            .unwrap();
        let answer = answer.body_mut().read_to_string().unwrap();
        assert!(answer.contains("\"credits\":\"10\""), "{answer}");
        let after = wallet();
        let mut left = lots(&after);
        left.sort_unstable();
        assert_eq!(left, [("promotional", rest, Some(ends)), bought]);
    }
}
