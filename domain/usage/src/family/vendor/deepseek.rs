//! DeepSeek: hits and misses of the prompt cache, which are the whole prompt.
//!
//! The hits are also stated as `prompt_tokens_details.cached_tokens`; they are counted once, and
//! two names that disagree are refused, as are hits and misses that are not the prompt.
//!
//! Source: DeepSeek API docs, "Context caching" and "Create chat completion" (November 2026).

use crate::source::{Source, row};

pub(in crate::family) const SOURCES: &[Source] = &[
    row(
        "deepseek",
        "chat",
        "usage.prompt_cache_hit_tokens",
        "cache_read",
    ),
    row(
        "deepseek",
        "chat",
        "usage.prompt_cache_miss_tokens",
        "checks the prompt",
    ),
];
