//! Patterns of model names: `*` stands for any characters, or none, and `#` for one digit.
//!
//! Enough to say what providers do with names (a date behind, a region before), and little enough
//! to be read at a glance and matched without a library in wasm. Everything else in a pattern
//! stands for itself. It must not know books.

/// Whether `name` is one that `pattern` means.
pub fn matches(pattern: &str, name: &str) -> bool {
    matches_by(pattern, name, |a, b| a == b)
}

/// The same, where the case of ASCII letters does not count.
pub fn matches_any_case(pattern: &str, name: &str) -> bool {
    matches_by(pattern, name, |a, b| a.eq_ignore_ascii_case(&b))
}

/// How many characters of a pattern are not free: what decides between two that match. A digit
/// counts, because it must stand there.
pub fn fixed(pattern: &str) -> usize {
    pattern.chars().filter(|c| *c != '*').count()
}

/// Greedy with one place to come back to: linear but for the stars, and never recursive.
fn matches_by(pattern: &str, name: &str, same: impl Fn(u8, u8) -> bool) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0_usize, 0_usize);
    // Behind the last star, and where in the name it began to be tried.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        let here = match pattern.get(p) {
            Some(b'*') => {
                p = p.saturating_add(1);
                retry = Some((p, n));
                continue;
            }
            Some(b'#') => byte.is_ascii_digit(),
            Some(wanted) => same(*wanted, *byte),
            None => false,
        };
        if here {
            p = p.saturating_add(1);
            n = n.saturating_add(1);
        } else if let Some((after_star, from)) = retry {
            let from = from.saturating_add(1);
            retry = Some((after_star, from));
            p = after_star;
            n = from;
        } else {
            return false;
        }
    }
    let rest = pattern.get(p..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_digits_are_free_and_all_else_is_not() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*claude*haiku*", "us.anthropic.claude-3-haiku-v1:0", true),
            ("*claude*haiku*", "claude-3-sonnet", false),
            ("gpt-####", "gpt-2026", true),
            ("gpt-####", "gpt-202", false),
            ("gpt-####", "gpt-20266", false),
            ("gpt-####", "gpt-20a6", false),
            ("*ab", "aab", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("*ü*", "süd", true),
            ("[ab]", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(matches_any_case("*-tts", "gemini-TTS"));
        assert!(!matches("*-tts", "gemini-TTS"));
        assert_eq!((fixed("*a-##*"), fixed("*")), (4, 0));
    }

    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => slowly(rest, name),
            (Some((b'*', rest)), Some((_, shorter))) => {
                slowly(rest, name) || slowly(pattern, shorter)
            }
            (Some((wanted, rest)), Some((byte, shorter))) => {
                let here = wanted == byte || (*wanted == b'#' && byte.is_ascii_digit());
                here && slowly(rest, shorter)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_its_definition_says(pattern in "[ab1#*]{0,8}", name in "[ab1]{0,8}") {
            prop_assert_eq!(
                matches(&pattern, &name),
                slowly(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
