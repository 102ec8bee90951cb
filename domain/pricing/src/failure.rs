//! What is charged for a call that did not end well, by the rules of its book.
//!
//! The host says how the call ended; the book says what follows. Pure, so that a preview and the
//! settlement are one decision. It must not know streams, HTTP or holds.

use crate::answer::Refusal;
use crate::book::{Estimate, FailureAction, FailureRules};
use crate::canonical::BookView;
use crate::event::UsageEvent;
use crate::exact;
use crate::meter::{Meter, Pool, Quantity};
use crate::rating::{max_output_tokens, model_max_output_tokens};
use rust_decimal::{Decimal, RoundingStrategy};

/// How a call ended that did not end well. In order of precedence: of several, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway ended the stream: what it came to had passed what was put aside for it.
    CutOff,
    /// The caller went away before the end of the answer.
    ClientAbort,
    /// The provider answered with an error, perhaps after a part of the answer.
    UpstreamError,
    /// The answer is whole and does not say what was used.
    NoUsage,
    /// The stream ended before its last usage.
    PartialStream,
    /// The answer says that nothing was used.
    ZeroUsage,
}

impl Outcome {
    /// Every outcome, in order of precedence.
    pub const ALL: [Self; 6] = [
        Self::CutOff,
        Self::ClientAbort,
        Self::UpstreamError,
        Self::NoUsage,
        Self::PartialStream,
        Self::ZeroUsage,
    ];

    /// The outcome with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// The word for it in books.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutOff => "cut_off",
            Self::ClientAbort => "client_abort",
            Self::UpstreamError => "upstream_error",
            Self::NoUsage => "no_usage",
            Self::PartialStream => "partial_stream",
            Self::ZeroUsage => "zero_usage",
        }
    }
}

/// What is known of the end of a call, apart from what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The gateway ended the stream because its money was spent.
    pub cut_off: bool,
    /// The caller went away before the end of the answer.
    pub aborted: bool,
    /// The provider answered with an error: by its status, or in the answer.
    pub failed: bool,
    /// The answer does not say what was used.
    pub unstated: bool,
    /// The answer ended before its last usage.
    pub partial: bool,
}

impl Outcome {
    /// How a call ended, where it did not end well: of several outcomes, the first that holds.
    /// `event` is what was used, where that was stated.
    pub fn of(ending: Ending, event: Option<&UsageEvent>) -> Option<Self> {
        let is_zero = |event: &UsageEvent| {
            let pools = &event.pools;
            !pools.is_empty()
                && pools.iter().all(|pool| pool.quantity.is_zero())
                && event.provider_cost_usd.is_none()
        };
        [
            (ending.cut_off, Self::CutOff),
            (ending.aborted, Self::ClientAbort),
            (ending.failed, Self::UpstreamError),
            (ending.unstated, Self::NoUsage),
            (ending.partial, Self::PartialStream),
            (event.is_some_and(is_zero), Self::ZeroUsage),
        ]
        .into_iter()
        .find_map(|(is, outcome)| is.then_some(outcome))
    }
}

impl FailureRules {
    /// What is done about a call that ended so. No book says another thing of a stream that was cut
    /// off: what was streamed is charged.
    pub const fn action(&self, outcome: Outcome) -> FailureAction {
        match outcome {
            Outcome::CutOff => FailureAction::Estimate,
            Outcome::ClientAbort => self.client_abort,
            Outcome::UpstreamError => self.upstream_error,
            Outcome::NoUsage => self.no_usage,
            Outcome::PartialStream => self.partial_stream,
            Outcome::ZeroUsage => self.zero_usage,
        }
    }
}

/// What an estimate needs of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes of its body.
    pub body_bytes: u64,
    /// Its own limit on output tokens, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// Bytes of text that its answer had streamed when it was cut off.
    pub streamed_bytes: u64,
}

/// What becomes of a call that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// What was seen is rated.
    Seen,
    /// It is charged nothing.
    Nothing,
    /// It has no price, and keeps its hold.
    Hold,
    /// These pools are rated: what was seen, and estimates of the rest.
    Estimated(Vec<Pool>),
}

/// What `book` does about `event`, of which `outcome` is known. An estimate needs the request:
/// without it the call is held.
///
/// # Errors
/// A quantity is out of range.
pub fn settle(
    book: &BookView,
    outcome: Outcome,
    event: &UsageEvent,
    request: Option<Request>,
) -> Result<Settlement, Refusal> {
    let rules = &book.terms().failure_rules;
    if outcome == Outcome::CutOff {
        return Ok(match request {
            Some(request) => Settlement::Estimated(streamed(book, event, request)?),
            None => Settlement::Hold,
        });
    }
    Ok(match (rules.action(outcome), request) {
        (FailureAction::Nothing, _) => Settlement::Nothing,
        (FailureAction::Hold, _) | (FailureAction::Estimate, None) => Settlement::Hold,
        (FailureAction::Seen, _) => Settlement::Seen,
        (FailureAction::Estimate, Some(request)) => {
            let max = match request.max_output_tokens {
                Some(max) => max,
                None => max_output_tokens(book, &event.provider, event.model()),
            };
            Settlement::Estimated(estimated(&rules.estimate, event, request.body_bytes, max)?)
        }
    })
}

