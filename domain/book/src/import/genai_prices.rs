//! The genai-prices data: providers with models, clauses that match model names, and prices.
//!
//! Prices are per million tokens (or per thousand of other things), flat or with tiers by prompt
//! size, conditional by date or time of day, with variants by service tier.

mod clause;
mod field;

use super::dates::{boundaries, last_holding};
use super::draft::{Per, Priced, Prices, shifted};
use super::report::{Reason, Report};
use super::{ImportError, Imported, amount, json};
use crate::text::{BookText, ModelText, PeriodText, SourceText};
use clause::Names;
use farebox_pricing::provider;
use serde_json::{Map, Value};

/// The source's name in books.
pub const SOURCE: &str = "genai-prices";

/// Reads the whole data: a list of providers. `version` is the release it was taken from; `as_of`
/// its day, `YYYY-MM-DD`.
///
/// # Errors
/// When the text is not JSON, or not a list of providers.
pub fn import(text: &str, version: &str, as_of: &str) -> Result<Imported, ImportError> {
    let Value::Array(providers) = json(text)? else {
        return Err(ImportError::NotThisSource {
            source_name: SOURCE,
            what: "the file is not a list of providers".into(),
        });
    };
    let mut report = Report::default();
    let mut models = Vec::new();
    for provider in &providers {
        read_provider(provider, &mut models, &mut report);
    }
    report.models = u64::try_from(models.len()).unwrap_or(u64::MAX);
    Ok(Imported {
        book: BookText {
            name: SOURCE.into(),
            as_of: as_of.into(),
            sources: vec![SourceText {
                name: SOURCE.into(),
                version: version.into(),
            }],
            models,
            ..BookText::default()
        },
        report,
    })
}

fn read_provider(value: &Value, models: &mut Vec<ModelText>, report: &mut Report) {
    let id = value.get("id").and_then(Value::as_str).unwrap_or("");
    let Some(provider) = provider::normalise(id) else {
        report.left_out(id, "id", Reason::BadName);
        return;
    };
    let list = value.get("models").and_then(Value::as_array);
    let mut names = Names::default();
    let mut read = Vec::new();
    for model in list.into_iter().flatten() {
        report.entries = report.entries.saturating_add(1);
        let name = model.get("id").and_then(Value::as_str).unwrap_or("");
        let entry = format!("{id}/{name}");
        let text = Reader {
            entry: &entry,
            report,
        }
        .model(&provider, name, model);
        if let Some(text) = text {
            if names.take_name(&text.model) {
                read.push((entry, text, model.get("match")));
            } else {
                report.left_out(&entry, "id", Reason::NameTaken);
            }
        }
    }
    // Names come first: an id means its own model, whatever an earlier clause says.
    for (entry, mut text, clause) in read {
        if let Some(clause) = clause {
            names.take(clause, &mut text, &mut |what, reason| {
                report.left_out(&entry, what, reason);
            });
        }
        text.aliases.sort_unstable();
        text.prefixes.sort_unstable();
        models.push(text);
    }
}

/// Prices that hold from a day on.
type Dated = Vec<(Option<String>, Prices)>;

