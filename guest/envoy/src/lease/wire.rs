//! What is said to the host about leases, and what its answers mean.

use super::{Renewal, Return, Vouched};
use crate::host::is_problem;
use crate::identity;
use crate::telling::plain;
use farebox_sdk::pricing::money::{Nanos, Peg};
use farebox_usage::parse_exact;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

/// A lease as the host grants or renews it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The host's id of it.
    pub id: Box<str>,
    /// Names it as it is now.
    pub turn: Box<str>,
    /// Everything it was ever given, less what went back, in nano-credits.
    pub granted: i64,
    /// What is to be free, in nano-credits.
    pub free: i64,
    /// Whether a call elsewhere waits for what lies idle.
    pub recalled: bool,
    /// Whether new calls need another lease.
    pub superseded: bool,
    /// Whether a call needs more than is free, and no more can come.
    pub exhausted: bool,
    /// How long it may be spent from, in milliseconds from when it was asked for.
    pub expires_in_ms: i64,
    /// When to renew it, in the same.
    pub renew_in_ms: i64,
    /// The host's clock.
    pub now_ms: i64,
    /// What prices its calls. Its clock is not compared yet.
    pub vouched: Vouched,
}

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a lease.
    Granted(Box<Granted>),
    /// There is none, but a call may be held by itself.
    None,
    /// The key may not call: the host's problem is for the caller.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The host cannot say now.
    Failed,
    /// There is no answer.
    Away,
}

#[derive(Deserialize)]
struct Text<'a> {
    id: Box<str>,
    turn: Box<str>,
    granted_credits: &'a str,
    free_credits: &'a str,
    recalled: bool,
    superseded: bool,
    #[serde(default)]
    exhausted: bool,
    expires_in_ms: i64,
    renew_in_ms: i64,
    now_ms: i64,
    #[serde(borrow)]
    vouched: VouchedText<'a>,
}

#[derive(Deserialize)]
struct VouchedText<'a> {
    org_id: Box<str>,
    plan: Option<Box<str>>,
    book: Box<str>,
    month_to_date_usd: &'a str,
    usd_per_credit: &'a str,
}

impl Answer {
    /// Reads the answer to a request for a lease or its renewal; without a status there was none.
    pub fn read(status: Option<u16>, body: &[u8]) -> Self {
        match status {
            Some(200 | 201) => match serde_json::from_slice(body).ok().and_then(granted) {
                Some(granted) => Self::Granted(Box::new(granted)),
                None => Self::Away,
            },
            Some(status @ (401 | 403)) => Self::Refused { status },
            Some(408 | 425 | 429) => Self::Failed,
            Some(400..=499) => Self::None,
            Some(500..=599) if is_problem(body) => Self::Failed,
            _ => Self::Away,
        }
    }
}

fn granted(text: Text<'_>) -> Option<Granted> {
    let vouched = text.vouched;
    Some(Granted {
        id: text.id,
        turn: text.turn,
        granted: nanos(text.granted_credits)?,
        free: nanos(text.free_credits)?,
        recalled: text.recalled,
        superseded: text.superseded,
        exhausted: text.exhausted,
        expires_in_ms: text.expires_in_ms,
        renew_in_ms: text.renew_in_ms,
        now_ms: text.now_ms,
        vouched: Vouched {
            org: vouched.org_id,
            plan: vouched.plan,
            book: vouched.book,
            month_to_date_usd: parse_exact(vouched.month_to_date_usd).ok()?,
            peg: Peg::new(parse_exact(vouched.usd_per_credit).ok()?)?,
            ahead_ms: 0,
        },
    })
}

/// Credits as nano-credits.
pub fn nanos(credits: &str) -> Option<i64> {
    let credits: Decimal = parse_exact(credits).ok()?;
    Nanos::from_credits(credits).ok().map(Nanos::get)
}

/// Nano-credits as credits.
pub fn credits(nanos: i64) -> String {
    let nanos = Nanos::new(nanos.max(0)).unwrap_or(Nanos::ZERO);
    plain(nanos.credits())
}

/// The body of `POST /v1/leases`, for a call that can cost so many nano-credits.
pub fn grant(edge: &str, needed: i64) -> String {
    json!({
        "edge": edge,
        "filter": identity::filter(),
        "needed_credits": credits(needed),
    })
    .to_string()
}

/// The body of `POST /v1/leases/{id}/renew`.
pub fn renew(renewal: &Renewal) -> String {
    let mut body = json!({
        "turn": renewal.turn,
        "filter": identity::filter(),
        "keep_credits": credits(renewal.keep),
        "free_credits": credits(renewal.free),
        "recent_credits": credits(renewal.recent),
    });
    if let Value::Object(fields) = &mut body
        && renewal.needed > 0
    {
        let needed = Value::String(credits(renewal.needed));
        fields.insert("needed_credits".to_owned(), needed);
    }
    body.to_string()
}

/// The body of `POST /v1/leases/{id}/release`.
pub fn give_back(back: &Return) -> String {
    json!({"turn": back.turn, "keep_credits": credits(back.keep)}).to_string()
}
