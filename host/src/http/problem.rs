//! What a client is told when something is wrong: RFC 9457 problem details.
//!
//! The list of kinds is closed and documented here; `type` is stable, `detail` is for people and
//! may change. Knows nothing of what went wrong: [`super::failure`] decides that.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal $slug:literal $title:literal;)*) => {
        /// Every kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)* }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The stable last part of `type`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The stable `type`, relative to the server.
            pub const fn uri(self) -> &'static str {
                match self { $(Self::$name => concat!("/problems/", $slug),)* }
            }

            /// A short text for people, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do about it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc, "\n",)+),)* }
            }
        }
    };
}

kinds! {
    /// The body is not JSON. `line` and `column` say where, both from 1.
    MalformedJson = 400 "malformed-json" "The body is not JSON";
    /// A field is missing, unknown, of the wrong type or out of range. The detail names it.
    InvalidRequest = 400 "invalid-request" "The request is not valid";
    /// A quantity is negative, fractional where whole is meant, or too large. The detail names it.
    InvalidQuantity = 400 "invalid-quantity" "A quantity is not valid";
    /// An amount has too many digits, is negative, or is not a number. The detail names it.
    InvalidAmount = 400 "invalid-amount" "An amount is not valid";
    /// `cursor` was not made by this server for this list.
    InvalidCursor = 400 "invalid-cursor" "The cursor is not valid";
    /// `occurred_at` is further from this server's clock than is declared as skew.
    TimeOutOfRange = 400 "time-out-of-range" "The time lies too far from the server's clock";
    /// No key, or one that is not known, or mistyped. Send `Authorization: Bearer <key>`.
    Unauthenticated = 401 "unauthenticated" "A valid API key is needed";
    /// The key was revoked, or its time is over.
    KeyEnded = 401 "key-ended" "The API key is no longer valid";
    /// Less is available than is needed. `available_credits` and `missing_credits` say how much,
    /// `max_output_tokens_affordable` the largest limit on output that was found to fit the wallet and
    /// every hard budget: the very largest where the price grows evenly with it. Nothing was held or charged: the same idempotency key can be used again
    /// after a top-up. When a budget is short as well, the wallet is named: it is looked at first.
    InsufficientCredits = 402 "insufficient-credits" "The wallet does not have enough credits";
    /// The wallet has enough, but a hard budget has less left than is needed: `budget_id`,
    /// `available_credits`, `missing_credits`, and `renews_at` where its window ends. Of several
    /// budgets the one that misses most is named.
    BudgetExceeded = 402 "budget-exceeded" "A budget does not allow this";
    /// Earlier calls cost more than the wallet could pay. A grant settles it, or the operator
    /// absorbs it. `shortfall_credits` says how much.
    ShortfallOpen = 402 "shortfall-open" "A shortfall is open";
    /// The key lacks the scope that this needs. The detail names it.
    Forbidden = 403 "forbidden" "The key may not do this";
    /// The policy's rules do not allow this call. `rule` names the rule.
    NotAllowed = 403 "not-allowed" "The price rules do not allow this call";
    /// The gateway runs a filter that is none of those recorded for the component of the release that
    /// prices the call: of an older or another policy, or never pushed. `filter` and `component` are
    /// the digests. For the gateway's operator: push the release with its filter, or put the release's
    /// filter into the gateway. Nothing was held.
    FilterNotKnown = 403 "filter-not-known" "The gateway's filter is none of the release's";
    /// It does not exist, or belongs to another org.
    NotFound = 404 "not-found" "Not found";
    /// There is such a path, but not with this method.
    MethodNotAllowed = 405 "method-not-allowed" "The method is not allowed here";
    /// The request took longer than the server's limit. An effect may still have happened: retry
    /// with the same idempotency key to learn it.
    Timeout = 408 "timeout" "The request took too long";
    /// The lease was renewed since, or whoever asks does not hold it: the request does not name its
    /// turn. Nothing changed.
    TurnPassed = 409 "turn-passed" "The lease was renewed by another request";
    /// The calls of this org are held one by one: its price book counts what they use, so that
    /// none can be priced without the ones before.
    NotLeased = 409 "not-leased" "Calls of this org are not leased for";
    /// The hold is captured, released or expired already. `end` says which, where known.
    HoldEnded = 409 "hold-ended" "The hold has ended";
    /// What is asked for contradicts what is there. The detail says how.
    Conflict = 409 "conflict" "This contradicts the present state";
    /// The release that priced a charge is not loaded here, so the charge cannot be priced again.
    /// `component` and `book` are its digests.
    ReleaseMissing = 409 "release-missing" "The release is not loaded";
    /// Another release is bound to the scope than was expected: somebody changed it in between.
    /// `bound_release_id` is what is bound, absent where nothing is. Nothing changed.
    BindingMoved = 409 "binding-moved" "Another release is bound than was expected";
    /// The same provider answer was reported before, with other content or under another call.
    AlreadyReported = 409 "already-reported" "This provider answer was reported before";
    /// The body is larger than the server's limit.
    BodyTooLarge = 413 "body-too-large" "The body is too large";
    /// Only `application/json` is understood, and `application/wasm` where a release is pushed.
    UnsupportedMediaType = 415 "unsupported-media-type" "The body has the wrong media type";
    /// The idempotency key was used before for a request with other content.
    IdempotencyConflict = 422 "idempotency-conflict" "The idempotency key was used for another request";
    /// The price book has no such model. `provider` and `model` say which.
    UnknownModel = 422 "unknown-model" "The model has no price";
    /// The model is known, but what was used (or may be) has no rate. `model`, `meter`.
    NotPriced = 422 "not-priced" "The model has no rate for this";
    /// The provider's answer cannot be read as usage. `reason` is a stable code, `path` the field.
    UnreadableUsage = 422 "unreadable-usage" "The usage cannot be read";
    /// The file is no release: cut off or damaged, no component, importing something, of another
    /// contract, without a book, or failing in its trial. `reason` is a stable code.
    NotAdmitted = 422 "not-admitted" "The release is not admitted";
    /// A result would leave the range of exact money.
    OutOfRange = 422 "out-of-range" "A result is out of range";
    /// A defect of this server. It is logged under the request id.
    Internal = 500 "internal" "The server failed";
    /// The policy broke its contract, or is paused for the org because it did so several times in a
    /// row, so there is no price. Before a call nothing was held.
    PolicyFault = 503 "policy-fault" "The price policy failed";
    /// The ledger's queue is full. Nothing happened; retry after `Retry-After` seconds.
    Busy = 503 "busy" "The server is busy";
    /// The ledger cannot be read or written.
    Unavailable = 503 "unavailable" "The ledger is not available";
    /// The ledger's disk is full. Nothing of the request took effect; reads go on. The same
    /// idempotency key works when there is space again.
    StorageFull = 507 "storage-full" "The ledger's disk is full";
}

