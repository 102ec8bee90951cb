//! Giving a charge back: exact nanos, into what they came from, nothing rated again.

use super::draft::{Begin, Draft, Entries, sum};
use crate::account::Account;
use crate::command::{Past, PastCharge, RefundCharge};
use crate::effect::{Effect, Outcome, Refunded};
use crate::grant::{Grant, GrantSource, GrantTerms};
use crate::hold::Payer;
use crate::ids::GrantId;
use crate::refusal::{RefundChargeRefusal, WalletRefusal};
use crate::transaction::{Movement, TransactionKind};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// Where a part of the charge came from.
#[derive(Clone, Copy)]
enum Origin {
    Shortfall,
    Payer(Payer),
}

pub(super) fn refund_charge<'a>(
    draft: impl Begin<'a>,
    command: &RefundCharge,
    past: &Past,
) -> Result<Effect, RefundChargeRefusal> {
    let mut draft = draft()?;
    let charge = command.charge;
    let Past::Charge(past) = past else {
        return Err(RefundChargeRefusal::ChargeNotFound { charge });
    };
    let price = past
        .paid
        .iter()
        .try_fold(past.shortfall, |total, part| sum(total, part.amount))?;
    let left = draft.less(price, past.refunded)?;
    let amount = command.amount.unwrap_or(left);
    if command.amount.is_some_and(|amount| amount.is_zero()) {
        return Err(RefundChargeRefusal::AmountZero);
    }
    if amount > left || left.is_zero() {
        return Err(RefundChargeRefusal::ExceedsCharge { left });
    }
    let refunded = draft.give_back(command, past, amount)?;
    draft.budgets_refund(&past.dimensions, amount, past.at_ms)?;
    Ok(draft.finish(Outcome::Refunded(refunded))?)
}

/// The parts of a charge in the order they are given back, less what was given back before.
fn parts(past: &PastCharge, amount: Nanos) -> Vec<(Origin, Nanos)> {
    let mut skip = past.refunded;
    let mut rest = amount;
    let shortfall = (Origin::Shortfall, past.shortfall);
    let paid = past.paid.iter().rev();
    std::iter::once(shortfall)
        .chain(paid.map(|part| (Origin::Payer(part.payer), part.amount)))
        .filter_map(|(origin, size)| {
            let skipped = size.min(skip);
            skip = skip.checked_sub(skipped)?;
            let take = size.checked_sub(skipped)?.min(rest);
            rest = rest.checked_sub(take)?;
            (!take.is_zero()).then_some((origin, take))
        })
        .collect()
}

impl Draft<'_> {
    fn give_back(
        &mut self,
        command: &RefundCharge,
        past: &PastCharge,
        amount: Nanos,
    ) -> Result<Refunded, WalletRefusal> {
        let mut refunded = Refunded {
            amount,
            ..Refunded::default()
        };
        let mut movements = Vec::new();
        for (origin, take) in parts(past, amount) {
            match origin {
                Origin::Shortfall => self.forgive(take, &mut refunded)?,
                Origin::Payer(Payer::Credit) => {
                    let owed = take.min(self.wallet.overdraft);
                    self.wallet.overdraft = self.less(self.wallet.overdraft, owed)?;
                    refunded.credit = sum(refunded.credit, owed)?;
                    let repaid = self.less(take, owed)?;
                    refunded.new_grant = sum(refunded.new_grant, repaid)?;
                    receive(&mut movements, Payer::Credit, owed);
                }
                Origin::Payer(Payer::Grant(id)) => {
                    self.refill(id, take, &past.grants)?;
                    refunded.grants = sum(refunded.grants, take)?;
                    receive(&mut movements, Payer::Grant(id), take);
                }
            }
        }
        if !refunded.new_grant.is_zero() {
            self.add_refund_lot(command.grant, refunded.new_grant)?;
            let payer = Payer::Grant(command.grant);
            receive(&mut movements, payer, refunded.new_grant);
        }
        let wallet = sum(sum(refunded.grants, refunded.credit)?, refunded.new_grant)?;
        self.post(
            TransactionKind::ChargeRefund {
                charge: command.charge,
                refund: command.refund,
            },
            Entries::default()
                .credit(Account::Wallet, wallet)
                .debit(Account::Revenue, amount)
                .credit(Account::Shortfall, refunded.shortfall)
                .credit(Account::Absorbed, refunded.absorbed),
            movements,
            command.detail_digest,
        )?;
        Ok(refunded)
    }

    /// Gives back what was shortfall: against what is still open, then against what the operator
    /// absorbed (nobody paid that), and only the rest, which lots settled since, as a new lot.
    fn forgive(&mut self, take: Nanos, refunded: &mut Refunded) -> Result<(), WalletRefusal> {
        let open = take.min(self.wallet.shortfall());
        let rest = self.less(take, open)?;
        let absorbed = self.wallet.balances.get(Account::Absorbed).checked_neg();
        let absorbed = absorbed.and_then(Nanos::new).unwrap_or(Nanos::ZERO);
        let absorbed = rest.min(absorbed);
        refunded.shortfall = open;
        refunded.absorbed = absorbed;
        refunded.new_grant = sum(refunded.new_grant, self.less(rest, absorbed)?)?;
        Ok(())
    }

    /// Puts credits back into the lot they came from, alive or not.
    fn refill(&mut self, id: GrantId, amount: Nanos, rows: &[Grant]) -> Result<(), WalletRefusal> {
        if self.grant(id).is_none() {
            let row = rows.iter().find(|grant| grant.id() == id);
            let terms = Arc::clone(&row.ok_or(self.inconsistent())?.terms);
            // What the state does not know has nothing left.
            self.grants.push(Grant {
                terms,
                remaining: Nanos::ZERO,
                reserved: Nanos::ZERO,
            });
        }
        let grant = self.grant_mut(id)?;
        grant.remaining = sum(grant.remaining, amount)?;
        Ok(())
    }

    fn add_refund_lot(&mut self, id: GrantId, amount: Nanos) -> Result<(), WalletRefusal> {
        if self.grant(id).is_some() {
            return Err(self.inconsistent());
        }
        self.grants.push(Grant::new(GrantTerms {
            id,
            source: GrantSource::Refund,
            amount,
            cash_paid: None,
            // It never expires, so it is spent after all that does.
            priority: u16::MAX,
            expires_at_ms: None,
            features: Box::default(),
            granted_at_ms: self.now_ms(),
        }));
        Ok(())
    }
}

/// Adds what a payer gets back; a charge names each payer once, so this does too.
fn receive(movements: &mut Vec<Movement>, payer: Payer, amount: Nanos) {
    if !amount.is_zero() {
        movements.push(Movement {
            payer,
            amount_nanos: amount.get(),
        });
    }
}
