//! What a person sees of a run: a header per step, the time it took, one clear failure.
//!
//! Everything goes to standard error, so that a command's own output stays alone on standard
//! output. Colours only on a terminal, and not where `NO_COLOR` is set.

use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs one step under a header, and says how long it took.
///
/// # Errors
/// The step's own error, with the step's name.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    header(name);
    let begun = Instant::now();
    let outcome = work().with_context(|| format!("step `{name}`"))?;
    note(&format!("{name}: {}", seconds(begun.elapsed())));
    Ok(outcome)
}

/// The line that opens a step.
pub fn header(name: &str) {
    eprintln!("{}", paint("1;36", &format!("==> {name}")));
}

/// A line of a step that is worth keeping.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// The last word of a run that failed: the error, then what led to it.
pub fn failed(error: &anyhow::Error) {
    eprintln!("{} {error}", paint("1;31", "failed:"));
    for cause in error.chain().skip(1) {
        eprintln!("    {cause}");
    }
}

/// Runs a command with its output shown as it comes.
///
/// # Errors
/// The command could not be started, or ended with anything but success.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .stdin(std::process::Stdio::null())
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// The standard output of a command that must succeed.
///
/// # Errors
/// The command could not be started, or ended with anything but success (its standard error is
/// in the message).
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of `{shown}` is not UTF-8"))
}

/// A duration as people read it.
pub fn seconds(duration: Duration) -> String {
    let tenths = duration.as_millis().div_ceil(100);
    let (whole, tenth) = (tenths.div_euclid(10), tenths.rem_euclid(10));
    match whole {
        0..60 => format!("{whole}.{tenth} s"),
        _ => format!("{} min {} s", whole.div_euclid(60), whole.rem_euclid(60)),
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn paint(code: &str, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    match plain {
        true => text.to_owned(),
        false => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
    }
}

/// Whether somebody can press Ctrl-C to end what runs until then.
pub fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::env::var_os("CI").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_people_write_them() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.4 s");
        assert_eq!(seconds(Duration::from_millis(59_900)), "59.9 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(Command::new("cargo").arg("no-such-command").arg("--quiet"))
            .expect_err("cargo has no such command");
        assert!(
            error.to_string().contains("`cargo no-such-command"),
            "{error}"
        );
    }
}
