//! The primitives: a writer that cannot fail, a reader that can, and what a value needs for both.
//!
//! Values follow each other without names; an optional value is `null` or itself, a list carries
//! its length. A decimal is its scale and its coefficient, so no digit is added or lost.

mod input;

pub use input::{Error, In};
use minicbor::Encoder;
use rust_decimal::Decimal;
use std::convert::Infallible;
use std::sync::Arc;

/// Appends values to bytes.
#[derive(Debug)]
pub struct Out(Encoder<Vec<u8>>);

/// Writing to memory cannot fail: there is no error to look at.
fn sure<T>(result: Result<T, minicbor::encode::Error<Infallible>>) {
    drop(result);
}

impl Out {
    /// A body of this version.
    pub fn new(version: u8) -> Self {
        let mut out = Self(Encoder::new(Vec::with_capacity(256)));
        out.uint(u64::from(version));
        out
    }

    /// Goes on after bytes that stand already.
    pub fn onto(bytes: Vec<u8>) -> Self {
        Self(Encoder::new(bytes))
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_writer()
    }

    /// A number that is never negative.
    pub fn uint(&mut self, value: u64) {
        sure(self.0.u64(value));
    }

    /// A number.
    pub fn int(&mut self, value: i64) {
        sure(self.0.i64(value));
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        sure(self.0.str(value));
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        sure(self.0.bytes(value));
    }

    /// Nothing.
    pub fn null(&mut self) {
        sure(self.0.null());
    }

    /// Any value.
    pub fn put<T: Cbor + ?Sized>(&mut self, value: &T) -> &mut Self {
        value.put(self);
        self
    }

    /// A list.
    pub fn list<T: Cbor>(&mut self, values: &[T]) -> &mut Self {
        sure(
            self.0
                .array(u64::try_from(values.len()).unwrap_or(u64::MAX)),
        );
        for value in values {
            value.put(self);
        }
        self
    }
}

/// A value that rows can hold.
pub trait Cbor {
    /// Appends it.
    fn put(&self, out: &mut Out);

    /// Reads it.
    ///
    /// # Errors
    /// What stands there is not such a value.
    fn get(input: &mut In<'_>) -> Result<Self, Error>
    where
        Self: Sized;
}

impl<T: Cbor> Cbor for Option<T> {
    fn put(&self, out: &mut Out) {
        match self {
            Some(value) => value.put(out),
            None => out.null(),
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(if input.is_null() {
            None
        } else {
            Some(T::get(input)?)
        })
    }
}

impl Cbor for Box<str> {
    fn put(&self, out: &mut Out) {
        out.text(self);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(input.text()?.into())
    }
}

impl Cbor for Arc<str> {
    fn put(&self, out: &mut Out) {
        out.text(self);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(input.text()?.into())
    }
}

impl Cbor for Arc<[u8]> {
    fn put(&self, out: &mut Out) {
        out.bytes(self);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(input.bytes()?.into())
    }
}

impl Cbor for bool {
    fn put(&self, out: &mut Out) {
        sure(out.0.bool(*self));
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        input.boolean()
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Cbor for $type {
            fn put(&self, out: &mut Out) {
                out.uint(u64::from(*self));
            }

            fn get(input: &mut In<'_>) -> Result<Self, Error> {
                Self::try_from(input.uint()?)
                    .map_err(|_| Error::message("a stored number is out of range"))
            }
        }
    )*};
}
unsigned!(u8, u16, u32, u64);

impl Cbor for i64 {
    fn put(&self, out: &mut Out) {
        out.int(*self);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        input.int()
    }
}

impl<const N: usize> Cbor for [u8; N] {
    fn put(&self, out: &mut Out) {
        out.bytes(self);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        input.array()
    }
}

impl Cbor for Decimal {
    fn put(&self, out: &mut Out) {
        out.uint(u64::from(self.scale()));
        let coefficient = self.mantissa();
        match i64::try_from(coefficient) {
            Ok(small) => out.int(small),
            Err(_) => out.bytes(&coefficient.to_be_bytes()),
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        let scale = u32::get(input)?;
        let coefficient = if input.is_bytes() {
            i128::from_be_bytes(input.array()?)
        } else {
            i128::from(input.int()?)
        };
        Self::try_from_i128_with_scale(coefficient, scale)
            .map_err(|_| Error::message("a stored decimal is out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Cbor + PartialEq + std::fmt::Debug>(value: &T) {
        let mut out = Out::new(1);
        out.put(value);
        let bytes = out.into_bytes();
        let mut input = In::new(&bytes, 1).unwrap();
        assert_eq!(&input.get::<T>().unwrap(), value);
        input.end().unwrap();
        assert!(In::new(&bytes, 2).is_err());
    }

    #[test]
    fn decimals_keep_every_digit_and_their_scale() {
        for decimal in [
            Decimal::ZERO,
            Decimal::new(0, 5),
            Decimal::new(-150, 2),
            Decimal::MAX,
            Decimal::MIN,
            Decimal::from_i128_with_scale(79_228_162_514_264_337_593_543_950_335, 28),
        ] {
            round_trip(&decimal);
            let mut out = Out::new(1);
            out.put(&decimal);
            let bytes = out.into_bytes();
            let read: Decimal = In::new(&bytes, 1).unwrap().get().unwrap();
            assert_eq!(read.scale(), decimal.scale());
        }
    }

    #[test]
    fn a_cut_body_is_an_error() {
        let mut out = Out::new(1);
        out.put(&Some(Box::<str>::from("text"))).put(&7_u64);
        let bytes = out.into_bytes();
        for end in 0..bytes.len() {
            let read = In::new(&bytes[..end], 1).and_then(|mut input| {
                input.get::<Option<Box<str>>>()?;
                input.get::<u64>()
            });
            assert!(read.is_err(), "{end}");
        }
    }
}
