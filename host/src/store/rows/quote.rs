//! Kept quotes and free queries in rows.

use super::cbor::{Error, In, Out};
use crate::service::ledger::directory::{QueryRecord, QuoteRecord};
use crate::service::ledger::write::Personal;
use farebox_ledger::ids::{OrgId, QueryId, QuoteId};
use std::sync::Arc;

const VERSION: u8 = 1;

/// All of a quote but its ids.
pub fn quote_body(quote: &QuoteRecord) -> Vec<u8> {
    let mut out = Out::new(VERSION);
    out.put(&quote.created_at_ms)
        .put(&quote.expires_at_ms)
        .put(&quote.release)
        .put(&quote.request)
        .put(&quote.facts)
        .list(&quote.lines)
        .put(&quote.total_usd)
        .put(&quote.amount)
        .put(&quote.max_output_tokens);
    out.into_bytes()
}

/// A quote from its ids and the rest.
///
/// # Errors
/// The bytes are not such a body.
pub fn quote(id: QuoteId, org: OrgId, body: &[u8]) -> Result<QuoteRecord, Error> {
    let mut input = In::new(body, VERSION)?;
    let quote = QuoteRecord {
        id,
        org,
        created_at_ms: input.get()?,
        expires_at_ms: input.get()?,
        release: input.get()?,
        request: input.get()?,
        facts: input.get()?,
        lines: input.list()?,
        total_usd: input.get()?,
        amount: input.get()?,
        max_output_tokens: input.get()?,
    };
    input.end()?;
    Ok(quote)
}

/// All of a query but its ids, its time and who asked.
pub fn query_body(query: &QueryRecord) -> Vec<u8> {
    let mut out = Out::new(VERSION);
    out.put(&query.name)
        .put(&query.source)
        .put(&query.records)
        .put(&*query.dimensions)
        .put(&query.audit);
    out.into_bytes()
}

/// A query from its ids, its time and the rest.
///
/// # Errors
/// The bytes are not such a body.
pub fn query(
    id: QueryId,
    org: OrgId,
    at_ms: i64,
    body: &[u8],
    personal: Personal,
) -> Result<QueryRecord, Error> {
    let mut input = In::new(body, VERSION)?;
    let query = QueryRecord {
        id,
        org,
        at_ms,
        name: input.get()?,
        source: input.get()?,
        records: input.get()?,
        dimensions: Arc::new(input.get()?),
        audit: input.get()?,
        personal,
    };
    input.end()?;
    Ok(query)
}
