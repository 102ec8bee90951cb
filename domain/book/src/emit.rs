//! The text model back to text: TOML for people, JSON for programs. Equal models give equal text.
//!
//! TOML is written by hand rather than by a serializer, because a book is read and compared by
//! people: prices of one table on one line, one model a block, a fixed order of fields.

mod terms;

use crate::amount::Amount;
use crate::text::{
    AllowanceText, BookText, ContextText, FailuresText, HoursText, Leaf, ModelText, OtherPriceText,
    OverrideText, OwnKeysText, RateText, RegionText, TierText, UnknownModelsText, WeekHoursText,
};
use indexmap::IndexMap;
use std::fmt::Write as _;

/// The book as TOML, behind `comments`, one comment line each.
pub fn to_toml(book: &BookText, comments: &[String]) -> String {
    let mut out = Toml(String::new());
    for comment in comments {
        let comment = comment.replace(char::is_control, " ");
        out.line(format_args!("{}", format!("# {comment}").trim_end()));
    }
    if !comments.is_empty() {
        out.line(format_args!(""));
    }
    out.top(book);
    for model in &book.models {
        out.model(model);
    }
    out.0
}

/// The book as JSON, indented.
///
/// # Errors
/// Never in practice: the text model has text keys only.
pub fn to_json(book: &BookText) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(book)
}

struct Toml(String);

impl Toml {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn heading(&mut self, heading: &str) {
        self.line(format_args!("\n{heading}"));
    }

