//! From the CBOR items of a canonical book to plain types.
//!
//! Reads any bytes without panicking, and never allocates more than the bytes could describe.
//! Accepts a little more than canonical form: `check_all` compares bytes.

use super::{CanonicalError, sale};
use crate::book::{
    Allowance, Book, Charge, ChargeRule, Estimate, FailureAction, FailureRules, FeeCap, Hours,
    MeterFallback, Minimum, Model, Period, Rate, RateTable, Scope, Source, TierFallback,
    UnknownModels,
};
use crate::event::{Deployment, KeySource};
use crate::meter::{Attribute, Meter};
use crate::money::Rounding;
use minicbor::Decoder;
use minicbor::data::{Tag, Type};
use minicbor::decode::Error;
use rust_decimal::Decimal;

pub(super) type Read<T> = Result<T, Error>;

pub(super) fn terms(bytes: &[u8]) -> Result<Book, CanonicalError> {
    whole(bytes, read_terms, || "the terms".into())
}

pub(super) fn model(provider: &str, name: &str, bytes: &[u8]) -> Result<Model, CanonicalError> {
    whole(
        bytes,
        |d| read_model(provider, name, d),
        || format!("model `{provider}/{name}`").into(),
    )
}

fn whole<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Decoder<'_>) -> Read<T>,
    item: impl FnOnce() -> Box<str>,
) -> Result<T, CanonicalError> {
    let mut decoder = Decoder::new(bytes);
    match read(&mut decoder) {
        Ok(value) if decoder.position() == bytes.len() => Ok(value),
        _ => Err(CanonicalError::Malformed {
            item: item(),
            at: decoder.position(),
        }),
    }
}

fn read_terms(d: &mut Decoder<'_>) -> Read<Book> {
    array(d, 15)?;
    Ok(Book {
        name: text(d)?,
        as_of: text(d)?,
        sources: list(d, |d| {
            array(d, 2)?;
            Ok(Source {
                name: text(d)?,
                version: text(d)?,
            })
        })?,
        rounding: Rounding::from_name(d.str()?).ok_or_else(|| malformed("rounding"))?,
        models: Vec::new(),
        meter_fallbacks: list(d, |d| {
            array(d, 5)?;
            Ok(MeterFallback {
                service_tier: option(d, text)?,
                meter: meter(d)?,
                base: meter(d)?,
                factor: decimal(d)?,
                name: option(d, text)?,
            })
        })?,
        tier_fallbacks: list(d, |d| {
            array(d, 2)?;
            Ok(TierFallback {
                service_tier: text(d)?,
                factor: decimal(d)?,
            })
        })?,
        charge_rules: list(d, |d| {
            array(d, 4)?;
            Ok(ChargeRule {
                name: text(d)?,
                scope: scope(d)?,
                charge: charge(d)?,
                loss_leader: d.bool()?,
            })
        })?,
        minimums: list(d, |d| {
            array(d, 3)?;
            Ok(Minimum {
                name: text(d)?,
                scope: scope(d)?,
                usd: decimal(d)?,
            })
        })?,
        plans: list(d, text)?,
        own_key_cap: {
            array(d, 2)?;
            FeeCap {
                fixed_usd: decimal(d)?,
                share_of_market: decimal(d)?,
            }
        },
        max_output_tokens_default: d.u64()?,
        loss_leader: d.bool()?,
        sale: option(d, sale::read)?.map(Box::new),
        unknown_models: unknown_models(d)?,
        failure_rules: failure_rules(d)?,
    })
}

fn unknown_models(d: &mut Decoder<'_>) -> Read<UnknownModels> {
    let len = d.array()?;
    match (len, d.u8()?) {
        (Some(1), 0) => Ok(UnknownModels::Refuse),
        (Some(1), 1) => Ok(UnknownModels::ProviderCost),
        (Some(2), 2) => Ok(UnknownModels::Cap { usd: decimal(d)? }),
        (Some(2), 3) => Ok(UnknownModels::DefaultRate {
            model: Box::new(read_model("*", "default-rate", d)?),
        }),
        _ => Err(malformed("unknown models")),
    }
}

fn failure_rules(d: &mut Decoder<'_>) -> Read<FailureRules> {
    array(d, 7)?;
    let action = |d: &mut Decoder<'_>| {
        FailureAction::from_name(d.str()?).ok_or_else(|| malformed("failure action"))
    };
    Ok(FailureRules {
        client_abort: action(d)?,
        upstream_error: action(d)?,
        no_usage: action(d)?,
        zero_usage: action(d)?,
        partial_stream: action(d)?,
        estimate: Estimate {
            bytes_per_token: d.u32()?,
            output_share: decimal(d)?,
        },
    })
}

pub(super) fn scope(d: &mut Decoder<'_>) -> Read<Scope> {
    array(d, 5)?;
    Ok(Scope {
        deployment: option(d, |d| match d.str()? {
            "hosted" => Ok(Deployment::Hosted),
            "self-hosted" => Ok(Deployment::SelfHosted),
            _ => Err(malformed("deployment")),
        })?,
        key_source: option(d, |d| match d.str()? {
            "managed" => Ok(KeySource::Managed),
            "own" => Ok(KeySource::Own),
            _ => Err(malformed("key source")),
        })?,
        plan: option(d, text)?,
        feature: option(d, text)?,
        narrowing: option(d, sale::narrowing)?.map(Box::new),
    })
}

