//! LiteLLM's `model_prices_and_context_window.json`.
//!
//! An entry is a flat object whose cost fields follow a grammar ([`key`]); a few are objects or
//! lists ([`nested`]). The name of an entry begins with the way LiteLLM routes to it, which is not
//! part of the model's name ([`name`]).

mod image;
mod key;
mod name;
mod nested;
mod times;

use super::draft::{Per, Priced, Prices, shifted};
use super::report::{Reason, Report};
use super::{ImportError, Imported, amount, json};
use crate::amount::Amount;
use crate::text::{AllowanceText, BookText, HoursText, ModelText, RegionText, SourceText};
use farebox_pricing::meter::Meter;
use key::{Basis, CostKey};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The source's name in books.
pub const SOURCE: &str = "litellm";

/// The provider that reads cached tokens at half the price of input, unless it says otherwise of a
/// model (docs.fireworks.ai, "Is prompt caching billed differently for serverless models?"). The
/// file leaves it to LiteLLM's code.
const FIREWORKS: &str = "fireworks";

/// Reads a whole price file. `version` is the release it was taken from; `as_of` its day,
/// `YYYY-MM-DD`.
///
/// # Errors
/// When the text is not JSON, or not an object of entries.
pub fn import(text: &str, version: &str, as_of: &str) -> Result<Imported, ImportError> {
    let Value::Object(entries) = json(text)? else {
        return Err(ImportError::NotThisSource {
            source_name: SOURCE,
            what: "the file is not an object of models".into(),
        });
    };
    let mut report = Report::default();
    let mut models: BTreeMap<(String, String), Draft> = BTreeMap::new();
    for (key, entry) in &entries {
        // The first entry documents the format.
        if key == "sample_spec" {
            continue;
        }
        report.entries = report.entries.saturating_add(1);
        let Some(draft) = Reader::new(key, &mut report).entry(entry) else {
            continue;
        };
        let place = (draft.provider.clone(), draft.name.clone());
        match models.get_mut(&place) {
            None => {
                models.insert(place, draft);
            }
            // One of two entries may say more than the other.
            Some(first) if first.prices.agrees_with(&draft.prices) => first.add(draft),
            Some(_) => report.left_out(key, "name", Reason::NameTaken),
        }
    }
    // After all entries are read: what one of them states wins over what follows from another.
    for draft in models.values_mut() {
        draft.derive();
    }
    let texts = image::fold_into_attributes(assemble(models));
    report.models = u64::try_from(texts.len()).unwrap_or(u64::MAX);
    Ok(Imported {
        book: BookText {
            name: SOURCE.into(),
            as_of: as_of.into(),
            sources: vec![SourceText {
                name: SOURCE.into(),
                version: version.into(),
            }],
            models: texts,
            ..BookText::default()
        },
        report,
    })
}

/// An entry that was read.
#[derive(Debug)]
struct Draft {
    provider: String,
    name: String,
    max_output_tokens: Option<u64>,
    prices: Prices,
    /// What the fast mode costs, as a factor on the standard price.
    fast_factor: Option<Amount>,
    region_factors: Vec<(String, Amount)>,
    hours: Vec<HoursText>,
    allowances: Vec<AllowanceText>,
}

impl Draft {
    /// Takes what only `other` says of the same model.
    fn add(&mut self, other: Self) {
        self.prices.fill_from(&other.prices);
        self.max_output_tokens = self.max_output_tokens.or(other.max_output_tokens);
        self.fast_factor = self.fast_factor.or(other.fast_factor);
        if self.region_factors.is_empty() {
            self.region_factors = other.region_factors;
        }
        if self.hours.is_empty() {
            self.hours = other.hours;
        }
        if self.allowances.is_empty() {
            self.allowances = other.allowances;
        }
    }

    /// Adds what LiteLLM's own rules make of the prices that are stated, by one entry or another.
    fn derive(&mut self) {
        // A model that has a price for images as its output, and none for text, answers in images: its
        // output is theirs where nobody says what it is.
        self.prices
            .derive(&Meter::Output, &Meter::OutputImage, Decimal::ONE);
        // "A missing batch rate means half": what LiteLLM charges for a batch. Cached tokens have no
        // such rule: what the file does not state is left to the book's fallbacks.
        let half = Decimal::from_parts(5, 0, 0, false, 1);
        let batch = |priced: &Priced| !priced.is_cached();
        self.prices.derive_missing("batch", half, batch);
        if self.provider == FIREWORKS {
            self.prices.derive(&Meter::CacheRead, &Meter::Input, half);
        }
        if let Some(factor) = self.fast_factor {
            self.prices
                .0
                .entry((Some("fast".into()), None))
                .or_default();
            self.prices.derive_missing("fast", factor.get(), |_| true);
        }
    }
}

