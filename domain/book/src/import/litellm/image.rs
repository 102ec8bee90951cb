//! `hd/1024-x-1792/dall-e-3`: a price of one quality and size of a model that makes images.

use crate::text::{ModelText, RateText};
use indexmap::IndexMap;

/// Prices of a quality and size become rates with attributes of the model itself.
pub(super) fn fold_into_attributes(models: Vec<ModelText>) -> Vec<ModelText> {
    let (folded, mut kept): (Vec<_>, Vec<_>) = models.into_iter().partition(is_one_price);
    for entry in folded {
        let (Some((attributes, base)), Some(usd)) =
            (attributes(&entry.model), entry.per_unit.get("image"))
        else {
            continue;
        };
        let rate = RateText {
            meter: "image".into(),
            attributes,
            per_million: None,
            per_unit: Some(*usd),
        };
        let own = |model: &&mut ModelText| model.provider == entry.provider && model.model == base;
        match kept.iter_mut().find(own) {
            Some(model) => model.rates.push(rate),
            None => kept.push(ModelText {
                provider: entry.provider.clone(),
                model: base.to_owned(),
                rates: vec![rate],
                ..ModelText::default()
            }),
        }
    }
    kept.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
    kept
}

/// Whether an entry says nothing but what an image of one quality and size costs.
fn is_one_price(model: &ModelText) -> bool {
    attributes(&model.model).is_some()
        && model.per_unit.len() == 1
        && model.per_unit.contains_key("image")
        && model.rates.is_empty()
        && model
            .per_million
            .values()
            .all(|amount| amount.get().is_zero())
        && model.context.is_empty()
        && model.tiers.is_empty()
        && model.regions.is_empty()
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
