//! What makes a retry harmless (L6). The persistent index belongs to the store, which looks here
//! up before it applies a command; these are the words it uses.
//!
//! Same key, same request: the first effect is answered again. Same key, other request: a
//! conflict. A refusal is not an effect, so a 402 retried after a top-up runs anew.

use crate::ids::Digest;

/// A caller's idempotency key and what it came with. Neither is kept in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// SHA-256 of the caller's key.
    pub key_digest: Digest,
    /// SHA-256 of the request's canonical content.
    pub request_digest: Digest,
}

/// SHA-256 of provider and response id: a provider's answer counts once per org, through
/// whichever door it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseId(pub Digest);

/// SHA-256 of payment provider and payment id: a payment buys once per org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PaymentId(pub Digest);
