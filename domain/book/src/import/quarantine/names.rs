//! Gives a name back to the model that it meant.

use super::id;
use crate::diff::{NameKind, NameMove};
use crate::text::ModelText;
use std::collections::BTreeSet;

/// Undoes `name_move` in `models`: nobody else has the name any more, not even as a new model's
/// own, and the model that it meant has it again. Where that model is gone, `kept` comes back.
pub(super) fn give_back(models: &mut Vec<ModelText>, name_move: &NameMove, kept: &ModelText) {
    let NameMove {
        provider,
        name,
        kind,
        from,
        ..
    } = name_move;
    let name = &**name;
    if *kind == NameKind::Alias {
        models.retain(|model| id(model) != **provider || model.model != name);
    }
    for model in models.iter_mut().filter(|model| id(model) == **provider) {
        list(model, *kind).retain(|known| known != name);
    }
    let at = models
        .iter()
        .position(|model| id(model) == **provider && model.model == **from);
    let owner = match at.and_then(|at| models.get_mut(at)) {
        Some(owner) => owner,
        None => {
            let mut owner = kept.clone();
            keep_free_names(&mut owner, models);
            let at = models.partition_point(|model| {
                (id(model), model.model.as_str()) < (id(&owner), owner.model.as_str())
            });
            models.insert(at, owner);
            let Some(owner) = models.get_mut(at) else {
                return;
            };
            owner
        }
    };
    if *kind == NameKind::Name {
        return;
    }
    let names = list(owner, *kind);
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
        names.sort_unstable();
    }
    if *kind == NameKind::Pattern && owner.except.is_empty() {
        owner.except.clone_from(&kept.except);
    }
}

/// Leaves `model` the names that no other has by now.
fn keep_free_names(model: &mut ModelText, others: &mut [ModelText]) {
    let provider = id(model);
    let mut taken: BTreeSet<(NameKind, String)> = BTreeSet::new();
    for other in others.iter_mut().filter(|other| id(other) == provider) {
        taken.insert((NameKind::Alias, other.model.clone()));
        for kind in [NameKind::Alias, NameKind::Prefix, NameKind::Pattern] {
            taken.extend(list(other, kind).iter().map(|name| (kind, name.clone())));
        }
    }
    for kind in [NameKind::Alias, NameKind::Prefix, NameKind::Pattern] {
        list(model, kind).retain(|name| !taken.contains(&(kind, name.clone())));
    }
}

/// Where a model's names of this kind stand; its own name is no list, and means its aliases.
fn list(model: &mut ModelText, kind: NameKind) -> &mut Vec<String> {
    match kind {
        NameKind::Name | NameKind::Alias => &mut model.aliases,
        NameKind::Prefix => &mut model.prefixes,
        NameKind::Pattern => &mut model.patterns,
    }
}
