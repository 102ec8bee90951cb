//! From a book to its canonical bytes.
//!
//! Items are CBOR in the deterministic encoding of RFC 8949 §4.2: arrays of known length, shortest
//! heads, no maps. A decimal is a decimal fraction (tag 4) without trailing zeros.

use super::check::{BrokenRule, EncodeError, check};
use super::layout::{MAGIC, VERSION};
use super::sale;
use crate::book::{
    Allowance, Book, Charge, FailureRules, Hours, Model, Period, Rate, RateTable, Scope,
    UnknownModels,
};
use crate::event::{Deployment, KeySource};
use crate::meter::{Attribute, Meter};
use crate::pattern;
use minicbor::Encoder;
use minicbor::data::Tag;
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;

pub(super) type Cbor = Encoder<Vec<u8>>;
pub(super) type Written = Result<(), minicbor::encode::Error<Infallible>>;

/// The canonical bytes of `book`. Equal books give equal bytes.
///
/// # Errors
/// The first rule of [`crate::book`] that the book breaks, and where.
pub fn encode(book: &Book) -> Result<Vec<u8>, EncodeError> {
    check(book)?;
    sections(book).ok_or_else(|| EncodeError {
        place: "book".into(),
        rule: BrokenRule::TooLarge,
    })
}

/// `None` when an offset passes 32 bits.
fn sections(book: &Book) -> Option<Vec<u8>> {
    let mut keys = Vec::new();
    let mut key = |provider: &str, name: &str| -> Option<Key> {
        let start = u32::try_from(keys.len()).ok()?;
        keys.extend_from_slice(provider.as_bytes());
        keys.push(0);
        keys.extend_from_slice(name.as_bytes());
        let end = u32::try_from(keys.len()).ok()?;
        Some((start, end.checked_sub(start)?))
    };
    let (mut model_table, mut entries) = (Vec::new(), Vec::new());
    // A name that is also another model's alias means the model of that name, so names come first.
    let (mut names, mut prefixes) = (BTreeMap::new(), BTreeMap::new());
    // In the order in which they are tried.
    let mut patterns = BTreeMap::new();
    for (number, model) in (0_u32..).zip(&book.models) {
        let (start, len) = key(&model.provider, &model.name)?;
        names.insert((&*model.provider, &*model.name), (start, len, number));
        let entry = bytes(|e| write_model(e, model))?;
        let entry_start = u32::try_from(entries.len()).ok()?;
        let entry_len = u32::try_from(entry.len()).ok()?;
        words(&mut model_table, &[start, len, entry_start, entry_len]);
        entries.extend_from_slice(&entry);
    }
    for (number, model) in (0_u32..).zip(&book.models) {
        for alias in &model.aliases {
            if let std::collections::btree_map::Entry::Vacant(free) =
                names.entry((&*model.provider, &**alias))
            {
                let (start, len) = key(&model.provider, alias)?;
                free.insert((start, len, number));
            }
        }
        for prefix in &model.prefixes {
            let (start, len) = key(&model.provider, prefix)?;
            prefixes.insert((&model.provider, prefix), (start, len, number));
        }
        for text in &model.patterns {
            let (start, len) = key(&model.provider, text)?;
            let order = (&model.provider, Reverse(pattern::fixed(text)), text);
            patterns.insert(order, (start, len, number));
        }
    }
    let terms = bytes(|e| write_terms(e, book))?;

    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    for size in [
        terms.len(),
        book.models.len(),
        names.len(),
        prefixes.len(),
        patterns.len(),
        keys.len(),
        entries.len(),
    ] {
        words(&mut out, &[u32::try_from(size).ok()?]);
    }
    out.extend_from_slice(&terms);
    out.extend_from_slice(&model_table);
    let prefixes = prefixes.into_values();
    let indexes = names.into_values().chain(prefixes);
    for (start, len, number) in indexes.chain(patterns.into_values()) {
        words(&mut out, &[start, len, number]);
    }
    out.extend_from_slice(&keys);
    out.extend_from_slice(&entries);
    Some(out)
}

