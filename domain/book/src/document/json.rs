//! JSON to nodes, through `serde_json`'s raw values: a raw value is a slice of the text, so where
//! it begins is known, and a number's source text is the slice itself.

use super::{DEPTH_MAX, Document, Entry, Node, Position, Value, duplicate};
use crate::error::BookError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Parses `text`.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, BookError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let position = Position {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        BookError::new(position, String::new(), message_of(&error))
    })?;
    let root = Reader { text }.node(raw, 0)?;
    Ok(Document { text, root })
}

/// serde_json's own text ends with the place, which is told separately here.
fn message_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn node(&self, raw: &'t RawValue, depth: usize) -> Result<Node, BookError> {
        let source = raw.get();
        let offset = self.offset_of(source);
        if depth > DEPTH_MAX {
            return Err(self.error(offset, "values nest too deep".into()));
        }
        let deeper = depth.saturating_add(1);
        let value = match source.bytes().next() {
            Some(b'{') => Value::Table(self.entries(source, offset, deeper)?),
            Some(b'[') => {
                let items: Vec<&'t RawValue> = self.decode(source, offset)?;
                let nodes = items.into_iter().map(|item| self.node(item, deeper));
                Value::Array(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(self.decode(source, offset)?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            _ => Value::Number(source.to_owned()),
        };
        Ok(Node { offset, value })
    }

    fn entries(
        &self,
        source: &'t str,
        offset: usize,
        depth: usize,
    ) -> Result<Vec<Entry>, BookError> {
        let Object(fields) = self.decode(source, offset)?;
        let mut entries = Vec::with_capacity(fields.len());
        for (key, raw) in fields {
            let key_offset = match &key {
                Cow::Borrowed(key) => self.offset_of(key).saturating_sub(1),
                // A key with escapes was copied: its value is the nearest known place.
                Cow::Owned(_) => self.offset_of(raw.get()),
            };
            entries.push(Entry {
                key: key.into_owned(),
                key_offset,
                node: self.node(raw, depth)?,
            });
        }
        match duplicate(&entries) {
            Some(entry) => {
                Err(self.error(entry.key_offset, format!("`{}` stands twice", entry.key)))
            }
            None => Ok(entries),
        }
    }

    fn decode<T: Deserialize<'t>>(&self, source: &'t str, offset: usize) -> Result<T, BookError> {
        serde_json::from_str(source).map_err(|error| self.error(offset, message_of(&error)))
    }

    /// Where `part`, a slice of the text, begins.
    fn offset_of(&self, part: &str) -> usize {
        part.as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr())
    }

    fn error(&self, offset: usize, message: String) -> BookError {
        BookError::new(Position::of(self.text, offset), String::new(), message)
    }
}

/// The fields of an object in their order, duplicates and all.
struct Object<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A key, borrowed where the text has no escapes in it.
#[derive(serde::Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);
