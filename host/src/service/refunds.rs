//! Refunds: exact nanos back to where they came from. Nothing is rated again.

use super::ledger::write::{Acknowledged, Action, WriteError};
use super::{Context, Service};
use farebox_ledger::command::{Command, RefundCharge, RefundGrant};
use farebox_ledger::ids::{ChargeId, GrantId, RefundId};
use farebox_pricing::money::Nanos;

/// What is given back.
#[derive(Clone, Copy, Debug)]
pub enum Refundable {
    /// A charge, to the customer's lots.
    Charge(ChargeId),
    /// The unspent part of a lot, for cash that goes back outside the ledger.
    Grant(GrantId),
}

impl Service {
    /// Gives back a charge or a lot; without an amount, all that is left of it.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn refund(
        &self,
        context: &Context,
        what: Refundable,
        amount: Option<Nanos>,
        note: Option<Box<str>>,
    ) -> Result<(RefundId, Acknowledged), WriteError> {
        let refund = RefundId::new(self.clock.next_id());
        let org = context.org;
        // The store hashes the note itself.
        let detail_digest = [0; 32];
        let command = match what {
            Refundable::Charge(charge) => Command::RefundCharge(RefundCharge {
                org,
                charge,
                refund,
                amount,
                grant: GrantId::new(self.clock.next_id()),
                detail_digest,
            }),
            Refundable::Grant(grant) => Command::RefundGrant(RefundGrant {
                org,
                grant,
                refund,
                amount,
                detail_digest,
            }),
        };
        let action = Action::Ledger { command, note };
        let acknowledged = self.write(context, None, action).await?;
        let refund = match acknowledged.made {
            super::ledger::write::Made::Other(first) => RefundId::new(first),
            _ => refund,
        };
        Ok((refund, acknowledged))
    }
}
