//! Two sources into one book: the first is believed, the second fills what it lacks.

mod history;

use super::report::{Disagreement, Lost};
use crate::amount::Amount;
use crate::text::{BookText, ModelText, OtherPriceText, TierText};
use farebox_pricing::meter::Meter;
use farebox_pricing::provider;
use history::{InForce, in_force, take_history};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};

/// A book made of two.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The book: the primary's terms and models, and the secondary's further models and names.
    pub book: BookText,
    /// Models that only the secondary has.
    pub models_added: u64,
    /// Aliases and prefixes that the secondary adds to models of the primary.
    pub names_added: u64,
    /// Models that both have and price alike.
    pub agreeing: u64,
    /// Prices of meters that only the secondary has, at models that both price alike.
    pub prices_added: u64,
    /// Every price that both have and that differs, sorted.
    pub disagreements: Vec<Disagreement>,
    /// What the primary says of a model without a date and past or announced prices of the
    /// secondary do not have.
    pub lost: Vec<Lost>,
}

/// Adds to `primary` what only `secondary` has: models, aliases and prefixes; and, at models whose
/// prices both name alike, further meters and past or announced prices. Where the two differ, the
/// primary's prices hold, and each difference is listed.
pub fn merge(primary: BookText, secondary: BookText) -> Merged {
    let mut merger = Merger::of(&primary);
    let mut merged = Merged {
        book: primary,
        models_added: 0,
        names_added: 0,
        agreeing: 0,
        prices_added: 0,
        disagreements: Vec::new(),
        lost: Vec::new(),
    };
    let source_name = secondary.sources.first();
    let source_name = source_name.map_or_else(String::new, |source| source.name.clone());
    for source in secondary.sources {
        if !merged.book.sources.contains(&source) {
            merged.book.sources.push(source);
        }
    }
    let known = merger.names.clone();
    for mut model in secondary.models {
        let id = id_of(&model);
        for name in std::iter::once(&model.model).chain(&model.aliases) {
            let own = known.get(&(id.clone(), name.clone())).copied();
            let own = own.and_then(|at| merged.book.models.get_mut(at));
            // What a name means there is priced here as well: its own model may lack a meter.
            if let Some(own) = own.filter(|own| own.model == *name) {
                let added = fill_meters(own, &model, &merged.book.as_of);
                merged.prices_added = merged.prices_added.saturating_add(added);
            }
        }
        match known.get(&(id.clone(), model.model.clone())).copied() {
            Some(at) => {
                let Some(own) = merged.book.models.get_mut(at) else {
                    continue;
                };
                let added = merger.add_names(&id, own, &model, at);
                merged.names_added = merged.names_added.saturating_add(added);
                let differing = compare(&id, own, &model, &merged.book.as_of);
                if differing.is_empty() {
                    merged.agreeing = merged.agreeing.saturating_add(1);
                    let lost = take_history(&id, own, model, &merged.book.as_of);
                    merged.lost.extend(lost);
                }
                for (disagreement, per_million) in differing {
                    own.other_prices
                        .push(mark(&source_name, &disagreement, per_million));
                    merged.disagreements.push(disagreement);
                }
            }
            None => {
                let at = merged.book.models.len();
                merger.names.insert((id.clone(), model.model.clone()), at);
                let offered = ModelText {
                    aliases: std::mem::take(&mut model.aliases),
                    prefixes: std::mem::take(&mut model.prefixes),
                    patterns: std::mem::take(&mut model.patterns),
                    except: std::mem::take(&mut model.except),
                    ..ModelText::default()
                };
                merger.add_names(&id, &mut model, &offered, at);
                merged.book.models.push(model);
                merged.models_added = merged.models_added.saturating_add(1);
            }
        }
    }
    merged.disagreements.sort_unstable();
    let by_name = |model: &ModelText| (id_of(model), model.model.clone());
    merged.book.models.sort_by_cached_key(by_name);
    merged
}

fn id_of(model: &ModelText) -> String {
    provider::normalise(&model.provider).map_or_else(|| model.provider.clone(), Into::into)
}

/// What every name means so far.
struct Merger {
    /// Names and aliases, by provider, with the place of their model.
    names: BTreeMap<(String, String), usize>,
    prefixes: BTreeSet<(String, String)>,
    patterns: BTreeSet<(String, String)>,
}

impl Merger {
    fn of(book: &BookText) -> Self {
        let mut names = BTreeMap::new();
        let mut prefixes = BTreeSet::new();
        let mut patterns = BTreeSet::new();
        for (at, model) in book.models.iter().enumerate() {
            let id = id_of(model);
            for alias in &model.aliases {
                names.entry((id.clone(), alias.clone())).or_insert(at);
            }
            for prefix in &model.prefixes {
                prefixes.insert((id.clone(), prefix.clone()));
            }
            for pattern in &model.patterns {
                patterns.insert((id.clone(), pattern.clone()));
            }
        }
        // A name wins over an alias.
        for (at, model) in book.models.iter().enumerate() {
            names.insert((id_of(model), model.model.clone()), at);
        }
        Self {
            names,
            prefixes,
            patterns,
        }
    }

