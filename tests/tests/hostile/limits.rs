//! What strains the sandbox: each limit stops it, while it loads and while it rates.

use super::{Arena, fault, load, modes};
use farebox::engine::LoadError;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::policy::{Fault, PolicyEngine as _};
use farebox_pricing::event::KeySource;
use farebox_tests::books::{event, facts, two_models};
use farebox_tests::guests;

#[test]
fn a_loop_that_begins_after_the_trial_is_stopped_each_time() {
    let arena = Arena::new();
    let release = arena.hostile(modes::SPIN_ON_MINI);
    let managed = facts(KeySource::Managed);
    for _ in 0..3 {
        arena
            .engine
            .rate(&release, &event("gpt-4o"), &managed)
            .unwrap();
        let stopped = arena.engine.rate(&release, &event("gpt-4o-mini"), &managed);
        assert_eq!(fault(stopped), Fault::Fuel);
    }
}

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
