//! Holds, postings, movements and outcomes in rows.
//!
//! Postings and movements are fixed-width and big-endian, as the hash chain sees them: an account
//! code or a lot's id, then the amount.

use super::cbor::{Cbor, Error, In, Out};
use farebox_ledger::account::Account;
use farebox_ledger::effect::{Charged, Outcome, Refunded};
use farebox_ledger::hold::{Dimensions, Hold, HoldEnd, Lease, Payer, Reserve};
use farebox_ledger::ids::{
    ChargeId, CommodityId, EventId, GrantId, HoldId, KeyId, OrgId, TransactionId,
};
use farebox_ledger::transaction::{Movement, Posting, Postings};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

const VERSION: u8 = 1;

macro_rules! ids {
    ($($type:ty),*) => {$(
        impl Cbor for $type {
            fn put(&self, out: &mut Out) {
                out.bytes(&self.to_bytes());
            }

            fn get(input: &mut In<'_>) -> Result<Self, Error> {
                input.array().map(Self::from_bytes)
            }
        }
    )*};
}
ids!(
    ChargeId,
    CommodityId,
    EventId,
    HoldId,
    KeyId,
    OrgId,
    TransactionId
);

/// The payer of no lot: the credit limit.
const CREDIT: u128 = 0;

fn payer_number(payer: Payer) -> u128 {
    match payer {
        Payer::Grant(grant) => grant.get(),
        Payer::Credit => CREDIT,
    }
}

fn payer(number: u128) -> Payer {
    match number {
        CREDIT => Payer::Credit,
        grant => Payer::Grant(GrantId::new(grant)),
    }
}

impl Cbor for Reserve {
    fn put(&self, out: &mut Out) {
        out.bytes(&payer_number(self.payer).to_be_bytes());
        out.put(&self.amount);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            payer: payer(u128::from_be_bytes(input.array()?)),
            amount: input.get()?,
        })
    }
}

impl Cbor for Dimensions {
    fn put(&self, out: &mut Out) {
        out.put(&self.key)
            .put(&self.project)
            .put(&self.user)
            .put(&self.agent)
            .put(&self.feature)
            .put(&self.plan);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            key: input.get()?,
            project: input.get()?,
            user: input.get()?,
            agent: input.get()?,
            feature: input.get()?,
            plan: input.get()?,
        })
    }
}

/// Passes over dimensions.
///
/// # Errors
/// There are none.
pub fn skip_dimensions(input: &mut In<'_>) -> Result<(), Error> {
    const FIELDS: u64 = 6;
    input.skip(FIELDS)
}

/// The dimensions alone.
pub fn dimensions_body(dimensions: &Dimensions) -> Vec<u8> {
    let mut out = Out::new(VERSION);
    out.put(dimensions);
    out.into_bytes()
}

/// The dimensions alone.
///
/// # Errors
/// The bytes are not such a body.
pub fn dimensions(body: &[u8]) -> Result<Arc<Dimensions>, Error> {
    let mut input = In::new(body, VERSION)?;
    let dimensions = input.get()?;
    input.end()?;
    Ok(Arc::new(dimensions))
}

impl Cbor for Lease {
    fn put(&self, out: &mut Out) {
        out.put(&self.turn).put(&self.doubt_ms);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            turn: input.get()?,
            doubt_ms: input.get()?,
        })
    }
}

/// Writes all of a hold but its id and what makes it a lease.
pub fn put_hold(out: &mut Out, hold: &Hold) {
    out.put(&hold.amount)
        .list(&hold.reserves)
        .put(&hold.captured)
        .put(&hold.expires_at_ms)
        .put(&hold.placed_at_ms)
        .put(&hold.unpriced)
        .put(&hold.closing)
        .put(&*hold.dimensions)
        .put(&hold.context);
}

/// Reads all of a hold but its id and what makes it a lease.
///
/// # Errors
/// What stands there is no hold.
pub fn get_hold(input: &mut In<'_>, id: HoldId) -> Result<Hold, Error> {
    Ok(Hold {
        id,
        amount: input.get()?,
        reserves: input.list()?,
        captured: input.get()?,
        expires_at_ms: input.get()?,
        placed_at_ms: input.get()?,
        unpriced: input.get()?,
        closing: input.get()?,
        dimensions: Arc::new(input.get()?),
        context: input.get()?,
        lease: None,
    })
}

/// The number that stands for the end of a hold in rows. Never reused.
pub const fn end_code(end: HoldEnd) -> i64 {
    match end {
        HoldEnd::Captured => 1,
        HoldEnd::Released => 2,
        HoldEnd::Expired => 3,
        HoldEnd::Lapsed => 4,
    }
}

