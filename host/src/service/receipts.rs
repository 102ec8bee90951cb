//! Why a charge is what it is: its receipt, and the same price made again (L10).

use super::ledger::failure::ReadError;
use super::ledger::receipt::{Pricing, Receipt};
use super::policy::{PolicyError, ReleaseId};
use super::{Context, Service};
use farebox_ledger::ids::ChargeId;
use farebox_pricing::exact::ArithmeticError;
use std::sync::Arc;

/// Why there is no receipt, or no price from it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReceiptError {
    /// No such charge of this org.
    #[error("charge `{0}` does not exist")]
    NotFound(ChargeId),
    /// What priced the charge is not in this server.
    #[error("the release that priced charge `{charge}` is not loaded")]
    ReleaseMissing {
        /// The charge.
        charge: ChargeId,
        /// What priced it.
        release: ReleaseId,
    },
    /// Its release priced it once, and refuses or fails now.
    #[error("the release that priced the charge gives no price for it now")]
    Policy(#[source] Arc<PolicyError>),
    /// The price is out of range now.
    #[error("the price is out of range")]
    OutOfRange(#[from] ArithmeticError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// By what a charge came to its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A release priced it: by rates, a vouched provider cost, or the fee on an own key. The same
    /// release prices it again.
    Policy(ReleaseId),
    /// An operator decided that usage without a price is charged nothing. The rule is the whole
    /// proof: no line, and zero.
    WriteOff,
}

impl Basis {
    /// The basis of a price.
    pub fn of(pricing: &Pricing) -> Self {
        pricing.release.map_or(Self::WriteOff, Self::Policy)
    }
}

/// A charge priced again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The charge as it was made.
    pub receipt: Receipt,
    /// The price made from the receipt now.
    pub again: Pricing,
}

impl Replay {
    /// Whether every line and amount is the same, to the digit.
    pub fn is_same(&self) -> bool {
        self.receipt.pricing == self.again
    }
}

impl Service {
    /// The receipt of a charge.
    ///
    /// # Errors
    /// See [`ReceiptError`].
    pub fn receipt(&self, context: &Context, charge: ChargeId) -> Result<Receipt, ReceiptError> {
        self.store
            .receipt(context.org, charge)?
            .ok_or(ReceiptError::NotFound(charge))
    }

    /// Prices a charge again from its receipt alone. Nothing is charged by it.
    ///
    /// # Errors
    /// See [`ReceiptError`].
    pub fn replay(&self, context: &Context, charge: ChargeId) -> Result<Replay, ReceiptError> {
        let receipt = self.receipt(context, charge)?;
        let again = match Basis::of(&receipt.pricing) {
            Basis::Policy(release) => self.rate_again(&receipt, release)?,
            Basis::WriteOff => {
                let kept = &receipt.pricing;
                Pricing::write_off(kept.facts.clone(), kept.commodity, kept.peg)
            }
        };
        Ok(Replay { receipt, again })
    }

    fn rate_again(&self, receipt: &Receipt, release: ReleaseId) -> Result<Pricing, ReceiptError> {
        let kept = &receipt.pricing;
        let priced = self
            .engine
            .rate(&release, &receipt.event, &kept.facts)
            .map_err(|error| match error {
                PolicyError::NotLoaded => ReceiptError::ReleaseMissing {
                    charge: receipt.charge,
                    release,
                },
                error => ReceiptError::Policy(Arc::new(error)),
            })?;
        // The receipt's own peg: neither today's book nor configuration counts.
        let facts = kept.facts.clone();
        Ok(Pricing::of(
            release,
            facts,
            priced,
            kept.commodity,
            kept.peg,
        )?)
    }
}
