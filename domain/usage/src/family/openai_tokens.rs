//! The token arithmetic that every OpenAI-like usage object shares, and the few fields on which
//! compatible providers differ.
//!
//! The input total includes cached, cache-written, audio, image and video tokens; the output total
//! includes reasoning, audio and image tokens, and both kinds of predicted tokens, which are
//! billed as output. The stated total decides two open questions: whether reasoning tokens stand
//! inside the output or beside it (xAI), and how many a provider left unsaid (Gemini's compatible
//! endpoint).

use super::{Bill, vendor};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::pools::{attribute, rest, sum};
use farebox_pricing::meter::Meter;

/// What the fields are called.
pub(crate) struct Names {
    pub(crate) input: &'static str,
    pub(crate) input_details: &'static str,
    pub(crate) output: &'static str,
    pub(crate) output_details: &'static str,
    /// What the output is where no details say it.
    pub(crate) output_meter: Meter,
}

/// Reads a whole usage object. Returns whether it stated anything.
pub(crate) fn read(
    mut usage: Fields,
    names: &Names,
    provider: &str,
    bill: &mut Bill,
) -> Result<bool, UsageError> {
    let input = usage.count(names.input)?;
    let output = usage.count(names.output)?;
    let total = usage.count("total_tokens")?;
    let mut stated = input.is_some() || output.is_some();

    let says_what_it_made = usage.has(names.output_details);
    let prompt = Prompt::read(&mut usage, names, bill)?;
    let completion = Completion::read(&mut usage, names, bill)?;
    let has_cost = vendor::read(&mut usage, provider, bill)?;

    // Embedding and rerank endpoints of some providers state the total alone: all of it is input.
    let input = match (input, output, total) {
        (None, None, Some(total)) => {
            stated = true;
            Some(total)
        }
        _ => input,
    };
    // Parts of a total that is not stated are larger than it.
    let text = rest(
        || usage.path_of(names.input),
        input.unwrap_or(0),
        &prompt.parts(),
    )?;
    if let Some(input) = input {
        prompt.check_misses(|| usage.path_of(names.input), input)?;
        bill.pools.stated(Meter::Input, text)?;
        prompt.bill(bill)?;
    }
    let beside = completion.reasoning_beside(&usage, provider, input, output, total)?;
    let inside = if beside.is_some() {
        0
    } else {
        completion.reasoning
    };
    let text = rest(
        || usage.path_of(names.output),
        output.unwrap_or(0),
        &[inside, completion.audio, completion.image],
    )?;
    if output.is_some() {
        let meter = if says_what_it_made {
            Meter::Output
        } else {
            names.output_meter.clone()
        };
        bill.pools.stated(meter, text)?;
        bill.pools
            .detail(Meter::Reasoning, beside.unwrap_or(inside))?;
        bill.pools.detail(Meter::OutputAudio, completion.audio)?;
        bill.pools.detail(Meter::OutputImage, completion.image)?;
    }
    usage.leftovers(&mut bill.unrecognised);
    Ok(stated || has_cost)
}

/// The parts of the input total.
#[derive(Default)]
struct Prompt {
    cached: u64,
    /// DeepSeek's complement of the hits, where it is stated.
    missed: Option<u64>,
    written: u64,
    audio: u64,
    image: u64,
    video: u64,
    /// Cached tokens that are already in `cached`, by modality; taken out of that modality.
    cached_audio: u64,
    cached_image: u64,
}

impl Prompt {
    fn read(usage: &mut Fields, names: &Names, bill: &mut Bill) -> Result<Self, UsageError> {
        let mut cached = OneFact::default();
        cached.read(usage, "prompt_cache_hit_tokens")?;
        cached.read(usage, "cached_tokens")?;
        cached.read(usage, "num_cached_tokens")?;
        let mut prompt = Self {
            missed: usage.count("prompt_cache_miss_tokens")?,
            ..Self::default()
        };
        if let Some(mut details) = usage.object(names.input_details)? {
            cached.read(&mut details, "cached_tokens")?;
            prompt.written = details.count("cache_write_tokens")?.unwrap_or(0);
            prompt.audio = details.count("audio_tokens")?.unwrap_or(0);
            prompt.image = details.count("image_tokens")?.unwrap_or(0);
            prompt.video = details.count("video_tokens")?.unwrap_or(0);
            details.count("text_tokens")?;
            if let Some(mut split) = details.object("cached_tokens_details")? {
                prompt.cached_audio = split.count("audio_tokens")?.unwrap_or(0);
                prompt.cached_image = split.count("image_tokens")?.unwrap_or(0);
                split.count("text_tokens")?;
                split.leftovers(&mut bill.unrecognised);
            }
            prompt.audio = rest(
                || details.path_of("audio_tokens"),
                prompt.audio,
                &[prompt.cached_audio],
            )?;
            prompt.image = rest(
                || details.path_of("image_tokens"),
                prompt.image,
                &[prompt.cached_image],
            )?;
            details.leftovers(&mut bill.unrecognised);
        }
        prompt.cached = cached.value();
        rest(
            || usage.path_of(names.input_details),
            prompt.cached,
            &[prompt.cached_audio, prompt.cached_image],
        )?;
        Ok(prompt)
    }

