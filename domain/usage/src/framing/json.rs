//! JSON objects one after the other, from bytes in any chunks: one a line (Ollama), in a list that is
//! written as it grows (Gemini without `alt=sse`), or a single body.
//!
//! An object ends where its brackets close, so that line breaks may stand anywhere. What stands
//! between objects and is no punctuation is given out by the line, for the reader to find broken.
//! Memory is bounded by the limit on one object.

use crate::error::UsageError;

/// Reads objects. After an error, it gives the same error for ever.
#[derive(Debug)]
pub(super) struct JsonReader {
    limit: usize,
    held: Vec<u8>,
    state: State,
    depth: usize,
    read_bytes: u64,
    failed: Option<UsageError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    /// Something that is no object, up to the end of its line.
    Junk,
    Object,
    Text,
    /// After a backslash in a text.
    Escape,
}

impl JsonReader {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            state: State::Between,
            depth: 0,
            read_bytes: 0,
            failed: None,
        }
    }

    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(&str),
    ) -> Result<(), UsageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        for byte in chunk {
            if self.take(*byte) {
                self.give(on_event)?;
            }
            self.read_bytes = self.read_bytes.saturating_add(1);
            if self.held.len() > self.limit {
                return Err(self.fail(UsageError::EventTooLarge {
                    limit: self.limit as u64,
                }));
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, on_event: &mut impl FnMut(&str)) -> Result<(), UsageError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.held.is_empty() && std::str::from_utf8(&self.held).is_ok() {
            self.give(on_event)?;
        }
        Ok(())
    }

    /// Returns whether an object has ended.
    fn take(&mut self, byte: u8) -> bool {
        let before = self.state;
        self.state = match (before, byte) {
            (State::Between, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']') => return false,
            // A byte order mark, which nobody needs.
            (State::Between, 0xEF | 0xBB | 0xBF) if self.read_bytes < 3 => return false,
            (State::Between, b'{') => {
                self.depth = 1;
                State::Object
            }
            (State::Between, _) => State::Junk,
            (State::Junk, b'\n') => return true,
            (State::Object, b'"') => State::Text,
            (State::Object, b'{' | b'[') => {
                self.depth = self.depth.saturating_add(1);
                State::Object
            }
            (State::Object, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                State::Object
            }
            (State::Text, b'\\') => State::Escape,
            (State::Text, b'"') => State::Object,
            (State::Escape, _) => State::Text,
            (state, _) => state,
        };
        self.held.push(byte);
        self.state == State::Object && self.depth == 0
    }

    fn give(&mut self, on_event: &mut impl FnMut(&str)) -> Result<(), UsageError> {
        self.state = State::Between;
        let Ok(text) = std::str::from_utf8(&self.held) else {
            let start = self.read_bytes.saturating_sub(self.held.len() as u64);
            return Err(self.fail(UsageError::NotUtf8 {
                offset: start.saturating_add(1),
            }));
        };
        on_event(text);
        self.held.clear();
        Ok(())
    }

    fn fail(&mut self, error: UsageError) -> UsageError {
        self.held = Vec::new();
        self.failed = Some(error.clone());
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], size: usize) -> Result<Vec<String>, UsageError> {
        let mut events = Vec::new();
        let mut on = |text: &str| events.push(text.to_owned());
        let mut reader = JsonReader::new(64);
        for chunk in stream.chunks(size) {
            reader.feed(chunk, &mut on)?;
        }
        reader.finish(&mut on)?;
        Ok(events)
    }

    #[test]
    fn objects_end_where_their_brackets_close() {
        for (stream, objects) in [
            ("{\"a\":1}\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"][..]),
            ("[{\n \"a\": [1]\n},\r\n{}]", &["{\n \"a\": [1]\n}", "{}"]),
            (r#"{"a":"}\"{"}{}"#, &[r#"{"a":"}\"{"}"#, "{}"]),
            ("\u{feff}{}", &["{}"]),
            ("{} nonsense\n{}", &["{}", "nonsense", "{}"]),
            ("{}{\"a\":", &["{}", "{\"a\":"]),
            ("", &[]),
        ] {
            for size in [1, 2, 3, 64] {
                assert_eq!(read(stream.as_bytes(), size).unwrap(), objects, "{stream}");
            }
        }
    }

    #[test]
    fn an_object_without_end_is_refused_at_the_limit() {
        let endless = format!("{{\"a\":\"{}", "x".repeat(100));
        for size in [1, 7, 200] {
            assert_eq!(
                read(endless.as_bytes(), size),
                Err(UsageError::EventTooLarge { limit: 64 })
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(
            read(b"{}\n{\"a\":\"\xFF\"}", 3),
            Err(UsageError::NotUtf8 { offset: 3 })
        );
    }
}
