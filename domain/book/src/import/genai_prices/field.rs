//! The price fields of genai-prices: meter and unit.

use super::{Per, Priced, shifted};
use crate::amount::Amount;
use rust_decimal::{Decimal, RoundingStrategy};

/// What the number of a field counts.
#[derive(Clone, Copy)]
enum Unit {
    /// USD per million, as our text has it.
    Million,
    /// USD per thousand.
    Thousand,
    /// USD per hour, of a meter that counts seconds.
    Hour,
}

/// A price field.
pub(super) struct Field {
    meter: &'static str,
    modality: Option<&'static str>,
    unit: Unit,
}

/// The field called `name`.
pub(super) fn known(name: &str) -> Option<Field> {
    let (meter, modality, unit) = match name {
        "input_mtok" => ("input", None, Unit::Million),
        "output_mtok" => ("output", None, Unit::Million),
        "cache_read_mtok" => ("cache_read", None, Unit::Million),
        "cache_write_mtok" => ("cache_write_5m", None, Unit::Million),
        "cache_write_1h_mtok" => ("cache_write_1h", None, Unit::Million),
        "cache_audio_read_mtok" => ("cache_read", Some("audio"), Unit::Million),
        "cache_image_read_mtok" => ("cache_read", Some("image"), Unit::Million),
        "input_audio_mtok" => ("input_audio", None, Unit::Million),
        "input_image_mtok" => ("input_image", None, Unit::Million),
        "input_video_mtok" => ("input_video", None, Unit::Million),
        "output_audio_mtok" => ("output_audio", None, Unit::Million),
        "output_image_mtok" => ("output_image", None, Unit::Million),
        "output_video_mtok" => ("output_video", None, Unit::Million),
        "output_reasoning_mtok" => ("reasoning", None, Unit::Million),
        "output_citation_mtok" => ("citation", None, Unit::Million),
        "input_mchars" => ("character", None, Unit::Million),
        "requests_kcount" => ("request", None, Unit::Thousand),
        "web_searches_kcount" => ("search", None, Unit::Thousand),
        "storage_searches_kcount" => ("storage_search", None, Unit::Thousand),
        "input_text_messages_kcount" => ("text_message", None, Unit::Thousand),
        "input_document_kpages" => ("page", None, Unit::Thousand),
        "input_annotated_document_kpages" => ("annotated_page", None, Unit::Thousand),
        "audio_hours" | "input_audio_hours" => ("second", None, Unit::Hour),
        _ => return None,
    };
    Some(Field {
        meter,
        modality,
        unit,
    })
}

impl Field {
    pub(super) fn priced(&self) -> Option<Priced> {
        let per = match self.unit {
            Unit::Million => Per::Million,
            Unit::Thousand | Unit::Hour => Per::Unit,
        };
        let priced = Priced::new(self.meter, per)?;
        Some(match self.modality {
            Some(modality) => priced.with("modality", modality),
            None => priced,
        })
    }

    /// The amount as our text writes it, and whether it is exactly the source's.
    pub(super) fn scaled(&self, amount: Amount) -> Option<(Amount, bool)> {
        match self.unit {
            Unit::Million => Some((amount, true)),
            Unit::Thousand => shifted(amount, -3).map(|amount| (amount, true)),
            Unit::Hour => per_second(amount),
        }
    }
}

/// USD per hour as USD per second, up to 15 decimal places, rounded up: never below cost.
fn per_second(hour: Amount) -> Option<(Amount, bool)> {
    let seconds = Decimal::from(3600);
    let quotient = hour.get().checked_div(seconds)?;
    let rounded = quotient.round_dp_with_strategy(15, RoundingStrategy::AwayFromZero);
    let exact = rounded.checked_mul(seconds)? == hour.get();
    Some((Amount::new(rounded), exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_ours() {
        for (name, written, ours, exact) in [
            ("input_mtok", "0.15", "0.15", true),
            ("web_searches_kcount", "10", "0.01", true),
            ("audio_hours", "0.36", "0.0001", true),
            ("audio_hours", "0.111", "0.000030833333334", false),
        ] {
            let field = known(name).unwrap();
            let (amount, is_exact) = field.scaled(Amount::parse(written).unwrap()).unwrap();
            assert_eq!(
                (amount.to_string().as_str(), is_exact),
                (ours, exact),
                "{name} {written}"
            );
        }
        assert!(known("output_mtoks").is_none());
    }
}
