//! Holds: the worst case of a call is put aside before the call runs.
//!
//! Wallet and budgets are checked by the ledger in the same step that reserves, so there is no
//! moment between check and charge. What the later rating needs is kept with the hold: the call
//! is priced under the release that held it, whatever is active by then.

use super::calls::{Call, CallError, WorstCase};
use super::filters::FilterRefused;
use super::ledger::directory::QuoteRecord;
use super::ledger::failure::ReadError;
use super::ledger::view::HoldView;
use super::ledger::write::{Acknowledged, Action, Made, WriteError};
use super::placed::PlacedWith;
use super::policy::{Digest, ReleaseId};
use super::{Context, Service};
use farebox_ledger::command::{Command, PlaceHold, ReleaseHold, RenewHold};
use farebox_ledger::effect::Outcome;
use farebox_ledger::ids::{HoldId, OrgId, QuoteId};
use farebox_ledger::refusal::{PlaceHoldRefusal, Refusal, RenewHoldRefusal};
use farebox_pricing::event::KeySource;
use farebox_pricing::money::Nanos;
use rust_decimal::Decimal;
use std::sync::Arc;

/// A hold that was placed or renewed.
#[derive(Clone, Debug)]
pub struct Held {
    /// Which.
    pub id: HoldId,
    /// What is put aside now.
    pub left: Nanos,
    /// When it is over unless renewed, milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// What prices its call, unless it is revoked before.
    pub release: ReleaseId,
    /// What the ledger says.
    pub acknowledged: Acknowledged,
}

/// Why nothing is held.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HoldError {
    /// The call has no worst case.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The hold's life is out of the declared range.
    #[error("`ttl_ms` is `{given}`, but must be 1000 to {max}")]
    TtlOutOfRange {
        /// In milliseconds.
        given: i64,
        /// In milliseconds.
        max: i64,
    },
    /// The quote named is not kept for this org.
    #[error("quote `{0}` does not exist")]
    QuoteNotFound(QuoteId),
    /// The quote named no longer stands.
    #[error("quote `{0}` has expired")]
    QuoteExpired(QuoteId),
    /// The call's worst case is above the quote that was approved.
    #[error("the call can now cost more than quote `{0}` says")]
    QuoteExceeded(QuoteId),
    /// No such hold of this org.
    #[error("hold `{0}` does not exist")]
    NotFound(HoldId),
    /// The wallet or a budget does not have it.
    #[error(transparent)]
    NotEnough(Box<NotEnough>),
    /// The ledger refused.
    #[error(transparent)]
    Write(WriteError),
    /// The gateway's filter is none of the release's.
    #[error(transparent)]
    Filter(#[from] FilterRefused),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is missing, and what would fit.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct NotEnough {
    /// What the ledger says.
    pub refusal: PlaceHoldRefusal,
    /// The worst case that did not fit.
    pub needed: Nanos,
    /// The largest limit on output tokens that would fit, where any does.
    pub max_output_tokens: Option<u64>,
}

