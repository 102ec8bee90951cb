//! A model's prices as a person asks for them: found as a policy finds them, per million or per
//! unit, one row a price.

use farebox_pricing::book::{Book, Hours, Model, Period, RateTable};
use farebox_pricing::meter::{Attribute, Meter};
use farebox_pricing::{pattern, provider};
use rust_decimal::Decimal;
use std::cmp::Reverse;

/// How a name led to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// Its own name.
    Name,
    /// An alias.
    Alias,
    /// The longest prefix.
    Prefix,
    /// The pattern with the most fixed characters.
    Pattern,
}

/// A model and its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description<'b> {
    /// The model.
    pub model: &'b Model,
    /// How the name that was asked for led to it.
    pub found_by: FoundBy,
    /// The name, alias, prefix or pattern that did.
    pub rule: &'b str,
    /// Whether it stands under a related provider.
    pub related: bool,
    /// Every price, by period and table, in the order of the book.
    pub rows: Vec<Row<'b>>,
}

/// One price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'b> {
    /// The period, for its dates.
    pub period: &'b Period,
    /// The table, for its tier, region and context size.
    pub table: &'b RateTable,
    /// What is counted.
    pub meter: &'b Meter,
    /// What a pool must have for this price.
    pub attributes: &'b [Attribute],
    /// USD per `per` units.
    pub usd: Decimal,
    /// 1,000,000 for tokens, else 1.
    pub per: u32,
}

/// The model that `name` means at `provider` (any spelling) or else at one that is related, and its
/// prices; `None` when the book has no such model.
pub fn describe_model<'b>(book: &'b Book, provider: &str, name: &str) -> Option<Description<'b>> {
    let provider = provider::normalise(provider)?;
    let related = provider::related(&provider).iter().copied();
    let mut providers = std::iter::once(&*provider).chain(related);
    providers.find_map(|id| {
        let (model, found_by, rule) = find(book, id, name)?;
        Some(Description {
            model,
            found_by,
            rule,
            related: *id != *provider,
            rows: rows(model),
        })
    })
}

/// A model, how a name led to it, and by which of its names, prefixes or patterns.
type Found<'b> = (&'b Model, FoundBy, &'b str);

pub(crate) fn find<'b>(book: &'b Book, provider: &str, name: &str) -> Option<Found<'b>> {
    let by_name = || {
        let model = models(book, provider).find(|model| *model.name == *name)?;
        Some((model, FoundBy::Name, &*model.name))
    };
    let by_alias = || {
        let mut all =
            models(book, provider).flat_map(|model| model.aliases.iter().map(move |a| (model, a)));
        let (model, alias) = all.find(|(_, alias)| ***alias == *name)?;
        Some((model, FoundBy::Alias, &**alias))
    };
    by_name()
        .or_else(by_alias)
        .or_else(|| by_prefix(book, provider, name))
        .or_else(|| by_pattern(book, provider, name))
}

pub(crate) fn by_prefix<'b>(book: &'b Book, provider: &str, name: &str) -> Option<Found<'b>> {
    let all =
        models(book, provider).flat_map(|model| model.prefixes.iter().map(move |p| (model, p)));
    let (model, prefix) = all
        .filter(|(_, prefix)| name.starts_with(&***prefix))
        .max_by_key(|(_, prefix)| prefix.len())?;
    Some((model, FoundBy::Prefix, &**prefix))
}

pub(crate) fn by_pattern<'b>(book: &'b Book, provider: &str, name: &str) -> Option<Found<'b>> {
    let all =
        models(book, provider).flat_map(|model| model.patterns.iter().map(move |p| (model, p)));
    let (model, text) = all
        .filter(|(_, text)| pattern::matches(text, name))
        .filter(|(model, _)| {
            let mut except = model.except.iter();
            !except.any(|text| pattern::matches_any_case(text, name))
        })
        .min_by_key(|(_, text)| (Reverse(pattern::fixed(text)), *text))?;
    Some((model, FoundBy::Pattern, &**text))
}

fn models<'b>(book: &'b Book, provider: &str) -> impl Iterator<Item = &'b Model> {
    let of_provider = move |model: &&Model| *model.provider == *provider;
    book.models.iter().filter(of_provider)
}

/// `Mon 00:00-Mon 01:00`, the first three, and how many more.
pub fn spans(hours: &Hours) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let clock = |minute: u16| {
        let day = DAYS.iter().cycle().nth(usize::from(minute / 1440));
        let (hours, minutes) = (minute % 1440 / 60, minute % 60);
        format!("{} {hours:02}:{minutes:02}", day.unwrap_or(&""))
    };
    let shown = hours.spans.iter().take(3);
    let shown: Vec<String> = shown
        .map(|(from, to)| format!("{}-{}", clock(*from), clock(*to)))
        .collect();
    match hours.spans.len().saturating_sub(3) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

fn rows(model: &Model) -> Vec<Row<'_>> {
    let tables = model
        .periods
        .iter()
        .flat_map(|period| period.tables.iter().map(move |table| (period, table)));
    let rates = tables.flat_map(|(period, table)| {
        table.rates.iter().map(move |rate| {
            let (usd, per) = as_printed(&rate.meter, rate.usd);
            Row {
                period,
                table,
                meter: &rate.meter,
                attributes: &rate.attributes,
                usd,
                per,
            }
        })
    });
    rates.collect()
}

/// Prices of tokens are printed per million, all others per unit.
fn as_printed(meter: &Meter, usd: Decimal) -> (Decimal, u32) {
    let million = Decimal::from(1_000_000);
    let per_million = farebox_pricing::exact::mul(usd, million).ok();
    match per_million.filter(|_| meter.is_tokens()) {
        Some(usd) => (usd.normalize(), 1_000_000),
        None => (usd.normalize(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, compile};

    #[test]
    fn a_model_is_found_as_a_policy_finds_it() {
        let text = r#"
            name = "x"
            as_of = "2026-11-21"
            [[models]]
            provider = "google"
            model = "gemini"
            aliases = ["gemini-latest"]
            prefixes = ["gemini-"]
            per_million = { input = "0.30" }
            per_unit = { search = "0.035" }
            [[models]]
            provider = "google"
            model = "gemini-pro"
            prefixes = ["gemini-pro-"]
            patterns = ["*-gemini*"]
            except = ["*-TTS"]
            per_million = { input = "1" }
        "#;
        let book = compile(text, Format::Toml).unwrap().book;
        for (name, found) in [
            ("gemini", Some(("gemini", FoundBy::Name))),
            ("gemini-latest", Some(("gemini", FoundBy::Alias))),
            ("gemini-2", Some(("gemini", FoundBy::Prefix))),
            ("gemini-pro-2", Some(("gemini-pro", FoundBy::Prefix))),
            ("my-gemini", Some(("gemini-pro", FoundBy::Pattern))),
            ("my-gemini-tts", None),
            ("gpt", None),
        ] {
            let vertex = describe_model(&book, "vertex", name);
            assert_eq!(vertex.map(|found| found.related), found.map(|_| true));
            let description = describe_model(&book, "gemini", name);
            let shown = description.map(|d| (d.model.name.to_string(), d.found_by));
            assert_eq!(
                shown,
                found.map(|(model, by)| (model.to_owned(), by)),
                "{name}"
            );
        }
        let rows = describe_model(&book, "google", "gemini").unwrap().rows;
        let shown: Vec<_> = rows.iter().map(|r| (r.usd.to_string(), r.per)).collect();
        assert_eq!(shown, [("0.3".into(), 1_000_000), ("0.035".into(), 1)]);
    }
}
