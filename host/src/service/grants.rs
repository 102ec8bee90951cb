//! Credits given, corrected, and shortfalls absorbed: what only the operator does.

use super::ledger::write::{Acknowledged, Action, Once, WriteError};
use super::{Context, Service};
use farebox_ledger::command::{AbsorbShortfall, Command, Deduct, GrantCredits};
use farebox_ledger::grant::{Cash, GrantSource};
use farebox_ledger::idempotency::PaymentId;
use farebox_ledger::ids::GrantId;
use farebox_pricing::money::Nanos;
use sha2::{Digest as _, Sha256};

/// The detail digest of a command whose note the store hashes itself.
const FROM_NOTE: [u8; 32] = [0; 32];

/// A lot to be given.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Where it comes from.
    pub source: GrantSource,
    /// How much.
    pub amount: Nanos,
    /// What was paid.
    pub cash_paid: Option<Cash>,
    /// Lower is spent first.
    pub priority: u16,
    /// When it can no longer be spent.
    pub expires_at_ms: Option<i64>,
    /// The only features it may be spent on.
    pub features: Box<[Box<str>]>,
    /// The payment: provider and its id. It buys once.
    pub payment: Option<(Box<str>, Box<str>)>,
    /// Why.
    pub note: Option<Box<str>>,
}

/// SHA-256 of the payment provider, a zero byte, and its id of the payment.
fn payment_digest(provider: &str, id: &str) -> PaymentId {
    let mut hash = Sha256::new();
    hash.update(provider);
    hash.update([0]);
    hash.update(id);
    PaymentId(hash.finalize().into())
}

impl Service {
    /// Gives a lot of credits. An open shortfall is settled from it at once.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn grant(
        &self,
        context: &Context,
        grant: NewGrant,
    ) -> Result<(GrantId, Acknowledged), WriteError> {
        let id = GrantId::new(self.clock.next_id());
        let once = grant
            .payment
            .as_ref()
            .map(|(provider, payment)| Once::Payment(payment_digest(provider, payment)));
        let command = Command::GrantCredits(GrantCredits {
            org: context.org,
            grant: id,
            source: grant.source,
            amount: grant.amount,
            cash_paid: grant.cash_paid,
            priority: grant.priority,
            expires_at_ms: grant.expires_at_ms,
            features: grant.features,
            detail_digest: FROM_NOTE,
        });
        let action = Action::Ledger {
            command,
            note: grant.note,
        };
        let acknowledged = self.write(context, once, action).await?;
        let id = match acknowledged.made {
            super::ledger::write::Made::Other(first) => GrantId::new(first),
            _ => id,
        };
        Ok((id, acknowledged))
    }

    /// Takes credits as a correction.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn deduct(
        &self,
        context: &Context,
        amount: Nanos,
        note: Box<str>,
    ) -> Result<Acknowledged, WriteError> {
        let command = Command::Deduct(Deduct {
            org: context.org,
            amount,
            detail_digest: FROM_NOTE,
        });
        let action = Action::Ledger {
            command,
            note: Some(note),
        };
        self.write(context, None, action).await
    }

    /// The operator takes an open shortfall on itself; absent: all of it.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn absorb_shortfall(
        &self,
        context: &Context,
        amount: Option<Nanos>,
        note: Option<Box<str>>,
    ) -> Result<Acknowledged, WriteError> {
        let command = Command::AbsorbShortfall(AbsorbShortfall {
            org: context.org,
            amount,
            detail_digest: FROM_NOTE,
        });
        let action = Action::Ledger { command, note };
        self.write(context, None, action).await
    }
}
