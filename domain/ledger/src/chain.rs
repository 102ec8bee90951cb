//! The hash chain of an org's journal (L5): an edited, removed, moved or cut-off row is found.
//!
//! `hash = SHA-256(encoding)`, where the encoding is, in this order, integers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 17 | `farebox/ledger/1\n` |
//! | 32 | hash of the transaction before; zeros for the first |
//! | 16 | org |
//! | 8 | seq |
//! | 16 | transaction id |
//! | 16 | commodity |
//! | 1 | [kind code](crate::transaction::TransactionKind::code) |
//! | 16 × 3 | the kind's ids: (grant, 0, 0), (grant, refund, 0), (charge, event, hold), (charge, refund, 0) or zeros |
//! | 8 | at_ms |
//! | 1 | number of postings, then each: account code (1), amount in nano-credits (8) |
//! | 4 | number of movements, then each: payer (16: the grant, zeros for credit), amount (8) |
//! | 32 | detail digest |
//!
//! Every field has a fixed place or a count before it, so two transactions never share an
//! encoding. A head is the last transaction's seq and hash; [`head_message`] is what is signed.

use crate::hold::Payer;
use crate::ids::{Digest, OrgId};
use crate::transaction::{Transaction, TransactionKind};
use sha2::{Digest as _, Sha256};

const DOMAIN: &[u8; 17] = b"farebox/ledger/1\n";

/// The hash of a transaction, from all its fields but `hash`.
pub fn hash(transaction: &Transaction) -> Digest {
    let mut bytes = Vec::with_capacity(384);
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(&transaction.prev_hash);
    bytes.extend_from_slice(&transaction.org.to_bytes());
    bytes.extend_from_slice(&transaction.seq.to_be_bytes());
    bytes.extend_from_slice(&transaction.id.to_bytes());
    bytes.extend_from_slice(&transaction.commodity.to_bytes());
    bytes.push(transaction.kind.code());
    for id in kind_ids(&transaction.kind) {
        bytes.extend_from_slice(&id.to_be_bytes());
    }
    bytes.extend_from_slice(&transaction.at_ms.to_be_bytes());
    let postings = transaction.postings.as_slice();
    // At most one posting per account.
    bytes.push(u8::try_from(postings.len()).unwrap_or(u8::MAX));
    for posting in postings {
        bytes.push(posting.account.code());
        bytes.extend_from_slice(&posting.amount_nanos.to_be_bytes());
    }
    let movements = u32::try_from(transaction.movements.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&movements.to_be_bytes());
    for movement in &transaction.movements {
        let payer = match movement.payer {
            Payer::Grant(grant) => grant.get(),
            Payer::Credit => 0,
        };
        bytes.extend_from_slice(&payer.to_be_bytes());
        bytes.extend_from_slice(&movement.amount_nanos.to_be_bytes());
    }
    bytes.extend_from_slice(&transaction.detail_digest);
    Sha256::digest(&bytes).into()
}

fn kind_ids(kind: &TransactionKind) -> [u128; 3] {
    match kind {
        TransactionKind::Grant { grant } | TransactionKind::Breakage { grant } => {
            [grant.get(), 0, 0]
        }
        TransactionKind::GrantRefund { grant, refund } => [grant.get(), refund.get(), 0],
        TransactionKind::Charge {
            charge,
            event,
            hold,
        } => [charge.get(), event.get(), hold.map_or(0, |hold| hold.get())],
        TransactionKind::ChargeRefund { charge, refund } => [charge.get(), refund.get(), 0],
        TransactionKind::Deduction
        | TransactionKind::Settlement
        | TransactionKind::Repayment
        | TransactionKind::Absorption => [0; 3],
    }
}

/// The end of an org's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose.
    pub org: OrgId,
    /// The last transaction; zero when there is none.
    pub seq: u64,
    /// Its hash; zeros when there is none.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty journal.
    pub const fn genesis(org: OrgId) -> Self {
        Self {
            org,
            seq: 0,
            hash: [0; 32],
        }
    }
}

/// What a signed head signs: `farebox/head/1\n`, org (16), seq (8), hash (32), the time of signing
/// in milliseconds since the Unix epoch (8); integers big-endian.
pub fn head_message(head: &Head, signed_at_ms: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(79);
    bytes.extend_from_slice(b"farebox/head/1\n");
    bytes.extend_from_slice(&head.org.to_bytes());
    bytes.extend_from_slice(&head.seq.to_be_bytes());
    bytes.extend_from_slice(&head.hash);
    bytes.extend_from_slice(&signed_at_ms.to_be_bytes());
    bytes
}

/// Where a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A transaction of another org.
    #[error("transaction {seq} belongs to another org")]
    Org {
        /// Its place.
        seq: u64,
    },
    /// A row is missing, doubled or out of order.
    #[error("transaction {expected} was expected, found {found}")]
    Seq {
        /// What should stand here.
        expected: u64,
        /// What stands here.
        found: u64,
    },
    /// It follows another transaction than the one before it.
    #[error("transaction {seq} does not follow the one before it")]
    Prev {
        /// Its place.
        seq: u64,
    },
    /// Its content is not what was hashed.
    #[error("transaction {seq} is not what was written")]
    Hash {
        /// Its place.
        seq: u64,
    },
}

/// The head after `transaction`, when it truly follows `head`.
///
/// # Errors
/// [`ChainError`] says what is broken.
pub fn follow(head: &Head, transaction: &Transaction) -> Result<Head, ChainError> {
    let seq = transaction.seq;
    let expected = head.seq.saturating_add(1);
    if transaction.org != head.org {
        return Err(ChainError::Org { seq });
    }
    if seq != expected {
        return Err(ChainError::Seq {
            expected,
            found: seq,
        });
    }
    if transaction.prev_hash != head.hash {
        return Err(ChainError::Prev { seq });
    }
    if hash(transaction) != transaction.hash {
        return Err(ChainError::Hash { seq });
    }
    Ok(Head {
        org: head.org,
        seq,
        hash: transaction.hash,
    })
}
