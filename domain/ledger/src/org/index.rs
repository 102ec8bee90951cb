//! Which budgets cover a call, without looking at each of an org's thousands.

use crate::budget::BudgetScope;
use crate::hold::Dimensions;
use crate::ids::{BudgetId, KeyId};
use std::collections::HashMap;

/// An org's budgets by what they limit.
#[derive(Clone, Debug, Default)]
pub(super) struct BudgetIndex {
    org: Vec<BudgetId>,
    key: HashMap<KeyId, Vec<BudgetId>>,
    /// By project, user, agent and feature, in this order.
    named: [HashMap<Box<str>, Vec<BudgetId>>; 4],
}

impl BudgetIndex {
    /// Where budgets of this scope stand.
    pub(super) fn slot(&mut self, scope: &BudgetScope) -> &mut Vec<BudgetId> {
        let [project, user, agent, feature] = &mut self.named;
        match scope {
            BudgetScope::Org => &mut self.org,
            BudgetScope::Key(key) => self.key.entry(*key).or_default(),
            BudgetScope::Project(name) => project.entry(name.clone()).or_default(),
            BudgetScope::User(name) => user.entry(name.clone()).or_default(),
            BudgetScope::Agent(name) => agent.entry(name.clone()).or_default(),
            BudgetScope::Feature(name) => feature.entry(name.clone()).or_default(),
        }
    }

    /// The budgets that cover a call with these dimensions.
    pub(super) fn covering<'a>(
        &'a self,
        dimensions: &Dimensions,
    ) -> impl Iterator<Item = BudgetId> + 'a {
        let [project, user, agent, feature] = &self.named;
        let named = |map: &'a HashMap<Box<str>, Vec<BudgetId>>, name: &Option<Box<str>>| {
            name.as_ref().and_then(|name| map.get(name))
        };
        [
            Some(&self.org),
            dimensions.key.and_then(|key| self.key.get(&key)),
            named(project, &dimensions.project),
            named(user, &dimensions.user),
            named(agent, &dimensions.agent),
            named(feature, &dimensions.feature),
        ]
        .into_iter()
        .flatten()
        .flatten()
        .copied()
    }
}
