//! A usage object that is read field by field, and remembers what was not.
//!
//! Every read takes its field away; what is left at the end is what this crate does not know
//! ([`Fields::leftovers`]). A `null` is as good as absent. Must not know any provider's names.

use crate::error::{QuantityFault, UsageError, VALUE_CHARS_MAX};
use crate::normalised::{Stated, Unrecognised};
use crate::number::{NumberError, parse_exact};
use crate::{USAGE_BYTES_MAX, WORD_BYTES_MAX};
use farebox_pricing::meter::Quantity;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Map, Value};

/// A 32-bit float of some seconds is no finer.
const MEASURED_PLACES: u32 = 6;

/// A JSON object under its path.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    /// In their order, each name once. They are few, and most are looked for once: comparing names
    /// costs less than hashing them.
    all: Vec<(String, Value)>,
}

impl Fields {
    pub(crate) fn new(path: String, map: Map<String, Value>) -> Self {
        let all = map.into_iter().collect();
        Self { path, all }
    }

    /// Reads the source text of a usage object.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, UsageError> {
        if text.len() > USAGE_BYTES_MAX {
            return Err(too_large());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self::new(path.to_owned(), map)),
            Ok(_) => Err(UsageError::WrongType {
                path: path.to_owned(),
                expected: "an object",
            }),
            Err(error) => Err(UsageError::malformed(&error)),
        }
    }

    /// The fields of an answer itself, where usage stands beside the content, have no path.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_null())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let mut all = self.all.iter();
        all.find_map(|(name, value)| (name == key).then_some(value))
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.all.iter().position(|(name, _)| name == key)?;
        let (_, value) = self.all.remove(at);
        Some(value).filter(|value| !value.is_null())
    }

    /// A whole number of things, at most 10^15.
    pub(crate) fn count(&mut self, key: &str) -> Result<Option<u64>, UsageError> {
        self.take(key)
            .map(|value| count(|| self.path_of(key), &value))
            .transpose()
    }

    /// One count that has two names. Names that disagree are an error.
    pub(crate) fn either(&mut self, key: &str, other: &str) -> Result<Option<u64>, UsageError> {
        match (self.count(key)?, self.count(other)?) {
            (Some(value), Some(other_value)) if value != other_value => Err(UsageError::Conflict {
                path: self.path_of(key),
                value,
                other_path: self.path_of(other),
                other_value,
            }),
            (value, other_value) => Ok(value.or(other_value)),
        }
    }

    /// A quantity that may have a fraction, such as seconds.
    pub(crate) fn quantity(&mut self, key: &str) -> Result<Option<Decimal>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let path = || self.path_of(key);
        let number = number(path, &value)?;
        Quantity::new(number)
            .map(|quantity| Some(quantity.get()))
            .map_err(|fault| quantity_error(path(), &value, fault.into()))
    }

    /// A quantity that was measured, such as the length of a recording: the noise of the float that
    /// the provider wrote it from is rounded away, at six places.
    pub(crate) fn measured(&mut self, key: &str) -> Result<Option<Decimal>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let path = || self.path_of(key);
        let number = number(path, &value)?.round_dp(MEASURED_PLACES);
        Quantity::new(number)
            .map(|quantity| Some(quantity.get()))
            .map_err(|fault| quantity_error(path(), &value, fault.into()))
    }

    /// An amount of money: any exact decimal, not negative.
    pub(crate) fn amount(&mut self, key: &str) -> Result<Option<Decimal>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let path = || self.path_of(key);
        let amount = number(path, &value)?;
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(quantity_error(path(), &value, QuantityFault::Negative));
        }
        Ok(Some(amount))
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Self>, UsageError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self::new(self.path_of(key), map))),
            Some(_) => Err(self.wrong_type(key, "an object")),
        }
    }

    /// The object under `key`, if it is one; anything else stays.
    pub(crate) fn object_if(&mut self, key: &str) -> Option<Self> {
        if !self.get(key).is_some_and(Value::is_object) {
            return None;
        }
        match self.take(key) {
            Some(Value::Object(map)) => Some(Self::new(self.path_of(key), map)),
            _ => None,
        }
    }

    /// A list of objects.
    pub(crate) fn objects(&mut self, key: &str) -> Result<Vec<Self>, UsageError> {
        let list = match self.take(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(self.wrong_type(key, "a list")),
        };
        let path = self.path_of(key);
        list.into_iter()
            .enumerate()
            .map(|(index, value)| match value {
                Value::Object(map) => Ok(Self::new(format!("{path}[{index}]"), map)),
                _ => Err(UsageError::WrongType {
                    path: format!("{path}[{index}]"),
                    expected: "an object",
                }),
            })
            .collect()
    }

    /// A name: a tier, a type, a modality.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, UsageError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= WORD_BYTES_MAX => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(key, "a short string")),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, UsageError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong_type(key, "a boolean")),
        }
    }

    /// Fields that are known and bill nothing.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            let _ = self.take(key);
        }
    }

    /// The names that are left.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.all.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.iter().all(|(_, value)| value.is_null())
    }

    /// Ends the reading: what was not understood goes to `unrecognised`, each number by itself.
    pub(crate) fn leftovers(self, unrecognised: &mut Vec<Unrecognised>) {
        for (key, value) in &self.all {
            report(self.path_of(&cut(key)), value, unrecognised);
        }
    }

    fn wrong_type(&self, key: &str, expected: &'static str) -> UsageError {
        UsageError::WrongType {
            path: self.path_of(key),
            expected,
        }
    }
}