    /// Hits and misses are the whole prompt.
    fn check_misses(&self, path: impl FnOnce() -> String, input: u64) -> Result<(), UsageError> {
        let parts = match self.missed {
            Some(missed) => sum(&[self.cached, missed]),
            None => return Ok(()),
        };
        if parts == input {
            return Ok(());
        }
        Err(UsageError::TotalMismatch {
            path: path(),
            total: input,
            parts,
        })
    }

    const fn parts(&self) -> [u64; 5] {
        [
            self.cached,
            self.written,
            self.audio,
            self.image,
            self.video,
        ]
    }

    fn bill(&self, bill: &mut Bill) -> Result<(), UsageError> {
        let cached_text = rest(
            || "cached_tokens".to_owned(),
            self.cached,
            &[self.cached_audio, self.cached_image],
        )?;
        let pools = &mut bill.pools;
        pools.detail(Meter::CacheRead, cached_text)?;
        let modality = |name| attribute("modality", name);
        pools.detail_with(Meter::CacheRead, self.cached_audio, modality("audio"))?;
        pools.detail_with(Meter::CacheRead, self.cached_image, modality("image"))?;
        pools.detail(Meter::CacheWrite5m, self.written)?;
        pools.detail(Meter::InputAudio, self.audio)?;
        pools.detail(Meter::InputImage, self.image)?;
        pools.detail(Meter::InputVideo, self.video)
    }
}

/// The parts of the output total.
#[derive(Default)]
struct Completion {
    reasoning: u64,
    /// Stated outside the details, which one provider does for tokens beside the output.
    reasoning_is_beside: bool,
    audio: u64,
    image: u64,
}

impl Completion {
    fn read(usage: &mut Fields, names: &Names, bill: &mut Bill) -> Result<Self, UsageError> {
        let mut completion = Self::default();
        let mut reasoning = OneFact::default();
        if let Some(mut details) = usage.object(names.output_details)? {
            reasoning.read(&mut details, "reasoning_tokens")?;
            completion.audio = details.count("audio_tokens")?.unwrap_or(0);
            completion.image = details.count("image_tokens")?.unwrap_or(0);
            for included in [
                "text_tokens",
                "accepted_prediction_tokens",
                "rejected_prediction_tokens",
            ] {
                details.count(included)?;
            }
            details.leftovers(&mut bill.unrecognised);
        }
        let in_details = reasoning.is_stated();
        reasoning.read(usage, "reasoning_tokens")?;
        completion.reasoning_is_beside = reasoning.is_stated() && !in_details;
        completion.reasoning = reasoning.value();
        Ok(completion)
    }

    /// The reasoning tokens, if they stand beside the output rather than inside it.
    fn reasoning_beside(
        &self,
        usage: &Fields,
        provider: &str,
        input: Option<u64>,
        output: Option<u64>,
        total: Option<u64>,
    ) -> Result<Option<u64>, UsageError> {
        let (Some(output), Some(total)) = (output, total) else {
            let unsaid = output.is_some() && self.reasoning > 0 && provider == "xai";
            return Ok(unsaid.then_some(self.reasoning));
        };
        let parts = sum(&[input.unwrap_or(0), output]);
        if provider == "perplexity" && self.reasoning_is_beside && total == parts {
            // Perplexity's total covers neither citation nor reasoning tokens.
            return Ok(Some(self.reasoning));
        }
        if total == parts {
            return Ok(None);
        }
        if self.reasoning > 0 && total == sum(&[parts, self.reasoning]) {
            return Ok(Some(self.reasoning));
        }
        if matches!(provider, "google" | "vertex_ai") && self.reasoning == 0 && total > parts {
            return rest(|| usage.path_of("total_tokens"), total, &[parts]).map(Some);
        }
        Err(UsageError::TotalMismatch {
            path: usage.path_of("total_tokens"),
            total,
            parts,
        })
    }
}

/// One fact under several names. Names that disagree are an error.
#[derive(Default)]
struct OneFact(Option<(String, u64)>);

impl OneFact {
    fn read(&mut self, fields: &mut Fields, key: &str) -> Result<(), UsageError> {
        let Some(value) = fields.count(key)? else {
            return Ok(());
        };
        match &self.0 {
            Some((other_path, other_value)) if *other_value != value => Err(UsageError::Conflict {
                path: fields.path_of(key),
                value,
                other_path: other_path.clone(),
                other_value: *other_value,
            }),
            Some(_) => Ok(()),
            None => {
                self.0 = Some((fields.path_of(key), value));
                Ok(())
            }
        }
    }

    const fn is_stated(&self) -> bool {
        self.0.is_some()
    }

    fn value(&self) -> u64 {
        self.0.as_ref().map_or(0, |(_, value)| *value)
    }
}
