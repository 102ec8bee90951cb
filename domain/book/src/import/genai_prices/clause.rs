//! Clauses that match model names, as aliases, prefixes and patterns.
//!
//! A clause is represented only where that is faithful: `equals` is an alias, `starts_with` a
//! prefix, `contains` and `ends_with` patterns, `or` all of them. Of expressions, those that
//! [`super::regex`] can spell out, such as a date behind a name; `and` only for "begins with this
//! and is no speech model". What is left is told: a pattern that matches more would price models
//! that it does not mean.

use super::regex;
use crate::import::report::Reason;
use crate::text::ModelText;
use serde_json::Value;
use std::collections::BTreeSet;

/// "Has no part `tts`, in any case": what some `and` clauses except.
const NO_SPEECH: &str = "^(?!.*-[tT][tT][sS](?:$|-))";

/// What a provider's names already mean.
#[derive(Default)]
pub(super) struct Names {
    names: BTreeSet<String>,
    prefixes: BTreeSet<String>,
    patterns: BTreeSet<String>,
}

impl Names {
    /// Reserves a model's own name; `false` when it is taken.
    pub(super) fn take_name(&mut self, name: &str) -> bool {
        self.names.insert(name.to_owned())
    }

    /// Gives `text` the names of `clause` that are still free.
    pub(super) fn take(
        &mut self,
        clause: &Value,
        text: &mut ModelText,
        left_out: &mut impl FnMut(&str, Reason),
    ) {
        let word = |kind: &str| clause.get(kind).and_then(Value::as_str);
        if let Some(parts) = clause.get("or_").and_then(Value::as_array) {
            for part in parts {
                self.take(part, text, left_out);
            }
        } else if let Some(name) = word("equals") {
            self.alias(name, text, left_out);
        } else if let Some(prefix) = word("starts_with") {
            self.prefix(prefix, text, left_out);
        } else if let Some(part) = word("contains").filter(|part| is_plain(part)) {
            self.pattern(format!("*{part}*"), "match.contains", text, left_out);
        } else if let Some(end) = word("ends_with").filter(|end| is_plain(end)) {
            self.pattern(format!("*{end}"), "match.ends_with", text, left_out);
        } else if let Some(names) = word("regex").and_then(regex::spelled_out) {
            for name in names {
                if name.contains(['*', '#']) {
                    self.pattern(name, "match.regex", text, left_out);
                } else {
                    self.alias(&name, text, left_out);
                }
            }
        } else if let Some(prefix) = begins_without_speech(clause) {
            self.pattern(format!("{prefix}*"), "match.and_", text, left_out);
            text.except = vec!["*-tts".to_owned(), "*-tts-*".to_owned()];
        } else {
            let kinds = ["contains", "ends_with", "regex", "and_"];
            let kind = kinds.into_iter().find(|kind| clause.get(kind).is_some());
            left_out(
                &format!("match.{}", kind.unwrap_or("unknown")),
                Reason::Clause,
            );
        }
    }

    fn alias(&mut self, name: &str, text: &mut ModelText, left_out: &mut impl FnMut(&str, Reason)) {
        if name == text.model || text.aliases.iter().any(|alias| alias == name) {
            return;
        }
        if self.names.insert(name.to_owned()) {
            text.aliases.push(name.to_owned());
        } else {
            left_out("match.equals", Reason::AliasTaken);
        }
    }

    fn prefix(
        &mut self,
        prefix: &str,
        text: &mut ModelText,
        left_out: &mut impl FnMut(&str, Reason),
    ) {
        if text.prefixes.iter().any(|known| known == prefix) {
            return;
        }
        if self.prefixes.insert(prefix.to_owned()) {
            text.prefixes.push(prefix.to_owned());
        } else {
            left_out("match.starts_with", Reason::AliasTaken);
        }
    }

    fn pattern(
        &mut self,
        pattern: String,
        field: &str,
        text: &mut ModelText,
        left_out: &mut impl FnMut(&str, Reason),
    ) {
        if text.patterns.contains(&pattern) {
            return;
        }
        if self.patterns.insert(pattern.clone()) {
            text.patterns.push(pattern);
        } else {
            left_out(field, Reason::AliasTaken);
        }
    }
}

/// Whether a text has no character that a pattern reads otherwise.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(['*', '#'])
}

/// The beginning of names that are no speech models, where that is what the clause says.
fn begins_without_speech(clause: &Value) -> Option<&str> {
    let parts = clause.get("and_").and_then(Value::as_array)?;
    let [a, b] = parts.as_slice() else {
        return None;
    };
    let word =
        |part: &'_ Value, kind: &str| part.get(kind).and_then(Value::as_str) == Some(NO_SPEECH);
    let begins = if word(b, "regex") {
        a
    } else if word(a, "regex") {
        b
    } else {
        return None;
    };
    begins
        .get("starts_with")
        .and_then(Value::as_str)
        .filter(|prefix| is_plain(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clauses_become_names_where_that_is_faithful() {
        let mut names = Names::default();
        names.take_name("m");
        names.take_name("other");
        let mut text = ModelText {
            model: "m".into(),
            ..ModelText::default()
        };
        let clause = json!({"or_": [
            {"equals": "m"}, {"equals": "m-latest"}, {"equals": "other"},
            {"starts_with": "m-20"}, {"regex": "^m-\\d{8}$"},
            {"contains": "m"}, {"ends_with": "m"}, {"and_": []}, {"regex": "^m.+"},
            {"regex": "^m-\\d"}, {"and_": [{"starts_with": "n"}, {"regex": NO_SPEECH}]}
        ]});
        let mut left_out = Vec::new();
        names.take(&clause, &mut text, &mut |what, _| {
            left_out.push(what.to_owned())
        });
        assert_eq!(text.aliases, ["m-latest"]);
        assert_eq!(text.prefixes, ["m-20"]);
        assert_eq!(text.patterns, ["m-########", "*m*", "*m", "m-#*", "n*"]);
        assert_eq!(text.except, ["*-tts", "*-tts-*"]);
        assert_eq!(left_out, ["match.equals", "match.and_", "match.regex"]);
    }
}
