//! AWS event streams (`application/vnd.amazon.eventstream`), as Bedrock sends them, from bytes in
//! any chunks.
//!
//! A message is its length, the length of its headers, a checksum of both, the headers, the payload
//! and a checksum of all; the lengths are 32-bit big-endian. Its event type becomes the key of the
//! payload, as in the SDKs: `{"metadata": {…}}`. An exception becomes an `error` of that type. A
//! stream whose lengths or checksums do not hold cannot be read on.
//!
//! Source: Smithy specification, "Amazon Event Stream specification" (November 2026).

use crate::error::UsageError;

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// The prelude and the last checksum.
const MESSAGE_BYTES_MIN: usize = 16;

/// Reads messages. After an error, it gives the same error for ever.
#[derive(Debug)]
pub(super) struct AwsReader {
    limit: usize,
    held: Vec<u8>,
    read_bytes: u64,
    failed: Option<UsageError>,
}

impl AwsReader {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            read_bytes: 0,
            failed: None,
        }
    }

    pub(super) fn feed(
        &mut self,
        mut chunk: &[u8],
        on_event: &mut impl FnMut(&str),
    ) -> Result<(), UsageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !chunk.is_empty() {
            let wanted = self.wanted()?;
            let missing = wanted.saturating_sub(self.held.len());
            let (part, rest) = chunk.split_at(missing.min(chunk.len()));
            self.held.extend_from_slice(part);
            chunk = rest;
            if self.held.len() == wanted && wanted > PRELUDE_BYTES {
                let event = message(&self.held).ok_or(()).or_else(|()| self.broken())?;
                self.read_bytes = self.read_bytes.saturating_add(wanted as u64);
                self.held.clear();
                on_event(&event);
            }
        }
        // So that a length that cannot be is found when it is read, not at the next byte.
        self.wanted().map(drop)
    }

    /// A message that was cut off says nothing: its checksum cannot hold.
    pub(super) fn finish(self) -> Result<(), UsageError> {
        self.failed.map_or(Ok(()), Err)
    }

    /// How many bytes the held ones become: first a prelude, then its message.
    fn wanted(&mut self) -> Result<usize, UsageError> {
        let Some(prelude) = self.held.first_chunk::<PRELUDE_BYTES>() else {
            return Ok(PRELUDE_BYTES);
        };
        let total = number(prelude, 0).unwrap_or(0);
        if total > self.limit {
            let limit = self.limit as u64;
            return Err(self.fail(UsageError::EventTooLarge { limit }));
        }
        if total < MESSAGE_BYTES_MIN || !checks(prelude) {
            return self.broken();
        }
        Ok(total)
    }

    fn broken<T>(&mut self) -> Result<T, UsageError> {
        let offset = self.read_bytes;
        Err(self.fail(UsageError::BrokenFrame { offset }))
    }

    fn fail(&mut self, error: UsageError) -> UsageError {
        self.held = Vec::new();
        self.failed = Some(error.clone());
        error
    }
}

/// The 32-bit number at `at`.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// Whether the last four bytes are the checksum of those before.
fn checks(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(checked, sum)| crc32fast::hash(checked) == u32::from_be_bytes(*sum))
}

/// The event of a whole message, as JSON text; `None` if it is no such message.
fn message(bytes: &[u8]) -> Option<String> {
    if !checks(bytes) {
        return None;
    }
    let headers_bytes = number(bytes, 4)?;
    let (body, _checksum) = bytes.split_last_chunk::<4>()?;
    let (headers, payload) = body.get(PRELUDE_BYTES..)?.split_at_checked(headers_bytes)?;
    let Headers { event, exception } = Headers::read(headers)?;
    if let Some(exception) = exception {
        return Some(format!(r#"{{"error":{{"type":"{exception}"}}}}"#));
    }
    let payload = std::str::from_utf8(payload).ok()?;
    let payload = if payload.is_empty() { "{}" } else { payload };
    Some(format!(r#"{{"{}":{payload}}}"#, event.unwrap_or("event")))
}

#[derive(Default)]
struct Headers<'a> {
    event: Option<&'a str>,
    exception: Option<&'a str>,
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((name_bytes, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*name_bytes))?;
            let (kind, rest) = rest.split_first()?;
            let (value_bytes, rest) = match kind {
                0 | 1 => (0, rest),
                2 => (1, rest),
                3 => (2, rest),
                4 => (4, rest),
                5 | 8 => (8, rest),
                6 | 7 => {
                    let (length, rest) = rest.split_first_chunk::<2>()?;
                    (usize::from(u16::from_be_bytes(*length)), rest)
                }
                9 => (16, rest),
                _ => return None,
            };
            let (value, rest) = rest.split_at_checked(value_bytes)?;
            bytes = rest;
            if *kind != 7 {
                continue;
            }
            match name {
                b":event-type" => headers.event = Some(word(value)?),
                b":exception-type" | b":error-code" => headers.exception = Some(word(value)?),
                _ => {}
            }
        }
        Some(headers)
    }
}

/// A name that can stand in JSON as it is.
fn word(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (text.len() <= 64 && text.bytes().all(is_plain)).then_some(text)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use super::*;

    fn frame(header: &str, value: &str, payload: &str) -> Vec<u8> {
        let mut headers = vec![u8::try_from(header.len()).unwrap()];
        headers.extend(header.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.as_bytes());
        let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend(headers);
        bytes.extend(payload.as_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    fn read(stream: &[u8], size: usize) -> Result<Vec<String>, UsageError> {
        let mut events = Vec::new();
        let mut on = |text: &str| events.push(text.to_owned());
        let mut reader = AwsReader::new(256);
        for chunk in stream.chunks(size) {
            reader.feed(chunk, &mut on)?;
        }
        reader.finish()?;
        Ok(events)
    }

    #[test]
    fn an_event_is_a_payload_under_its_type() {
        let stream = [
            frame(":event-type", "metadata", r#"{"usage":{}}"#),
            frame(":event-type", "messageStop", ""),
            frame(
                ":exception-type",
                "throttlingException",
                r#"{"message":""}"#,
            ),
        ]
        .concat();
        for size in [1, 5, 400] {
            assert_eq!(
                read(&stream, size).unwrap(),
                [
                    r#"{"metadata":{"usage":{}}}"#,
                    r#"{"messageStop":{}}"#,
                    r#"{"error":{"type":"throttlingException"}}"#,
                ]
            );
        }
        let cut = stream.split_last().unwrap().1;
        assert_eq!(read(cut, 7).unwrap().len(), 2);
    }

    #[test]
    fn a_frame_that_does_not_hold_is_refused_wherever_it_breaks() {
        let good = frame(":event-type", "metadata", "{}");
        for at in 0..good.len() {
            let mut stream = good.clone();
            stream.extend(&good);
            stream[good.len() + at] ^= 0x40;
            for size in [1, 9, 400] {
                let error = read(&stream, size).unwrap_err();
                assert!(
                    matches!(
                        error,
                        UsageError::BrokenFrame { .. } | UsageError::EventTooLarge { .. }
                    ),
                    "byte {at}: {error}"
                );
            }
        }
    }
}
