//! What a pushed policy is asked before it is admitted: calls of its own book, priced by a fresh
//! instance, by the same one again in another order, by another one in a batch, and by one whose
//! machine code was made with other settings. Answers must be equal to the last digit and pass every check, or the policy is not a function of what it is
//! asked, and no receipt of it could ever be priced again.

use super::instance::{CallError, Instance};
use super::release::{self, Release};
use super::{broken, warm};
use crate::service::policy::{AdmitError, Fault, rate_requests};
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::canonical::BookView;
use farebox_pricing::card::{PAGE_MAX, RateCardRequest};
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Attribute, Meter, Pool, Quantity};
use farebox_pricing::verify;

/// Models of the book that are asked for, spread over all of it.
const MODELS: u32 = 16;

/// Meters of each.
const METERS: usize = 6;

/// Units of the first meter; each further one has as many more.
const UNITS: u32 = 1_009;

/// Plans of the book that are asked for.
const PLANS: usize = 16;

/// Bytes of the longest word that a caller may send: of a feature, a tier, an attribute.
const WORD_BYTES: usize = 256;

/// Attributes of each pool of the largest event.
const ATTRIBUTES: usize = 8;

/// An event, and on whose behalf.
pub type Question = (UsageEvent, Facts);

/// What is answered to it.
pub type Answer = Result<Rating, Refusal>;

type Quoted = Result<Quote, Refusal>;

/// What was asked, and answered.
pub struct Asked {
    /// In the order in which they were asked.
    pub questions: Vec<Question>,
    /// As many.
    pub answers: Vec<Answer>,
    quotes: Vec<Quoted>,
}

/// Asks a release, and finds it in order.
///
/// # Errors
/// `Fault`, `NotDeterministic` or `Busy`.
pub fn probe(release: &Release) -> Result<Asked, AdmitError> {
    let questions = questions(&release.book);
    let mut first = warm::instance(release)?;
    let mut answers = Vec::with_capacity(questions.len());
    let mut quotes = Vec::with_capacity(questions.len());
    let mut dearest = None;
    for (event, facts) in &questions {
        let answer = first.rate(event, facts)?;
        let fuel_left = first.fuel_left()?;
        // The largest event is asked alone: a batch of them is more than a request may hold.
        let is_ordinary = event.feature.is_none();
        if is_ordinary && dearest.as_ref().is_none_or(|(least, _)| fuel_left < *least) {
            dearest = Some((fuel_left, answers.len()));
        }
        if let Ok(rating) = &answer {
            verify::rating(&release.book, event, facts, rating)
                .map_err(|violation| broken(&violation))?;
        }
        quotes.push(quote(release, &mut first, event, facts)?);
        answers.push(answer);
    }
    for (((event, facts), answer), quoted) in questions.iter().zip(&answers).zip(&quotes).rev() {
        let again = first.rate(event, facts)?;
        equal(event, answer, &again, "asked again in another order")?;
        let again = quote(release, &mut first, event, facts)?;
        equal(event, quoted, &again, "quoted again in another order")?;
    }
    let turned: Vec<Question> = questions.iter().rev().cloned().collect();
    let in_batch = warm::instance(release)?.rate_batch(&rate_requests(&turned))?;
    for (((event, _), answer), again) in turned.iter().zip(answers.iter().rev()).zip(&in_batch) {
        equal(event, answer, again, "asked in a batch of another instance")?;
    }
    if let Some((_, dearest)) = dearest {
        at_its_limits(release, &questions, &answers, dearest)?;
    }
    Ok(Asked {
        questions,
        answers,
        quotes,
    })
}

