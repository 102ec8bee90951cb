//! What a caller prefers to be answered: `Prefer` of RFC 7240, of which this API knows
//! `return=minimal`. Other preferences are passed over, as that RFC says.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::convert::Infallible;

/// How much of an answer the caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// All of it.
    #[default]
    Whole,
    /// What it cannot know by itself.
    Minimal,
}

impl Prefer {
    /// The first `return` in the headers decides.
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").iter();
        let mut preferences = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|preference| preference.split(';').next()?.split_once('='));
        let wanted = preferences.find_map(|(name, value)| {
            let is_return = name.trim().eq_ignore_ascii_case("return");
            is_return.then_some(value.trim().trim_matches('"'))
        });
        match wanted {
            Some(value) if value.eq_ignore_ascii_case("minimal") => Self::Minimal,
            _ => Self::Whole,
        }
    }

    /// What the answer says of it.
    pub fn applied(self) -> Option<[(HeaderName, HeaderValue); 1]> {
        let name = HeaderName::from_static("preference-applied");
        (self == Self::Minimal).then(|| [(name, HeaderValue::from_static("return=minimal"))])
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_return_among_all_preferences_decides() {
        for (values, expect) in [
            (&[][..], Prefer::Whole),
            (&["return=minimal"], Prefer::Minimal),
            (
                &["respond-async, Return=\"minimal\"; foo=1"],
                Prefer::Minimal,
            ),
            (&["wait=10", "return = minimal"], Prefer::Minimal),
            (&["return=representation, return=minimal"], Prefer::Whole),
            (&["return=minimal, return=representation"], Prefer::Minimal),
            (&["minimal", "return", "\u{ff}"], Prefer::Whole),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(Prefer::of(&headers), expect, "{values:?}");
        }
    }
}
