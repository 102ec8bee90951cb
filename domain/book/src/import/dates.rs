//! Dated prices of a source: which entry of an ordered list holds from which day on.

use std::collections::BTreeSet;

/// The days on which something changes, with "since ever" first where `open`.
pub(super) fn boundaries<'a>(
    open: bool,
    days: impl IntoIterator<Item = &'a str>,
) -> Vec<Option<String>> {
    let days: BTreeSet<&str> = days.into_iter().collect();
    let since_ever = open.then_some(None);
    let days = days.into_iter().map(|day| Some(day.to_owned()));
    since_ever.into_iter().chain(days).collect()
}

/// The last of `entries` that holds on `day`: later ones in the list win over earlier ones.
pub(super) fn last_holding<'e, T>(
    entries: &'e [(Option<String>, T)],
    day: Option<&String>,
) -> Option<&'e T> {
    let mut entries = entries.iter().rev();
    entries
        .find(|(start, _)| match (start, day) {
            (None, _) => true,
            (Some(start), Some(day)) => start <= day,
            (Some(_), None) => false,
        })
        .map(|(_, entry)| entry)
}