/// `us-east-1/anthropic.claude-v2` becomes the region `us-east-1` of `anthropic.claude-v2` where
/// that model stands in the source as well.
fn assemble(models: BTreeMap<(String, String), Draft>) -> Vec<ModelText> {
    let mut regions: BTreeMap<(String, String), Vec<RegionText>> = BTreeMap::new();
    for (place, draft) in &models {
        if let Some((region, base)) = base_of_region(&models, place) {
            regions
                .entry(base)
                .or_default()
                .push(draft.prices.region(region));
        }
    }
    let kept = models
        .iter()
        .filter(|(place, _)| base_of_region(&models, place).is_none());
    kept.map(|(place, draft)| {
        let mut model = ModelText {
            provider: draft.provider.clone(),
            model: draft.name.clone(),
            max_output_tokens: draft.max_output_tokens,
            // xAI alone bills the larger context from its threshold on.
            context_inclusive: draft.provider == "xai",
            ..ModelText::default()
        };
        draft.prices.put(&mut model);
        model.regions = regions.get(place).cloned().unwrap_or_default();
        model.hours.clone_from(&draft.hours);
        model.allowances.clone_from(&draft.allowances);
        for (region, factor) in &draft.region_factors {
            if !model.regions.iter().any(|known| known.name == *region) {
                model
                    .regions
                    .push(draft.prices.times(factor.get()).region(region));
            }
        }
        model
    })
    .collect()
}

fn base_of_region<'a>(
    models: &BTreeMap<(String, String), Draft>,
    (provider, name): &'a (String, String),
) -> Option<(&'a str, (String, String))> {
    let (region, base) = name::region(name)?;
    let base = (provider.clone(), base.to_owned());
    models.contains_key(&base).then_some((region, base))
}

/// Reads one entry.
struct Reader<'a> {
    key: &'a str,
    report: &'a mut Report,
    prices: Prices,
    /// What the fast mode costs, as a factor on the standard price.
    fast_factor: Option<Amount>,
    /// What a region costs, as a factor on every token.
    region_factors: Vec<(String, Amount)>,
    hours: Vec<HoursText>,
    allowances: Vec<AllowanceText>,
}

impl<'a> Reader<'a> {
    fn new(key: &'a str, report: &'a mut Report) -> Self {
        Self {
            key,
            report,
            prices: Prices::default(),
            fast_factor: None,
            region_factors: Vec::new(),
            hours: Vec::new(),
            allowances: Vec::new(),
        }
    }

    fn left_out(&mut self, field: &str, reason: Reason) {
        self.report.left_out(self.key, field, reason);
    }

    fn entry(mut self, entry: &Value) -> Option<Draft> {
        let Value::Object(fields) = entry else {
            self.left_out("entry", Reason::NoPrice);
            return None;
        };
        let provider = fields.get("litellm_provider").and_then(Value::as_str);
        let Some((provider, name)) = provider.and_then(|id| name::of(self.key, id)) else {
            self.left_out("litellm_provider", Reason::BadName);
            return None;
        };
        for (field, value) in fields {
            self.field(field, value, fields);
        }
        if self.prices.is_empty() {
            self.left_out("entry", Reason::NoPrice);
            return None;
        }
        if self.prices.only_zeros() {
            self.left_out("entry", Reason::OnlyZeros);
            return None;
        }
        Some(Draft {
            provider,
            name,
            max_output_tokens: max_output_tokens(fields),
            prices: self.prices,
            fast_factor: self.fast_factor,
            region_factors: self.region_factors,
            hours: self.hours,
            allowances: self.allowances,
        })
    }

    fn field(&mut self, field: &str, value: &Value, fields: &Map<String, Value>) {
        if self.nested(field, value) {
            return;
        }
        if let Some(region) = field.strip_prefix("regional_processing_uplift_multiplier_") {
            self.region_factor(field, region, value);
            return;
        }
        if field == "regional_endpoint_uplift_multiplier" {
            // Every endpoint but the global one has it.
            self.region_factor(field, "*", value);
            return;
        }
        if let Some(reason) = key::known_without_place(field) {
            self.left_out(field, reason);
            return;
        }
        if !key::bears_on_cost(field) {
            return;
        }
        let Some(key) = CostKey::parse(field) else {
            self.left_out(field, Reason::UnknownField);
            return;
        };
        let Some(priced) = meter_of(&key, fields) else {
            self.left_out(field, Reason::Superseded);
            return;
        };
        self.price(field, value, &key, priced);
    }

