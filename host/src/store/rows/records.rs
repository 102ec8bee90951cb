//! The entries of the journal's lists: transactions, usage events, receipts, what happened to
//! holds. Each names its org, and links to what it belongs to by place.

use super::super::chunks::Place;
use super::cbor::{Cbor, Error, In, Out};
use super::ledger::{end_code, end_from_code, movements, movements_bytes};
use super::ledger::{posting_list, postings_bytes};
use farebox_ledger::hold::{Dimensions, EndedHold, Hold};
use farebox_ledger::ids::{ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId, RefundId};
use farebox_ledger::transaction::{Postings, Transaction, TransactionKind, UnbalancedError};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

impl Cbor for Place {
    fn put(&self, out: &mut Out) {
        out.int(self.number());
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        input.int().map(Self::from_number)
    }
}

fn broken<T>(value: Option<T>, what: &'static str) -> Result<T, Error> {
    value.ok_or_else(|| Error::message(what))
}

/// A transaction, and the link to the org's one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    /// Its `prev_hash` is zeros: the reader knows the one before. Postings that do not balance
    /// are empty.
    pub transaction: Transaction,
    /// Whether they do not balance.
    pub unbalanced: Option<UnbalancedError>,
    /// The org's one before.
    pub previous: Option<Place>,
}

/// Writes a transaction.
pub fn put_transaction(out: &mut Out, transaction: &Transaction, previous: Option<Place>) {
    let detail = Some(transaction.detail_digest).filter(|digest| *digest != [0; 32]);
    let [subject, second, third] = subjects(&transaction.kind);
    out.put(&transaction.id)
        .put(&transaction.org)
        .put(&transaction.seq)
        .put(&previous)
        .put(&transaction.at_ms)
        .put(&transaction.commodity)
        .put(&transaction.kind.code())
        .put(&subject)
        .put(&second)
        .put(&third);
    out.bytes(&postings_bytes(&transaction.postings));
    out.bytes(&movements_bytes(&transaction.movements));
    out.put(&detail).put(&transaction.hash);
}

/// Reads a transaction.
///
/// # Errors
/// The bytes are not one.
pub fn transaction(bytes: &[u8]) -> Result<TransactionRecord, Error> {
    let mut input = In::of(bytes);
    let (id, org, seq) = (input.get()?, input.get()?, input.get()?);
    let previous = input.get()?;
    let (at_ms, commodity): (i64, CommodityId) = (input.get()?, input.get()?);
    let (code, subjects) = (input.get()?, [input.get()?, input.get()?, input.get()?]);
    let postings = broken(posting_list(input.bytes()?), "unreadable postings")?;
    let movements = broken(movements(input.bytes()?), "unreadable movements")?;
    let detail: Option<[u8; 32]> = input.get()?;
    let hash = input.get()?;
    input.end()?;
    let (postings, unbalanced) = match Postings::new(postings) {
        Ok(postings) => (postings, None),
        Err(error) => (Postings::default(), Some(error)),
    };
    Ok(TransactionRecord {
        transaction: Transaction {
            id,
            org,
            seq,
            kind: broken(kind(code, subjects), "unknown kind of transaction")?,
            at_ms,
            commodity,
            postings,
            movements,
            detail_digest: detail.unwrap_or_default(),
            prev_hash: [0; 32],
            hash,
        },
        unbalanced,
        previous,
    })
}

/// The ids of a transaction's kind, as the hash chain orders them.
fn subjects(kind: &TransactionKind) -> [Option<[u8; 16]>; 3] {
    match kind {
        TransactionKind::Grant { grant } | TransactionKind::Breakage { grant } => {
            [Some(grant.to_bytes()), None, None]
        }
        TransactionKind::GrantRefund { grant, refund } => {
            [Some(grant.to_bytes()), Some(refund.to_bytes()), None]
        }
        TransactionKind::Charge {
            charge,
            event,
            hold,
        } => [
            Some(charge.to_bytes()),
            Some(event.to_bytes()),
            hold.map(|hold| hold.to_bytes()),
        ],
        TransactionKind::ChargeRefund { charge, refund } => {
            [Some(charge.to_bytes()), Some(refund.to_bytes()), None]
        }
        TransactionKind::Deduction
        | TransactionKind::Settlement
        | TransactionKind::Repayment
        | TransactionKind::Absorption => [None; 3],
    }
}

