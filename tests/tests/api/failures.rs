//! Calls that do not end well: what the price book says of them is what the wallet sees.

use super::server::{Customer, Server};
use farebox::config::Options;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const BOOK: &str = r#"
name = "failures"
as_of = "2026-11-21"
[failures]
client_abort = "estimate"
upstream_error = "nothing"
no_usage = "hold"
zero_usage = "nothing"
partial_stream = "seen"
estimate = { bytes_per_token = 4, output_share = "0.5" }
[[models]]
provider = "openai"
model = "gpt"
max_output_tokens = 1000
per_million = { input = "2", output = "20" }
"#;

fn with_the_book(options: &mut Options) {
    with(BOOK, options);
}

fn with(book: &str, options: &mut Options) {
    let data_dir = options.data_dir.clone().unwrap();
    let path = data_dir.parent().unwrap().join("book.toml");
    std::fs::write(&path, book).unwrap();
    options.price_book = Some(path);
}

async fn held(customer: &Customer) -> Value {
    let call = json!({"call": {"provider": "openai", "model": "gpt",
        "body_bytes": 400, "max_output_tokens": 1000}});
    customer.post("/v1/holds", call).await.expect(201)
}

async fn state_of(customer: &Customer, hold: &Value) -> Value {
    let id = hold["id"].as_str().unwrap();
    customer.get(&format!("/v1/holds/{id}")).await.expect(200)["status"].clone()
}

fn request() -> Value {
    json!({"model": "gpt", "max_output": 1000, "body_bytes": 400})
}

#[tokio::test]
async fn what_the_book_says_of_a_call_that_did_not_end_well_is_what_is_charged() {
    let server = Server::start_as(with_the_book).await;
    let customer = server.customer("acme", "10").await;

    // Seven tokens were seen. 400 bytes are 100 of prompt, and half of 1,000 may have been made:
    // 100 × 0.000002 + 500 × 0.00002 = 0.0102, a tenth of a credit and a bit.
    let hold = held(&customer).await;
    let aborted = json!({"hold_id": hold["id"], "provider": "openai", "model": "gpt",
        "aborted": true, "request": request(), "usage": {"output": 7}});
    let aborted = customer.post("/v1/usage", aborted).await.expect(200);
    assert_eq!(aborted["price_usd"], "0.0102", "{aborted}");
    assert_eq!(customer.available().await, "9.898");

    // The provider's error costs nothing, and gives the hold back.
    let hold = held(&customer).await;
    let failed = json!({"hold_id": hold["id"], "provider": "openai", "model": "gpt",
        "status": 503, "request": request(), "usage": {"input": 100}});
    let failed = customer.post("/v1/usage", failed).await.expect(200);
    assert_eq!(failed["price_usd"], "0", "{failed}");
    assert_eq!(state_of(&customer, &hold).await, "captured");

    // So does an answer that says that nothing was used.
    let nothing = json!({"provider": "openai", "model": "gpt", "usage": {"input": 0}});
    let nothing = customer.post("/v1/usage", nothing).await.expect(200);
    assert_eq!(nothing["price_usd"], "0", "{nothing}");
    assert_eq!(customer.available().await, "9.898");

    // The first part of a stream is charged as far as it was seen.
    let sse = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
         \"type\":\"message\",\"model\":\"gpt\",\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n";
    let partial = json!({"provider": "openai", "api": "messages", "sse": sse});
    let partial = customer.post("/v1/usage", partial).await.expect(200);
    assert_eq!(partial["price_usd"], "0.00202", "{partial}");

    // An answer that does not say what was used waits for a person, and so does its money.
    let hold = held(&customer).await;
    let silent = json!({"hold_id": hold["id"], "provider": "openai", "response": {"id": "c-1",
        "object": "chat.completion", "model": "gpt", "choices": []}});
    let silent = customer.post("/v1/usage", silent).await.expect(202);
    assert_eq!(silent["reason"], "no_usage", "{silent}");
    assert_eq!(state_of(&customer, &hold).await, "active");
    // 9.898 − 0.0202 − what is held.
    let reserved: Decimal = hold["credits"].as_str().unwrap().parse().unwrap();
    let left = Decimal::new(98_778, 4) - reserved;
    assert_eq!(customer.available().await, left.normalize().to_string());
}

#[tokio::test]
async fn a_receipt_names_the_rule_that_was_followed_and_replays() {
    let server = Server::start_as(with_the_book).await;
    let customer = server.customer("acme", "10").await;
    let aborted = json!({"provider": "openai", "model": "gpt", "aborted": true,
        "request": request(), "usage": {"output": 7}});
    let charged = customer.post("/v1/usage", aborted).await.expect(200);
    let id = charged["charge_id"].as_str().unwrap();
    let receipt = customer.get(&format!("/v1/charges/{id}/receipt")).await;
    let receipt = receipt.expect(200);
    assert!(
        receipt.to_string().contains("client_abort:rated"),
        "{receipt}"
    );
    let path = format!("/v1/charges/{id}/replay");
    let replay = customer.post(&path, json!({})).await.expect(200);
    assert_eq!(replay["same"], true, "{replay}");
}

#[tokio::test]
async fn an_abort_of_which_nothing_was_seen_is_not_charged_as_seen() {
    let book = BOOK.replace("client_abort = \"estimate\"", "client_abort = \"seen\"");
    let server = Server::start_as(|options| with(&book, options)).await;
    let customer = server.customer("acme", "10").await;
    let aborted = json!({"provider": "openai", "model": "gpt", "aborted": true,
        "request": request(), "response": {"id": "c-1", "object": "chat.completion",
        "model": "gpt", "choices": []}});
    // Free would be a way to call for nothing; the book says what becomes of a call without usage.
    let waits = customer.post("/v1/usage", aborted).await.expect(202);
    assert_eq!(waits["reason"], "no_usage", "{waits}");
    let seen = json!({"provider": "openai", "model": "gpt", "aborted": true,
        "request": request(), "usage": {"output": 7}});
    let seen = customer.post("/v1/usage", seen).await.expect(200);
    assert_eq!(seen["price_usd"], "0.00014", "{seen}");
}

/// Of an error page nothing was seen: charged as seen, it costs nothing and keeps no hold.
#[tokio::test]
async fn a_providers_error_that_states_nothing_gives_its_hold_back() {
    let book = BOOK.replace("upstream_error = \"nothing\"", "upstream_error = \"seen\"");
    let server = Server::start_as(|options| with(&book, options)).await;
    let customer = server.customer("acme", "10").await;
    let hold = held(&customer).await;
    let page = json!({"hold_id": hold["id"], "provider": "openai", "model": "gpt",
        "status": 502, "request": request(), "sse": ""});
    let page = customer.post("/v1/usage", page).await.expect(200);
    assert_eq!(page["price_usd"], "0", "{page}");
    assert_eq!(state_of(&customer, &hold).await, "captured");
    assert_eq!(customer.available().await, "10");
    // What it did state is charged.
    let cut = json!({"provider": "openai", "model": "gpt", "status": 502,
        "usage": {"output": 7}});
    let cut = customer.post("/v1/usage", cut).await.expect(200);
    assert_eq!(cut["price_usd"], "0.00014", "{cut}");
}
