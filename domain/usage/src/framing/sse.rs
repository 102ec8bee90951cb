//! Server-sent events from bytes in any chunks: a byte at a time gives the same events as the
//! whole stream at once.
//!
//! By the HTML standard: CR, LF and CRLF end lines, a leading byte order mark and comments are
//! skipped, the `data` lines of an event are joined by LF. One deviation: an event that the end of
//! the stream cut off is still given out ([`SseReader::finish`]), because its usage may be whole.
//! Memory is bounded by the limit on one event. Must not know what events mean.

use memchr::memchr2;

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event is larger than the limit.
    #[error("an event of the stream is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the stream is not utf-8 (at byte {offset})")]
    NotUtf8 {
        /// From the start of the stream, of the line at fault.
        offset: u64,
    },
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Its type; empty: none was given.
    pub event: &'a str,
    /// Its data lines, joined by LF.
    pub data: &'a str,
}

/// Reads a stream. After an error, it gives the same error for ever.
#[derive(Debug)]
pub struct SseReader {
    limit: usize,
    line: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
    read_bytes: u64,
    failed: Option<SseError>,
}

impl SseReader {
    /// A reader that buffers at most `limit` bytes of one event.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: String::new(),
            data: String::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            read_bytes: 0,
            failed: None,
        }
    }

    /// Takes the next bytes and gives out the events that they complete.
    ///
    /// # Errors
    /// See [`SseError`]. Events before the error have been given out.
    pub fn feed(
        &mut self,
        mut chunk: &[u8],
        mut on_event: impl FnMut(SseEvent<'_>),
    ) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        while let Some((&first, rest)) = chunk.split_first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    self.count(1);
                    chunk = rest;
                    continue;
                }
            }
            let end = memchr2(b'\n', b'\r', chunk);
            let (part, after) = chunk.split_at(end.unwrap_or(chunk.len()));
            self.extend(part)?;
            match after.split_first() {
                None => return Ok(()),
                Some((terminator, after)) => {
                    self.after_cr = *terminator == b'\r';
                    self.count(1);
                    chunk = after;
                    self.end_line(&mut on_event)?;
                }
            }
        }
        Ok(())
    }

    /// The stream has ended: gives out an event that was cut off.
    ///
    /// # Errors
    /// See [`SseError`]. A line cut inside a character is dropped.
    pub fn finish(mut self, mut on_event: impl FnMut(SseEvent<'_>)) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.line.is_empty() && std::str::from_utf8(&self.line).is_ok() {
            self.end_line(&mut on_event)?;
        }
        self.dispatch(&mut on_event);
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.read_bytes = self.read_bytes.saturating_add(bytes as u64);
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), SseError> {
        let held = self.line.len().saturating_add(self.data.len());
        if held.saturating_add(part.len()) > self.limit {
            return Err(self.fail(SseError::TooLarge { limit: self.limit }));
        }
        self.line.extend_from_slice(part);
        self.count(part.len());
        Ok(())
    }

    fn fail(&mut self, error: SseError) -> SseError {
        self.failed = Some(error);
        self.line = Vec::new();
        self.data = String::new();
        error
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) -> Result<(), SseError> {
        let mut bytes = std::mem::take(&mut self.line);
        let without_mark = if std::mem::take(&mut self.at_start) {
            bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes)
        } else {
            &bytes
        };
        let Ok(line) = std::str::from_utf8(without_mark) else {
            let offset = self
                .read_bytes
                .saturating_sub(bytes.len() as u64)
                .saturating_sub(1);
            return Err(self.fail(SseError::NotUtf8 { offset }));
        };
        if line.is_empty() {
            self.dispatch(on_event);
        } else {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    if self.has_data {
                        self.data.push('\n');
                    }
                    self.has_data = true;
                    self.data.push_str(value);
                }
                "event" => value.clone_into(&mut self.event),
                // Comments have an empty field name; `id` and `retry` serve reconnection.
                _ => {}
            }
        }
        bytes.clear();
        self.line = bytes;
        Ok(())
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) {
        if self.has_data {
            on_event(SseEvent {
                event: &self.event,
                data: &self.data,
            });
        }
        self.has_data = false;
        self.data.clear();
        self.event.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Result<Vec<(String, String)>, SseError> {
        let mut events = Vec::new();
        let mut on = |e: SseEvent<'_>| events.push((e.event.to_owned(), e.data.to_owned()));
        let mut reader = SseReader::new(64);
        for chunk in chunks {
            reader.feed(chunk, &mut on)?;
        }
        reader.finish(&mut on)?;
        Ok(events)
    }

    fn data(events: &[(String, String)]) -> Vec<&str> {
        events.iter().map(|(_, data)| data.as_str()).collect()
    }

    #[test]
    fn every_line_ending_ends_a_line() {
        for stream in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\rdata: b\r\r",
            "data: a\r\n\r\ndata: b\r\n\r\n",
        ] {
            assert_eq!(
                data(&read(&[stream.as_bytes()]).unwrap()),
                ["a", "b"],
                "{stream:?}"
            );
        }
    }

    #[test]
    fn a_crlf_cut_in_two_is_one_line_ending() {
        let events = read(&[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]).unwrap();
        assert_eq!(data(&events), ["a\nb"]);
    }

    #[test]
    fn marks_comments_and_other_fields_are_skipped() {
        let stream =
            "\u{feff}data:a\n: OPENROUTER PROCESSING\nid: 7\nretry: 1\nevent: x\ndata\n\n\n\n:\n\n";
        assert_eq!(
            read(&[stream.as_bytes()]).unwrap(),
            [("x".to_owned(), "a\n".to_owned())]
        );
    }

    #[test]
    fn an_event_cut_off_by_the_end_is_given_out() {
        assert_eq!(data(&read(&[b"data: a"]).unwrap()), ["a"]);
        assert_eq!(data(&read(&[b"data: a\ndata: \xC3"]).unwrap()), ["a"]);
    }

    #[test]
    fn the_limit_bounds_a_line_and_an_event_alike() {
        let line = [b'x'; 65];
        assert_eq!(read(&[&line]), Err(SseError::TooLarge { limit: 64 }));
        assert_eq!(
            read(&[b"data: 01234567890123456789\n".repeat(4).as_slice()]),
            Err(SseError::TooLarge { limit: 64 })
        );
    }

    #[test]
    fn a_failed_reader_stays_failed() {
        let mut reader = SseReader::new(64);
        let error = SseError::NotUtf8 { offset: 3 };
        assert_eq!(reader.feed(b":\n\ndata: \xFF\n\n", |_| {}), Err(error));
        assert_eq!(
            reader.feed(b"data: a\n\n", |_| panic!("no event")),
            Err(error)
        );
        assert_eq!(reader.finish(|_| panic!("no event")), Err(error));
    }
}