/// Offset and length in the key section.
type Key = (u32, u32);

fn words(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn bytes(write: impl FnOnce(&mut Cbor) -> Written) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).ok()?;
    Some(encoder.into_writer())
}

fn write_terms(e: &mut Cbor, book: &Book) -> Written {
    e.array(15)?.str(&book.name)?.str(&book.as_of)?;
    list(e, &book.sources, |e, source| {
        e.array(2)?.str(&source.name)?.str(&source.version)?;
        Ok(())
    })?;
    e.str(book.rounding.name())?;
    list(e, &book.meter_fallbacks, |e, fallback| {
        e.array(5)?.encode(fallback.service_tier.as_deref())?;
        write_meter(e, &fallback.meter)?;
        write_meter(e, &fallback.base)?;
        write_decimal(e, fallback.factor)?;
        e.encode(fallback.name.as_deref())?;
        Ok(())
    })?;
    list(e, &book.tier_fallbacks, |e, fallback| {
        e.array(2)?.str(&fallback.service_tier)?;
        write_decimal(e, fallback.factor)
    })?;
    list(e, &book.charge_rules, |e, rule| {
        e.array(4)?.str(&rule.name)?;
        write_scope(e, &rule.scope)?;
        write_charge(e, &rule.charge)?;
        e.bool(rule.loss_leader)?;
        Ok(())
    })?;
    list(e, &book.minimums, |e, minimum| {
        e.array(3)?.str(&minimum.name)?;
        write_scope(e, &minimum.scope)?;
        write_decimal(e, minimum.usd)
    })?;
    list(e, &book.plans, write_text)?;
    e.array(2)?;
    write_decimal(e, book.own_key_cap.fixed_usd)?;
    write_decimal(e, book.own_key_cap.share_of_market)?;
    e.u64(book.max_output_tokens_default)?
        .bool(book.loss_leader)?;
    match &book.sale {
        Some(sale) => sale::write(e, sale)?,
        None => {
            e.null()?;
        }
    }
    write_unknown(e, &book.unknown_models)?;
    write_failures(e, &book.failure_rules)
}

fn write_unknown(e: &mut Cbor, rule: &UnknownModels) -> Written {
    match rule {
        UnknownModels::Refuse => {
            e.array(1)?.u8(0)?;
            Ok(())
        }
        UnknownModels::ProviderCost => {
            e.array(1)?.u8(1)?;
            Ok(())
        }
        UnknownModels::Cap { usd } => {
            e.array(2)?.u8(2)?;
            write_decimal(e, *usd)
        }
        UnknownModels::DefaultRate { model } => {
            e.array(2)?.u8(3)?;
            write_model(e, model)
        }
    }
}

fn write_failures(e: &mut Cbor, rules: &FailureRules) -> Written {
    e.array(7)?;
    for action in [
        rules.client_abort,
        rules.upstream_error,
        rules.no_usage,
        rules.zero_usage,
        rules.partial_stream,
    ] {
        e.str(action.name())?;
    }
    e.u32(rules.estimate.bytes_per_token)?;
    write_decimal(e, rules.estimate.output_share)
}

pub(super) fn write_scope(e: &mut Cbor, scope: &Scope) -> Written {
    e.array(5)?;
    e.encode(scope.deployment.map(|deployment| match deployment {
        Deployment::Hosted => "hosted",
        Deployment::SelfHosted => "self-hosted",
    }))?;
    e.encode(scope.key_source.map(|source| match source {
        KeySource::Managed => "managed",
        KeySource::Own => "own",
    }))?;
    e.encode(scope.plan.as_deref())?;
    e.encode(scope.feature.as_deref())?;
    match &scope.narrowing {
        Some(narrowing) => sale::write_narrowing(e, narrowing),
        None => {
            e.null()?;
            Ok(())
        }
    }
}

