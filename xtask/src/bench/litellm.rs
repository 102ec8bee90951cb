//! LiteLLM's gateway, to stand in one table with the filter: as PyPI carries it, one worker, in the
//! way to count spend that needs no database.
//!
//! That is a budget of the provider, which it keeps in memory: each call is let in by the master
//! key, checked against the budget, priced when it is over, and its price added. Keys of its own
//! and their spend are rows of Postgres that it writes through Prisma, whose engine is in no
//! package: it is downloaded when that is first used, from a server of Prisma's. So that way is not
//! measured; it does all of this, and more.

use super::edge_load::Endpoint;
use crate::client::Client;
use crate::python;
use crate::server;
use crate::step::note;
use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// In the names of its figures.
pub const NAME: &str = "litellm";
const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";
/// What the provider's answer costs by LiteLLM's own prices, in nano-dollars: 86 tokens at 0.15 $ a
/// million, and 200 at 0.60 $.
const CALL_NANO_USD: u64 = 132_900;
/// How long it may take to listen: a cold start reads some thousand files.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long it may take to count what it has answered.
const COUNTED_MAX: Duration = Duration::from_secs(30);

/// The running gateway. Ended when dropped.
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    /// Calls that it was asked before any load.
    asked: u64,
}

/// Installs it, starts it in `folder` before a provider, and has it answer and count a call and a
/// stream. None where it cannot be installed, which is said.
///
/// # Errors
/// It does not start, answers something else than the provider, or counts another price.
pub fn start(root: &Path, folder: &Path, provider: SocketAddr) -> Result<Option<Gateway>> {
    let installed = root.join("target/litellm");
    let requirements = root.join("tests/peers/gateway.txt");
    if let Err(error) = python::install(&installed, &requirements, "some minutes, once") {
        note(&format!(
            "left out: LiteLLM's gateway: {}",
            last_line(&error)
        ));
        return Ok(None);
    }
    note("LiteLLM's gateway: spend is counted in memory, not by key in its database");
    let mut gateway = Gateway::start(&installed, folder, provider)?;
    for stream in [false, true] {
        let answer = content(provider, stream)?;
        ensure!(!answer.is_empty(), "the provider answers nothing");
        let passed = content(gateway.address, stream)?;
        ensure!(
            passed == answer,
            "LiteLLM's gateway answers `{passed}` for `{answer}`"
        );
        gateway.asked = gateway.asked.saturating_add(1);
        gateway.wait_until_counted(gateway.asked)?;
    }
    Ok(Some(gateway))
}

