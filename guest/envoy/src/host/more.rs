//! More for a call that runs under a hold of its own: what the host is asked, and what it says.

use super::is_problem;
use crate::lease::wire::{credits, nanos};
use serde::Deserialize;
use serde_json::json;

/// The body of `POST /v1/holds/{id}/renew` for so many nano-credits more.
pub fn body(extra: i64) -> String {
    json!({"extra_credits": credits(extra)}).to_string()
}

/// What the host says. Amounts are nano-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// So much is put aside now.
    Has(i64),
    /// Less is there than was asked for.
    Less(i64),
    /// There is no more for it.
    Nothing,
    /// There is no answer.
    Away,
}

impl More {
    /// Reads the answer; without a status there was none.
    pub fn read(status: Option<u16>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Hold<'a> {
            credits: &'a str,
        }
        #[derive(Deserialize)]
        struct Problem<'a> {
            available_credits: Option<&'a str>,
        }
        match status {
            Some(200) => {
                let hold: Option<Hold<'_>> = serde_json::from_slice(body).ok();
                let has = hold.and_then(|hold| nanos(hold.credits));
                has.map_or(Self::Away, Self::Has)
            }
            Some(402) => {
                let problem: Option<Problem<'_>> = serde_json::from_slice(body).ok();
                let available = problem.and_then(|problem| nanos(problem.available_credits?));
                available.map_or(Self::Nothing, Self::Less)
            }
            Some(400..=499) => Self::Nothing,
            Some(500..=599) if is_problem(body) => Self::Nothing,
            _ => Self::Away,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_the_hosts_word_alone() {
        for (status, body, expect) in [
            (
                Some(200),
                r#"{"id":"hold_1","credits":"1.5"}"#,
                More::Has(1_500_000_000),
            ),
            (Some(200), "{}", More::Away),
            (
                Some(402),
                r#"{"type":"/problems/insufficient-credits","available_credits":"0.1"}"#,
                More::Less(100_000_000),
            ),
            (
                Some(402),
                r#"{"type":"/problems/shortfall-open"}"#,
                More::Nothing,
            ),
            (Some(409), "{}", More::Nothing),
            (
                Some(503),
                r#"{"type":"/problems/unavailable"}"#,
                More::Nothing,
            ),
            (Some(503), "no healthy upstream", More::Away),
            (None, "", More::Away),
        ] {
            let read = More::read(status, body.as_bytes());
            assert_eq!(read, expect, "{status:?} {body}");
        }
    }

    #[test]
    fn what_is_asked_for_is_exact() {
        assert_eq!(body(1_500_000_001), r#"{"extra_credits":"1.500000001"}"#);
    }
}