/// The end with this [`end_code`].
pub fn end_from_code(code: i64) -> Option<HoldEnd> {
    HoldEnd::ALL.into_iter().find(|end| end_code(*end) == code)
}

const POSTING: usize = 9;
const MOVEMENT: usize = 24;

/// Postings as bytes: per posting the account's code (1) and the amount (8).
pub fn postings_bytes(postings: &Postings) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(postings.as_slice().len().saturating_mul(POSTING));
    for posting in postings.as_slice() {
        bytes.push(posting.account.code());
        bytes.extend_from_slice(&posting.amount_nanos.to_be_bytes());
    }
    bytes
}

/// Single postings from their bytes, whether they balance or not. `None`: not such bytes.
pub fn posting_list(bytes: &[u8]) -> Option<Vec<Posting>> {
    let (postings, rest) = bytes.as_chunks::<POSTING>();
    if !rest.is_empty() {
        return None;
    }
    postings
        .iter()
        .map(|posting| {
            let (code, amount) = posting.split_first()?;
            Some(Posting {
                account: Account::from_code(*code)?,
                amount_nanos: i64::from_be_bytes(amount.try_into().ok()?),
            })
        })
        .collect()
}

/// Movements as bytes: per movement the lot's id, zeros for credit (16), and the amount (8).
pub fn movements_bytes(movements: &[Movement]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(movements.len().saturating_mul(MOVEMENT));
    for movement in movements {
        bytes.extend_from_slice(&payer_number(movement.payer).to_be_bytes());
        bytes.extend_from_slice(&movement.amount_nanos.to_be_bytes());
    }
    bytes
}

/// Movements from their bytes. `None`: not such bytes.
pub fn movements(bytes: &[u8]) -> Option<Vec<Movement>> {
    let (movements, rest) = bytes.as_chunks::<MOVEMENT>();
    if !rest.is_empty() {
        return None;
    }
    movements
        .iter()
        .map(|movement| {
            let (number, amount) = movement.split_first_chunk::<16>()?;
            Some(Movement {
                payer: payer(u128::from_be_bytes(*number)),
                amount_nanos: i64::from_be_bytes(amount.try_into().ok()?),
            })
        })
        .collect()
}

impl Cbor for Charged {
    fn put(&self, out: &mut Out) {
        out.put(&self.price)
            .put(&self.from_hold)
            .put(&self.from_wallet)
            .put(&self.from_credit)
            .put(&self.shortfall)
            .put(&self.hold_left);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            price: input.get()?,
            from_hold: input.get()?,
            from_wallet: input.get()?,
            from_credit: input.get()?,
            shortfall: input.get()?,
            hold_left: input.get()?,
        })
    }
}

impl Cbor for Refunded {
    fn put(&self, out: &mut Out) {
        for part in [
            self.amount,
            self.grants,
            self.credit,
            self.shortfall,
            self.absorbed,
            self.new_grant,
        ] {
            out.put::<Nanos>(&part);
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            amount: input.get()?,
            grants: input.get()?,
            credit: input.get()?,
            shortfall: input.get()?,
            absorbed: input.get()?,
            new_grant: input.get()?,
        })
    }
}

impl Cbor for Outcome {
    fn put(&self, out: &mut Out) {
        match self {
            Self::Done => out.uint(0),
            Self::Held {
                left,
                expires_at_ms,
            } => {
                out.uint(1);
                out.put(left).put(expires_at_ms);
            }
            Self::Charged(charged) => {
                out.uint(2);
                out.put(charged);
            }
            Self::Refunded(refunded) => {
                out.uint(3);
                out.put(refunded);
            }
            Self::Expired { holds, grants } => {
                out.uint(4);
                out.put(holds).put(grants);
            }
            Self::Leased {
                granted,
                left,
                expires_at_ms,
            } => {
                out.uint(5);
                out.put(granted).put(left).put(expires_at_ms);
            }
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(match input.uint()? {
            0 => Self::Done,
            1 => Self::Held {
                left: input.get()?,
                expires_at_ms: input.get()?,
            },
            2 => Self::Charged(input.get()?),
            3 => Self::Refunded(input.get()?),
            4 => Self::Expired {
                holds: input.get()?,
                grants: input.get()?,
            },
            5 => Self::Leased {
                granted: input.get()?,
                left: input.get()?,
                expires_at_ms: input.get()?,
            },
            _ => return Err(Error::message("unknown outcome in a row")),
        })
    }
}
