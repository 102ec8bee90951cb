//! Colours, only where a person looks: on a terminal, and not where `NO_COLOR` is set (clap's own
//! rule, through `anstream`).

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};
use std::io::IsTerminal;

/// How help looks.
pub const HELP: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const ERROR: Style = AnsiColor::Red.on_default().bold();

const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The word that opens a failure.
pub fn error_word() -> String {
    on_standard_error("error:", ERROR)
}

/// The word that opens what a person should look at.
pub fn warning_word() -> String {
    on_standard_error("warning:", WARNING)
}

fn on_standard_error(word: &str, style: Style) -> String {
    if std::io::stderr().is_terminal() {
        format!("{style}{word}{style:#}")
    } else {
        word.to_owned()
    }
}
