//! Which keys a worker asks the host to lease for, and which it does not ask about for a while.
//!
//! Kept by each worker for itself, and bounded: whoever sends keys that are none must fill neither
//! this nor what the proxy shares and never forgets. What was asked and not answered is asked
//! again in the same words, so that what the host granted then is what it grants now.

use std::collections::BTreeMap;
use std::rc::Rc;

/// How many keys are remembered at most.
const KEYS_MAX: usize = 4_096;

/// A request for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Under which it counts once.
    pub idempotency_key: String,
    /// What is said.
    pub body: String,
}

/// What is known of a key, until a time in milliseconds since the Unix epoch.
struct Ask {
    /// What the host was asked and has not answered; absent: it has no lease for the key.
    sent: Option<Asked>,
    until_ms: i64,
}

/// The keys, by where their leases would be shared.
#[derive(Default)]
pub struct Asks(BTreeMap<Rc<str>, Ask>);

impl Asks {
    /// What the host is to be asked now for a key without a lease, if anything: one call at a time
    /// asks, and is waited for until `until_ms`. What was not answered by then is asked again.
    pub fn next(
        &mut self,
        name: &Rc<str>,
        now_ms: i64,
        until_ms: i64,
        new: impl FnOnce() -> Asked,
    ) -> Option<Asked> {
        let before = match self.0.get_mut(name) {
            Some(ask) if now_ms < ask.until_ms => return None,
            Some(ask) => ask.sent.take(),
            None => None,
        };
        if self.0.len() >= KEYS_MAX {
            self.0.retain(|_, ask| now_ms < ask.until_ms);
            if self.0.len() >= KEYS_MAX {
                return None;
            }
        }
        let asked = before.unwrap_or_else(new);
        let sent = Some(asked.clone());
        self.0.insert(Rc::clone(name), Ask { sent, until_ms });
        Some(asked)
    }

    /// The host has no lease for the key: it is not asked again before `until_ms`.
    pub fn denied(&mut self, name: &Rc<str>, until_ms: i64) {
        if self.0.len() < KEYS_MAX || self.0.contains_key(name) {
            let sent = None;
            self.0.insert(Rc::clone(name), Ask { sent, until_ms });
        }
    }

    /// It answered, so the next time it is asked anew.
    pub fn answered(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests {
    use super::*;

    fn ask(asks: &mut Asks, name: &str, now_ms: i64, body: &str) -> Option<String> {
        let new = || Asked {
            idempotency_key: format!("{name}:{now_ms}"),
            body: body.to_owned(),
        };
        let asked = asks.next(&name.into(), now_ms, now_ms + 2_000, new)?;
        Some(format!("{} {}", asked.idempotency_key, asked.body))
    }

    #[test]
    fn one_call_asks_and_what_is_not_answered_is_asked_again_in_the_same_words() {
        let mut asks = Asks::default();
        assert_eq!(ask(&mut asks, "k", 0, "1").as_deref(), Some("k:0 1"));
        assert_eq!(ask(&mut asks, "k", 1_999, "2"), None);
        assert_eq!(
            ask(&mut asks, "other", 1_999, "2").as_deref(),
            Some("other:1999 2")
        );
        assert_eq!(ask(&mut asks, "k", 2_000, "2").as_deref(), Some("k:0 1"));
        assert_eq!(ask(&mut asks, "k", 2_001, "2"), None);
        asks.answered("k");
        assert_eq!(ask(&mut asks, "k", 2_002, "2").as_deref(), Some("k:2002 2"));
        asks.denied(&"k".into(), 60_000);
        assert_eq!(ask(&mut asks, "k", 59_999, "3"), None);
        assert_eq!(
            ask(&mut asks, "k", 60_000, "3").as_deref(),
            Some("k:60000 3")
        );
    }

    #[test]
    fn keys_that_are_none_fill_nothing() {
        let mut asks = Asks::default();
        for number in 0..KEYS_MAX {
            assert!(ask(&mut asks, &number.to_string(), 0, "").is_some());
        }
        assert_eq!(ask(&mut asks, "one more", 1_999, ""), None);
        assert!(ask(&mut asks, "one more", 2_000, "").is_some());
        assert_eq!(asks.0.len(), 1);
    }
}
