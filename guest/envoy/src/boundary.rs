//! Where a stream of server-sent events stands: what may be written at its end without changing
//! what the caller reads.
//!
//! A comment is a line of its own, so it may stand wherever a line ends. A blank line ends an
//! event, and an event that the provider did not end must not be ended here: the caller would take
//! half of it for a whole one. Must not know what events mean.

/// Where the last byte of a stream left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between events, as at the beginning.
    Event,
    /// After a whole line of an event that is not over.
    Line,
    /// In a line.
    Inside,
}

/// Follows a stream in whatever chunks it comes.
#[derive(Clone, Copy, Debug)]
pub struct Boundary {
    place: Place,
    /// The last byte was a carriage return: a line feed after it ends no further line.
    returned: bool,
}

impl Default for Boundary {
    fn default() -> Self {
        Self {
            place: Place::Event,
            returned: false,
        }
    }
}

impl Boundary {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        // Two line ends have at most four bytes; what was before them does not matter.
        let tail = match chunk.len().checked_sub(4) {
            Some(start) if start > 0 => {
                self.place = Place::Inside;
                self.returned = false;
                chunk.get(start..).unwrap_or_default()
            }
            _ => chunk,
        };
        for byte in tail {
            match byte {
                b'\n' if self.returned => self.returned = false,
                b'\n' | b'\r' => {
                    self.returned = *byte == b'\r';
                    self.place = match self.place {
                        Place::Inside => Place::Line,
                        Place::Line | Place::Event => Place::Event,
                    };
                }
                _ => {
                    self.returned = false;
                    self.place = Place::Inside;
                }
            }
        }
    }

    /// How many bytes of what comes next belong to an event that has begun.
    pub fn rest_of_event(self, chunk: &[u8]) -> usize {
        if self.place == Place::Event {
            return 0;
        }
        let mut ahead = self;
        let end = chunk.iter().position(|byte| {
            ahead.feed(std::slice::from_ref(byte));
            ahead.place == Place::Event
        });
        end.map_or(chunk.len(), |end| end.saturating_add(1))
    }

    /// Where the stream stands.
    pub const fn place(self) -> Place {
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stream: &[u8], cut: usize) -> Place {
        let mut boundary = Boundary::default();
        for chunk in stream.chunks(cut) {
            boundary.feed(chunk);
        }
        boundary.place()
    }

    #[test]
    fn the_rest_of_an_event_is_what_ends_it() {
        for (before, chunk, expect) in [
            ("", "data: 1\n\n", 0),
            ("data: 1\n\n", "data: 2\n\n", 0),
            ("data: 1", "0\n\ndata: 2\n\n", 3),
            ("data: 1\n", "\ndata: 2\n\n", 1),
            ("data: 1\r\n", "\r\ndata: 2", 1),
            ("data: 1", "0", 1),
            ("data: 1", "", 0),
        ] {
            let mut boundary = Boundary::default();
            boundary.feed(before.as_bytes());
            assert_eq!(
                boundary.rest_of_event(chunk.as_bytes()),
                expect,
                "{before:?} {chunk:?}"
            );
        }
    }

    #[test]
    fn every_line_end_counts_once_however_the_stream_is_cut() {
        for (stream, expect) in [
            ("", Place::Event),
            ("data: 1", Place::Inside),
            ("data: 1\n", Place::Line),
            ("data: 1\r", Place::Line),
            ("data: 1\r\n", Place::Line),
            ("data: 1\n\n", Place::Event),
            ("data: 1\r\r", Place::Event),
            ("data: 1\r\n\r\n", Place::Event),
            ("data: 1\r\n\n", Place::Event),
            ("data: 1\n\ndata", Place::Inside),
            ("data: 1\n\nevent: x\n", Place::Line),
            ("data: 1\n\n\n\n\n", Place::Event),
            (": comment\n\n", Place::Event),
        ] {
            for cut in 1..=stream.len().max(1) {
                assert_eq!(place(stream.as_bytes(), cut), expect, "{stream:?} by {cut}");
            }
        }
    }
}
