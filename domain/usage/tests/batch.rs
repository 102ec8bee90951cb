//! A batch's output file, line by line.

use farebox_usage::{BatchItem, normalise_batch};

fn line(id: &str, tokens: &str) -> String {
    format!(
        r#"{{"custom_id":"{id}","response":{{"status_code":200,"body":{{"object":"chat.completion","usage":{{"prompt_tokens":{tokens},"completion_tokens":1}}}}}},"error":null}}"#
    )
}

fn read(provider: &str, file: &str) -> Vec<(u64, Option<String>, &'static str)> {
    normalise_batch(provider, file.as_bytes())
        .map(
            |BatchItem {
                 line,
                 custom_id,
                 result,
             }| {
                let kind = match result {
                    Ok(normalised) => {
                        assert_eq!(normalised.service_tier.as_deref(), Some("batch"));
                        "read"
                    }
                    Err(error) => error.kind(),
                };
                (line, custom_id.map(Into::into), kind)
            },
        )
        .collect()
}

#[test]
fn every_line_is_a_call_of_its_own() {
    let file = [
        line("a", "7"),
        String::new(),
        line("b", "\"7\""),
        "{\"custom_id\":\"c\",".to_owned(),
        r#"{"custom_id":"d","response":null,"error":{"code":"batch_expired"}}"#.to_owned(),
        line("a", "9"),
    ]
    .join("\r\n");
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(
        read("openai", &file),
        [
            (1, id("a"), "read"),
            (3, id("b"), "quantity"),
            (4, None, "malformed"),
            (5, id("d"), "provider_error"),
            (6, id("a"), "read"),
        ]
    );
    assert_eq!(read("openai", ""), []);
    assert_eq!(
        read("open ai", &line("a", "7")),
        [(1, id("a"), "unknown_provider")]
    );
}

#[test]
fn every_provider_has_its_own_word_for_the_id() {
    let body = r#"{"usageMetadata":{"promptTokenCount":8}}"#;
    for (provider, file) in [
        ("google", format!(r#"{{"key":"a","response":{body}}}"#)),
        ("bedrock", r#"{"recordId":"a","modelOutput":{"inputTextTokenCount":3}}"#.to_owned()),
        (
            "anthropic",
            r#"{"custom_id":"a","result":{"type":"succeeded","message":{"type":"message","usage":{"input_tokens":1,"output_tokens":1}}}}"#.to_owned(),
        ),
    ] {
        assert_eq!(read(provider, &file), [(1, Some("a".to_owned()), "read")]);
    }
    let nameless = format!(r#"{{"request":{{}},"response":{body}}}"#);
    assert_eq!(read("vertex_ai", &nameless), [(1, None, "read")]);
}

#[test]
fn a_large_file_is_never_held() {
    let file = format!("{}\n", line("a", "1")).repeat(10_000);
    let items = normalise_batch("openai", file.as_bytes());
    let last = items.last().unwrap();
    assert_eq!(last.line, 10_000);
    assert!(last.result.is_ok());
}
