//! What limit on output a wallet could afford: told beside a refusal, found in a few questions.
//!
//! Each question is a call of the policy, and whoever has no credits may ask all day: so there are at
//! most [`QUESTIONS_MAX`], each through the breaker. A worst case that grows evenly with its limit, as
//! nearly all do, has its edge found by drawing a line through what is known; of any other the answer
//! still fits, but more might.

use super::Service;
use super::breaker::Question;
use super::calls::{Call, WorstCase};
use farebox_ledger::ids::OrgId;
use farebox_pricing::money::Nanos;

/// The most that a policy is asked for one refusal.
const QUESTIONS_MAX: usize = 8;

impl Service {
    /// The largest limit on output tokens that was found with which the call's worst case is at most
    /// `available`; `None` when not even one token fits, or the call has no output.
    pub(super) fn affordable_output(
        &self,
        org: OrgId,
        call: &Call,
        worst: &WorstCase,
        available: Nanos,
    ) -> Option<u64> {
        let cost = |tokens: u64| {
            let mut request = call.request.clone();
            request.max_output_tokens = Some(tokens);
            let quote = self.ask(worst.release, org, Question::Quote, || {
                self.engine.quote(&worst.release, &request, &worst.facts)
            });
            self.hold_amount(&quote.ok()?, &worst.facts).ok()
        };
        let too_much = (worst.quote.max_output_tokens?, worst.amount);
        largest(too_much, available, cost)
    }
}

/// A limit on output, and what the call may cost with it.
type Point = (u64, Nanos);

/// The largest limit that was found below one that costs `too_much`.
fn largest(
    too_much: Point,
    available: Nanos,
    mut cost: impl FnMut(u64) -> Option<Nanos>,
) -> Option<u64> {
    let (mut fits, mut over) = ((1, Nanos::ZERO), too_much);
    if over.0 <= fits.0 {
        return None;
    }
    fits.1 = cost(fits.0).filter(|cost| *cost <= available)?;
    for question in 1..QUESTIONS_MAX {
        let highest = over.0.checked_sub(1)?;
        if highest <= fits.0 {
            break;
        }
        // Along a bent line the drawn one may come no nearer from one side: halving does.
        let guess = match question % 3 {
            0 => Some(fits.0.midpoint(over.0)),
            _ => along(fits, over, available),
        };
        let tokens = guess?.clamp(fits.0.saturating_add(1), highest);
        match cost(tokens) {
            Some(cost) if cost <= available => fits = (tokens, cost),
            Some(cost) => over = (tokens, cost),
            None => break,
        }
    }
    Some(fits.0)
}

/// Where the line through both points reaches `available`.
fn along(fits: Point, over: Point, available: Nanos) -> Option<u64> {
    let [low, high, edge] = [fits.1, over.1, available].map(|nanos| i128::from(nanos.get()));
    let width = i128::from(over.0.checked_sub(fits.0)?);
    let rise = high.checked_sub(low)?;
    let steps = edge
        .checked_sub(low)?
        .checked_mul(width)?
        .checked_div(rise)
        .unwrap_or_default();
    fits.0.checked_add(u64::try_from(steps).ok()?)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]
mod tests {
    use super::*;

    fn nanos(amount: u64) -> Nanos {
        Nanos::new(i64::try_from(amount).unwrap()).unwrap()
    }

    /// What is found, and in how many questions.
    fn find(max: u64, available: u64, cost: impl Fn(u64) -> u64) -> (Option<u64>, usize) {
        let mut asked = 0;
        let found = largest((max, nanos(cost(max))), nanos(available), |tokens| {
            asked += 1;
            Some(nanos(cost(tokens)))
        });
        (found, asked)
    }

    #[test]
    fn where_a_price_grows_evenly_the_edge_is_found_exactly() {
        for max in [2_u64, 3, 100, 16_384, 1 << 40] {
            for (base, each) in [(0_u64, 7_u64), (1_000, 3), (12, 1)] {
                let cost = |tokens: u64| base + tokens * each;
                for tokens in [1, 2, max / 3, max / 2, max - 1] {
                    if tokens == 0 || tokens >= max {
                        continue;
                    }
                    let (found, asked) = find(max, cost(tokens) + each - 1, cost);
                    assert_eq!(found, Some(tokens), "{max} {base} {each}");
                    assert!(asked <= 4, "{asked} questions for {tokens} of {max}");
                }
            }
        }
    }

    #[test]
    fn whatever_the_curve_what_is_found_fits_and_few_questions_are_asked() {
        let bent = |tokens: u64| match tokens {
            0..500 => tokens,
            _ => 500 + (tokens - 500) * 1_000,
        };
        let stairs = |tokens: u64| tokens / 1_000 * 1_000_000;
        for cost in [bent, stairs] {
            for available in [1, 499, 700, 40_000, 3_000_000] {
                let (found, asked) = find(u64::from(u32::MAX), available, cost);
                assert!(asked <= QUESTIONS_MAX);
                assert!(cost(found.unwrap()) <= available);
            }
        }
    }

    #[test]
    fn nothing_fits_where_one_token_costs_too_much_or_the_policy_fails() {
        assert_eq!(find(100, 9, |tokens| 10 + tokens).0, None);
        assert_eq!(find(1, 9, |_| 10), (None, 0));
        assert_eq!(largest((9, nanos(9)), nanos(1), |_| None), None);
    }
}