struct Reader<'a> {
    entry: &'a str,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn left_out(&mut self, field: &str, reason: Reason) {
        self.report.left_out(self.entry, field, reason);
    }

    fn model(&mut self, provider: &str, name: &str, model: &Value) -> Option<ModelText> {
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            self.left_out("id", Reason::BadName);
            return None;
        }
        let (base, peak) = self.base(model.get("prices"));
        let variants = self.variants(model.get("price_variants"));
        let starts = base.iter().map(|(start, _)| start);
        let starts = starts.chain(
            variants
                .iter()
                .flat_map(|(_, dated)| dated.iter().map(|(start, _)| start)),
        );
        let open = base.iter().any(|(start, _)| start.is_none());
        let days: Vec<&str> = starts.filter_map(|start| start.as_deref()).collect();
        let mut periods = Vec::new();
        for day in boundaries(open, days) {
            let Some(prices) = last_holding(&base, day.as_ref()) else {
                continue;
            };
            let mut prices = prices.clone();
            for (tier, dated) in &variants {
                if let Some(variant) = last_holding(dated, day.as_ref()) {
                    for ((_, above), rates) in &variant.0 {
                        prices.0.insert((Some(tier.clone()), *above), rates.clone());
                    }
                }
            }
            prices.spread_tiers();
            if periods.last().is_none_or(|(_, before)| *before != prices) {
                periods.push((day, prices));
            }
        }
        if let (Some(peak), Some((_, last))) = (peak, periods.last_mut()) {
            last.raise_to(&peak);
        }
        periods.retain(|(_, prices)| !prices.is_empty());
        if periods.is_empty() {
            self.left_out("prices", Reason::NoPrice);
            return None;
        }
        if periods.iter().all(|(_, prices)| prices.only_zeros()) {
            self.left_out("prices", Reason::OnlyZeros);
            return None;
        }
        let mut text = ModelText {
            provider: provider.into(),
            model: name.into(),
            // xAI alone bills the larger context from its threshold on.
            context_inclusive: provider == "xai",
            ..ModelText::default()
        };
        put_periods(&mut text, periods);
        Some(text)
    }

    /// The base prices by day, and those of the dearest time of day.
    fn base(&mut self, value: Option<&Value>) -> (Dated, Option<Prices>) {
        match value {
            Some(Value::Object(prices)) => (vec![(None, self.prices(prices))], None),
            Some(Value::Array(list)) => self.conditional(list),
            _ => (Dated::new(), None),
        }
    }

    fn conditional(&mut self, list: &[Value]) -> (Dated, Option<Prices>) {
        let mut dated = Dated::new();
        let mut peak: Option<Prices> = None;
        for entry in list {
            let Some(Value::Object(prices)) = entry.get("prices") else {
                self.left_out("prices", Reason::NoPrice);
                continue;
            };
            let constraint = entry.get("constraint");
            let start = constraint
                .and_then(|c| c.get("start_date"))
                .and_then(Value::as_str);
            if constraint.is_some_and(|constraint| constraint.get("start_time").is_some()) {
                self.left_out("prices.constraint", Reason::TimeOfDay);
                let prices = self.prices(prices);
                match &mut peak {
                    Some(peak) => peak.raise_to(&prices),
                    None => peak = Some(prices),
                }
            } else if constraint.is_some_and(|c| !c.is_null()) && start.is_none() {
                self.left_out("prices.constraint", Reason::UnknownField);
            } else {
                let prices = self.prices(prices);
                dated.push((start.map(ToOwned::to_owned), prices));
            }
        }
        (dated, peak)
    }

    /// Variants by the service tier they are for.
    fn variants(&mut self, value: Option<&Value>) -> Vec<(String, Dated)> {
        let mut variants: Vec<(String, Dated)> = Vec::new();
        for variant in value.and_then(Value::as_array).into_iter().flatten() {
            let Some(tier) = self.tier(variant.get("when")) else {
                continue;
            };
            let Some(Value::Object(prices)) = variant.get("prices") else {
                self.left_out("price_variants", Reason::NoPrice);
                continue;
            };
            let constraint = variant.get("constraint");
            let start = constraint
                .and_then(|c| c.get("start_date"))
                .and_then(Value::as_str);
            let dated = (start.map(ToOwned::to_owned), self.prices(prices));
            match variants.iter_mut().find(|(name, _)| *name == tier) {
                Some((_, entries)) => entries.push(dated),
                None => variants.push((tier, vec![dated])),
            }
        }
        variants
    }

    fn tier(&mut self, when: Option<&Value>) -> Option<String> {
        let when = when.and_then(Value::as_object)?;
        let only = when.iter().next().filter(|_| when.len() == 1);
        let value = only.and_then(|(name, value)| Some((name.as_str(), value.as_str()?)));
        match value {
            Some(("service_tier", "default" | "standard")) => {
                self.left_out("price_variants.service_tier", Reason::StandardTier);
                None
            }
            Some(("processing" | "service_tier" | "speed", tier)) => Some(tier.to_owned()),
            _ => {
                let names: Vec<&str> = when.keys().map(String::as_str).collect();
                let field = format!("price_variants.{}", names.join("+"));
                self.left_out(&field, Reason::CallerChoice);
                None
            }
        }
    }

    fn prices(&mut self, fields: &Map<String, Value>) -> Prices {
        let mut prices = Prices::default();
        for (name, value) in fields {
            let Some(field) = field::known(name) else {
                self.left_out(name, Reason::UnknownField);
                continue;
            };
            match value {
                Value::Object(tiered) => {
                    if let Some(base) = tiered.get("base") {
                        self.price(&mut prices, name, &field, None, base);
                    }
                    let tiers = tiered.get("tiers").and_then(Value::as_array);
                    for tier in tiers.into_iter().flatten() {
                        let start = tier.get("start").and_then(|start| amount(start).ok());
                        let start = start.and_then(|start| u64::try_from(start.get()).ok());
                        match (start, tier.get("price")) {
                            (Some(start), Some(price)) => {
                                self.price(&mut prices, name, &field, Some(start), price);
                            }
                            _ => self.left_out(name, Reason::BadNumber),
                        }
                    }
                }
                value => self.price(&mut prices, name, &field, None, value),
            }
        }
        prices
    }

    fn price(
        &mut self,
        prices: &mut Prices,
        name: &str,
        field: &field::Field,
        above: Option<u64>,
        value: &Value,
    ) {
        let Ok(amount) = amount(value) else {
            self.left_out(name, Reason::BadNumber);
            return;
        };
        if amount.get().is_sign_negative() && !amount.get().is_zero() {
            self.left_out(name, Reason::Negative);
            return;
        }
        let Some((amount, exact)) = field.scaled(amount) else {
            self.left_out(name, Reason::BadNumber);
            return;
        };
        if !exact {
            self.left_out(name, Reason::RoundedUp);
        }
        let Some(priced) = field.priced() else {
            self.left_out(name, Reason::UnknownField);
            return;
        };
        if prices.set((None, above), priced, amount) {
            self.report.imported(name);
        } else {
            self.left_out(name, Reason::Superseded);
        }
    }
}

/// One undated period stands at the model itself.
fn put_periods(text: &mut ModelText, periods: Vec<(Option<String>, Prices)>) {
    for (day, prices) in periods {
        if day.is_none() {
            prices.put(text);
            continue;
        }
        let leaf = prices.leaf(None, None);
        text.periods.push(PeriodText {
            valid_from: day,
            valid_to: None,
            per_million: leaf.per_million,
            per_unit: leaf.per_unit,
            rates: leaf.rates,
            context: prices.contexts(None),
            tiers: prices.tiers(),
            regions: Vec::new(),
        });
    }
}
