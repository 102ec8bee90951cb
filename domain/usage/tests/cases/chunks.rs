//! A case in pieces is the case at once.

use super::table::{Case, tables};
use proptest::prelude::*;

#[test]
fn any_chunks_are_the_whole() {
    let cases: Vec<Case> = tables().into_iter().flat_map(|(_, cases)| cases).collect();
    for case in &cases {
        let answer = case.stream().or_else(|| case.body()).unwrap();
        assert_eq!(
            case.in_chunks(&answer, std::iter::repeat(1)),
            case.in_chunks(&answer, std::iter::empty()),
            "{} by single bytes",
            case.name
        );
    }
    let cuts = proptest::collection::vec(1_usize..200, 0..20);
    let case = proptest::sample::select((0..cases.len()).collect::<Vec<_>>());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(4096)
    };
    proptest!(config, |(index in case, cuts in cuts)| {
        let case = &cases[index];
        let answer = case.stream().or_else(|| case.body()).unwrap();
        prop_assert_eq!(
            case.in_chunks(&answer, cuts.iter().copied()),
            case.in_chunks(&answer, std::iter::empty()),
            "{}", case.name
        );
    });
}
