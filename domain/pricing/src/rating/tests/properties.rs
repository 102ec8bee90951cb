//! What every book and every event must keep.

use crate::answer::LineKind;
use crate::book::{Book, Charge, ChargeRule, UnknownModels};
use crate::event::KeySource::Managed;
use crate::exact;
use crate::failure;
use crate::generated::terms::declares_a_loss;
use crate::generated::{book_and_call, event, facts, request_for, small_book, view};
use crate::meter::{Meter, Pool, Quantity};
use crate::rating::{cost, quote, rate};
use proptest::prelude::*;
use proptest::sample::Index;
use rust_decimal::Decimal;

/// What prices a whole call or a whole month anew at a threshold: there prices may jump down.
fn without_whole_tiers(book: &mut Book) {
    let unknown = match &mut book.unknown_models {
        UnknownModels::DefaultRate { model } => Some(&mut **model),
        _ => None,
    };
    for model in book.models.iter_mut().chain(unknown) {
        (model.context_inclusive, model.context_marginal) = (false, true);
    }
    if let Some(sale) = &mut book.sale {
        for volume in &mut sale.volumes {
            volume.whole = false;
        }
    }
}

/// What is declared to depend on how usage is cut into calls: fees for each, sizes of each, and
/// terms of sale.
fn without_what_is_of_a_call(book: &mut Book) {
    let unknown = match &mut book.unknown_models {
        UnknownModels::DefaultRate { model } => Some(&mut **model),
        _ => None,
    };
    for model in book.models.iter_mut().chain(unknown) {
        for period in &mut model.periods {
            period.allowances.clear();
            period.tables.retain(|table| table.context_above.is_none());
            for table in &mut period.tables {
                table.rates.retain(|rate| rate.meter != Meter::Request);
            }
        }
    }
    if matches!(book.unknown_models, UnknownModels::Cap { .. }) {
        book.unknown_models = UnknownModels::Refuse;
    }
    book.sale = None;
    book.minimums.clear();
    let is_markup = |rule: &ChargeRule| matches!(rule.charge, Charge::CostPlus { .. });
    book.charge_rules.retain(is_markup);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3072))]

    #[test]
    fn lines_are_exact_add_up_and_keep_the_floor(generated in book_and_call()) {
        let (book, event, facts) = generated;
        let view = view(&book);
        if let Ok(rating) = rate(&view, &event, &facts) {
            for line in &rating.lines {
                prop_assert_eq!(exact::mul(line.quantity, line.unit_price_usd), Ok(line.amount_usd));
                prop_assert!(line.amount_usd >= Decimal::ZERO || line.kind == LineKind::Discount);
            }
            let sum = exact::sum(rating.lines.iter().map(|line| line.amount_usd));
            prop_assert_eq!(sum, Ok(rating.total_usd));
            prop_assert!(rating.total_usd >= Decimal::ZERO);
            let cost = cost(&view, &event, &facts).unwrap();
            prop_assert!(declares_a_loss(&book) || rating.total_usd >= cost.provider_cost_usd);
        }
    }
    #[test]
    fn a_quote_bounds_every_event_within_it(
        generated in book_and_call(),
        open in any::<(bool, bool, bool)>(),
    ) {
        let (book, event, facts) = generated;
        let (any_tier, any_region, without_cost) = open;
        let view = view(&book);
        let mut request = request_for(&event, any_tier, any_region);
        if without_cost && event.provider_cost_usd.is_none() {
            request.provider_cost_max_usd = None;
        }
        if let (Ok(quote), Ok(rating)) = (quote(&view, &request, &facts), rate(&view, &event, &facts)) {
            prop_assert!(rating.total_usd <= quote.total_usd, "{rating:#?} {quote:#?}");
        }
    }

    /// A stream whose request sets a limit that its provider keeps is never cut off: its text alone
    /// is taken for no more than the quote allows, however long its words.
    #[test]
    fn what_is_streamed_within_the_limit_never_passes_the_quote(
        generated in book_and_call(),
        is_stated in any::<bool>(),
        word_bytes in 1_u64..=16,
    ) {
        let (book, mut event, facts) = generated;
        let view = view(&book);
        let request = request_for(&event, false, false);
        if !is_stated {
            let declared = |pool: &Pool| request.declared.contains(pool);
            event.pools.retain(declared);
        }
        let limit = request.max_output_tokens.unwrap();
        let streamed_bytes = limit.checked_mul(word_bytes).unwrap();
        let of = failure::Request {
            body_bytes: request.body_bytes,
            max_output_tokens: request.max_output_tokens,
            streamed_bytes,
        };
        event.pools = failure::streamed(&view, &event, of).unwrap();
        if let (Ok(quote), Ok(rating)) = (quote(&view, &request, &facts), rate(&view, &event, &facts)) {
            prop_assert!(rating.total_usd <= quote.total_usd, "{rating:#?} {quote:#?}");
        }
    }

    /// Whatever the book says of tiers, regions, hours, fallbacks, allowances and terms of sale.
    #[test]
    fn without_whole_tiers_one_more_of_anything_never_costs_less_under_any_book(
        generated in book_and_call(),
        pool in any::<Index>(),
        by in 1_u32..3000,
    ) {
        let (mut book, event, facts) = generated;
        without_whole_tiers(&mut book);
        let view = view(&book);
        let mut larger = event.clone();
        if !larger.pools.is_empty() {
            let pool = &mut larger.pools[pool.index(event.pools.len())];
            let quantity = exact::add(pool.quantity.get(), by.into()).unwrap();
            pool.quantity = Quantity::new(quantity).unwrap();
        }
        if let (Ok(less), Ok(more)) = (rate(&view, &event, &facts), rate(&view, &larger, &facts)) {
            prop_assert!(less.total_usd <= more.total_usd, "{less:#?} {more:#?}");
        }
    }

    /// Nothing is rounded on the way: two halves cost what the whole costs, to the last digit.
    #[test]
    fn splitting_an_event_changes_nothing_under_any_prices(
        generated in book_and_call(),
        shares in prop::collection::vec(0_u32..=100, 5),
    ) {
        let (mut book, event, mut facts) = generated;
        without_what_is_of_a_call(&mut book);
        facts.key_source = Managed;
        let view = view(&book);
        let [mut first, mut second] = [event.clone(), event.clone()];
        for (at, share) in (0..event.pools.len()).zip(shares) {
            let whole = event.pools[at].quantity.get();
            let part = exact::mul(whole, Decimal::new(share.into(), 2)).unwrap().trunc();
            first.pools[at].quantity = Quantity::new(part).unwrap();
            let rest = exact::sub(whole, part).unwrap();
            second.pools[at].quantity = Quantity::new(rest).unwrap();
        }
        if event.provider_cost_usd.is_none()
            && let Ok(whole) = rate(&view, &event, &facts)
        {
            let parts = [first, second].map(|part| rate(&view, &part, &facts).unwrap().total_usd);
            prop_assert_eq!(exact::sum(parts), Ok(whole.total_usd));
        }
    }

    #[test]
    fn splitting_an_event_changes_nothing(
        prices in prop::array::uniform4(0_i64..1_000_000),
        parts in prop::collection::vec(prop::array::uniform4(0_u32..1_000_000), 1..6),
        markup in 100_i64..400,
    ) {
        let meters = [Meter::Input, Meter::CacheRead, Meter::Output, Meter::Reasoning];
        let mut book = small_book(&[], "1");
        book.models[0].periods[0].tables[0].rates = meters.iter().zip(prices).map(|(meter, usd)| {
            crate::book::Rate {
                meter: meter.clone(),
                attributes: Vec::new(),
                usd: Decimal::new(usd, 9),
            }
        }).collect();
        book.charge_rules[0].charge = Charge::CostPlus { markup: Decimal::new(markup, 2) };
        let view = view(&book);
        let total = |quantities: &[u32; 4]| {
            let pools: Vec<_> = meters.iter().cloned().zip(quantities.iter().copied()).collect();
            rate(&view, &event(&pools), &facts(Managed)).unwrap().total_usd
        };
        let mut whole = [0_u32; 4];
        let mut before = Decimal::ZERO;
        for part in &parts {
            for (at, one) in part.iter().enumerate() {
                whole[at] = whole[at].checked_add(*one).unwrap();
                // Monotone in every pool: one more of anything never costs less.
                let now = total(&whole);
                prop_assert!(now >= before);
                before = now;
            }
        }
        let split = exact::sum(parts.iter().map(total)).unwrap();
        prop_assert_eq!(split, total(&whole));
    }
}
