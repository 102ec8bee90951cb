//! Envoy as `guest/envoy/envoy.yaml` configures it, with this machine's values filled in.

use super::providers::Providers;
use crate::client::Client;
use crate::guests;
use crate::server;
use crate::step::{self, note};
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// What the configuration leaves open.
pub struct Values<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// Where everything is written.
    pub folder: &'a Path,
    /// Where callers find the gateway.
    pub port: u16,
    /// The host's port.
    pub host: u16,
    /// Who serves.
    pub providers: &'a Providers,
    /// The canonical book.
    pub book: &'a [u8],
}

/// A running Envoy. Ended when dropped.
pub struct Proxy {
    child: Child,
    /// Where callers find it.
    pub port: u16,
    /// Where its operator does.
    pub admin_port: u16,
    /// Its configuration.
    pub config: PathBuf,
    log: PathBuf,
}

impl Proxy {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It does not take the configuration, or is not ready in time; the message holds its log.
    pub fn start(values: &Values<'_>) -> Result<Self> {
        let admin_port = server::address(0)?.port();
        let config = values.folder.join("envoy.yaml");
        std::fs::write(&config, fill(values, admin_port)?)?;
        let log = values.folder.join("envoy.log");
        let child = Command::new(values.root.join("target/envoy/envoy"))
            .arg("--config-path")
            .arg(&config)
            .args(["--concurrency", "2", "--use-dynamic-base-id"])
            .args(["--log-level", "warning"])
            // What is killed has written all but its last moment.
            .args(["--file-flush-interval-msec", "100"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("could not start Envoy")?;
        let mut proxy = Self {
            child,
            port: values.port,
            admin_port,
            config,
            log,
        };
        proxy.wait_until_ready()?;
        note(&format!("listens on http://127.0.0.1:{}", proxy.port));
        Ok(proxy)
    }

    fn admin(&self) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port)))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("Envoy ended with {status}: {}", self.said());
            }
            let answer = self.admin().get("/ready");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("Envoy was not ready in time: {}", self.said());
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time, or ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        let quit = serde_json::Value::Null;
        self.admin().post("/quitquitquit", None, &quit)?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(
                    status.success(),
                    "Envoy ended with {status}: {}",
                    self.said()
                );
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("Envoy did not stop within {}", step::seconds(STOP_MAX));
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The repository's configuration with every `${NAME}` given its value.
fn fill(values: &Values<'_>, admin_port: u16) -> Result<String> {
    let path = values.root.join("guest/envoy/envoy.yaml");
    let mut text = std::fs::read_to_string(&path)
        .with_context(|| format!("could not read `{}`", path.display()))?;
    let local = || Ipv4Addr::LOCALHOST.to_string();
    let filter = guests::path(values.root, "farebox_filter");
    let mut filled = vec![
        ("GATEWAY_PORT", values.port.to_string()),
        ("ADMIN_PORT", admin_port.to_string()),
        ("FAREBOX_HOST", local()),
        ("FAREBOX_PORT", values.host.to_string()),
        ("FAREBOX_FILTER", filter.display().to_string()),
        ("FAREBOX_BOOK", STANDARD.encode(values.book)),
        (
            "ACCESS_LOG",
            values.folder.join("calls.jsonl").display().to_string(),
        ),
    ];
    // The keys are those that the recorded providers take.
    for (host, port, key, name, secret) in [
        (
            "OPENAI_HOST",
            "OPENAI_PORT",
            "OPENAI_API_KEY",
            "openai",
            "sk-openai",
        ),
        (
            "ANTHROPIC_HOST",
            "ANTHROPIC_PORT",
            "ANTHROPIC_API_KEY",
            "anthropic",
            "sk-ant",
        ),
        (
            "OPENROUTER_HOST",
            "OPENROUTER_PORT",
            "OPENROUTER_API_KEY",
            "openrouter",
            "sk-or",
        ),
    ] {
        filled.push((host, local()));
        filled.push((port, values.providers.port(name)?.to_string()));
        filled.push((key, secret.to_owned()));
    }
    for (name, value) in filled {
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    Ok(text)
}