/// A problem, as it is answered.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    members: BTreeMap<&'static str, Value>,
    retry_after_s: Option<u32>,
}

/// The JSON of a problem (RFC 9457), media type `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemJson {
    /// A stable URI of the kind, relative to the server.
    #[schema(example = "/problems/insufficient-credits")]
    r#type: &'static str,
    /// The same for every occurrence of the kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened here. For people; may change.
    detail: String,
    /// Further members, by kind.
    #[serde(flatten)]
    members: BTreeMap<&'static str, Value>,
}

impl Problem {
    /// A problem of `kind`; `detail` says what happened here.
    pub fn new(kind: Kind, detail: impl ToString) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            members: BTreeMap::new(),
            retry_after_s: None,
        }
    }

    /// With a member for machines.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name, value.into());
        self
    }

    /// With a member for machines, where there is one.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With the seconds after which a retry makes sense.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Its kind.
    #[cfg(test)]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// As it stands inside another answer, such as a batch's.
    pub fn into_json(self) -> ProblemJson {
        ProblemJson {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: self.detail,
            members: self.members,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after_s = self.retry_after_s;
        let kind = self.kind;
        // A map of strings and numbers always has a JSON text.
        let body = serde_json::to_vec(&self.into_json()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if kind.status() == 401 {
            headers.insert(
                axum::http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_uri_and_an_error_status() {
        let mut uris: Vec<_> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
        uris.sort_unstable();
        uris.dedup();
        assert_eq!(uris.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
            assert!(!kind.meaning().trim().is_empty(), "{kind:?}");
        }
    }
}
