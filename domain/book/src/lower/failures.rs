//! What holds for models the book lacks, and for calls that did not end well.

use super::Problems;
use super::tables;
use super::values::positive;
use crate::document::Path;
use crate::text::{BookText, FailureActionText, UnknownModelsText, UnknownRuleText};
use farebox_pricing::book::{
    Estimate, FailureAction, FailureRules, Model, Period, RateTable, UnknownModels,
};
use rust_decimal::Decimal;

const ROOT: Path<'static> = Path::Root;

/// The rule for unknown models.
pub(super) fn unknown_models(text: &BookText, problems: &mut Problems<'_>) -> UnknownModels {
    let Some(text) = &text.unknown_models else {
        return UnknownModels::Refuse;
    };
    let path = ROOT.field("unknown_models");
    let prices = !text.leaf().is_empty();
    if prices && text.rule != UnknownRuleText::DefaultRate {
        problems.note(&path, "prices belong to the rule `default-rate`");
    }
    if text.usd.is_some() && text.rule != UnknownRuleText::Cap {
        problems.note(&path.field("usd"), "an amount belongs to the rule `cap`");
    }
    match text.rule {
        UnknownRuleText::Refuse => UnknownModels::Refuse,
        UnknownRuleText::ProviderCost => UnknownModels::ProviderCost,
        UnknownRuleText::Cap => {
            if text.usd.is_none() {
                problems.note(&path, "the rule `cap` needs `usd`, the cost of a call");
            }
            let usd = positive(text.usd.unwrap_or_default(), &path.field("usd"), problems);
            UnknownModels::Cap { usd }
        }
        UnknownRuleText::DefaultRate => {
            if !prices {
                problems.note(&path, "the rule `default-rate` needs prices");
            }
            default_rate(text, &path, problems)
        }
    }
}

fn default_rate(
    text: &UnknownModelsText,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> UnknownModels {
    let rates = tables::rates(&text.leaf(), path, problems);
    UnknownModels::DefaultRate {
        model: Box::new(Model {
            provider: "*".into(),
            name: "default-rate".into(),
            aliases: Vec::new(),
            prefixes: Vec::new(),
            patterns: Vec::new(),
            except: Vec::new(),
            max_output_tokens: None,
            context_inclusive: false,
            context_marginal: false,
            periods: vec![Period {
                valid_from_ms: None,
                valid_to_ms: None,
                known_since_ms: None,
                tables: vec![RateTable {
                    service_tier: None,
                    region: None,
                    context_above: None,
                    hours: None,
                    rates: tables::in_order(rates),
                }],
                allowances: Vec::new(),
            }],
        }),
    }
}

/// The rules for calls that did not end well.
pub(super) fn failure_rules(text: &BookText, problems: &mut Problems<'_>) -> FailureRules {
    let mut rules = FailureRules::default();
    let Some(text) = &text.failures else {
        return rules;
    };
    for (rule, text) in [
        (&mut rules.client_abort, text.client_abort),
        (&mut rules.upstream_error, text.upstream_error),
        (&mut rules.no_usage, text.no_usage),
        (&mut rules.zero_usage, text.zero_usage),
        (&mut rules.partial_stream, text.partial_stream),
    ] {
        if let Some(text) = text {
            *rule = match text {
                FailureActionText::Nothing => FailureAction::Nothing,
                FailureActionText::Estimate => FailureAction::Estimate,
                FailureActionText::Hold => FailureAction::Hold,
                FailureActionText::Seen => FailureAction::Seen,
            };
        }
    }
    if let Some(text) = &text.estimate {
        let failures = ROOT.field("failures");
        let path = failures.field("estimate");
        let standard = Estimate::default();
        let bytes_per_token = text.bytes_per_token.map(u32::try_from);
        let bytes_per_token = match bytes_per_token {
            None => standard.bytes_per_token,
            Some(Ok(bytes)) if bytes > 0 => bytes,
            Some(_) => {
                let path = path.field("bytes_per_token");
                problems.note(&path, "a token has at least one byte, and fewer than 2^32");
                standard.bytes_per_token
            }
        };
        let output_share = text.output_share.map_or(standard.output_share, |share| {
            positive(share, &path.field("output_share"), problems)
        });
        if output_share > Decimal::ONE {
            let path = path.field("output_share");
            problems.note(
                &path,
                format!("`{output_share}` is more than all: at most 1"),
            );
        }
        rules.estimate = Estimate {
            bytes_per_token,
            output_share,
        };
    }
    rules
}
