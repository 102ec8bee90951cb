//! Public names with several upstreams: each upstream gets the public name as an alias, so that a
//! call is priced whichever of the names it is asked by. Which upstream is tried first is for
//! gateways and reports; prices do not depend on it.

use super::Problems;
use super::values::check_name;
use crate::document::Path;
use crate::suggest::did_you_mean;
use crate::text::BookText;
use farebox_pricing::book::Model;
use farebox_pricing::provider;
use std::sync::Arc;

pub(super) fn apply(text: &BookText, models: &mut [Model], problems: &mut Problems<'_>) {
    let root = Path::Root;
    let list = root.field("routes");
    for (name, upstreams) in &text.routes {
        let path = list.field(name);
        check_name(name, &path, problems);
        if upstreams.is_empty() {
            problems.note(&path, "a public name has at least one upstream");
        }
        for (number, upstream) in upstreams.iter().enumerate() {
            let path = path.index(number);
            if upstreams.iter().take(number).any(|other| other == upstream) {
                problems.note(&path, format!("`{upstream}` stands twice"));
            }
            let earlier = upstreams.get(..number).unwrap_or_default();
            add(name, upstream, earlier, text, models, &path, problems);
        }
    }
}

fn add(
    name: &str,
    upstream: &str,
    earlier: &[String],
    text: &BookText,
    models: &mut [Model],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) {
    if text.routes.contains_key(upstream) {
        let message = format!("`{upstream}` is a public name itself: name its upstreams here");
        problems.note(path, message);
        return;
    }
    let Some((provider, model)) = find(models, upstream) else {
        let known: Vec<String> = models
            .iter()
            .map(|model| format!("{}/{}", model.provider, model.name))
            .collect();
        let meant = did_you_mean(upstream, known.iter().map(String::as_str));
        problems.note(path, format!("unknown model `{upstream}`{meant}"));
        return;
    };
    let mut holders = models.iter();
    let holder = holders.find(|other| *other.provider == *provider && has_name(other, name));
    if let Some(holder) = holder {
        let is = |upstream: &str| {
            find(models, upstream)
                .is_some_and(|(provider, name)| holder.provider == provider && holder.name == name)
        };
        // Of two upstreams at one provider the first is the one that the public name means there.
        if !is(upstream) && !earlier.iter().any(|upstream| is(upstream)) {
            let message = format!(
                "`{name}` already means `{}/{}`, which is no upstream before this one",
                holder.provider, holder.name
            );
            problems.note(path, message);
        }
        return;
    }
    let mut models = models.iter_mut();
    let wanted = models.find(|other| other.provider == provider && other.name == model);
    if let Some(wanted) = wanted {
        let at = wanted.aliases.partition_point(|alias| **alias < *name);
        wanted.aliases.insert(at, name.into());
    }
}

fn find(models: &[Model], upstream: &str) -> Option<(Box<str>, Arc<str>)> {
    let (provider, name) = upstream.split_once('/')?;
    let provider = provider::normalise(provider)?;
    let mut models = models.iter();
    let found = models.find(|model| *model.provider == *provider && *model.name == *name);
    found.map(|model| (model.provider.clone(), model.name.clone()))
}

fn has_name(model: &Model, name: &str) -> bool {
    *model.name == *name || model.aliases.iter().any(|alias| **alias == *name)
}
