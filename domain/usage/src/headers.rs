//! Usage that stands in the headers of an answer.
//!
//! Bedrock counts there what InvokeModel's body does not. A body that states usage comes first: it
//! says more, such as how long a cache write lives. Must not know what else headers say.

use crate::error::{QuantityFault, UsageError, VALUE_CHARS_MAX};
use crate::family::{Bill, Reading};
use crate::fields::Fields;
use crate::normalised::{Finish, Served};
use crate::object;
use crate::{WORD_BYTES_MAX, number::parse_exact};
use farebox_pricing::meter::Meter;

const COUNTS: [(&str, Meter); 4] = [
    ("x-amzn-bedrock-input-token-count", Meter::Input),
    ("x-amzn-bedrock-output-token-count", Meter::Output),
    (
        "x-amzn-bedrock-cache-read-input-token-count",
        Meter::CacheRead,
    ),
    (
        "x-amzn-bedrock-cache-write-input-token-count",
        Meter::CacheWrite5m,
    ),
];

/// Whether a header of this name, in any case, can say something about usage.
pub fn is_about_usage(name: &str) -> bool {
    let counts = COUNTS.iter().map(|(known, _)| *known);
    let words = ["x-amzn-requestid", "x-amzn-bedrock-service-tier"];
    counts
        .chain(words)
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// What the headers have said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Headers {
    counts: Vec<(&'static str, Box<str>)>,
    request_id: Option<Box<str>>,
    service_tier: Option<Box<str>>,
}

impl Headers {
    /// Takes a header, by its name in any case. Those that say nothing about usage are passed over.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> Result<(), UsageError> {
        let value = value.trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if let Some((known, _)) = COUNTS.iter().find(|(known, _)| is(known)) {
            parse_exact(value).map_err(|_| UsageError::Quantity {
                path: format!("headers.{known}"),
                value: value.chars().take(VALUE_CHARS_MAX).collect(),
                fault: QuantityFault::NotANumber,
            })?;
            match self.counts.iter_mut().find(|(is, _)| is == known) {
                Some((_, before)) => *before = value.into(),
                None => self.counts.push((*known, value.into())),
            }
        } else if is("x-amzn-requestid") && value.len() <= WORD_BYTES_MAX {
            self.request_id = Some(value.into());
        } else if is("x-amzn-bedrock-service-tier") && value.len() <= WORD_BYTES_MAX {
            self.service_tier = Some(value.into());
        }
        Ok(())
    }

    /// Whether any usage was stated.
    pub(crate) fn state_usage(&self) -> bool {
        !self.counts.is_empty()
    }

    /// The usage of an answer whose body states none.
    pub(crate) fn reading(&self, served: Served) -> Result<Reading, UsageError> {
        let mut bill = Bill::default();
        let counts = self.counts.iter();
        let raw_usage = object::text(counts.map(|(name, count)| (*name, &**count)));
        let mut fields = Fields::parse("headers", &raw_usage)?;
        for (name, meter) in COUNTS {
            let Some(count) = fields.count(name)? else {
                continue;
            };
            match meter {
                Meter::Input | Meter::Output => bill.pools.stated(meter, count)?,
                detail => bill.pools.detail(detail, count)?,
            }
        }
        Ok(Reading {
            served,
            bill,
            raw_usage,
            finish: Finish::Complete,
        })
    }

    /// Fills in what the body left out.
    pub(crate) fn complete(self, served: &mut Served) {
        served.response_id = served.response_id.take().or(self.request_id);
        served.service_tier = served.service_tier.take().or(self.service_tier);
    }
}