/// The most that a policy can be asked in one call: a full batch of its dearest question, to a fresh
/// instance, and the longest page of the rate card. And what it says of itself.
fn at_its_limits(
    release: &Release,
    questions: &[Question],
    answers: &[Answer],
    dearest: usize,
) -> Result<(), AdmitError> {
    let (Some(question), Some(answer)) = (questions.get(dearest), answers.get(dearest)) else {
        return Ok(());
    };
    let batch = vec![question.clone(); release.sandbox.limits.batch_events_max];
    let mut instance = warm::instance(release)?;
    for again in instance.rate_batch(&rate_requests(&batch))? {
        equal(&question.0, answer, &again, "asked in a full batch")?;
    }
    let page = RateCardRequest {
        provider: None,
        model_prefix: None,
        after: None,
        limit: PAGE_MAX,
    };
    // It may refuse, or need shorter pages than the longest: nobody is priced by a rate card.
    match instance.rate_card(&page, &question.1) {
        Ok(_) | Err(Fault::Fuel | Fault::Time | Fault::Memory | Fault::OutputTooLarge) => {}
        Err(fault) => return Err(fault.into()),
    }
    warm::instance(release)?.describe()?;
    Ok(())
}

/// Asks the same component and book as they were made in another way.
///
/// # Errors
/// `Fault` or `NotDeterministic`.
pub fn again(second: &Release, asked: &Asked) -> Result<(), AdmitError> {
    let mut instance = Instance::new(second)?;
    let asked = asked
        .questions
        .iter()
        .zip(&asked.answers)
        .zip(&asked.quotes);
    for (((event, facts), answer), quoted) in asked {
        let again = instance.rate(event, facts)?;
        equal(event, answer, &again, "compiled with other settings")?;
        let again = quote(second, &mut instance, event, facts)?;
        equal(
            event,
            quoted,
            &again,
            "quoted as compiled with other settings",
        )?;
    }
    Ok(())
}

/// The most fuel that one of these calls takes, asked one by one of a fresh instance: the first call
/// of a model is its dearest.
///
/// # Errors
/// The policy fails, or there is no room for an instance.
pub fn fuel_max(release: &Release) -> Result<u64, CallError> {
    let limit = release.sandbox.limits.call_fuel(1);
    let mut instance = warm::instance(release).map_err(release::after_load)?;
    let mut fuel_max = 0;
    for (event, facts) in &questions(&release.book) {
        let _answer = instance.rate(event, facts)?;
        fuel_max = fuel_max.max(limit.saturating_sub(instance.fuel_left()?));
    }
    Ok(fuel_max)
}

fn equal<T: PartialEq>(
    event: &UsageEvent,
    answer: &Result<T, Refusal>,
    again: &Result<T, Refusal>,
    how: &'static str,
) -> Result<(), AdmitError> {
    if answer == again {
        return Ok(());
    }
    Err(AdmitError::NotDeterministic {
        model: event.model().unwrap_or_default().into(),
        how,
    })
}

/// The checked worst case of a call of the same model.
fn quote(
    release: &Release,
    instance: &mut Instance,
    event: &UsageEvent,
    facts: &Facts,
) -> Result<Quoted, AdmitError> {
    let request = QuoteRequest {
        provider: event.provider.clone(),
        model: event.model_asked.clone(),
        service_tier: None,
        region: None,
        feature: None,
        body_bytes: u64::from(UNITS),
        max_output_tokens: Some(u64::from(UNITS)),
        declared: Vec::new(),
        provider_cost_max_usd: None,
    };
    let quoted = instance.quote(&request, facts)?;
    if let Ok(quote) = &quoted {
        verify::quote(&release.book, &request, facts, quote)
            .map_err(|violation| broken(&violation))?;
    }
    Ok(quoted)
}

/// One call of each model that is asked for, at a time at which it has prices; and of the first of
/// them one with the customer's own key, one on each plan, and the largest that a caller can report.
fn questions(book: &BookView) -> Vec<Question> {
    let step = book.model_count().div_ceil(MODELS).max(1);
    let numbers = (0..book.model_count()).step_by(usize::try_from(step).unwrap_or(1));
    let mut all: Vec<Question> = numbers
        .filter_map(|number| question(book, number))
        .collect();
    let Some((event, facts)) = all.first().cloned() else {
        return all;
    };
    let own = Facts {
        key_source: KeySource::Own,
        ..facts.clone()
    };
    all.push((event.clone(), own));
    for plan in book.terms().plans.iter().take(PLANS) {
        let on_plan = Facts {
            plan: Some(plan.clone()),
            ..facts.clone()
        };
        all.push((event.clone(), on_plan));
    }
    all.push((largest(event), facts));
    all
}