impl Gateway {
    fn start(installed: &Path, folder: &Path, provider: SocketAddr) -> Result<Self> {
        std::fs::create_dir(folder)?;
        // JSON is YAML.
        let config = folder.join("config.yaml");
        std::fs::write(&config, settings(provider).to_string())?;
        let address = server::address(0)?;
        let log = folder.join("log");
        let file = File::create(&log)?;
        let child = Command::new(python::python(installed))
            .arg(installed.join("venv/bin/litellm"))
            .arg("--config")
            .arg(&config)
            .args(["--host", "127.0.0.1", "--num_workers", "1"])
            .args(["--port", &address.port().to_string()])
            // What a user's own gateway is told is not told to this one.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", folder)
            .env("LITELLM_MASTER_KEY", KEY)
            // As its page on production has it; and its prices are those of its package.
            .env("LITELLM_MODE", "PRODUCTION")
            .env("LITELLM_LOG", "ERROR")
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("could not start LiteLLM's gateway")?;
        let mut gateway = Self {
            child,
            address,
            log,
            asked: 0,
        };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let client = Client::new(self.address);
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("LiteLLM's gateway ended with {status}: {}", self.log_end());
            }
            let answer = client.get("/health/liveliness");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "LiteLLM's gateway was not ready in time: {}",
            self.log_end()
        );
    }

    /// As it is called. With one worker it serves in the process that was started.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            name: NAME,
            port: self.address.port(),
            process: self.child.id(),
            key: KEY.to_owned(),
            calls: 0,
        }
    }

    /// Asserts that it has added the price of each of so many calls that loads made, to the last
    /// nano-dollar, and of nothing else.
    ///
    /// # Errors
    /// It has not.
    pub fn has_counted(&self, calls: u64) -> Result<()> {
        self.wait_until_counted(self.asked.saturating_add(calls))
    }

    /// It answers first, and counts after.
    fn wait_until_counted(&self, calls: u64) -> Result<()> {
        let wanted = calls.saturating_mul(CALL_NANO_USD);
        let begun = Instant::now();
        loop {
            let spent = self.spent_nano_usd()?;
            if spent == wanted {
                return Ok(());
            }
            ensure!(
                spent < wanted && begun.elapsed() < COUNTED_MAX,
                "LiteLLM's gateway has counted {spent} nano-dollars for {calls} calls that cost \
                 {wanted}: {}",
                self.log_end()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spent_nano_usd(&self) -> Result<u64> {
        let client = Client::new(self.address).with_key(KEY);
        let budgets = client.get("/provider/budgets")?.ok()?;
        let spend = budgets.pointer("/providers/openai/spend");
        let spend = spend.and_then(Value::as_number);
        let spend = spend.with_context(|| format!("no spend in {budgets}"))?;
        nano_usd(&spend.to_string())
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn settings(provider: SocketAddr) -> Value {
    json!({
        "model_list": [{
            "model_name": "gpt-4o-mini",
            "litellm_params": {
                "model": "openai/gpt-4o-mini",
                "api_key": "sk-bench",
                "api_base": format!("http://{provider}/v1"),
            },
        }],
        "router_settings": { "provider_budget_config": {
            "openai": { "budget_limit": 1_000_000, "time_period": "1d" },
        }},
        "general_settings": { "master_key": "os.environ/LITELLM_MASTER_KEY" },
    })
}

/// US dollars, summed in binary fractions, as whole nano-dollars.
fn nano_usd(text: &str) -> Result<u64> {
    let plain = text.parse().or_else(|_| Decimal::from_scientific(text));
    let usd: Decimal = plain.with_context(|| format!("`{text}` is no amount"))?;
    let nano = usd.checked_mul(Decimal::from(1_000_000_000_u64));
    let nano = nano.and_then(|nano| u64::try_from(nano.round()).ok());
    nano.with_context(|| format!("`{text}` is out of range"))
}

/// Of all that an installer says the line that says why it ended.
fn last_line(error: &anyhow::Error) -> String {
    let said = error.to_string();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or_default().trim().to_owned()
}

/// The text that whoever listens at `address` answers with.
fn content(address: SocketAddr, stream: bool) -> Result<String> {
    let body = json!({
        "model": "gpt-4o-mini",
        "messages": [{ "role": "user", "content": "Why is the sky blue?" }],
        "stream": stream,
        "stream_options": stream.then(|| json!({ "include_usage": true })),
    });
    let mut answer = ureq::post(format!("http://{address}/v1/chat/completions"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .send(body.to_string())?;
    text_of(&answer.body_mut().read_to_string()?)
}

/// The words of an answer, whole or streamed.
fn text_of(answer: &str) -> Result<String> {
    let events = answer
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<&str> = events.filter(|event| *event != "[DONE]").collect();
    let (parts, path) = match events.as_slice() {
        [] => (vec![answer], "/choices/0/message/content"),
        events => (events.to_vec(), "/choices/0/delta/content"),
    };
    let mut text = String::new();
    for part in parts {
        let part: Value =
            serde_json::from_str(part).with_context(|| format!("`{part}` is no JSON"))?;
        ensure!(part.get("error").is_none(), "an answer says {part}");
        text.push_str(
            part.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_binary_fractions_are_whole_nano_dollars() {
        for (text, nano) in [
            ("0.0", 0),
            ("0.00013289999999999998", 132_900),
            ("0.08439150000000026", 635 * 132_900),
            ("1.329e-4", 132_900),
        ] {
            assert_eq!(nano_usd(text).expect("an amount"), nano, "{text}");
        }
        nano_usd("much").expect_err("no amount");
        nano_usd("-1").expect_err("nobody gives back");
    }

    #[test]
    fn what_cannot_be_installed_is_said_in_one_line() {
        let error = anyhow::anyhow!("`pip` ended with 1: a warning\nERROR: no such version\n");
        assert_eq!(last_line(&error), "ERROR: no such version");
    }

    #[test]
    fn the_words_of_whole_and_streamed_answers_are_read() {
        let whole = r#"{"choices":[{"message":{"content":"a b"}}]}"#;
        let streamed = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
                        data: {\"choices\":[{\"delta\":{\"content\":\" b\"}}]}\n\n\
                        data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        for answer in [whole, streamed] {
            assert_eq!(text_of(answer).expect("an answer"), "a b");
        }
        let broken = "data: {\"error\":{\"message\":\"it repeats itself\"}}\n\n";
        text_of(broken).expect_err("an answer that broke off");
    }
}
