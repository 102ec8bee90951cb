//! The real `farebox`, as a process of its own: built, started on a data directory, asked until it
//! is ready, stopped.

use crate::client::Client;
use crate::environment;
use crate::step;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to be ready. A cold start compiles the policy.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long a server may take to drain.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Which build of the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The one that tests use too.
    Dev,
    /// The one that is shipped.
    Release,
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<MessageTarget>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

/// An empty folder for a run, `target/<name>`. Kept after it, so that ledger and logs can be looked
/// at; the next run begins anew.
///
/// # Errors
/// It cannot be emptied or made.
pub fn empty_folder(root: &Path, name: &str) -> Result<PathBuf> {
    let folder = root.join("target").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not empty `{}`", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not make `{}`", folder.display()))?;
    Ok(folder)
}

/// Verifies a data directory, served from or not, by the command that an operator would run.
///
/// # Errors
/// The ledger is not as it should be.
pub fn verify(binary: &Path, data_dir: &Path) -> Result<()> {
    let output = step::output(
        Command::new(binary)
            .args(["ledger", "verify", "--data-dir"])
            .arg(data_dir),
    )?;
    output.lines().for_each(step::note);
    Ok(())
}

/// The shipped book, as policies load it.
///
/// # Errors
/// The binary does not run, or its book does not compile.
pub fn canonical_book(binary: &Path) -> Result<Vec<u8>> {
    let output = Command::new(binary)
        .args(["price-book", "compile"])
        .output()
        .with_context(|| format!("could not start `{}`", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "the shipped book does not compile: {said}"
    );
    Ok(output.stdout)
}

/// Builds the binary and says where it is.
///
/// # Errors
/// It does not compile.
pub fn build(root: &Path, build: Build) -> Result<PathBuf> {
    built(root, build, &["--bin", "farebox"], "farebox")
}

/// Builds a target of the host package, chosen by `selection`, and says where it is.
///
/// # Errors
/// It does not compile, or there is none of that name.
pub fn built(root: &Path, build: Build, selection: &[&str], name: &str) -> Result<PathBuf> {
    let mut cargo = environment::cargo();
    cargo.current_dir(root).arg("build");
    match build {
        // With all packages selected, dependencies are compiled as the tests need them: once.
        Build::Dev => cargo.arg("--workspace").args(selection),
        // What is measured is the product as it ships, without what other packages ask of its
        // dependencies. An example asks more of them than the binary does, so one is always built, and
        // nothing is compiled twice; each further one is a link of minutes.
        Build::Release => cargo
            .args(["--release", "-p", "farebox", "--bin", "farebox"])
            .args(["--example", "rate_speed"])
            .args(selection),
    };
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let messages = step::output(&mut cargo)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.name == name)
        })
        .find_map(|message| message.executable)
        .with_context(|| format!("cargo built no `{name}`"))
}

/// How a server is started.
pub struct Setup<'a> {
    /// The binary.
    pub binary: &'a Path,
    /// Everything it stores.
    pub data_dir: &'a Path,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its admin key.
    pub admin_key: &'a str,
    /// `hosted` or `self-hosted`.
    pub deployment: &'a str,
    /// Further variables of its environment.
    pub more: &'a [(&'a str, &'a str)],
    /// Whether Ctrl-C is ours to answer: it does not reach what is started.
    pub apart: bool,
}

/// A running server. Stopped when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From start to ready.
    pub ready_after: Duration,
    log: PathBuf,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; the message holds the end of its log.
    pub fn start(setup: &Setup<'_>) -> Result<Self> {
        let log = setup.data_dir.with_extension("log");
        let file = std::fs::File::create(&log)
            .with_context(|| format!("could not write `{}`", log.display()))?;
        let begun = Instant::now();
        let mut command = Command::new(setup.binary);
        if setup.apart {
            command.process_group(0);
        }
        let child = command
            .arg("serve")
            .env("FAREBOX_DATA_DIR", setup.data_dir)
            .env("FAREBOX_LISTEN", setup.listen.to_string())
            .env("FAREBOX_ADMIN_KEY", setup.admin_key)
            .env("FAREBOX_DEPLOYMENT", setup.deployment)
            .env("FAREBOX_LOG", "warn")
            .envs(setup.more.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("could not start `{}`", setup.binary.display()))?;
        let mut server = Self {
            child,
            address: setup.listen,
            ready_after: Duration::ZERO,
            log,
        };
        server.wait_until_ready()?;
        server.ready_after = begun.elapsed();
        Ok(server)
    }

    /// A client without a key.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to drain, and waits until it has ended.
    ///
    /// # Errors
    /// It does not end in time, or ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        // The standard library can only kill; a shell can ask.
        step::output(Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]))?;
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the server ended with {status}: {}", self.log_end());
                }
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the server did not stop within {}", step::seconds(STOP_MAX));
    }

    /// That it has not ended by itself.
    ///
    /// # Errors
    /// It has; the message holds the end of its log.
    pub fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended with {status}: {}", self.log_end());
        }
        Ok(())
    }

    /// Serves until it is ended, by Ctrl-C or by itself.
    ///
    /// # Errors
    /// It ends with a failure.
    pub fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}: {}", self.log_end());
        }
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let client = self.client();
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            self.still_runs()?;
            if client
                .get("/readyz")
                .is_ok_and(|answer| answer.status == 200)
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the server was not ready in time: {}", self.log_end());
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `wanted` on this machine where it is free, else any free port.
///
/// # Errors
/// No port is free.
pub fn address(wanted: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no free port")?;
    Ok(listener.local_addr()?)
}
