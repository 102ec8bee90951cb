//! Which rules are for a call: the one matching of scopes, for every list of the terms.
//!
//! Most scopes ask for nothing but deployment, key source, plan and feature. Only a narrowed one
//! looks at org, time and model, and only then is the model looked up in the book.

use super::lookup::find_model;
use crate::answer::Refusal;
use crate::book::{Charge, ChargeRule, ModelName, ModelPattern, Narrowing, Sale, Scope};
use crate::canonical::BookView;
use crate::event::{Facts, KeySource, QuoteRequest, UsageEvent};
use std::cell::OnceCell;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;

/// What of a call the terms look at.
pub(super) struct Call<'a> {
    pub book: &'a BookView,
    pub facts: &'a Facts,
    pub provider: &'a str,
    pub model: Option<&'a str>,
    /// The name asked for, where another answered: a public name of the operator's, perhaps.
    asked: Option<&'a str>,
    feature: Option<&'a str>,
    /// The book's own name of the model, once somebody asked.
    named: OnceCell<Option<&'a str>>,
}

impl<'a> Call<'a> {
    pub fn of_event(book: &'a BookView, event: &'a UsageEvent, facts: &'a Facts) -> Self {
        Self {
            book,
            facts,
            provider: &event.provider,
            model: event.model(),
            asked: event.model_asked.as_deref(),
            feature: event.feature.as_deref(),
            named: OnceCell::new(),
        }
    }

    pub fn of_request(book: &'a BookView, request: &'a QuoteRequest, facts: &'a Facts) -> Self {
        Self {
            book,
            facts,
            provider: &request.provider,
            model: request.model.as_deref(),
            asked: None,
            feature: request.feature.as_deref(),
            named: OnceCell::new(),
        }
    }

    /// A call of nothing in particular: what a rate card is made for.
    pub const fn of_anything(book: &'a BookView, facts: &'a Facts) -> Self {
        Self {
            book,
            facts,
            provider: "",
            model: None,
            asked: None,
            feature: None,
            named: OnceCell::new(),
        }
    }

    /// A call for a feature, of no model in particular.
    pub const fn of_feature(book: &'a BookView, facts: &'a Facts, feature: &'a str) -> Self {
        let mut call = Self::of_anything(book, facts);
        call.feature = Some(feature);
        call
    }

    /// A call of one model of the book.
    pub fn of_model(
        book: &'a BookView,
        facts: &'a Facts,
        provider: &'a str,
        name: &'a str,
    ) -> Self {
        Self {
            provider,
            model: Some(name),
            ..Self::of_anything(book, facts)
        }
    }

    /// The terms beyond markups and minimums, where there are any.
    pub fn sale(&self) -> Option<&'a Sale> {
        self.book.terms().sale.as_deref()
    }

    /// Whether a rule with this scope is for this call.
    pub fn is_in(&self, scope: &Scope) -> bool {
        let facts = self.facts;
        scope
            .deployment
            .is_none_or(|deployment| deployment == facts.deployment)
            && scope
                .key_source
                .is_none_or(|source| source == facts.key_source)
            && (scope.plan.is_none() || scope.plan == facts.plan)
            && (scope.feature.is_none() || scope.feature.as_deref() == self.feature)
            && scope
                .narrowing
                .as_deref()
                .is_none_or(|narrowing| self.is_within(narrowing))
    }

    fn is_within(&self, narrowing: &Narrowing) -> bool {
        let at_ms = self.facts.occurred_at_ms;
        (narrowing.org.is_none() || narrowing.org == self.facts.org)
            && narrowing.from_ms.is_none_or(|from| from <= at_ms)
            && narrowing.until_ms.is_none_or(|until| at_ms < until)
            && narrowing
                .minutes
                .is_none_or(|minutes| is_between(at_ms, minutes))
            && (narrowing.models.is_empty() || self.is_any_of(&narrowing.models))
    }

    /// Whether the call's model is one of these. A call without a model is of a provider only.
    pub fn is_any_of(&self, patterns: &[ModelPattern]) -> bool {
        patterns.iter().any(|pattern| self.fits(pattern))
    }

    fn fits(&self, pattern: &ModelPattern) -> bool {
        if pattern
            .provider
            .as_deref()
            .is_some_and(|provider| provider != self.provider)
        {
            return false;
        }
        let matches = |name: &str| match &pattern.model {
            ModelName::Any => true,
            ModelName::Is(wanted) => **wanted == *name,
            ModelName::Begins(beginning) => name.starts_with(&**beginning),
        };
        match self.model {
            None => pattern.model == ModelName::Any,
            Some(model) => {
                matches(model)
                    || self.asked.is_some_and(matches)
                    || self.name_in_book().is_some_and(matches)
            }
        }
    }

    /// A model may be called by an alias or a dated name; terms speak of the book's own.
    fn name_in_book(&self) -> Option<&'a str> {
        *self.named.get_or_init(|| {
            let found = find_model(self.book, self.provider, self.model?);
            found.ok().flatten().map(|model| &*model.name)
        })
    }

    /// The rule that decides what the call pays: the first whose scope matches. Cost plus is for
    /// managed keys and a platform fee for own keys; neither ever matches the other.
    pub fn charge_rule(&self) -> Result<&'a ChargeRule, Refusal> {
        let terms = self.book.terms();
        let facts = self.facts;
        if let Some(plan) = &facts.plan
            && !terms.plans.is_empty()
            && !terms.plans.contains(plan)
        {
            return Err(not_allowed(format!("plan `{plan}` is not listed")));
        }
        if let Some(sale) = self.sale() {
            self.check_access(sale)?;
        }
        let mut rules = terms.charge_rules.iter();
        let rule = rules
            .find(|rule| {
                let fits = match rule.charge {
                    Charge::CostPlus { .. } | Charge::Listed { .. } => {
                        facts.key_source == KeySource::Managed
                    }
                    Charge::PlatformFee { .. } => facts.key_source == KeySource::Own,
                    Charge::Free | Charge::NotAllowed => true,
                };
                fits && self.is_in(&rule.scope)
            })
            .ok_or_else(|| not_allowed("no charge rule matches"))?;
        match rule.charge {
            Charge::NotAllowed => Err(not_allowed(rule.name.clone())),
            _ => Ok(rule),
        }
    }

    fn check_access(&self, sale: &Sale) -> Result<(), Refusal> {
        let Some(model) = self.model else {
            return Ok(());
        };
        let access = sale.access.iter().find(|access| self.is_in(&access.scope));
        match access {
            Some(access) if !self.is_any_of(&access.models) => Err(not_allowed(format!(
                "model `{model}` of provider `{}` is not among {}",
                self.provider, access.name
            ))),
            _ => Ok(()),
        }
    }
}

fn not_allowed(rule: impl Into<Box<str>>) -> Refusal {
    Refusal::NotAllowed { rule: rule.into() }
}

/// Whether a moment lies between two minutes of the UTC day, the second left out. Where the second
/// is not after the first, the stretch goes past midnight.
fn is_between(at_ms: i64, (from, until): (u16, u16)) -> bool {
    let minute = at_ms.div_euclid(MINUTE_MS).rem_euclid(DAY_MINUTES);
    let (from, until) = (i64::from(from), i64::from(until));
    if from < until {
        from <= minute && minute < until
    } else {
        from <= minute || minute < until
    }
}
