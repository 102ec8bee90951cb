//! A usage object that is read field by field, and remembers what was not.
//!
//! Every read takes its field away; what is left at the end is what this crate does not know
//! ([`Fields::leftovers`]). A `null` is as good as absent. Must not know any provider's names.

use crate::error::{QuantityFault, UsageError, VALUE_CHARS_MAX};
use crate::normalised::{Stated, Unrecognised};
use crate::number::{NumberError, parse_exact};
use crate::object::{DEPTH_MAX, Kind, Object, has_numbers};
use crate::{USAGE_BYTES_MAX, WORD_BYTES_MAX};
use farebox_pricing::meter::Quantity;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::value::RawValue;

/// A 32-bit float of some seconds is no finer.
const MEASURED_PLACES: u32 = 6;

/// A JSON object under its path.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    all: Object<'a>,
}

impl<'a> Fields<'a> {
    /// Reads the source text of a usage object.
    pub(crate) fn parse(path: &str, text: &'a str) -> Result<Self, UsageError> {
        if text.len() > USAGE_BYTES_MAX {
            return Err(too_large());
        }
        if Kind::of(text) != Kind::Object {
            return Err(UsageError::WrongType {
                path: path.to_owned(),
                expected: "an object",
            });
        }
        Self::nested(path.to_owned(), text)
    }

    fn nested(path: String, text: &'a str) -> Result<Self, UsageError> {
        let all = Object::parse(text).map_err(|error| UsageError::malformed(&error))?;
        Ok(Self { path, all })
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
        let value = self.all.get(key);
        value.is_some_and(|value| Kind::of(value) != Kind::Null)
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let value = self.all.take(key)?;
        Some(value).filter(|value| Kind::of(value) != Kind::Null)
    }

    /// A whole number of things, at most 10^15.
    pub(crate) fn count(&mut self, key: &str) -> Result<Option<u64>, UsageError> {
        self.take(key)
            .map(|value| count(|| self.path_of(key), value))
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
        let number = number(path, value)?;
        Quantity::new(number)
            .map(|quantity| Some(quantity.get()))
            .map_err(|fault| quantity_error(path(), value, fault.into()))
    }

    /// A quantity that was measured, such as the length of a recording: the noise of the float that
    /// the provider wrote it from is rounded away, at six places.
    pub(crate) fn measured(&mut self, key: &str) -> Result<Option<Decimal>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let path = || self.path_of(key);
        let number = number(path, value)?.round_dp(MEASURED_PLACES);
        Quantity::new(number)
            .map(|quantity| Some(quantity.get()))
            .map_err(|fault| quantity_error(path(), value, fault.into()))
    }

    /// An amount of money: any exact decimal, not negative.
    pub(crate) fn amount(&mut self, key: &str) -> Result<Option<Decimal>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let path = || self.path_of(key);
        let amount = number(path, value)?;
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(quantity_error(path(), value, QuantityFault::Negative));
        }
        Ok(Some(amount))
    }

    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Self>, UsageError> {
        match self.take(key) {
            None => Ok(None),
            Some(value) if Kind::of(value) == Kind::Object => {
                Self::nested(self.path_of(key), value).map(Some)
            }
            Some(_) => Err(self.wrong_type(key, "an object")),
        }
    }

    /// The object under `key`, if it is one; anything else stays.
    pub(crate) fn object_if(&mut self, key: &str) -> Result<Option<Self>, UsageError> {
        let value = self.all.get(key);
        if value.is_some_and(|value| Kind::of(value) == Kind::Object) {
            self.object(key)
        } else {
            Ok(None)
        }
    }

    /// A list of objects.
    pub(crate) fn objects(&mut self, key: &str) -> Result<Vec<Self>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(Vec::new());
        };
        if Kind::of(value) != Kind::List {
            return Err(self.wrong_type(key, "a list"));
        }
        let list: Vec<&RawValue> =
            serde_json::from_str(value).map_err(|error| UsageError::malformed(&error))?;
        let path = self.path_of(key);
        list.into_iter()
            .enumerate()
            .map(|(index, value)| {
                let path = format!("{path}[{index}]");
                match Kind::of(value.get()) {
                    Kind::Object => Self::nested(path, value.get()),
                    _ => Err(UsageError::WrongType {
                        path,
                        expected: "an object",
                    }),
                }
            })
            .collect()
    }

    /// A name: a tier, a type, a modality.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, UsageError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match serde_json::from_str::<String>(value) {
            Ok(text) if text.len() <= WORD_BYTES_MAX => Ok(Some(text)),
            _ => Err(self.wrong_type(key, "a short string")),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, UsageError> {
        match self.take(key) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
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
        self.all.iter().map(|(name, _)| name.to_owned()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let mut all = self.all.iter();
        all.all(|(_, value)| Kind::of(value) == Kind::Null)
    }

    /// Ends the reading: what was not understood goes to `unrecognised`, each number by itself.
    pub(crate) fn leftovers(self, unrecognised: &mut Vec<Unrecognised>) {
        for (key, value) in self.all.iter() {
            report(self.path_of(&cut(key)), value, DEPTH_MAX, unrecognised);
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
fn number(path: impl FnOnce() -> String, value: &str) -> Result<Decimal, UsageError> {
    if Kind::of(value) != Kind::Number {
        return Err(quantity_error(path(), value, QuantityFault::NotANumber));
    }
    parse_exact(value).map_err(|error| {
        let fault = match error {
            NumberError::Malformed => QuantityFault::NotANumber,
            NumberError::TooLarge if value.starts_with('-') => QuantityFault::Negative,
            NumberError::TooLarge => QuantityFault::TooLarge,
            NumberError::TooFine => QuantityFault::TooFine,
        };
        quantity_error(path(), value, fault)
    })
}

fn count(path: impl Fn() -> String, value: &str) -> Result<u64, UsageError> {
    // Nearly every count is far below the most that a quantity can be.
    if value.len() <= 15
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(count) = value.parse()
    {
        return Ok(count);
    }
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

/// Reports every number under `value`; what has none, or is nested too deep, as a whole.
fn report(path: String, value: &str, depth: usize, unrecognised: &mut Vec<Unrecognised>) {
    let before = unrecognised.len();
    let within = depth.saturating_sub(1);
    let stated = match Kind::of(value) {
        Kind::Null => return,
        Kind::Number => Stated::Number(cut(value)),
        Kind::Object if within > 0 => {
            let fields = Object::parse(value).ok();
            let fields = fields.iter().flat_map(Object::iter);
            for (key, value) in fields.filter(|(_, value)| has_numbers(value)) {
                report(format!("{path}.{}", cut(key)), value, within, unrecognised);
            }
            Stated::Other
        }
        Kind::List if within > 0 => {
            let list: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
            let list = list.iter().map(|value| value.get()).enumerate();
            for (index, value) in list.filter(|(_, value)| has_numbers(value)) {
                report(format!("{path}[{index}]"), value, within, unrecognised);
            }
            Stated::Other
        }
        _ => Stated::Other,
    };
    if unrecognised.len() == before {
        unrecognised.push(Unrecognised { path, stated });
    }
}

fn quantity_error(path: String, value: &str, fault: QuantityFault) -> UsageError {
    UsageError::Quantity {
        path,
        value: cut(value),
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
