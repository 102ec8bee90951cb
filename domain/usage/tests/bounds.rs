//! Hostile sizes: memory and time stay bounded, and the answer is a typed refusal.

use farebox_usage::{
    Normaliser, Stated, USAGE_BYTES_MAX, Unrecognised, UsageError, normalise_response,
};

const USAGE: &str = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;

#[test]
fn an_endless_line_is_refused_at_the_limit_and_ever_after() {
    let mut normaliser = Normaliser::with_limit("openai", Some("chat"), 1024).unwrap();
    normaliser.feed(b"data: ").unwrap();
    let error = UsageError::EventTooLarge { limit: 1024 };
    assert_eq!(normaliser.feed(&[b'x'; 1019]), Err(error.clone()));
    assert_eq!(normaliser.feed(b"\n\n"), Err(error.clone()));
    assert_eq!(normaliser.finish(), Err(error));
}

#[test]
fn many_small_events_pass_a_small_limit() {
    let mut normaliser = Normaliser::with_limit("openai", Some("chat"), 256).unwrap();
    for _ in 0..10_000 {
        normaliser
            .feed(
                b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n",
            )
            .unwrap();
    }
    normaliser
        .feed(format!("data: {{\"choices\":[],\"usage\":{USAGE}}}\n\ndata: [DONE]\n\n").as_bytes())
        .unwrap();
    assert_eq!(normaliser.finish().unwrap().pools.len(), 2);
}