    fn pair(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn optional<T: std::fmt::Display>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.pair(key, value);
        }
    }

    fn amount(&mut self, key: &str, value: Option<Amount>) {
        self.optional(key, value.map(|amount| format!("\"{amount}\"")));
    }

    fn top(&mut self, book: &BookText) {
        self.pair("name", quoted(&book.name));
        self.pair("as_of", quoted(&book.as_of));
        self.word("rounding", book.rounding);
        if book.loss_leader {
            self.pair("loss_leader", true);
        }
        self.amount("charge_step_usd", book.charge_step_usd);
        if let Some([]) = book.meter_fallbacks.as_deref() {
            self.pair("meter_fallbacks", "[]");
        }
        for source in &book.sources {
            self.heading("[[sources]]");
            self.pair("name", quoted(&source.name));
            self.pair("version", quoted(&source.version));
        }
        let defaults = &book.defaults;
        if !defaults.is_empty() {
            self.heading("[defaults]");
            self.what_is_paid(&defaults.terms());
            self.optional("max_output_tokens", defaults.max_output_tokens);
        }
        self.further(book);
        if let Some(own) = &book.own_keys {
            self.own_keys("own_keys", own);
        }
        for (name, terms) in [
            ("hosted", &book.deployments.hosted),
            ("self_hosted", &book.deployments.self_hosted),
        ] {
            if let Some(terms) = terms {
                self.terms(&format!("deployments.{name}"), terms);
            }
        }
        for (table, all) in [
            ("orgs", &book.orgs),
            ("plans", &book.plans),
            ("features", &book.features),
        ] {
            for (name, terms) in all {
                self.terms(&format!("{table}.{}", key(name)), terms);
            }
        }
        for fallback in book.meter_fallbacks.iter().flatten() {
            self.heading("[[meter_fallbacks]]");
            self.pair("meter", quoted(&fallback.meter));
            self.pair("base", quoted(&fallback.base));
            self.amount("factor", fallback.factor);
            self.optional("service_tier", fallback.service_tier.as_deref().map(quoted));
            self.optional("name", fallback.name.as_deref().map(quoted));
        }
        if !book.tier_fallbacks.is_empty() {
            self.heading("[tier_fallbacks]");
            for (tier, factor) in &book.tier_fallbacks {
                self.amount(&key(tier), Some(*factor));
            }
        }
        if let Some(unknown) = &book.unknown_models {
            self.unknown_models(unknown);
        }
        if let Some(failures) = &book.failures {
            self.failures(failures);
        }
        for change in &book.overrides {
            self.change(change);
        }
    }

    fn unknown_models(&mut self, unknown: &UnknownModelsText) {
        self.heading("[unknown_models]");
        self.word("rule", Some(unknown.rule));
        self.amount("usd", unknown.usd);
        self.leaf(&unknown.leaf());
    }

    fn failures(&mut self, failures: &FailuresText) {
        self.heading("[failures]");
        self.word("client_abort", failures.client_abort);
        self.word("upstream_error", failures.upstream_error);
        self.word("no_usage", failures.no_usage);
        self.word("zero_usage", failures.zero_usage);
        self.word("partial_stream", failures.partial_stream);
        if let Some(estimate) = &failures.estimate {
            self.heading("[failures.estimate]");
            self.optional("bytes_per_token", estimate.bytes_per_token);
            self.amount("output_share", estimate.output_share);
        }
    }

    fn change(&mut self, change: &OverrideText) {
        self.heading("[[overrides]]");
        self.pair("reason", quoted(&change.reason));
        self.pair("provider", quoted(&change.provider));
        self.optional("model", change.model.as_deref().map(quoted));
        self.names("meters", &change.meters);
        self.optional("tier", change.tier.as_deref().map(quoted));
        self.optional("region", change.region.as_deref().map(quoted));
        self.optional("valid_from", change.valid_from.as_deref().map(quoted));
        self.amount("factor", change.factor);
        self.amount("per_million", change.per_million);
        self.amount("per_unit", change.per_unit);
    }

    /// A word that serde knows.
    fn word<T: serde::Serialize>(&mut self, key: &str, value: Option<T>) {
        let word = value.and_then(|value| serde_json::to_string(&value).ok());
        self.optional(key, word);
    }

    fn own_keys(&mut self, heading: &str, own: &OwnKeysText) {
        self.heading(&format!("[{heading}]"));
        self.optional("allowed", own.allowed);
        self.amount("fixed_usd", own.fixed_usd);
        self.amount("share_of_market", own.share_of_market);
        if let Some(cap) = &own.cap {
            self.heading(&format!("[{heading}.cap]"));
            self.amount("fixed_usd", cap.fixed_usd);
            self.amount("share_of_market", cap.share_of_market);
        }
    }

    fn model(&mut self, model: &ModelText) {
        self.heading("[[models]]");
        self.pair("provider", quoted(&model.provider));
        self.pair("model", quoted(&model.model));
        self.names("aliases", &model.aliases);
        self.names("prefixes", &model.prefixes);
        self.names("patterns", &model.patterns);
        self.names("except", &model.except);
        self.optional("max_output_tokens", model.max_output_tokens);
        if model.context_inclusive {
            self.pair("context_inclusive", true);
        }
        if model.context_marginal {
            self.pair("context_marginal", true);
        }
        self.leaf(&model.leaf());
        self.list("other_prices", &model.other_prices, other_price);
        self.list("allowances", &model.allowances, allowance);
        self.contexts("models", &model.context);
        self.tiers("models", &model.tiers);
        self.regions("models", &model.regions);
        self.hours("models", &model.hours);
        for period in &model.periods {
            self.line(format_args!("[[models.periods]]"));
            self.optional("valid_from", period.valid_from.as_deref().map(quoted));
            self.optional("valid_to", period.valid_to.as_deref().map(quoted));
            self.optional("known_since", period.known_since.as_deref().map(quoted));
            self.leaf(&period.leaf());
            self.list("allowances", &period.allowances, allowance);
            self.contexts("models.periods", &period.context);
            self.tiers("models.periods", &period.tiers);
            self.regions("models.periods", &period.regions);
            self.hours("models.periods", &period.hours);
        }
    }

    fn hours(&mut self, under: &str, hours: &[HoursText]) {
        for hours in hours {
            self.line(format_args!("[[{under}.hours]]"));
            self.pair("name", quoted(&hours.name));
            self.optional("utc_offset", hours.utc_offset.as_deref().map(quoted));
            self.list("when", &hours.when, when);
            self.amount("factor", hours.factor);
            self.leaf(&hours.leaf());
        }
    }

    fn regions(&mut self, under: &str, regions: &[RegionText]) {
        for region in regions {
            self.line(format_args!("[[{under}.regions]]"));
            self.pair("name", quoted(&region.name));
            self.amount("factor", region.factor);
            self.leaf(&region.leaf());
            self.contexts(&format!("{under}.regions"), &region.context);
            self.tiers(&format!("{under}.regions"), &region.tiers);
        }
    }

    fn tiers(&mut self, under: &str, tiers: &[TierText]) {
        for tier in tiers {
            self.line(format_args!("[[{under}.tiers]]"));
            self.pair("name", quoted(&tier.name));
            self.leaf(&tier.leaf());
            self.contexts(&format!("{under}.tiers"), &tier.context);
        }
    }

    fn contexts(&mut self, under: &str, contexts: &[ContextText]) {
        for context in contexts {
            self.line(format_args!("[[{under}.context]]"));
            self.pair("above", context.above);
            self.leaf(&context.leaf());
        }
    }

    fn leaf(&mut self, leaf: &Leaf<'_>) {
        self.amounts("per_million", leaf.per_million);
        self.amounts("per_unit", leaf.per_unit);
        self.list("rates", leaf.rates, rate);
    }

    /// A list of inline tables, one a line.
    fn list<T>(&mut self, name: &str, items: &[T], one: fn(&T) -> String) {
        if !items.is_empty() {
            let items: Vec<String> = items.iter().map(one).collect();
            self.pair(name, format_args!("[\n  {},\n]", items.join(",\n  ")));
        }
    }

    fn amounts(&mut self, name: &str, amounts: &IndexMap<String, Amount>) {
        if !amounts.is_empty() {
            self.pair(name, inline(amounts));
        }
    }

    fn names(&mut self, name: &str, names: &[String]) {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            self.pair(name, format_args!("[{}]", names.join(", ")));
        }
    }
}

