//! Events, facts and lines in rows.

use super::cbor::{Cbor, Error, In, Out};
use farebox_pricing::answer::{Line, LineKind, RateReason, Reason};
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Attribute, Meter, Pool, Quantity};
use farebox_pricing::money::{Nanos, Peg, Rounding};

fn unknown<T>(what: &'static str) -> Result<T, Error> {
    Err(Error::message(what))
}

/// Enums as numbers that are never reused.
macro_rules! coded {
    ($type:ty { $($variant:ident = $code:literal),* $(,)? }) => {
        impl Cbor for $type {
            fn put(&self, out: &mut Out) {
                out.uint(match self { $(Self::$variant => $code),* });
            }

            fn get(input: &mut In<'_>) -> Result<Self, Error> {
                match input.uint()? {
                    $($code => Ok(Self::$variant),)*
                    _ => unknown(concat!("unknown ", stringify!($type), " in a row")),
                }
            }
        }
    };
}

coded!(Deployment { Hosted = 0, SelfHosted = 1 });
coded!(KeySource { Managed = 0, Own = 1 });
coded!(Rounding { AwayFromZero = 0, HalfEven = 1, TowardZero = 2 });
coded!(LineKind {
    Usage = 0,
    ProviderCost = 1,
    Markup = 2,
    PlatformFee = 3,
    Minimum = 4,
    Discount = 5,
});

impl Cbor for Nanos {
    fn put(&self, out: &mut Out) {
        out.int(self.get());
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Self::new(input.int()?).ok_or_else(|| Error::message("a stored amount is negative"))
    }
}

impl Cbor for Peg {
    fn put(&self, out: &mut Out) {
        out.put(&self.usd_per_credit());
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Self::new(input.get()?).ok_or_else(|| Error::message("a stored peg is out of range"))
    }
}

impl Cbor for Meter {
    /// Named meters are their place in [`Meter::NAMED`], which only ever grows at its end.
    fn put(&self, out: &mut Out) {
        match Self::NAMED.iter().position(|named| named == self) {
            Some(place) => {
                out.uint(u64::try_from(place).unwrap_or(u64::MAX));
                out.null();
            }
            None => {
                out.uint(u64::from(u8::MAX));
                out.text(self.name());
            }
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        let place = input.uint()?;
        let name: Option<Box<str>> = input.get()?;
        match name {
            Some(name) => Self::from_name(&name),
            None => usize::try_from(place)
                .ok()
                .and_then(|place| Self::NAMED.get(place))
                .cloned(),
        }
        .ok_or_else(|| Error::message("unknown meter in a row"))
    }
}

impl Cbor for Attribute {
    fn put(&self, out: &mut Out) {
        out.put(&self.name).put(&self.value);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            name: input.get()?,
            value: input.get()?,
        })
    }
}

impl Cbor for Pool {
    fn put(&self, out: &mut Out) {
        out.put(&self.meter)
            .put(&self.quantity.get())
            .list(&self.attributes);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            meter: input.get()?,
            quantity: Quantity::new(input.get()?)
                .map_err(|_| Error::message("a stored quantity is out of range"))?,
            attributes: input.list()?,
        })
    }
}

impl Cbor for UsageEvent {
    fn put(&self, out: &mut Out) {
        out.put(&self.provider)
            .put(&self.model_asked)
            .put(&self.model_served)
            .put(&self.service_tier)
            .put(&self.region)
            .put(&self.feature)
            .list(&self.pools)
            .put(&self.provider_cost_usd);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            provider: input.get()?,
            model_asked: input.get()?,
            model_served: input.get()?,
            service_tier: input.get()?,
            region: input.get()?,
            feature: input.get()?,
            pools: input.list()?,
            provider_cost_usd: input.get()?,
        })
    }
}

impl Cbor for QuoteRequest {
    fn put(&self, out: &mut Out) {
        out.put(&self.provider)
            .put(&self.model)
            .put(&self.service_tier)
            .put(&self.region)
            .put(&self.feature)
            .put(&self.body_bytes)
            .put(&self.max_output_tokens)
            .list(&self.declared)
            .put(&self.provider_cost_max_usd);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            provider: input.get()?,
            model: input.get()?,
            service_tier: input.get()?,
            region: input.get()?,
            feature: input.get()?,
            body_bytes: input.get()?,
            max_output_tokens: input.get()?,
            declared: input.list()?,
            provider_cost_max_usd: input.get()?,
        })
    }
}

impl Cbor for Facts {
    fn put(&self, out: &mut Out) {
        out.put(&self.deployment)
            .put(&self.key_source)
            .put(&self.occurred_at_ms)
            .put(&self.plan)
            .put(&self.org)
            .put(&self.project)
            .put(&self.user)
            .put(&self.agent)
            .put(&self.month_to_date_usd)
            .list(&self.other);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            deployment: input.get()?,
            key_source: input.get()?,
            occurred_at_ms: input.get()?,
            plan: input.get()?,
            org: input.get()?,
            project: input.get()?,
            user: input.get()?,
            agent: input.get()?,
            month_to_date_usd: input.get()?,
            other: input.list()?,
        })
    }
}

