//! The recorded providers, as a process of their own.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The binary, of the package of the end-to-end tests.
pub const NAME: &str = "recorded-providers";

/// The running process. It ends when this is dropped, because its standard input does.
pub struct Providers {
    child: Child,
    ports: BTreeMap<String, u16>,
}

impl Providers {
    /// Starts them.
    ///
    /// # Errors
    /// They do not say where they are.
    pub fn start(binary: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It serves the calls that run while the gateway is drained.
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start `{}`", binary.display()))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ports = serde_json::from_str(&line);
        let ports = ports.context("the recorded providers do not say where they are")?;
        Ok(Self { child, ports })
    }

    /// The port of a provider.
    ///
    /// # Errors
    /// There is no such provider.
    pub fn port(&self, name: &str) -> Result<u16> {
        let port = self.ports.get(name).copied();
        port.with_context(|| format!("no recorded provider `{name}`"))
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