    /// Gives `model` the names of `offered` that mean nothing yet; returns how many.
    fn add_names(
        &mut self,
        id: &str,
        model: &mut ModelText,
        offered: &ModelText,
        at: usize,
    ) -> u64 {
        let mut added = 0_u64;
        for alias in &offered.aliases {
            let free = self.names.entry((id.to_owned(), alias.clone()));
            if let std::collections::btree_map::Entry::Vacant(free) = free {
                free.insert(at);
                model.aliases.push(alias.clone());
                added = added.saturating_add(1);
            }
        }
        for prefix in &offered.prefixes {
            if self.prefixes.insert((id.to_owned(), prefix.clone())) {
                model.prefixes.push(prefix.clone());
                added = added.saturating_add(1);
            }
        }
        for pattern in &offered.patterns {
            // A pattern with exceptions of its own cannot be given to a model with others.
            let fits = model.patterns.is_empty() || model.except == offered.except;
            if fits && self.patterns.insert((id.to_owned(), pattern.clone())) {
                model.patterns.push(pattern.clone());
                model.except.clone_from(&offered.except);
                added = added.saturating_add(1);
            }
        }
        model.aliases.sort_unstable();
        model.prefixes.sort_unstable();
        model.patterns.sort_unstable();
        added
    }
}

/// What stays in the book of a price that two sources do not agree on.
fn mark(source: &str, disagreement: &Disagreement, per_million: bool) -> OtherPriceText {
    let other = Amount::parse(&disagreement.other).ok();
    OtherPriceText {
        source: source.to_owned(),
        meter: disagreement.meter.clone(),
        per_million: other.filter(|_| per_million),
        per_unit: other.filter(|_| !per_million),
    }
}

/// Every price that both have on the day `as_of` and that differs, and whether it is one per
/// million.
fn compare(
    id: &str,
    primary: &ModelText,
    secondary: &ModelText,
    as_of: &str,
) -> Vec<(Disagreement, bool)> {
    let (ours, theirs) = (
        in_force(primary, as_of).leaf,
        in_force(secondary, as_of).leaf,
    );
    let mut differing = Vec::new();
    for (per_million, ours, theirs) in [
        (true, ours.per_million, theirs.per_million),
        (false, ours.per_unit, theirs.per_unit),
    ] {
        for (meter, used) in ours {
            let other: Option<&Amount> = theirs.get(meter);
            if let Some(other) = other.filter(|other| *other != used) {
                let disagreement = Disagreement {
                    provider: id.to_owned(),
                    model: primary.model.clone(),
                    meter: meter.clone(),
                    used: used.to_string(),
                    other: other.to_string(),
                };
                differing.push((disagreement, per_million));
            }
        }
    }
    differing
}

/// Whether both price one meter at least on the day `as_of`: else nothing is known to agree.
fn share_a_meter(own: &ModelText, other: &ModelText, as_of: &str) -> bool {
    let (ours, theirs) = (in_force(own, as_of).leaf, in_force(other, as_of).leaf);
    let mut tokens = ours.per_million.keys();
    let mut units = ours.per_unit.keys();
    tokens.any(|meter| theirs.per_million.contains_key(meter))
        || units.any(|meter| theirs.per_unit.contains_key(meter))
}

/// Gives `own`, where every price that both have is the same, the standard prices of meters that
/// only `other` has; returns how many.
fn fill_meters(own: &mut ModelText, other: &ModelText, as_of: &str) -> u64 {
    let agrees = compare("", own, other, as_of).is_empty() && share_a_meter(own, other, as_of);
    if !agrees || !own.periods.is_empty() {
        return 0;
    }
    let InForce {
        leaf: theirs,
        tiers,
    } = in_force(other, as_of);
    let before = own.per_million.len().saturating_add(own.per_unit.len());
    let priced_by_size = |meter: &str| {
        let contexts = other.context.iter().map(|context| &context.per_million);
        let dated = other.periods.iter().flat_map(|period| &period.context);
        let mut contexts = contexts.chain(dated.map(|context| &context.per_million));
        contexts.any(|prices| prices.contains_key(meter))
    };
    for (meter, usd) in theirs.per_million {
        // A price for small prompts alone would be wrong for large ones.
        if own.context.is_empty() && !priced_by_size(meter) {
            own.per_million.entry(meter.clone()).or_insert(*usd);
        }
    }
    for (meter, usd) in theirs.per_unit {
        if !own.rates.iter().any(|rate| rate.meter == *meter) {
            own.per_unit.entry(meter.clone()).or_insert(*usd);
        }
    }
    sort_meters(&mut own.per_million);
    sort_meters(&mut own.per_unit);
    let after = own.per_million.len().saturating_add(own.per_unit.len());
    let added = u64::try_from(after.saturating_sub(before)).unwrap_or(0);
    let own_tiers = own.tiers.iter_mut();
    let filled = own_tiers.map(|tier| fill_tier(tier, tiers));
    filled.fold(added, u64::saturating_add)
}

/// The same within a service tier that both have, for prices of tokens that do not depend on the
/// size of the prompt.
fn fill_tier(own: &mut TierText, others: &[TierText]) -> u64 {
    let theirs = others.iter().find(|tier| tier.name == own.name);
    let Some(theirs) = theirs.filter(|tier| tier.context.is_empty() && own.context.is_empty())
    else {
        return 0;
    };
    let mut differing = theirs.per_million.iter().filter(|(meter, theirs)| {
        let own = own.per_million.get(*meter);
        own.is_some_and(|own| own != *theirs)
    });
    if differing.next().is_some() {
        return 0;
    }
    let mut added = 0_u64;
    for (meter, usd) in &theirs.per_million {
        if let indexmap::map::Entry::Vacant(free) = own.per_million.entry(meter.clone()) {
            free.insert(*usd);
            added = added.saturating_add(1);
        }
    }
    sort_meters(&mut own.per_million);
    added
}

fn sort_meters(prices: &mut IndexMap<String, Amount>) {
    prices.sort_by(|a, _, b, _| Meter::from_name(a).cmp(&Meter::from_name(b)));
}
