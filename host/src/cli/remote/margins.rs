//! `farebox margins`: what recorded usage really earned, by feature or anything else.
//!
//! The server sums; this compares with a bound and says so with an exit code, for a job that
//! watches margins every night.

use super::server::Server;
use crate::cli::failure::Failure;
use clap::{Args, ValueEnum};
use farebox_book::exposure::Margin;
use farebox_pricing::exact;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  farebox margins --at-least 0.2
  farebox margins --at-least 0.2 --at-least lead_enrichment=0.5 --at-least browsing=0
  farebox margins --by model --from 2026-11-01 --to 2026-12-01";

/// Audit realised gross margins over recorded usage; fails when one is below a bound.
///
/// Sums what calls were charged, less what was refunded and repaired of it by now, and what they cost
/// the operator, over all orgs or those named, and over calls to models and paid APIs alike. Ends with
/// 1 when a group's margin is below its bound. Usage that waits for a price has neither and is only
/// counted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Margins {
    #[command(flatten)]
    server: Server,
    /// Orgs, by id; none: all.
    orgs: Vec<String>,
    /// What is summed.
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// The least margin, as a share of what was charged: `0.2` for a fifth. With a group's name in
    /// front, that group's, in place of the one for all. May be given several times.
    #[arg(long, value_name = "[GROUP=]SHARE")]
    at_least: Vec<String>,
    /// From this time on, such as `2026-11-01T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum By {
    /// What calls were for.
    #[default]
    Feature,
    /// The model that answered.
    Model,
    /// Who served.
    Provider,
    /// The UTC day.
    Day,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Day => "day",
        }
    }
}

/// What one group was charged, less what was given back of it, and what it cost, in credits.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    unpriced: u64,
    charged: Decimal,
    cost: Decimal,
}

/// The least margins: one for all groups, and those of groups by name.
#[derive(Debug, Default)]
struct Bounds {
    of_all: Option<Margin>,
    of_groups: BTreeMap<String, Margin>,
}

impl Bounds {
    fn read(texts: &[String]) -> Result<Self, Failure> {
        let mut bounds = Self::default();
        for text in texts {
            // A group's name may have an equals sign; a share has none.
            let (group, share) = match text.rsplit_once('=') {
                Some((group, share)) => (Some(group), share),
                None => (None, text.as_str()),
            };
            let least = Decimal::from_str_exact(share).ok();
            let least = least
                .and_then(Margin::at_least)
                .ok_or_else(|| Failure::Usage(format!("`{share}` is no share of a charge")))?;
            let before = match group {
                Some(group) => bounds.of_groups.insert(group.to_owned(), least),
                None => bounds.of_all.replace(least),
            };
            if before.is_some() {
                let what = group.unwrap_or("all");
                return Err(Failure::Usage(format!("`{what}` has two bounds")));
            }
        }
        Ok(bounds)
    }

    /// That of a group, else that of all.
    fn of(&self, group: &str) -> Option<Margin> {
        self.of_groups.get(group).copied().or(self.of_all)
    }
}

