//! The places of a text that hold terms, in the order in which their rules are tried.

use super::values::check_name;
use super::{Problems, when};
use crate::document::Path;
use crate::text::{BookText, Terms};
use farebox_pricing::book::{Narrowing, Scope};
use farebox_pricing::event::{Deployment, KeySource};
use indexmap::IndexMap;
use std::borrow::Cow;

const ROOT: Path<'static> = Path::Root;

/// Where some terms stand in the text.
#[derive(Clone, Copy)]
pub(super) enum Stand<'a> {
    Rule(usize),
    Named(&'static str, &'a str),
    Defaults,
}

/// Some terms, and the calls they are for.
pub(super) struct Place<'a> {
    pub name: String,
    pub scope: Scope,
    pub terms: Cow<'a, Terms>,
    pub stand: Stand<'a>,
}

impl<'a> Place<'a> {
    fn named(
        kind: &str,
        list: &'static str,
        name: &'a str,
        scope: Scope,
        terms: &'a Terms,
    ) -> Self {
        Self {
            name: format!("{kind}:{name}"),
            scope,
            terms: Cow::Borrowed(terms),
            stand: Stand::Named(list, name),
        }
    }

    /// Does something with the path of these terms.
    pub fn at<R>(&self, act: impl FnOnce(&Path<'_>) -> R) -> R {
        match self.stand {
            Stand::Rule(number) => {
                let list = ROOT.field("rules");
                act(&list.index(number).field("terms"))
            }
            Stand::Named(list, name) => act(&ROOT.field(list).field(name)),
            Stand::Defaults => act(&ROOT.field("defaults")),
        }
    }

    /// The same calls, of one key source only.
    pub fn scope_of(&self, key_source: KeySource) -> Scope {
        Scope {
            key_source: Some(key_source),
            ..self.scope.clone()
        }
    }

    pub const fn is_defaults(&self) -> bool {
        matches!(self.stand, Stand::Defaults)
    }
}

/// All terms of the book in order of precedence.
pub(super) fn places<'a>(text: &'a BookText, problems: &mut Problems<'_>) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    for (number, rule) in text.rules.iter().enumerate() {
        let list = ROOT.field("rules");
        let path = list.index(number);
        check_name(&rule.name, &path.field("name"), problems);
        let before = text.rules.iter().take(number);
        if before.into_iter().any(|other| other.name == rule.name) {
            problems.note(
                &path.field("name"),
                format!("rule `{}` stands twice", rule.name),
            );
        }
        places.push(Place {
            name: format!("rule:{}", rule.name),
            scope: when::scope(&rule.when, text, &path.field("when"), problems),
            terms: Cow::Borrowed(&rule.terms),
            stand: Stand::Rule(number),
        });
    }
    for (name, terms) in sorted(&text.orgs) {
        let narrowing = Narrowing {
            org: Some(name.into()),
            ..Narrowing::default()
        };
        let scope = Scope {
            narrowing: Some(Box::new(narrowing)),
            ..Scope::default()
        };
        places.push(Place::named("org", "orgs", name, scope, terms));
    }
    for (name, terms) in sorted(&text.features) {
        let scope = Scope {
            feature: Some(name.into()),
            ..Scope::default()
        };
        places.push(Place::named("feature", "features", name, scope, terms));
    }
    for (name, terms) in sorted(&text.plans) {
        let scope = Scope {
            plan: Some(name.into()),
            ..Scope::default()
        };
        places.push(Place::named("plan", "plans", name, scope, terms));
    }
    for (deployment, name, terms) in [
        (Deployment::Hosted, "hosted", &text.deployments.hosted),
        (
            Deployment::SelfHosted,
            "self_hosted",
            &text.deployments.self_hosted,
        ),
    ] {
        if let Some(terms) = terms {
            let scope = Scope {
                deployment: Some(deployment),
                ..Scope::default()
            };
            let place = Place::named("deployment", "deployments", name, scope, terms);
            places.push(place);
        }
    }
    places.push(Place {
        name: "default".into(),
        scope: Scope::default(),
        terms: Cow::Owned(text.defaults.terms()),
        stand: Stand::Defaults,
    });
    places
}

fn sorted(all: &IndexMap<String, Terms>) -> Vec<(&str, &Terms)> {
    let mut all: Vec<_> = all
        .iter()
        .map(|(name, terms)| (name.as_str(), terms))
        .collect();
    all.sort_by_key(|(name, _)| *name);
    all
}
