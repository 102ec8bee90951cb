//! Prices, read from the guest's memory as the domain's types.
//!
//! The mirror of [`super::ask`]: no types in between, and one look at the memory. Whatever is
//! read is checked on the way: places within the memory, texts that are UTF-8, cases that exist,
//! numbers that are values of the contract ([`Malformed`]). Every byte that is copied out counts
//! against the store's limit.

use super::super::instance::Malformed;
use super::place::{self, DECIMAL, LINE, RATE_REASON, RATING, part, word};
use super::{lift, wit};
use farebox_pricing::answer::{Line, LineKind, RateReason, Rating, Reason, Refusal};
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;
use std::sync::Arc;
use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentVariant, InstanceType, InterfaceType, LiftContext,
};
use wasmtime::component::{ComponentType, Lift};
use wasmtime::{Result, bail};

/// The answer to one request: the contract's `result<rating, refusal>`.
pub type Priced = std::result::Result<std::result::Result<Rating, Refusal>, Malformed>;

/// The answer to `rate`.
pub struct Answer(pub Priced);

/// The answer to `rate-batch`: the contract's `list<result<rating, refusal>>`.
pub struct Answers(pub std::result::Result<Vec<std::result::Result<Rating, Refusal>>, Malformed>);

type Outcome = std::result::Result<wit::Rating, wit::Refusal>;

const OUTCOME_BYTES: usize = <Outcome as ComponentType>::SIZE32;
const LINE_BYTES: usize = <wit::Line as ComponentType>::SIZE32;

macro_rules! stands_for {
    ($ours:ty, $theirs:ty) => {
        // SAFETY: all is said by the generated type.
        unsafe impl ComponentType for $ours {
            type Lower = <$theirs as ComponentType>::Lower;

            const ABI: CanonicalAbiInfo = <$theirs as ComponentType>::ABI;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
                <$theirs as ComponentType>::typecheck(ty, types)
            }
        }

        // SAFETY: reads what the type stands for, out of memory, and trusts nothing there.
        unsafe impl Lift for $ours {
            fn linear_lift_from_flat(
                _: &mut LiftContext<'_>,
                _: InterfaceType,
                _: &Self::Lower,
            ) -> Result<Self> {
                // It has more fields than a function may have results.
                bail!("an answer is returned in memory")
            }

            fn linear_lift_from_memory(
                cx: &mut LiftContext<'_>,
                ty: InterfaceType,
                bytes: &[u8],
            ) -> Result<Self> {
                Self::read(&mut Reader::new(cx, ty), bytes)
            }
        }
    };
}

stands_for!(Answer, Outcome);
stands_for!(Answers, Vec<Outcome>);

impl Answer {
    fn read(reader: &mut Reader<'_, '_>, bytes: &[u8]) -> Result<Self> {
        reader.outcome(bytes).map(Self)
    }
}

impl Answers {
    fn read(reader: &mut Reader<'_, '_>, bytes: &[u8]) -> Result<Self> {
        if let InterfaceType::List(list) = reader.outcome {
            reader.outcome = reader.cx.types[list].element;
        }
        let items = reader.items(bytes, OUTCOME_BYTES, 8)?;
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            match reader.outcome(item)? {
                Ok(answer) => answers.push(answer),
                Err(malformed) => return Ok(Self(Err(malformed))),
            }
        }
        Ok(Self(Ok(answers)))
    }
}

/// Reads from one answer. Errors of the outer kind are of the memory; of the inner kind
/// ([`Malformed`]), of the values in it.
struct Reader<'a, 'm> {
    cx: &'a mut LiftContext<'m>,
    /// The type of one answer.
    outcome: InterfaceType,
    is_utf8: bool,
    /// The model of the answer before: in a batch mostly this one's, too.
    model: Option<Arc<str>>,
}

/// A value, or why it is none of the contract's.
type Value<T> = std::result::Result<T, Malformed>;

macro_rules! value {
    ($value:expr) => {
        match $value {
            Ok(value) => value,
            Err(malformed) => return Ok(Err(malformed)),
        }
    };
}

impl<'a, 'm> Reader<'a, 'm> {
    fn new(cx: &'a mut LiftContext<'m>, outcome: InterfaceType) -> Self {
        let is_utf8 = matches!(cx.options().string_encoding, StringEncoding::Utf8);
        Self {
            cx,
            outcome,
            is_utf8,
            model: None,
        }
    }

    fn outcome(&mut self, bytes: &[u8]) -> Result<Priced> {
        let value = part(bytes, <Outcome as ComponentVariant>::PAYLOAD_OFFSET32);
        match word(bytes, 0) {
            [0] => Ok(self.rating(value)?.map(Ok)),
            [1] => Ok(Ok(Err(self.refusal(bytes)?))),
            [case] => bail!("{case} is no case of a result"),
        }
    }

