//! Providers that add no field of their own to OpenAI's usage object, or one that every compatible
//! provider may use.
//!
//! - Together, Moonshot: `cached_tokens` beside the totals, which stand inside the prompt.
//! - Mistral, vLLM: `num_cached_tokens`, the same.
//! - Fireworks, vLLM, SGLang, LM Studio: `prompt_tokens_details.cached_tokens`; `null` details.
//! - vLLM with `continuous_usage_stats`: usage in every chunk, cumulative.
//!
//! Sources: Together AI, "Chat completions" reference; Fireworks, "Prompt caching" guide; vLLM,
//! "OpenAI-compatible server" (all November 2026).

use crate::source::{Source, row};

pub(in crate::family) const SOURCES: &[Source] = &[
    row("*", "chat", "usage.cached_tokens", "cache_read"),
    row("*", "chat", "usage.num_cached_tokens", "cache_read"),
    row("*", "chat", "usage.reasoning_tokens", "reasoning"),
    row(
        "moonshot",
        "chat",
        "choices[].usage",
        "usage, where the chunk has none of its own",
    ),
];
