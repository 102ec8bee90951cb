//! What holds for any bytes and any chunks.

use farebox_pricing::meter::{Meter, Pool};
use farebox_usage::{Api, Normalised, Normaliser, RequestFacts, UsageError};
use farebox_usage::{normalise_response, normalise_sse};
use proptest::prelude::*;
use rust_decimal::Decimal;

fn any_api() -> impl Strategy<Value = Option<&'static str>> {
    let names: Vec<&'static str> = Api::NAMES.iter().map(|(name, _)| *name).collect();
    prop::option::of(prop::sample::select(names))
}

fn any_provider() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "openai",
        "anthropic",
        "google",
        "xai",
        "openrouter",
        "perplexity",
        "mistral",
        "groq",
        "deepseek",
        "bedrock",
        "vertex_ai",
        "cohere",
        "ollama",
    ])
}

/// JSON that is made of the words the readers look for, with values they do not.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "1",
        "7",
        "12.0",
        "1e3",
        "-1",
        "0.5",
        "9223372036854775808",
        "1e400",
        "null",
        "true",
        "\"7\"",
        "\"\"",
        "{}",
        "[]",
        "\"stop\"",
        "\"completed\"",
        "\"message_delta\"",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 48, 6, |inner| {
        let key = prop::sample::select(vec![
            "usage",
            "usageMetadata",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
            "audio_tokens",
            "reasoning_tokens",
            "input_tokens",
            "output_tokens",
            "cache_creation",
            "cache_creation_input_tokens",
            "ephemeral_1h_input_tokens",
            "server_tool_use",
            "promptTokenCount",
            "candidatesTokenCount",
            "promptTokensDetails",
            "tokenCount",
            "modality",
            "model",
            "id",
            "type",
            "message",
            "response",
            "choices",
            "candidates",
            "error",
            "service_tier",
            "cost",
            "is_byok",
            "iterations",
            "output",
            "delta",
            "data",
            "size",
            "seconds",
            "duration",
            "input_token_details",
            "server_side_tool_usage_details",
            "cost_in_usd_ticks",
            "predictions",
            "embeddings",
            "statistics",
            "token_count",
            "metadata",
            "billableCharacterCount",
            "inputTokens",
            "outputTokens",
            "totalTokens",
            "cacheDetails",
            "inputTextTokenCount",
            "results",
            "generation_token_count",
            "amazon-bedrock-invocationMetrics",
            "inputTokenCount",
            "chunk",
            "bytes",
            "meta",
            "billed_units",
            "search_units",
            "prompt_eval_count",
            "eval_count",
            "done",
            "usage_info",
            "pages_processed",
            "custom_id",
            "body",
            "result",
            "modelOutput",
        ]);
        let object = prop::collection::btree_map(key, inner.clone(), 0..6).prop_map(|fields| {
            let fields: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
            format!("{{{}}}", fields.join(","))
        });
        let list =
            prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![4 => object, 1 => list]
    })
}

/// A top-level object with the fields that every answer has, so that many are read to the end.
fn any_answer() -> impl Strategy<Value = String> {
    (any_json(), any_json(), any_count(), any_count()).prop_map(|(a, b, input, output)| {
        format!(
            r#"{{"usage": {{"prompt_tokens": {input}, "completion_tokens": {output}, "input_tokens": {input},
                "output_tokens": {output}, "prompt_tokens_details": {a}, "cache_creation": {a}}},
               "usageMetadata": {{"promptTokenCount": {input}, "candidatesTokenCount": {output}, "cachedContentTokenCount": {output}}},
               "choices": [{{"usage": {b}, "finish_reason": "stop"}}], "output": [{b}], "candidates": [{{}}]}}"#
        )
    })
}

fn any_count() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["0", "1", "7", "12.0", "1e3", "1e15"])
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        2 => any_json().prop_map(|json| format!("data: {json}").into_bytes()),
        2 => any_answer().prop_map(|json| format!("data: {}", json.replace('\n', "")).into_bytes()),
        1 => Just(b"data: [DONE]".to_vec()),
        1 => Just(b"event: message_delta".to_vec()),
        1 => Just(b": comment".to_vec()),
        1 => any_answer().prop_map(|json| json.replace('\n', "").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        2 => Just(Vec::new()),
    ];
    let end = prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"]);
    prop::collection::vec((line, end), 0..12).prop_map(|lines| {
        let parts: Vec<u8> = lines
            .into_iter()
            .flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat())
            .collect();
        parts
    })
}

