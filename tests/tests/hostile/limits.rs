//! What strains the sandbox: each limit stops it, while it loads and while it rates.

use super::{Arena, load, modes};
use farebox::engine::LoadError;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::policy::Fault;
use farebox_pricing::event::KeySource;
use farebox_tests::books::{facts, two_models};
use farebox_tests::guests;

#[test]
fn what_strains_the_sandbox_is_stopped_by_the_limit_it_breaks() {
    let arena = Arena::new();
    let managed = facts(KeySource::Managed);
    for (mode, expected) in [
        (modes::SPIN, Fault::Fuel),
        // Filling memory is one instruction, but paid for by the byte.
        (modes::STALL, Fault::Fuel),
        (modes::RECURSE, Fault::Stack),
        (modes::ALLOCATE, Fault::Memory),
        (modes::FLOOD, Fault::OutputTooLarge),
        (modes::LONG_REFUSAL, Fault::OutputTooLarge),
    ] {
        assert_eq!(arena.rate(mode, &managed), expected, "{mode}");
    }
    let trap = arena.rate(modes::TRAP, &managed);
    assert!(
        matches!(&trap, Fault::Trap(what) if what.contains("unreachable")),
        "{trap:?}"
    );
}

#[test]
fn a_policy_that_strains_the_sandbox_while_loading_is_not_loaded() {
    let arena = Arena::new();
    for (mode, expected) in [
        (modes::SPIN_IN_LOAD, Fault::Fuel),
        (modes::ALLOCATE_IN_LOAD, Fault::Memory),
    ] {
        match load(&arena.engine, mode, Trust::Trusted) {
            Err(LoadError::Fault(fault)) => assert_eq!(fault, expected, "{mode}"),
            other => panic!("{mode}: {other:?}"),
        }
        arena.assert_unharmed();
    }
    let spin_at_start = arena.engine.load_release(
        &guests::component(guests::SPIN_AT_START),
        two_models("start").canonical,
        LimitClass::Native,
        Trust::Trusted,
    );
    assert!(
        matches!(spin_at_start, Err(LoadError::Fault(Fault::Fuel))),
        "{spin_at_start:?}"
    );
    arena.assert_unharmed();
}
