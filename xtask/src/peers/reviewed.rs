//! The reviewed list of differences: each with who is right, why, and by what source.

use super::Peer;
use super::environment::Call;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;

/// Who is right about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Farebox.
    Farebox,
    /// The peer. Unless `why` says what stands in the way, Farebox is to be mended, and the entry to go.
    Peer,
    /// No statement of the provider decides it.
    Open,
}

impl Right {
    /// As the table says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Farebox => "Farebox",
            Self::Peer => "the peer",
            Self::Open => "undecided",
        }
    }
}

/// One reviewed difference: a pattern of calls. `*` stands for any text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// From whom Farebox differs.
    pub peer: Peer,
    /// The shapes of the calls.
    #[serde(default = "any")]
    pub shape: String,
    /// The provider, in the peer's words.
    #[serde(default = "any")]
    pub provider: String,
    /// The model, in the peer's words.
    #[serde(default = "any")]
    pub model: String,
    /// More calls than this are not explained by it: the list does not grow by itself.
    pub calls_max: usize,
    /// Who is right.
    pub right: Right,
    /// Why.
    pub why: String,
    /// Where that is said.
    pub source: String,
}

fn any() -> String {
    "*".to_owned()
}

impl Reviewed {
    /// Whether it is about this call.
    pub fn is_about(&self, peer: Peer, call: &Call) -> bool {
        let named = call.named(peer);
        self.peer == peer
            && matches(&self.shape, &call.shape)
            && matches(&self.provider, &named.provider)
            && matches(&self.model, &named.model)
    }

    /// The pattern, for people.
    pub fn pattern(&self) -> String {
        format!(
            "{}: {} / {} / {}",
            self.peer.name(),
            self.shape,
            self.provider,
            self.model
        )
    }
}

/// Reads the list.
///
/// # Errors
/// It is not there, not well formed, or an entry says too little.
pub fn read(path: &Path) -> Result<Vec<Reviewed>> {
    let text = std::fs::read(path).with_context(|| format!("no `{}`", path.display()))?;
    let list: Vec<Reviewed> =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    for entry in &list {
        if entry.why.is_empty() || entry.source.is_empty() {
            bail!("{} has no reason or no source", entry.pattern());
        }
    }
    Ok(list)
}

/// Whether `text` is what `pattern` says, where `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_repository_is_well_formed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let list = read(&root.join("tests/cases/peers/reviewed.json")).unwrap();
        assert!(list.iter().all(|entry| entry.calls_max > 0));
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("cached", "cached", true),
            ("cached", "cached, 1 hour", false),
            ("context * + 1*", "context 200000 + 1, cached", true),
            ("context * + 1", "context 200000 + 1, cached", false),
            ("*-2025*", "gpt-4o-2024", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
