//! OpenRouter: what the call really cost, under every api it speaks.
//!
//! `usage.cost` is what OpenRouter charged, in USD. With an own key (`is_byok`) that is its fee, and
//! `cost_details.upstream_inference_cost` is what the key's owner pays upstream on top; without one,
//! it repeats `cost`.
//!
//! Source: OpenRouter, "Usage accounting" and "Bring your own keys" (November 2026), and 7 recorded
//! answers.

use super::super::Bill;
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;

pub(in crate::family) const SOURCES: &[Source] = &[
    row(
        "openrouter",
        "chat",
        "usage.cost",
        "the provider cost in USD",
    ),
    row(
        "openrouter",
        "chat",
        "usage.is_byok",
        "whether an own key was used",
    ),
    row(
        "openrouter",
        "chat",
        "usage.cost_details.upstream_inference_cost",
        "the upstream cost in USD, with an own key",
    ),
    row(
        "openrouter",
        "chat",
        "usage.cost_details.upstream_inference_prompt_cost",
        "a part of the upstream cost",
    ),
    row(
        "openrouter",
        "chat",
        "usage.cost_details.upstream_inference_completions_cost",
        "a part of the upstream cost",
    ),
    row(
        "openrouter",
        "chat",
        "usage.server_tool_use.web_search_requests",
        "search",
    ),
    row(
        "openrouter",
        "responses",
        "usage.cost",
        "the provider cost in USD",
    ),
    row(
        "openrouter",
        "responses",
        "usage.cost_details.upstream_inference_cost",
        "the upstream cost in USD, with an own key",
    ),
    row(
        "openrouter",
        "responses",
        "usage.cost_details.upstream_inference_input_cost",
        "a part of the upstream cost",
    ),
    row(
        "openrouter",
        "responses",
        "usage.cost_details.upstream_inference_output_cost",
        "a part of the upstream cost",
    ),
    row(
        "openrouter",
        "messages",
        "usage.cost",
        "the provider cost in USD",
    ),
    row(
        "openrouter",
        "messages",
        "usage.cost_details.upstream_inference_cost",
        "the upstream cost in USD, with an own key",
    ),
];

pub(in crate::family) fn read(usage: &mut Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    bill.provider_cost_usd = usage.amount("cost")?;
    bill.own_key = usage.flag("is_byok")?;
    if let Some(mut details) = usage.object("cost_details")? {
        let upstream = details.amount("upstream_inference_cost")?;
        if bill.own_key == Some(true) {
            bill.upstream_cost_usd = upstream;
        }
        for part in ["prompt", "completions", "input", "output"] {
            details.amount(&format!("upstream_inference_{part}_cost"))?;
        }
        details.leftovers(&mut bill.unrecognised);
    }
    // Under the messages api, the family itself has read this.
    if let Some(mut tools) = usage.object("server_tool_use")? {
        let searches = tools.count("web_search_requests")?.unwrap_or(0);
        bill.pools.detail(Meter::Search, searches)?;
        tools.leftovers(&mut bill.unrecognised);
    }
    Ok(bill.provider_cost_usd.is_some())
}
