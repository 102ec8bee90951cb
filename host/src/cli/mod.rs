//! The command line: parse, run, and end with a code that means something.
//!
//! Each command is a module. Results go to standard output, everything else to standard error, so
//! that output can be piped. Must not price, store or serve anything itself.

mod exit;
mod failure;
mod ledger;
mod policy;
mod price_book;
mod progress;
pub mod rate;
mod remote;
mod serve;
mod style;

pub use exit::Exit;

use crate::engine::compiler;
use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use std::error::Error;
use std::io::Write;

/// Prices AI calls and keeps the prepaid credit ledger that pays for them.
#[derive(Debug, Parser)]
#[command(name = "farebox", version, after_help = Exit::MEANINGS, styles = style::HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop.
    Serve(Box<serve::Serve>),
    /// Price recorded calls, offline: JSON lines in, JSON lines out.
    Rate(rate::Rate),
    /// Import, check and show price books.
    #[command(subcommand)]
    PriceBook(price_book::PriceBook),
    /// Build, push, activate and roll back what prices calls.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Prove, back up and restore a ledger.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Create and change orgs on a running server.
    Org(remote::Org),
    /// Create, list and revoke API keys on a running server.
    Key(remote::Key),
    /// Show and change wallets on a running server.
    Wallet(remote::Wallet),
    /// Settle usage that waits for a price, and repair wrong bills, on a running server.
    Usage(remote::Usage),
    Margins(remote::Margins),
    /// Be the compiler of another process of this program (`engine::compiler`).
    #[command(name = compiler::COMMAND, hide = true)]
    CompileComponent {
        order: Vec<String>,
    },
}

/// Runs the command line of this process.
pub fn main() -> Exit {
    compiler::this_program();
    Cli::parse().run(&mut std::io::stdout().lock())
}

/// Runs a command line, the program's name first, in this process.
pub fn run(arguments: &[&str], out: &mut dyn Write) -> Exit {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.run(out),
        Err(error) => {
            let _ = write!(std::io::stderr(), "{error}");
            Exit::Usage
        }
    }
}

impl Cli {
    fn run(&self, out: &mut dyn Write) -> Exit {
        let result = self.command.run(out).and_then(|()| Ok(out.flush()?));
        ended(result)
    }
}

fn ended(result: Result<(), Failure>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(Failure::Stream(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(failure) => {
            report(&failure);
            failure.exit()
        }
    }
}

impl Command {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => serve.run(out),
            Self::Ledger(ledger) => ledger.run(out),
            Self::Rate(rate) => rate.run(out),
            Self::PriceBook(command) => command.run(out),
            Self::Org(org) => org.run(out),
            Self::Key(key) => key.run(out),
            Self::Wallet(wallet) => wallet.run(out),
            Self::Usage(usage) => usage.run(out),
            Self::Margins(margins) => margins.run(out),
            Self::Policy(command) => command.run(out),
            Self::CompileComponent { order } => compile(order, out),
        }
    }
}

fn compile(order: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    let order = compiler::Order::read(order);
    let order = order.ok_or_else(|| Failure::Usage("this is no order to compile".to_owned()))?;
    Ok(order.run(std::io::stdin().lock(), out)?)
}

/// The reference page of the command line (docs/cli.md), made from the definitions above.
pub fn reference() -> String {
    let mut page = String::from(
        "# Command line\n\n<!-- Made from host/src/cli by `farebox` itself; a test compares. -->\n",
    );
    let mut command = Cli::command()
        .term_width(96)
        .styles(clap::builder::Styles::plain());
    command.build();
    // The page must not depend on, nor show, the environment it is made in.
    let mut command = without_env_values(command);
    describe(&mut command, &mut page);
    page
}

fn without_env_values(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| argument.hide_env_values(true))
        .mut_subcommands(without_env_values)
}

fn describe(command: &mut clap::Command, page: &mut String) {
    let name = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!(
        "\n## `{name}`\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    ));
    for sub in command
        .get_subcommands_mut()
        .filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
    {
        describe(sub, page);
    }
}

fn report(failure: &Failure) {
    let mut text = failure.to_string();
    let mut source = failure.source();
    while let Some(cause) = source {
        text.push_str("\n  because ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    // Nothing is left to tell anyone when standard error itself is gone.
    let _ = writeln!(std::io::stderr(), "{} {text}", style::error_word());
}

fn warn(text: &str) {
    // As above.
    let _ = writeln!(std::io::stderr(), "{} {text}", style::warning_word());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments below `command` that have the name of an option of all commands there: what is
    /// given for one would be taken for the other.
    fn taken(command: &clap::Command, globals: &[String], found: &mut Vec<String>) {
        let mut globals = globals.to_vec();
        for argument in command.get_arguments() {
            let id = argument.get_id().to_string();
            if argument.is_global_set() {
                globals.push(id);
            } else if globals.contains(&id) {
                found.push(format!("{} {id}", command.get_name()));
            }
        }
        for sub in command.get_subcommands() {
            taken(sub, &globals, found);
        }
    }

    #[test]
    fn no_argument_has_the_name_of_an_option_of_all_commands() {
        let mut found = Vec::new();
        taken(&Cli::command(), &[], &mut found);
        assert_eq!(found, Vec::<String>::new());
        let clash = clap::Command::new("farebox")
            .arg(clap::Arg::new("key").long("key").global(true))
            .subcommand(clap::Command::new("revoke").arg(clap::Arg::new("key")));
        taken(&clash, &[], &mut found);
        assert_eq!(found, ["revoke key"]);
    }
}
