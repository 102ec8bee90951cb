//! Which calls some terms are for: names checked, models and moments read.

use super::Problems;
use super::values::{check_name, moment};
use crate::document::Path;
use crate::suggest::did_you_mean;
use crate::text::{BookText, WhenText};
use farebox_pricing::book::{ModelName, ModelPattern, Narrowing, Scope};
use farebox_pricing::event::Deployment;
use farebox_pricing::provider;

/// The scope that a rule's `when` means.
pub(super) fn scope(
    when: &WhenText,
    text: &BookText,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Scope {
    let deployment = match when.deployment.as_deref() {
        None => None,
        Some("hosted") => Some(Deployment::Hosted),
        Some("self-hosted" | "self_hosted") => Some(Deployment::SelfHosted),
        Some(other) => {
            let message = format!("`{other}` is neither `hosted` nor `self-hosted`");
            problems.note(&path.field("deployment"), message);
            None
        }
    };
    if let Some(plan) = &when.plan
        && !text.plans.contains_key(plan)
    {
        let meant = did_you_mean(plan, text.plans.keys().map(String::as_str));
        problems.note(&path.field("plan"), format!("unknown plan `{plan}`{meant}"));
    }
    for (field, name) in [("feature", &when.feature), ("org", &when.org)] {
        if let Some(name) = name {
            check_name(name, &path.field(field), problems);
        }
    }
    let mut moment_of = |field: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        moment(text, &path.field(field), problems)
    };
    let (from_ms, until_ms) = (
        moment_of("from", &when.from),
        moment_of("until", &when.until),
    );
    if from_ms
        .zip(until_ms)
        .is_some_and(|(from, until)| from >= until)
    {
        problems.note(&path.field("until"), "ends before it begins");
    }
    let narrowing = Narrowing {
        org: when.org.as_deref().map(Into::into),
        models: patterns(&when.models, &path.field("models"), problems),
        from_ms,
        until_ms,
        minutes: hours(when.hours.as_deref(), &path.field("hours"), problems),
    };
    Scope {
        deployment,
        key_source: None,
        plan: when.plan.as_deref().map(Into::into),
        feature: when.feature.as_deref().map(Into::into),
        narrowing: (narrowing != Narrowing::default()).then(|| Box::new(narrowing)),
    }
}

/// The models that some texts mean.
pub(super) fn patterns(
    texts: &[String],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<ModelPattern> {
    let mut patterns = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        match pattern(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => problems.note(&path.index(number), message),
        }
    }
    patterns
}

fn pattern(text: &str) -> Result<ModelPattern, String> {
    let (provider, name) = text.split_once('/').ok_or_else(|| {
        format!("`{text}` is written `provider/model`, as `openai/gpt-4o*` or `*/llama-3*`")
    })?;
    let provider = match provider {
        "*" => None,
        other => {
            let known = provider::normalise(other)
                .ok_or_else(|| format!("`{other}` cannot be a provider's id"))?;
            Some(Box::from(known.as_ref()))
        }
    };
    let model = match name.strip_suffix('*') {
        Some("") => ModelName::Any,
        Some(beginning) => ModelName::Begins(beginning.into()),
        None => ModelName::Is(name.into()),
    };
    let (ModelName::Is(fixed) | ModelName::Begins(fixed)) = &model else {
        return Ok(ModelPattern { provider, model });
    };
    if fixed.is_empty() {
        return Err(format!("`{text}` names no model; `provider/*` means all"));
    }
    if fixed.contains('*') {
        return Err(format!(
            "`*` may only end the name of a model, not stand within `{text}`"
        ));
    }
    Ok(ModelPattern { provider, model })
}

/// `22:00-06:00` as minutes of the day.
fn hours(text: Option<&str>, path: &Path<'_>, problems: &mut Problems<'_>) -> Option<(u16, u16)> {
    let text = text?;
    let minutes = text
        .split_once('-')
        .and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
    match minutes {
        None => {
            let message = format!("`{text}` is not written like `22:00-06:00` or `18:00-00:00`");
            problems.note(path, message);
        }
        Some((from, until)) if from == until => {
            let message = format!("`{text}` is no time; all day is without `hours`");
            problems.note(path, message);
        }
        Some(_) => {}
    }
    minutes
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    // At most 23 × 60 + 59.
    (hour < 24 && minute < 60).then(|| hour.saturating_mul(60).saturating_add(minute))
}
