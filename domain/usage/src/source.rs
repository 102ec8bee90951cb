//! Which field of which provider becomes what: the table that `docs/usage.md` shows.
//!
//! Each family states its own rows beside the code that reads them, and a test holds the table to
//! the cases: a row that no case shows, or a field of an accepted case that no row names, fails.

use crate::family::SOURCES;

/// One field of an answer, and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Canonical provider id; `*` for every provider that answers in this family.
    pub provider: &'static str,
    /// The family's own name.
    pub api: &'static str,
    /// Where it stands in the answer, as keys joined by dots; `[]` stands for any index, `*` for
    /// any key.
    pub field: &'static str,
    /// The pool (with attributes in braces), or in words what else it is good for.
    pub becomes: &'static str,
}

/// Every row, in the order of the families.
pub fn sources() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().flat_map(|family| family.iter())
}

/// A row.
pub(crate) const fn row(
    provider: &'static str,
    api: &'static str,
    field: &'static str,
    becomes: &'static str,
) -> Source {
    Source {
        provider,
        api,
        field,
        becomes,
    }
}