#[test]
fn a_usage_object_of_any_size_is_refused() {
    let padding = "x".repeat(USAGE_BYTES_MAX);
    for body in [
        format!(r#"{{"choices":[],"usage":{{"prompt_tokens":1,"note":"{padding}"}}}}"#),
        format!(r#"{{"type":"message","usage":{{"input_tokens":1,"note":"{padding}"}}}}"#),
        format!(
            r#"{{"candidates":[],"usageMetadata":{{"promptTokenCount":1,"note":"{padding}"}}}}"#
        ),
        format!(r#"{{"object":"response","usage":{{"input_tokens":1,"note":"{padding}"}}}}"#),
    ] {
        let error = normalise_response("openai", None, body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), "usage_too_large");
    }
}

#[test]
fn deltas_with_ever_new_fields_do_not_pile_up() {
    let mut normaliser = Normaliser::new("anthropic", Some("messages")).unwrap();
    let refused = (0..10_000).find_map(|index| {
        let event =
            format!("data: {{\"type\":\"message_delta\",\"usage\":{{\"f{index}\":1}}}}\n\n");
        normaliser.feed(event.as_bytes()).err()
    });
    assert_eq!(refused.unwrap().kind(), "usage_too_large");
}

/// Ten megabytes of content around a usage object are passed over, in one piece or as a stream.
#[test]
fn ten_megabytes_of_content_are_read_in_bounded_memory() {
    let content = "x".repeat(10 << 20);
    for (provider, api, body) in [
        (
            "openai",
            "chat",
            format!(r#"{{"choices":[{{"message":{{"content":"{content}"}}}}],"usage":{USAGE}}}"#),
        ),
        (
            "anthropic",
            "messages",
            format!(
                r#"{{"type":"message","content":"{content}","usage":{{"input_tokens":1,"output_tokens":2}}}}"#
            ),
        ),
        (
            "google",
            "generate_content",
            format!(
                r#"{{"candidates":[{{"content":"{content}","finishReason":"STOP"}}],"usageMetadata":{{"promptTokenCount":1,"candidatesTokenCount":2}}}}"#
            ),
        ),
        (
            "bedrock",
            "converse",
            format!(
                r#"{{"output":"{content}","stopReason":"","usage":{{"inputTokens":1,"outputTokens":2}}}}"#
            ),
        ),
        (
            "bedrock",
            "invoke",
            format!(
                r#"{{"generation":"{content}","prompt_token_count":1,"generation_token_count":2}}"#
            ),
        ),
        (
            "ollama",
            "ollama",
            format!(
                r#"{{"response":"{content}","done":true,"prompt_eval_count":1,"eval_count":2}}"#
            ),
        ),
        (
            "cohere",
            "cohere",
            format!(
                r#"{{"message":"{content}","usage":{{"billed_units":{{"input_tokens":1,"output_tokens":2}}}}}}"#
            ),
        ),
    ] {
        let whole = normalise_response(provider, Some(api), body.as_bytes()).unwrap();
        assert_eq!(whole.pools.len(), 2, "{provider} {api}");
        assert!(whole.raw_usage.len() < 200, "{provider} {api}");
        let mut normaliser = Normaliser::new(provider, Some(api)).unwrap();
        for chunk in body.as_bytes().chunks(65_536) {
            normaliser.feed(chunk).unwrap();
        }
        assert_eq!(normaliser.finish().unwrap().pools, whole.pools);
        let mut small = Normaliser::with_limit(provider, Some(api), 1 << 20).unwrap();
        let refused = body
            .as_bytes()
            .chunks(65_536)
            .find_map(|c| small.feed(c).err());
        assert_eq!(refused, Some(UsageError::EventTooLarge { limit: 1 << 20 }));
    }
}

#[test]
fn ten_megabytes_of_nonsense_are_refused() {
    for (byte, kind) in [
        (b'[', "malformed"),
        (b'{', "malformed"),
        (b'7', "malformed"),
        (0xFF, "not_utf8"),
    ] {
        let body = vec![byte; 10 << 20];
        for api in ["chat", "messages", "invoke", "ollama", "batch"] {
            let error = normalise_response("openai", Some(api), &body).unwrap_err();
            assert_eq!(error.kind(), kind, "{byte} {api}");
        }
    }
}

/// A list of ten million nothings costs no memory a piece.
#[test]
fn a_list_without_end_is_counted_or_passed_over() {
    let list = format!("[{}0]", "0,".repeat(5 << 20));
    let body = format!(r#"{{"data":{list},"images":{list},"content":{list}}}"#);
    let normalised = normalise_response("openai", Some("images"), body.as_bytes()).unwrap();
    assert_eq!(normalised.pools.len(), 1);
    assert!(normalise_response("openai", Some("chat"), body.as_bytes()).is_err());
}

#[test]
fn content_nested_without_end_is_passed_over() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"content":{deep},"choices":[],"usage":{USAGE}}}"#);
    let normalised = normalise_response("openai", Some("chat"), body.as_bytes()).unwrap();
    assert_eq!(normalised.pools.len(), 2);
}

#[test]
fn usage_nested_without_end_is_refused() {
    let deep = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    let body = format!(r#"{{"choices":[],"usage":{{"prompt_tokens":{deep}}}}}"#);
    let error = normalise_response("openai", Some("chat"), body.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), "quantity");
}

/// Even where a number stands in it.
#[test]
fn what_is_not_known_and_nested_without_end_is_one_thing() {
    let deep = format!("{}1{}", "[".repeat(4_000), "]".repeat(4_000));
    let usage = USAGE.replacen('{', &format!(r#"{{"dreams":{deep},"#), 1);
    let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
    let normalised = normalise_response("openai", Some("chat"), body.as_bytes()).unwrap();
    let [Unrecognised { path, stated }] = &normalised.unrecognised[..] else {
        panic!("{:?}", normalised.unrecognised);
    };
    assert!(path.starts_with("usage.dreams[0][0]"), "{path}");
    assert_eq!(*stated, Stated::Other);
}

#[test]
fn a_thousand_kinds_of_images_are_refused() {
    let items: Vec<String> = (0..1_000)
        .map(|size| format!(r#"{{"type":"image_generation_call","size":"{size}"}}"#))
        .collect();
    let body = format!(
        r#"{{"object":"response","output":[{}],"usage":{{"input_tokens":1,"output_tokens":1}}}}"#,
        items.join(",")
    );
    let error = normalise_response("openai", Some("responses"), body.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), "unsupported");
}
