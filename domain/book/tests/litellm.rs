//! LiteLLM's grammar, field by field: what an entry becomes, to the last digit.

use farebox_book::import::{Imported, litellm};
use farebox_book::to_toml;
use serde_json::{Value, json};

fn imported(file: &Value) -> Imported {
    litellm(&file.to_string(), "test", "2026-11-21").unwrap()
}

/// The models as TOML, without the head.
fn models(file: &Value) -> String {
    let text = to_toml(&imported(file).book, &[]);
    text.split_once("[[models]]\n")
        .map_or(String::new(), |(_, models)| models.trim().to_owned())
}

/// One entry, with what its prices become.
fn check(fields: &Value, expected: &str) {
    let mut entry = json!({"litellm_provider": "openai", "mode": "chat"});
    let fields = fields.as_object().unwrap().clone();
    entry.as_object_mut().unwrap().extend(fields.clone());
    let shown = models(&json!({"m": entry}));
    let shown = shown
        .strip_prefix("provider = \"openai\"\nmodel = \"m\"\n")
        .unwrap_or(&shown);
    assert_eq!(shown, expected.trim(), "{fields:?}");
}

#[test]
fn tokens() {
    let e = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    check(
        &e(
            r#"{"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, "cache_read_input_token_cost": 0.000000075}"#,
        ),
        r#"per_million = { input = "0.15", cache_read = "0.075", output = "0.6" }"#,
    );
    check(
        &e(
            r#"{"cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06}"#,
        ),
        r#"per_million = { cache_write_5m = "3.75", cache_write_1h = "6" }"#,
    );
    check(
        &e(
            r#"{"input_cost_per_token": 2.5e-06, "input_cost_per_audio_token": 4e-05, "input_cost_per_image_token": 5e-06, "input_cost_per_video_token": 1e-06,
            "output_cost_per_token": 1e-05, "output_cost_per_audio_token": 8e-05, "output_cost_per_image_token": 3e-05, "output_cost_per_reasoning_token": 1.2e-05}"#,
        ),
        r#"per_million = { input = "2.5", output = "10", reasoning = "12", input_audio = "40", output_audio = "80", input_image = "5", output_image = "30", input_video = "1" }"#,
    );
    check(
        &e(
            r#"{"cache_read_input_token_cost": 1e-06, "cache_read_input_audio_token_cost": 2e-06, "cache_creation_input_audio_token_cost": 3e-06}"#,
        ),
        r#"
per_million = { cache_read = "1" }
rates = [
  { meter = "cache_read", attributes = { modality = "audio" }, per_million = "2" },
  { meter = "cache_write_5m", attributes = { modality = "audio" }, per_million = "3" },
]"#,
    );
}

