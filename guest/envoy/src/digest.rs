//! What is kept of an answer so that the host can read its usage again: of a stream the events that
//! say something of usage, ids or the end; of each of them, as of a whole JSON body, the fields that
//! do, without the text, pictures and arguments beside them.
//!
//! Which those are is a guess of shape. So whoever uses a digest reads it and compares
//! ([`Digest::faithful`], [`body`]): one that does not say the same as the answer is not used. Must
//! not know what the fields mean.

mod content;
mod parts;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use content::without_content;
use farebox_usage::{Answer, UsageError};
use memchr::memchr_iter;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Headers of an answer, by name.
pub type Headers = Vec<(String, String)>;

/// The same, lent.
pub fn by_name(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    let headers = headers.iter();
    headers.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The most that is kept of one stream, in bytes.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// An event this short is kept: ends and signs of life.
const SHORT_BYTES: usize = 64;

/// What was kept so far: the first event, and as many of the last as there is room for.
#[derive(Debug, Default)]
pub struct Digest {
    kept: VecDeque<String>,
    kept_bytes: usize,
}

impl Digest {
    /// Takes the next event of the stream; whether it may have stated usage.
    pub fn take(&mut self, event: &str) -> bool {
        let seen = Seen::of(event);
        let inner = seen.wraps.then(|| unwrapped(event)).flatten();
        let (event, states_usage) = match &inner {
            Some(inner) => (inner.as_str(), Seen::of(inner).says_something),
            None => (event, seen.says_something),
        };
        if !self.kept.is_empty() && !states_usage && event.len() > SHORT_BYTES {
            return false;
        }
        let kept = without_content(event).unwrap_or_default();
        self.kept_bytes = self.kept_bytes.saturating_add(kept.len());
        self.kept.push_back(kept);
        // Usage comes last; what the stream is comes first.
        while self.kept_bytes > KEPT_BYTES_MAX
            && let Some(dropped) = self.kept.remove(1)
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(dropped.len());
        }
        states_usage
    }

    /// The kept events as a stream, if reading it with these headers says what reading the whole
    /// stream said.
    pub fn faithful(
        self,
        provider: &str,
        api: Option<&str>,
        headers: &Headers,
        whole: &Result<Answer, UsageError>,
    ) -> Option<String> {
        let mut stream = String::with_capacity(self.kept_bytes);
        for event in self.kept {
            stream.push_str("data: ");
            stream.push_str(&event);
            stream.push_str("\n\n");
        }
        let again = Answer::of_stream(provider, api, by_name(headers), stream.as_bytes());
        say_the_same(again, whole).then_some(stream)
    }
}

/// A JSON body without its content, if reading it with these headers says what reading it whole
/// said.
pub fn body(
    provider: &str,
    api: Option<&str>,
    headers: &Headers,
    body: &str,
    whole: &Result<Answer, UsageError>,
) -> Option<String> {
    let kept = without_content(body)?;
    let again = Answer::of_body(provider, api, by_name(headers), kept.as_bytes());
    say_the_same(again, whole).then(|| on_one_line(kept))
}

/// Whether two readings come to the same. Most have read the same, so that nothing has to be put
/// together to know it.
fn say_the_same(again: Result<Answer, UsageError>, whole: &Result<Answer, UsageError>) -> bool {
    again == *whole
        || again.and_then(Answer::normalise) == whole.clone().and_then(Answer::normalise)
}

/// The same JSON without the space between its parts, which some providers write on many lines.
fn on_one_line(json: String) -> String {
    // Within a text they are written otherwise.
    if !json.bytes().any(|byte| byte.is_ascii_control()) {
        return json;
    }
    let (mut in_text, mut escaped) = (false, false);
    let mut line = json;
    line.retain(|char| match char {
        _ if escaped => {
            escaped = false;
            true
        }
        '\\' => {
            escaped = in_text;
            true
        }
        '"' => {
            in_text = !in_text;
            true
        }
        ' ' | '\t' | '\r' | '\n' => in_text,
        _ => true,
    });
    line
}

/// What the names in an event show. Every event of a stream is looked through, so once and for all of
/// them.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// It may state usage, or an error.
    says_something: bool,
    /// It may have another in it.
    wraps: bool,
}

