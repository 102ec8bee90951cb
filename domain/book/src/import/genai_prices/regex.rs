//! Regular expressions over model names, spelled out as names and patterns where they can be.
//!
//! Only what the source uses: anchors, escaped letters, `\d` and `\d{n}`, a class of letters, and
//! an optional group. Anything else is `None`, never a guess.

/// The most names an expression may become.
const NAMES_MAX: usize = 8;

/// Names and patterns (`*`, `#`) that together mean what `regex` does.
pub(super) fn spelled_out(regex: &str) -> Option<Vec<String>> {
    let (start, rest) = match regex.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("*", regex),
    };
    let (rest, end) = match rest.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (rest, ""),
        _ => (rest, "*"),
    };
    let names = sequence(rest)?;
    let names = names.into_iter().map(|name| format!("{start}{name}{end}"));
    Some(names.collect())
}

fn sequence(mut rest: &str) -> Option<Vec<String>> {
    let mut names = vec![String::new()];
    while let Some(first) = rest.chars().next() {
        let (choices, after) = match first {
            '\\' => escaped(rest)?,
            '[' => class(rest)?,
            '(' => optional(rest)?,
            c if is_literal(c) => (vec![c.to_string()], rest.get(c.len_utf8()..)?),
            _ => return None,
        };
        let all = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{choice}")));
        names = all.collect();
        if names.len() > NAMES_MAX {
            return None;
        }
        rest = after;
    }
    Some(names)
}

fn is_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | ':' | '@' | '=' | ' ')
}

/// `\.`, `\[`, `\d`, `\d{8}`.
fn escaped(rest: &str) -> Option<(Vec<String>, &str)> {
    let rest = rest.strip_prefix('\\')?;
    let c = rest.chars().next()?;
    let after = rest.get(c.len_utf8()..)?;
    match c {
        'd' => {
            let (count, after) = match after.strip_prefix('{') {
                Some(count) => {
                    let (count, after) = count.split_once('}')?;
                    (count.parse::<usize>().ok()?, after)
                }
                None => (1, after),
            };
            let fits = (1..=16).contains(&count) && !after.starts_with(['+', '*', '?']);
            fits.then(|| (vec!["#".repeat(count)], after))
        }
        '.' | '[' | ']' | '-' | '/' => Some((vec![c.to_string()], after)),
        _ => None,
    }
}

/// `[-@]`.
fn class(rest: &str) -> Option<(Vec<String>, &str)> {
    let (letters, after) = rest.strip_prefix('[')?.split_once(']')?;
    let plain = letters.chars().all(|c| matches!(c, '-' | '@' | '_' | ':'));
    (plain && !letters.is_empty()).then(|| (letters.chars().map(String::from).collect(), after))
}

/// `(…)?`.
fn optional(rest: &str) -> Option<(Vec<String>, &str)> {
    let (inner, after) = rest.strip_prefix('(')?.split_once(")?")?;
    let mut choices = vec![String::new()];
    choices.extend(sequence(inner)?);
    Some((choices, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_the_source_are_spelled_out() {
        for (regex, names) in [
            (
                r"^claude-opus-5[-@]\d{8}$",
                vec!["claude-opus-5-########", "claude-opus-5@########"],
            ),
            (r"^gemini-3\.5-flash-\d", vec!["gemini-3.5-flash-#*"]),
            (r"^grok-4\.5\[fast=false\]$", vec!["grok-4.5[fast=false]"]),
            (
                r"^(typesafe/)?jev-1\.13(-\d{8})?$",
                vec![
                    "jev-1.13",
                    "jev-1.13-########",
                    "typesafe/jev-1.13",
                    "typesafe/jev-1.13-########",
                ],
            ),
            ("mini", vec!["*mini*"]),
        ] {
            assert_eq!(spelled_out(regex).unwrap(), names, "{regex}");
        }
        for regex in [
            "^a.b$", "^a+$", r"^a\d+$", "^(a|b)$", "^[a-z]$", r"^a\w$", "^a(?=b)",
        ] {
            assert_eq!(spelled_out(regex), None, "{regex}");
        }
    }
}
