//! Counts that stand at the top of an answer, beside its content, instead of in a usage object.
//!
//! Only the fields that a family asks for are kept, and only if they are numbers: whatever else
//! stands there is content. Must not know any provider's names.

use crate::USAGE_BYTES_MAX;
use crate::error::UsageError;
use crate::fields::too_large;
use crate::object::{self, Name};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The counts so far; of each, the last value wins, and `null` says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flat(Vec<(String, String)>);

impl Flat {
    /// Takes the fields of `text`, a JSON object, that `wanted` names.
    pub(super) fn overlay(
        &mut self,
        text: &str,
        wanted: fn(&str) -> bool,
    ) -> Result<(), UsageError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let stated = Wanted(wanted)
            .deserialize(&mut deserializer)
            .map_err(|error| UsageError::malformed(&error))?;
        for (key, raw) in stated {
            if raw.get() == "null" {
                continue;
            }
            if raw.get().len().saturating_add(key.len()) > USAGE_BYTES_MAX || self.0.len() > 64 {
                return Err(too_large());
            }
            let value = raw.get().to_owned();
            match self.0.iter_mut().find(|(is, _)| *is == key) {
                Some((_, before)) => *before = value,
                None => self.0.push((key.into_owned(), value)),
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counts as a JSON object.
    pub(super) fn into_text(self) -> String {
        object::text(self.0.iter().map(|(key, value)| (&**key, &**value)))
    }
}

struct Wanted(fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Wanted {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut stated = Vec::new();
        while let Some(Name(key)) = map.next_key()? {
            if (self.0)(&key) {
                stated.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(stated)
    }
}