fn charge(d: &mut Decoder<'_>) -> Read<Charge> {
    let len = d.array()?;
    match (len, d.u8()?) {
        (Some(2), 0) => Ok(Charge::CostPlus {
            markup: decimal(d)?,
        }),
        (Some(3), 1) => Ok(Charge::PlatformFee {
            fixed_usd: decimal(d)?,
            share_of_market: decimal(d)?,
        }),
        (Some(1), 2) => Ok(Charge::NotAllowed),
        (Some(3), 3) => Ok(Charge::Listed {
            sheet: option(d, |d| d.u16())?,
            share: decimal(d)?,
        }),
        (Some(1), 4) => Ok(Charge::Free),
        _ => Err(malformed("charge")),
    }
}

fn read_model(provider: &str, name: &str, d: &mut Decoder<'_>) -> Read<Model> {
    array(d, 8)?;
    Ok(Model {
        provider: provider.into(),
        name: name.into(),
        aliases: list(d, text)?,
        prefixes: list(d, text)?,
        patterns: list(d, text)?,
        except: list(d, text)?,
        max_output_tokens: option(d, |d| d.u64())?,
        context_inclusive: d.bool()?,
        context_marginal: d.bool()?,
        periods: list(d, |d| {
            array(d, 5)?;
            Ok(Period {
                valid_from_ms: option(d, |d| d.i64())?,
                valid_to_ms: option(d, |d| d.i64())?,
                known_since_ms: option(d, |d| d.i64())?,
                tables: list(d, table)?,
                allowances: list(d, allowance)?,
            })
        })?,
    })
}

fn allowance(d: &mut Decoder<'_>) -> Read<Allowance> {
    array(d, 4)?;
    Ok(Allowance {
        name: text(d)?,
        meter: meter(d)?,
        count: d.u64()?,
        per: sale::per(d)?,
    })
}

fn hours(d: &mut Decoder<'_>) -> Read<Box<Hours>> {
    array(d, 2)?;
    Ok(Box::new(Hours {
        name: text(d)?,
        spans: list(d, |d| {
            array(d, 2)?;
            Ok((d.u16()?, d.u16()?))
        })?,
    }))
}

fn table(d: &mut Decoder<'_>) -> Read<RateTable> {
    array(d, 5)?;
    Ok(RateTable {
        service_tier: option(d, text)?,
        region: option(d, text)?,
        context_above: option(d, |d| d.u64())?,
        hours: option(d, hours)?,
        rates: list(d, |d| {
            array(d, 3)?;
            Ok(Rate {
                meter: meter(d)?,
                usd: decimal(d)?,
                attributes: list(d, |d| {
                    array(d, 2)?;
                    Ok(Attribute {
                        name: text(d)?,
                        value: text(d)?,
                    })
                })?,
            })
        })?,
    })
}

pub(super) fn meter(d: &mut Decoder<'_>) -> Read<Meter> {
    let meter = if d.datatype()? == Type::String {
        Meter::from_name(d.str()?).filter(|meter| matches!(meter, Meter::Other(_)))
    } else {
        Meter::NAMED.get(usize::from(d.u8()?)).cloned()
    };
    meter.ok_or_else(|| malformed("meter"))
}

pub(super) fn decimal(d: &mut Decoder<'_>) -> Read<Decimal> {
    if d.tag()? != Tag::new(4) {
        return Err(malformed("decimal"));
    }
    array(d, 2)?;
    let scale = u32::try_from(d.i64()?.unsigned_abs()).ok();
    let mantissa = d.i64()?;
    scale
        .and_then(|scale| Decimal::try_new(mantissa, scale).ok())
        .ok_or_else(|| malformed("decimal"))
}

pub(super) fn text(d: &mut Decoder<'_>) -> Read<Box<str>> {
    d.str().map(Into::into)
}

pub(super) fn option<T>(
    d: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Read<T>,
) -> Read<Option<T>> {
    if d.datatype()? == Type::Null {
        d.null()?;
        return Ok(None);
    }
    read(d).map(Some)
}

pub(super) fn list<'b, T>(
    d: &mut Decoder<'b>,
    read: impl Fn(&mut Decoder<'b>) -> Read<T>,
) -> Read<Vec<T>> {
    let len = d.array()?.ok_or_else(|| malformed("list"))?;
    // An item takes at least one byte, so a longer list cannot be true.
    let rest = d.input().len().saturating_sub(d.position());
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= rest)
        .ok_or_else(|| malformed("list"))?;
    let mut items = Vec::new();
    for _ in 0..len {
        items.push(read(d)?);
    }
    items.shrink_to_fit();
    Ok(items)
}

pub(super) fn array(d: &mut Decoder<'_>, len: u64) -> Read<()> {
    if d.array()? == Some(len) {
        Ok(())
    } else {
        Err(malformed("array"))
    }
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::message(what)
}
