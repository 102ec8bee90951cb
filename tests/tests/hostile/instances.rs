//! What one call leaves behind for the next, and how many instances there are for all.

use super::{Arena, cache, fault, load, modes};
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::service::ledger::releases::ReleaseRecord;
use farebox::service::policy::{Fault, PolicyEngine as _, PolicyError, ReleaseId};
use farebox_pricing::event::{KeySource, UsageEvent};
use farebox_tests::books::{event, facts, two_models};
use farebox_tests::guests;
use std::sync::Barrier;

#[test]
fn nothing_survives_in_an_untrusted_policy() {
    let arena = Arena::new();
    let release = load(&arena.engine, modes::REMEMBER, Trust::Untrusted).unwrap();
    let rate = |event: &UsageEvent| {
        let priced = arena
            .engine
            .rate(&release, event, &facts(KeySource::Managed));
        priced.unwrap().price_usd
    };
    let first = rate(&event("gpt-4o"));
    rate(&event("gpt-4o-mini"));
    assert_eq!(rate(&event("gpt-4o")), first);
}

#[test]
fn what_is_loaded_changes_its_trust_only_when_that_is_kept() {
    let arena = Arena::new();
    let engine = &arena.engine;
    let package = || Package {
        component: guests::component(guests::HOSTILE),
        book: Some(two_models(modes::REMEMBER).canonical),
        ..Package::default()
    };
    let configured = |trust| engine.admit_package(package(), Some(trust)).unwrap();
    let admitted = configured(Trust::Trusted);
    let remembers = || {
        let rate = || engine.rate(&admitted.id, &event("gpt-4o"), &facts(KeySource::Managed));
        rate().unwrap().price_usd != rate().unwrap().price_usd
    };
    assert!(remembers());
    // A push that may yet be refused changes nothing of what prices: what is kept with the ledger
    // decides.
    configured(Trust::Untrusted);
    assert!(remembers());
    let kept = |trust| ReleaseRecord {
        id: admitted.id,
        name: admitted.name.clone(),
        contract: "1.0.0".into(),
        class: admitted.class,
        trust,
        component_bytes: 0,
        book_bytes: 0,
        admitted_at_ms: 0,
        admitted_by: "test".into(),
        revoked: None,
        signatures: Vec::new(),
        filters: Vec::new(),
    };
    for trust in [Trust::Untrusted, Trust::Trusted] {
        engine.load(&kept(trust), &admitted.parts).unwrap();
        assert_eq!(remembers(), trust == Trust::Trusted);
    }
}

/// What is only tried is unloaded with its last trial, unless somebody kept it meanwhile.
#[test]
fn a_draft_does_not_stay_loaded() {
    let arena = Arena::new();
    let engine = &arena.engine;
    let package = Package {
        component: guests::component(guests::HOSTILE),
        book: Some(two_models(modes::LOW_QUOTE).canonical),
        ..Package::default()
    };
    let draft = || engine.admit_package(package.clone(), None).unwrap().id;
    let id = draft();
    assert_eq!(draft(), id);
    engine.forget(&id);
    assert!(engine.is_loaded(&id));
    engine.forget(&id);
    assert!(!engine.is_loaded(&id));
    // The honest release has the same component.
    arena.assert_unharmed();
    draft();
    let kept = arena.hostile(modes::LOW_QUOTE);
    assert_eq!(kept, id);
    engine.forget(&id);
    assert!(engine.is_loaded(&id));
}

#[test]
fn after_a_trap_the_next_call_gets_a_new_instance() {
    let arena = Arena::new();
    let release = arena.hostile(modes::TRAP_ON_MINI);
    let managed = facts(KeySource::Managed);
    for _ in 0..100 {
        let trapped = arena.engine.rate(&release, &event("gpt-4o-mini"), &managed);
        assert!(matches!(fault(trapped), Fault::Trap(_)));
        arena
            .engine
            .rate(&release, &event("gpt-4o"), &managed)
            .unwrap();
    }
    assert_eq!(arena.faults(&release), 100);
}

#[test]
fn faults_on_many_threads_leave_room_for_honest_calls() {
    let arena = Arena::new();
    let trap = arena.hostile(modes::TRAP);
    let managed = facts(KeySource::Managed);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let trapped = arena.engine.rate(&trap, &event("gpt-4o"), &managed);
                    assert!(matches!(fault(trapped), Fault::Trap(_)));
                    arena.assert_unharmed();
                }
            });
        }
    });
    assert_eq!(arena.faults(&trap), 400);
    assert_eq!(arena.faults(&arena.honest), 0);
}

/// An engine with two releases that rate honestly, in the class with few instances.
fn crowded() -> (Engine, [ReleaseId; 2]) {
    let engine = Engine::new(cache().to_owned()).unwrap();
    let load = |mode| {
        let (component, book) = (guests::component(guests::HOSTILE), two_models(mode));
        let class = LimitClass::Scripted;
        engine
            .load_release(&component, book.canonical, class, Trust::Trusted)
            .unwrap()
    };
    let both = [load(modes::HONEST), load(modes::LOW_QUOTE)];
    (engine, both)
}

fn rate(engine: &Engine, release: &ReleaseId) -> Result<String, PolicyError> {
    let priced = engine.rate(release, &event("gpt-4o"), &facts(KeySource::Managed));
    priced.map(|priced| priced.price_usd.to_string())
}

fn right() -> Result<String, PolicyError> {
    Ok("0.004375000".to_owned())
}

#[test]
fn more_threads_than_instances_all_have_their_turn() {
    let (engine, releases) = crowded();
    let threads = LimitClass::Scripted.limits().instances_max as usize + 8;
    let all = Barrier::new(threads);
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (engine, releases, all) = (&engine, &releases, &all);
            scope.spawn(move || {
                all.wait();
                // Both releases, so that idle instances of one must make room for the other.
                for turn in 0..40 {
                    let release = &releases[(number + turn / 8) % 2];
                    assert_eq!(
                        rate(engine, release),
                        right(),
                        "thread {number}, turn {turn}"
                    );
                }
                // Nobody lets go of the class: the threads live until the last is done.
                all.wait();
            });
        }
    });
    assert!(engine.faults().iter().all(|(_, faults)| *faults == 0));
}

#[test]
fn a_full_house_is_nobodys_fault_and_idle_instances_make_room() {
    let (engine, [first, second]) = crowded();
    // As many idle ones as there may be, of the first release.
    let most = LimitClass::Scripted.limits().instances_max as usize;
    let (begun, end) = (Barrier::new(most), Barrier::new(most));
    std::thread::scope(|scope| {
        for _ in 0..most {
            scope.spawn(|| {
                begun.wait();
                assert_eq!(rate(&engine, &first), right());
                end.wait();
            });
        }
    });
    assert_eq!(rate(&engine, &second), right());
    // A fault takes its instance with it, and the room is there again.
    let spin = engine
        .load_release(
            &guests::component(guests::HOSTILE),
            two_models(modes::TRAP).canonical,
            LimitClass::Scripted,
            Trust::Untrusted,
        )
        .unwrap();
    for _ in 0..2 * most {
        assert!(matches!(
            fault(engine.rate(&spin, &event("gpt-4o"), &facts(KeySource::Managed))),
            Fault::Trap(_)
        ));
    }
    assert_eq!(rate(&engine, &first), right());
}
