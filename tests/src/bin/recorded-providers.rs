//! The recorded providers as a process of their own, for `cargo xtask gateway`: says in one line of
//! JSON where each is, and serves until it is ended or its standard input is closed.

use farebox_tests::provider::{KeyPlace, Provider};
use serde_json::{Map, Value};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

/// Slow enough to be seen.
const PACE: Duration = Duration::from_millis(60);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut ports = Map::new();
    for (name, place, key) in [
        ("openai", KeyPlace::Bearer, "sk-openai"),
        ("anthropic", KeyPlace::ApiKey, "sk-ant"),
        ("openrouter", KeyPlace::Bearer, "sk-or"),
    ] {
        let provider = Arc::new(Provider::new(name, place, &[key]).at_pace(PACE));
        let address = runtime.block_on(provider.serve());
        ports.insert(name.to_owned(), Value::from(address.port()));
    }
    println!("{}", Value::Object(ports));
    // Whoever started this holds the other end, and cannot forget to end it.
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
}