fn in_chunks(
    provider: &str,
    api: Option<&str>,
    stream: &[u8],
    cuts: &[usize],
) -> Result<Normalised, UsageError> {
    let mut normaliser = Normaliser::new(provider, api).unwrap();
    let mut rest = stream;
    for cut in cuts {
        let (chunk, after) = rest.split_at((*cut).min(rest.len()));
        normaliser.feed(chunk)?;
        rest = after;
    }
    normaliser.feed(rest)?;
    normaliser.finish()
}

/// Every pool is in range, stands once, in order, and only totals may be zero.
fn is_well_formed(pools: &[Pool]) -> bool {
    let keys: Vec<_> = pools.iter().map(|p| (&p.meter, &p.attributes)).collect();
    keys.is_sorted()
        && keys.windows(2).all(|pair| pair.first() != pair.last())
        && pools.iter().all(|pool| {
            let total = matches!(
                pool.meter,
                Meter::Input
                    | Meter::Output
                    | Meter::OutputAudio
                    | Meter::OutputImage
                    | Meter::Second
                    | Meter::Page
            );
            pool.quantity.get() >= Decimal::ZERO && (total || !pool.quantity.is_zero())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(
        provider in any_provider(),
        api in any_api(),
        bytes in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let _ = normalise_response(provider, api, &bytes);
        let _ = normalise_sse(provider, api, &bytes);
        let _ = RequestFacts::from_body(&bytes);
        let _ = RequestFacts::from_recorded(&bytes);
    }

    #[test]
    fn any_json_gives_well_formed_pools_or_an_error(
        provider in any_provider(),
        api in any_api(),
        json in prop_oneof![any_json(), any_answer()],
    ) {
        if let Ok(normalised) = normalise_response(provider, api, json.as_bytes()) {
            prop_assert!(is_well_formed(&normalised.pools), "{:?}", normalised.pools);
            prop_assert!(!normalised.pools.is_empty() || normalised.provider_cost_usd.is_some());
        }
        let _ = RequestFacts::from_body(json.as_bytes());
    }

    #[test]
    fn any_chunks_are_the_whole(
        provider in any_provider(),
        api in any_api(),
        stream in any_stream(),
        cuts in prop::collection::vec(0_usize..24, 0..40),
    ) {
        let whole = normalise_sse(provider, api, &stream);
        prop_assert_eq!(in_chunks(provider, api, &stream, &cuts), whole);
    }

    /// Exclusive pools of the two totals add up to the totals, whatever the parts.
    #[test]
    fn parts_never_change_the_sum(
        prompt in 0_u64..1_000_000,
        completion in 0_u64..1_000_000,
        cached in 0_u64..1_000_000,
        audio in 0_u64..1_000_000,
        reasoning in 0_u64..1_000_000,
    ) {
        let total = prompt.checked_add(completion).unwrap();
        let body = format!(
            r#"{{"usage": {{"prompt_tokens": {prompt}, "completion_tokens": {completion}, "total_tokens": {total},
                "prompt_tokens_details": {{"cached_tokens": {cached}, "audio_tokens": {audio}}},
                "completion_tokens_details": {{"reasoning_tokens": {reasoning}}}}}}}"#
        );
        let fits = cached.checked_add(audio).unwrap() <= prompt && reasoning <= completion;
        match normalise_response("openai", Some("chat"), body.as_bytes()) {
            Ok(normalised) => {
                let sum: Decimal = normalised.pools.iter().map(|pool| pool.quantity.get()).sum();
                prop_assert!(fits);
                prop_assert_eq!(sum, Decimal::from(total));
            }
            Err(error) => {
                prop_assert!(!fits);
                prop_assert_eq!(error.kind(), "details_exceed_total");
            }
        }
    }
}
