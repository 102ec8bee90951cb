//! The model's name in a request: where it stands, and another in its place.
//!
//! Nothing else of a request changes, not even its spaces, so what a provider signs, counts or
//! caches of it stays what the caller sent. Must not know which name belongs where.

use crate::path::Named;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The path with another model in place of the one that it names; as it is, where it names none.
pub fn path_with(path: &str, model: &str) -> String {
    let named = Named::by(path);
    let renamed = named.and_then(|named| replaced(path, named.text, &segment(model)));
    renamed.unwrap_or_else(|| path.to_owned())
}

/// A name as a segment of a path: one, and without an end.
fn segment(name: &str) -> String {
    let escapes = [('%', "%25"), ('/', "%2F"), ('?', "%3F"), ('#', "%23")];
    escapes
        .into_iter()
        .fold(name.to_owned(), |name, (is, escape)| {
            name.replace(is, escape)
        })
}

/// The body with another model in place of the one that it names, once, at its top; `None` where
/// it does not do so.
pub fn body_with(body: &str, model: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        model: &'a RawValue,
    }
    let Named { model: named } = serde_json::from_str(body).ok()?;
    replaced(body, named.get(), &serde_json::to_string(model).ok()?)
}

/// `whole` with `other` in place of `part`, which is a part of that very text.
fn replaced(whole: &str, part: &str, other: &str) -> Option<String> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let before = whole.get(..start)?;
    let after = whole.get(start.checked_add(part.len())?..)?;
    Some([before, other, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_model() {
        for (path, expect, renamed) in [
            ("/v1/chat/completions", None, "/v1/chat/completions"),
            ("/v1/models", None, "/v1/models"),
            ("/v1/models/gpt-4o", None, "/v1/models/gpt-4o"),
            (
                "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
                Some("gemini-2.5-pro"),
                "/v1beta/models/x:streamGenerateContent?alt=sse",
            ),
            (
                "/model/amazon.nova-lite-v1/invoke",
                Some("amazon.nova-lite-v1"),
                "/model/x/invoke",
            ),
            (
                "/model/arn%3Aaws%2Fnova-lite-v1%3A0/invoke",
                Some("arn:aws/nova-lite-v1:0"),
                "/model/x/invoke",
            ),
        ] {
            let named = Named::by(path).and_then(|named| named.model);
            assert_eq!(named.as_deref(), expect, "{path}");
            assert_eq!(path_with(path, "x"), renamed);
        }
    }

    #[test]
    fn only_the_name_at_the_top_changes() {
        for (body, expect) in [
            (r#"{"model":"a"}"#, Some(r#"{"model":"b\"c"}"#)),
            (
                "{\"x\": {\"model\": \"a\"},\n \"model\" : \"a\" , \"temperature\": 1.50}",
                Some(
                    "{\"x\": {\"model\": \"a\"},\n \"model\" : \"b\\\"c\" , \"temperature\": 1.50}",
                ),
            ),
            (r#"{"mod\u0065l": "a"}"#, Some(r#"{"mod\u0065l": "b\"c"}"#)),
            // Whoever reads it later may take the other one.
            (r#"{"model": "a", "model": "z"}"#, None),
            (r#"{"x": 1}"#, None),
            (r#"{"model": "a""#, None),
        ] {
            assert_eq!(body_with(body, "b\"c").as_deref(), expect, "{body}");
        }
    }
}