/// So many bytes of text to a token, no text is. A limit that the request sets is believed until
/// its answer is longer than that.
const TOKEN_BYTES_MAX: u64 = 16;

/// What a stream has come to that has not ended: the pools that were stated, with prompt tokens
/// where none were and output tokens for the text that was streamed. What was stated is never made
/// less; and where the request or its model limits the output, text alone is never taken for more.
///
/// # Errors
/// A quantity is out of range.
pub fn streamed(
    book: &BookView,
    event: &UsageEvent,
    request: Request,
) -> Result<Vec<Pool>, Refusal> {
    let rules = &book.terms().failure_rules.estimate;
    let limit = request
        .max_output_tokens
        .or_else(|| model_max_output_tokens(book, &event.provider, event.model()));
    let tokens = rules.tokens(request.streamed_bytes);
    let tokens = match limit {
        Some(limit) => tokens.min(limit.max(request.streamed_bytes / TOKEN_BYTES_MAX)),
        None => tokens,
    };
    completed(rules, event, request.body_bytes, Decimal::from(tokens))
}

/// The most bytes of text with which [`streamed`] says no more than so many output tokens.
pub fn text_within(book: &BookView, tokens: u64) -> u64 {
    let rules = &book.terms().failure_rules.estimate;
    tokens.saturating_mul(u64::from(rules.bytes_per_token.max(1)))
}

impl Estimate {
    fn tokens(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.bytes_per_token.max(1)))
    }
}

/// The pools that were seen, with prompt tokens where none were stated and output tokens up to the
/// estimate. What was stated is never made less.
fn estimated(
    rules: &Estimate,
    event: &UsageEvent,
    body_bytes: u64,
    max_output_tokens: u64,
) -> Result<Vec<Pool>, Refusal> {
    let most = exact::mul(Decimal::from(max_output_tokens), rules.output_share);
    let most = most.map_err(|_| out_of_range())?;
    let most = most.round_dp_with_strategy(0, RoundingStrategy::AwayFromZero);
    completed(rules, event, body_bytes, most)
}

fn completed(
    rules: &Estimate,
    event: &UsageEvent,
    body_bytes: u64,
    output_tokens: Decimal,
) -> Result<Vec<Pool>, Refusal> {
    let mut pools = event.pools.clone();
    let seen = |of: &dyn Fn(&Meter) -> bool| {
        let pools = event.pools.iter().filter(|pool| of(&pool.meter));
        exact::sum(pools.map(|pool| pool.quantity.get())).map_err(|_| out_of_range())
    };
    if seen(&Meter::is_prompt_tokens)?.is_zero() {
        add(
            &mut pools,
            Meter::Input,
            Decimal::from(rules.tokens(body_bytes)),
        )?;
    }
    let output = seen(&|meter| matches!(meter, Meter::Output | Meter::Reasoning))?;
    if output_tokens > output {
        let missing = exact::sub(output_tokens, output).map_err(|_| out_of_range())?;
        add(&mut pools, Meter::Output, missing)?;
    }
    Ok(pools)
}

fn out_of_range() -> Refusal {
    super::rating::out_of_range("estimate")
}

