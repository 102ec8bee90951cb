//! xAI: the exact cost in ticks, reasoning beside the completion, and its own tools.
//!
//! A tick is 10^-10 USD. The tools that xAI ran are counted in `server_side_tool_usage_details`; only
//! those that succeeded are, while an answer's `output` lists every attempt. `num_sources_used`
//! belongs to the live search that was billed by the source. `context_details` restates how long the
//! context is now, and is not billed.
//!
//! Source: xAI docs, "Cost tracking", "Tool usage details" and "Pricing" (November 2026).

use super::super::Bill;
use crate::error::{QuantityFault, UsageError};
use crate::fields::Fields;
use crate::pools::attribute;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;

/// The field that counts the tools.
pub(in crate::family) const TOOLS: &str = "server_side_tool_usage_details";

const TICK_SCALE: u32 = 10;

pub(in crate::family) const SOURCES: &[Source] = &[
    row(
        "xai",
        "chat",
        "usage.cost_in_usd_ticks",
        "the provider cost in USD, times 10^10",
    ),
    row("xai", "chat", "usage.num_sources_used", "search"),
    row(
        "xai",
        "responses",
        "usage.cost_in_usd_ticks",
        "the provider cost in USD, times 10^10",
    ),
    row("xai", "responses", "usage.num_sources_used", "search"),
    row(
        "xai",
        "responses",
        "usage.server_side_tool_usage_details.web_search_calls",
        "search",
    ),
    row(
        "xai",
        "responses",
        "usage.server_side_tool_usage_details.*_calls",
        "tool_call{tool=}",
    ),
    row(
        "xai",
        "responses",
        "usage.num_server_side_tools_used",
        "the sum of the tools",
    ),
    row(
        "xai",
        "responses",
        "usage.context_details.input_tokens",
        "a length, billed by nobody",
    ),
    row(
        "xai",
        "responses",
        "usage.context_details.output_tokens",
        "a length, billed by nobody",
    ),
    row(
        "xai",
        "images",
        "usage.cost_in_usd_ticks",
        "the provider cost in USD, times 10^10",
    ),
];

pub(super) fn read(usage: &mut Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    if let Some(ticks) = usage.count("cost_in_usd_ticks")? {
        let cost =
            rust_decimal::Decimal::try_new(i64::try_from(ticks).unwrap_or(i64::MAX), TICK_SCALE);
        bill.provider_cost_usd = Some(
            cost.map_err(|_| UsageError::Quantity {
                path: usage.path_of("cost_in_usd_ticks"),
                value: ticks.to_string(),
                fault: QuantityFault::TooFine,
            })?
            .normalize(),
        );
    }
    let sources = usage.count("num_sources_used")?.unwrap_or(0);
    bill.pools.detail(Meter::Search, sources)?;
    usage.count("num_server_side_tools_used")?;
    if let Some(mut context) = usage.object("context_details")? {
        context.count("input_tokens")?;
        context.count("output_tokens")?;
        context.leftovers(&mut bill.unrecognised);
    }
    if let Some(mut tools) = usage.object(TOOLS)? {
        let searches = tools.count("web_search_calls")?.unwrap_or(0);
        bill.pools.detail(Meter::Search, searches)?;
        for key in tools.keys() {
            let Some(tool) = key.strip_suffix("_calls") else {
                continue;
            };
            let calls = tools.count(&key)?.unwrap_or(0);
            bill.pools
                .detail_with(Meter::ToolCall, calls, attribute("tool", tool))?;
        }
        tools.leftovers(&mut bill.unrecognised);
    }
    Ok(bill.provider_cost_usd.is_some())
}
