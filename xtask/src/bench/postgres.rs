//! What the same machine's Postgres does: `SELECT … FOR UPDATE` per debit, the way most prepaid
//! ledgers are written. Durable (the defaults: fsync, synchronous commit), 16 clients.
//!
//! A throw-away cluster in a temporary directory, reached through a socket in that directory: no
//! port, no server of the machine is touched. The server is a child of this process, so that it
//! ends with it, also at Ctrl-C.

use crate::step::{self, note};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to answer.
const READY_MAX: Duration = Duration::from_secs(60);
/// Users that it may run as where we are root, which it refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Debits per second.
#[derive(Clone, Copy, Debug)]
pub struct Debits {
    /// All clients on one wallet.
    pub one_wallet: u64,
    /// Spread over a thousand wallets.
    pub thousand_wallets: u64,
}

/// One debit: lock the wallet, take from it, write the journal row.
const DEBIT: &str = "\
\\set wallet random(1, :wallets)
BEGIN;
SELECT balance FROM wallet WHERE id = :wallet FOR UPDATE;
UPDATE wallet SET balance = balance - 7 WHERE id = :wallet;
INSERT INTO posting (wallet, amount) VALUES (:wallet, -7);
COMMIT;
";

const SCHEMA: &str = "\
CREATE TABLE wallet (id bigint PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE posting (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wallet bigint NOT NULL,
    amount bigint NOT NULL
);
INSERT INTO wallet SELECT id, 1000000000000 FROM generate_series(1, 1000) AS id;
";

/// Whether all that is needed of it is on the machine.
pub fn is_installed() -> bool {
    let programs = ["initdb", "postgres", "pg_ctl", "psql", "pgbench"];
    programs.iter().all(|program| find(program).is_some())
}

/// Measures, each for `seconds`, on the disk of `root` where its user can reach that.
///
/// # Errors
/// Postgres is not on the machine, or one of its programs fails.
pub fn measure(root: &Path, seconds: u64) -> Result<Debits> {
    let cluster = Cluster::start(root)?;
    let debits = Debits {
        one_wallet: cluster.debits(1, seconds)?,
        thousand_wallets: cluster.debits(1000, seconds)?,
    };
    drop(cluster);
    Ok(debits)
}

struct Cluster {
    server: Option<Child>,
    folder: PathBuf,
    // Removed when dropped, after the server is stopped.
    _temporary: tempfile::TempDir,
}

impl Cluster {
    fn start(root: &Path) -> Result<Self> {
        let temporary = folder(root)?;
        let folder = temporary.path().to_owned();
        let mut cluster = Self {
            server: None,
            folder,
            _temporary: temporary,
        };
        std::fs::write(cluster.folder.join("debit.sql"), DEBIT)?;
        std::fs::write(cluster.folder.join("schema.sql"), SCHEMA)?;
        step::output(
            program("initdb")?
                .args(["--auth=trust", "--username=bench", "--pgdata"])
                .arg(cluster.data()),
        )?;
        let log = File::create(cluster.folder.join("log"))?;
        let server = program("postgres")?
            .args(["-c", "listen_addresses=", "-k"])
            .arg(&cluster.folder)
            .arg("-D")
            .arg(cluster.data())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start `postgres`")?;
        cluster.server = Some(server);
        cluster.wait_until_ready()?;
        step::output(
            cluster
                .psql()?
                .arg("--file")
                .arg(cluster.folder.join("schema.sql")),
        )?;
        Ok(cluster)
    }

    fn psql(&self) -> Result<Command> {
        let mut psql = program("psql")?;
        psql.args(["--username=bench", "--dbname=postgres", "--quiet"])
            .args(["--set=ON_ERROR_STOP=1", "--host"])
            .arg(&self.folder);
        Ok(psql)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if step::output(self.psql()?.args(["--command", "SELECT 1"])).is_ok() {
                return Ok(());
            }
            let ended = self.server.as_mut().map(Child::try_wait).transpose()?;
            if let Some(Some(status)) = ended {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("`postgres` ended with {status}: {}", log.trim());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("`postgres` was not ready in time");
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn debits(&self, wallets: u64, seconds: u64) -> Result<u64> {
        let report = step::output(
            program("pgbench")?
                .args(["--username=bench", "--no-vacuum", "--protocol=prepared"])
                .args(["--client=16", "--jobs=2"])
                .arg(format!("--time={seconds}"))
                .arg(format!("--define=wallets={wallets}"))
                .arg("--host")
                .arg(&self.folder)
                .arg("--file")
                .arg(self.folder.join("debit.sql"))
                .arg("postgres"),
        )?;
        whole_tps(&report).with_context(|| format!("pgbench reported no tps: {report}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let stopped = program("pg_ctl").and_then(|mut stop| {
            stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"])
                .arg(self.data());
            step::output(&mut stop)
        });
        if let Err(error) = stopped {
            note(&format!("{error}"));
            drop(server.kill());
        }
        drop(server.wait());
    }
}

/// A folder that the server's user can reach: on the disk of the ledger, so that both wait for the
/// same one, else where temporary files go.
fn folder(root: &Path) -> Result<tempfile::TempDir> {
    let target = root.join("target");
    std::fs::create_dir_all(&target)?;
    let beside = open_to_all(tempfile::tempdir_in(target)?)?;
    let mut reaches = as_user("test")?;
    if step::output(reaches.arg("-w").arg(beside.path())).is_ok() {
        return Ok(beside);
    }
    let elsewhere = open_to_all(tempfile::tempdir()?)?;
    note(&format!(
        "its files are at `{}`",
        elsewhere.path().display()
    ));
    Ok(elsewhere)
}

fn open_to_all(folder: tempfile::TempDir) -> Result<tempfile::TempDir> {
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
    Ok(folder)
}

/// The whole part of `tps = 1234.5 (without initial connection time)`.
fn whole_tps(report: &str) -> Option<u64> {
    let tps = report
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))?;
    tps.split(['.', ' ']).next()?.parse().ok()
}

/// A Postgres program, as a user it accepts.
fn program(name: &str) -> Result<Command> {
    let path = find(name).with_context(|| format!("`{name}` of Postgres is not installed"))?;
    as_user(path)
}

/// A program as a user other than root.
fn as_user(program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
    let me = step::output(Command::new("id").arg("-u"))?;
    let mut command = if me.trim() == "0" {
        let exists = |user: &&&str| step::output(Command::new("id").args(["-u", user])).is_ok();
        let user = USERS.iter().find(exists).context("no user to run it as")?;
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The user may not be able to enter the folder we were started in.
    command.current_dir("/");
    Ok(command)
}

/// On the `PATH`, or where Debian keeps what it does not put there.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let packaged = packaged.flatten().map(|version| version.path().join("bin"));
    std::env::split_paths(&path)
        .chain(packaged)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::whole_tps;

    #[test]
    fn the_rate_is_read_from_a_report() {
        let report = "number of failed transactions: 0 (0.000%)\n\
                      tps = 812.339120 (without initial connection time)\n";
        assert_eq!(whole_tps(report), Some(812));
        assert_eq!(whole_tps("nothing"), None);
    }
}