fn kind(code: u8, [subject, second, third]: [Option<[u8; 16]>; 3]) -> Option<TransactionKind> {
    Some(match (code, subject, second) {
        (1, Some(grant), _) => TransactionKind::Grant {
            grant: GrantId::from_bytes(grant),
        },
        (2, Some(grant), Some(refund)) => TransactionKind::GrantRefund {
            grant: GrantId::from_bytes(grant),
            refund: RefundId::from_bytes(refund),
        },
        (3, ..) => TransactionKind::Deduction,
        (4, Some(charge), Some(event)) => TransactionKind::Charge {
            charge: ChargeId::from_bytes(charge),
            event: EventId::from_bytes(event),
            hold: third.map(HoldId::from_bytes),
        },
        (5, Some(charge), Some(refund)) => TransactionKind::ChargeRefund {
            charge: ChargeId::from_bytes(charge),
            refund: RefundId::from_bytes(refund),
        },
        (6, Some(grant), _) => TransactionKind::Breakage {
            grant: GrantId::from_bytes(grant),
        },
        (7, ..) => TransactionKind::Settlement,
        (8, ..) => TransactionKind::Repayment,
        (9, ..) => TransactionKind::Absorption,
        _ => return None,
    })
}

/// A usage event. What was used is in its body, see [`super::usage`].
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRecord {
    pub id: EventId,
    pub org: OrgId,
    pub seq: u64,
    pub previous: Option<Place>,
    pub occurred_at_ms: i64,
    pub recorded_at_ms: i64,
    pub hold: Option<HoldId>,
    /// Its charge, price and cost, where it had a price at once.
    pub charge: Option<(ChargeId, Nanos, Nanos)>,
    pub dimensions: Arc<Dimensions>,
    pub body: Box<[u8]>,
    pub raw: Option<Box<[u8]>>,
}

/// A usage event to write.
#[derive(Clone, Copy, Debug)]
pub struct NewUsage<'a> {
    pub id: EventId,
    pub org: OrgId,
    pub occurred_at_ms: i64,
    pub recorded_at_ms: i64,
    pub hold: Option<HoldId>,
    pub charge: Option<(ChargeId, Nanos, Nanos)>,
    pub dimensions: &'a Dimensions,
    pub body: &'a [u8],
    pub raw: Option<&'a [u8]>,
}

/// Writes a usage event: the org's event number `seq`, after the one at `previous`.
pub fn put_usage(out: &mut Out, usage: &NewUsage<'_>, seq: u64, previous: Option<Place>) {
    out.put(&usage.id)
        .put(&usage.org)
        .put(&seq)
        .put(&previous)
        .put(&usage.occurred_at_ms)
        .put(&usage.recorded_at_ms)
        .put(&usage.hold);
    match &usage.charge {
        None => out.null(),
        Some((charge, price, cost)) => {
            out.put(charge).put(price).put(cost);
        }
    }
    out.put(usage.dimensions);
    out.bytes(usage.body);
    match usage.raw {
        None => out.null(),
        Some(raw) => out.bytes(raw),
    }
}

/// Reads a usage event.
///
/// # Errors
/// The bytes are not one.
pub fn usage(bytes: &[u8]) -> Result<UsageRecord, Error> {
    let mut input = In::of(bytes);
    let (id, org, seq) = (input.get()?, input.get()?, input.get()?);
    let previous = input.get()?;
    let (occurred_at_ms, recorded_at_ms) = (input.get()?, input.get()?);
    let hold = input.get()?;
    let charge: Option<ChargeId> = input.get()?;
    let charge = match charge {
        None => None,
        Some(charge) => Some((charge, input.get()?, input.get()?)),
    };
    let dimensions = Arc::new(input.get()?);
    let body = input.bytes()?.into();
    let raw = input.optional_bytes()?.map(Box::from);
    input.end()?;
    Ok(UsageRecord {
        id,
        org,
        seq,
        previous,
        occurred_at_ms,
        recorded_at_ms,
        hold,
        charge,
        dimensions,
        body,
        raw,
    })
}

