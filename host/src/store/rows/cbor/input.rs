//! Reads the few kinds of values that rows are made of.
//!
//! Reading is most of what a backtest does beside rating, and a decoder of all of CBOR was a fifth of
//! its time: hence our own, for what [`super::Out`] writes and nothing else. The heads are those of
//! RFC 8949, section 3.

use super::Cbor;

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

/// Reads values from bytes: only the kinds that [`super::Out`] writes, each of a known length.
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

    pub(super) fn boolean(&mut self) -> Result<bool, Error> {
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
    pub(super) const fn is_null(&mut self) -> bool {
        match self.0 {
            [NULL, rest @ ..] => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Whether bytes stand here.
    pub(super) fn is_bytes(&self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::super::Out;
    use super::*;
    use minicbor::Decoder;
    use proptest::prelude::*;

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
}