impl Seen {
    fn of(data: &str) -> Self {
        let mut seen = Self::default();
        for at in memchr_iter(b'"', data.as_bytes()) {
            let Some((before, rest)) = data.as_bytes().split_at_checked(at) else {
                continue;
            };
            // By their last letters: most names end otherwise.
            let says = match before.last() {
                Some(b'e') => before.ends_with(b"Usage"),
                Some(b's') => {
                    seen.wraps |= before.ends_with(b"\"bytes");
                    before.ends_with(b"etrics") || before.ends_with(b"\"billed_units")
                }
                Some(b'r') => before.ends_with(b"\"error"),
                Some(b't') => {
                    before.ends_with(b"okenCount")
                        || before.ends_with(b"_token_count")
                        || before.ends_with(b"_eval_count")
                }
                Some(b'a') => before.ends_with(b"groundingMetadata"),
                _ => false,
            };
            if (says || rest.starts_with(b"\"usage")) && !is_null(rest) {
                seen.says_something = true;
            }
        }
        seen
    }
}

/// Whether the field whose name begins or ends here is `null`.
fn is_null(rest: &[u8]) -> bool {
    let colon = rest.iter().position(|byte| *byte == b':');
    let value = colon.and_then(|at| rest.get(at.checked_add(1)?..));
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
}

