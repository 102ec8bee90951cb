//! Budgets: limits on an org's spending, set by the operator.

use super::ledger::failure::ReadError;
use super::ledger::write::{Acknowledged, Action, Made, WriteError};
use super::{Context, Service};
use farebox_ledger::budget::{Budget, BudgetKind, BudgetUse};
use farebox_ledger::command::{Command, PutBudget, RemoveBudget};
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{BudgetId, OrgId};
use farebox_pricing::money::Nanos;

impl Service {
    /// A fresh id for a new budget.
    pub fn new_budget_id(&self) -> BudgetId {
        BudgetId::new(self.clock.next_id())
    }

    /// Creates a budget, or replaces the one with its id. A new one counts from now on.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn put_budget(
        &self,
        context: &Context,
        budget: Budget,
    ) -> Result<(BudgetId, Acknowledged), WriteError> {
        let id = budget.id;
        let command = Command::PutBudget(PutBudget {
            org: context.org,
            budget,
            spent: Nanos::ZERO,
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        let acknowledged = self.write(context, None, action).await?;
        let id = match acknowledged.made {
            Made::Other(first) => BudgetId::new(first),
            _ => id,
        };
        Ok((id, acknowledged))
    }

    /// Ends a budget.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn remove_budget(
        &self,
        context: &Context,
        budget: BudgetId,
    ) -> Result<Acknowledged, WriteError> {
        let command = Command::RemoveBudget(RemoveBudget {
            org: context.org,
            budget,
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        self.write(context, None, action).await
    }

    /// The org's budgets and what each has counted, oldest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn budgets(&self, context: &Context) -> Result<Vec<(Budget, BudgetUse)>, ReadError> {
        let mut budgets = self.store.budgets(context.org)?;
        budgets.sort_by_key(|(budget, _)| budget.id);
        Ok(budgets)
    }

    /// The least that any hard budget over these dimensions has left; `None` without one.
    pub(super) fn tightest_budget(
        &self,
        org: OrgId,
        dimensions: &Dimensions,
    ) -> Result<Option<Nanos>, ReadError> {
        let now_ms = self.clock.now_ms();
        let left = |(budget, used): &(Budget, BudgetUse)| {
            // Time alone starts the count again; what is held goes on being held.
            let is_over = used.window_end_ms <= now_ms;
            let spent = if is_over { Nanos::ZERO } else { used.spent };
            budget
                .limit
                .checked_sub(spent)
                .and_then(|left| left.checked_sub(used.held))
                .unwrap_or(Nanos::ZERO)
        };
        let budgets = self.store.budgets(org)?;
        Ok(budgets
            .iter()
            .filter(|(budget, _)| {
                budget.kind == BudgetKind::Hard && budget.scope.covers(dimensions)
            })
            .map(left)
            .min())
    }
}