    #[cold]
    fn refusal(&mut self, bytes: &[u8]) -> Result<Refusal> {
        // Rare, so wasmtime reads it.
        match Outcome::linear_lift_from_memory(self.cx, self.outcome, bytes)? {
            Ok(_) => bail!("an answer that changes while it is read"),
            Err(refusal) => Ok(lift::refusal(refusal)),
        }
    }

    fn rating(&mut self, bytes: &[u8]) -> Result<Value<Rating>> {
        let model = self.maybe(part(bytes, RATING.model), Self::shared_text)?;
        let lines = self.items(part(bytes, RATING.lines), LINE_BYTES, 8)?;
        let mut read = Vec::with_capacity(lines.len());
        for line in lines {
            read.push(value!(self.line(line, model.as_ref())?));
        }
        self.model = model;
        Ok(
            decimal(part(bytes, RATING.total_usd)).map(|total_usd| Rating {
                lines: read,
                total_usd,
            }),
        )
    }

    fn line(&mut self, bytes: &[u8], model: Option<&Arc<str>>) -> Result<Value<Line>> {
        let kind = match word(bytes, LINE.kind) {
            [0] => LineKind::Usage,
            [1] => LineKind::ProviderCost,
            [2] => LineKind::Markup,
            [3] => LineKind::PlatformFee,
            [4] => LineKind::Minimum,
            [5] => LineKind::Discount,
            [case] => bail!("{case} is no kind of a line"),
        };
        let meter = self.maybe(part(bytes, LINE.meter), Self::meter)?;
        let reason = self.reason(part(bytes, LINE.reason), model)?;
        Ok(Ok(Line {
            kind,
            meter: value!(meter.transpose()),
            quantity: value!(decimal(part(bytes, LINE.quantity))),
            unit_price_usd: value!(decimal(part(bytes, LINE.unit_price_usd))),
            amount_usd: value!(decimal(part(bytes, LINE.amount_usd))),
            reason: value!(reason),
        }))
    }

    fn reason(&mut self, bytes: &[u8], model: Option<&Arc<str>>) -> Result<Value<Reason>> {
        let value = part(bytes, <wit::Reason as ComponentVariant>::PAYLOAD_OFFSET32);
        let reason = match word(bytes, 0) {
            [0] => return Ok(self.rate_reason(value, model)?.map(Reason::Rate)),
            [1] => Reason::ProviderCost,
            [2] => Reason::Markup {
                rule: self.text(value)?,
            },
            [3] => Reason::PlatformFeeFixed,
            [4] => Reason::PlatformFeeShare,
            [5] => Reason::Minimum {
                rule: self.text(value)?,
            },
            [6] => Reason::Discount {
                rule: self.text(value)?,
            },
            [7] => {
                let code = self.text(value)?;
                let parameters = self.attributes(part(value, place::PAIR_BYTES))?;
                return Ok(parameters.map(|parameters| Reason::Custom { code, parameters }));
            }
            [case] => bail!("{case} is no case of a reason"),
        };
        Ok(Ok(reason))
    }

    fn rate_reason(&mut self, bytes: &[u8], model: Option<&Arc<str>>) -> Result<Value<RateReason>> {
        let own = self.maybe(part(bytes, RATE_REASON.model), Self::text)?;
        let Some(model) = own.map(Into::into).or_else(|| model.cloned()) else {
            return Ok(Err(Malformed::NoModel));
        };
        let service_tier = self.maybe(part(bytes, RATE_REASON.service_tier), Self::text)?;
        let fallback = self.maybe(part(bytes, RATE_REASON.fallback), Self::text)?;
        let conditions = self.attributes(part(bytes, RATE_REASON.conditions))?;
        Ok(Ok(RateReason {
            model,
            service_tier,
            context_above: match word(bytes, RATE_REASON.context_above) {
                [0] => None,
                [1] => {
                    let at = RATE_REASON
                        .context_above
                        .saturating_add(place::some::<u64>());
                    Some(u64::from_le_bytes(word(bytes, at)))
                }
                [case] => bail!("{case} is no case of an option"),
            },
            fallback,
            conditions: value!(conditions),
        }))
    }

