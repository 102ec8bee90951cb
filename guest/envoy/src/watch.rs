//! Whether a running stream has passed what is put aside for it, without pricing it event by event.
//!
//! A price is asked for seldom: each time it is also asked how much more text there may be before
//! the next look, so most events cost two comparisons of integers. Near the end the looks come
//! closer, down to the byte, so that the first event beyond is the one that is found. Usage that
//! the provider restates meanwhile may count what no text shows; it is looked at more often the
//! more of the money is gone. Must not know what prices depend on.

/// The most text between two looks, in bytes.
const STEP_MAX: u64 = 16 << 10;
/// By how much steps grow and shrink.
const FACTOR: u64 = 4;
/// How many times usage is restated between two looks, while at most half of the money is gone.
const SELDOM: u64 = 32;
/// The same while at most seven eighths are.
const OFTEN: u64 = 8;

/// What has been seen of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of text.
    pub text_bytes: u64,
    /// How often it stated usage.
    pub stated: u64,
}

/// Watches one stream. Amounts are nano-credits.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    limit: i64,
    /// What it has cost is within the limit up to here.
    within: Seen,
    step: u64,
}

impl Watch {
    /// A stream that may cost `limit`, and does not cost more by `text_bytes` of text alone.
    pub const fn new(limit: i64, text_bytes: u64) -> Self {
        Self {
            limit,
            within: Seen {
                text_bytes,
                stated: 0,
            },
            step: STEP_MAX,
        }
    }

    /// It may cost so much in all.
    pub const fn allow(&mut self, limit: i64) {
        self.limit = limit;
        self.step = STEP_MAX;
    }

    /// What it may cost.
    pub const fn limit(&self) -> i64 {
        self.limit
    }

    /// Whether it is to be looked at.
    pub const fn is_due(&self, seen: Seen) -> bool {
        seen.text_bytes > self.within.text_bytes || seen.stated > self.within.stated
    }

    /// By how much it has passed the limit, if it has. `price` says what it costs with so many bytes
    /// of text, where that is known here: what has no price passes no limit.
    pub fn look(&mut self, seen: Seen, mut price: impl FnMut(u64) -> Option<i64>) -> Option<i64> {
        let cost = price(seen.text_bytes);
        if let Some(cost) = cost
            && cost > self.limit
        {
            return Some(cost.saturating_sub(self.limit));
        }
        self.within.stated = seen.stated.saturating_add(self.pace(cost));
        let mut fits = |text_bytes| price(text_bytes).is_some_and(|cost| cost <= self.limit);
        let is_ahead = self.within.text_bytes > seen.text_bytes;
        if cost.is_none() {
            self.within.text_bytes = seen.text_bytes.saturating_add(STEP_MAX);
        } else if !(is_ahead && fits(self.within.text_bytes)) {
            let mut step = self.step.saturating_mul(FACTOR).min(STEP_MAX);
            while step > 0 && !fits(seen.text_bytes.saturating_add(step)) {
                step /= FACTOR;
            }
            self.step = step;
            self.within.text_bytes = seen.text_bytes.saturating_add(step);
        }
        None
    }