#[test]
fn digits_are_the_sources_own() {
    let e = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    check(
        &e(r#"{"input_cost_per_token": 1.5000999999999998e-07}"#),
        r#"per_million = { input = "0.15000999999999998" }"#,
    );
    check(
        &e(r#"{"input_cost_per_pixel": 2.384185791015625e-08}"#),
        r#"per_unit = { input_pixel = "0.00000002384185791015625" }"#,
    );
}

#[test]
fn context_sizes_and_service_tiers() {
    let e = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    check(
        &e(
            r#"{"input_cost_per_token": 1e-06, "input_cost_per_token_above_200k_tokens": 2e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 4e-06,
            "input_cost_per_token_flex": 5e-07, "input_cost_per_token_above_200k_tokens_priority": 3e-06}"#,
        ),
        r#"
per_million = { input = "1" }
[[models.context]]
above = 200000
per_million = { input = "2", cache_write_1h = "4" }
[[models.tiers]]
name = "flex"
per_million = { input = "0.5" }
[[models.tiers]]
name = "priority"
[[models.tiers.context]]
above = 200000
per_million = { input = "3" }"#,
    );
    check(
        &e(r#"{"tiered_pricing": [
            {"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07},
            {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07, "output_cost_per_reasoning_token": 2e-06}]}"#),
        r#"
per_million = { input = "0.05", output = "0.4" }
[[models.context]]
above = 256000
per_million = { input = "0.25", reasoning = "2" }"#,
    );
}

#[test]
fn what_another_entry_of_the_name_states_wins_over_what_is_derived() {
    let shown = models(&json!({
        "m": {"litellm_provider": "openai", "input_cost_per_token": 2e-06,
              "output_cost_per_token": 8e-06, "input_cost_per_token_batches": 1e-06},
        "openai/m": {"litellm_provider": "openai", "input_cost_per_token": 2e-06,
                     "output_cost_per_token": 8e-06, "output_cost_per_token_batches": 6e-06}
    }));
    let batch = shown.split_once("name = \"batch\"\n").unwrap().1;
    assert_eq!(batch, r#"per_million = { input = "1", output = "6" }"#);
}

#[test]
fn a_missing_batch_rate_is_half_and_fast_mode_a_factor() {
    let e = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    check(
        &e(
            r#"{"input_cost_per_token": 3e-06, "cache_read_input_token_cost": 3e-07, "output_cost_per_token": 1.5e-05,
            "input_cost_per_token_batches": 1.5e-06, "input_cost_per_query": 0.01}"#,
        ),
        r#"
per_million = { input = "3", cache_read = "0.3", output = "15" }
per_unit = { request = "0.01" }
[[models.tiers]]
name = "batch"
per_million = { input = "1.5", output = "7.5" }"#,
    );
    check(
        &e(
            r#"{"input_cost_per_token": 5e-06, "provider_specific_entry": {"us": 1.1, "fast": 2.0}}"#,
        ),
        r#"
per_million = { input = "5" }
[[models.tiers]]
name = "fast"
per_million = { input = "10" }
[[models.regions]]
name = "us"
per_million = { input = "5.5" }
[[models.regions.tiers]]
name = "fast"
per_million = { input = "11" }"#,
    );
}

#[test]
fn whole_things() {
    let e = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    check(
        &e(r#"{"mode": "search", "input_cost_per_query": 0.005}"#),
        r#"per_unit = { search = "0.005" }"#,
    );
    check(
        &e(r#"{"mode": "rerank", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0}"#),
        "per_million = { input = \"0\" }\nper_unit = { search = \"0.002\" }",
    );
    check(
        &e(
            r#"{"mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0}"#,
        ),
        r#"per_unit = { second = "0.0001" }"#,
    );
    check(
        &e(r#"{"input_cost_per_second": 0.1, "output_cost_per_second": 0.2}"#),
        r#"per_unit = { input_second = "0.1", output_second = "0.2" }"#,
    );
    check(
        &e(
            r#"{"mode": "video_generation", "output_cost_per_second": 0.1, "output_cost_per_second_1080p": 0.2}"#,
        ),
        "per_unit = { second = \"0.1\" }\nrates = [\n  { meter = \"second\", attributes = { resolution = \"1080p\" }, per_unit = \"0.2\" },\n]",
    );
    check(
        &e(r#"{"mode": "audio_speech", "input_cost_per_character": 1.5e-05}"#),
        r#"per_million = { character = "15" }"#,
    );
    check(
        &e(r#"{"mode": "ocr", "ocr_cost_per_page": 0.001, "annotation_cost_per_page": 0.003}"#),
        r#"per_unit = { page = "0.001", annotated_page = "0.003" }"#,
    );
    check(
        &e(
            r#"{"mode": "image_generation", "output_cost_per_image": 0.04, "input_cost_per_image": 0.01, "output_cost_per_image_4K": 0.16}"#,
        ),
        "per_unit = { image = \"0.04\", input_image_count = \"0.01\" }\nrates = [\n  { meter = \"image\", attributes = { size = \"4K\" }, per_unit = \"0.16\" },\n]",
    );
    check(
        &e(r#"{"mode": "image_generation", "input_cost_per_image": 0.01}"#),
        r#"per_unit = { image = "0.01" }"#,
    );
    check(
        &e(
            r#"{"search_context_cost_per_query": {"search_context_size_low": 0.03, "search_context_size_medium": 0.035, "search_context_size_high": 0.05}}"#,
        ),
        r#"
per_unit = { search = "0.035" }
rates = [
  { meter = "search", attributes = { context_size = "high" }, per_unit = "0.05" },
  { meter = "search", attributes = { context_size = "low" }, per_unit = "0.03" },
]"#,
    );
}

#[test]
fn names_regions_and_image_sizes_find_their_model() {
    let file = json!({
        "sample_spec": {"input_cost_per_token": 0.0},
        "bedrock/anthropic.claude": {"litellm_provider": "bedrock", "input_cost_per_token": 1},
        "bedrock/eu-west-1/anthropic.claude": {"litellm_provider": "bedrock", "input_cost_per_token": 2},
        "hd/1024-x-1792/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0},
        "standard/1024-x-1024/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 3},
        "xai/grok": {"litellm_provider": "xai", "input_cost_per_token": 4},
    });
    let file: Value = serde_json::from_str(
        &file
            .to_string()
            .replace(":1}", ":1e-6}")
            .replace(":2}", ":2e-6}")
            .replace(":3}", ":0.04}")
            .replace(":4}", ":4e-6}"),
    )
    .unwrap();
    assert_eq!(
        models(&file),
        r#"provider = "bedrock"
model = "anthropic.claude"
per_million = { input = "1" }
[[models.regions]]
name = "eu-west-1"
per_million = { input = "2" }

[[models]]
provider = "openai"
model = "dall-e-3"
rates = [
  { meter = "image", attributes = { quality = "standard", size = "1024x1024" }, per_unit = "0.04" },
]

[[models]]
provider = "xai"
model = "grok"
context_inclusive = true
per_million = { input = "4" }"#
    );
}

#[test]
fn a_model_that_answers_in_images_has_their_price_for_its_output() {
    let e = |fields: &str| {
        let fields = fields.trim_start_matches('{');
        format!(r#"{{"litellm_provider": "openai", "mode": "image_generation", {fields}"#)
    };
    let written = |fields: &str| {
        let file = format!(r#"{{"gpt-image": {}}}"#, e(fields));
        models(&serde_json::from_str(&file).unwrap())
    };
    let only_images = written(
        r#"{"input_cost_per_token": 5e-6, "input_cost_per_token_batches": 2.5e-6,
            "output_cost_per_image_token": 4e-5}"#,
    );
    assert_eq!(
        only_images,
        r#"provider = "openai"
model = "gpt-image"
per_million = { input = "5", output = "40", output_image = "40" }
[[models.tiers]]
name = "batch"
per_million = { input = "2.5", output = "20", output_image = "20" }"#
    );
    let both = written(r#"{"output_cost_per_token": 1e-5, "output_cost_per_image_token": 4e-5}"#);
    assert!(
        both.ends_with(r#"{ output = "10", output_image = "40" }"#),
        "{both}"
    );
}

#[test]
fn nothing_is_dropped_without_a_word() {
    let file = json!({
        "a": {"litellm_provider": "openai", "input_cost_per_token": 1, "input_cost_per_unicorn": 1,
              "off_peak_pricing": {}, "output_cost_per_token": "free", "input_dbu_cost_per_token": 1},
        "b": {"litellm_provider": "openai", "output_cost_per_token": -1},
        "c": {"litellm_provider": "openai", "output_cost_per_token": 0},
        "d": {"input_cost_per_token": 1},
        "openai/a": {"litellm_provider": "openai", "input_cost_per_token": 2},
    });
    let left_out: Vec<String> = imported(&file)
        .report
        .left_out
        .iter()
        .map(|l| format!("{} {}: {}", l.entry, l.field, l.reason))
        .collect();
    insta::assert_snapshot!(left_out.join("\n"));
}
