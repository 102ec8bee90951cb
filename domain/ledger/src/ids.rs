//! One id type per thing: a UUIDv7 number with a text prefix, so that an org's id can never stand
//! where a hold's is meant, in code or in JSON.
//!
//! Ids are made outside (they need a clock and randomness) and passed in; they sort by time first.
//! Text form: the prefix and 32 lower-case hex digits, such as
//! `org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01`.

use std::fmt;
use std::str::FromStr;

/// SHA-256 of something whose canonical bytes are documented where it is made.
pub type Digest = [u8; 32];

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: `{prefix}` and 32 lower-case hex digits were expected")]
pub struct IdError {
    /// What was given.
    pub text: Box<str>,
    /// The prefix that was expected.
    pub prefix: &'static str,
}

fn parse(text: &str, prefix: &'static str) -> Result<u128, IdError> {
    text.strip_prefix(prefix)
        .filter(|hex| {
            hex.len() == 32
                && hex
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
        .and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .ok_or_else(|| IdError {
            // A bound on what an error can carry: input may be megabytes.
            text: text.chars().take(64).collect(),
            prefix,
        })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with this number, a UUIDv7 made by the host.
            pub const fn new(number: u128) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u128 {
                self.0
            }

            /// When the host made it, milliseconds since the Unix epoch. Of two ids of one host the
            /// later one never says less, even where its clock was set back.
            pub fn unix_ms(self) -> i64 {
                // The first 48 of 128 bits (RFC 9562).
                i64::try_from(self.0 >> 80_u32).unwrap_or(i64::MAX)
            }

            /// The number as 16 bytes, most significant first: how rows and hashes hold it.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id with these [`to_bytes`](Self::to_bytes).
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text, $prefix).map(Self)
            }
        }
    )*};
}

ids! {
    /// A customer of the operator, with one wallet.
    OrgId = "org_";
    /// A balanced set of postings in an org's journal.
    TransactionId = "txn_";
    /// Credits put aside for a call that is about to run.
    HoldId = "hold_";
    /// A lot of credits.
    GrantId = "grant_";
    /// What was used: one call, one external run.
    EventId = "evt_";
    /// What an event cost the org.
    ChargeId = "chg_";
    /// A charge given back, whole or in part.
    RefundId = "refund_";
    /// An API key.
    KeyId = "key_";
    /// A limit on spending.
    BudgetId = "budget_";
    /// A kind of credit with a fixed peg.
    CommodityId = "com_";
    /// A quote that is kept for approval.
    QuoteId = "quote_";
    /// A free public-data query: logged, never billed.
    QueryId = "query_";
    /// A batch of usage reported together.
    BatchId = "batch_";
}

/// The random tail of a UUIDv7, in which ids made by one command count up.
const TAIL: u128 = (1 << 62) - 1;

impl TransactionId {
    /// The id `steps` after this one: one command may post several transactions, and the host
    /// gives it only the first id. Version, variant and time stay as they are.
    #[must_use]
    pub const fn after(self, steps: u32) -> Self {
        let tail = (self.0 & TAIL).wrapping_add(steps as u128) & TAIL;
        Self((self.0 & !TAIL) | tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let org = OrgId::new(0x0192_f0c8_b7a6_7c1e_9f3a_5d2b_4c6e_8f01);
        assert_eq!(org.to_string(), "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01");
        assert_eq!(org.to_string().parse(), Ok(org));
        assert_eq!(OrgId::from_bytes(org.to_bytes()), org);
    }

    #[test]
    fn another_things_id_is_refused() {
        for bad in [
            "",
            "org_",
            "txn_0192f0c8b7a67c1e9f3a5d2b4c6e8f01",
            "org_0192F0C8B7A67C1E9F3A5D2B4C6E8F01",
            "org_+192f0c8b7a67c1e9f3a5d2b4c6e8f01",
            "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f011",
        ] {
            assert!(bad.parse::<OrgId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn following_transaction_ids_stay_uuids_of_the_same_instant() {
        let first = TransactionId::new(0x0192_f0c8_b7a6_7c1e_bfff_ffff_ffff_ffff);
        assert_eq!(first.after(0), first);
        assert_eq!(
            first.after(1),
            TransactionId::new(0x0192_f0c8_b7a6_7c1e_8000_0000_0000_0000)
        );
    }
}
