//! A load of hold + usage pairs over HTTP with keep-alive, for `cargo xtask bench`.
//!
//! It shares the machine's cores with the server it measures, so it does as little as a client
//! can: requests are written ahead, answers are scanned, not parsed. One pair is a hold and the
//! usage report that captures it. Prints one flat JSON object of whole numbers.
//!
//! `http_bench ADDRESS SECONDS CONNECTIONS KEY…` — each key is one org's.

mod answers;

use answers::{Failure, is_whole, percentile};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOLD: &str = r#"{"call":{"provider":"openai","model":"gpt-4o-mini","body_bytes":400,"max_output_tokens":200}}"#;
const USAGE_BEFORE_ID: &str = r#"{"hold_id":""#;
const USAGE_AFTER_ID: &str = r#"","provider":"openai","api":"chat","response":{"id":"chatcmpl-"#;
const USAGE_AFTER_RESPONSE_ID: &str = r#"","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","service_tier":"default","usage":{"prompt_tokens":86,"completion_tokens":42,"total_tokens":128,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}}}"#;

/// What one connection saw.
#[derive(Default)]
struct Seen {
    holds_us: Vec<u64>,
    usages_us: Vec<u64>,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("missing: {what}"));
    let address = next("ADDRESS")?;
    let seconds: u64 = next("SECONDS")?.parse()?;
    let connections: usize = next("CONNECTIONS")?.parse()?;
    let keys: Vec<String> = arguments.collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(load(
        &address,
        Duration::from_secs(seconds),
        connections,
        &keys,
    ))
}

async fn load(
    address: &str,
    duration: Duration,
    connections: usize,
    keys: &[String],
) -> Result<(), Failure> {
    // Never twice for one server: what is said again under the same key is only answered again.
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let numbers = Arc::new(AtomicU64::new(u64::try_from(since)?));
    let begun = Instant::now();
    let until = begun.checked_add(duration).ok_or("too long")?;
    let mut running = tokio::task::JoinSet::new();
    for key in keys.iter().cycle().take(connections) {
        let connection = Connection::open(address, key, Arc::clone(&numbers)).await?;
        running.spawn(connection.run(until));
    }
    let mut all = Seen::default();
    while let Some(seen) = running.join_next().await {
        let seen = seen??;
        all.holds_us.extend(seen.holds_us);
        all.usages_us.extend(seen.usages_us);
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis())?.max(1);
    let pairs = u64::try_from(all.usages_us.len())?;
    let per_second = pairs.saturating_mul(1000).checked_div(took_ms).unwrap_or(0);
    all.holds_us.sort_unstable();
    all.usages_us.sort_unstable();
    println!(
        "{{\"http_pairs_per_s\":{per_second},\"http_hold_p50_us\":{},\"http_hold_p99_us\":{},\
         \"http_usage_p50_us\":{},\"http_usage_p99_us\":{},\"http_pairs\":{pairs}}}",
        percentile(&all.holds_us, 50),
        percentile(&all.holds_us, 99),
        percentile(&all.usages_us, 50),
        percentile(&all.usages_us, 99),
    );
    Ok(())
}

struct Connection {
    stream: TcpStream,
    authorization: String,
    numbers: Arc<AtomicU64>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: &str, key: &str, numbers: Arc<AtomicU64>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            authorization: format!("host: bench\r\nauthorization: Bearer {key}\r\n"),
            numbers,
            received: Vec::with_capacity(16 << 10),
        })
    }

    async fn run(mut self, until: Instant) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        while Instant::now() < until {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            self.call("/v1/holds", &format!("hold-{number}"), HOLD)
                .await?;
            seen.holds_us.push(micros(begun)?);
            let id = self.hold_id()?;
            let usage = [
                USAGE_BEFORE_ID,
                &id,
                USAGE_AFTER_ID,
                &number.to_string(),
                USAGE_AFTER_RESPONSE_ID,
            ]
            .concat();
            let begun = Instant::now();
            self.call("/v1/usage", &format!("usage-{number}"), &usage)
                .await?;
            seen.usages_us.push(micros(begun)?);
        }
        Ok(seen)
    }

    /// Sends one request and waits for the whole answer, which must be a success.
    async fn call(&mut self, path: &str, idempotency_key: &str, body: &str) -> Result<(), Failure> {
        let request = format!(
            "POST {path} HTTP/1.1\r\n{}content-type: application/json\r\n\
             idempotency-key: {idempotency_key}\r\ncontent-length: {}\r\n\r\n{body}",
            self.authorization,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if is_whole(&self.received)? {
                break;
            }
        }
        if !self.received.starts_with(b"HTTP/1.1 2") {
            return Err(String::from_utf8_lossy(&self.received).into_owned().into());
        }
        Ok(())
    }

    /// The first `"id"` of the last answer.
    fn hold_id(&self) -> Result<String, Failure> {
        let answer = std::str::from_utf8(&self.received)?;
        let (_, rest) = answer
            .split_once("\"id\":\"")
            .ok_or("a hold without an id")?;
        let (id, _) = rest.split_once('"').ok_or("a hold without an id")?;
        Ok(id.to_owned())
    }
}

fn micros(begun: Instant) -> Result<u64, Failure> {
    Ok(u64::try_from(begun.elapsed().as_micros())?)
}
