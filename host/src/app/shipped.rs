//! What the binary carries: the standard policy and the default price book.

use farebox_book::{Compiled, Format, compile};

/// The standard policy, as a component.
pub const STANDARD_COMPONENT: &[u8] = include_bytes!(env!("FAREBOX_STANDARD_COMPONENT"));

/// The default price book, as people read it.
pub const DEFAULT_BOOK: &str = include_str!("../../../guest/standard/books/default.toml");

/// The default price book, compiled.
///
/// # Errors
/// None in a binary whose tests pass.
pub fn default_book() -> Result<Compiled, Vec<farebox_book::BookError>> {
    compile(DEFAULT_BOOK, Format::Toml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_book_compiles_without_a_finding_that_would_refuse_it() {
        let compiled = default_book().unwrap();
        assert!(
            compiled.book.models.len() > 3_000,
            "{}",
            compiled.book.models.len()
        );
    }

    #[test]
    fn the_standard_policy_is_well_under_a_mebibyte() {
        assert!(
            STANDARD_COMPONENT.len() < 512 * 1024,
            "{}",
            STANDARD_COMPONENT.len()
        );
    }
}
