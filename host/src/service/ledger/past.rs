//! The charges of the past, of every org, in the order they were posted: what a backtest rates
//! again and a replay proves.
//!
//! Read in **parts**, each a short read of its own, so that several threads share the work, memory
//! does not grow with history, and no long read keeps the ledger from tidying up. What was posted
//! never changes (L4), so parts that are read at different moments still make one whole.

use super::failure::ReadError;
use super::receipt::Pricing;
use super::write::{Unpriced, Way};
use crate::service::policy::{RateRequest, ReleaseId};
use farebox_ledger::ids::{ChargeId, EventId, OrgId, TransactionId};
use farebox_pricing::event::UsageEvent;
use farebox_pricing::money::Nanos;
use std::ops::Range;

/// Where the charges of a range of time stand, as numbers of parts. Charges of the first and last
/// parts may lie outside of the range: each says when it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The parts.
    pub parts: Range<u64>,
    /// The range, milliseconds since the Unix epoch: from the first on, before the second.
    pub posted_ms: Range<i64>,
}

/// A charge of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct PastCharge {
    /// Whose.
    pub org: OrgId,
    /// The charge.
    pub charge: ChargeId,
    /// What was used.
    pub event_id: EventId,
    /// When it was posted, milliseconds since the Unix epoch.
    pub posted_at_ms: i64,
    /// What was used, as it was priced.
    pub event: UsageEvent,
    /// How it was priced; without its lines, unless they were asked for.
    pub pricing: Pricing,
}

impl PastCharge {
    /// What its policy was asked.
    pub const fn request(&self) -> RateRequest<'_> {
        (&self.event, &self.pricing.facts)
    }
}

/// Whether the lines of receipts are read. They are half of a receipt, and only a proof needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// [`Pricing::lines`] is empty.
    LeftOut,
    /// They are there.
    Read,
}

/// Usage of the past that still waits for a price.
#[derive(Clone, Debug, PartialEq)]
pub struct PastWaiting {
    /// Whose.
    pub org: OrgId,
    /// What was used.
    pub event_id: EventId,
    /// When it was recorded, milliseconds since the Unix epoch.
    pub recorded_at_ms: i64,
    /// Why it has no price.
    pub unpriced: Option<Unpriced>,
}

/// What became of a charge after it was posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corrected {
    /// All that was refunded, corrections among it.
    pub refunded: Nanos,
    /// What corrections gave back of the charge itself: part of what was refunded.
    pub given_back: Nanos,
    /// What corrections took, beside the charge.
    pub taken: Nanos,
    /// What corrections gave back of what they had taken: part of that, and no refund.
    pub returned: Nanos,
}

/// A correction of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorrectionView {
    /// The transaction that posted it.
    pub transaction: TransactionId,
    /// What the charge should have been priced by.
    pub release: ReleaseId,
    /// Which way.
    pub way: Way,
    /// How much.
    pub amount: Nanos,
}

/// Reads the past. Any thread may; each call blocks it for some milliseconds.
pub trait Past: Send + Sync {
    /// Where the charges that were posted in a range of time stand, as of now.
    ///
    /// # Errors
    /// See [`ReadError`]; so for all below.
    fn charges_posted(&self, posted_ms: Range<i64>) -> Result<Span, ReadError>;

    /// The charges of a part, oldest first: those of the span's range of time.
    fn charges_of(
        &self,
        span: &Span,
        part: u64,
        lines: Lines,
    ) -> Result<Vec<PastCharge>, ReadError>;

    /// What became of a charge after it was posted.
    fn corrected(&self, charge: ChargeId) -> Result<Corrected, ReadError>;

    /// The corrections of a charge, oldest first.
    fn corrections(&self, charge: ChargeId) -> Result<Vec<CorrectionView>, ReadError>;

    /// Usage that waits for a price, oldest first, from after `after` on: at most `limit`.
    fn waiting(&self, after: Option<EventId>, limit: usize) -> Result<Vec<PastWaiting>, ReadError>;
}