    /// How often usage may be restated until the next look.
    fn pace(&self, cost: Option<i64>) -> u64 {
        match cost {
            None => SELDOM,
            Some(cost) if cost <= self.limit / 2 => SELDOM,
            Some(cost) if cost <= self.limit.saturating_sub(self.limit / 8) => OFTEN,
            Some(_) => 1,
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a stream costs by its text: a fee, so much for each four bytes begun, and more of it
    /// beyond a step.
    #[derive(Clone, Copy, Debug)]
    struct Tariff {
        fee: i64,
        per_token: i64,
        step_at: u64,
        dearer: i64,
    }

    impl Tariff {
        fn cost(self, text_bytes: u64) -> i64 {
            let tokens = i64::try_from(text_bytes.div_ceil(4)).unwrap();
            let per_token = match text_bytes > self.step_at {
                true => self.per_token * self.dearer,
                false => self.per_token,
            };
            self.fee + tokens * per_token
        }
    }

    fn tariff() -> impl Strategy<Value = Tariff> {
        (0..5_000_i64, 0..50_000_i64, 0..200_000_u64, 1..3_i64).prop_map(
            |(fee, per_token, step_at, dearer)| Tariff {
                fee,
                per_token,
                step_at,
                dearer,
            },
        )
    }

    proptest! {
        /// The first event beyond the limit is the one that is found, and no earlier one.
        #[test]
        fn a_stream_is_found_past_its_limit_when_it_is_and_never_before(
            tariff in tariff(),
            limit in 0..100_000_000_i64,
            sure in prop::option::of(0..100_000_u64),
            events in prop::collection::vec(0..2_000_u64, 1..200),
        ) {
            let sure = sure.filter(|sure| tariff.cost(*sure) <= limit);
            let mut watch = Watch::new(limit, sure.unwrap_or(0));
            let mut seen = Seen { text_bytes: 0, stated: 1 };
            let mut asked = 0_u32;
            let mut count = 0_u32;
            for bytes in events {
                seen.text_bytes += bytes;
                count += 1;
                let cost = tariff.cost(seen.text_bytes);
                let short = match watch.is_due(seen) {
                    true => watch.look(seen, |bytes| {
                        asked += 1;
                        Some(tariff.cost(bytes))
                    }),
                    false => None,
                };
                let expect = (cost > limit).then(|| cost - limit);
                prop_assert_eq!(short, expect, "{} of {}", cost, limit);
                if short.is_some() {
                    return Ok(());
                }
            }
            // Even with events of kilobytes, which are ten times as long as any provider's.
            prop_assert!(asked <= count + 120, "{} prices for {} events", asked, count);
        }

        /// Usage that is restated with each event, as Gemini does: found late by a few at most.
        #[test]
        fn restated_usage_is_looked_at_more_often_the_more_is_gone(
            per_event in 1..10_000_i64,
            limit in 1..10_000_000_i64,
        ) {
            let mut watch = Watch::new(limit, 0);
            let (mut seen, mut cost, mut asked) = (Seen::default(), 0, 0_i64);
            loop {
                seen.stated += 1;
                cost += per_event;
                let short = match watch.is_due(seen) {
                    true => watch.look(seen, |_| { asked += 1; Some(cost) }),
                    false => None,
                };
                match short {
                    Some(short) => {
                        prop_assert_eq!(short, cost - limit);
                        break;
                    }
                    None if cost > limit => {
                        let most = i64::try_from(SELDOM).unwrap() * per_event;
                        prop_assert!(cost - limit < most, "{} past {}", cost, limit);
                    }
                    None => {}
                }
            }
        }
    }

    /// The usual stream: within its hold, whose worst case counts more tokens than it has.
    #[test]
    fn a_stream_within_its_worst_case_is_never_priced() {
        let watch = Watch::new(1_000, 65_536);
        for event in 0..1_000 {
            let seen = Seen {
                text_bytes: event * 60,
                stated: 0,
            };
            assert!(!watch.is_due(seen));
        }
    }

    #[test]
    fn near_its_end_a_stream_of_small_events_is_priced_seldom() {
        let limit = 1_000_000;
        let mut watch = Watch::new(limit, 0);
        let (mut events, mut asked) = (0_u64, 0_u64);
        let past = (1..).find(|event| {
            let seen = Seen {
                text_bytes: event * 5,
                stated: 0,
            };
            events += 1;
            let mut price = |bytes: u64| {
                asked += 1;
                i64::try_from(bytes).ok()
            };
            watch.is_due(seen) && watch.look(seen, &mut price).is_some()
        });
        assert_eq!(past, Some(200_001));
        assert!(asked * 500 < events, "{asked} prices of {events} events");
    }

    #[test]
    fn what_has_no_price_passes_no_limit_and_more_money_goes_further() {
        let mut watch = Watch::new(10, 0);
        let seen = |text_bytes| Seen {
            text_bytes,
            stated: 0,
        };
        assert_eq!(watch.look(seen(100), |_| None), None);
        assert!(!watch.is_due(seen(100)));
        let cost = |bytes: u64| i64::try_from(bytes).ok();
        assert_eq!(watch.look(seen(20_000), cost), Some(19_990));
        watch.allow(20_500);
        assert!(watch.is_due(seen(20_000)));
        assert_eq!(watch.look(seen(20_000), cost), None);
        assert!(!watch.is_due(seen(20_256)));
        assert_eq!(watch.look(seen(20_501), cost), Some(1));
    }
}
