//! Who agrees with whom, call by call. Pure: answers in, verdicts out.

use super::Peer;
use super::answers::{Answer, Answers};
use super::environment::Call;
use super::reviewed::Reviewed;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Prices this close are the same: a peer computes in binary floats. USD 10⁻¹².
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 12);
/// Findings beyond this many are counted, not listed.
const LISTED_MAX: usize = 40;

/// How many calls came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Same price.
    pub agree: usize,
    /// Neither has a price.
    pub silent: usize,
    /// The peer cannot be asked.
    pub not_asked: usize,
    /// A difference that the reviewed list explains.
    pub explained: usize,
    /// A difference that nothing explains.
    pub unexplained: usize,
}

/// Where the peers agree with each other: how often Farebox agrees with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unanimous {
    /// Calls that both peers price alike.
    pub calls: usize,
    /// Of these, the calls that Farebox prices so on the book of LiteLLM's file, on that of
    /// genai-prices', and on the one it ships.
    pub agree: [usize; 3],
}

/// The whole comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// By peer and kind of call.
    pub tallies: BTreeMap<(Peer, &'static str), Tally>,
    /// Where the peers agree.
    pub unanimous: Unanimous,
    /// How many calls each entry of the reviewed list explained.
    pub explained: Vec<usize>,
    unexplained: Vec<String>,
    broken: Vec<String>,
}

/// Compares all answers.
pub fn all(calls: &[Call], answers: &Answers, reviewed: &[Reviewed]) -> Compared {
    let mut compared = Compared {
        explained: vec![0; reviewed.len()],
        ..Compared::default()
    };
    for ((peer, theirs), ours) in Peer::ALL.iter().zip(&answers.peers).zip(&answers.ours) {
        for ((call, theirs), ours) in calls.iter().zip(theirs).zip(ours) {
            compared.one(*peer, call, theirs, ours, reviewed);
        }
    }
    if let ([litellm, genai], [on_litellm, on_genai]) = (&*answers.peers, &*answers.ours) {
        let theirs = litellm.iter().zip(genai);
        let ours = on_litellm.iter().zip(on_genai).zip(&answers.shipped);
        for ((call, (litellm, genai)), ((a, b), c)) in calls.iter().zip(theirs).zip(ours) {
            compared.both(call, [litellm, genai], [a, b, c]);
        }
    }
    compared
}

impl Compared {
    fn one(
        &mut self,
        peer: Peer,
        call: &Call,
        theirs: &Answer,
        ours: &Answer,
        reviewed: &[Reviewed],
    ) {
        let tally = self.tallies.entry((peer, kind(&call.shape))).or_default();
        let counted = match (theirs, ours) {
            (Answer::NotAsked(_), _) => &mut tally.not_asked,
            (Answer::Refused(_), Answer::Refused(_) | Answer::NotAsked(_)) => &mut tally.silent,
            _ if same(theirs, ours) => &mut tally.agree,
            _ => {
                let found = reviewed.iter().position(|entry| entry.is_about(peer, call));
                if let Some(count) = found.and_then(|at| self.explained.get_mut(at)) {
                    *count = count.saturating_add(1);
                    &mut tally.explained
                } else {
                    let place = place(call, peer);
                    self.unexplained.push(format!(
                        "{} says {}, Farebox {}: {place}",
                        peer.name(),
                        shown(theirs),
                        shown(ours)
                    ));
                    &mut tally.unexplained
                }
            }
        };
        *counted = counted.saturating_add(1);
    }

    fn both(&mut self, call: &Call, peers: [&Answer; 2], ours: [&Answer; 3]) {
        let [litellm, genai] = peers;
        if !same(litellm, genai) {
            return;
        }
        self.unanimous.calls = self.unanimous.calls.saturating_add(1);
        for (ours, agree) in ours.iter().zip(&mut self.unanimous.agree) {
            *agree = agree.saturating_add(usize::from(same(litellm, ours)));
        }
        let [_, _, shipped] = ours;
        if !same(litellm, shipped) {
            self.broken.push(format!(
                "both peers say {}, the shipped book {}: {}",
                shown(litellm),
                shown(shipped),
                place(call, Peer::Litellm)
            ));
        }
    }

