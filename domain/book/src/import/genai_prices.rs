//! The genai-prices data: providers with models, clauses that match model names, and prices.
//!
//! Prices are per million tokens (or per thousand of other things), flat or with tiers by prompt
//! size, conditional by date or time of day, with variants by service tier.

mod clause;
mod field;
mod hours;
mod regex;

use super::dates::{boundaries, last_holding};
use super::draft::{Per, Priced, Prices, shifted};
use super::report::{Reason, Report};
use super::{ImportError, Imported, amount, json};
use crate::text::{BookText, HoursText, ModelText, PeriodText, RegionText, SourceText};
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
        text.patterns.sort_unstable();
        models.push(text);
    }
}

/// Prices that hold from a day on.
type Dated = Vec<(Option<String>, Prices)>;

/// What a variant of prices is for.
enum Variant {
    Tier(String),
    Region(String),
    /// An attribute of what is counted, and its value.
    Choice(String, String),
}

/// All variants of a model.
#[derive(Default)]
struct Variants {
    tiers: Vec<(String, Dated)>,
    regions: Vec<(String, Dated)>,
    choices: Vec<(String, String, Prices)>,
}

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
        let (mut base, hours) = self.base(model.get("prices"));
        let Variants {
            tiers: variants,
            regions,
            choices,
        } = self.variants(model.get("price_variants"));
        for (_, prices) in &mut base {
            for (name, value, chosen) in &choices {
                prices.choose(name, value, chosen);
            }
        }
        let starts = base.iter().map(|(start, _)| start);
        let starts = starts.chain(
            variants
                .iter()
                .chain(&regions)
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
                    prices.put_variant(tier, variant);
                }
            }
            prices.spread_tiers();
            if periods.last().is_none_or(|(_, before)| *before != prices) {
                periods.push((day, prices));
            }
        }
        let hours = match (hours, periods.last_mut()) {
            (Some(hours), Some((_, last))) => self.hours(hours, last),
            _ => Vec::new(),
        };
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
            // A tier of this source begins beyond its `start`, whoever's it is.
            ..ModelText::default()
        };
        put_periods(&mut text, periods, &regions);
        match text.periods.last_mut() {
            Some(last) => last.hours = hours,
            None => text.hours = hours,
        }
        Some(text)
    }

    /// Hours for the last prices, which become those of the dearest time of day.
    fn hours(&mut self, daily: hours::Daily, last: &mut Prices) -> Vec<HoursText> {
        let off_peak = daily.off_peak(last);
        let Some(hours) = off_peak else {
            self.left_out("prices.constraint", Reason::TimeOfDay);
            for (_, prices) in &daily.peaks {
                last.raise_to(prices);
            }
            return Vec::new();
        };
        for _ in &daily.peaks {
            self.report.imported("prices.constraint");
        }
        vec![hours]
    }

    /// The base prices by day, and those of the dearest time of day.
    fn base(&mut self, value: Option<&Value>) -> (Dated, Option<hours::Daily>) {
        match value {
            Some(Value::Object(prices)) => (vec![(None, self.prices(prices))], None),
            Some(Value::Array(list)) => self.conditional(list),
            _ => (Dated::new(), None),
        }
    }

    fn conditional(&mut self, list: &[Value]) -> (Dated, Option<hours::Daily>) {
        let mut dated = Dated::new();
        let mut daily = hours::Daily::default();
        for entry in list {
            let Some(Value::Object(prices)) = entry.get("prices") else {
                self.left_out("prices", Reason::NoPrice);
                continue;
            };
            let constraint = entry.get("constraint");
            let start = constraint
                .and_then(|c| c.get("start_date"))
                .and_then(Value::as_str);
            if let Some(constraint) = constraint.filter(|c| c.get("start_time").is_some()) {
                let prices = self.prices(prices);
                daily.peaks.push((hours::span(constraint), prices));
            } else if constraint.is_some_and(|c| !c.is_null()) && start.is_none() {
                self.left_out("prices.constraint", Reason::UnknownField);
            } else {
                let prices = self.prices(prices);
                dated.push((start.map(ToOwned::to_owned), prices));
            }
        }
        let daily = Some(daily).filter(|daily| !daily.peaks.is_empty());
        (dated, daily)
    }

    /// Variants by what they are for.
    fn variants(&mut self, value: Option<&Value>) -> Variants {
        let mut found = Variants::default();
        for variant in value.and_then(Value::as_array).into_iter().flatten() {
            let Some(of) = self.variant(variant.get("when")) else {
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
            let prices = self.prices(prices);
            let (variants, tier) = match of {
                Variant::Tier(name) => (&mut found.tiers, name),
                Variant::Region(name) => (&mut found.regions, name),
                Variant::Choice(name, value) => {
                    found.choices.push((name, value, prices));
                    continue;
                }
            };
            let dated = (start.map(ToOwned::to_owned), prices);
            match variants.iter_mut().find(|(name, _)| *name == tier) {
                Some((_, entries)) => entries.push(dated),
                None => variants.push((tier, vec![dated])),
            }
        }
        // "The last that holds" reads dated prices in order; a source may list them otherwise.
        for (_, dated) in found.tiers.iter_mut().chain(&mut found.regions) {
            dated.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        found
    }

    fn variant(&mut self, when: Option<&Value>) -> Option<Variant> {
        let when = when.and_then(Value::as_object)?;
        let only = when.iter().next().filter(|_| when.len() == 1);
        let value = only.and_then(|(name, value)| Some((name.as_str(), value.as_str()?)));
        match value {
            Some(("service_tier", "default" | "standard")) => {
                self.left_out("price_variants.service_tier", Reason::StandardTier);
                None
            }
            Some(("processing" | "service_tier" | "speed", tier)) => {
                Some(Variant::Tier(tier.to_owned()))
            }
            // `mistral/eu`: the part behind the provider is where the call is served.
            Some(("route", route)) => {
                let region = route.rsplit('/').next().unwrap_or(route);
                Some(Variant::Region(region.to_owned()))
            }
            Some(("search_type", kind)) => {
                Some(Variant::Choice("search_type".to_owned(), kind.to_owned()))
            }
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
fn put_periods(
    text: &mut ModelText,
    periods: Vec<(Option<String>, Prices)>,
    regions: &[(String, Dated)],
) {
    for (day, prices) in periods {
        let regions: Vec<RegionText> = regions
            .iter()
            .filter_map(|(name, dated)| Some(last_holding(dated, day.as_ref())?.region(name)))
            .collect();
        if day.is_none() {
            prices.put(text);
            text.regions = regions;
            continue;
        }
        let leaf = prices.leaf(None, None);
        text.periods.push(PeriodText {
            valid_from: day,
            per_million: leaf.per_million,
            per_unit: leaf.per_unit,
            rates: leaf.rates,
            context: prices.contexts(None),
            tiers: prices.tiers(),
            regions,
            ..PeriodText::default()
        });
    }
}
