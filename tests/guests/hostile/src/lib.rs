//! One guest that misbehaves on demand: its book's name says how. It is written on the raw
//! bindings, because the SDK's types cannot even say much of what it answers.
#![cfg(target_family = "wasm")]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "breaks every rule on purpose, and ships to nobody"
)]

mod honest;
mod lie;
mod modes;
mod raw;
mod strain;

use farebox_sdk::pricing::canonical::BookView;
use honest::Honest;
use raw::{Raw, bindings};
use std::cell::Cell;

use bindings::exports::farebox::policy::policy as wit;

struct Component;

impl wit::Guest for Component {
    type Policy = Hostile;
}

bindings::export!(Component with_types_in raw::bindings);

struct Hostile {
    mode: String,
    honest: Raw<Honest>,
    calls: Cell<u64>,
}

impl wit::GuestPolicy for Hostile {
    fn load(canonical_book: Vec<u8>) -> Result<wit::Policy, wit::ConfigError> {
        let book = BookView::open(canonical_book)
            .map_err(|error| wit::ConfigError::Malformed(error.to_string()))?;
        let mode = book.terms().name.to_string();
        match mode.as_str() {
            modes::SPIN_IN_LOAD => strain::spin(),
            modes::ALLOCATE_IN_LOAD => strain::allocate(),
            _ => {}
        }
        Ok(wit::Policy::new(Self {
            mode,
            honest: Raw(Honest::new(book)),
            calls: Cell::new(0),
        }))
    }

    fn quote(&self, request: wit::QuoteRequest) -> Result<wit::Quote, wit::Refusal> {
        let mut quote = self.honest.quote(request)?;
        if self.mode == modes::LOW_QUOTE {
            (quote.lines, quote.total_usd) = lie::one_nano(wit::LineKind::ProviderCost);
        }
        Ok(quote)
    }

    fn rate(&self, mut request: wit::RateRequest) -> Result<wit::Rating, wit::Refusal> {
        self.calls.set(self.calls.get() + 1);
        strain::perhaps(&self.mode, &request);
        if self.mode == modes::LONG_REFUSAL {
            return Err(wit::Refusal::OutOfRange(lie::long_text(4 << 20)));
        }
        if self.mode == modes::CLAMP {
            lie::clamp(&mut request.event.pools);
        }
        let is_own = request.facts.caller.key_source == wit::KeySource::Own;
        let mut rating = self.honest.rate(request)?;
        if !is_own || self.mode != modes::DEARER_THAN_QUOTED {
            lie::perhaps(&self.mode, self.calls.get(), &mut rating);
        }
        Ok(rating)
    }

    fn rate_batch(
        &self,
        callers: Vec<wit::Caller>,
        requests: Vec<wit::BatchRequest>,
    ) -> Vec<Result<wit::Rating, wit::Refusal>> {
        if self.mode == modes::TRAP_IN_FULL_BATCH && requests.len() > 100 {
            core::arch::wasm32::unreachable();
        }
        let mut answers: Vec<_> = requests
            .into_iter()
            .map(|request| {
                self.rate(wit::RateRequest {
                    event: request.event,
                    facts: wit::Facts {
                        caller: callers[request.caller as usize].clone(),
                        occurred_at_ms: request.occurred_at_ms,
                        month_to_date_usd: request.month_to_date_usd,
                    },
                })
            })
            .collect();
        match self.mode.as_str() {
            modes::SHORT_BATCH => {
                answers.pop();
            }
            modes::REFUSED_LAST if answers.iter().filter(|answer| answer.is_err()).count() > 1 => {
                answers.sort_by_key(Result::is_err);
            }
            modes::ANSWER_NOTHING if answers.is_empty() => {
                answers.push(Err(wit::Refusal::OutOfRange(String::new())));
            }
            _ => {}
        }
        answers
    }

    fn rate_card(
        &self,
        mut request: wit::RateCardRequest,
    ) -> Result<wit::RateCardPage, wit::Refusal> {
        match self.mode.as_str() {
            modes::TRAP_ON_CARD => core::arch::wasm32::unreachable(),
            modes::LONG_PAGES => request.limit = 500,
            modes::SAME_PAGE => request.after = None,
            _ => {}
        }
        self.honest.rate_card(request)
    }

    fn describe(&self) -> wit::Description {
        self.honest.describe()
    }
}
