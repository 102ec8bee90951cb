//! Gemini generateContent, of the Gemini API and of Vertex.
//!
//! `promptTokenCount` includes cached tokens; `candidatesTokenCount` does **not** include
//! `thoughtsTokenCount`; `toolUsePromptTokenCount` is input that stands beside the prompt.
//! The modality lists say how much of each count is audio, image or video; the rest is text, and
//! documents are billed as text. In a stream every chunk restates cumulative usage: the last one
//! counts, and it is the last word once a finish reason or a block reason has come.
//!
//! Grounding stands in the candidates, not in usage: the queries of a web search are listed there,
//! and places of a map stand among the sources.
//!
//! Source: Gemini API reference, "GenerateContentResponse: UsageMetadata" and "Pricing"; Google Cloud,
//! "GenerateContentResponse" of Vertex (all November 2026), and 181 recorded answers.

use super::text::Text;
use super::{Bill, Progress, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::normalised::{Stated, Unrecognised};
use crate::pools::{attribute, rest, sum};
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const API: &str = "generate_content";

pub(super) const SOURCES: &[Source] = &[
    row("*", API, "usageMetadata.promptTokenCount", "input"),
    row(
        "*",
        API,
        "usageMetadata.promptTokensDetails[].tokenCount",
        "input_audio, input_image, input_video; the rest is text",
    ),
    row(
        "*",
        API,
        "usageMetadata.cachedContentTokenCount",
        "cache_read",
    ),
    row(
        "*",
        API,
        "usageMetadata.cacheTokensDetails[].tokenCount",
        "cache_read{modality=}",
    ),
    row("*", API, "usageMetadata.toolUsePromptTokenCount", "input"),
    row(
        "*",
        API,
        "usageMetadata.toolUsePromptTokensDetails[].tokenCount",
        "input_audio, input_image, input_video; the rest is text",
    ),
    row("*", API, "usageMetadata.candidatesTokenCount", "output"),
    row("*", API, "usageMetadata.responseTokenCount", "output"),
    row(
        "*",
        API,
        "usageMetadata.candidatesTokensDetails[].tokenCount",
        "output_audio, output_image; the rest is text",
    ),
    row(
        "*",
        API,
        "usageMetadata.responseTokensDetails[].tokenCount",
        "output_audio, output_image; the rest is text",
    ),
    row("*", API, "usageMetadata.thoughtsTokenCount", "reasoning"),
    row("*", API, "usageMetadata.totalTokenCount", "checks the sum"),
    row(
        "*",
        API,
        "candidates[].groundingMetadata.webSearchQueries",
        "search",
    ),
    row(
        "*",
        API,
        "candidates[].groundingMetadata.groundingChunks[].maps",
        "tool_call{tool=google_maps}, where any is found: one a prompt",
    ),
    row(
        "google",
        API,
        "usageMetadata.serviceTier",
        "the tier that was served",
    ),
    row(
        "vertex_ai",
        API,
        "usageMetadata.trafficType",
        "the tier that was served",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GenerateContent {
    pub(super) told: Told,
    usage: Option<String>,
    queries: u64,
    maps: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    model_version: Option<Word>,
    response_id: Option<Word>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    finish_reason: Option<IgnoredAny>,
    content: Option<Text>,
    grounding_metadata: Option<Grounding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding {
    web_search_queries: Option<Vec<IgnoredAny>>,
    grounding_chunks: Option<Vec<GroundingChunk>>,
}

#[derive(Deserialize)]
struct GroundingChunk {
    maps: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<IgnoredAny>,
}

impl Reader for GenerateContent {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let chunk: Chunk<'_> = parse(text)?;
        self.told.model(chunk.model_version);
        self.told.response_id(chunk.response_id);
        self.told.failure(chunk.error);
        self.told.ended |= chunk
            .prompt_feedback
            .is_some_and(|feedback| feedback.block_reason.is_some());
        for candidate in chunk.candidates.unwrap_or_default() {
            self.told.ended |= candidate.finish_reason.is_some();
            self.told.text(candidate.content);
            let Some(grounding) = candidate.grounding_metadata else {
                continue;
            };
            let queries = grounding.web_search_queries.unwrap_or_default().len();
            // Later chunks restate the list, so it is not added up.
            self.queries = self.queries.max(queries as u64);
            let sources = grounding.grounding_chunks.unwrap_or_default();
            self.maps |= sources.iter().any(|source| source.maps.is_some());
        }
        keep(&mut self.usage, chunk.usage_metadata)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn progress(&self) -> Progress {
        self.told.progress()
    }

    fn is_streamed_as_text(&self) -> bool {
        true
    }

    fn conclude(mut self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let Some(raw) = self.usage.take() else {
            return Err(self.told.no_usage());
        };
        let mut bill = Bill::default();
        let mut usage = Fields::parse("usageMetadata", &raw)?;
        let stated = read_tokens(&mut usage, &mut bill)?;
        self.read_tier(&mut usage)?;
        usage.leftovers(&mut bill.unrecognised);
        if !stated {
            return Err(self.told.no_usage());
        }
        bill.pools.detail(Meter::Search, self.searches())?;
        // Grounding with maps is billed by the prompt, however many places it found.
        bill.pools.detail_with(
            Meter::ToolCall,
            u64::from(self.maps),
            attribute("tool", "google_maps"),
        )?;
        Ok(self.told.reading(bill, raw))
    }
}

impl GenerateContent {
    /// Grounding is billed per query from Gemini 3 on, and per grounded prompt before
    /// (ai.google.dev, "Pricing").
    fn searches(&self) -> u64 {
        let model = self.told.served.model.as_deref().unwrap_or_default();
        if model.starts_with("gemini-1") || model.starts_with("gemini-2") {
            self.queries.min(1)
        } else {
            self.queries
        }
    }

    fn read_tier(&mut self, usage: &mut Fields) -> Result<(), UsageError> {
        let traffic = usage.text("trafficType")?;
        let tier = usage.text("serviceTier")?;
        let word = match (tier, traffic.as_deref()) {
            (Some(tier), _) => tier.to_ascii_lowercase(),
            (None, Some("ON_DEMAND_PRIORITY")) => "priority".to_owned(),
            (None, Some("ON_DEMAND_FLEX")) => "flex".to_owned(),
            // Pay as you go: the standard tier.
            (None, Some("ON_DEMAND" | "TRAFFIC_TYPE_UNSPECIFIED") | None) => return Ok(()),
            (None, Some(other)) => other.to_ascii_lowercase(),
        };
        if !matches!(
            word.as_str(),
            "" | "unspecified" | "service_tier_unspecified"
        ) {
            self.told.served.service_tier = Some(word.into());
        }
        Ok(())
    }
}

/// How much of a count is of each modality.
#[derive(Default)]
struct Modalities {
    audio: u64,
    image: u64,
    video: u64,
}

impl Modalities {
    fn read(usage: &mut Fields, key: &str, bill: &mut Bill) -> Result<Self, UsageError> {
        let mut modalities = Self::default();
        for mut detail in usage.objects(key)? {
            let modality = detail.text("modality")?;
            let count = detail.count("tokenCount")?.unwrap_or(0);
            let of = match modality.as_deref() {
                Some("AUDIO") => &mut modalities.audio,
                Some("IMAGE") => &mut modalities.image,
                Some("VIDEO") => &mut modalities.video,
                Some("TEXT" | "DOCUMENT" | "MODALITY_UNSPECIFIED") | None => continue,
                Some(_) => {
                    bill.unrecognised.push(Unrecognised {
                        path: detail.path_of("modality"),
                        stated: Stated::Other,
                    });
                    continue;
                }
            };
            *of = sum(&[*of, count]);
            detail.leftovers(&mut bill.unrecognised);
        }
        Ok(modalities)
    }

    fn and(self, other: Self) -> Self {
        Self {
            audio: sum(&[self.audio, other.audio]),
            image: sum(&[self.image, other.image]),
            video: sum(&[self.video, other.video]),
        }
    }

    const fn parts(&self) -> [u64; 3] {
        [self.audio, self.image, self.video]
    }

    /// Each modality without the part of it that was cached.
    fn without(&self, path: impl Fn() -> String, cached: &Self) -> Result<Self, UsageError> {
        Ok(Self {
            audio: rest(&path, self.audio, &[cached.audio])?,
            image: rest(&path, self.image, &[cached.image])?,
            video: rest(&path, self.video, &[cached.video])?,
        })
    }
}

/// Returns whether any tokens were stated.
fn read_tokens(usage: &mut Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    let prompt = usage.count("promptTokenCount")?;
    let cached = usage.count("cachedContentTokenCount")?.unwrap_or(0);
    let tool_use = usage.count("toolUsePromptTokenCount")?.unwrap_or(0);
    // The Live API of the same models says `response`.
    let candidates = usage.either("candidatesTokenCount", "responseTokenCount")?;
    let thoughts = usage.count("thoughtsTokenCount")?.unwrap_or(0);
    let total = usage.count("totalTokenCount")?;
    let in_prompt = Modalities::read(usage, "promptTokensDetails", bill)?;
    let in_cache = Modalities::read(usage, "cacheTokensDetails", bill)?;
    let in_tool_use = Modalities::read(usage, "toolUsePromptTokensDetails", bill)?;
    let in_candidates = Modalities::read(usage, "candidatesTokensDetails", bill)?
        .and(Modalities::read(usage, "responseTokensDetails", bill)?);

    let parts = sum(&[
        prompt.unwrap_or(0),
        tool_use,
        candidates.unwrap_or(0),
        thoughts,
    ]);
    if let Some(total) = total
        && total != parts
    {
        return Err(UsageError::TotalMismatch {
            path: usage.path_of("totalTokenCount"),
            total,
            parts,
        });
    }
    // Without a prompt its parts are larger than it, unless there are none.
    let details = || usage.path_of("promptTokensDetails");
    let fresh = in_prompt.without(details, &in_cache)?;
    let [audio, image, video] = fresh.parts();
    let path = || usage.path_of("promptTokenCount");
    let text = rest(path, prompt.unwrap_or(0), &[cached, audio, image, video])?;
    if prompt.is_some() {
        bill.pools.stated(Meter::Input, text)?;
        bill_input(&fresh, bill)?;
    }
    let cached_text = rest(
        || usage.path_of("cachedContentTokenCount"),
        cached,
        &in_cache.parts(),
    )?;
    let tool_text = rest(
        || usage.path_of("toolUsePromptTokenCount"),
        tool_use,
        &in_tool_use.parts(),
    )?;
    bill_input(&in_tool_use, bill)?;
    let pools = &mut bill.pools;
    pools.detail(Meter::Input, tool_text)?;
    pools.detail(Meter::CacheRead, cached_text)?;
    let modality = |name| attribute("modality", name);
    pools.detail_with(Meter::CacheRead, in_cache.audio, modality("audio"))?;
    pools.detail_with(Meter::CacheRead, in_cache.image, modality("image"))?;
    pools.detail_with(Meter::CacheRead, in_cache.video, modality("video"))?;
    if let Some(candidates) = candidates {
        let Modalities { audio, image, .. } = in_candidates;
        let path = || usage.path_of("candidatesTokenCount");
        // Generated video is not billed by these tokens, so they stay with the text.
        let text = rest(path, candidates, &[audio, image])?;
        pools.stated(Meter::Output, text)?;
        pools.detail(Meter::OutputAudio, audio)?;
        pools.detail(Meter::OutputImage, image)?;
    }
    pools.detail(Meter::Reasoning, thoughts)?;
    Ok(prompt.is_some() || candidates.is_some() || total.is_some())
}

fn bill_input(modalities: &Modalities, bill: &mut Bill) -> Result<(), UsageError> {
    bill.pools.detail(Meter::InputAudio, modalities.audio)?;
    bill.pools.detail(Meter::InputImage, modalities.image)?;
    bill.pools.detail(Meter::InputVideo, modalities.video)
}
