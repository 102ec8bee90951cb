//! A key's leases as bytes, which workers share. Read and written with each call, so they are of
//! fixed width where they can be.

use super::{Lease, Leases, Vouched};
use farebox_sdk::pricing::money::Peg;
use rust_decimal::Decimal;

/// The first byte. Another one's leases are not understood, and in doubt until the host takes them
/// back.
const VERSION: u8 = 4;

/// In the place of the time since which a lease is closed.
const OPEN: i64 = i64::MIN;

impl Leases {
    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        for lease in &self.all {
            put_lease(&mut out, lease);
        }
        out
    }

    /// The leases with these bytes; none where they are not any.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let input = &mut rest;
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push(lease(input)?);
        }
        Some(Self { all })
    }
}

fn put_lease(out: &mut Vec<u8>, lease: &Lease) {
    put_text(out, &lease.id);
    put_text(out, &lease.turn);
    for number in [
        lease.granted,
        lease.used,
        lease.kept,
        lease.taken,
        lease.recent,
        lease.target,
        lease.full,
        lease.expires_at_ms,
        lease.renew_at_ms,
        lease.asked_until_ms,
        lease.heard_at_ms,
        lease.closed_at_ms.unwrap_or(OPEN),
        lease.vouched.ahead_ms,
        i64::from(lease.open),
    ] {
        put(out, number);
    }
    put(out, lease.needed);
    out.push(lease.idle);
    out.push(u8::from(lease.exhausted));
    put_text(out, &lease.vouched.org);
    // A plan has a name.
    put_text(out, lease.vouched.plan.as_deref().unwrap_or_default());
    put_text(out, &lease.vouched.book);
    out.extend_from_slice(&lease.vouched.month_to_date_usd.serialize());
    out.extend_from_slice(&lease.vouched.peg.usd_per_credit().serialize());
}

fn lease(input: &mut &[u8]) -> Option<Lease> {
    let (id, turn) = (text(input)?, text(input)?);
    let (granted, used, kept) = (int(input)?, int(input)?, int(input)?);
    let (taken, recent) = (int(input)?, int(input)?);
    let (target, full) = (int(input)?, int(input)?);
    let (expires_at_ms, renew_at_ms, asked_until_ms) = (int(input)?, int(input)?, int(input)?);
    let (heard_at_ms, closed_at_ms) = (int(input)?, int(input)?);
    let (ahead_ms, open) = (int(input)?, int(input)?);
    let needed = int(input)?;
    let [idle, exhausted] = array(input)?;
    let (org, plan, book) = (text(input)?, text(input)?, text(input)?);
    Some(Lease {
        id,
        turn,
        granted,
        used,
        kept,
        open: u32::try_from(open).ok()?,
        taken,
        recent,
        target,
        full,
        idle,
        needed,
        exhausted: exhausted != 0,
        closed_at_ms: Some(closed_at_ms).filter(|at_ms| *at_ms != OPEN),
        heard_at_ms,
        expires_at_ms,
        renew_at_ms,
        asked_until_ms,
        vouched: Vouched {
            org,
            plan: Some(plan).filter(|plan| !plan.is_empty()),
            book,
            month_to_date_usd: Decimal::deserialize(array(input)?),
            peg: Peg::new(Decimal::deserialize(array(input)?))?,
            ahead_ms,
        },
    })
}

fn put(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, i64::try_from(text.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*bytes)
}

fn int(input: &mut &[u8]) -> Option<i64> {
    array(input).map(i64::from_le_bytes)
}

fn text(input: &mut &[u8]) -> Option<Box<str>> {
    let length = usize::try_from(int(input)?).ok()?;
    let (text, rest) = input.split_at_checked(length)?;
    *input = rest;
    std::str::from_utf8(text).ok().map(Into::into)
}
