//! Perplexity: citations, searches and reasoning beside the totals, and what each cost.
//!
//! A deep research states its search queries. Every other answer is one search, priced by the size
//! of its context; its usage says the size alone. `cost.total_cost` is the whole call in USD, so it
//! is the provider cost.
//!
//! Source: Perplexity, "Sonar API: chat completions" and "Pricing" (November 2026).

use super::super::Bill;
use crate::error::UsageError;
use crate::fields::Fields;
use crate::pools::attribute;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;

pub(in crate::family) const SOURCES: &[Source] = &[
    row("perplexity", "chat", "usage.num_search_queries", "search"),
    row(
        "perplexity",
        "chat",
        "usage.search_context_size",
        "search{context_size=}",
    ),
    row("perplexity", "chat", "usage.citation_tokens", "citation"),
    row("perplexity", "chat", "usage.reasoning_tokens", "reasoning"),
    row(
        "perplexity",
        "chat",
        "usage.cost.total_cost",
        "the provider cost in USD",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.input_tokens_cost",
        "a part of the total cost",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.output_tokens_cost",
        "a part of the total cost",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.citation_tokens_cost",
        "a part of the total cost",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.reasoning_tokens_cost",
        "a part of the total cost",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.search_queries_cost",
        "a part of the total cost",
    ),
    row(
        "perplexity",
        "chat",
        "usage.cost.request_cost",
        "a part of the total cost",
    ),
];

const PARTS: [&str; 6] = [
    "input_tokens_cost",
    "output_tokens_cost",
    "citation_tokens_cost",
    "reasoning_tokens_cost",
    "search_queries_cost",
    "request_cost",
];

pub(super) fn read(usage: &mut Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    let queries = usage.count("num_search_queries")?;
    let size = usage.text("search_context_size")?;
    match (queries, size) {
        (Some(queries), _) => bill.pools.detail(Meter::Search, queries)?,
        (None, Some(size)) => {
            bill.pools
                .detail_with(Meter::Search, 1, attribute("context_size", &size))?;
        }
        (None, None) => {}
    }
    let citations = usage.count("citation_tokens")?.unwrap_or(0);
    bill.pools
        .detail(Meter::Other("citation".into()), citations)?;
    if let Some(mut cost) = usage.object("cost")? {
        bill.provider_cost_usd = cost.amount("total_cost")?;
        for part in PARTS {
            cost.amount(part)?;
        }
        cost.leftovers(&mut bill.unrecognised);
    }
    Ok(bill.provider_cost_usd.is_some())
}
