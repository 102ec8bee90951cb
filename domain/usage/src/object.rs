//! A JSON object, field by field, each value in its own text: numbers as they were written, and
//! nothing read that nobody asks for. Must not know any provider's names.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// No real answer nests deeper.
pub(crate) const DEPTH_MAX: usize = 128;

/// The fields in their order. They are few, and most are looked for once: comparing names costs
/// less than hashing them. Of a name that stands twice, the last value counts.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let mut fields = self.0.iter().rev();
        fields.find_map(|(is, value)| (is == name).then_some(*value))
    }

    /// Takes a field away.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().rposition(|(is, _)| is == name)?;
        let (_, value) = self.0.remove(at);
        // What stood before it does not count.
        while let Some(at) = self.0.iter().rposition(|(is, _)| is == name) {
            self.0.remove(at);
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The name of a field.
#[derive(serde::Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// What kind of value a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Flag,
    Number,
    Text,
    List,
    Object,
}

impl Kind {
    /// By its first byte: the text is JSON.
    pub(crate) fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::List,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Flag,
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number,
        }
    }
}

/// Both objects in one: the last value of each field wins, `null` says nothing, and objects in them
/// are laid over each other in turn.
pub(crate) fn overlay(older: &str, newer: &str) -> Result<String, Error> {
    laid_over(older, newer, 0)
}

fn laid_over(older: &str, newer: &str, depth: usize) -> Result<String, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::custom("nested too deep"));
    }
    let (older, newer) = (Object::parse(older)?, Object::parse(newer)?);
    let mut fields: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for (name, value) in older.iter() {
        put(&mut fields, name, value.into());
    }
    for (name, value) in newer.iter().filter(|(_, v)| Kind::of(v) != Kind::Null) {
        let before = fields.iter().find(|(is, _)| *is == name);
        let value = match before {
            Some((_, before)) if [Kind::of(before), Kind::of(value)] == [Kind::Object; 2] => {
                laid_over(before, value, depth.saturating_add(1))?.into()
            }
            _ => value.into(),
        };
        put(&mut fields, name, value);
    }
    let fields = fields.iter().map(|(name, value)| (*name, &**value));
    Ok(text(fields))
}

fn put<'a>(fields: &mut Vec<(&'a str, Cow<'a, str>)>, name: &'a str, value: Cow<'a, str>) {
    match fields.iter_mut().find(|(is, _)| *is == name) {
        Some((_, before)) => *before = value,
        None => fields.push((name, value)),
    }
}

/// The object with these fields.
pub(crate) fn text<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        // A text can always be written.
        text.push_str(&serde_json::to_string(name).unwrap_or_default());
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

/// Whether there is a number anywhere in a JSON text.
pub(crate) fn has_numbers(json: &str) -> bool {
    let (mut in_text, mut escaped) = (false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ => return !in_text && byte.is_ascii_digit(),
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_field_counts() {
        let mut object = Object::parse(r#"{"a":1,"b":null,"a": [2] ,"\u0063":3}"#).unwrap();
        assert_eq!(object.get("a"), Some("[2]"));
        assert_eq!(object.get("c"), Some("3"));
        assert_eq!(object.take("a"), Some("[2]"));
        assert_eq!(object.take("a"), None);
        let left: Vec<_> = object.iter().collect();
        assert_eq!(left, [("b", "null"), ("c", "3")]);
    }

    #[test]
    fn what_is_newer_is_laid_over_what_is_older() {
        let older = r#"{"a":1,"b":{"c":1.50,"d":null},"e":"x"}"#;
        let newer = r#"{"b":{"d":{"f":2}},"a":null,"e":{"g":[]},"h\"":3,"h\"":4}"#;
        let both = overlay(older, newer).unwrap();
        let expect = r#"{"a":1,"b":{"c":1.50,"d":{"f":2}},"e":{"g":[]},"h\"":4}"#;
        assert_eq!(both, expect);
        let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(overlay(&deep(100), &deep(100)).unwrap(), deep(100));
        overlay(&deep(1_000), &deep(1_000)).unwrap_err();
        overlay("[]", "{}").unwrap_err();
    }

    #[test]
    fn a_number_is_seen_wherever_it_stands_and_not_in_a_text() {
        for (json, has) in [
            ("0", true),
            ("-1.5e3", true),
            (r#"{"a":["\"7",{"b":8}]}"#, true),
            (r#"{"a1":"\\\"7","b":[true,false,null]}"#, false),
            (r#""\\",9"#, true),
        ] {
            assert_eq!(has_numbers(json), has, "{json}");
        }
    }
}