    /// What fails the command, one line each.
    pub fn problems(&self, reviewed: &[Reviewed]) -> Vec<String> {
        let mut problems = Vec::new();
        for found in [&self.broken, &self.unexplained] {
            problems.extend(found.iter().take(LISTED_MAX).cloned());
            if let Some(more) = found.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
                problems.push(format!("… and {more} more like these"));
            }
        }
        for (entry, count) in reviewed.iter().zip(&self.explained) {
            let pattern = entry.pattern();
            if *count == 0 {
                problems.push(format!("reviewed, but explains nothing: {pattern}"));
            } else if *count > entry.calls_max {
                let most = entry.calls_max;
                problems.push(format!("reviewed for {most} calls, met {count}: {pattern}"));
            }
        }
        problems
    }
}

/// Both are prices, and the same.
fn same(one: &Answer, other: &Answer) -> bool {
    let prices = one.price().zip(other.price());
    prices
        .and_then(|(one, other)| one.checked_sub(other))
        .is_some_and(|apart| apart.abs() <= TOLERANCE)
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Price(price) => price.normalize().to_string(),
        Answer::NotAsked(why) | Answer::Refused(why) => format!("nothing ({why})"),
    }
}

fn place(call: &Call, peer: Peer) -> String {
    let named = call.named(peer);
    let line = call.line.map(|line| format!(" {line}")).unwrap_or_default();
    format!(
        "{}{line} / {} / {}",
        call.shape, named.provider, named.model
    )
}

/// The row of the table that a shape is counted in.
fn kind(shape: &str) -> &'static str {
    let starts = |word: &str| shape.starts_with(word);
    match shape {
        "recorded" => "recorded",
        _ if starts("cache") => "cached",
        _ if starts("context") => "long context",
        _ if starts("reasoning") => "reasoning",
        _ if starts("priority") || starts("flex") => "service tier",
        _ if starts("batch") => "batch",
        _ if starts("audio") => "audio",
        _ => "small",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Answer {
        Answer::Price(text.parse().unwrap())
    }

    fn call() -> Call {
        let names = r#"{"provider": "openai", "model": "gpt-4o"}"#;
        serde_json::from_str(&format!(
            r#"{{"shape": "small", "litellm": {names}, "genai": {names}, "books": {{}}}}"#
        ))
        .unwrap()
    }

    fn reviewed(calls_max: usize) -> Reviewed {
        serde_json::from_value(serde_json::json!({
            "peer": "litellm", "model": "gpt-*", "calls_max": calls_max,
            "right": "farebox", "why": "it is so", "source": "their page"
        }))
        .unwrap()
    }

    fn compared(litellm: Answer, ours: Answer, list: &[Reviewed]) -> Compared {
        let answers = Answers {
            peers: vec![vec![litellm], vec![price("0.3")]],
            ours: vec![vec![ours], vec![price("0.3")]],
            shipped: vec![price("0.3")],
        };
        all(&[call()], &answers, list)
    }

    #[test]
    fn floats_agree_within_the_tolerance() {
        let close = compared(price("0.30000000000000004"), price("0.3"), &[]);
        assert!(close.problems(&[]).is_empty());
        assert_eq!(close.unanimous.agree, [1, 1, 1]);
        let apart = compared(price("0.300000000002"), price("0.3"), &[]);
        assert_eq!(apart.problems(&[]).len(), 1);
    }

    #[test]
    fn a_difference_is_explained_or_a_problem() {
        let list = [reviewed(1)];
        let explained = compared(price("0.1"), price("0.2"), &list);
        assert!(explained.problems(&list).is_empty());
        let list = [reviewed(0)];
        let too_many = compared(price("0.1"), price("0.2"), &list);
        assert_eq!(too_many.problems(&list).len(), 1);
        let stale = compared(price("0.1"), price("0.1"), &list);
        assert!(stale.problems(&list)[0].contains("explains nothing"));
    }

    #[test]
    fn no_explanation_helps_where_the_peers_agree() {
        let list = [reviewed(9)];
        let broken = all(
            &[call()],
            &Answers {
                peers: vec![vec![price("0.3")], vec![price("0.3")]],
                ours: vec![vec![price("0.2")], vec![price("0.3")]],
                shipped: vec![price("0.2")],
            },
            &list,
        );
        let problems = broken.problems(&list);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("both peers say 0.3"),
            "{problems:?}"
        );
    }
}
