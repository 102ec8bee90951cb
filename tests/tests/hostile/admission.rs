//! Bytes that are not admitted: each is refused for its own reason, before anything runs.

use super::{Arena, modes};
use farebox::engine::LoadError;
use farebox::engine::admission::AdmissionError;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::service::policy::{AdmitError, Admitted, Fault, PolicyEngine as _};
use farebox_pricing::event::KeySource;
use farebox_tests::books::{event, facts, two_models, two_models_text};
use farebox_tests::guests;

/// Loads bytes that must not be admitted.
fn refused(bytes: &[u8]) -> AdmissionError {
    let arena = Arena::new();
    let loaded = arena.engine.load_release(
        bytes,
        two_models("any").canonical,
        LimitClass::Native,
        Trust::Trusted,
    );
    arena.assert_unharmed();
    match loaded {
        Err(LoadError::Component(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let whole = guests::component(guests::STANDARD);
    // The preamble alone is a component without anything in it.
    assert!(matches!(
        refused(&whole[..8]),
        AdmissionError::WrongWorld { .. }
    ));
    for length in [0, 1, 3] {
        assert_eq!(refused(&whole[..length]), AdmissionError::NotWasm);
    }
    for length in [4, 7, 9, 1000, whole.len() / 2, whole.len() - 1] {
        let error = refused(&whole[..length]);
        assert!(
            matches!(&error, AdmissionError::Invalid(reason) if !reason.contains('\n')),
            "{length}: {error:?}"
        );
    }
}

#[test]
fn a_component_that_imports_wasi_is_refused_by_name() {
    let bytes = wat::parse_str(
        r#"(component
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance
                (export "now" (func (result u64)))))
            (import "wasi:random/random@0.2.0" (instance
                (export "get-random-u64" (func (result u64))))))"#,
    );
    assert_eq!(
        refused(&bytes.unwrap()),
        AdmissionError::ImportsNotAllowed {
            names: vec![
                "wasi:clocks/monotonic-clock@0.2.0".to_owned(),
                "wasi:random/random@0.2.0".to_owned()
            ]
        }
    );
}

#[test]
fn a_component_of_another_world_is_refused() {
    let empty = wat::parse_str("(component)").unwrap();
    assert_eq!(
        refused(&empty).to_string(),
        "it does not export `farebox:policy/policy` in a version that this host serves: 1.0.0"
    );
    let later = r#"(component
        (instance $none)
        (export "farebox:policy/policy@2.0.0" (instance $none)))"#;
    assert_eq!(
        refused(&wat::parse_str(later).unwrap()),
        AdmissionError::UnknownContract {
            version: "2.0.0".to_owned(),
            served: "1.0.0".to_owned()
        }
    );
    // The right name over nothing.
    let hollow = r#"(component
        (instance $none)
        (export "farebox:policy/policy@1.0.0" (instance $none)))"#;
    let error = refused(&wat::parse_str(hollow).unwrap());
    assert!(
        matches!(error, AdmissionError::WrongInterface { .. }),
        "{error:?}"
    );
}

#[test]
fn a_core_module_is_told_what_it_lacks() {
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!(refused(&module), AdmissionError::CoreModule);
}

#[test]
fn a_component_over_its_class_limit_is_refused_before_it_is_read() {
    let error = refused(&vec![0; (1 << 20) + 1]);
    assert!(
        matches!(error, AdmissionError::TooLarge { .. }),
        "{error:?}"
    );
}

/// What only a full batch, a rate card, an own key, a plan or a large event finds out is found out
/// before anybody is priced.
#[test]
fn what_fails_at_its_limits_only_is_not_admitted() {
    let arena = Arena::new();
    for mode in [
        modes::TRAP_IN_FULL_BATCH,
        modes::TRAP_ON_CARD,
        modes::TRAP_ON_OWN_KEY,
        modes::TRAP_ON_PLAN,
        modes::TRAP_ON_MANY_POOLS,
    ] {
        let refused = admit(&arena, mode).unwrap_err();
        assert!(
            matches!(refused, AdmitError::Fault(Fault::Trap(_))),
            "{mode}: {refused:?}"
        );
    }
    admit(&arena, modes::HONEST).unwrap();
}

/// Pushes the hostile policy with two models and a plan.
fn admit(arena: &Arena, mode: &str) -> Result<Admitted, AdmitError> {
    let mut text = two_models_text(mode);
    text.push_str("[plans.pro]\nmarkup = \"1\"\n");
    let compiled = farebox_book::compile(&text, farebox_book::Format::Toml).unwrap();
    let package = Package {
        component: guests::component(guests::HOSTILE),
        book: Some(compiled.canonical),
        ..Package::default()
    };
    arena.engine.admit(&package.to_file(), None)
}

#[test]
fn a_policy_that_breaks_a_row_of_the_conformance_table_is_not_admitted() {
    let arena = Arena::new();
    for (mode, row, said) in [
        (
            modes::DEARER_THAN_QUOTED,
            "charge_within_quote",
            "is charged 100",
        ),
        (modes::TRAP_ON_NO_POOLS, "nothing_used", "trapped"),
        (modes::CLAMP, "largest_quantity", "the provider cost"),
        (modes::REFUSED_LAST, "batch_in_order", "answer 0 of a batch"),
        (modes::ANSWER_NOTHING, "empty_batch", "1 answers to 0"),
        (
            modes::LONG_PAGES,
            "rate_card_pages",
            "at most 1 entries has 2",
        ),
        (modes::SAME_PAGE, "rate_card_pages", "short pages show"),
    ] {
        match admit(&arena, mode).unwrap_err() {
            AdmitError::Conformance { rule, detail } => {
                assert_eq!(rule.name, row, "{mode}: {detail}");
                assert!(detail.contains(said), "{mode}: {detail}");
            }
            other => panic!("{mode}: {other:?}"),
        }
    }
}

/// The bits of a NaN differ between processors, and a policy can see them. Here they are the same.
#[test]
fn a_nan_has_the_same_bits_on_every_machine() {
    let arena = Arena::new();
    let nan = arena.hostile(modes::NAN);
    let rate = |release| {
        let managed = facts(KeySource::Managed);
        arena
            .engine
            .rate(release, &event("gpt-4o"), &managed)
            .unwrap()
    };
    assert_eq!(rate(&nan).price_usd, rate(&arena.honest).price_usd);
}
