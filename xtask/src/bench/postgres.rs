//! What the same machine's Postgres does: `SELECT … FOR UPDATE` per debit, the way most prepaid
//! ledgers are written. Durable (the defaults: fsync, synchronous commit), 16 clients.
//!
//! A throw-away cluster in a temporary directory, reached through a socket in that directory: no
//! port, no server of the machine is touched.

use crate::step;
use anyhow::{Context, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

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

/// Measures, each for `seconds`.
///
/// # Errors
/// Postgres is not on the machine, or one of its programs fails.
pub fn measure(seconds: u64) -> Result<Debits> {
    let cluster = Cluster::start()?;
    let debits = Debits {
        one_wallet: cluster.debits(1, seconds)?,
        thousand_wallets: cluster.debits(1000, seconds)?,
    };
    drop(cluster);
    Ok(debits)
}

struct Cluster {
    folder: PathBuf,
    // Removed when dropped, after the server is stopped.
    _temporary: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Result<Self> {
        let temporary = tempfile::tempdir().context("could not make a temporary directory")?;
        let folder = temporary.path().to_owned();
        // Postgres refuses root and runs as its own user, who must be able to write here.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
        let cluster = Self {
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
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={}",
            cluster.folder.display()
        );
        // Its output goes to a file: a server that keeps our pipe open would never let us go on.
        step::output(
            program("pg_ctl")?
                .args([
                    "start",
                    "--wait",
                    "--silent",
                    "--options",
                    &options,
                    "--log",
                ])
                .arg(cluster.folder.join("log"))
                .arg("--pgdata")
                .arg(cluster.data()),
        )?;
        step::output(
            program("psql")?
                .args(["--username=bench", "--dbname=postgres", "--quiet"])
                .args(["--set=ON_ERROR_STOP=1", "--host"])
                .arg(&cluster.folder)
                .arg("--file")
                .arg(cluster.folder.join("schema.sql")),
        )?;
        Ok(cluster)
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
        if let Ok(mut stop) = program("pg_ctl") {
            stop.args(["stop", "--mode=immediate", "--silent", "--pgdata"])
                .arg(self.data());
            if let Err(error) = step::output(&mut stop) {
                step::note(&format!("{error}"));
            }
        }
    }
}

/// The whole part of `tps = 1234.5 (without initial connection time)`.
fn whole_tps(report: &str) -> Option<u64> {
    let tps = report
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))?;
    tps.split(['.', ' ']).next()?.parse().ok()
}

/// A Postgres program, as the user `postgres` where we are root.
fn program(name: &str) -> Result<Command> {
    let path = find(name).with_context(|| format!("`{name}` of Postgres is not installed"))?;
    let user = step::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path);
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
