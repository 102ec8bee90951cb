//! Numbers in JSON, kept as their source text: nothing on the way to an exact decimal is a float.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// An amount: a decimal string (`"0.042"`), or a JSON number, whose source text is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmountText(String);

impl AmountText {
    /// The text, to be parsed exactly.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AmountText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if text.starts_with('"') {
            let text: Cow<'_, str> = serde_json::from_str(text).map_err(D::Error::custom)?;
            return Ok(Self(text.into_owned()));
        }
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(D::Error::custom(
            "an amount is a decimal string such as \"0.042\"",
        ))
    }
}

/// Quantities by pool, as stated: names, and the source text of JSON numbers. A name that stands
/// twice is refused, because one of the two would be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolsText(Vec<(String, String)>);

impl PoolsText {
    /// Name and number of each, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, number)| (name.as_str(), number.as_str()))
    }
}

impl<'de> Deserialize<'de> for PoolsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pools;

        impl<'de> Visitor<'de> for Pools {
            type Value = PoolsText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of quantities by pool, such as {\"input\": 12}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PoolsText, A::Error> {
                let mut pools: Vec<(String, String)> = Vec::new();
                while let Some((name, number)) = map.next_entry::<String, Box<RawValue>>()? {
                    if pools.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("pool `{name}` stands twice")));
                    }
                    pools.push((name, number.get().to_owned()));
                }
                Ok(PoolsText(pools))
            }
        }

        deserializer.deserialize_map(Pools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_source_text() {
        let pools: PoolsText =
            serde_json::from_str(r#"{"input":1e3,"output":9223372036854775808.5}"#).unwrap();
        assert_eq!(
            pools.iter().collect::<Vec<_>>(),
            [("input", "1e3"), ("output", "9223372036854775808.5")]
        );
    }

    #[test]
    fn a_pool_that_stands_twice_is_refused() {
        let error = serde_json::from_str::<PoolsText>(r#"{"input":1,"input":2}"#).unwrap_err();
        assert!(
            error.to_string().starts_with("pool `input` stands twice"),
            "{error}"
        );
    }

    #[test]
    fn an_amount_is_a_string_or_a_number() {
        for text in [r#""0.1""#, "0.1"] {
            assert_eq!(
                serde_json::from_str::<AmountText>(text).unwrap().as_str(),
                "0.1"
            );
        }
        for text in ["true", "null", "[]", "{}"] {
            assert!(serde_json::from_str::<AmountText>(text).is_err(), "{text}");
        }
    }
}
