//! Why a charge is what it is: its receipt, and the same price made again (L10).

use super::ledger::failure::ReadError;
use super::ledger::receipt::{Pricing, Receipt};
use super::policy::PolicyError;
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
    /// The charge was made from a vouched cost, without a policy.
    #[error("charge `{0}` was made without a policy")]
    WithoutPolicy(ChargeId),
    /// Its release is not loaded, or failed.
    #[error("the release of the charge gave no price")]
    Policy(#[source] Arc<PolicyError>),
    /// The price is out of range now.
    #[error("the price is out of range")]
    OutOfRange(#[from] ArithmeticError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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
        let kept = &receipt.pricing;
        let release = kept.release.ok_or(ReceiptError::WithoutPolicy(charge))?;
        let priced = self
            .engine
            .rate(&release, &receipt.event, &kept.facts)
            .map_err(|error| ReceiptError::Policy(Arc::new(error)))?;
        // The receipt's own peg and rounding: neither today's book nor configuration counts.
        let again = Pricing {
            release: kept.release,
            facts: kept.facts.clone(),
            price: kept.peg.to_nanos(priced.price_usd, kept.rounding)?,
            cost: kept.peg.to_nanos(priced.provider_cost_usd, kept.rounding)?,
            lines: priced.lines,
            price_usd: priced.price_usd,
            provider_cost_usd: priced.provider_cost_usd,
            market_usd: priced.market_usd,
            rounding: priced.rounding,
            below_cost: priced.below_cost,
            commodity: kept.commodity,
            peg: kept.peg,
        };
        Ok(Replay { receipt, again })
    }
}
