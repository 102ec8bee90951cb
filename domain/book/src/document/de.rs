//! Nodes to serde structs. An error carries the offset of the innermost thing it is about and the
//! steps that lead there.

use super::{Entry, Node, Value};
use crate::suggest::did_you_mean;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Why a node is not what the text model wants.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DecodeError {
    pub(crate) offset: Option<usize>,
    /// Steps from the inside out.
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
}

impl DecodeError {
    fn at(mut self, offset: usize) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    fn within(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            offset: None,
            path: Vec::new(),
            message: message.to_string(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let meant = did_you_mean(field, expected.iter().copied());
        Self::custom(if meant.is_empty() {
            format!("unknown field `{field}`; known are {}", listed(expected))
        } else {
            format!("unknown field `{field}`{meant}")
        })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let meant = did_you_mean(variant, expected.iter().copied());
        Self::custom(format!(
            "`{variant}` is none of {}{meant}",
            listed(expected)
        ))
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Reads a `T` from `node`.
pub(crate) fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    T::deserialize(node)
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    /// A number comes as its source text: who wants an integer asks for one.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Table(entries) => visitor.visit_map(Fields::new(entries)),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter(),
                index: 0,
            }),
            Value::Text(text) | Value::Number(text) => visitor.visit_str(text),
            Value::Bool(boolean) => visitor.visit_bool(*boolean),
            Value::Null => visitor.visit_unit(),
        }
        .map_err(|error| error.at(self.offset))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let whole = match &self.value {
            Value::Number(text) => text.replace('_', "").parse::<u64>().ok(),
            _ => None,
        };
        whole
            .ok_or_else(|| de::Error::custom("expected a whole number, at least 0"))
            .and_then(|whole| visitor.visit_u64(whole))
            .map_err(|error: DecodeError| error.at(self.offset))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text),
            _ => Err(de::Error::custom("expected text in quotes")),
        }
        .map_err(|error: DecodeError| error.at(self.offset))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Text(text) => {
                let variant: StrDeserializer<'_, DecodeError> = text.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Table(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Fields::new(entries)))
            }
            _ => Err(de::Error::custom("expected text in quotes")),
        }
        .map_err(|error: DecodeError| error.at(self.offset))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index = index.saturating_add(1);
        seed.deserialize(node)
            .map(Some)
            .map_err(|error| error.at(node.offset).within(format!("[{index}]")))
    }
}

struct Fields<'de> {
    entries: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
}

impl<'de> Fields<'de> {
    fn new(entries: &'de [Entry]) -> Self {
        Self {
            entries: entries.iter(),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some(entry) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'de, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.at(entry.key_offset))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(entry) = self.current else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(&entry.node)
            .map_err(|error| error.at(entry.node.offset).within(entry.key.clone()))
    }
}