fn write_charge(e: &mut Cbor, charge: &Charge) -> Written {
    match charge {
        Charge::CostPlus { markup } => {
            e.array(2)?.u8(0)?;
            write_decimal(e, *markup)
        }
        Charge::PlatformFee {
            fixed_usd,
            share_of_market,
        } => {
            e.array(3)?.u8(1)?;
            write_decimal(e, *fixed_usd)?;
            write_decimal(e, *share_of_market)
        }
        Charge::NotAllowed => {
            e.array(1)?.u8(2)?;
            Ok(())
        }
        Charge::Listed { sheet, share } => {
            e.array(3)?.u8(3)?.encode(*sheet)?;
            write_decimal(e, *share)
        }
        Charge::Free => {
            e.array(1)?.u8(4)?;
            Ok(())
        }
    }
}

fn write_model(e: &mut Cbor, model: &Model) -> Written {
    e.array(8)?;
    list(e, &model.aliases, write_text)?;
    list(e, &model.prefixes, write_text)?;
    list(e, &model.patterns, write_text)?;
    list(e, &model.except, write_text)?;
    e.encode(model.max_output_tokens)?
        .bool(model.context_inclusive)?
        .bool(model.context_marginal)?;
    list(e, &model.periods, write_period)
}

fn write_period(e: &mut Cbor, period: &Period) -> Written {
    e.array(5)?
        .encode(period.valid_from_ms)?
        .encode(period.valid_to_ms)?
        .encode(period.known_since_ms)?;
    list(e, &period.tables, write_table)?;
    list(e, &period.allowances, write_allowance)
}

fn write_allowance(e: &mut Cbor, allowance: &Allowance) -> Written {
    e.array(4)?.str(&allowance.name)?;
    write_meter(e, &allowance.meter)?;
    e.u64(allowance.count)?;
    sale::write_per(e, allowance.per)
}

fn write_table(e: &mut Cbor, table: &RateTable) -> Written {
    e.array(5)?
        .encode(table.service_tier.as_deref())?
        .encode(table.region.as_deref())?
        .encode(table.context_above)?;
    match &table.hours {
        Some(hours) => write_hours(e, hours)?,
        None => {
            e.null()?;
        }
    }
    list(e, &table.rates, write_rate)
}

fn write_hours(e: &mut Cbor, hours: &Hours) -> Written {
    e.array(2)?.str(&hours.name)?;
    list(e, &hours.spans, |e, (from, to)| {
        e.array(2)?.u16(*from)?.u16(*to)?;
        Ok(())
    })
}

fn write_rate(e: &mut Cbor, rate: &Rate) -> Written {
    e.array(3)?;
    write_meter(e, &rate.meter)?;
    write_decimal(e, rate.usd)?;
    list(e, &rate.attributes, |e, Attribute { name, value }| {
        e.array(2)?.str(name)?.str(value)?;
        Ok(())
    })
}

/// A named meter is its number, any other its name.
pub(super) fn write_meter(e: &mut Cbor, meter: &Meter) -> Written {
    match Meter::NAMED.iter().zip(0_u8..).find(|(m, _)| *m == meter) {
        Some((_, number)) => e.u8(number)?,
        None => e.str(meter.name())?,
    };
    Ok(())
}

pub(super) fn write_decimal(e: &mut Cbor, decimal: Decimal) -> Written {
    let decimal = decimal.normalize();
    // `check` keeps mantissas within i64 and scales within 24; the error cannot happen.
    let mantissa = i64::try_from(decimal.mantissa())
        .map_err(|_| minicbor::encode::Error::message("mantissa"))?;
    let exponent = i64::from(decimal.scale()).saturating_neg();
    e.tag(Tag::new(4))?.array(2)?.i64(exponent)?.i64(mantissa)?;
    Ok(())
}

#[expect(
    clippy::borrowed_box,
    reason = "the lists are of `Box<str>`, and `list` passes a reference to an item"
)]
fn write_text(e: &mut Cbor, text: &Box<str>) -> Written {
    e.str(text)?;
    Ok(())
}

pub(super) fn list<T>(
    e: &mut Cbor,
    items: &[T],
    write: impl Fn(&mut Cbor, &T) -> Written,
) -> Written {
    e.array(items.len() as u64)?;
    items.iter().try_for_each(|item| write(e, item))
}
