//! `farebox policy`: build and inspect policies.

mod build;

use super::failure::Failure;
use clap::Subcommand;
use std::io::Write;

/// Commands on policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    Build(build::Build),
    Inspect(build::Inspect),
}

impl Policy {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Build(command) => command.run(out),
            Self::Inspect(command) => command.run(out),
        }
    }
}
