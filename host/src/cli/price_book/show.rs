//! `farebox price-book show`: a book as a whole, or what one model costs, why that model, and which
//! of its prices hold at a moment.

use super::{load, moment};
use crate::cli::failure::Failure;
use crate::wire::plain;
use clap::Args;
use farebox_book::Compiled;
use farebox_book::describe::{Description, FoundBy, describe_model, spans};
use farebox_pricing::book::{Model, Per, Period, RateTable, UnknownModels};
use farebox_pricing::provider;
use std::io::Write;
use std::path::PathBuf;

/// Show a price book, or what one model costs and which rule its name meets.
#[derive(Debug, Args)]
pub struct Show {
    /// The book, TOML or JSON by its file name.
    file: PathBuf,
    /// A model's name, or `provider/model`; absent: the book as a whole.
    model: Option<String>,
    /// The provider, where the model is only a name.
    #[arg(long, value_name = "PROVIDER", requires = "model")]
    provider: Option<String>,
    /// The moment of a call: only the prices that it has. Absent: all prices, dated.
    #[arg(long, value_name = "TIME", requires = "model")]
    at: Option<String>,
    /// With `--at`: by what was known at this moment. Absent: at the moment of the call.
    #[arg(long, value_name = "TIME", requires = "at")]
    known_at: Option<String>,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let compiled = load(&self.file)?;
        match &self.model {
            None => whole(&compiled, out),
            Some(model) => self.model(&compiled, model, out),
        }
    }

    fn model(&self, compiled: &Compiled, model: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let (provider_id, name) = match &self.provider {
            Some(provider) => (provider.as_str(), model),
            None => model.split_once('/').ok_or_else(|| {
                Failure::Usage(format!(
                    "`{model}` is not a model: write provider/model, such as openai/gpt-4o, or \
                     give --provider"
                ))
            })?,
        };
        if provider::normalise(provider_id).is_none() {
            let message = format!("`{provider_id}` is not a provider id");
            return Err(Failure::Usage(message));
        }
        let Some(found) = describe_model(&compiled.book, provider_id, name) else {
            return unknown(compiled, provider_id, name, out);
        };
        print_names(&found, out)?;
        let notes = compiled.notes.iter();
        for note in
            notes.filter(|n| n.provider == found.model.provider && *n.model == *found.model.name)
        {
            writeln!(out, "  {}", note.text)?;
        }
        match &self.at {
            None => {
                for period in &found.model.periods {
                    print_period(period, None, out)?;
                }
                Ok(())
            }
            Some(at) => {
                let at_ms = moment(Some(at))?;
                let known_ms = self
                    .known_at
                    .as_deref()
                    .map_or(Ok(at_ms), |at| moment(Some(at)))?;
                at_moment(found.model, at_ms, known_ms, out)
            }
        }
    }
}

fn whole(compiled: &Compiled, out: &mut dyn Write) -> Result<(), Failure> {
    let book = &compiled.book;
    writeln!(out, "{} (as of {})", book.name, book.as_of)?;
    writeln!(out, "digest     {}", hex::encode(compiled.digest))?;
    writeln!(out, "canonical  {} bytes", compiled.canonical.len())?;
    for source in &book.sources {
        writeln!(out, "source     {} {}", source.name, source.version)?;
    }
    writeln!(out, "rounding   {}", book.rounding.name())?;
    writeln!(out, "models     {}", book.models.len())?;
    let unknown = match &book.unknown_models {
        UnknownModels::Refuse => "refused".to_owned(),
        UnknownModels::ProviderCost => "provider cost".to_owned(),
        UnknownModels::Cap { usd } => format!("cap of ${}", plain(*usd)),
        UnknownModels::DefaultRate { .. } => "default rates".to_owned(),
    };
    writeln!(out, "unknown    {unknown}")?;
    let failures = &book.failure_rules;
    for (name, action) in [
        ("client_abort", failures.client_abort),
        ("upstream_error", failures.upstream_error),
        ("no_usage", failures.no_usage),
        ("zero_usage", failures.zero_usage),
        ("partial_stream", failures.partial_stream),
    ] {
        writeln!(out, "failure    {name}: {}", action.name())?;
    }
    if !book.plans.is_empty() {
        writeln!(out, "plans      {}", book.plans.join(", "))?;
    }
    for rule in &book.charge_rules {
        writeln!(out, "rule       {}: {:?}", rule.name, rule.charge)?;
    }
    for minimum in &book.minimums {
        writeln!(out, "minimum    {}: ${}", minimum.name, plain(minimum.usd))?;
    }
    Ok(())
}

