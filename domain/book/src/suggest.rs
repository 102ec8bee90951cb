//! "Did you mean …?" for names that a person typed.

/// The clause that proposes the nearest of `known`, or nothing when none is near.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let limit = typed.chars().count().div_ceil(3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn only_near_names_are_proposed() {
        let known = ["input", "output", "cache_read"];
        assert_eq!(did_you_mean("inptu", known), "; did you mean `input`?");
        assert_eq!(
            did_you_mean("cached_read", known),
            "; did you mean `cache_read`?"
        );
        assert_eq!(did_you_mean("bananas", known), "");
    }
}
