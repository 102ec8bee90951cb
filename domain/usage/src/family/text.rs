//! How much text an event of a stream has, for when nothing else says what was streamed.
//!
//! Counted while the event is read, without keeping any of it: a string counts its bytes, and an
//! object those of its fields that hold text. So whatever shape a provider's delta has, names and
//! ids in it count nothing. Must not know what a byte costs.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Bytes of text, in UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) u64);

/// Where text stands, or what has it somewhere within.
const FIELDS: [&str; 14] = [
    "arguments",
    "content",
    "function",
    "message",
    "partial_json",
    "parts",
    "reasoning",
    "reasoning_content",
    "refusal",
    "text",
    "thinking",
    "tool_calls",
    "tool_plan",
    "transcript",
];

struct IsText(bool);

impl<'de> Deserialize<'de> for IsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = IsText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsText, E> {
                Ok(IsText(FIELDS.contains(&name)))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.len() as u64))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
                let mut sum = Text(0);
                while let Some(text) = list.next_element()? {
                    sum.add(text);
                }
                Ok(sum)
            }

            // A number comes as an object too, of one field that is none of these.
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Text, A::Error> {
                let mut sum = Text(0);
                while let Some(IsText(is_text)) = object.next_key()? {
                    if is_text {
                        sum.add(object.next_value()?);
                    } else {
                        object.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(sum)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

impl Text {
    pub(super) const fn add(&mut self, more: Self) {
        self.0 = self.0.saturating_add(more.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_and_what_names_it_does_not() {
        for (json, expect) in [
            (r#""four""#, 4),
            (r#""é\n""#, 3),
            ("null", 0),
            ("1.50", 0),
            ("true", 0),
            (r#"{"role":"assistant","content":"ab"}"#, 2),
            (r#"{"content":null,"reasoning_content":"abc","n":7}"#, 3),
            (
                r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"a\":"}}]}"#,
                5,
            ),
            (r#"{"type":"text_delta","text":"abcd"}"#, 4),
            (r#"{"type":"input_json_delta","partial_json":"{}"}"#, 2),
            (r#"{"type":"signature_delta","signature":"abcdef"}"#, 0),
            (
                r#"{"content":[{"type":"text","text":"ab"},{"text":"c"}]}"#,
                3,
            ),
            (
                r#"{"parts":[{"text":"ab"},{"inlineData":{"data":"AAAA"}}]}"#,
                2,
            ),
        ] {
            let text: Text = serde_json::from_str(json).unwrap();
            assert_eq!(text.0, expect, "{json}");
        }
    }
}