impl Service {
    /// Puts the worst case of `call` aside. With `quote`, under the release that made it, and not
    /// more than it says. `filter`: what the gateway runs that asks, where it runs one.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub async fn hold(
        &self,
        context: &Context,
        call: &Call,
        ttl_ms: Option<i64>,
        quote: Option<QuoteId>,
        filter: Option<Digest>,
    ) -> Result<(Held, WorstCase), HoldError> {
        let now_ms = self.clock.now_ms();
        let expires_at_ms = self.expiry(now_ms, ttl_ms)?;
        let quote = match quote {
            Some(id) => Some(self.standing_quote(context, id, now_ms)?),
            None => None,
        };
        let promised = quote.as_ref().map(|quote| quote.release);
        let worst = self.worst_case_under(context, call, promised)?;
        self.check_filter(filter, worst.release)?;
        if let Some(quote) = quote.filter(|quote| worst.amount > quote.amount) {
            return Err(HoldError::QuoteExceeded(quote.id));
        }
        let hold = HoldId::new(self.clock.next_id());
        let mut with = PlacedWith {
            context: HoldContext {
                release: worst.release,
                serves: Serves::Call(call.key_source),
            },
            dimensions: Arc::clone(&worst.dimensions),
            placed_at_ms: now_ms,
        };
        let command = Command::PlaceHold(PlaceHold {
            org: context.org,
            hold,
            amount: worst.amount,
            expires_at_ms,
            dimensions: Arc::clone(&with.dimensions),
            context: with.context.to_bytes().into(),
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        match self.put_aside(context, action).await {
            Ok(acknowledged) => {
                // Of a retry it is the first hold that stands, perhaps under another release.
                let release = if acknowledged.replayed {
                    self.release_of_hold(context.org, made(&acknowledged, hold))?
                } else {
                    with.placed_at_ms = acknowledged.at_ms;
                    self.placed.remember(context.org, hold, with);
                    worst.release
                };
                Ok((held(hold, release, acknowledged), worst))
            }
            Err(error) => Err(self.explain(context, call, &worst, error)?),
        }
    }

    /// Hands over what puts credits aside. Where too little is there, what others have leased and do
    /// not use may be enough: it is waited for.
    async fn put_aside(
        &self,
        context: &Context,
        action: Action,
    ) -> Result<Acknowledged, WriteError> {
        let patience = self.patience();
        loop {
            let written = self.write(context, None, action.clone()).await;
            let Some(missing) = written.as_ref().err().and_then(missing) else {
                return written;
            };
            if !self.look_again(context.org, missing, &patience).await {
                return written;
            }
        }
    }

    /// Prolongs a hold by `ttl_ms` from now, and puts `extra` more aside.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub async fn renew_hold(
        &self,
        context: &Context,
        hold: HoldId,
        ttl_ms: Option<i64>,
        extra: Nanos,
    ) -> Result<Held, HoldError> {
        let expires_at_ms = self.expiry(self.clock.now_ms(), ttl_ms)?;
        let command = Command::RenewHold(RenewHold {
            org: context.org,
            hold,
            expires_at_ms,
            extra,
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        match self.put_aside(context, action).await {
            Ok(acknowledged) => {
                let release = self.release_of_hold(context.org, hold)?;
                Ok(held(hold, release, acknowledged))
            }
            Err(WriteError::Refused(Refusal::RenewHold(RenewHoldRefusal::HoldNotFound {
                ..
            }))) => Err(HoldError::NotFound(hold)),
            Err(error) => Err(HoldError::Write(error)),
        }
    }

    fn release_of_hold(&self, org: OrgId, hold: HoldId) -> Result<ReleaseId, HoldError> {
        match self.placed_with(org, hold)? {
            Some(with) => Ok(with.context.release),
            // Another tool placed it: it is rated as a call without a hold.
            None => Ok(self.release_for(&*self.known_org(org)?)),
        }
    }

    /// What a hold, active or over, was placed with.
    pub(super) fn placed_with(
        &self,
        org: OrgId,
        hold: HoldId,
    ) -> Result<Option<PlacedWith>, ReadError> {
        if let Some(with) = self.placed.find(org, hold) {
            return Ok(Some(with));
        }
        let Some(HoldView { hold: kept, .. }) = self.store.hold(org, hold)? else {
            return Ok(None);
        };
        let Some(context) = HoldContext::from_bytes(&kept.context) else {
            return Ok(None);
        };
        let with = PlacedWith {
            context,
            dimensions: kept.dimensions,
            placed_at_ms: kept.placed_at_ms,
        };
        self.placed.remember(org, hold, with.clone());
        Ok(Some(with))
    }

    /// Ends a hold without a charge.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub async fn release_hold(
        &self,
        context: &Context,
        hold: HoldId,
    ) -> Result<Acknowledged, HoldError> {
        let command = Command::ReleaseHold(ReleaseHold {
            org: context.org,
            hold,
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        self.write(context, None, action)
            .await
            .map_err(HoldError::Write)
    }

    /// A hold of this org.
    ///
    /// # Errors
    /// `NotFound` or `Read`.
    pub fn find_hold(&self, context: &Context, hold: HoldId) -> Result<HoldView, HoldError> {
        self.store
            .hold(context.org, hold)?
            .ok_or(HoldError::NotFound(hold))
    }

    fn expiry(&self, now_ms: i64, ttl_ms: Option<i64>) -> Result<i64, HoldError> {
        let max = self.settings.hold_ttl_max_ms;
        let given = ttl_ms.unwrap_or(self.settings.hold_ttl_ms);
        if (1_000..=max).contains(&given) {
            Ok(now_ms.saturating_add(given))
        } else {
            Err(HoldError::TtlOutOfRange { given, max })
        }
    }

    fn standing_quote(
        &self,
        context: &Context,
        id: QuoteId,
        now_ms: i64,
    ) -> Result<QuoteRecord, HoldError> {
        let quote = self
            .store
            .quote(context.org, id)?
            .ok_or(HoldError::QuoteNotFound(id))?;
        if quote.expires_at_ms <= now_ms {
            return Err(HoldError::QuoteExpired(id));
        }
        Ok(quote)
    }

    /// A refusal for lack of credits says what would fit the wallet and every hard budget.
    ///
    /// The ledger looks at the wallet first, then at the budgets, and of those names the one that
    /// misses most: so only a refusal by the wallet leaves a tighter budget unsaid.
    fn explain(
        &self,
        context: &Context,
        call: &Call,
        worst: &WorstCase,
        error: WriteError,
    ) -> Result<HoldError, ReadError> {
        let WriteError::Refused(Refusal::PlaceHold(refusal)) = error else {
            return Ok(HoldError::Write(error));
        };
        let available = match &refusal {
            PlaceHoldRefusal::ExceedsCredits(exceeds) => self
                .tightest_budget(context.org, &worst.dimensions)?
                .map_or(exceeds.available, |left| left.min(exceeds.available)),
            PlaceHoldRefusal::ExceedsBudget(exceeds) => exceeds.available,
            _ => return Ok(HoldError::Write(WriteError::Refused(refusal.into()))),
        };
        Ok(HoldError::NotEnough(Box::new(NotEnough {
            refusal,
            needed: worst.amount,
            max_output_tokens: self.affordable_output(context.org, call, worst, available),
        })))
    }
}

/// What the ledger has too little of for a hold, by the wallet or by a budget.
const fn missing(error: &WriteError) -> Option<Nanos> {
    match error {
        WriteError::Refused(Refusal::PlaceHold(PlaceHoldRefusal::ExceedsCredits(exceeds))) => {
            Some(exceeds.missing)
        }
        WriteError::Refused(Refusal::PlaceHold(PlaceHoldRefusal::ExceedsBudget(exceeds))) => {
            Some(exceeds.missing)
        }
        WriteError::Refused(Refusal::RenewHold(RenewHoldRefusal::ExceedsCredits(exceeds))) => {
            Some(exceeds.missing)
        }
        WriteError::Refused(Refusal::RenewHold(RenewHoldRefusal::ExceedsBudget(exceeds))) => {
            Some(exceeds.missing)
        }
        _ => None,
    }
}

/// The hold that stands: of a retry, the first one's.
pub(super) const fn made(acknowledged: &Acknowledged, asked: HoldId) -> HoldId {
    match acknowledged.made {
        Made::Hold(id) => id,
        _ => asked,
    }
}

fn held(asked: HoldId, release: ReleaseId, acknowledged: Acknowledged) -> Held {
    let id = made(&acknowledged, asked);
    let (left, expires_at_ms) = match acknowledged.outcome {
        Outcome::Held {
            left,
            expires_at_ms,
        } => (left, expires_at_ms),
        _ => (Nanos::ZERO, acknowledged.at_ms),
    };
    Held {
        id,
        left,
        expires_at_ms,
        release,
        acknowledged,
    }
}

/// What is kept with a hold: how its calls are to be rated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldContext {
    /// What prices them.
    pub release: ReleaseId,
    /// What they are.
    pub serves: Serves,
}

/// What a hold is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// One call, or the parts of one job, served with this provider key.
    Call(KeySource),
    /// The calls of an edge; each report says whose provider key served it.
    Lease {
        /// What the org had been charged this month when the lease was granted. All calls under it
        /// are priced by this, on both sides.
        month_to_date_usd: Decimal,
        /// The edge's own name, for people.
        edge: Arc<str>,
    },
}

/// The byte that says that a hold is a lease.
const LEASE: u8 = 2;

impl HoldContext {
    /// Whose provider key serves the one call it is for.
    pub const fn key_source(&self) -> Option<KeySource> {
        match self.serves {
            Serves::Call(key_source) => Some(key_source),
            Serves::Lease { .. } => None,
        }
    }

    /// What the calls of a lease are priced by: what the org had been charged in its month before.
    pub const fn month_to_date_usd(&self) -> Option<Decimal> {
        match self.serves {
            Serves::Call(_) => None,
            Serves::Lease {
                month_to_date_usd, ..
            } => Some(month_to_date_usd),
        }
    }

    /// Component digest, book digest, and one byte: 0 for a managed key, 1 for an own one, 2 for a
    /// lease. Of a lease then the month to date (16 bytes) and the edge's name.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&self.release.component.0);
        bytes.extend_from_slice(&self.release.book.0);
        match &self.serves {
            Serves::Call(KeySource::Managed) => bytes.push(0),
            Serves::Call(KeySource::Own) => bytes.push(1),
            Serves::Lease {
                month_to_date_usd,
                edge,
            } => {
                bytes.push(LEASE);
                bytes.extend_from_slice(&month_to_date_usd.serialize());
                bytes.extend_from_slice(edge.as_bytes());
            }
        }
        bytes
    }

    /// The context with these bytes; `None` when they are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (component, rest) = bytes.split_first_chunk::<32>()?;
        let (book, rest) = rest.split_first_chunk::<32>()?;
        let serves = match rest {
            [0] => Serves::Call(KeySource::Managed),
            [1] => Serves::Call(KeySource::Own),
            [LEASE, rest @ ..] => {
                let (month_to_date_usd, edge) = rest.split_first_chunk::<16>()?;
                Serves::Lease {
                    month_to_date_usd: Decimal::deserialize(*month_to_date_usd),
                    edge: std::str::from_utf8(edge).ok()?.into(),
                }
            }
            _ => return None,
        };
        Some(Self {
            release: ReleaseId {
                component: Digest(*component),
                book: Digest(*book),
            },
            serves,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_as_it_was() {
        for serves in [
            Serves::Call(KeySource::Managed),
            Serves::Call(KeySource::Own),
            Serves::Lease {
                month_to_date_usd: Decimal::new(123_456, 4),
                edge: "edge-1".into(),
            },
        ] {
            let context = HoldContext {
                release: ReleaseId {
                    component: Digest([1; 32]),
                    book: Digest([2; 32]),
                },
                serves,
            };
            let bytes = context.to_bytes();
            assert_eq!(HoldContext::from_bytes(&bytes), Some(context));
            assert_eq!(HoldContext::from_bytes(&bytes[1..]), None);
        }
    }
}