/// The same call with every meter, and words as long as they may be. Most policies refuse it, which is
/// an answer.
fn largest(event: UsageEvent) -> UsageEvent {
    let word = |first: char| -> Box<str> {
        let rest = std::iter::repeat_n('x', WORD_BYTES.saturating_sub(1));
        std::iter::once(first)
            .chain(rest)
            .collect::<String>()
            .into()
    };
    let attributes = || {
        let names = ('a'..='z').take(ATTRIBUTES);
        names
            .map(|name| Attribute {
                name: format!("{name}x").into(),
                value: word(name),
            })
            .collect()
    };
    let units = Quantity::new(UNITS.into()).ok();
    let pools = Meter::NAMED.iter().filter_map(|meter| {
        Some(Pool {
            attributes: attributes(),
            ..Pool::new(meter.clone(), units?)
        })
    });
    UsageEvent {
        service_tier: Some(word('t')),
        region: Some(word('r')),
        feature: Some(word('f')),
        pools: pools.collect(),
        ..event
    }
}

fn question(book: &BookView, number: u32) -> Option<Question> {
    let model = book.model(number).ok()?;
    let period = model.periods.last()?;
    let mut meters = Vec::new();
    for rate in period.tables.first()?.rates.iter() {
        let is_new = !meters.contains(&rate.meter);
        if rate.attributes.is_empty() && is_new && meters.len() < METERS {
            meters.push(rate.meter.clone());
        }
    }
    let units = (1..).map(|number: u32| UNITS.saturating_mul(number));
    let mut pools: Vec<Pool> = meters
        .into_iter()
        .zip(units)
        .filter_map(|(meter, units)| Some(Pool::new(meter, Quantity::new(units.into()).ok()?)))
        .collect();
    pools.sort_by(|a, b| a.meter.cmp(&b.meter));
    let at_ms = period.valid_from_ms.unwrap_or_default();
    let event = UsageEvent {
        provider: model.provider.clone(),
        model_asked: Some(model.name.as_ref().into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools,
        provider_cost_usd: None,
    };
    Some((
        event,
        Facts::new(Deployment::Hosted, KeySource::Managed, at_ms),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::super::limits::{LimitClass, Trust};
    use super::*;
    use crate::app::shipped;
    use rust_decimal::Decimal;

    /// No policy can tell the two sandboxes apart, so the difference is put into the first answers.
    #[test]
    fn an_answer_that_differs_in_its_last_digit_under_other_settings_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(folder.path().to_owned()).unwrap();
        let component = shipped::STANDARD_COMPONENT;
        let book = shipped::default_book().unwrap().canonical;
        let id = engine
            .load_release(component, book, LimitClass::Native, Trust::Trusted)
            .unwrap();
        let release = engine.release(&id).unwrap();
        let second = engine.in_second_sandbox(&release, component).unwrap();
        let mut asked = probe(&release).unwrap();
        assert!(asked.answers.len() >= 8);
        again(&second, &asked).unwrap();
        let digit = Decimal::new(1, 20);
        let quoted = asked.quotes.iter_mut().flatten().next_back().unwrap();
        quoted.total_usd = quoted.total_usd.checked_add(digit).unwrap();
        let error = again(&second, &asked).unwrap_err();
        assert!(error.to_string().contains("when it is quoted"), "{error}");
        // The first answer is compared before any quote.
        let first = asked.answers.iter_mut().flatten().next().unwrap();
        first.total_usd = first.total_usd.checked_add(digit).unwrap();
        let error = again(&second, &asked).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("differently when it is compiled with other settings"),
            "{error}"
        );
    }
}