/// Adds to the plain pool of `meter`, or makes one in canonical order.
fn add(pools: &mut Vec<Pool>, meter: Meter, more: Decimal) -> Result<(), Refusal> {
    if more.is_zero() {
        return Ok(());
    }
    let mut plain = pools.iter_mut();
    match plain.find(|pool| pool.meter == meter && pool.attributes.is_empty()) {
        Some(pool) => {
            let sum = exact::add(pool.quantity.get(), more).map_err(|_| out_of_range())?;
            pool.quantity = Quantity::of(&meter, sum).map_err(|_| out_of_range())?;
        }
        None => {
            let quantity = Quantity::of(&meter, more).map_err(|_| out_of_range())?;
            Pool::new(meter, quantity).put_among(pools);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::{event, small_book, view};

    fn settled(action: FailureAction, pools: &[(Meter, u32)], known: bool) -> Settlement {
        let mut book = small_book(&[(Meter::Input, "0.01")], "1");
        book.failure_rules.client_abort = action;
        book.failure_rules.estimate = Estimate {
            bytes_per_token: 3,
            output_share: Decimal::new(5, 1),
        };
        let request = known.then_some(Request {
            body_bytes: 100,
            max_output_tokens: None,
            streamed_bytes: 0,
        });
        settle(&view(&book), Outcome::ClientAbort, &event(pools), request).unwrap()
    }

    fn shown(settlement: Settlement) -> Vec<String> {
        let Settlement::Estimated(pools) = settlement else {
            panic!("{settlement:?}");
        };
        let pools = pools.iter();
        pools
            .map(|pool| format!("{} {}", pool.meter.name(), pool.quantity.get()))
            .collect()
    }

    #[test]
    fn the_book_decides() {
        let seen = [(Meter::Input, 7)];
        assert_eq!(
            settled(FailureAction::Nothing, &seen, true),
            Settlement::Nothing
        );
        assert_eq!(settled(FailureAction::Hold, &seen, true), Settlement::Hold);
        assert_eq!(settled(FailureAction::Seen, &seen, true), Settlement::Seen);
        // Nothing is known of the request: nobody can estimate.
        assert_eq!(
            settled(FailureAction::Estimate, &seen, false),
            Settlement::Hold
        );
    }

    #[test]
    fn an_estimate_fills_what_nobody_stated() {
        let estimate = |pools: &[_]| shown(settled(FailureAction::Estimate, pools, true));
        // 100 bytes by 3 are 34 tokens; half of the model's 1,000 are 500.
        assert_eq!(estimate(&[]), ["input 34", "output 500"]);
        assert_eq!(estimate(&[(Meter::Input, 7)]), ["input 7", "output 500"]);
        assert_eq!(
            estimate(&[
                (Meter::CacheRead, 9),
                (Meter::Output, 100),
                (Meter::Reasoning, 50)
            ]),
            ["cache_read 9", "output 450", "reasoning 50"]
        );
        // What was stated is never made less.
        assert_eq!(
            estimate(&[(Meter::Input, 7), (Meter::Output, 501)]),
            ["input 7", "output 501"]
        );
    }

    #[test]
    fn what_was_streamed_is_charged_and_no_more_than_a_limit_allows() {
        let mut book = small_book(&[(Meter::Input, "0.01")], "1");
        book.failure_rules.estimate.bytes_per_token = 4;
        book.models[0].max_output_tokens = None;
        let cut = |pools: &[_], max_output_tokens, streamed_bytes| {
            let request = Request {
                body_bytes: 100,
                max_output_tokens,
                streamed_bytes,
            };
            let outcome = Outcome::CutOff;
            shown(settle(&view(&book), outcome, &event(pools), Some(request)).unwrap())
        };
        assert_eq!(cut(&[], None, 401), ["input 25", "output 101"]);
        let stated = [
            (Meter::CacheRead, 9),
            (Meter::Output, 1),
            (Meter::Reasoning, 50),
        ];
        assert_eq!(
            cut(&stated, None, 400),
            ["cache_read 9", "output 50", "reasoning 50"]
        );
        assert_eq!(
            cut(&stated, None, 4),
            ["cache_read 9", "output 1", "reasoning 50"]
        );
        // Its words are long, and it keeps its limit.
        assert_eq!(cut(&[], Some(100), 1600), ["input 25", "output 100"]);
        // No words are that long.
        assert_eq!(cut(&[], Some(100), 1616), ["input 25", "output 101"]);
    }

    #[test]
    fn the_limit_is_that_of_the_model_by_which_the_call_is_priced() {
        let estimate = |provider: &str, model: &str, book: &crate::book::Book| {
            let mut event = event(&[(Meter::Input, 7)]);
            event.provider = provider.into();
            event.model_asked = Some(model.into());
            let request = Request {
                body_bytes: 0,
                max_output_tokens: None,
                streamed_bytes: 0,
            };
            let outcome = Outcome::ClientAbort;
            shown(settle(&view(book), outcome, &event, Some(request)).unwrap())
        };
        let mut book = small_book(&[(Meter::Input, "0.01")], "1");
        book.failure_rules.client_abort = FailureAction::Estimate;
        // A related provider's model has a limit of 1,000; the book's default is 4,096.
        assert_eq!(estimate("azure", "m", &book), ["input 7", "output 1000"]);
        assert_eq!(estimate("openai", "x", &book), ["input 7", "output 4096"]);
        let mut model = book.models[0].clone();
        (model.provider, model.name) = ("*".into(), "default-rate".into());
        model.prefixes.clear();
        model.max_output_tokens = Some(50);
        book.unknown_models = crate::book::UnknownModels::DefaultRate {
            model: Box::new(model),
        };
        assert_eq!(estimate("openai", "x", &book), ["input 7", "output 50"]);
    }
}
