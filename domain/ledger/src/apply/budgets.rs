//! Budgets inside a draft: rolled to the current window when touched, checked together with the
//! wallet, counted whatever happens to usage that is already there.

use super::draft::{Begin, Draft, sum};
use crate::budget::{Budget, BudgetAlert, BudgetKind, BudgetUse};
use crate::command::{PutBudget, RemoveBudget};
use crate::effect::{BudgetChange, Effect, HoldChange, Outcome};
use crate::hold::Dimensions;
use crate::ids::BudgetId;
use crate::refusal::{ExceedsBudget, PutBudgetRefusal, RemoveBudgetRefusal, WalletRefusal};
use crate::window::{Span, span};
use farebox_pricing::money::Nanos;

pub(super) fn put<'a>(
    draft: impl Begin<'a>,
    command: &PutBudget,
) -> Result<Effect, PutBudgetRefusal> {
    let mut draft = draft()?;
    let budget = &command.budget;
    let old = draft.state.budget(budget.id).map(|(old, _)| old);
    let goes_on = old.is_some_and(|old| {
        old.scope == budget.scope && old.window == budget.window && old.zone == budget.zone
    });
    let used = if goes_on {
        draft.current_use(budget)?
    } else {
        let Span { start_ms, end_ms } = draft.window_of(budget)?;
        BudgetUse {
            budget: budget.id,
            window_start_ms: start_ms,
            window_end_ms: end_ms,
            spent: command.spent,
            held: draft.held_under(budget)?,
        }
    };
    draft.put_use(used);
    draft.budgets.push(BudgetChange::Put(budget.clone()));
    Ok(draft.finish(Outcome::Done)?)
}

pub(super) fn remove<'a>(
    draft: impl Begin<'a>,
    command: &RemoveBudget,
) -> Result<Effect, RemoveBudgetRefusal> {
    let mut draft = draft()?;
    let budget = command.budget;
    if draft.state.budget(budget).is_none() {
        return Err(RemoveBudgetRefusal::BudgetNotFound { budget });
    }
    draft.budget_uses.retain(|used| used.budget != budget);
    draft.budgets.push(BudgetChange::Removed(budget));
    Ok(draft.finish(Outcome::Done)?)
}