/// Paths are only made to refuse: most numbers are fine.
fn number(path: impl FnOnce() -> String, value: &Value) -> Result<Decimal, UsageError> {
    let Value::Number(number) = value else {
        return Err(quantity_error(path(), value, QuantityFault::NotANumber));
    };
    parse_exact(number.as_str()).map_err(|error| {
        let fault = match error {
            NumberError::Malformed => QuantityFault::NotANumber,
            NumberError::TooLarge if number.as_str().starts_with('-') => QuantityFault::Negative,
            NumberError::TooLarge => QuantityFault::TooLarge,
            NumberError::TooFine => QuantityFault::TooFine,
        };
        quantity_error(path(), value, fault)
    })
}

fn count(path: impl Fn() -> String, value: &Value) -> Result<u64, UsageError> {
    let quantity = number(&path, value)?;
    let refuse = |fault| quantity_error(path(), value, fault);
    let quantity = Quantity::new(quantity)
        .map_err(|fault| refuse(fault.into()))?
        .get();
    if quantity.scale() != 0 {
        return Err(refuse(QuantityFault::Fractional));
    }
    quantity
        .to_u64()
        .ok_or_else(|| refuse(QuantityFault::TooLarge))
}

/// Reports every number under `value`; what has none, as a whole.
fn report(path: String, value: &Value, unrecognised: &mut Vec<Unrecognised>) {
    let before = unrecognised.len();
    let stated = match value {
        Value::Null => return,
        Value::Number(number) => Stated::Number(cut(number.as_str())),
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| has_numbers(value)) {
                report(format!("{path}.{}", cut(key)), value, unrecognised);
            }
            Stated::Other
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate().filter(|(_, v)| has_numbers(v)) {
                report(format!("{path}[{index}]"), value, unrecognised);
            }
            Stated::Other
        }
        Value::Bool(_) | Value::String(_) => Stated::Other,
    };
    if unrecognised.len() == before {
        unrecognised.push(Unrecognised { path, stated });
    }
}

fn has_numbers(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Object(map) => map.values().any(has_numbers),
        Value::Array(list) => list.iter().any(has_numbers),
        _ => false,
    }
}

fn quantity_error(path: String, value: &Value, fault: QuantityFault) -> UsageError {
    UsageError::Quantity {
        path,
        value: cut(&value.to_string()),
        fault,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(VALUE_CHARS_MAX).collect()
}

pub(crate) const fn too_large() -> UsageError {
    UsageError::UsageTooLarge {
        limit: USAGE_BYTES_MAX as u64,
    }
}
