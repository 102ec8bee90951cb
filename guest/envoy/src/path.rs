//! What a path says of a call, as those of Gemini and Bedrock do.
//!
//! Segments are read as their server reads them, without their escapes: whoever reads them otherwise
//! prices another model than the one that answers. Must not know which models there are.

use farebox_usage::Api;

/// A path that names the model, so that what the body says of it is nobody's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Where it stands, as it is written.
    pub text: &'a str,
    /// The model, where its name can be read.
    pub model: Option<Box<str>>,
    /// The family, where only one has such a path.
    pub api: Option<Api>,
}

impl<'a> Named<'a> {
    /// What this path names; `None` where it names no model.
    pub fn by(path: &'a str) -> Option<Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut offset = 0_usize;
        let segments = path.split('/').map(|text| {
            let start = offset;
            offset = offset.saturating_add(text.len()).saturating_add(1);
            (start, text, decoded(text))
        });
        let segments: Vec<(usize, &str, Option<String>)> = segments.collect();
        let is = |word| {
            move |(_, _, name): &(usize, &str, Option<String>)| name.as_deref() == Some(word)
        };
        if let Some(at) = segments.iter().rposition(is("models")) {
            let (_, text, name) = segments.get(at.saturating_add(1))?;
            let Some(name) = name else {
                return Some(Self::of(text, "", None));
            };
            let (model, action) = name.rsplit_once(':')?;
            let end = [":", "%3A", "%3a"]
                .into_iter()
                .filter_map(|colon| text.rfind(colon))
                .max()?;
            return Some(Self::of(text.get(..end)?, model, api_of(action)));
        }
        let at = segments.iter().position(is("model"))?;
        // The id of a resource has slashes, which not everybody encodes.
        let rest = segments.get(at.saturating_add(1)..)?;
        let ((end, _, action), model) = rest.split_last()?;
        let (start, _, _) = model.first()?;
        let text = path.get(*start..end.saturating_sub(1))?;
        let name: Option<Vec<&str>> = model.iter().map(|(_, _, name)| name.as_deref()).collect();
        let name = name.unwrap_or_default().join("/");
        Some(Self::of(text, &name, action.as_deref().and_then(api_of)))
    }

    fn of(text: &'a str, model: &str, api: Option<Api>) -> Self {
        Self {
            text,
            model: (!model.is_empty()).then(|| model.into()),
            api,
        }
    }
}

/// The family whose calls are named so in a path.
fn api_of(action: &str) -> Option<Api> {
    Api::from_name(action).ok().filter(|api| {
        matches!(
            api,
            Api::GenerateContent | Api::Predict | Api::Converse | Api::Invoke
        )
    })
}

/// A segment of a path without its escapes; `None` where they are none, or no text.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from((high << 4) | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_model() {
        let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0";
        for (path, expect, api) in [
            ("/v1/chat/completions", None, None),
            ("/v1/models", None, None),
            ("/v1/models/gpt-4o", None, None),
            (
                "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
                Some("gemini-2.5-pro"),
                Some(Api::GenerateContent),
            ),
            (
                "/v1beta/models/gemini-embedding-001:embedContent",
                Some("gemini-embedding-001"),
                Some(Api::GenerateContent),
            ),
            (
                "/v1/projects/models/locations/l/publishers/anthropic/models/claude-opus-4%4020250514:rawPredict",
                Some("claude-opus-4@20250514"),
                None,
            ),
            (
                "/model/amazon.nova-lite-v1/invoke",
                Some("amazon.nova-lite-v1"),
                Some(Api::Invoke),
            ),
            (
                "/model/eu.amazon.nova-lite-v1%3A0/converse",
                Some("eu.amazon.nova-lite-v1:0"),
                Some(Api::Converse),
            ),
            // Its server reads the same of this.
            (
                "/%6Dodel/eu.amazon.nova-lite-v1%3a0/converse-stream",
                Some("eu.amazon.nova-lite-v1:0"),
                Some(Api::Converse),
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.amazon.nova-lite-v1%3A0/converse",
                Some(arn),
                Some(Api::Converse),
            ),
            (
                "/model/arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0/converse",
                Some(arn),
                Some(Api::Converse),
            ),
        ] {
            let named = Named::by(path);
            let model = named.as_ref().and_then(|named| named.model.as_deref());
            assert_eq!(model, expect, "{path}");
            assert_eq!(named.and_then(|named| named.api), api, "{path}");
        }
        for path in [
            "/model/nova%3/converse",
            "/model/nova%zz/converse",
            "/model/nova%ff/converse",
            "/v1beta/models/nova%:generateContent",
        ] {
            let named = Named::by(path).unwrap();
            assert_eq!(named.model, None, "{path}");
        }
    }
}
