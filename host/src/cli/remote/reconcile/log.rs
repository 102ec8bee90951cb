//! The access log of a proxy, line by line: JSON objects, each with the record of a call in one
//! field, written by the filter. Logs are large, cut off where a process was killed, and shared with
//! lines of others; whatever a line is, the next is read. Must not know what becomes of a call.

use farebox_usage::parse_exact;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

/// The longest line, in bytes: many times that of the longest record.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// How many beginnings of an object are tried in a line that is none.
const BEGINNINGS_MAX: usize = 64;

/// A call as the filter has recorded it.
#[derive(Debug)]
pub struct Call {
    /// Whose it is.
    pub org: String,
    /// Under which its report counts once.
    pub idempotency_key: String,
    /// What its caller was told that it costs, in USD.
    pub price_usd: Option<Decimal>,
    /// Its report, to the letter; absent where that was not for a log.
    pub report: Option<Box<RawValue>>,
}

/// What a line has of a call.
#[derive(Debug)]
pub enum Found {
    /// One.
    Call(Box<Call>),
    /// None: a line of somebody else, or of what is no call.
    Nothing,
}

/// Why a line that should have a call cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It ends within an object, and so does the log.
    #[error("the line is cut off")]
    CutOff,
    /// It begins with the beginning of another, whose writer was killed.
    #[error("a line that was cut off stands before this one")]
    CutBefore,
    /// It begins like an object and is none.
    #[error("the line is no JSON object")]
    Malformed,
    /// It is longer than any that the filter writes.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// The field is there, and has no record.
    #[error("`{field}` is no record of a call: {reason}")]
    Record {
        /// Which field.
        field: String,
        /// What the JSON reader says.
        reason: String,
    },
    /// Its price is no amount.
    #[error("`price_usd` is `{text}`")]
    Price {
        /// As it stands there, cut to 64 characters.
        text: String,
    },
    /// Nobody is named.
    #[error("the call ran without a hold, so nothing says whose it is")]
    NoOrg,
    /// The report would count under another key.
    #[error("the report has another idempotency key than its record")]
    Keys,
    /// The report is under no hold, so that nothing bounds it or says that it is the org's.
    #[error("the report names no hold")]
    NoHold,
}

/// A line's number, from 1, and what it has.
pub type Line = (u64, Result<Found, LineError>);

/// The lines of a log.
pub struct Log<R> {
    input: R,
    field: String,
    number: u64,
    line: Vec<u8>,
    /// What else the last line had.
    also: Option<Line>,
}

impl<R: BufRead> Log<R> {
    /// The lines of `input`, with records in this field.
    pub const fn new(input: R, field: String) -> Self {
        Self {
            input,
            field,
            number: 0,
            line: Vec::new(),
            also: None,
        }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The log cannot be read on.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(also) = self.also.take() {
            return Ok(Some(also));
        }
        self.line.clear();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let is_ended = self.line.ends_with(b"\n");
        if !is_ended && u64::try_from(read).is_ok_and(|read| read >= LINE_BYTES_MAX) {
            self.pass_over()?;
            return Ok(Some((self.number, Err(LineError::TooLong))));
        }
        let found = match read_line(&self.line, &self.field) {
            Err(LineError::Malformed) if !is_ended => Err(LineError::CutOff),
            Err(LineError::Malformed) => match after_a_cut(&self.line, &self.field) {
                Some(second) => {
                    self.also = Some((self.number, second));
                    Err(LineError::CutBefore)
                }
                None => Err(LineError::Malformed),
            },
            found => found,
        };
        Ok(Some((self.number, found)))
    }

    /// Goes on behind the end of the line.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.input.fill_buf()?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (count, is_over) = match end {
                Some(at) => (at.saturating_add(1), true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.input.consume(count);
            if is_over {
                return Ok(());
            }
        }
    }
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

fn read_line(line: &[u8], field: &str) -> Result<Found, LineError> {
    let line = line.trim_ascii();
    if !line.starts_with(b"{") {
        return Ok(Found::Nothing);
    }
    let fields: Fields<'_> = serde_json::from_slice(line).map_err(|_| LineError::Malformed)?;
    let Some(raw) = fields.get(field) else {
        return Ok(Found::Nothing);
    };
    let bad = |reason: String| LineError::Record {
        field: field.to_owned(),
        reason,
    };
    // The proxy's words for "there is none".
    if matches!(raw.get(), "null" | "\"-\"" | "\"\"") {
        return Ok(Found::Nothing);
    }
    let text: Cow<'_, str> = if raw.get().starts_with('"') {
        serde_json::from_str::<String>(raw.get())
            .map_err(|error| bad(error.to_string()))?
            .into()
    } else {
        raw.get().into()
    };
    let record: Record = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    record.read().map(|call| Found::Call(Box::new(call)))
}

/// The line that was written behind one that its writer did not end.
fn after_a_cut(line: &[u8], field: &str) -> Option<Result<Found, LineError>> {
    let begins = line.iter().enumerate().skip(1);
    let begins = begins.filter(|(_, byte)| **byte == b'{');
    begins.take(BEGINNINGS_MAX).find_map(|(at, _)| {
        let found = read_line(line.get(at..)?, field);
        (found.as_ref().err() != Some(&LineError::Malformed)).then_some(found)
    })
}

#[derive(Deserialize)]
struct Record {
    org_id: Option<String>,
    idempotency_key: String,
    price_usd: Option<String>,
    report: Option<Box<RawValue>>,
}

/// What of a report is looked at here.
#[derive(Deserialize)]
struct Report {
    idempotency_key: Option<String>,
    hold_id: Option<String>,
}

impl Record {
    fn read(self) -> Result<Call, LineError> {
        let org = self.org_id.ok_or(LineError::NoOrg)?;
        let price_usd = match self.price_usd {
            None => None,
            Some(text) => Some(parse_exact(&text).map_err(|_| LineError::Price {
                text: text.chars().take(64).collect(),
            })?),
        };
        if let Some(report) = &self.report {
            let said: Report =
                serde_json::from_str(report.get()).map_err(|error| LineError::Record {
                    field: "report".to_owned(),
                    reason: error.to_string(),
                })?;
            if said.idempotency_key.as_ref() != Some(&self.idempotency_key) {
                return Err(LineError::Keys);
            }
            if said.hold_id.is_none() {
                return Err(LineError::NoHold);
            }
        }
        Ok(Call {
            org,
            idempotency_key: self.idempotency_key,
            price_usd,
            report: self.report,
        })
    }
}

#[cfg(test)]
mod tests;