/// What ties a usage event to its org's list and to its charge; the rest of the entry is unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLink {
    pub id: EventId,
    pub org: OrgId,
    pub seq: u64,
    pub previous: Option<Place>,
    pub charge: Option<ChargeId>,
}

/// Reads the beginning of a usage event.
///
/// # Errors
/// The bytes do not begin like one.
pub fn usage_link(bytes: &[u8]) -> Result<UsageLink, Error> {
    let mut input = In::of(bytes);
    let (id, org, seq) = (input.get()?, input.get()?, input.get()?);
    let previous = input.get()?;
    let (_occurred_at_ms, _recorded_at_ms): (i64, i64) = (input.get()?, input.get()?);
    let _hold: Option<HoldId> = input.get()?;
    Ok(UsageLink {
        id,
        org,
        seq,
        previous,
        charge: input.get()?,
    })
}

/// What a usage event says to whoever prices it again; its labels and its raw form are unread.
#[derive(Clone, Copy, Debug)]
pub struct PastUsage<'b> {
    pub id: EventId,
    pub recorded_at_ms: i64,
    /// Its charge, where it had a price at once.
    pub charge: Option<ChargeId>,
    /// The body; see [`super::usage::event`].
    pub event: &'b [u8],
}

/// Reads of a usage event what its pricing needs.
///
/// # Errors
/// The bytes are not one.
pub fn past_usage(bytes: &[u8]) -> Result<PastUsage<'_>, Error> {
    let mut input = In::of(bytes);
    let (id, _org, _seq): (_, OrgId, u64) = (input.get()?, input.get()?, input.get()?);
    let _previous: Option<Place> = input.get()?;
    let (_occurred_at_ms, recorded_at_ms): (i64, _) = (input.get()?, input.get()?);
    let _hold: Option<HoldId> = input.get()?;
    let charge: Option<ChargeId> = input.get()?;
    if charge.is_some() {
        let (_price, _cost): (Nanos, Nanos) = (input.get()?, input.get()?);
    }
    super::ledger::skip_dimensions(&mut input)?;
    Ok(PastUsage {
        id,
        recorded_at_ms,
        charge,
        event: input.bytes()?,
    })
}

/// A receipt, and where its usage event and its transaction stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRecord {
    pub charge: ChargeId,
    pub org: OrgId,
    pub event: EventId,
    pub usage: Place,
    pub transaction: Place,
    pub body: Box<[u8]>,
}

/// A receipt to write.
#[derive(Clone, Copy, Debug)]
pub struct NewReceipt<'a> {
    pub charge: ChargeId,
    pub org: OrgId,
    pub event: EventId,
    pub usage: Place,
    pub transaction: Place,
    pub body: &'a [u8],
}

/// Writes a receipt.
pub fn put_receipt(out: &mut Out, receipt: &NewReceipt<'_>) {
    out.put(&receipt.charge)
        .put(&receipt.org)
        .put(&receipt.event)
        .put(&receipt.usage)
        .put(&receipt.transaction);
    out.bytes(receipt.body);
}

/// Reads a receipt.
///
/// # Errors
/// The bytes are not one.
pub fn receipt(bytes: &[u8]) -> Result<ReceiptRecord, Error> {
    let mut input = In::of(bytes);
    let receipt = ReceiptRecord {
        charge: input.get()?,
        org: input.get()?,
        event: input.get()?,
        usage: input.get()?,
        transaction: input.get()?,
        body: input.bytes()?.into(),
    };
    input.end()?;
    Ok(receipt)
}

/// A receipt that is not kept.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptAt<'b> {
    pub charge: ChargeId,
    pub org: OrgId,
    pub event: EventId,
    pub usage: Place,
    pub transaction: Place,
    pub body: &'b [u8],
}

