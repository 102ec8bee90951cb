//! Prices of a new import that jump too far from those in use are held back until a person accepts
//! them: a slip of a source must not become a bill overnight.

use super::report::Quarantined;
use crate::compile::{Format, compile};
use crate::diff::{ModelChange, diff};
use crate::emit::to_json;
use crate::error::BookError;
use crate::text::{BookText, ModelText};
use farebox_pricing::book::Book;
use farebox_pricing::provider;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Keeps, in `new`, the entry of `old` for every model of which a price jumps by more than
/// `percent_max` percent at `at_ms`, unless `accepted` has it (as `provider/model`, or `*`).
///
/// # Errors
/// When one of the two is no valid book.
pub fn quarantine(
    new: BookText,
    old: &BookText,
    percent_max: Decimal,
    accepted: &BTreeSet<String>,
    at_ms: i64,
) -> Result<(BookText, Vec<Quarantined>), Vec<BookError>> {
    let changes = diff(&plain(old)?, &plain(&new)?, at_ms);
    let mut held = Vec::new();
    let mut new = new;
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (at, model) in new.models.iter().enumerate() {
        places.insert(key(model), at);
    }
    let kept: BTreeMap<(String, String), &ModelText> =
        old.models.iter().map(|model| (key(model), model)).collect();
    for ModelChange {
        provider,
        model,
        prices,
    } in changes.changed
    {
        let name = format!("{provider}/{model}");
        if accepted.contains("*") || accepted.contains(&name) {
            continue;
        }
        let jumps: Vec<_> = prices
            .into_iter()
            .filter(|price| price.is_beyond(percent_max))
            .collect();
        let place = (provider.to_string(), model.to_string());
        let entry = places.get(&place).and_then(|at| new.models.get_mut(*at));
        if let (false, Some(entry), Some(kept)) = (jumps.is_empty(), entry, kept.get(&place)) {
            // Names are not prices: those of the new entry stay.
            let names = ModelText {
                aliases: std::mem::take(&mut entry.aliases),
                prefixes: std::mem::take(&mut entry.prefixes),
                patterns: std::mem::take(&mut entry.patterns),
                except: std::mem::take(&mut entry.except),
                ..(*kept).clone()
            };
            *entry = names;
            held.push(Quarantined { name, jumps });
        }
    }
    Ok((new, held))
}

fn key(model: &ModelText) -> (String, String) {
    let id = provider::normalise(&model.provider);
    let id = id.map_or_else(|| model.provider.clone(), Into::into);
    (id, model.model.clone())
}

fn plain(text: &BookText) -> Result<Book, Vec<BookError>> {
    let json = to_json(text).unwrap_or_default();
    compile(&json, Format::Json).map(|compiled| compiled.book)
}
