//! The `farebox` binary: parse, run, end.

use std::process::ExitCode;

fn main() -> ExitCode {
    farebox::cli::main().into()
}