impl Draft<'_> {
    /// Counts `amount` as put aside.
    ///
    /// # Errors
    /// The outer one as ever; the inner one when a hard budget has less left (of several, the one
    /// that misses most).
    pub(super) fn budgets_hold(
        &mut self,
        dimensions: &Dimensions,
        amount: Nanos,
    ) -> Result<Result<(), ExceedsBudget>, WalletRefusal> {
        let mut worst: Option<ExceedsBudget> = None;
        for (budget, _) in self.state.budgets_covering(dimensions) {
            let mut used = self.current_use(budget)?;
            if budget.kind == BudgetKind::Hard
                && let Some(exceeds) = exceeds(budget, &used, amount)
                && worst.is_none_or(|worst| worst.missing < exceeds.missing)
            {
                worst = Some(exceeds);
            }
            used.held = sum(used.held, amount)?;
            self.put_use(used);
        }
        Ok(worst.map_or(Ok(()), Err))
    }

    /// The least that a hard budget over these dimensions has left; `None` without one.
    pub(super) fn budgets_room(
        &self,
        dimensions: &Dimensions,
    ) -> Result<Option<Nanos>, WalletRefusal> {
        let mut least: Option<Nanos> = None;
        for (budget, _) in self.state.budgets_covering(dimensions) {
            if budget.kind == BudgetKind::Hard {
                let room = room(budget, &self.current_use(budget)?);
                least = Some(least.map_or(room, |least| least.min(room)));
            }
        }
        Ok(least)
    }

    /// Counts `amount` as no longer put aside.
    pub(super) fn budgets_unhold(
        &mut self,
        dimensions: &Dimensions,
        amount: Nanos,
    ) -> Result<(), WalletRefusal> {
        if amount.is_zero() {
            return Ok(());
        }
        for (budget, _) in self.state.budgets_covering(dimensions) {
            let mut used = self.current_use(budget)?;
            used.held = self.less(used.held, amount)?;
            self.put_use(used);
        }
        Ok(())
    }

    /// Counts `amount` as charged now.
    pub(super) fn budgets_spend(
        &mut self,
        dimensions: &Dimensions,
        amount: Nanos,
    ) -> Result<(), WalletRefusal> {
        if amount.is_zero() {
            return Ok(());
        }
        for (budget, _) in self.state.budgets_covering(dimensions) {
            let mut used = self.current_use(budget)?;
            used.spent = sum(used.spent, amount)?;
            self.put_use(used);
        }
        Ok(())
    }

    /// Gives `amount` of a charge made at `charged_at_ms` back to the budgets that still count it.
    pub(super) fn budgets_refund(
        &mut self,
        dimensions: &Dimensions,
        amount: Nanos,
        charged_at_ms: i64,
    ) -> Result<(), WalletRefusal> {
        for (budget, _) in self.state.budgets_covering(dimensions) {
            let mut used = self.current_use(budget)?;
            if charged_at_ms >= used.window_start_ms {
                // A budget made after the charge may never have counted it.
                used.spent = used.spent.checked_sub(amount).unwrap_or(Nanos::ZERO);
                self.put_use(used);
            }
        }
        Ok(())
    }

    /// What the budget has counted in the window in which this command lies.
    fn current_use(&self, budget: &Budget) -> Result<BudgetUse, WalletRefusal> {
        let used = self
            .use_in_draft(budget.id)
            .or_else(|| self.state.budget(budget.id).map(|(_, used)| used))
            .copied()
            .ok_or(self.inconsistent())?;
        if self.now_ms() < used.window_end_ms {
            return Ok(used);
        }
        let Span { start_ms, end_ms } = self.window_of(budget)?;
        Ok(BudgetUse {
            window_start_ms: start_ms,
            window_end_ms: end_ms,
            // Time alone starts the count again; what is held goes on being held.
            spent: Nanos::ZERO,
            ..used
        })
    }

    fn use_in_draft(&self, id: BudgetId) -> Option<&BudgetUse> {
        self.budget_uses.iter().find(|used| used.budget == id)
    }

    fn put_use(&mut self, used: BudgetUse) {
        match self
            .budget_uses
            .iter_mut()
            .find(|old| old.budget == used.budget)
        {
            Some(old) => *old = used,
            None => self.budget_uses.push(used),
        }
    }

    fn window_of(&self, budget: &Budget) -> Result<Span, WalletRefusal> {
        span(budget.window, &budget.zone, self.now_ms()).map_err(|_| WalletRefusal::OutOfRange)
    }

    fn held_under(&self, budget: &Budget) -> Result<Nanos, WalletRefusal> {
        let ended = |hold| {
            self.holds
                .iter()
                .any(|change| matches!(change, HoldChange::Ended(ended) if ended.id == hold))
        };
        self.state
            .holds()
            .filter(|hold| budget.scope.covers(&hold.dimensions) && !ended(hold.id))
            .try_fold(Nanos::ZERO, |held, hold| sum(held, hold.left()))
    }

    /// The budgets that this draft carries past their limit.
    pub(super) fn alerts(&self) -> Vec<BudgetAlert> {
        let past_limit = |used: &BudgetUse, limit: Nanos| {
            // Past the range is past every limit.
            used.spent.checked_add(used.held).unwrap_or(Nanos::MAX) > limit
        };
        self.budget_uses
            .iter()
            .filter_map(|used| {
                let (budget, before) = self.state.budget(used.budget)?;
                let was_past = before.window_start_ms == used.window_start_ms
                    && past_limit(before, budget.limit);
                (past_limit(used, budget.limit) && !was_past).then(|| BudgetAlert {
                    budget: budget.id,
                    kind: budget.kind,
                    limit: budget.limit,
                    used: used.spent.checked_add(used.held).unwrap_or(Nanos::MAX),
                })
            })
            .collect()
    }
}

fn room(budget: &Budget, used: &BudgetUse) -> Nanos {
    budget
        .limit
        .checked_sub(used.spent)
        .and_then(|left| left.checked_sub(used.held))
        .unwrap_or(Nanos::ZERO)
}

fn exceeds(budget: &Budget, used: &BudgetUse, amount: Nanos) -> Option<ExceedsBudget> {
    let available = room(budget, used);
    // A free call fits into any budget, even one that is past its limit.
    let missing = amount
        .checked_sub(available)
        .filter(|missing| !missing.is_zero())?;
    Some(ExceedsBudget {
        budget: budget.id,
        limit: budget.limit,
        available,
        missing,
        renews_at_ms: (used.window_end_ms != i64::MAX).then_some(used.window_end_ms),
    })
}
