//! A running Envoy, under a configuration that somebody else writes.

use crate::client::Client;
use crate::step;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// How it is started.
pub struct Setup<'a> {
    /// The checkout, below which Envoy is installed.
    pub root: &'a Path,
    /// Where its configuration and its log are written.
    pub folder: &'a Path,
    /// Its configuration, in YAML.
    pub config: &'a str,
    /// The port of its admin interface, as the configuration has it.
    pub admin_port: u16,
    /// How many threads serve.
    pub workers: u16,
    /// Whether Ctrl-C is ours to answer: it does not reach what is started.
    pub apart: bool,
}

/// A running Envoy. Ended when dropped.
pub struct Proxy {
    child: Child,
    /// Where its operator finds it.
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
    pub fn start(setup: &Setup<'_>) -> Result<Self> {
        let config = setup.folder.join("envoy.yaml");
        std::fs::write(&config, setup.config)?;
        let log = setup.folder.join("envoy.log");
        let mut command = Command::new(setup.root.join("target/envoy/envoy"));
        if setup.apart {
            command.process_group(0);
        }
        let child = command
            .arg("--config-path")
            .arg(&config)
            .args(["--concurrency", &setup.workers.to_string()])
            .args(["--use-dynamic-base-id", "--log-level", "warning"])
            // What is killed has written all but its last moment.
            .args(["--file-flush-interval-msec", "100"])
            // What is drained has closed its callers' connections after that.
            .args(["--drain-time-s", "10"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("could not start Envoy")?;
        let mut proxy = Self {
            child,
            admin_port: setup.admin_port,
            config,
            log,
        };
        proxy.wait_until_ready()?;
        Ok(proxy)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn admin(&self) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port)))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            self.still_runs()?;
            let answer = self.admin().get("/ready");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("Envoy was not ready in time: {}", self.said());
    }

    /// That it has not ended by itself.
    ///
    /// # Errors
    /// It has; the message holds its log.
    pub fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("Envoy ended with {status}: {}", self.said());
        }
        Ok(())
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
