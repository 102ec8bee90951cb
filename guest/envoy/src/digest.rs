//! What is kept of an event stream so that the host can read its usage again: the events that say
//! something of usage, ids or the end, and none of the text between them.
//!
//! Which events those are is a guess of shape. So whoever uses the digest reads it and compares
//! ([`Digest::faithful`]): one that does not say the same as the stream is not used. Must not know
//! what the fields mean.

use farebox_usage::{Normalised, SseReader, UsageError, normalise_sse};

/// The most that is kept of one stream, in bytes.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// An event this short is kept as it is: ends and signs of life.
const SHORT_BYTES: usize = 64;

/// What was kept so far.
#[derive(Debug)]
pub struct Digest {
    reader: Option<SseReader>,
    kept: String,
    events: u64,
}

impl Digest {
    /// Nothing yet; of an event at most `event_bytes_max` are buffered.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            reader: Some(SseReader::new(event_bytes_max)),
            kept: String::new(),
            events: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        let (kept, events) = (&mut self.kept, &mut self.events);
        let fed = reader.feed(chunk, |event| {
            let is_first = *events == 0;
            *events = events.saturating_add(1);
            if is_first || says_something(event.data) {
                keep(kept, event.data);
            }
        });
        if fed.is_err() || self.kept.len() > KEPT_BYTES_MAX {
            self.reader = None;
        }
    }

    /// The kept events as a stream, if reading it says what reading the whole stream said.
    pub fn faithful(
        self,
        provider: &str,
        api: Option<&str>,
        whole: &Result<Normalised, UsageError>,
    ) -> Option<String> {
        self.reader?;
        let again = normalise_sse(provider, api, self.kept.as_bytes());
        (again == *whole).then_some(self.kept)
    }
}

fn says_something(data: &str) -> bool {
    if data.len() <= SHORT_BYTES {
        return true;
    }
    [
        "\"usage",
        "Usage\"",
        "\"billed_units\"",
        "\"metrics\"",
        "\"error\"",
    ]
    .iter()
    .any(|word| data.match_indices(word).any(|(at, _)| !is_null(data, at)))
}

/// Whether the field that begins here is `null`.
fn is_null(data: &str, at: usize) -> bool {
    let rest = data.get(at..).unwrap_or_default();
    let value = rest.split_once(':').map(|(_, value)| value.trim_start());
    value.is_some_and(|value| value.starts_with("null"))
}

fn keep(kept: &mut String, data: &str) {
    for line in data.lines() {
        kept.push_str("data: ");
        kept.push_str(line);
        kept.push('\n');
    }
    kept.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":null}"#;
    const TEXT: &str = r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"delta":{"content":"a long word"}}],"usage":null}"#;
    const LAST: &str = r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

    #[test]
    fn text_is_dropped_and_what_was_used_stays() {
        let mut stream = format!("data: {FIRST}\n\n");
        for _ in 0..1000 {
            stream.push_str(&format!("data: {TEXT}\n\n"));
        }
        stream.push_str(&format!("data: {LAST}\n\ndata: [DONE]\n\n"));
        let mut digest = Digest::new(4096);
        for chunk in stream.as_bytes().chunks(100) {
            digest.feed(chunk);
        }
        let whole = normalise_sse("openai", None, stream.as_bytes());
        let kept = digest.faithful("openai", None, &whole).unwrap();
        assert_eq!(
            kept,
            format!("data: {FIRST}\n\ndata: {LAST}\n\ndata: [DONE]\n\n")
        );
    }

    #[test]
    fn a_digest_that_says_something_else_is_not_used() {
        let stream = format!("data: {LAST}\n\ndata: [DONE]\n\n");
        let mut digest = Digest::new(4096);
        digest.feed(stream.as_bytes());
        let other = stream.replace("\"prompt_tokens\":7", "\"prompt_tokens\":8");
        let other = other.replace(":9", ":10");
        let whole = normalise_sse("openai", None, other.as_bytes());
        assert_eq!(digest.faithful("openai", None, &whole), None);
    }
}
