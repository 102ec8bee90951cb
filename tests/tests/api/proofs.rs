//! A whole ledger priced again (L10): every charge is the one its receipt explains, and where that
//! cannot be shown it says which charge, or which release is missing.

use super::server::{Server, release_file, usage};
use farebox::app::replay::Replayer;
use farebox::service::ledger::receipt::Pricing;
use farebox::service::ledger::write::{Action, Actor, CallAudit, Personal, UsageWrite, Write};
use farebox::service::policy::{Digest, ReleaseId};
use farebox::service::rerate::Control;
use farebox::store::directory::DataDirectory;
use farebox_ledger::command::Reach;
use farebox_ledger::ids::{ChargeId, EventId, OrgId};
use farebox_pricing::money::Nanos;
use hyper::Method;
use serde_json::json;

fn replayer(server: &Server) -> Replayer {
    let folder = server.folder();
    let directory = DataDirectory::new(folder.join("data"));
    Replayer::open(directory, folder.join("replay-cache")).unwrap()
}

/// A charge that is what `change` makes of the price of another one.
async fn forge(
    server: &Server,
    org: &str,
    charge: &str,
    change: impl FnOnce(&mut Pricing),
) -> ChargeId {
    let service = server.app.service();
    let org: OrgId = org.parse().unwrap();
    let receipt = service.store().receipt(org, charge.parse().unwrap());
    let receipt = receipt.unwrap().unwrap();
    let mut pricing = receipt.pricing;
    change(&mut pricing);
    let forged = ChargeId::new(service.clock().next_id());
    let usage = UsageWrite {
        org,
        event_id: EventId::new(service.clock().next_id()),
        occurred_at_ms: service.clock().now_ms(),
        hold: None,
        reach: Reach::Wallet,
        last: true,
        dimensions: std::sync::Arc::default(),
        event: receipt.event,
        raw_usage: None,
        audit: CallAudit::default(),
        personal: Personal::default(),
        charge: Some((forged, pricing)),
        unpriced: None,
        counts: Vec::new(),
    };
    let write = Write {
        at_ms: service.clock().now_ms(),
        actor: Actor::Host,
        request_id: "forged".into(),
        idempotency: None,
        once: None,
        action: Action::Usage(Box::new(usage)),
    };
    service.store().submit(write).await.unwrap();
    forged
}

#[tokio::test]
async fn l10_every_charge_is_priced_again_and_what_differs_or_is_missing_is_named() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let first = customer.post("/v1/usage", usage()).await.expect(200);
    // Under another release from here on, and one that is written off.
    let other = server.push(&release_file("other", "3")).await.expect(201);
    let bound = server.bound(None).await;
    let activate = json!({"release_id": other["id"], "expected": bound});
    let path = "/v1/admin/bindings/activate";
    server
        .client
        .admin(Method::POST, path, activate)
        .await
        .expect(200);
    customer.post("/v1/usage", usage()).await.expect(200);
    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    let unknown = customer.post("/v1/usage", unknown).await.expect(202);
    let event = unknown["event_id"].as_str().unwrap();
    let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
    let body = json!({"write_off": true});
    server
        .client
        .admin(Method::POST, &path, body)
        .await
        .expect(200);

    let replayed = replayer(&server).prove(&Control::default()).unwrap();
    assert!(replayed.proof.is_whole(), "{:?}", replayed.proof);
    assert_eq!(
        (
            replayed.proof.same,
            replayed.proof.written_off,
            replayed.proof.charges()
        ),
        (2, 1, 3)
    );

    // One nano-credit too much, and a release that nobody has.
    let charge = first["charge_id"].as_str().unwrap();
    let dearer = forge(&server, &customer.org, charge, |pricing| {
        pricing.price = Nanos::new(pricing.price.get() + 1).unwrap();
    })
    .await;
    let gone = ReleaseId {
        component: Digest([5; 32]),
        book: Digest([5; 32]),
    };
    forge(&server, &customer.org, charge, |pricing| {
        pricing.release = Some(gone)
    })
    .await;
    let replayer = replayer(&server);
    let proof = replayer.prove(&Control::default()).unwrap().proof;
    assert!(!proof.is_whole());
    assert_eq!(proof.same, 2);
    assert_eq!(proof.differences.len(), 1);
    assert_eq!(proof.differences[0].charge, dearer);
    assert_eq!(proof.differences[0].what, "its price in credits differs");
    let gone = gone.to_string();
    assert_eq!(proof.missing.get(&gone), Some(&1));
    assert_eq!(replayer.why_missing(&gone), "is not in this data directory");
}
