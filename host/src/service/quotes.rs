//! Quotes: what a call can cost at most, before it runs; kept where somebody has to approve it.

use super::calls::{Call, CallError};
use super::ledger::directory::{DirectoryWrite, QuoteRecord};
use super::ledger::failure::ReadError;
use super::ledger::write::{Action, Made, WriteError};
use super::{Context, Service};
use farebox_ledger::ids::QuoteId;
use farebox_pricing::answer::Quote;
use farebox_pricing::money::Nanos;

/// How long a kept quote stands, in milliseconds: a day.
const QUOTE_TTL_MS: i64 = 86_400_000;

/// A quote.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// The worst case.
    pub quote: Quote,
    /// The worst case in nano-credits, rounded up.
    pub amount: Nanos,
    /// Under which id it is kept and until when, where that was asked.
    pub kept: Option<(QuoteId, i64)>,
}

/// Why there is no quote.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QuoteError {
    /// The call has no worst case.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The quote could not be kept.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The quote that was kept first cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Service {
    /// What `call` can cost at most.
    ///
    /// # Errors
    /// See [`QuoteError`].
    pub async fn quote(
        &self,
        context: &Context,
        call: &Call,
        keep: bool,
    ) -> Result<Quoted, QuoteError> {
        let worst = self.worst_case(context, call)?;
        if !keep {
            return Ok(Quoted {
                quote: worst.quote,
                amount: worst.amount,
                kept: None,
            });
        }
        let now_ms = self.clock.now_ms();
        let record = QuoteRecord {
            id: QuoteId::new(self.clock.next_id()),
            org: context.org,
            created_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(QUOTE_TTL_MS),
            release: worst.release,
            request: call.request.clone(),
            facts: worst.facts.clone(),
            lines: worst.quote.lines.clone(),
            total_usd: worst.quote.total_usd,
            amount: worst.amount,
            max_output_tokens: worst.quote.max_output_tokens,
        };
        let write = DirectoryWrite::KeepQuote(Box::new(record.clone()));
        let acknowledged = self.write(context, None, Action::Directory(write)).await?;
        // Of a retry nothing was kept now: what stands is the first quote, its price and its end.
        let first = match acknowledged.made {
            Made::Other(first) if acknowledged.replayed => {
                self.store.quote(context.org, QuoteId::new(first))?
            }
            _ => None,
        };
        Ok(Quoted::from(first.unwrap_or(record)))
    }
}

impl From<QuoteRecord> for Quoted {
    fn from(record: QuoteRecord) -> Self {
        Self {
            quote: Quote {
                lines: record.lines,
                total_usd: record.total_usd,
                max_output_tokens: record.max_output_tokens,
            },
            amount: record.amount,
            kept: Some((record.id, record.expires_at_ms)),
        }
    }
}