/// The event in a chunk of bytes, as Bedrock wraps those of its models' makers.
fn unwrapped(event: &str) -> Option<String> {
    let chunk = parts::field(event, "chunk").unwrap_or(event);
    let bytes = parts::field(chunk, "bytes")?;
    let text: Cow<'_, str> = serde_json::from_str(bytes).ok()?;
    String::from_utf8(STANDARD.decode(text.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_usage::Normaliser;

    #[test]
    fn an_event_is_known_by_its_names() {
        for (event, says_something) in [
            (r#"{"usage":{"a":1}}"#, true),
            (r#"{"usage_breakdown":1}"#, true),
            (r#"{"usage" : null,"id":"a"}"#, false),
            (r#"{"usage":null,"x_groq":{"usage":{}}}"#, true),
            (r#"{"tokenUsage":1}"#, true),
            (r#"{"serverToolUsage":null}"#, false),
            (r#"{"billed_units":{}}"#, true),
            (r#"{"unbilled_units":{}}"#, false),
            (r#"{"amazon-bedrock-invocationMetrics":{}}"#, true),
            (r#"{"error":{}}"#, true),
            (r#"{"error":  null}"#, false),
            (r#"{"terror":{}}"#, false),
            (r#"{"inputTextTokenCount":5}"#, true),
            (r#"{"prompt_token_count":5}"#, true),
            (r#"{"prompt_eval_count":5}"#, true),
            (r#"{"groundingMetadata":{}}"#, true),
            (r#"{"choices":[{"delta":{"content":" word"}}]}"#, false),
            ("", false),
        ] {
            assert_eq!(Seen::of(event).says_something, says_something, "{event}");
        }
        assert!(Seen::of(r#"{"chunk":{"bytes":"e30="}}"#).wraps);
        assert!(!Seen::of(r#"{"kilobytes":1,"chunk":{}}"#).wraps);
    }

    /// The proxy's record of a call is a line.
    #[test]
    fn what_a_provider_writes_on_many_lines_is_kept_on_one() {
        let answer = "{\r\n\t\"id\" : \"a \\\" b\\\\\",\n  \"choices\": [],\n  \"usage\": {\n    \
                      \"prompt_tokens\": 12,\n    \"completion_tokens\" : 3 }\n}";
        let whole = Answer::of_body("openai", None, [], answer.as_bytes());
        assert!(whole.is_ok(), "{whole:?}");
        let kept = body("openai", None, &Vec::new(), answer, &whole);
        let line =
            r#"{"id":"a \" b\\","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}"#;
        assert_eq!(kept.as_deref(), Some(line));
    }

    const FIRST: &str =
        r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":null}"#;
    const TEXT: &str = r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"delta":{"content":"a long word"}}],"usage":null}"#;
    const LAST: &str = r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

    fn read(
        provider: &str,
        api: Option<&str>,
        stream: &[u8],
    ) -> (Digest, Result<Answer, UsageError>) {
        let mut digest = Digest::default();
        let mut events = Normaliser::new(provider, api).unwrap();
        for chunk in stream.chunks(100) {
            let fed = events.feed_seen(chunk, |event| {
                digest.take(event);
            });
            if let Err(error) = fed {
                return (digest, Err(error));
            }
        }
        let whole = events.end(|event| {
            digest.take(event);
        });
        (digest, whole)
    }

    #[test]
    fn text_is_dropped_and_what_was_used_stays() {
        let mut stream = format!("data: {FIRST}\n\n");
        for _ in 0..1000 {
            stream.push_str(&format!("data: {TEXT}\n\n"));
        }
        stream.push_str(&format!("data: {LAST}\n\ndata: [DONE]\n\n"));
        let (digest, whole) = read("openai", None, stream.as_bytes());
        let kept = digest.faithful("openai", None, &Vec::new(), &whole);
        assert_eq!(
            kept,
            Some(format!("data: {FIRST}\n\ndata: {LAST}\n\ndata: [DONE]\n\n"))
        );
    }

    #[test]
    fn a_digest_that_says_something_else_is_not_used() {
        let stream = format!("data: {LAST}\n\ndata: [DONE]\n\n");
        let (digest, _) = read("openai", None, stream.as_bytes());
        let other = stream.replace("\"prompt_tokens\":7", "\"prompt_tokens\":8");
        let other = other.replace(":9", ":10");
        let (_, whole) = read("openai", None, other.as_bytes());
        assert_eq!(digest.faithful("openai", None, &Vec::new(), &whole), None);
    }

    /// Providers whose every event says usage, or whose last repeats the whole answer.
    #[test]
    fn an_event_that_says_usage_is_kept_without_its_text() {
        const SECRET: &str = "a secret \\\"word\\\" and more of it";
        for (provider, api, event) in [
            (
                "google",
                "generate_content",
                r#"{"candidates":[{"content":{"parts":[{"text":"SECRET"},{"functionCall":{"args":{"SECRET":7}}}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-pro","responseId":"r"}"#,
            ),
            (
                "openai",
                "responses",
                r#"{"type":"response.completed","response":{"id":"r","object":"response","status":"completed","model":"gpt-4o","instructions":"SECRET","metadata":{"SECRET":"SECRET"},"output":[{"type":"message","content":[{"type":"output_text","text":"SECRET"}]},{"type":"web_search_call","action":{"type":"search","query":"SECRET"}}],"usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9}}}"#,
            ),
        ] {
            // More of them than there is room for.
            let event = event.replace("SECRET", SECRET);
            let one = format!("data: {event}\n\n");
            let stream = match provider {
                "google" => one.repeat(2000),
                _ => one,
            };
            let (digest, whole) = read(provider, Some(api), stream.as_bytes());
            assert!(whole.is_ok(), "{whole:?}");
            let kept = digest.faithful(provider, Some(api), &Vec::new(), &whole);
            let kept = kept.unwrap();
            assert!(!kept.contains("secret"), "{kept}");
            assert!(kept.len() <= KEPT_BYTES_MAX + (64 << 10), "{}", kept.len());
        }
    }

    /// What Bedrock wraps, and the whole of a body.
    #[test]
    fn usage_is_found_in_chunks_of_bytes_and_in_bodies() {
        let first = r#"{"type":"message_start","message":{"id":"m","type":"message","model":"claude","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}"#;
        let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a secret and more of it than is short"}}"#;
        let last = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#;
        let stop = r#"{"type":"message_stop"}"#;
        let wrapped = [first, text, last, stop].map(|event| {
            let bytes = STANDARD.encode(event);
            format!("{{\"chunk\":{{\"bytes\":\"{bytes}\"}}}}")
        });
        let stream = wrapped.join("\n");
        let (digest, whole) = read("bedrock", Some("invoke"), stream.as_bytes());
        assert!(whole.is_ok(), "{whole:?}");
        let kept = digest.faithful("bedrock", Some("invoke"), &Vec::new(), &whole);
        assert!(!kept.unwrap().contains("secret"));

        let headers = vec![
            ("x-amzn-requestid".to_owned(), "r".to_owned()),
            (
                "x-amzn-bedrock-input-token-count".to_owned(),
                "7".to_owned(),
            ),
        ];
        let answer = r#"{"generations":[{"text":"a secret"}]}"#;
        let by_name = by_name(&headers);
        let whole = Answer::of_body("bedrock", Some("invoke"), by_name, answer.as_bytes());
        assert!(whole.is_ok(), "{whole:?}");
        let kept = body("bedrock", Some("invoke"), &headers, answer, &whole);
        assert_eq!(kept.as_deref(), Some(r#"{"generations":[]}"#));
        let alone = body("bedrock", Some("invoke"), &Vec::new(), answer, &whole);
        assert_eq!(alone, None, "without its headers it says something else");
    }
}
