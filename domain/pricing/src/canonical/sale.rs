//! The part of the terms that most books leave out, to CBOR and back.
//!
//! Beside each other on purpose: a field that is written and not read is seen at once.

use super::decode::{Read, array, decimal, list, malformed, meter, option, scope, text};
use super::encode::{Cbor, Written, list as put_list, write_decimal, write_meter, write_scope};
use crate::book::{
    Access, FreeQuota, Maximum, Minimum, ModelName, ModelPattern, Narrowing, Per, Sale, Sheet,
    SheetEntry, Volume, VolumeStep,
};
use minicbor::Decoder;

pub(super) fn write(e: &mut Cbor, sale: &Sale) -> Written {
    e.array(8)?;
    put_list(e, &sale.costs, write_entry)?;
    put_list(e, &sale.sheets, |e, sheet| {
        e.array(2)?.str(&sheet.name)?;
        put_list(e, &sheet.entries, write_entry)
    })?;
    put_list(e, &sale.access, |e, access| {
        e.array(3)?.str(&access.name)?;
        write_scope(e, &access.scope)?;
        put_list(e, &access.models, write_pattern)
    })?;
    put_list(e, &sale.free_quotas, |e, quota| {
        e.array(6)?.str(&quota.name)?;
        write_scope(e, &quota.scope)?;
        write_meter(e, &quota.meter)?;
        write_decimal(e, quota.quantity)?;
        write_per(e, quota.per)?;
        e.bool(quota.loss_leader)?;
        Ok(())
    })?;
    put_list(e, &sale.volumes, |e, volume| {
        e.array(5)?.str(&volume.name)?;
        write_scope(e, &volume.scope)?;
        e.bool(volume.whole)?;
        put_list(e, &volume.steps, |e, step| {
            e.array(2)?;
            write_decimal(e, step.above_usd)?;
            write_decimal(e, step.factor)
        })?;
        e.bool(volume.loss_leader)?;
        Ok(())
    })?;
    put_list(e, &sale.maximums, |e, most| {
        e.array(5)?.str(&most.name)?;
        write_scope(e, &most.scope)?;
        write_decimal(e, most.usd)?;
        write_per(e, most.per)?;
        e.bool(most.loss_leader)?;
        Ok(())
    })?;
    put_list(e, &sale.preflights, |e, least| {
        e.array(3)?.str(&least.name)?;
        write_scope(e, &least.scope)?;
        write_decimal(e, least.usd)
    })?;
    match sale.step_usd {
        Some(step) => write_decimal(e, step),
        None => {
            e.null()?;
            Ok(())
        }
    }
}

pub(super) fn read(d: &mut Decoder<'_>) -> Read<Sale> {
    array(d, 8)?;
    Ok(Sale {
        costs: list(d, entry)?,
        sheets: list(d, |d| {
            array(d, 2)?;
            Ok(Sheet {
                name: text(d)?,
                entries: list(d, entry)?,
            })
        })?,
        access: list(d, |d| {
            array(d, 3)?;
            Ok(Access {
                name: text(d)?,
                scope: scope(d)?,
                models: list(d, pattern)?,
            })
        })?,
        free_quotas: list(d, |d| {
            array(d, 6)?;
            Ok(FreeQuota {
                name: text(d)?,
                scope: scope(d)?,
                meter: meter(d)?,
                quantity: decimal(d)?,
                per: per(d)?,
                loss_leader: d.bool()?,
            })
        })?,
        volumes: list(d, |d| {
            array(d, 5)?;
            Ok(Volume {
                name: text(d)?,
                scope: scope(d)?,
                whole: d.bool()?,
                steps: list(d, |d| {
                    array(d, 2)?;
                    Ok(VolumeStep {
                        above_usd: decimal(d)?,
                        factor: decimal(d)?,
                    })
                })?,
                loss_leader: d.bool()?,
            })
        })?,
        maximums: list(d, |d| {
            array(d, 5)?;
            Ok(Maximum {
                name: text(d)?,
                scope: scope(d)?,
                usd: decimal(d)?,
                per: per(d)?,
                loss_leader: d.bool()?,
            })
        })?,
        preflights: list(d, |d| {
            array(d, 3)?;
            Ok(Minimum {
                name: text(d)?,
                scope: scope(d)?,
                usd: decimal(d)?,
            })
        })?,
        step_usd: option(d, decimal)?,
    })
}

fn write_entry(e: &mut Cbor, entry: &SheetEntry) -> Written {
    e.array(3)?;
    put_list(e, &entry.models, write_pattern)?;
    write_decimal(e, entry.factor)?;
    put_list(e, &entry.prices, |e, (meter, usd)| {
        e.array(2)?;
        write_meter(e, meter)?;
        write_decimal(e, *usd)
    })
}

fn entry(d: &mut Decoder<'_>) -> Read<SheetEntry> {
    array(d, 3)?;
    Ok(SheetEntry {
        models: list(d, pattern)?,
        factor: decimal(d)?,
        prices: list(d, |d| {
            array(d, 2)?;
            Ok((meter(d)?, decimal(d)?))
        })?,
    })
}

fn write_pattern(e: &mut Cbor, pattern: &ModelPattern) -> Written {
    e.array(3)?.encode(pattern.provider.as_deref())?;
    let (kind, name) = match &pattern.model {
        ModelName::Any => (0, None),
        ModelName::Is(name) => (1, Some(&**name)),
        ModelName::Begins(name) => (2, Some(&**name)),
    };
    e.u8(kind)?.encode(name)?;
    Ok(())
}

fn pattern(d: &mut Decoder<'_>) -> Read<ModelPattern> {
    array(d, 3)?;
    Ok(ModelPattern {
        provider: option(d, text)?,
        model: match (d.u8()?, option(d, text)?) {
            (0, None) => ModelName::Any,
            (1, Some(name)) => ModelName::Is(name),
            (2, Some(name)) => ModelName::Begins(name),
            _ => return Err(malformed("model pattern")),
        },
    })
}

pub(super) fn write_per(e: &mut Cbor, per: Per) -> Written {
    e.str(match per {
        Per::Call => "call",
        Per::Day => "day",
        Per::Month => "month",
    })?;
    Ok(())
}

pub(super) fn per(d: &mut Decoder<'_>) -> Read<Per> {
    match d.str()? {
        "call" => Ok(Per::Call),
        "day" => Ok(Per::Day),
        "month" => Ok(Per::Month),
        _ => Err(malformed("period of a count")),
    }
}

pub(super) fn write_narrowing(e: &mut Cbor, narrowing: &Narrowing) -> Written {
    e.array(5)?.encode(narrowing.org.as_deref())?;
    put_list(e, &narrowing.models, write_pattern)?;
    e.encode(narrowing.from_ms)?.encode(narrowing.until_ms)?;
    match narrowing.minutes {
        Some((from, until)) => e.array(2)?.u16(from)?.u16(until)?,
        None => e.null()?,
    };
    Ok(())
}

pub(super) fn narrowing(d: &mut Decoder<'_>) -> Read<Narrowing> {
    array(d, 5)?;
    Ok(Narrowing {
        org: option(d, text)?,
        models: list(d, pattern)?,
        from_ms: option(d, |d| d.i64())?,
        until_ms: option(d, |d| d.i64())?,
        minutes: option(d, |d| {
            array(d, 2)?;
            Ok((d.u16()?, d.u16()?))
        })?,
    })
}
