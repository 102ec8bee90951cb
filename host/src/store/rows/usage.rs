//! Usage events, receipts and first effects in rows.
//!
//! What reports filter and sum by stands in columns; the rest is here. The hash chain covers all
//! of it through [`detail_digest`].

use super::cbor::{Cbor, Error, In, Out};
use crate::service::ledger::receipt::Pricing;
use crate::service::ledger::write::{CallAudit, Made, Unpriced};
use crate::service::policy::{Digest, ReleaseId};
use farebox_ledger::effect::Outcome;
use farebox_ledger::ids::TransactionId;
use farebox_pricing::answer::Line;
use farebox_pricing::event::UsageEvent;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;

impl Cbor for CallAudit {
    fn put(&self, out: &mut Out) {
        out.put(&self.latency_ms)
            .put(&self.status)
            .put(&self.streaming)
            .put(&self.response_id)
            .put(&self.external_id);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            latency_ms: input.get()?,
            status: input.get()?,
            streaming: input.get()?,
            response_id: input.get()?,
            external_id: input.get()?,
        })
    }
}

impl Cbor for ReleaseId {
    fn put(&self, out: &mut Out) {
        out.put(&self.component.0).put(&self.book.0);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            component: Digest(input.get()?),
            book: Digest(input.get()?),
        })
    }
}

/// What of a usage event stands in no column.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageBody {
    /// What was used.
    pub event: UsageEvent,
    /// Whether the report said that nothing more comes under the hold.
    pub last: bool,
    /// What operations want to know.
    pub audit: CallAudit,
    /// Why it had no price at first.
    pub unpriced: Option<Unpriced>,
    /// The list price, where known.
    pub market_usd: Option<Decimal>,
    /// See [`Pricing::saved_usd`].
    pub saved_usd: Option<Decimal>,
}

/// The bytes of a usage event's body.
pub fn usage_body(
    event: &UsageEvent,
    last: bool,
    audit: &CallAudit,
    unpriced: Option<&Unpriced>,
    pricing: Option<&Pricing>,
) -> Vec<u8> {
    let market_usd = pricing.and_then(|pricing| pricing.market_usd);
    let saved_usd = pricing.and_then(Pricing::saved_usd);
    let mut out = Out::new(VERSION);
    out.put(event).put(&last).put(audit);
    match unpriced {
        Some(unpriced) => out.put(&unpriced.reason),
        None => out.put(&None::<Box<str>>),
    };
    out.put(&market_usd);
    if let Some(unpriced) = unpriced {
        out.put(&unpriced.key_source);
        if unpriced.release.is_some() {
            out.put(&unpriced.release);
        }
    } else if saved_usd.is_some() {
        out.put(&saved_usd);
    }
    out.into_bytes()
}

/// A usage event's body.
///
/// # Errors
/// The bytes are not such a body.
pub fn usage(body: &[u8]) -> Result<UsageBody, Error> {
    let mut input = In::new(body, VERSION)?;
    let (event, last, audit) = (input.get()?, input.get()?, input.get()?);
    let reason: Option<Box<str>> = input.get()?;
    let market_usd = input.get()?;
    let (unpriced, saved_usd) = match reason {
        Some(reason) => {
            let unpriced = Unpriced {
                reason,
                key_source: input.get()?,
                release: input.get_if_more()?,
            };
            (Some(unpriced), None)
        }
        None => (None, input.get_if_more()?),
    };
    input.end()?;
    Ok(UsageBody {
        event,
        last,
        audit,
        unpriced,
        market_usd,
        saved_usd,
    })
}

impl Cbor for Pricing {
    fn put(&self, out: &mut Out) {
        out.put(&self.release)
            .put(&self.facts)
            .list(&self.lines)
            .put(&self.price_usd)
            .put(&self.provider_cost_usd)
            .put(&self.market_usd)
            .put(&self.rounding)
            .put(&self.below_cost)
            .put(&self.commodity)
            .put(&self.peg)
            .put(&self.price)
            .put(&self.cost);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        pricing(input, |input| input.list())
    }
}

