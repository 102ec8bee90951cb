//! Cost fields that are objects or lists.

use super::Reader;
use super::key::{Basis, CostKey};
use crate::amount::Amount;
use crate::import::draft::{Per, Priced, shifted};
use crate::import::report::Reason;
use farebox_pricing::meter::Meter;
use serde_json::{Map, Value};

/// The field's word for a search context size, and ours.
const SEARCH_SIZES: [(&str, &str); 3] = [
    ("search_context_size_low", "low"),
    ("search_context_size_medium", "medium"),
    ("search_context_size_high", "high"),
];

impl Reader<'_> {
    /// Reads `field` when it is one of these; `false` when it is not.
    pub(super) fn nested(&mut self, field: &str, value: &Value) -> bool {
        match (field, value) {
            ("search_context_cost_per_query", Value::Object(sizes)) => self.searches(field, sizes),
            ("guardrail_cost_per_unit", Value::Object(units)) => {
                for (unit, value) in units {
                    self.attributed(field, value, "guardrail_unit", "policy", unit);
                }
            }
            ("tiered_pricing", Value::Array(tiers)) => self.tiered(field, tiers),
            ("off_peak_pricing", Value::Object(prices)) => self.off_peak(field, prices),
            ("search_free_requests", Value::Object(free)) => self.free_searches(field, free),
            ("provider_specific_entry", Value::Object(entry)) => {
                // Factors (`us`: 1.1, `fast`: 2) stand among settings of the client library.
                for (name, value) in entry.iter().filter(|(_, value)| value.is_number()) {
                    let place = format!("{field}.{name}");
                    match name.as_str() {
                        "fast" => self.fast(&place, value),
                        "us" | "eu" => self.region_factor(&place, name, value),
                        _ => self.left_out(&place, Reason::NotAPrice),
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// A search costs by the size of its context. One that does not name a size has the middle
    /// one, as at the provider.
    fn searches(&mut self, field: &str, sizes: &Map<String, Value>) {
        let mut amounts = Vec::new();
        for (name, size) in SEARCH_SIZES {
            if let Some(amount) = sizes.get(name).and_then(|value| self.amount(field, value)) {
                amounts.push((size, amount));
            }
        }
        let medium = amounts.iter().find(|(size, _)| *size == "medium");
        let Some((_, plain)) = medium.or(amounts.first()).copied() else {
            return;
        };
        self.put(field, Meter::Search.name(), None, plain);
        for (size, amount) in amounts {
            if amount != plain {
                self.put(
                    field,
                    Meter::Search.name(),
                    Some(("context_size", size)),
                    amount,
                );
            }
        }
    }

    fn attributed(&mut self, field: &str, value: &Value, meter: &str, name: &str, of: &str) {
        if let Some(amount) = self.amount(field, value) {
            self.put(field, meter, Some((name, of)), amount);
        }
    }

    fn put(&mut self, field: &str, meter: &str, attribute: Option<(&str, &str)>, amount: Amount) {
        let Some(mut priced) = Priced::new(meter, Per::Unit) else {
            return;
        };
        if let Some((name, value)) = attribute {
            priced = priced.with(name, value);
        }
        if self.prices.set((None, None), priced, amount) {
            self.report.imported(field);
        } else {
            self.left_out(field, Reason::Superseded);
        }
    }

    /// Prices by prompt size (`range`, in tokens), or of a search by the number of results.
    fn tiered(&mut self, field: &str, tiers: &[Value]) {
        let mut dearest: Option<Amount> = None;
        for tier in tiers.iter().filter_map(Value::as_object) {
            if let Some(range) = tier.get("max_results_range") {
                let (Some(range), Some(query)) = (bounds(range), tier.get("input_cost_per_query"))
                else {
                    self.left_out(field, Reason::BadNumber);
                    continue;
                };
                if let Some(amount) = self.amount(field, query) {
                    let results = format!("{}-{}", range.0, range.1);
                    let attribute = Some(("max_results", results.as_str()));
                    self.put(field, Meter::Search.name(), attribute, amount);
                    dearest = dearest.max(Some(amount));
                }
                continue;
            }
            let Some((start, _)) = tier.get("range").and_then(bounds) else {
                self.left_out(field, Reason::BadNumber);
                continue;
            };
            self.context(field, start, tier);
        }
        // A search that does not say how many results it may have is one of the dearest.
        if let Some(amount) = dearest {
            self.put(field, Meter::Search.name(), None, amount);
        }
    }

    fn context(&mut self, field: &str, start: u64, tier: &Map<String, Value>) {
        for (name, value) in tier.iter().filter(|(name, _)| *name != "range") {
            let place = format!("{field}.{name}");
            let Some(CostKey {
                basis: Basis::Million(meter),
                tier: None,
                above: None,
            }) = CostKey::parse(name)
            else {
                self.left_out(&place, Reason::UnknownField);
                continue;
            };
            let amount = self
                .amount(&place, value)
                .and_then(|amount| shifted(amount, 6));
            let (Some(amount), Some(priced)) = (amount, Priced::new(meter, Per::Million)) else {
                continue;
            };
            if self
                .prices
                .set((None, (start > 0).then_some(start)), priced, amount)
            {
                self.report.imported(&place);
            } else {
                self.left_out(&place, Reason::Superseded);
            }
        }
    }

    /// The fast mode: every token at `value` times the standard price.
    fn fast(&mut self, place: &str, value: &Value) {
        if let Some(factor) = self.amount(place, value) {
            self.fast_factor = Some(factor);
            self.report.imported(place);
        }
    }
}

/// Two whole numbers, however they are written (`256000.0`).
fn bounds(range: &Value) -> Option<(u64, u64)> {
    let bound = |value: &Value| {
        let amount = Amount::parse(&value.to_string()).ok()?;
        u64::try_from(amount.get()).ok()
    };
    match range.as_array()?.as_slice() {
        [from, to] => Some((bound(from)?, bound(to)?)),
        _ => None,
    }
}
