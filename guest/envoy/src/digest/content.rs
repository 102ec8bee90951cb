//! What of an answer is no content: usage, ids, models, how it ended, and what is counted by being
//! there. Told by the names of fields, which is a guess of shape: whoever keeps only this compares.

use super::parts::Parts;

/// Nobody's ids, models and tiers are longer.
const WORD_BYTES_MAX: usize = 258;
/// Deeper than anybody answers.
const DEPTH_MAX: usize = 64;

/// Whether usage stands there: it is kept to the letter.
fn is_usage(name: &str) -> bool {
    let mut within = name.as_bytes().windows(5);
    within.any(|part| matches!(part, b"usage" | b"Usage"))
        || matches!(
            name,
            "billed_units"
                | "metrics"
                | "statistics"
                | "tokens"
                | "amazon-bedrock-invocationMetrics"
        )
}

/// Whether it has usage, ids or counted things somewhere in it.
fn is_looked_into(name: &str) -> bool {
    matches!(
        name,
        "action"
            | "candidates"
            | "choices"
            | "chunk"
            | "data"
            | "delta"
            | "embeddings"
            | "error"
            | "groundingChunks"
            | "groundingMetadata"
            | "images"
            | "item"
            | "last"
            | "message"
            | "messageStop"
            | "meta"
            | "metadata"
            | "output"
            | "performanceConfig"
            | "predictions"
            | "promptFeedback"
            | "response"
            | "results"
            | "serviceTier"
            | "tool_usage"
            | "webSearchQueries"
            | "x_groq"
    )
}

/// Whether it is the name of a thing of which there are few, and nobody's text.
fn is_word(name: &str) -> bool {
    matches!(
        name,
        "blockReason"
            | "code"
            | "completionReason"
            | "created_at"
            | "errorCode"
            | "event_type"
            | "finishReason"
            | "finish_reason"
            | "generation_id"
            | "id"
            | "inference_geo"
            | "latency"
            | "model"
            | "modelVersion"
            | "model_version"
            | "object"
            | "provider"
            | "quality"
            | "region"
            | "responseId"
            | "response_id"
            | "service_tier"
            | "size"
            | "status"
            | "stopReason"
            | "stop_reason"
            | "traffic_type"
            | "type"
    )
}

/// Whether it is counted by being there, wherever it stands.
fn is_there(name: &str) -> bool {
    matches!(name, "bytesBase64Encoded" | "maps")
}

/// The JSON object, the list or the word of an end, without what is content; `None` where it is
/// neither.
pub fn without_content(json: &str) -> Option<String> {
    if json.trim() == "[DONE]" {
        return Some("[DONE]".to_owned());
    }
    let mut walk = Walk {
        parts: Parts::of(json),
        kept: String::new(),
    };
    walk.value(0, true)?;
    walk.parts.peek().is_none().then_some(walk.kept)
}

/// A walk through a JSON text, on which what is no content is kept.
struct Walk<'a> {
    parts: Parts<'a>,
    kept: String,
}

impl Walk<'_> {
    /// An object or a list in which something is looked for.
    fn value(&mut self, depth: usize, is_top: bool) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        let depth = depth.saturating_add(1);
        if !self.parts.take(b'[') {
            return self.object(depth, is_top);
        }
        self.kept.push('[');
        let mut is_first = true;
        while !self.parts.take(b']') {
            self.comma(&mut is_first)?;
            if self.parts.peek()? == b'{' {
                self.object(depth, is_top)?;
            } else {
                self.parts.value()?;
                self.kept.push_str("\"\"");
            }
        }
        self.kept.push(']');
        Some(())
    }

    fn object(&mut self, depth: usize, is_top: bool) -> Option<()> {
        if !self.parts.take(b'{') {
            return None;
        }
        self.kept.push('{');
        let (mut is_first, mut is_first_kept) = (true, true);
        while !self.parts.take(b'}') {
            if !std::mem::take(&mut is_first) && !self.parts.take(b',') {
                return None;
            }
            let quoted = self.parts.name()?;
            let name = quoted.trim_matches('"');
            let looks_into = is_looked_into(name) && matches!(self.parts.peek()?, b'{' | b'[');
            let field = match looks_into {
                true => None,
                false => match field(name, self.parts.value()?, is_top) {
                    Some(text) => Some(text),
                    None => continue,
                },
            };
            if !std::mem::take(&mut is_first_kept) {
                self.kept.push(',');
            }
            self.kept.push_str(quoted);
            self.kept.push(':');
            match field {
                Some(text) => self.kept.push_str(text),
                None => self.value(depth, false)?,
            }
        }
        self.kept.push('}');
        Some(())
    }

    /// What stands between two elements.
    fn comma(&mut self, is_first: &mut bool) -> Option<()> {
        if !std::mem::take(is_first) {
            self.parts.take(b',').then_some(())?;
            self.kept.push(',');
        }
        Some(())
    }
}

/// What stands in the place of a field that is not looked into. At the top the names tell what an
/// answer is, so they all stay.
fn field<'a>(name: &str, json: &'a str, is_top: bool) -> Option<&'a str> {
    let empty = match json.as_bytes().first()? {
        b'"' if json.len() <= WORD_BYTES_MAX && is_word(name) => return Some(json),
        b'"' => "\"\"",
        b'{' => "{}",
        b'[' => "[]",
        // Numbers beside usage are times and counts: those of a text stand within it.
        _ => return Some(json),
    };
    if is_usage(name) && !is_looked_into(name) {
        return Some(json);
    }
    (is_top || is_there(name)).then_some(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_without_end_is_not_walked() {
        let deep = |depth: usize| {
            let (opens, closes) = (r#"{"message":"#.repeat(depth), "}".repeat(depth));
            format!(r#"{opens}{{"id":"m","text":"secret"}}{closes}"#)
        };
        let kept = without_content(&deep(20)).unwrap();
        assert_eq!(kept, deep(20).replace(r#","text":"secret""#, ""));
        assert_eq!(without_content(&deep(100_000)), None);
        let lists = r#"{"choices":["#.repeat(100_000);
        assert_eq!(without_content(&lists), None);
    }
}
