//! What an exit code means. Scripts rely on these.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, nothing wrong found.
    Done,
    /// 1: the command worked and found something wrong (a check, a verification, a refusal).
    Found,
    /// 2: the command line or the configuration is wrong; nothing was done. Clap's own code too.
    Usage,
    /// 3: a file, a directory or the server could not be used.
    Unavailable,
}

impl Exit {
    /// Every code with its meaning, for `--help` and docs/cli.md.
    pub const MEANINGS: &'static str = "\
Exit codes:
  0  done, nothing wrong found
  1  done, and something is wrong: a failed check, a broken invariant, a refusal
  2  the command line or the configuration is wrong; nothing was done
  3  a file, a directory or the server could not be used";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Found => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
        })
    }
}
