//! The grammar of LiteLLM's cost fields:
//! stem × `_above_1hr` × `_above_<N>k_tokens` × service tier, in this order.

use crate::import::report::Reason;

/// What a stem counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis<'k> {
    /// A token or character of this meter; written per million.
    Million(&'static str),
    /// A token of this meter and modality; written per million.
    Modality(&'static str, &'static str),
    /// A unit of this meter.
    Unit(&'static str),
    /// A query, whatever the model does with it.
    Query,
    /// The older name of the cache read price.
    CacheHit,
    /// A second of input.
    InputSecond,
    /// A second of output, perhaps at a resolution.
    OutputSecond(Option<&'k str>),
    /// A second of video looked at in intervals, as the field names them.
    VideoInterval(&'k str),
    /// An image given.
    InputImage,
    /// An image made, perhaps of a size.
    OutputImage(Option<&'k str>),
}

/// A cost field, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CostKey<'k> {
    pub(super) basis: Basis<'k>,
    pub(super) tier: Option<&'static str>,
    pub(super) above: Option<u64>,
}

const STEMS: [(&str, Basis<'static>); 40] = [
    ("annotation_cost_per_page", Basis::Unit("annotated_page")),
    (
        "cache_creation_input_audio_token_cost",
        Basis::Modality("cache_write_5m", "audio"),
    ),
    (
        "cache_creation_input_token_cost_above_1hr",
        Basis::Million("cache_write_1h"),
    ),
    (
        "cache_creation_input_token_cost",
        Basis::Million("cache_write_5m"),
    ),
    (
        "cache_read_input_audio_token_cost",
        Basis::Modality("cache_read", "audio"),
    ),
    (
        "cache_read_input_image_token_cost",
        Basis::Modality("cache_read", "image"),
    ),
    ("cache_read_input_token_cost", Basis::Million("cache_read")),
    ("citation_cost_per_token", Basis::Million("citation")),
    (
        "code_interpreter_cost_per_session",
        Basis::Unit("code_interpreter_session"),
    ),
    ("cost_per_second", Basis::Unit("second")),
    (
        "explicit_cache_read_input_token_cost",
        Basis::Million("cache_read_explicit"),
    ),
    (
        "google_maps_grounding_cost_per_query",
        Basis::Unit("maps_search"),
    ),
    (
        "input_cost_per_audio_per_second",
        Basis::Unit("input_audio_second"),
    ),
    ("input_cost_per_audio_token", Basis::Million("input_audio")),
    ("input_cost_per_character", Basis::Million("character")),
    ("input_cost_per_image_token", Basis::Million("input_image")),
    ("input_cost_per_image", Basis::InputImage),
    ("input_cost_per_pixel", Basis::Unit("input_pixel")),
    ("input_cost_per_query", Basis::Query),
    ("input_cost_per_request", Basis::Unit("request")),
    ("input_cost_per_second", Basis::InputSecond),
    ("input_cost_per_text_message", Basis::Unit("text_message")),
    ("input_cost_per_token_cache_hit", Basis::CacheHit),
    ("input_cost_per_token", Basis::Million("input")),
    (
        "input_cost_per_video_per_second",
        Basis::Unit("input_video_second"),
    ),
    ("input_cost_per_video_token", Basis::Million("input_video")),
    ("ocr_cost_per_credit", Basis::Unit("ocr_credit")),
    ("ocr_cost_per_page", Basis::Unit("page")),
    (
        "output_cost_per_audio_token",
        Basis::Million("output_audio"),
    ),
    (
        "output_cost_per_character",
        Basis::Million("output_character"),
    ),
    (
        "output_cost_per_image_token",
        Basis::Million("output_image"),
    ),
    ("output_cost_per_image", Basis::OutputImage(None)),
    ("output_cost_per_pixel", Basis::Unit("output_pixel")),
    (
        "output_cost_per_reasoning_token",
        Basis::Million("reasoning"),
    ),
    ("output_cost_per_second", Basis::OutputSecond(None)),
    ("output_cost_per_token", Basis::Million("output")),
    (
        "output_cost_per_video_per_second",
        Basis::Unit("output_video_second"),
    ),
    (
        "output_cost_per_video_token",
        Basis::Million("output_video"),
    ),
    (
        "file_search_cost_per_1k_calls",
        Basis::Unit("file_search_thousand"),
    ),
    (
        "vector_store_cost_per_gb_per_day",
        Basis::Unit("vector_store_gb_day"),
    ),
];

/// LiteLLM's suffixes and the service tiers they mean.
const TIERS: [(&str, &str); 6] = [
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_ultrafast", "ultrafast"),
    ("_balanced", "balanced"),
    ("_decisions", "decisions"),
];

impl<'k> CostKey<'k> {
    /// Reads a field's name; `None` when it does not follow the grammar.
    pub(super) fn parse(field: &'k str) -> Option<Self> {
        let fitting = STEMS.iter().filter_map(|(stem, basis)| {
            let rest = field.strip_prefix(stem)?;
            (rest.is_empty() || rest.starts_with('_')).then_some((stem.len(), *basis, rest))
        });
        let (_, basis, rest) = fitting.max_by_key(|(length, _, _)| *length)?;
        let (basis, rest) = variant(basis, rest);
        let (above, rest) = match rest.strip_prefix("_above_") {
            Some(rest) => {
                let (thousands, rest) = rest.split_once("k_tokens")?;
                let thousands: u64 = thousands.parse().ok()?;
                (Some(thousands.checked_mul(1000)?), rest)
            }
            None => (None, rest),
        };
        let tier = match rest {
            "" => None,
            rest => Some(TIERS.iter().find(|(suffix, _)| *suffix == rest)?.1),
        };
        Some(Self { basis, tier, above })
    }
}

/// `_720p` of a second and `_1K` of an image are properties of what was made.
fn variant<'k>(basis: Basis<'k>, rest: &'k str) -> (Basis<'k>, &'k str) {
    let value = rest
        .strip_prefix('_')
        .filter(|value| value.starts_with(|c: char| c.is_ascii_digit()) && !value.contains('_'));
    match (basis, value) {
        (Basis::OutputSecond(None), Some(value)) => (Basis::OutputSecond(Some(value)), ""),
        (Basis::OutputImage(None), Some(value)) => (Basis::OutputImage(Some(value)), ""),
        // `_above_15s_interval` of a second of video is how closely it is looked at.
        (Basis::Unit("input_video_second"), _) if rest.ends_with("s_interval") => {
            let interval = rest.strip_prefix('_').unwrap_or(rest);
            (Basis::VideoInterval(interval), "")
        }
        _ => (basis, rest),
    }
}

/// Whether a field says something about what a call costs.
pub(super) fn bears_on_cost(field: &str) -> bool {
    ["cost", "pric", "_dbu_", "multiplier"]
        .iter()
        .any(|word| field.contains(word))
}

/// Fields that bear on cost and have no place in our book, with the reason.
pub(super) fn known_without_place(field: &str) -> Option<Reason> {
    match field {
        "input_dbu_cost_per_token" | "output_dbu_cost_per_token" => Some(Reason::OtherCurrency),
        "web_search_billing_unit" => Some(Reason::NotAPrice),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(field: &str) -> Option<(Basis<'_>, Option<&str>, Option<u64>)> {
        CostKey::parse(field).map(|key| (key.basis, key.tier, key.above))
    }

    #[test]
    fn every_part_of_the_grammar_is_understood() {
        use Basis::{Million, OutputImage, OutputSecond, Unit};
        for (field, basis, tier, above) in [
            ("input_cost_per_token", Million("input"), None, None),
            (
                "input_cost_per_token_batches",
                Million("input"),
                Some("batch"),
                None,
            ),
            (
                "input_cost_per_token_flex",
                Million("input"),
                Some("flex"),
                None,
            ),
            (
                "output_cost_per_token_priority",
                Million("output"),
                Some("priority"),
                None,
            ),
            (
                "output_cost_per_token_ultrafast",
                Million("output"),
                Some("ultrafast"),
                None,
            ),
            (
                "input_cost_per_token_above_128k_tokens",
                Million("input"),
                None,
                Some(128_000),
            ),
            (
                "cache_read_input_token_cost_above_272k_tokens_flex",
                Million("cache_read"),
                Some("flex"),
                Some(272_000),
            ),
            (
                "cache_creation_input_token_cost",
                Million("cache_write_5m"),
                None,
                None,
            ),
            (
                "cache_creation_input_token_cost_above_1hr",
                Million("cache_write_1h"),
                None,
                None,
            ),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                Million("cache_write_1h"),
                None,
                Some(200_000),
            ),
            (
                "cache_creation_input_token_cost_above_200k_tokens",
                Million("cache_write_5m"),
                None,
                Some(200_000),
            ),
            (
                "cache_creation_input_audio_token_cost",
                Basis::Modality("cache_write_5m", "audio"),
                None,
                None,
            ),
            (
                "input_cost_per_token_cache_hit",
                Basis::CacheHit,
                None,
                None,
            ),
            (
                "input_cost_per_audio_token_batches",
                Million("input_audio"),
                Some("batch"),
                None,
            ),
            ("input_cost_per_image", Basis::InputImage, None, None),
            (
                "input_cost_per_image_token",
                Million("input_image"),
                None,
                None,
            ),
            (
                "output_cost_per_image_1K",
                OutputImage(Some("1K")),
                None,
                None,
            ),
            (
                "output_cost_per_image_0.5K",
                OutputImage(Some("0.5K")),
                None,
                None,
            ),
            (
                "output_cost_per_second_1080p",
                OutputSecond(Some("1080p")),
                None,
                None,
            ),
            ("output_cost_per_second", OutputSecond(None), None, None),
            (
                "ocr_cost_per_page_batches",
                Unit("page"),
                Some("batch"),
                None,
            ),
            (
                "input_cost_per_video_per_second_above_128k_tokens",
                Unit("input_video_second"),
                None,
                Some(128_000),
            ),
        ] {
            assert_eq!(parsed(field), Some((basis, tier, above)), "{field}");
        }
    }

    #[test]
    fn what_does_not_follow_the_grammar_is_not_guessed() {
        for field in [
            "input_cost_per_tokens",
            "input_cost_per_token_turbo",
            "input_cost_per_token_above_200k",
            "input_cost_per_token_flex_above_200k_tokens",
            "input_cost_per_unicorn",
        ] {
            assert_eq!(parsed(field), None, "{field}");
        }
    }
}
