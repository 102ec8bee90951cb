//! The conformance table: what the contract says of every policy, whatever it charges and whatever
//! the book, as one row each. A pushed policy keeps every row, or it is not admitted.
//!
//! [`super::probe`] asks the same question in many ways and wants one answer; here the questions are
//! chosen so that the answer shows whether a sentence of the contract is kept. Where a policy may
//! refuse, a refusal keeps the row. Must not know what a policy is for.

use super::instance::Instance;
use super::probe::{Answer, Asked, Question};
use super::release::Release;
use super::warm;
use crate::service::policy::{AdmitError, Fault, Rule, rate_requests};
use farebox_pricing::card::{RateCardEntry, RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::exact;
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::verify;
use std::cmp::Ordering;

/// Entries of a short page of the rate card, which is compared with a longer one.
const PAGE: u32 = 1;

/// Entries of the longer page.
const LONGER_PAGE: u32 = 5;

/// Events of the batch in which answers and refusals take turns.
const IN_ORDER: usize = 12;

/// A sentence of the contract, and what shows whether it is kept.
struct Row {
    rule: Rule,
    check: fn(&mut Trial<'_>) -> Result<(), Broken>,
}

/// The page for authors has the same.
static TABLE: [Row; 6] = [
    Row {
        rule: Rule {
            name: "charge_within_quote",
            says: "a call within the bounds of its quote is never charged more",
        },
        check: charge_within_quote,
    },
    Row {
        rule: Rule {
            name: "nothing_used",
            says: "an event without pools, or with pools of zero, is priced or refused",
        },
        check: nothing_used,
    },
    Row {
        rule: Rule {
            name: "largest_quantity",
            says: "an event with pools of 10^15 is priced by all of it, or refused",
        },
        check: largest_quantity,
    },
    Row {
        rule: Rule {
            name: "batch_in_order",
            says: "answer i of a batch is that of event i alone, refusals between them too",
        },
        check: batch_in_order,
    },
    Row {
        rule: Rule {
            name: "empty_batch",
            says: "a batch of no events has no answers",
        },
        check: empty_batch,
    },
    Row {
        rule: Rule {
            name: "rate_card_pages",
            says: "pages of the rate card are as long as asked at most, sorted, and lose nothing",
        },
        check: rate_card_pages,
    },
];

/// How a row is not kept.
enum Broken {
    /// It is answered, and not so.
    So(String),
    /// It is not answered.
    Fault(Fault),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What the rows ask.
struct Trial<'a> {
    release: &'a Release,
    instance: Instance,
    asked: &'a Asked,
}

/// Asks row by row, and stops at the first that is not kept.
///
/// # Errors
/// `Conformance`; `Busy`.
pub fn check(release: &Release, asked: &Asked) -> Result<(), AdmitError> {
    let mut trial = Trial {
        release,
        instance: warm::instance(release)?,
        asked,
    };
    for row in &TABLE {
        let detail = match (row.check)(&mut trial) {
            Ok(()) => continue,
            Err(Broken::So(detail)) => detail,
            Err(Broken::Fault(fault)) => fault.to_string(),
        };
        return Err(AdmitError::Conformance {
            rule: &row.rule,
            detail,
        });
    }
    Ok(())
}

fn charge_within_quote(trial: &mut Trial<'_>) -> Result<(), Broken> {
    for ((event, facts), answer) in trial.asked.questions.iter().zip(&trial.asked.answers) {
        let (Ok(rating), Some(request)) = (answer, bounds_of(event)) else {
            continue;
        };
        let Ok(quote) = trial.instance.quote(&request, facts)? else {
            continue;
        };
        let (charged, quoted) = (rating.total_usd, quote.total_usd);
        if exact::cmp(charged, quoted).is_gt() {
            let model = named(event);
            return Err(Broken::So(format!(
                "{model} is charged {charged} USD for what was quoted at {quoted} USD"
            )));
        }
    }
    Ok(())
}

/// The request whose bounds an event just keeps within. Absent: its sums fit no request.
fn bounds_of(event: &UsageEvent) -> Option<QuoteRequest> {
    let mut request = QuoteRequest {
        provider: event.provider.clone(),
        model: event.model_asked.clone(),
        service_tier: event.service_tier.clone(),
        region: event.region.clone(),
        feature: event.feature.clone(),
        body_bytes: 0,
        max_output_tokens: Some(0),
        declared: Vec::new(),
        provider_cost_max_usd: event.provider_cost_usd,
    };
    for pool in &event.pools {
        let units = || u64::try_from(pool.quantity.get().ceil()).ok();
        match pool.meter {
            Meter::Input | Meter::CacheRead | Meter::CacheWrite5m | Meter::CacheWrite1h => {
                request.body_bytes = request.body_bytes.checked_add(units()?)?;
            }
            Meter::Output | Meter::Reasoning => {
                let output = request.max_output_tokens.as_mut()?;
                *output = output.checked_add(units()?)?;
            }
            _ => request.declared.push(pool.clone()),
        }
    }
    Some(request)
}

fn nothing_used(trial: &mut Trial<'_>) -> Result<(), Broken> {
    let Some((event, facts)) = trial.asked.questions.first() else {
        return Ok(());
    };
    let none = UsageEvent {
        pools: Vec::new(),
        ..event.clone()
    };
    trial.is_priced(&none, facts)?;
    trial.is_priced(&with_each(event, Quantity::ZERO), facts)
}

fn largest_quantity(trial: &mut Trial<'_>) -> Result<(), Broken> {
    let Some((event, facts)) = trial.asked.questions.first() else {
        return Ok(());
    };
    trial.is_priced(&with_each(event, Quantity::MAX), facts)
}

fn with_each(event: &UsageEvent, quantity: Quantity) -> UsageEvent {
    let pools = event.pools.iter().map(|pool| Pool {
        quantity,
        ..pool.clone()
    });
    UsageEvent {
        pools: pools.collect(),
        ..event.clone()
    }
}

fn batch_in_order(trial: &mut Trial<'_>) -> Result<(), Broken> {
    let known = trial.asked.questions.iter().zip(&trial.asked.answers);
    let known: Vec<(&Question, &Answer)> = known
        // The largest event is longer than an answer of a batch needs to be.
        .filter(|((event, _), _)| event.feature.is_none())
        .take(IN_ORDER)
        .collect();
    let Some(((event, facts), _)) = known.first() else {
        return Ok(());
    };
    let nobodys: Question = (
        UsageEvent {
            model_asked: Some("no-model-has-this-name".into()),
            ..event.clone()
        },
        facts.clone(),
    );
    let refused = trial.instance.rate(&nobodys.0, &nobodys.1)?;
    // Before, between and after the others.
    let mut batch = vec![nobodys.clone()];
    let mut alone = vec![refused.clone()];
    for (question, answer) in known {
        batch.extend([question.clone(), nobodys.clone()]);
        alone.extend([answer.clone(), refused.clone()]);
    }
    let answers = trial.instance.rate_batch(&rate_requests(&batch))?;
    let differs = answers.iter().zip(&alone).position(|(a, b)| a != b);
    match differs {
        None => Ok(()),
        Some(at) => {
            let model = batch.get(at).map(|(event, _)| named(event));
            let model = model.unwrap_or_default();
            Err(Broken::So(format!(
                "answer {at} of a batch is not that of {model} alone"
            )))
        }
    }
}

fn empty_batch(trial: &mut Trial<'_>) -> Result<(), Broken> {
    trial.instance.rate_batch(&[])?;
    Ok(())
}

fn rate_card_pages(trial: &mut Trial<'_>) -> Result<(), Broken> {
    let Some((_, facts)) = trial.asked.questions.first() else {
        return Ok(());
    };
    let Some(whole) = trial.page(None, LONGER_PAGE, facts)? else {
        return Ok(());
    };
    let mut in_parts: Vec<RateCardEntry> = Vec::new();
    let mut after = None;
    let ended = loop {
        let Some(page) = trial.page(after, PAGE, facts)? else {
            return Err(Broken::So("a page after the first is refused".into()));
        };
        in_parts.extend(page.entries);
        if page.next.is_none() || in_parts.len() >= whole.entries.len() {
            break page.next.is_none();
        }
        after = page.next;
    };
    if let Some((a, b)) = in_parts.iter().zip(&whole.entries).find(|(a, b)| a != b) {
        let (a, b) = (&a.model, &b.model);
        return Err(Broken::So(format!(
            "short pages show `{a}` where a longer one shows `{b}`"
        )));
    }
    if !in_parts.is_sorted_by(|a, b| in_order(a, b) == Ordering::Less) {
        return Err(Broken::So(
            "entries are not sorted by provider and model, or one stands twice".into(),
        ));
    }
    let has_lost = ended && (in_parts.len() < whole.entries.len() || whole.next.is_some());
    if has_lost {
        let few = in_parts.len();
        return Err(Broken::So(format!("short pages end after {few} entries")));
    }
    Ok(())
}

fn in_order(a: &RateCardEntry, b: &RateCardEntry) -> Ordering {
    (&a.provider, &a.model).cmp(&(&b.provider, &b.model))
}

impl Trial<'_> {
    /// What is answered to it passes every check, or is a refusal.
    fn is_priced(&mut self, event: &UsageEvent, facts: &Facts) -> Result<(), Broken> {
        let Ok(rating) = self.instance.rate(event, facts)? else {
            return Ok(());
        };
        let checked = verify::rating(&self.release.book, event, facts, &rating);
        checked
            .map(drop)
            .map_err(|violation| Broken::So(format!("{}: {violation}", named(event))))
    }

    /// A page that goes on where it says so, of at most so many entries; nothing where it is refused.
    fn page(
        &mut self,
        after: Option<Box<str>>,
        limit: u32,
        facts: &Facts,
    ) -> Result<Option<RateCardPage>, Broken> {
        let request = RateCardRequest {
            after,
            limit,
            ..RateCardRequest::default()
        };
        let Ok(page) = self.instance.rate_card(&request, facts)? else {
            return Ok(None);
        };
        let entries = page.entries.len();
        if u32::try_from(entries).map_or(true, |entries| entries > limit) {
            return Err(Broken::So(format!(
                "a page of at most {limit} entries has {entries}"
            )));
        }
        if entries == 0 && page.next.is_some() {
            return Err(Broken::So("a page without entries has a next one".into()));
        }
        Ok(Some(page))
    }
}

fn named(event: &UsageEvent) -> String {
    format!("`{}`", event.model().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_authors_has_the_same_table() {
        let page = include_str!("../../../docs/custom-policies.md");
        let rows = TABLE.iter().map(|row| &row.rule);
        let rows: String = rows
            .map(|rule| format!("| `{}` | {} |\n", rule.name, rule.says))
            .collect();
        assert!(page.contains(&rows), "{rows}");
    }
}