    fn attributes(
        &mut self,
        bytes: &[u8],
    ) -> Result<Value<Vec<farebox_pricing::meter::Attribute>>> {
        const BYTES: usize = <wit::AttributeResult as ComponentType>::SIZE32;
        let items = self.items(bytes, BYTES, 4)?;
        if items.len() == 0 {
            return Ok(Ok(Vec::new()));
        }
        let mut attributes = Vec::with_capacity(items.len());
        for item in items {
            attributes.push(farebox_pricing::meter::Attribute {
                name: self.text(item)?,
                value: self.text(part(item, place::PAIR_BYTES))?,
            });
        }
        Ok(if attributes.is_sorted_by(|a, b| a.name < b.name) {
            Ok(attributes)
        } else {
            Err(Malformed::Attributes)
        })
    }

    fn meter(&mut self, bytes: &[u8]) -> Result<Value<Meter>> {
        const NAME: usize = <wit::MeterResult as ComponentVariant>::PAYLOAD_OFFSET32;
        Ok(Ok(match word(bytes, 0) {
            [0] => Meter::Input,
            [1] => Meter::CacheRead,
            [2] => Meter::CacheWrite5m,
            [3] => Meter::CacheWrite1h,
            [4] => Meter::Output,
            [5] => Meter::Reasoning,
            [6] => Meter::InputAudio,
            [7] => Meter::OutputAudio,
            [8] => Meter::InputImage,
            [9] => Meter::OutputImage,
            [10] => Meter::InputVideo,
            [11] => Meter::Request,
            [12] => Meter::Search,
            [13] => Meter::ToolCall,
            [14] => Meter::Second,
            [15] => Meter::Character,
            [16] => Meter::Page,
            [17] => Meter::Image,
            [18] => {
                let name = self.text(part(bytes, NAME))?;
                return Ok(lift::other_meter(&name));
            }
            [case] => bail!("{case} is no case of a meter"),
        }))
    }

    /// The value of an option whose value has the alignment of a text.
    fn maybe<T>(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Self, &[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        match word(bytes, 0) {
            [0] => Ok(None),
            [1] => read(self, part(bytes, place::some::<&str>())).map(Some),
            [case] => bail!("{case} is no case of an option"),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Box<str>> {
        if self.is_utf8 {
            Ok(self.utf8(bytes)?.into())
        } else {
            self.text_in_other_words(bytes)
        }
    }

    #[cold]
    fn text_in_other_words(&mut self, bytes: &[u8]) -> Result<Box<str>> {
        let bytes = bytes.get(..place::PAIR_BYTES).unwrap_or_default();
        String::linear_lift_from_memory(self.cx, InterfaceType::String, bytes).map(Into::into)
    }

    /// A text that the answer before probably had, too.
    fn shared_text(&mut self, bytes: &[u8]) -> Result<Arc<str>> {
        if !self.is_utf8 {
            return self.text_in_other_words(bytes).map(Into::into);
        }
        let before = self.model.take();
        let text = self.utf8(bytes)?;
        Ok(match before {
            Some(before) if *before == *text => before,
            _ => text.into(),
        })
    }

    fn utf8(&mut self, bytes: &[u8]) -> Result<&'m str> {
        let text = self.range(bytes, 1)?;
        Ok(std::str::from_utf8(text)?)
    }

    /// The items of a list.
    fn items(
        &mut self,
        bytes: &[u8],
        item_bytes: usize,
        align: usize,
    ) -> Result<std::slice::ChunksExact<'m, u8>> {
        let (at, _) = pair(bytes);
        if !at.is_multiple_of(align) {
            bail!("a list is not aligned");
        }
        Ok(self.range(bytes, item_bytes)?.chunks_exact(item_bytes))
    }

    /// What an address and a length mean, where that is within the memory.
    fn range(&mut self, bytes: &[u8], item_bytes: usize) -> Result<&'m [u8]> {
        let (at, len) = pair(bytes);
        self.cx.consume_fuel_array(len, item_bytes)?;
        // Also an empty list lies somewhere in the memory.
        let len = len.saturating_mul(item_bytes);
        let rest = self.cx.memory().get(at..);
        match rest.and_then(|rest| rest.get(..len)) {
            Some(range) => Ok(range),
            None => bail!("a text or list lies out of bounds of the memory"),
        }
    }
}

fn pair(bytes: &[u8]) -> (usize, usize) {
    let word = |at| u32::from_le_bytes(word(bytes, at)) as usize;
    (word(0), word(4))
}

fn decimal(bytes: &[u8]) -> Value<Decimal> {
    lift::decimal(wit::Decimal {
        negative: word(bytes, DECIMAL.negative) != [0],
        coefficient_high: u32::from_le_bytes(word(bytes, DECIMAL.high)),
        coefficient_low: u64::from_le_bytes(word(bytes, DECIMAL.low)),
        scale: u8::from_le_bytes(word(bytes, DECIMAL.scale)),
    })
}
