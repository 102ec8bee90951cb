//! The primitives: a writer that cannot fail, a reader that can, and what a value needs for both.
//!
//! Values follow each other without names; an optional value is `null` or itself, a list carries
//! its length. A decimal is its scale and its coefficient, so no digit is added or lost.

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

/// Why bytes are not the row that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(&'static str);

impl Error {
    /// In words.
    pub const fn message(what: &'static str) -> Self {
        Self(what)
    }
}

const CUT: Error = Error("a stored body ends within a value");
const OTHER: Error = Error("another kind of value stands in a stored body");

/// Kinds of values: the first three bits of a head (RFC 8949, section 3.1).
mod kind {
    pub const NUMBER: u8 = 0;
    pub const NEGATIVE: u8 = 1;
    pub const BYTES: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const LIST: u8 = 4;
    pub const SIMPLE: u8 = 7;
}

// Values that are a head alone.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// Reads values from bytes: only the kinds that [`Out`] writes, each of a known length.
///
/// Reading is most of what a backtest does beside rating, and a decoder of all of CBOR was a fifth of
/// its time: hence our own, for the little that rows are made of.
#[derive(Debug)]
pub struct In<'b>(&'b [u8]);

impl<'b> In<'b> {
    /// A body that must have this version.
    ///
    /// # Errors
    /// It has another.
    pub fn new(bytes: &'b [u8], version: u8) -> Result<Self, Error> {
        let mut input = Self(bytes);
        if input.uint()? != u64::from(version) {
            return Err(Error::message("unknown version of a stored body"));
        }
        Ok(input)
    }

    /// An entry, whose version is its list's.
    pub const fn of(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes, or nothing.
    pub fn optional_bytes(&mut self) -> Result<Option<&'b [u8]>, Error> {
        Ok(if self.is_null() {
            None
        } else {
            Some(self.bytes()?)
        })
    }

    /// A number that is never negative.
    #[inline]
    pub fn uint(&mut self) -> Result<u64, Error> {
        match self.head()? {
            (kind::NUMBER, value) => Ok(value),
            _ => Err(OTHER),
        }
    }

    /// A number that is never negative, or nothing.
    pub fn optional_uint(&mut self) -> Result<Option<u64>, Error> {
        Ok(if self.is_null() {
            None
        } else {
            Some(self.uint()?)
        })
    }

    /// A number.
    #[inline]
    pub fn int(&mut self) -> Result<i64, Error> {
        let (kind, value) = self.head()?;
        let value = i64::try_from(value).map_err(|_| OTHER)?;
        match kind {
            kind::NUMBER => Ok(value),
            // What is negative is written as how far below -1 it is.
            kind::NEGATIVE => Ok(!value),
            _ => Err(OTHER),
        }
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'b str, Error> {
        let bytes = self.of_kind(kind::TEXT)?;
        str::from_utf8(bytes).map_err(|_| Error("a stored text is not UTF-8"))
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'b [u8], Error> {
        self.of_kind(kind::BYTES)
    }