impl Cbor for Reason {
    fn put(&self, out: &mut Out) {
        match self {
            Self::Rate(rate) => {
                // Most rates have no further condition, and most rows are of rates.
                let plain = rate.conditions.is_empty();
                out.uint(if plain { 0 } else { 8 });
                out.put(&rate.model)
                    .put(&rate.service_tier)
                    .put(&rate.context_above)
                    .put(&rate.fallback);
                if !plain {
                    out.list(&rate.conditions);
                }
            }
            Self::ProviderCost => out.uint(1),
            Self::Markup { rule } => {
                out.uint(2);
                out.put(rule);
            }
            Self::PlatformFeeFixed => out.uint(3),
            Self::PlatformFeeShare => out.uint(4),
            Self::Minimum { rule } => {
                out.uint(5);
                out.put(rule);
            }
            Self::Discount { rule } => {
                out.uint(6);
                out.put(rule);
            }
            Self::Custom { code, parameters } => {
                out.uint(7);
                out.put(code).list(parameters);
            }
        }
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(match input.uint()? {
            kind @ (0 | 8) => Self::Rate(RateReason {
                model: input.get()?,
                service_tier: input.get()?,
                context_above: input.get()?,
                fallback: input.get()?,
                conditions: if kind == 8 { input.list()? } else { Vec::new() },
            }),
            1 => Self::ProviderCost,
            2 => Self::Markup { rule: input.get()? },
            3 => Self::PlatformFeeFixed,
            4 => Self::PlatformFeeShare,
            5 => Self::Minimum { rule: input.get()? },
            6 => Self::Discount { rule: input.get()? },
            7 => Self::Custom {
                code: input.get()?,
                parameters: input.list()?,
            },
            _ => return unknown("unknown reason in a row"),
        })
    }
}

impl Cbor for Line {
    fn put(&self, out: &mut Out) {
        out.put(&self.kind)
            .put(&self.meter)
            .put(&self.quantity)
            .put(&self.unit_price_usd)
            .put(&self.amount_usd)
            .put(&self.reason);
    }

    fn get(input: &mut In<'_>) -> Result<Self, Error> {
        Ok(Self {
            kind: input.get()?,
            meter: input.get()?,
            quantity: input.get()?,
            unit_price_usd: input.get()?,
            amount_usd: input.get()?,
            reason: input.get()?,
        })
    }
}

/// Passes over a list of lines. They are most of a receipt, and full of texts.
///
/// # Errors
/// There is none.
pub fn skip_lines(input: &mut In<'_>) -> Result<(), Error> {
    // Two values each.
    const THREE_DECIMALS: u64 = 6;
    for _ in 0..input.length()? {
        let _kind = input.uint()?;
        if input.optional_uint()?.is_some() {
            // The name of a meter of somebody's own.
            input.skip(1)?;
        }
        input.skip(THREE_DECIMALS)?;
        match input.uint()? {
            1 | 3 | 4 => {}
            2 | 5 | 6 => input.skip(1)?,
            0 => input.skip(RATE_REASON)?,
            8 => {
                input.skip(RATE_REASON)?;
                skip_attributes(input)?;
            }
            7 => {
                input.skip(1)?;
                skip_attributes(input)?;
            }
            _ => return unknown("unknown reason in a row"),
        }
    }
    Ok(())
}

/// Model, service tier, context tier, fallback.
const RATE_REASON: u64 = 4;

fn skip_attributes(input: &mut In<'_>) -> Result<(), Error> {
    for _ in 0..input.length()? {
        input.skip(2)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    #[test]
    fn lines_of_every_kind_are_passed_over_whole() {
        let attribute = Attribute {
            name: "hours".into(),
            value: "night".into(),
        };
        let rate = |conditions| {
            Reason::Rate(RateReason {
                model: "gpt-5".into(),
                service_tier: Some("flex".into()),
                context_above: Some(200_000),
                fallback: None,
                conditions,
            })
        };
        let rule = || "plan:pro".into();
        let reasons = [
            rate(Vec::new()),
            rate(vec![attribute.clone(), attribute.clone()]),
            Reason::ProviderCost,
            Reason::Markup { rule: rule() },
            Reason::PlatformFeeFixed,
            Reason::PlatformFeeShare,
            Reason::Minimum { rule: rule() },
            Reason::Discount { rule: rule() },
            Reason::Custom {
                code: "surge".into(),
                parameters: vec![attribute],
            },
        ];
        let meters = [None, Some(Meter::Input), Meter::from_name("compute_unit")];
        let lines: Vec<Line> = reasons
            .into_iter()
            .flat_map(|reason| meters.clone().map(|meter| (reason.clone(), meter)))
            .map(|(reason, meter)| Line {
                kind: LineKind::Usage,
                meter,
                quantity: Decimal::MAX,
                unit_price_usd: Decimal::new(15, 8),
                amount_usd: Decimal::new(-15, 8),
                reason,
            })
            .collect();
        let mut out = Out::new(1);
        out.list(&lines).put(&7_u64);
        let bytes = out.into_bytes();
        let mut input = In::new(&bytes, 1).unwrap();
        skip_lines(&mut input).unwrap();
        assert_eq!(input.uint().unwrap(), 7);
        input.end().unwrap();
    }
}
