//! Prices of a new import that jump too far from those in use are held back until a person accepts
//! them: a slip of a source must not become a bill overnight. So is a name that comes to mean a
//! model with other prices.

mod names;

use super::report::Quarantined;
use crate::compile::{Format, compile};
use crate::diff::{Diff, ModelChange, NameMove, PriceChange, diff};
use crate::emit::to_json;
use crate::error::BookError;
use crate::text::{BookText, ModelText};
use farebox_pricing::book::Book;
use farebox_pricing::provider;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Keeps, in `new`, the entry of `old` for every model of which a price jumps by more than
/// `percent_max` percent from `from_ms` on (milliseconds since the Unix epoch; announced prices
/// too), and the model of every name that comes to mean one whose prices differ by more; unless
/// `accepted` has the model or the name (as `provider/model`, or `*`).
///
/// # Errors
/// When one of the two is no valid book.
pub fn quarantine(
    new: BookText,
    old: &BookText,
    percent_max: Decimal,
    accepted: &BTreeSet<String>,
    from_ms: i64,
) -> Result<(BookText, Vec<Quarantined>), Vec<BookError>> {
    let Diff { changed, moved, .. } = diff(&plain(old)?, &plain(&new)?, from_ms);
    let is_accepted = |name: &String| accepted.contains("*") || accepted.contains(name);
    let jumps = |prices: Vec<PriceChange>| -> Vec<PriceChange> {
        let prices = prices.into_iter();
        prices
            .filter(|price| price.is_beyond(percent_max))
            .collect()
    };
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
    } in changed
    {
        let name = format!("{provider}/{model}");
        if is_accepted(&name) {
            continue;
        }
        let jumps = jumps(prices);
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
            held.push(Quarantined {
                name,
                moved_to: None,
                jumps,
            });
        }
    }
    for mut name_move in moved {
        let name = format!("{}/{}", name_move.provider, name_move.name);
        let jumps = jumps(std::mem::take(&mut name_move.prices));
        let from = (name_move.provider.to_string(), name_move.from.to_string());
        let NameMove { to: Some(to), .. } = &name_move else {
            continue;
        };
        if let (false, false, Some(kept)) = (jumps.is_empty(), is_accepted(&name), kept.get(&from))
        {
            names::give_back(&mut new.models, &name_move, kept);
            held.push(Quarantined {
                name,
                moved_to: Some(format!("{}/{to}", name_move.provider)),
                jumps,
            });
        }
    }
    Ok((new, held))
}

fn key(model: &ModelText) -> (String, String) {
    (id(model), model.model.clone())
}

fn id(model: &ModelText) -> String {
    let id = provider::normalise(&model.provider);
    id.map_or_else(|| model.provider.clone(), Into::into)
}

fn plain(text: &BookText) -> Result<Book, Vec<BookError>> {
    let json = to_json(text).unwrap_or_default();
    compile(&json, Format::Json).map(|compiled| compiled.book)
}
