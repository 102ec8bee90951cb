//! The last event of a stream that is cut off, in the words of the family that its caller speaks:
//! each client's library takes it for the error that it is. No mark of a good end follows it.
//!
//! Must not know when a stream is cut off.

use crate::boundary::Place;
use farebox_usage::Api;
use serde_json::{Value, json};

/// What a caller is told.
const MESSAGE: &str =
    "the credits for this answer are spent: it ends here, and what was streamed is charged";
/// The code that `OpenAI`'s clients do not try again after.
const CODE: &str = "insufficient_quota";

/// The event, to be written where the stream stands.
pub fn cut_off(api: Option<Api>, place: Place) -> String {
    let before = match place {
        Place::Event => "",
        Place::Line => "\n",
        // Whoever reads half an event for a whole one reads it once.
        Place::Inside => "\n\n",
    };
    let (name, data) = match api {
        Some(Api::Messages) => (
            Some("error"),
            json!({
                "type": "error",
                "error": {"type": "billing_error", "message": MESSAGE},
            }),
        ),
        Some(Api::Responses) => (
            Some("error"),
            json!({
                "type": "error",
                "code": CODE,
                "message": MESSAGE,
                "param": null,
                "error": openai(),
            }),
        ),
        Some(Api::GenerateContent) => (
            None,
            json!({
                "error": {"code": 402, "message": MESSAGE, "status": "RESOURCE_EXHAUSTED"},
            }),
        ),
        _ => (None, json!({"error": openai()})),
    };
    let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
    format!("{before}{name}data: {data}\n\n")
}

fn openai() -> Value {
    json!({"message": MESSAGE, "type": CODE, "param": null, "code": CODE})
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_usage::{SseEvent, SseReader};

    fn events(text: &str) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        let mut reader = SseReader::new(4096);
        let mut on = |event: SseEvent<'_>| {
            events.push((
                event.event.to_owned(),
                serde_json::from_str(event.data).unwrap_or_default(),
            ));
        };
        reader.feed(text.as_bytes(), &mut on).unwrap();
        reader.finish(&mut on).unwrap();
        events
    }

    #[test]
    fn each_family_is_told_in_its_own_words() {
        for (api, name, at, word) in [
            (Some(Api::Messages), "error", "/error/type", "billing_error"),
            (Some(Api::Responses), "error", "/code", CODE),
            (
                Some(Api::GenerateContent),
                "",
                "/error/status",
                "RESOURCE_EXHAUSTED",
            ),
            (Some(Api::Chat), "", "/error/code", CODE),
            (None, "", "/error/type", CODE),
        ] {
            let [(kind, data)] = &events(&cut_off(api, Place::Event))[..] else {
                panic!("{api:?} is told more than one thing");
            };
            assert_eq!(kind, name, "{api:?}");
            assert_eq!(
                data.pointer(at).and_then(Value::as_str),
                Some(word),
                "{data}"
            );
        }
    }

    #[test]
    fn it_is_an_event_of_its_own_wherever_the_stream_stands() {
        for (stream, place, before) in [
            ("data: 1\n\n", Place::Event, 1),
            ("data: 1\n", Place::Line, 1),
            ("data: 1", Place::Inside, 1),
            ("", Place::Event, 0),
        ] {
            let events = events(&format!("{stream}{}", cut_off(None, place)));
            assert_eq!(events.len(), before + 1, "{stream:?}");
            assert!(events[before].1.get("error").is_some(), "{stream:?}");
        }
    }
}
