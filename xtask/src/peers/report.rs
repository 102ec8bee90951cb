//! The tables of a comparison, as Markdown.

use super::Peer;
use super::compare::{Compared, Tally};
use super::reviewed::Reviewed;
use super::speed::Speeds;
use std::fmt::Write as _;

/// Who agrees how often, and every explanation with its source.
pub fn tables(compared: &Compared, reviewed: &[Reviewed]) -> String {
    let mut text = String::new();
    let title = "| peer | calls | agree | differ, explained | differ, unexplained | neither has a \
                 price | cannot be asked |\n|---|---|---:|---:|---:|---:|---:|\n";
    text.push_str(title);
    for ((peer, kind), tally) in &compared.tallies {
        let Tally {
            agree,
            silent,
            not_asked,
            explained,
            unexplained,
        } = tally;
        let name = peer.name();
        line(
            &mut text,
            &format!(
                "| {name} | {kind} | {agree} | {explained} | {unexplained} | {silent} | {not_asked} |"
            ),
        );
    }
    let unanimous = &compared.unanimous;
    let [litellm, genai, shipped] = unanimous.agree;
    line(
        &mut text,
        &format!(
            "\nBoth peers agree on {} calls. Farebox agrees with them on {litellm} (the book of \
             LiteLLM's file), {genai} (of genai-prices'), {shipped} (the shipped book).\n",
            unanimous.calls
        ),
    );
    text.push_str(
        "| peer | calls | which | who is right | why | source |\n|---|---:|---|---|---|---|\n",
    );
    for (entry, count) in reviewed.iter().zip(&compared.explained) {
        line(
            &mut text,
            &format!(
                "| {} | {count} | {} / {} / {} | {} | {} | {} |",
                entry.peer.name(),
                entry.shape,
                entry.provider,
                entry.model,
                entry.right.name(),
                entry.why,
                entry.source
            ),
        );
    }
    text.push('\n');
    text
}

/// Time per call, and how many times faster Farebox is.
pub fn speeds(speeds: &Speeds) -> String {
    let mut text = String::from(
        "| per call | µs | Farebox single | Farebox in batches |\n|---|---:|---:|---:|\n",
    );
    for (peer, theirs_ns) in Peer::ALL.iter().zip(&speeds.peers_ns) {
        let times = |ours_ns: u64| {
            let tenths = theirs_ns
                .saturating_mul(10)
                .checked_div(ours_ns)
                .unwrap_or(0);
            format!("{}.{}×", tenths.div_euclid(10), tenths.rem_euclid(10))
        };
        line(
            &mut text,
            &format!(
                "| {} | {} | {} faster | {} faster |",
                peer.name(),
                micros(*theirs_ns),
                times(speeds.single_ns),
                times(speeds.batch_ns)
            ),
        );
    }
    for (name, ns) in [
        ("Farebox, sandboxed, all checks, single", speeds.single_ns),
        (
            "Farebox, sandboxed, all checks, in batches of 256",
            speeds.batch_ns,
        ),
    ] {
        line(&mut text, &format!("| {name} | {} | | |", micros(ns)));
    }
    let calls = speeds.calls;
    line(
        &mut text,
        &format!(
            "\nThe same {calls} calls, one thread each, one after the other: aims are 20× single and \
             40× in batches."
        ),
    );
    text
}

fn micros(ns: u64) -> String {
    let tenths = ns.div_ceil(100);
    format!("{}.{}", tenths.div_euclid(10), tenths.rem_euclid(10))
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}
