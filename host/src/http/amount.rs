//! Amounts and quantities in JSON: exact, whatever the client's language does to numbers.
//!
//! Amounts go out as text in plain notation. They come in as text or as a JSON number, which is
//! read from its digits and never passes through a float.

use crate::wire::{PoolsText, plain};
use farebox_usage::parse_exact;
use rust_decimal::Decimal;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An exact decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Decimal);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&plain(self.0))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

/// At most this many characters of an amount are shown in an error.
const SHOWN_CHARS: usize = 48;

fn read<E: de::Error>(text: &str) -> Result<Amount, E> {
    parse_exact(text).map(Amount).map_err(|error| {
        let shown: String = text.chars().take(SHOWN_CHARS).collect();
        E::custom(format_args!("invalid amount `{shown}`: {error}"))
    })
}

struct AmountVisitor;

impl<'de> Visitor<'de> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount: a decimal as text, such as \"0.25\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        read(text)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount(Decimal::from(number)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
        Ok(Amount(Decimal::from(number)))
    }

    /// A JSON number with its source text comes as a map with one private key; only
    /// `serde_json::Number` knows how to read it.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Amount, A::Error> {
        let number = serde_json::Number::deserialize(de::value::MapAccessDeserializer::new(map))
            .map_err(|_| de::Error::invalid_type(de::Unexpected::Map, &self))?;
        read(number.as_str())
    }
}

fn schema(description: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .format(Some(utoipa::openapi::SchemaFormat::Custom(
            "decimal".to_owned(),
        )))
        .description(Some(description))
        .examples([example])
        .into()
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        schema(
            "An exact decimal in plain notation. A JSON number is understood too, and read from \
             its digits.",
            "0.25",
        )
    }
}

impl ToSchema for Amount {
    fn name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
}

impl PartialSchema for PoolsText {
    fn schema() -> RefOr<Schema> {
        let quantity = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Number))
            .minimum(Some(0));
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Object))
            .additional_properties(Some(Schema::from(quantity)))
            .description(Some("Quantities by pool, read from their digits."))
            .into()
    }
}

impl ToSchema for PoolsText {
    fn name() -> std::borrow::Cow<'static, str> {
        "Quantities".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(json: &str) -> Result<Decimal, String> {
        serde_json::from_str::<Amount>(json)
            .map(|amount| amount.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_numbers_are_read_from_their_digits() {
        let tenth = Decimal::new(1, 1);
        for json in ["\"0.1\"", "0.1", "0.10", "1e-1", "\"0.100\""] {
            assert_eq!(amount(json), Ok(tenth), "{json}");
        }
        assert_eq!(amount("12"), Ok(Decimal::from(12)));
        assert_eq!(amount("-3"), Ok(Decimal::from(-3)));
        assert_eq!(
            amount("0.1000000000000000055511151231"),
            Ok("0.1000000000000000055511151231".parse().unwrap())
        );
    }

    #[test]
    fn what_is_no_exact_decimal_is_refused_with_its_text() {
        for json in [
            "\"\"",
            "\"abc\"",
            "\"1234567890123456789012345678901234567890\"",
            "1234567890123456789012345678901234567890",
            "0.12345678901234567890123456789",
        ] {
            let error = amount(json).unwrap_err();
            assert!(error.starts_with("invalid amount `"), "{json}: {error}");
        }
        for json in ["null", "true", "{}", "[]", "{\"a\":1}"] {
            let error = amount(json).unwrap_err();
            assert!(error.starts_with("invalid type"), "{json}: {error}");
        }
    }
}
