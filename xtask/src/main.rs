//! `cargo xtask …`: everything a checkout needs beyond what cargo does by itself.
//!
//! Each command finds what is missing, builds it, and says how long each step took. Nothing here
//! knows how Farebox works inside: it drives cargo, the built binary and the tools of the machine.

mod api;
mod bench;
mod client;
mod demo;
mod environment;
mod envoy;
mod fuzz;
mod gateway;
mod guests;
mod interrupt;
mod languages;
mod licences;
mod lint;
mod peers;
mod process;
mod proxy;
mod python;
mod server;
mod step;
mod test;
mod toolchain;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use toolchain::Wanted;

/// Farebox's automation.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    /// Where the wasm target comes from.
    #[arg(long, global = true, value_enum, default_value_t = Wanted::Auto)]
    guest_toolchain: Wanted,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build every guest into target/guests: components, and filters for Envoy.
    Guests {
        /// Those in other languages than Rust as well: this installs their tools below target.
        #[arg(long)]
        all: bool,
    },
    /// Install Envoy and the clients of a gateway below target, for the tests of the filter.
    Envoy,
    /// Check format, lints, licences and sources, then run every test.
    Test,
    /// Show one call end to end, and 801 more, on an empty directory.
    Demo {
        /// Stop at the end instead of serving until Ctrl-C.
        #[arg(long)]
        no_serve: bool,
    },
    /// Run Envoy as a gateway, with the host and recorded providers, until Ctrl-C.
    Gateway {
        /// Make one call, check its price against the wallet, and stop.
        #[arg(long)]
        once: bool,
    },
    /// Compare every price with those of two other calculators, and the speed of all three.
    Peers {
        /// Compare prices, in a development build, and measure no speed.
        #[arg(long)]
        prices_only: bool,
    },
    /// Fuzz every parser for a minute each; what is found is kept in tests/cases/fuzz.
    Fuzz {
        /// Only the targets whose names contain this.
        only: Option<String>,
        /// How long each target runs.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// How many targets run at once [default: one per core].
        #[arg(long)]
        jobs: Option<usize>,
    },
    /// Measure what the README quotes: engine, ledger, HTTP, Envoy and Postgres, in one run.
    Bench {
        /// Only the parts whose names contain this.
        only: Option<String>,
        /// Shorter measurements, for a look and not for quoting.
        #[arg(long)]
        quick: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let root = workspace::root()?;
    match arguments.command {
        Task::Guests { all } => {
            guests::build(&root, arguments.guest_toolchain)?;
            if all {
                languages::build(&root)?;
            }
            Ok(())
        }
        Task::Envoy => envoy::all(&root),
        Task::Test => test::run(&root, arguments.guest_toolchain),
        Task::Peers { prices_only } => peers::run(&root, arguments.guest_toolchain, prices_only),
        Task::Fuzz {
            ref only,
            seconds,
            jobs,
        } => {
            let only = only.as_deref();
            fuzz::run(
                &root,
                &fuzz::Wanted {
                    only,
                    seconds,
                    jobs,
                    guest_toolchain: arguments.guest_toolchain,
                },
            )
        }
        Task::Bench { ref only, quick } => {
            let only = only.as_deref().unwrap_or_default();
            bench::run(&root, arguments.guest_toolchain, only, quick)
        }
        Task::Gateway { once } => gateway::run(&root, arguments.guest_toolchain, once),
        Task::Demo { no_serve } => demo::run(&root, arguments.guest_toolchain, no_serve),
    }
}
