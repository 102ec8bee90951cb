//! Every field of both source files is accounted for: imported, left out with its reason, or one
//! of those that say nothing about cost, by name. A field that a new version of a source brings
//! fails here until somebody has decided about it.

use crate::prices;
use farebox_book::import::{Report, genai_prices, litellm};
use regex::Regex;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Fields of LiteLLM that say nothing about what a call costs.
const LITELLM_NO_COST: [&str; 33] = [
    "audio_transcription_config",
    "bedrock_converse_supports_strict_tools",
    "bedrock_output_config_effort_ceiling",
    "comment",
    "default_reasoning_effort",
    "deprecation_date",
    "gemini_audio_only_live",
    "gemini_native_audio",
    "litellm_provider",
    "max_input_tokens",
    "max_output_tokens",
    "max_tokens",
    "metadata",
    "mode",
    "output_vector_size",
    "prompt_cache_min_tokens",
    "reasoning_effort_levels",
    "rpm",
    "rules",
    "source",
    "supported_audio_formats",
    "supported_endpoints",
    "supported_modalities",
    "supported_output_modalities",
    "supported_regions",
    "thinking_always_on",
    "token_count_framing",
    "token_count_model",
    "token_count_tokenizer",
    "tpm",
    "use_openai_responses_path",
    "uses_embed_content",
    "vertex_ai_audio_api",
];

/// Parts of fields that are objects or lists: bounds and names, read with the prices beside them,
/// and switches of the client library.
const LITELLM_PARTS: [&str; 8] = [
    "off_peak_pricing.weekday_timezone",
    "off_peak_pricing.windows",
    "provider_specific_entry.bedrock_invocation_schema",
    "provider_specific_entry.dashscope_video_reference_input",
    "provider_specific_entry.volcengine_video_frames",
    "tiered_pricing.input_cost_per_query",
    "tiered_pricing.max_results_range",
    "tiered_pricing.range",
];

/// Field by field, how often a report names it.
fn told(report: &Report) -> BTreeMap<String, u64> {
    let mut told = report.imported.clone();
    for left_out in &report.left_out {
        *told.entry(left_out.field.clone()).or_default() += 1;
    }
    told
}