    /// Exactly `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.bytes()?
            .try_into()
            .map_err(|_| Error::message("a stored id or digest has another length"))
    }

    /// Any value.
    pub fn get<T: Cbor>(&mut self) -> Result<T, Error> {
        T::get(self)
    }

    /// A list.
    pub fn list<T: Cbor>(&mut self) -> Result<Vec<T>, Error> {
        let length = usize::try_from(self.length()?).map_err(|_| CUT)?;
        // Each takes a byte at least, whatever a damaged row says.
        let mut list = Vec::with_capacity(length.min(self.0.len()));
        for _ in 0..length {
            list.push(T::get(self)?);
        }
        Ok(list)
    }

    /// Passes over so many plain values: numbers, texts, bytes or nothing. What a text says is not
    /// looked at.
    ///
    /// # Errors
    /// There are fewer.
    pub fn skip(&mut self, values: u64) -> Result<(), Error> {
        for _ in 0..values {
            match self.head()? {
                (kind::NUMBER | kind::NEGATIVE | kind::SIMPLE, _) => {}
                (kind::BYTES | kind::TEXT, length) => {
                    self.take(length)?;
                }
                _ => return Err(OTHER),
            }
        }
        Ok(())
    }

    /// How many entries the list has that begins here.
    ///
    /// # Errors
    /// No list begins here.
    pub fn length(&mut self) -> Result<u64, Error> {
        match self.head()? {
            (kind::LIST, length) => Ok(length),
            _ => Err(OTHER),
        }
    }

    /// A value that bodies of before end without.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn get_if_more<T: Cbor>(&mut self) -> Result<Option<T>, Error> {
        if self.end().is_ok() {
            return Ok(None);
        }
        self.get()
    }

    /// Nothing stands behind the last value.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::message("a stored body is longer than its values"))
        }
    }

    fn boolean(&mut self) -> Result<bool, Error> {
        let value = match *self.0.first().ok_or(CUT)? {
            FALSE => false,
            TRUE => true,
            _ => return Err(OTHER),
        };
        self.take(1)?;
        Ok(value)
    }

    /// Whether nothing stands here; it is passed over then.
    #[inline]
    const fn is_null(&mut self) -> bool {
        match self.0 {
            [NULL, rest @ ..] => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Whether bytes stand here.
    fn is_bytes(&self) -> bool {
        self.0.first().is_some_and(|head| head >> 5 == kind::BYTES)
    }

    /// The head of a value: its kind, and its number, or how long it is.
    #[inline]
    fn head(&mut self) -> Result<(u8, u64), Error> {
        let (&head, rest) = self.0.split_first().ok_or(CUT)?;
        let (kind, low) = (head >> 5, head & 0b1_1111);
        self.0 = rest;
        // What has no room in the head stands behind it.
        let value = match low {
            0..24 => u64::from(low),
            24 => u64::from(u8::from_be_bytes(self.next()?)),
            25 => u64::from(u16::from_be_bytes(self.next()?)),
            26 => u64::from(u32::from_be_bytes(self.next()?)),
            27 => u64::from_be_bytes(self.next()?),
            _ => return Err(OTHER),
        };
        Ok((kind, value))
    }

    #[inline]
    fn next<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (next, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*next)
    }

    #[inline]
    fn of_kind(&mut self, wanted: u8) -> Result<&'b [u8], Error> {
        match self.head()? {
            (kind, length) if kind == wanted => self.take(length),
            _ => Err(OTHER),
        }
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'b [u8], Error> {
        let length = usize::try_from(length).map_err(|_| CUT)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
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
    use minicbor::Decoder;
    use proptest::prelude::*;

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
    fn every_plain_value_is_passed_over_whole_and_nothing_else() {
        let mut out = Out::new(1);
        for length in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            out.text(&text);
            out.bytes(text.as_bytes());
        }
        for number in [0, 23, 24, 255, 256, 65_536, i64::MAX, -1, -25, i64::MIN] {
            out.int(number);
        }
        out.uint(u64::MAX);
        out.put(&true).put(&None::<u8>);
        let bytes = out.into_bytes();
        let mut other = Decoder::new(&bytes);
        let mut ends = Vec::new();
        while other.position() < bytes.len() {
            other.skip().unwrap();
            ends.push(other.position());
        }
        let mut input = In::of(&bytes);
        for end in &ends {
            input.skip(1).unwrap();
            assert_eq!(input.0, &bytes[*end..]);
        }
        assert_eq!(input.skip(1), Err(CUT));
        // Cut within a value, the value is not there.
        for end in (0..300).chain(65_000..67_000) {
            let mut input = In::of(&bytes[..end]);
            let whole = ends.iter().filter(|known| **known <= end).count();
            input.skip(whole.try_into().unwrap()).unwrap();
            assert_eq!(input.skip(1), Err(CUT), "{end}");
        }
        // A list, a map, a tag, and heads without a meaning.
        for head in [0x80_u8, 0x9f, 0xa0, 0xc0, 0x1c, 0x7f, 0xff] {
            assert_eq!(In::of(&[head, 0, 0, 0]).skip(1), Err(OTHER), "{head:#x}");
        }
    }

    proptest! {
        /// Any bytes are read as a library for all of CBOR reads them, or are refused by both.
        #[test]
        fn what_is_read_is_what_a_whole_decoder_reads(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            head in any::<u8>(),
        ) {
            let bytes = [&[head], &bytes[..]].concat();
            macro_rules! same {
                ($ours:expr, $theirs:expr) => {{
                    let (mut input, mut other) = (In::of(&bytes), Decoder::new(&bytes));
                    let (ours, theirs) = ($ours(&mut input).ok(), $theirs(&mut other).ok());
                    prop_assert_eq!(&ours, &theirs);
                    if ours.is_some() {
                        prop_assert_eq!(input.0, &bytes[other.position()..]);
                    }
                }};
            }
            same!(In::uint, Decoder::u64);
            same!(In::int, Decoder::i64);
            same!(In::text, Decoder::str);
            same!(In::bytes, Decoder::bytes);
            same!(In::boolean, Decoder::bool);
            same!(In::length, |other: &mut Decoder<'_>| {
                other.array().ok().flatten().ok_or(())
            });
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
