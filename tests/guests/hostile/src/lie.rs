//! Answers that break the contract.

use crate::modes;
use crate::wit::{Attribute, CustomReason, Decimal, Line, LineKind, Meter, Pool, Rating, Reason};
use rust_decimal::Decimal as Plain;
use std::hint::black_box;

const ZERO: Decimal = decimal(false, 0, 0);
const ONE: Decimal = decimal(false, 1, 0);
const NANO: Decimal = decimal(false, 1, 9);

const fn decimal(negative: bool, coefficient_low: u64, scale: u8) -> Decimal {
    Decimal {
        negative,
        coefficient_high: 0,
        coefficient_low,
        scale,
    }
}

fn line(kind: LineKind, amount_usd: Decimal) -> Line {
    Line {
        kind,
        meter: None,
        quantity: ONE,
        unit_price_usd: amount_usd,
        amount_usd,
        reason: Reason::ProviderCost,
    }
}

/// Whether arithmetic with a NaN makes the one that all machines agree on, whatever bits went in.
fn nan_is_canonical() -> bool {
    let odd = f64::from_bits(black_box(0xfff4_0000_dead_beef));
    let made = black_box(odd) + black_box(1.5);
    made.to_bits() == 0x7ff8_0000_0000_0000
}

/// A single line of one nano-dollar, and its total.
pub fn one_nano(kind: LineKind) -> (Vec<Line>, Decimal) {
    (vec![line(kind, NANO)], NANO)
}

/// Spoils an honest rating, where the mode is one that does.
pub fn perhaps(mode: &str, calls: u64, rating: &mut Rating) {
    match mode {
        modes::NAN if !nan_is_canonical() => append(rating, line(LineKind::Minimum, NANO)),
        modes::TOTAL_OFF_BY_A_NANO => add(&mut rating.total_usd, 1),
        modes::LINE_OFF_BY_A_NANO => {
            add(&mut rating.lines[0].amount_usd, 1);
            add(&mut rating.total_usd, 1);
        }
        modes::NEGATIVE_TOTAL => append(rating, line(LineKind::Discount, minus_dollars(1_000_000))),
        modes::NEGATIVE_MARKUP => append(rating, line(LineKind::Markup, minus_dollars(1))),
        modes::UNDER_COST => {
            // Half of the whole, so that the total stays positive.
            let half = negated_half(rating.total_usd);
            append(rating, line(LineKind::Discount, half));
        }
        modes::LIE_ABOUT_COST => {
            (rating.lines, rating.total_usd) = one_nano(LineKind::ProviderCost);
        }
        modes::GREEDY | modes::DEARER_THAN_QUOTED => {
            append(rating, line(LineKind::Minimum, decimal(false, 1000, 0)))
        }
        modes::REMEMBER => {
            append(rating, line(LineKind::Markup, decimal(false, calls, 0)));
        }
        modes::TOO_MANY_LINES => {
            rating
                .lines
                .extend((0..256).map(|_| line(LineKind::Markup, ZERO)));
        }
        modes::SCALE_200 => rating.total_usd.scale = 200,
        modes::MINUS_ZERO => rating
            .lines
            .push(line(LineKind::Markup, decimal(true, 0, 0))),
        modes::UNSORTED => rating.lines[0].reason = custom(&["b", "a"]),
        modes::BAD_METER => rating.lines[0].meter = Some(Meter::Other("Not A Meter".to_owned())),
        modes::NO_MODEL => rating.model = None,
        modes::FLOOD => flood(rating),
        modes::POINT_OUTSIDE => rating.lines[0].reason = Reason::Markup(alien(64 << 20, 16)),
        _ => {}
    }
}

/// Forgets what was used beyond a billion units.
pub fn clamp(pools: &mut [Pool]) {
    let most = Plain::from(1_000_000_000);
    for pool in pools {
        pool.quantity = back(plain(pool.quantity).min(most));
    }
}

fn append(rating: &mut Rating, line: Line) {
    add_decimal(&mut rating.total_usd, line.amount_usd);
    rating.lines.push(line);
}

fn custom(names: &[&str]) -> Reason {
    let parameters = names.iter().map(|name| Attribute {
        name: (*name).to_owned(),
        value: String::new(),
    });
    Reason::Custom(CustomReason {
        code: "unsorted".to_owned(),
        parameters: parameters.collect(),
    })
}

/// A hundred lines that all refer to one text of 1 MiB.
fn flood(rating: &mut Rating) {
    rating.lines = (0..100)
        .map(|_| Line {
            reason: Reason::Markup(long_text(1 << 20)),
            ..line(LineKind::Markup, ZERO)
        })
        .collect();
}

/// A text of `len` bytes that costs no fuel to write: memory that was never touched is zero.
pub fn long_text(len: usize) -> String {
    thread_local! {
        static BLOCK: Vec<u8> = Vec::with_capacity(4 << 20);
    }
    BLOCK.with(|block| alien(block.as_ptr() as usize, len))
}

/// A text at any address. The host stops reading before anybody frees it.
fn alien(address: usize, len: usize) -> String {
    let pointer = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: none is claimed: this guest attacks, and its sandbox is all it can hurt.
    unsafe { String::from_raw_parts(pointer, len, len) }
}

/// Adds nano-dollars.
fn add(to: &mut Decimal, nanos: u64) {
    add_decimal(to, decimal(false, nanos, 9));
}

fn minus_dollars(dollars: u64) -> Decimal {
    decimal(true, dollars, 0)
}

fn negated_half(of: Decimal) -> Decimal {
    back(plain(of) * Plain::new(-5, 1))
}

fn add_decimal(to: &mut Decimal, amount: Decimal) {
    *to = back(plain(*to) + plain(amount));
}

fn plain(decimal: Decimal) -> Plain {
    let low = decimal.coefficient_low;
    Plain::from_parts(
        low as u32,
        (low >> 32) as u32,
        decimal.coefficient_high,
        decimal.negative,
        decimal.scale.into(),
    )
}

fn back(plain: Plain) -> Decimal {
    let parts = plain.unpack();
    Decimal {
        negative: parts.negative,
        coefficient_high: parts.hi,
        coefficient_low: u64::from(parts.mid) << 32 | u64::from(parts.lo),
        scale: parts.scale as u8,
    }
}