fn rate(rate: &RateText) -> String {
    let mut parts = vec![format!("meter = {}", quoted(&rate.meter))];
    if !rate.attributes.is_empty() {
        parts.push(format!("attributes = {}", inline(&rate.attributes)));
    }
    for (field, amount) in [
        ("per_million", rate.per_million),
        ("per_unit", rate.per_unit),
    ] {
        parts.extend(amount.map(|amount| format!("{field} = \"{amount}\"")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn other_price(other: &OtherPriceText) -> String {
    let mut parts = vec![
        format!("source = {}", quoted(&other.source)),
        format!("meter = {}", quoted(&other.meter)),
    ];
    for (field, amount) in [
        ("per_million", other.per_million),
        ("per_unit", other.per_unit),
    ] {
        parts.extend(amount.map(|amount| format!("{field} = \"{amount}\"")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn allowance(allowance: &AllowanceText) -> String {
    let per = serde_json::to_string(&allowance.per).unwrap_or_default();
    format!(
        "{{ name = {}, meter = {}, count = {}, per = {per} }}",
        quoted(&allowance.name),
        quoted(&allowance.meter),
        allowance.count
    )
}

fn when(when: &WeekHoursText) -> String {
    let listed = |names: Vec<String>| format!("[{}]", names.join(", "));
    let mut parts = Vec::new();
    if !when.days.is_empty() {
        let days = when.days.iter().map(|day| quoted(day.name())).collect();
        parts.push(format!("days = {}", listed(days)));
    }
    if !when.times.is_empty() {
        let times = when.times.iter().map(|time| quoted(time)).collect();
        parts.push(format!("times = {}", listed(times)));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn inline<'a, V: std::fmt::Display + 'a>(
    pairs: impl IntoIterator<Item = (&'a String, &'a V)>,
) -> String {
    let pairs = pairs.into_iter().map(|(name, value)| {
        let value = value.to_string();
        format!("{} = {}", key(name), quoted(&value))
    });
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}

/// A key, quoted where it must be.
fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