/// A pricing whose lines are read, or passed over, by `lines`.
fn pricing(
    input: &mut In<'_>,
    lines: impl FnOnce(&mut In<'_>) -> Result<Vec<Line>, Error>,
) -> Result<Pricing, Error> {
    Ok(Pricing {
        release: input.get()?,
        facts: input.get()?,
        lines: lines(input)?,
        price_usd: input.get()?,
        provider_cost_usd: input.get()?,
        market_usd: input.get()?,
        rounding: input.get()?,
        below_cost: input.get()?,
        commodity: input.get()?,
        peg: input.get()?,
        price: input.get()?,
        cost: input.get()?,
    })
}

/// The bytes of a receipt's body.
pub fn receipt_body(pricing: &Pricing) -> Vec<u8> {
    let mut out = Out::new(VERSION);
    out.put(pricing);
    out.into_bytes()
}

/// A receipt's body.
///
/// # Errors
/// The bytes are not such a body.
pub fn receipt(body: &[u8]) -> Result<Pricing, Error> {
    let mut input = In::new(body, VERSION)?;
    let pricing = input.get()?;
    input.end()?;
    Ok(pricing)
}

/// The same without its lines, which are left unread.
///
/// # Errors
/// The bytes are not a receipt's body.
pub fn receipt_without_lines(body: &[u8]) -> Result<Pricing, Error> {
    let mut input = In::new(body, VERSION)?;
    let pricing = pricing(&mut input, |input| {
        super::pricing::skip_lines(input)?;
        Ok(Vec::new())
    })?;
    input.end()?;
    Ok(pricing)
}

/// What was used, out of a usage event's body; the rest is unread.
///
/// # Errors
/// The bytes do not begin like such a body.
pub fn event(body: &[u8]) -> Result<UsageEvent, Error> {
    In::new(body, VERSION)?.get()
}

/// What a charge's transaction says of the rows beside it: SHA-256 over the lengths (8 bytes,
/// big-endian) and bytes of the usage body, the raw usage object and the receipt.
pub fn detail_digest(usage: &[u8], raw: Option<&[u8]>, receipt: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [usage, raw.unwrap_or_default(), receipt] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hasher.update(length.to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-256 of a note; zeros where there is none.
pub fn note_digest(note: Option<&str>) -> [u8; 32] {
    note.map_or([0; 32], |note| Sha256::digest(note).into())
}

impl Cbor for Made {
    fn put(&self, out: &mut Out) {
        match self {
            Self::Nothing => out.uint(0),
            Self::Hold(hold) => {
                out.uint(1);
                out.put(hold);
            }
            Self::Usage(event, charge) => {
                out.uint(2);
                out.put(event).put(charge);
            }
            Self::Other(number) => {
                out.uint(3);
                out.put(&number.to_be_bytes());
            }
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(match input.uint()? {
            0 => Self::Nothing,
            1 => Self::Hold(input.get()?),
            2 => Self::Usage(input.get()?, input.get()?),
            3 => Self::Other(u128::from_be_bytes(input.get()?)),
            _ => return Err(Error::message("unknown effect in a row")),
        })
    }
}

/// A first effect: what a retry is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstEffect {
    /// The write.
    pub id: TransactionId,
    /// The request it came with.
    pub request_digest: Option<[u8; 32]>,
    /// When it took effect.
    pub at_ms: i64,
    /// What it made.
    pub made: Made,
    /// What the ledger said.
    pub outcome: Outcome,
}

/// The bytes of a first effect.
pub fn effect_body(effect: &FirstEffect) -> Vec<u8> {
    let mut out = Out::new(VERSION);
    out.put(&effect.id)
        .put(&effect.request_digest)
        .put(&effect.at_ms)
        .put(&effect.made)
        .put(&effect.outcome);
    out.into_bytes()
}

/// A first effect.
///
/// # Errors
/// The bytes are not such a body.
pub fn effect(body: &[u8]) -> Result<FirstEffect, Error> {
    let mut input = In::new(body, VERSION)?;
    let effect = FirstEffect {
        id: input.get()?,
        request_digest: input.get()?,
        at_ms: input.get()?,
        made: input.get()?,
        outcome: input.get()?,
    };
    input.end()?;
    Ok(effect)
}
