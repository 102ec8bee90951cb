//! `farebox policy`: from a price book to what is charged. What builds, inspects, tests and signs
//! works on files; all else on the releases of a ledger, through a running server or on a stopped
//! one's data.

pub(super) mod backtest;
mod bindings;
mod build;
pub(super) mod door;
mod new;
mod releases;
mod sign;
mod test;
mod trials;

use super::failure::Failure;
use clap::Subcommand;
use std::io::Write;

/// Commands on policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    New(new::New),
    Build(build::Build),
    Inspect(build::Inspect),
    Test(test::Test),
    Keygen(sign::Keygen),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Push(Box<releases::Push>),
    Backtest(Box<backtest::Backtest>),
    #[command(flatten)]
    Releases(releases::Releases),
    #[command(flatten)]
    Bindings(bindings::BindingCommand),
    #[command(flatten)]
    Trials(trials::TrialCommand),
}

impl Policy {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::New(command) => command.run(out),
            Self::Build(command) => command.run(out),
            Self::Inspect(command) => command.run(out),
            Self::Test(command) => command.run(out),
            Self::Keygen(command) => command.run(out),
            Self::Sign(command) => command.run(out),
            Self::Verify(command) => command.run(out),
            Self::Push(command) => command.run(out),
            Self::Backtest(command) => command.run(out),
            Self::Releases(command) => command.run(out),
            Self::Bindings(command) => command.run(out),
            Self::Trials(command) => command.run(out),
        }
    }
}