/// Reads a receipt without copying its body.
///
/// # Errors
/// The bytes are not one.
pub fn receipt_at(bytes: &[u8]) -> Result<ReceiptAt<'_>, Error> {
    let mut input = In::of(bytes);
    Ok(ReceiptAt {
        charge: input.get()?,
        org: input.get()?,
        event: input.get()?,
        usage: input.get()?,
        transaction: input.get()?,
        body: input.bytes()?,
    })
}

/// Where the transaction of a receipt stands; the rest is unread.
///
/// # Errors
/// The bytes do not begin like a receipt.
pub fn receipt_transaction(bytes: &[u8]) -> Result<Place, Error> {
    Ok(receipt_at(bytes)?.transaction)
}

/// Which charge a receipt is of, and where its usage event stands; the rest is unread.
///
/// # Errors
/// The bytes do not begin like a receipt.
pub fn receipt_link(bytes: &[u8]) -> Result<(ChargeId, Place), Error> {
    let mut input = In::of(bytes);
    let charge = input.get()?;
    let (_org, _event): (OrgId, EventId) = (input.get()?, input.get()?);
    Ok((charge, input.get()?))
}

/// What happened to a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRecord {
    pub id: HoldId,
    pub org: OrgId,
    pub what: HoldFact,
}

/// How a hold is, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldFact {
    /// It was placed, or changed to this.
    Active(Box<Hold>),
    /// It ended; how it was before stands at this place.
    Ended(EndedHold, Place),
}

const ACTIVE: u64 = 0;
/// An active hold that is a lease. The codes of ends lie between.
const LEASED: u64 = 16;

/// Writes a hold as it is now.
pub fn put_hold(out: &mut Out, org: OrgId, hold: &Hold) {
    out.put(&hold.id).put(&org);
    out.uint(hold.lease.map_or(ACTIVE, |_| LEASED));
    super::ledger::put_hold(out, hold);
    if let Some(lease) = &hold.lease {
        out.put(lease);
    }
}

/// Writes a hold's end.
pub fn put_hold_end(out: &mut Out, org: OrgId, ended: &EndedHold, before: Place) {
    out.put(&ended.id).put(&org);
    out.uint(end_code(ended.end).unsigned_abs());
    out.put(&ended.ended_at_ms)
        .put(&ended.captured)
        .put(&ended.returned)
        .put(&before);
}

/// Which hold an entry is of and how much it put aside, where it is active by this entry; the rest
/// is unread.
///
/// # Errors
/// The bytes do not begin like such an entry.
pub fn hold_amount(bytes: &[u8]) -> Result<(HoldId, Option<Nanos>), Error> {
    let mut input = In::of(bytes);
    let (id, _org): (HoldId, OrgId) = (input.get()?, input.get()?);
    let amount = match input.uint()? {
        ACTIVE | LEASED => Some(input.get()?),
        _ => None,
    };
    Ok((id, amount))
}

/// Reads what happened to a hold.
///
/// # Errors
/// The bytes are not such an entry.
pub fn hold(bytes: &[u8]) -> Result<HoldRecord, Error> {
    let mut input = In::of(bytes);
    let (id, org) = (input.get()?, input.get()?);
    let what = match input.uint()? {
        ACTIVE => HoldFact::Active(Box::new(super::ledger::get_hold(&mut input, id)?)),
        LEASED => {
            let hold = super::ledger::get_hold(&mut input, id)?;
            let lease = Some(input.get()?);
            HoldFact::Active(Box::new(Hold { lease, ..hold }))
        }
        code => {
            let end = i64::try_from(code).ok().and_then(end_from_code);
            let ended = EndedHold {
                id,
                end: broken(end, "unknown end of a hold")?,
                ended_at_ms: input.get()?,
                captured: input.get()?,
                returned: input.get()?,
            };
            HoldFact::Ended(ended, input.get()?)
        }
    };
    input.end()?;
    Ok(HoldRecord { id, org, what })
}