impl Margins {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let bounds = Bounds::read(&self.at_least)?;
        // A group that a bound names and that had no usage is shown with none.
        let named = bounds.of_groups.keys();
        let mut sums: BTreeMap<_, _> = named.map(|name| (name.clone(), Sum::default())).collect();
        let orgs = match self.orgs.as_slice() {
            [] => self.all_orgs()?,
            named => named.to_vec(),
        };
        for org in &orgs {
            self.add(org, &mut sums)?;
        }
        self.print(&sums, out)?;
        let below = sums
            .iter()
            .filter(|(group, sum)| bounds.of(group).is_some_and(|least| sum.is_below(least)));
        let below: Vec<_> = below
            .map(|(group, sum)| {
                let margin = Margin::of(sum.charged, sum.cost);
                let shown = margin.map_or_else(|| "no charge".to_owned(), |m| m.to_string());
                format!("{} `{group}` is below the bound: {shown}", self.by.name())
            })
            .collect();
        if below.is_empty() {
            return Ok(());
        }
        Err(Failure::Found(below.join("\n")))
    }

    fn all_orgs(&self) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        let mut path = "/v1/admin/orgs?limit=1000".to_owned();
        loop {
            let page = self.server.get(&path, None)?;
            let ids = items(&page).filter_map(|org| text(org, "id"));
            all.extend(ids.map(str::to_owned));
            match text(&page, "next_cursor") {
                Some(cursor) => path = format!("/v1/admin/orgs?limit=1000&cursor={cursor}"),
                None => return Ok(all),
            }
        }
    }

    fn add(&self, org: &str, sums: &mut BTreeMap<String, Sum>) -> Result<(), Failure> {
        let by = self.by.name();
        let mut path = format!("/v1/usage?group_by={by}");
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                // Of what a time can have, only the plus of an offset means something else in a URL.
                path.push_str(&format!("&{name}={}", value.replace('+', "%2B")));
            }
        }
        let answer = self.server.get(&path, Some(org))?;
        for item in items(&answer) {
            let group = item.get("group").and_then(|group| text(group, by));
            let sum = sums.entry(group.unwrap_or("-").to_owned()).or_default();
            let count = |field: &str| item.get(field).and_then(Value::as_u64).unwrap_or_default();
            sum.events = sum.events.saturating_add(count("events"));
            sum.unpriced = sum.unpriced.saturating_add(count("unpriced"));
            let charged = plus(amount(item, "credits")?, amount(item, "taken_credits")?)?;
            let refunded = amount(item, "refunded_credits")?;
            let earned = exact::sub(charged, refunded).map_err(|_| unsummed(refunded))?;
            sum.charged = plus(sum.charged, earned)?;
            sum.cost = plus(sum.cost, amount(item, "cost_credits")?)?;
        }
        Ok(())
    }

    fn print(&self, sums: &BTreeMap<String, Sum>, out: &mut dyn Write) -> Result<(), Failure> {
        if self.server.json {
            let items: Vec<_> = sums
                .iter()
                .map(|(group, sum)| {
                    json!({
                        self.by.name(): group,
                        "events": sum.events,
                        "unpriced": sum.unpriced,
                        "charged_credits": sum.charged.normalize().to_string(),
                        "cost_credits": sum.cost.normalize().to_string(),
                        "margin": Margin::of(sum.charged, sum.cost).map(|m| m.to_string()),
                    })
                })
                .collect();
            return Ok(writeln!(out, "{:#}", json!({ "items": items }))?);
        }
        let by = self.by.name();
        writeln!(
            out,
            "{by:<28} {:>9} {:>16} {:>16} {:>10}",
            "events", "charged", "cost", "margin"
        )?;
        for (group, sum) in sums {
            let margin = Margin::of(sum.charged, sum.cost);
            let margin = margin.map_or_else(|| "-".to_owned(), |margin| margin.to_string());
            let (charged, cost) = (sum.charged.normalize(), sum.cost.normalize());
            let events = sum.events;
            writeln!(
                out,
                "{group:<28} {events:>9} {charged:>16} {cost:>16} {margin:>10}"
            )?;
        }
        Ok(())
    }
}

impl Sum {
    /// Whether the group earned too little. What cost nothing and was charged nothing did not.
    fn is_below(&self, least: Margin) -> bool {
        match Margin::of(self.charged, self.cost) {
            Some(margin) => margin < least,
            None => !self.cost.is_zero(),
        }
    }
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    let items = page.get("items").and_then(Value::as_array);
    items.into_iter().flatten()
}

fn text<'v>(of: &'v Value, field: &str) -> Option<&'v str> {
    of.get(field).and_then(Value::as_str)
}

/// An amount of credits; nothing where a server does not say it.
fn amount(of: &Value, field: &str) -> Result<Decimal, Failure> {
    let amount = text(of, field).unwrap_or("0");
    Decimal::from_str_exact(amount)
        .map_err(|_| Failure::Found(format!("the server's amount `{amount}` is no number")))
}

fn plus(sum: Decimal, amount: Decimal) -> Result<Decimal, Failure> {
    exact::add(sum, amount).map_err(|_| unsummed(amount))
}

fn unsummed(amount: Decimal) -> Failure {
    Failure::Found(format!("the server's amount `{amount}` cannot be summed"))
}