/// What holds for a call at `at_ms` by what was known at `known_ms`, and what corrects it.
fn at_moment(model: &Model, at_ms: i64, known_ms: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(holds) = model.period_at(at_ms, known_ms) else {
        let message = format!(
            "`{}/{}` has no price at {}",
            model.provider,
            model.name,
            time(at_ms)
        );
        return Err(Failure::Found(message));
    };
    writeln!(out, "  at {}", time(at_ms))?;
    print_period(holds, Some(at_ms), out)?;
    let others = model.periods.iter().filter(|period| period.holds_at(at_ms));
    for other in others.filter(|other| !std::ptr::eq(*other, holds)) {
        let word = if other.known_since_ms > holds.known_since_ms {
            "corrected later"
        } else {
            "before it was corrected"
        };
        writeln!(out, "  {word}:")?;
        print_period(other, Some(at_ms), out)?;
    }
    Ok(())
}

/// What the book says about a model that it does not have.
fn unknown(
    compiled: &Compiled,
    provider: &str,
    name: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let rule = match &compiled.book.unknown_models {
        UnknownModels::Refuse => {
            let message = format!("the book has no price for `{provider}/{name}`: refused");
            return Err(Failure::Found(message));
        }
        UnknownModels::ProviderCost => "what the provider vouches for".to_owned(),
        UnknownModels::Cap { usd } => {
            format!(
                "what the provider vouches for, up to ${0}; else ${0}",
                plain(*usd)
            )
        }
        UnknownModels::DefaultRate { .. } => "the default rates".to_owned(),
    };
    writeln!(out, "{provider}/{name}")?;
    writeln!(out, "  found by the rule for unknown models: {rule}")?;
    if let UnknownModels::DefaultRate { model } = &compiled.book.unknown_models {
        for period in &model.periods {
            print_period(period, None, out)?;
        }
    }
    Ok(())
}

fn print_names(found: &Description<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let model = found.model;
    writeln!(out, "{}/{}", model.provider, model.name)?;
    let rule = match found.found_by {
        FoundBy::Name => "its name",
        FoundBy::Alias => "alias",
        FoundBy::Prefix => "the longest prefix",
        FoundBy::Pattern => "the pattern with the most fixed characters",
    };
    let related = if found.related {
        ", at a related provider"
    } else {
        ""
    };
    writeln!(out, "  found by {rule} `{}`{related}", found.rule)?;
    for (label, names) in [
        ("alias", &model.aliases),
        ("prefix", &model.prefixes),
        ("pattern", &model.patterns),
        ("but not", &model.except),
    ] {
        for name in names {
            writeln!(out, "  {label} {name}")?;
        }
    }
    if let Some(tokens) = model.max_output_tokens {
        writeln!(out, "  at most {tokens} output tokens")?;
    }
    if model.context_marginal {
        writeln!(
            out,
            "  context prices hold for the units beyond their threshold"
        )?;
    }
    Ok(())
}

fn print_period(period: &Period, at_ms: Option<i64>, out: &mut dyn Write) -> Result<(), Failure> {
    if period.valid_from_ms.is_some() || period.valid_to_ms.is_some() {
        let from = period.valid_from_ms.map_or_else(|| "ever".to_owned(), time);
        let to = period
            .valid_to_ms
            .map_or_else(|| "further notice".to_owned(), time);
        writeln!(out, "  from {from} to {to}")?;
    }
    if let Some(since) = period.known_since_ms {
        writeln!(out, "  known since {}", time(since))?;
    }
    for allowance in &period.allowances {
        let window = match allowance.per {
            Per::Call => "call",
            Per::Day => "day",
            Per::Month => "month",
        };
        let (count, meter, name) = (allowance.count, allowance.meter.name(), &allowance.name);
        writeln!(out, "  free: {count} {meter} a {window}, shared as {name}")?;
    }
    let holds = |table: &&RateTable| {
        let hours = table.hours.as_ref();
        hours.is_none_or(|hours| at_ms.is_none_or(|at| hours.hold_at(at)))
    };
    for table in period.tables.iter().filter(holds) {
        print_table(table, out)?;
    }
    Ok(())
}
fn print_table(table: &RateTable, out: &mut dyn Write) -> Result<(), Failure> {
    let mut conditions = vec![
        table
            .service_tier
            .as_deref()
            .unwrap_or("standard")
            .to_owned(),
    ];
    conditions.extend(
        table
            .region
            .as_deref()
            .map(|region| format!("region {region}")),
    );
    conditions.extend(
        table
            .context_above
            .map(|above| format!("context above {above}")),
    );
    conditions.extend(
        table
            .hours
            .as_ref()
            .map(|hours| format!("{} hours (UTC {})", hours.name, spans(hours))),
    );
    writeln!(out, "  {}", conditions.join(", "))?;
    for rate in &table.rates {
        let attributes: Vec<_> = rate
            .attributes
            .iter()
            .map(|a| format!(" {}={}", a.name, a.value))
            .collect();
        writeln!(
            out,
            "    {:<16} ${}{}",
            rate.meter.name(),
            plain(rate.usd),
            attributes.concat()
        )?;
    }
    Ok(())
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