    fn price(&mut self, field: &str, value: &Value, key: &CostKey, priced: (Priced, i32)) {
        let (priced, places) = priced;
        let Some(amount) = self.amount(field, value) else {
            return;
        };
        let Some(amount) = shifted(amount, places) else {
            self.left_out(field, Reason::BadNumber);
            return;
        };
        let cell = (key.tier.map(ToOwned::to_owned), key.above);
        if self.prices.set(cell, priced, amount) {
            self.report.imported(field);
        } else {
            self.left_out(field, Reason::Superseded);
        }
    }

    /// Every token costs `value` times the standard price in a region.
    fn region_factor(&mut self, field: &str, region: &str, value: &Value) {
        if let Some(factor) = self.amount(field, value) {
            self.region_factors.push((region.to_owned(), factor));
            self.report.imported(field);
        }
    }

    /// The amount of a number, from its source text.
    fn amount(&mut self, field: &str, value: &Value) -> Option<Amount> {
        match amount(value) {
            Ok(amount) if amount.get().is_sign_negative() && !amount.get().is_zero() => {
                self.left_out(field, Reason::Negative);
                None
            }
            Ok(amount) => Some(amount),
            Err(_) => {
                self.left_out(field, Reason::BadNumber);
                None
            }
        }
    }
}

/// What a key prices, and by how many places its number moves to be per million or per unit.
fn meter_of(key: &CostKey, fields: &Map<String, Value>) -> Option<(Priced, i32)> {
    let mode = fields.get("mode").and_then(Value::as_str).unwrap_or("");
    let priced_above_zero = |field: &str| {
        let number = fields.get(field).map(ToString::to_string);
        number.is_some_and(|text| Amount::parse(&text).is_ok_and(|a| !a.get().is_zero()))
    };
    let unit = |meter: &str| Some((Priced::new(meter, Per::Unit)?, 0));
    let both_seconds =
        priced_above_zero("input_cost_per_second") && priced_above_zero("output_cost_per_second");
    match key.basis {
        Basis::Million(meter) => Some((Priced::new(meter, Per::Million)?, 6)),
        Basis::Modality(meter, modality) => {
            let priced = Priced::new(meter, Per::Million)?;
            Some((priced.with("modality", modality), 6))
        }
        Basis::Unit(meter) => unit(meter),
        Basis::VideoInterval(interval) => {
            let priced = Priced::new("input_video_second", Per::Unit)?;
            Some((priced.with("interval", interval), 0))
        }
        // Search engines and rerankers count searches, others whole calls.
        Basis::Query if matches!(mode, "search" | "rerank") => unit("search"),
        Basis::Query => unit("request"),
        Basis::CacheHit if fields.contains_key("cache_read_input_token_cost") => None,
        Basis::CacheHit => Some((Priced::new(Meter::CacheRead.name(), Per::Million)?, 6)),
        // One of the two is what the model does; both are told apart.
        Basis::InputSecond if both_seconds => unit("input_second"),
        Basis::OutputSecond(None) if both_seconds => unit("output_second"),
        // A zero beside the real price of the other direction says nothing.
        Basis::InputSecond if priced_above_zero("output_cost_per_second") => None,
        Basis::OutputSecond(None) if priced_above_zero("input_cost_per_second") => None,
        Basis::InputSecond | Basis::OutputSecond(None) => unit("second"),
        Basis::OutputSecond(Some(resolution)) => {
            let priced = Priced::new("second", Per::Unit)?;
            Some((priced.with("resolution", resolution), 0))
        }
        // A model that makes images charges them here where it has no other price for them.
        Basis::InputImage
            if matches!(mode, "image_generation" | "image_edit")
                && !priced_above_zero("output_cost_per_image") =>
        {
            unit("image")
        }
        Basis::InputImage => unit("input_image_count"),
        Basis::OutputImage(None)
            if !priced_above_zero("output_cost_per_image")
                && priced_above_zero("input_cost_per_image")
                && matches!(mode, "image_generation" | "image_edit") =>
        {
            None
        }
        Basis::OutputImage(None) => unit("image"),
        Basis::OutputImage(Some(size)) => {
            Some((Priced::new("image", Per::Unit)?.with("size", size), 0))
        }
    }
}

/// The limit on output tokens. The older `max_tokens` means it only at models that answer in text.
fn max_output_tokens(fields: &Map<String, Value>) -> Option<u64> {
    let mode = fields.get("mode").and_then(Value::as_str).unwrap_or("");
    let legacy = matches!(mode, "chat" | "completion" | "responses").then_some("max_tokens");
    let value = ["max_output_tokens"]
        .into_iter()
        .chain(legacy)
        .find_map(|field| fields.get(field))?;
    let amount = match value {
        Value::Number(number) => Amount::parse(&number.to_string()).ok()?,
        _ => return None,
    };
    u64::try_from(amount.get())
        .ok()
        .filter(|tokens| *tokens > 0)
}
