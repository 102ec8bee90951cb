//! What a quote takes as the worst case.

use super::{d, shown};
use crate::answer::{Rating, Refusal};
use crate::event::KeySource::Managed;
use crate::generated::{event, facts, request_for, small_book, view};
use crate::meter::Meter;
use crate::rating::{largest_max_output, quote};
use rust_decimal::Decimal;

#[test]
fn a_quote_takes_bytes_as_the_dearest_prompt_tokens() {
    let book = view(&small_book(
        &[
            (Meter::Input, "0.001"),
            (Meter::CacheWrite5m, "0.00125"),
            (Meter::Output, "0.002"),
            (Meter::Reasoning, "0.003"),
            (Meter::InputImage, "0.004"),
        ],
        "1.5",
    ));
    let mut request = request_for(
        &event(&[(Meter::Input, 100), (Meter::InputImage, 7)]),
        true,
        true,
    );
    request.max_output_tokens = None;
    let quote = quote(&book, &request, &facts(Managed)).unwrap();
    let rating = Rating {
        lines: quote.lines,
        total_usd: quote.total_usd,
    };
    assert_eq!(
        shown(&rating),
        [
            "Usage cache_write_5m 100 x 0.00125 = 0.125",
            "Usage reasoning 1000 x 0.003 = 3",
            "Usage input_image 7 x 0.004 = 0.028",
            "Markup - 3.153 x 0.5 = 1.5765",
        ]
    );
    assert_eq!(quote.max_output_tokens, Some(1000));
}

#[test]
fn the_largest_output_that_fits_is_exact() {
    let book = view(&small_book(
        &[(Meter::Input, "0.01"), (Meter::Output, "0.02")],
        "1.5",
    ));
    let mut request = request_for(&event(&[(Meter::Input, 10)]), true, true);
    request.max_output_tokens = None;
    // 10 bytes are 0.15; each output token is 0.03.
    for (budget, expected) in [
        ("0.17", None),
        ("0.18", Some(1)),
        ("0.2099", Some(1)),
        ("0.21", Some(2)),
        ("1000000", Some(1000)),
    ] {
        let found = largest_max_output(&book, &request, &facts(Managed), d(budget));
        assert_eq!(found, expected, "{budget}");
    }
}

#[test]
fn nothing_that_is_not_bounded_is_quoted() {
    let images = view(&small_book(&[(Meter::Image, "0.04")], "1"));
    let mut request = request_for(&event(&[(Meter::Input, 10)]), true, true);
    let refused = quote(&images, &request, &facts(Managed)).unwrap_err();
    assert!(matches!(refused, Refusal::NotPriced { .. }), "{refused}");
    request.declared = event(&[(Meter::Image, 2)]).pools;
    let total = quote(&images, &request, &facts(Managed)).unwrap().total_usd;
    assert_eq!(total, d("0.08"));
    // A bound that does not fit is refused, not replaced by a smaller one.
    let text = view(&small_book(&[(Meter::Output, "1")], "1"));
    let mut request = request_for(&event(&[]), true, true);
    request.max_output_tokens = Some(u64::MAX);
    request.provider_cost_max_usd = Some(Decimal::ONE);
    let refused = quote(&text, &request, &facts(Managed)).unwrap_err();
    assert!(matches!(refused, Refusal::OutOfRange { .. }), "{refused}");
}
