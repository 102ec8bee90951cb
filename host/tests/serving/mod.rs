//! The real binary as a server, for the tests that need one.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The admin key of every server here.
pub const ADMIN_KEY: &str = "serving-test-admin-key";

/// A server on a free port. Dropping it is `kill -9`.
pub struct Server {
    child: Child,
    /// Where it listens, such as `http://127.0.0.1:4711`.
    pub url: String,
}

impl Server {
    /// Starts it from a data directory, with `options` besides, and waits until it listens.
    pub fn start<O: AsRef<OsStr>>(data_dir: &Path, options: impl IntoIterator<Item = O>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
            .arg("--data-dir")
            .arg(data_dir)
            .args(options)
            .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("farebox listens on ");
        let url = url.unwrap_or_else(|| panic!("the server did not start: `{line}`"));
        Self {
            url: url.to_owned(),
            child,
        }
    }
}

impl Server {
    /// Stops it as an operator would.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        self.wait();
    }

    /// Tells it to stop.
    pub fn ask_to_stop(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
    }

    /// Waits until it has ended in order.
    pub fn wait(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
