//! Clauses that match model names, as far as names, aliases and prefixes can say them.
//!
//! A clause is represented only where that is faithful: `equals` is an alias, `starts_with` a
//! prefix, `or` both, and a date behind a name (`^name-\d{8}$`) the prefix `name-2`, as every date
//! begins with the digit 2. `contains`, `ends_with`, `and` and other expressions are not: a prefix
//! that matches more would price models that it does not mean.

use crate::import::report::Reason;
use crate::text::ModelText;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a provider's names already mean.
#[derive(Default)]
pub(super) struct Names {
    names: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

impl Names {
    /// Reserves a model's own name; `false` when it is taken.
    pub(super) fn take_name(&mut self, name: &str) -> bool {
        self.names.insert(name.to_owned())
    }

    /// Gives `text` the aliases and prefixes of `clause` that are still free.
    pub(super) fn take(
        &mut self,
        clause: &Value,
        text: &mut ModelText,
        left_out: &mut impl FnMut(&str, Reason),
    ) {
        let word = |kind: &str| clause.get(kind).and_then(Value::as_str);
        let dated = word("regex").and_then(dated);
        if let Some(parts) = clause.get("or_").and_then(Value::as_array) {
            for part in parts {
                self.take(part, text, left_out);
            }
        } else if let Some(name) = word("equals") {
            if name == text.model || text.aliases.iter().any(|alias| alias == name) {
                return;
            }
            if self.names.insert(name.to_owned()) {
                text.aliases.push(name.to_owned());
            } else {
                left_out("match.equals", Reason::AliasTaken);
            }
        } else if let Some(prefix) = word("starts_with").map(ToOwned::to_owned).or(dated) {
            if text.prefixes.contains(&prefix) {
                return;
            }
            if self.prefixes.insert(prefix.clone()) {
                text.prefixes.push(prefix);
            } else {
                left_out("match.starts_with", Reason::AliasTaken);
            }
        } else {
            let kinds = ["contains", "ends_with", "regex", "and_"];
            let kind = kinds.into_iter().find(|kind| clause.get(kind).is_some());
            left_out(
                &format!("match.{}", kind.unwrap_or("unknown")),
                Reason::Clause,
            );
        }
    }
}

/// `^gpt-5\.4-\d{4}-\d{2}-\d{2}$` → `gpt-5.4-2`.
fn dated(regex: &str) -> Option<String> {
    let rest = regex.strip_prefix('^')?;
    let name = [r"-\d{8}$", r"-\d{4}-\d{2}-\d{2}$"]
        .into_iter()
        .find_map(|date| rest.strip_suffix(date))?;
    let plain = name.replace(r"\.", ".");
    let literal = plain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_' | b':'));
    // An unescaped point would match any letter, as it does in no name that is known.
    let escaped = name.matches('.').count() == name.matches(r"\.").count();
    (literal && escaped && !name.is_empty()).then(|| format!("{plain}-2"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_date_behind_a_name_is_a_prefix() {
        assert_eq!(
            dated(r"^gpt-5\.4-\d{4}-\d{2}-\d{2}$").as_deref(),
            Some("gpt-5.4-2")
        );
        assert_eq!(
            dated(r"^x-ai/grok-4\.3-\d{8}$").as_deref(),
            Some("x-ai/grok-4.3-2")
        );
        for regex in [
            r"^gemini-4-argon-\d",
            r"^(typesafe/)?jev-1\.13(-\d{8})?$",
            r"^claude-opus-5[-@]\d{8}$",
            r"^gpt-5.4-\d{8}$",
            r"^-\d{8}$x",
        ] {
            assert_eq!(dated(regex), None, "{regex}");
        }
    }

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
            {"contains": "m"}, {"ends_with": "m"}, {"and_": []}, {"regex": "^m.*"}
        ]});
        let mut left_out = Vec::new();
        names.take(&clause, &mut text, &mut |what, _| {
            left_out.push(what.to_owned())
        });
        assert_eq!(text.aliases, ["m-latest"]);
        assert_eq!(text.prefixes, ["m-20", "m-2"]);
        assert_eq!(
            left_out,
            [
                "match.equals",
                "match.contains",
                "match.ends_with",
                "match.and_",
                "match.regex"
            ]
        );
    }
}
