//! `hd/1024-x-1792/dall-e-3`: a price of one quality and size of a model that makes images.

use crate::text::{ModelText, RateText};
use indexmap::IndexMap;
use std::collections::BTreeMap;

/// Prices of a quality and size become rates with attributes of the model itself, where the source
/// has an entry for it.
pub(super) fn fold_into_attributes(models: &mut Vec<ModelText>) {
    let places: BTreeMap<(String, String), usize> = models
        .iter()
        .enumerate()
        .map(|(at, model)| ((model.provider.clone(), model.model.clone()), at))
        .collect();
    let mut folded: BTreeMap<usize, Vec<RateText>> = BTreeMap::new();
    let mut gone = Vec::new();
    for (at, model) in models.iter().enumerate() {
        let Some((attributes, base)) = attributes(&model.model) else {
            continue;
        };
        let base = places.get(&(model.provider.clone(), base.to_owned()));
        let only_image = model
            .per_million
            .values()
            .all(|amount| amount.get().is_zero())
            && model.context.is_empty()
            && model.tiers.is_empty();
        let (Some(base), Some(usd), true) = (base, model.per_unit.get("image"), only_image) else {
            continue;
        };
        folded.entry(*base).or_default().push(RateText {
            meter: "image".into(),
            attributes,
            per_million: None,
            per_unit: Some(*usd),
        });
        gone.push(at);
    }
    for (at, rates) in folded {
        if let Some(model) = models.get_mut(at) {
            model.rates.extend(rates);
        }
    }
    let mut at = 0_usize;
    models.retain(|_| {
        let keep = gone.binary_search(&at).is_err();
        at = at.saturating_add(1);
        keep
    });
}

/// The attributes before the model's name; `None` when they are none.
fn attributes(name: &str) -> Option<(IndexMap<String, String>, &str)> {
    let (first, rest) = name.split_once('/')?;
    let qualities = ["low", "medium", "high", "standard", "hd"];
    let (quality, size, base) = if qualities.contains(&first) {
        let (size, base) = rest.split_once('/')?;
        (Some(first), size, base)
    } else {
        (None, first, rest)
    };
    let (width, height) = size.split_once("-x-")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(width) || !digits(height) {
        return None;
    }
    let mut attributes = IndexMap::new();
    if let Some(quality) = quality {
        attributes.insert("quality".to_owned(), quality.to_owned());
    }
    attributes.insert("size".to_owned(), format!("{width}x{height}"));
    Some((attributes, base))
}

#[cfg(test)]
mod tests {
    use super::attributes;

    #[test]
    fn quality_and_size_stand_before_the_name() {
        let shown = |name| {
            attributes(name).map(|(attributes, base)| {
                let attributes: Vec<String> =
                    attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
                (attributes.join(","), base)
            })
        };
        assert_eq!(
            shown("hd/1024-x-1792/dall-e-3"),
            Some(("quality=hd,size=1024x1792".into(), "dall-e-3"))
        );
        assert_eq!(
            shown("512-x-512/dall-e-2"),
            Some(("size=512x512".into(), "dall-e-2"))
        );
        assert_eq!(shown("max-x-max/50-steps/sdxl"), None);
        assert_eq!(shown("meta-llama/Llama-3"), None);
    }
}
