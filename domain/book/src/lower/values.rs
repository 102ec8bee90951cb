//! Single values: names, meters, amounts, moments.

use super::Problems;
use crate::amount::Amount;
use crate::document::Path;
use crate::suggest::did_you_mean;
use crate::text::PerText;
use farebox_pricing::book::Per;
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;

/// The longest name, in bytes.
const NAME_LEN_MAX: usize = 256;
/// The most decimal places of a price.
pub(super) const SCALE_MAX: u32 = 24;
/// The dearest unit that is believed to be meant: no amount in a book passes it.
pub(super) const AMOUNT_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// The time that a book counts in.
pub(super) const fn window(text: PerText) -> Per {
    match text {
        PerText::Day => Per::Day,
        PerText::Month => Per::Month,
    }
}

/// Whether a name can stand in a canonical book; a problem is noted when not.
pub(super) fn check_name(name: &str, path: &Path<'_>, problems: &mut Problems<'_>) -> bool {
    let bad = name.is_empty() || name.len() > NAME_LEN_MAX || name.chars().any(char::is_control);
    if bad {
        problems.note(path, "a name has 1 to 256 bytes and no control characters");
    }
    !bad
}

/// A service tier's name. The words for "no tier" are none.
pub(super) fn check_tier(name: &str, path: &Path<'_>, problems: &mut Problems<'_>) -> bool {
    if matches!(name, "default" | "standard" | "auto") {
        problems.note(
            path,
            format!("`{name}` means no service tier: its prices stand at the model itself"),
        );
        return false;
    }
    check_name(name, path, problems)
}

/// An amount that is not negative and that the canonical form can hold.
pub(super) fn positive(amount: Amount, path: &Path<'_>, problems: &mut Problems<'_>) -> Decimal {
    let value = amount.get();
    if value < Decimal::ZERO {
        problems.note(path, format!("`{value}` is negative"));
    } else if value > AMOUNT_MAX {
        problems.note(path, format!("`{value}` is above USD {AMOUNT_MAX}"));
    } else if value.scale() > SCALE_MAX || i64::try_from(value.mantissa()).is_err() {
        problems.note(
            path,
            format!("`{value}` has more than {SCALE_MAX} decimal places or 18 digits"),
        );
    } else {
        return value;
    }
    Decimal::ZERO
}

/// How a meter's price is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PriceUnit {
    Million,
    Unit,
}

/// The meter called `name`. A price of tokens written per unit, or of whole things written per
/// million, is off by six digits and surely not meant.
pub(super) fn meter(
    name: &str,
    per: PriceUnit,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Meter> {
    let meter = any_meter(name, path, problems)?;
    let wanted = match &meter {
        Meter::Request
        | Meter::Search
        | Meter::ToolCall
        | Meter::Second
        | Meter::Page
        | Meter::Image => Some(PriceUnit::Unit),
        Meter::Character | Meter::Other(_) => None,
        _ => Some(PriceUnit::Million),
    };
    if wanted.is_some_and(|wanted| wanted != per) {
        let field = if per == PriceUnit::Unit {
            "per_million"
        } else {
            "per_unit"
        };
        problems.note(
            path,
            format!("the price of `{name}` is written in `{field}`"),
        );
        return None;
    }
    Some(meter)
}

/// The meter called `name`. A near miss of a named meter is a slip, not a new meter.
pub(super) fn any_meter(name: &str, path: &Path<'_>, problems: &mut Problems<'_>) -> Option<Meter> {
    let named = || Meter::NAMED.iter().map(Meter::name);
    match Meter::from_name(name) {
        Some(Meter::Other(_)) => {
            let meant = did_you_mean(name, named().filter(|known| is_slip(name, known)));
            if meant.is_empty() {
                return Meter::from_name(name);
            }
            problems.note(path, format!("unknown meter `{name}`{meant}"));
            None
        }
        Some(meter) => Some(meter),
        None => {
            let meant = did_you_mean(name, named());
            problems.note(
                path,
                format!("`{name}` is no meter: a meter is written in snake case{meant}"),
            );
            None
        }
    }
}

/// Whether `name` is `known` with a letter too many, too few, wrong or swapped; but not with
/// another ending, as `output_images` would be fine to miss and `output_video` is a meter.
fn is_slip(name: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(name, known) == 1
}

/// The exact price of one unit.
pub(super) fn per_one(
    amount: Amount,
    per: PriceUnit,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Decimal {
    if amount.get() < Decimal::ZERO {
        return positive(amount, path, problems);
    }
    let value = match per {
        PriceUnit::Unit => Some(amount.get()),
        PriceUnit::Million => divided_by_a_million(amount.get()),
    };
    match value {
        Some(value) => positive(Amount::new(value), path, problems),
        None => {
            problems.note(path, "the price of one has more than 28 decimal places");
            Decimal::ZERO
        }
    }
}

/// Exact: only the scale changes.
fn divided_by_a_million(value: Decimal) -> Option<Decimal> {
    let value = value.normalize();
    let scale = value.scale().checked_add(6)?;
    Decimal::try_from_i128_with_scale(value.mantissa(), scale).ok()
}

/// A moment ([`crate::moment`]); a problem is noted when it is none.
pub(super) fn moment(text: &str, path: &Path<'_>, problems: &mut Problems<'_>) -> Option<i64> {
    let moment = crate::moment(text);
    if moment.is_none() {
        problems.note(
            path,
            format!("`{text}` is no date (`YYYY-MM-DD`) and no RFC 3339 time"),
        );
    }
    moment
}