#[test]
fn every_field_of_litellm_is_accounted_for() {
    let text = prices::litellm();
    let report = litellm(&text, "1.106.2", "2026-11-21").unwrap().report;
    let told = told(&report);
    let nameless: BTreeSet<&str> = report
        .left_out
        .iter()
        .filter(|left_out| left_out.field == "litellm_provider")
        .map(|left_out| left_out.entry.as_str())
        .collect();
    let file: Value = serde_json::from_str(&text).unwrap();
    let entries = file.as_object().unwrap().iter();
    let entries = entries.filter(|(key, _)| *key != "sample_spec" && !nameless.contains(&***key));
    let mut plain: BTreeMap<&str, u64> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for (field, value) in entries.flat_map(|(_, entry)| entry.as_object().unwrap()) {
        if LITELLM_NO_COST.contains(&&**field) || field.starts_with("supports_") {
            continue;
        }
        let parts: Vec<&String> = match value {
            Value::Object(parts) => parts.keys().collect(),
            Value::Array(items) => {
                let parts = items.iter().filter_map(Value::as_object);
                parts.flat_map(serde_json::Map::keys).collect()
            }
            _ => {
                *plain.entry(field).or_default() += 1;
                continue;
            }
        };
        for part in parts {
            let name = format!("{field}.{part}");
            let whole = told.contains_key(field.as_str());
            if !whole && !told.contains_key(&name) && !LITELLM_PARTS.contains(&&*name) {
                missing.insert(name);
            }
        }
    }
    assert!(
        missing.is_empty(),
        "neither imported nor listed: {missing:?}"
    );
    // Of fields that are numbers, every single one.
    let wrong: Vec<_> = plain
        .iter()
        .filter(|(field, count)| told.get(**field) != Some(count))
        .map(|(field, count)| format!("{field}: {count} in the file, {:?} told", told.get(*field)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(plain.len() > 100, "{}", plain.len());
}

/// Fields of genai-prices that say nothing about what a call costs, or that only hold others.
const GENAI_NO_COST: [&str; 17] = [
    "api_pattern",
    "constraint",
    "context_window",
    "deprecated",
    "end_time",
    "extractors",
    "fallback_model_providers",
    "id",
    "match",
    "model_match",
    "models",
    "name",
    "price_variants",
    "prices",
    "provider_match",
    "type",
    "when",
];

/// Read where they stand: dates and hours, and thresholds with the prices beside them.
const GENAI_READ: [&str; 10] = [
    "base",
    "or_",
    "and_",
    "price",
    "start",
    "start_date",
    "start_time",
    "tiers",
    "equals",
    "starts_with",
];

#[test]
fn every_field_of_genai_prices_is_accounted_for() {
    fn fields<'v>(value: &'v Value, found: &mut BTreeMap<&'v str, u64>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    *found.entry(name).or_default() += 1;
                    // How a provider's answers are read is not about prices.
                    if name != "extractors" && !name.ends_with("_match") {
                        fields(value, found);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
            _ => {}
        }
    }
    let text = prices::genai_prices();
    let imported = genai_prices(&text, "0.2.3", "2026-11-21").unwrap();
    let told = told(&imported.report);
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeMap::new();
    fields(&file, &mut found);
    let missing: Vec<_> = found
        .iter()
        .filter(|(field, _)| !GENAI_NO_COST.contains(field) && !GENAI_READ.contains(field))
        .filter(|(field, _)| {
            let prefixed = ["price_variants", "match"].map(|of| format!("{of}.{field}"));
            let patterns = ["contains", "ends_with", "regex"].contains(field);
            // A kind of price or variant is named by itself; clauses show as names of models.
            !told.contains_key(**field)
                && !prefixed.iter().any(|name| told.contains_key(name))
                && !patterns
                && ![
                    "processing",
                    "service_tier",
                    "speed",
                    "route",
                    "search_type",
                ]
                .contains(field)
        })
        .collect();
    assert!(
        missing.is_empty(),
        "neither imported nor listed: {missing:?}"
    );
    let patterns = imported
        .book
        .models
        .iter()
        .map(|model| model.patterns.len());
    assert!(patterns.sum::<usize>() > 250, "clauses become patterns");
}

/// A clause means what it means at the source: every name that the source knows for a model finds
/// the same prices here, under the precedence of names that is ours.
#[test]
fn names_mean_what_they_mean_at_the_source() {
    let text = prices::genai_prices();
    let imported = genai_prices(&text, "0.2.3", "2026-11-21").unwrap();
    let toml = farebox_book::to_toml(&imported.book, &[]);
    let book = farebox_book::compile(&toml, farebox_book::Format::Toml).unwrap();
    let view = farebox_pricing::canonical::BookView::open(book.canonical).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let (mut asked, mut other) = (0, Vec::new());
    for provider in file.as_array().unwrap() {
        let id = provider["id"].as_str().unwrap();
        let Some(canonical) = farebox_pricing::provider::normalise(id) else {
            continue;
        };
        let models = provider["models"].as_array().unwrap();
        let mut names = BTreeSet::new();
        for model in models {
            names.insert(model["id"].as_str().unwrap().to_owned());
            literals(&model["match"], &mut names);
        }
        for name in names {
            let first = models.iter().find(|model| means(&model["match"], &name));
            let theirs = first.map(|model| model["id"].as_str().unwrap());
            let ours = view.find(&canonical, &name).unwrap();
            asked += 1;
            let ours = ours.map(|model| &*model.name);
            // A model's own id means it, whatever its clause says; models without a price there
            // have none here.
            let is_an_id = models.iter().any(|model| model["id"] == *name);
            let differs = ours.is_some() && ours != theirs;
            if differs && (theirs.is_some() || !is_an_id) {
                other.push(format!("{id} {name}: {ours:?}, at the source {theirs:?}"));
            }
        }
    }
    assert!(asked > 3100, "{asked}");
    assert!(other.is_empty(), "{}", other.join("\n"));
}

/// Names that a clause speaks of: its words, and names that its expressions match, which with
/// another ending mean nothing of the kind.
fn literals(clause: &Value, names: &mut BTreeSet<String>) {
    for kind in ["equals", "starts_with", "contains", "ends_with"] {
        names.extend(clause[kind].as_str().map(ToOwned::to_owned));
    }
    let expression = clause["regex"].as_str();
    for filled in expression.into_iter().flat_map(filled_in) {
        names.insert(format!("{filled}-x"));
        names.insert(filled);
    }
    for kind in ["or_", "and_"] {
        let parts = clause[kind].as_array().into_iter().flatten();
        parts.for_each(|part| literals(part, names));
    }
}

/// Names that an expression matches: digits filled in, what is optional there and not there.
fn filled_in(expression: &str) -> Vec<String> {
    if expression.contains("(?") {
        return Vec::new();
    }
    let plain = expression.trim_start_matches('^').trim_end_matches('$');
    let mut name = plain
        .replace(r"\d{8}", "20260131")
        .replace(r"\d{4}", "2026");
    for (from, to) in [
        (r"\d{2}", "01"),
        (r"\d", "7"),
        ("[-@]", "@"),
        ("[134]", "4"),
        (r"\.", "."),
        (r"\[", "["),
        (r"\]", "]"),
    ] {
        name = name.replace(from, to);
    }
    let mut names = vec![name];
    while let Some(at) = names.iter().position(|name| name.contains(")?")) {
        let name = names.swap_remove(at);
        let (before, rest) = name.split_once('(').unwrap();
        let (optional, after) = rest.split_once(")?").unwrap();
        names.push(format!("{before}{after}"));
        names.push(format!("{before}{optional}{after}"));
    }
    for name in &names {
        assert!(
            Regex::new(expression).unwrap().is_match(name),
            "{expression} {name}"
        );
    }
    names
}

thread_local! {
    /// Compiled once: every name is asked of every clause before its own.
    static EXPRESSIONS: RefCell<BTreeMap<String, Option<Regex>>> = RefCell::default();
}

/// Whether a clause matches, as its source defines it.
fn means(clause: &Value, name: &str) -> bool {
    let any = |kind: &str| clause[kind].as_array().into_iter().flatten();
    let word = |kind: &str| clause[kind].as_str();
    if let Some(expression) = word("regex") {
        // Of the expressions that look ahead, one is imported: "is no speech model".
        return if expression == "^(?!.*-[tT][tT][sS](?:$|-))" {
            let name = name.to_ascii_lowercase();
            !name.ends_with("-tts") && !name.contains("-tts-")
        } else {
            EXPRESSIONS.with_borrow_mut(|known| {
                let known = known.entry(expression.to_owned());
                let compiled = known.or_insert_with(|| Regex::new(expression).ok());
                compiled.as_ref().is_some_and(|known| known.is_match(name))
            })
        };
    }
    word("equals").is_some_and(|word| name == word)
        || word("starts_with").is_some_and(|word| name.starts_with(word))
        || word("contains").is_some_and(|word| name.contains(word))
        || word("ends_with").is_some_and(|word| name.ends_with(word))
        || any("or_").any(|part| means(part, name))
        || (clause["and_"].is_array() && any("and_").all(|part| means(part, name)))
}
