//! Which lots pay: in spend order (L8), then the credit limit, never beyond either (L3).

use super::draft::{Draft, negative, sum};
use crate::grant::Grant;
use crate::hold::{Payer, Reserve};
use crate::refusal::WalletRefusal;
use crate::transaction::Movement;
use farebox_pricing::money::Nanos;

/// Who would pay an amount, and what nobody would.
pub(super) struct Plan {
    /// In the order they pay; no part is zero.
    pub(super) parts: Vec<Reserve>,
    /// What is missing.
    pub(super) missing: Nanos,
}

impl Draft<'_> {
    /// Who would pay `amount` for `feature`: lots, then credit.
    pub(super) fn plan(&self, amount: Nanos, feature: Option<&str>) -> Plan {
        let Plan {
            mut parts,
            mut missing,
        } = self.plan_lots(amount, feature);
        let credit = missing.min(self.wallet.credit_left());
        if !credit.is_zero() {
            parts.push(Reserve {
                payer: Payer::Credit,
                amount: credit,
            });
            missing = missing.checked_sub(credit).unwrap_or(Nanos::ZERO);
        }
        Plan { parts, missing }
    }

    /// Which lots would pay `amount` for `feature`.
    pub(super) fn plan_lots(&self, amount: Nanos, feature: Option<&str>) -> Plan {
        let mut plan = Plan {
            parts: Vec::new(),
            missing: amount,
        };
        if self.adds_lots() {
            let mut lots: Vec<&Grant> = self.lots().collect();
            lots.sort_unstable_by_key(|grant| grant.order());
            self.fill(&mut plan, lots.into_iter(), feature);
        } else {
            self.fill(&mut plan, self.lots(), feature);
        }
        plan
    }

    fn fill<'g>(
        &self,
        plan: &mut Plan,
        lots: impl Iterator<Item = &'g Grant>,
        feature: Option<&str>,
    ) {
        let now_ms = self.now_ms();
        for grant in lots {
            if plan.missing.is_zero() {
                return;
            }
            if grant.is_expired(now_ms) || !grant.pays_for(feature) {
                continue;
            }
            let take = grant.free().min(plan.missing);
            if !take.is_zero() {
                plan.parts.push(Reserve {
                    payer: Payer::Grant(grant.id()),
                    amount: take,
                });
                plan.missing = plan.missing.checked_sub(take).unwrap_or(Nanos::ZERO);
            }
        }
    }

    /// Whether this draft has lots the state has not, so that order has to be made.
    fn adds_lots(&self) -> bool {
        self.grants
            .iter()
            .any(|grant| self.state.grant(grant.id()).is_none())
    }

    /// All lots as they are in this draft; in spend order unless it [adds](Self::adds_lots) some.
    fn lots(&self) -> impl Iterator<Item = &Grant> {
        let changed = |id| self.grants.iter().find(|grant| grant.id() == id);
        let known = self
            .state
            .grants()
            .map(move |grant| changed(grant.id()).unwrap_or(grant));
        let added = self
            .grants
            .iter()
            .filter(|grant| self.state.grant(grant.id()).is_none());
        known.chain(added)
    }

    /// Puts aside.
    pub(super) fn reserve(&mut self, payer: Payer, amount: Nanos) -> Result<(), WalletRefusal> {
        match payer {
            Payer::Grant(id) => {
                let grant = self.grant_mut(id)?;
                grant.reserved = sum(grant.reserved, amount)?;
            }
            Payer::Credit => {
                self.wallet.held_on_credit = sum(self.wallet.held_on_credit, amount)?;
            }
        }
        self.wallet.held = sum(self.wallet.held, amount)?;
        Ok(())
    }

    /// Gives back what was put aside.
    pub(super) fn unreserve(&mut self, payer: Payer, amount: Nanos) -> Result<(), WalletRefusal> {
        match payer {
            Payer::Grant(id) => {
                let inconsistent = self.inconsistent();
                let grant = self.grant_mut(id)?;
                grant.reserved = grant.reserved.checked_sub(amount).ok_or(inconsistent)?;
            }
            Payer::Credit => {
                self.wallet.held_on_credit = self.less(self.wallet.held_on_credit, amount)?;
            }
        }
        self.wallet.held = self.less(self.wallet.held, amount)?;
        Ok(())
    }

    /// Spends: the lot has less, or the org owes more on its credit limit.
    pub(super) fn spend(&mut self, payer: Payer, amount: Nanos) -> Result<(), WalletRefusal> {
        match payer {
            Payer::Grant(id) => {
                let inconsistent = self.inconsistent();
                let grant = self.grant_mut(id)?;
                grant.remaining = grant.remaining.checked_sub(amount).ok_or(inconsistent)?;
            }
            Payer::Credit => self.wallet.overdraft = sum(self.wallet.overdraft, amount)?,
        }
        Ok(())
    }

    /// Spends every part of a plan; returns the sum and the movements that say so.
    pub(super) fn spend_all(
        &mut self,
        parts: &[Reserve],
    ) -> Result<(Nanos, Vec<Movement>), WalletRefusal> {
        let mut total = Nanos::ZERO;
        let mut movements = Vec::with_capacity(parts.len());
        for part in parts {
            self.spend(part.payer, part.amount)?;
            total = sum(total, part.amount)?;
            pay(&mut movements, part.payer, part.amount);
        }
        Ok((total, movements))
    }
}

/// Adds a payment to `movements`; each payer stands there once, where it first paid.
pub(super) fn pay(movements: &mut Vec<Movement>, payer: Payer, amount: Nanos) {
    if let Some(movement) = movements.iter_mut().find(|m| m.payer == payer) {
        // A lot never pays more than it has, so this stays within one amount.
        movement.amount_nanos = movement.amount_nanos.saturating_sub(amount.get());
    } else if !amount.is_zero() {
        movements.push(Movement {
            payer,
            amount_nanos: negative(amount),
        });
    }
}
