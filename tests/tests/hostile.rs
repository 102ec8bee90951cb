//! Policies that break the contract: what exactly happens, and that nothing else is affected.
#![deny(dead_code)]

#[path = "../guests/hostile/src/modes.rs"]
mod modes;

use farebox::engine::admission::AdmissionError;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::{Engine, LoadError};
use farebox::service::policy::{Fault, PolicyEngine, PolicyError, ReleaseId};
use farebox_pricing::event::{Facts, KeySource, UsageEvent};
use farebox_tests::books::{event, facts, quote_request, two_models};
use farebox_tests::guests;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

/// An engine with an honest release, and a hostile one to try.
struct Arena {
    engine: Engine,
    honest: ReleaseId,
}

/// Where these tests keep compiled components; the first who asks compiles.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
        let engine = Engine::new(folder.clone()).unwrap();
        load(&engine, modes::HONEST, Trust::Trusted).unwrap();
        folder
    })
}

impl Arena {
    fn new() -> Self {
        let engine = Engine::new(cache().to_owned()).unwrap();
        let honest = load(&engine, modes::HONEST, Trust::Trusted).unwrap();
        let arena = Self { engine, honest };
        arena.assert_unharmed();
        arena
    }

    fn hostile(&self, mode: &str) -> ReleaseId {
        load(&self.engine, mode, Trust::Trusted).unwrap()
    }

    /// The other release still answers, and its prices are right.
    fn assert_unharmed(&self) {
        let priced = self
            .engine
            .rate(&self.honest, &event("gpt-4o"), &facts(KeySource::Managed))
            .unwrap();
        assert_eq!(priced.price_usd.to_string(), "0.004375000");
    }

    fn faults(&self, release: &ReleaseId) -> u64 {
        let faults = self.engine.faults();
        faults.iter().find(|(id, _)| id == release).unwrap().1
    }

    /// Rates one event under the hostile release, singly and in a batch; both must be faults, each
    /// counted, and the other release must not notice.
    fn rate(&self, mode: &str, facts: &Facts) -> Fault {
        let release = self.hostile(mode);
        let event = event("gpt-4o");
        let begun = Instant::now();
        let single = fault(self.engine.rate(&release, &event, facts));
        assert!(begun.elapsed() < Duration::from_secs(5), "{mode}");
        self.assert_unharmed();
        let batch = vec![(event, facts.clone()); 2];
        for answer in self.engine.rate_batch(&release, &batch) {
            assert_eq!(fault(answer), single, "{mode}");
        }
        self.assert_unharmed();
        assert!(self.faults(&release) >= 2, "{mode}");
        assert_eq!(self.faults(&self.honest), 0);
        single
    }
}

fn load(engine: &Engine, mode: &str, trust: Trust) -> Result<ReleaseId, LoadError> {
    engine.load_release(
        &guests::component(guests::HOSTILE),
        two_models(mode).canonical,
        LimitClass::Native,
        trust,
    )
}

fn fault<T: std::fmt::Debug>(answer: Result<T, PolicyError>) -> Fault {
    match answer {
        Err(PolicyError::Fault(fault)) => fault,
        other => panic!("not a fault: {other:?}"),
    }
}

fn check(mode: &str, key_source: KeySource, expected: &str) {
    match Arena::new().rate(mode, &facts(key_source)) {
        Fault::Check(what) => assert_eq!(what, expected, "{mode}"),
        other => panic!("{mode}: {other:?}"),
    }
}

fn malformed(mode: &str, expected: &str) {
    match Arena::new().rate(mode, &facts(KeySource::Managed)) {
        Fault::Malformed(what) => assert!(what.contains(expected), "{mode}: {what}"),
        other => panic!("{mode}: {other:?}"),
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

#[test]
fn a_total_that_is_off_by_a_nano_is_no_price() {
    check(
        modes::TOTAL_OFF_BY_A_NANO,
        KeySource::Managed,
        "the lines add up to 0.004375000, the total says 0.004375001",
    );
}

#[test]
fn a_line_that_is_off_by_a_nano_is_no_price() {
    check(
        modes::LINE_OFF_BY_A_NANO,
        KeySource::Managed,
        "line 0: the amount 0.002500001 is not its quantity times its unit price",
    );
}

#[test]
fn a_negative_total_is_no_price() {
    check(
        modes::NEGATIVE_TOTAL,
        KeySource::Managed,
        "the total -999999.995625000 is negative",
    );
}

#[test]
fn only_a_discount_may_be_negative() {
    check(
        modes::NEGATIVE_MARKUP,
        KeySource::Managed,
        "line 3 is negative and no discount",
    );
}

#[test]
fn a_price_below_the_provider_cost_is_no_price() {
    check(
        modes::UNDER_COST,
        KeySource::Managed,
        "the price 0.0021875000 is below the provider cost 0.0035000",
    );
}

#[test]
fn what_a_policy_says_about_cost_is_never_believed() {
    check(
        modes::LIE_ABOUT_COST,
        KeySource::Managed,
        "the price 0.000000001 is below the provider cost 0.0035000",
    );
}

#[test]
fn a_fee_on_an_own_key_is_capped_whatever_its_name() {
    check(
        modes::GREEDY,
        KeySource::Own,
        "the charge 1000.000675000 on an own key is above the declared cap 0.00135000",
    );
}

#[test]
fn an_answer_has_an_end() {
    let arena = Arena::new();
    let release = arena.hostile(modes::TOO_MANY_LINES);
    let managed = facts(KeySource::Managed);
    let fault = fault(arena.engine.rate(&release, &event("gpt-4o"), &managed));
    assert!(
        matches!(&fault, Fault::Check(what) if what.contains("259 lines")),
        "{fault:?}"
    );
}

#[test]
fn a_quote_that_does_not_bound_the_call_is_no_quote() {
    let arena = Arena::new();
    let release = arena.hostile(modes::LOW_QUOTE);
    let managed = facts(KeySource::Managed);
    let quoted = fault(
        arena
            .engine
            .quote(&release, &quote_request("gpt-4o"), &managed),
    );
    assert!(
        matches!(&quoted, Fault::Check(what) if what.contains("the most the call can cost")),
        "{quoted:?}"
    );
    assert_eq!(arena.faults(&release), 1);
    let honest = arena
        .engine
        .quote(&arena.honest, &quote_request("gpt-4o"), &managed);
    assert!(honest.is_ok(), "{honest:?}");
}

#[test]
fn what_is_no_value_of_the_contract_is_malformed() {
    malformed(modes::SCALE_200, "scale 200");
    malformed(modes::MINUS_ZERO, "minus zero");
    malformed(modes::UNSORTED, "not sorted");
    malformed(modes::BAD_METER, "`Not A Meter` is not the name of a meter");
    malformed(modes::NO_MODEL, "names no model");
    malformed(modes::POINT_OUTSIDE, "out of bounds");
}

#[test]
fn a_batch_with_an_answer_too_few_is_a_fault_and_its_events_are_rated_alone() {
    let arena = Arena::new();
    let release = arena.hostile(modes::SHORT_BATCH);
    let batch = vec![(event("gpt-4o"), facts(KeySource::Managed)); 3];
    for answer in arena.engine.rate_batch(&release, &batch) {
        assert_eq!(answer.unwrap().price_usd.to_string(), "0.004375000");
    }
    assert_eq!(arena.faults(&release), 1);
    arena.assert_unharmed();
}

#[test]
fn a_trap_in_a_batch_is_the_fault_of_its_event_alone() {
    let arena = Arena::new();
    let managed = facts(KeySource::Managed);
    for trust in [Trust::Trusted, Trust::Untrusted] {
        let engine = Engine::new(cache().to_owned()).unwrap();
        let release = load(&engine, modes::TRAP_ON_MINI, trust).unwrap();
        let mut batch = vec![(event("gpt-4o"), managed.clone()); 40];
        batch[17].0 = event("gpt-4o-mini");
        let answers = engine.rate_batch(&release, &batch);
        assert_eq!(answers.len(), batch.len());
        for (number, answer) in answers.into_iter().enumerate() {
            if number == 17 {
                assert!(matches!(fault(answer), Fault::Trap(_)), "{trust:?}");
            } else {
                let priced = answer.unwrap();
                assert_eq!(priced.price_usd.to_string(), "0.004375000", "{trust:?}");
            }
        }
        assert_eq!(engine.faults()[0].1, 1, "{trust:?}");
    }
    arena.assert_unharmed();
}

#[test]
fn a_policy_that_faults_on_every_event_is_not_tried_on_all() {
    let arena = Arena::new();
    let release = arena.hostile(modes::TRAP);
    let batch = vec![(event("gpt-4o"), facts(KeySource::Managed)); 256];
    for answer in arena.engine.rate_batch(&release, &batch) {
        assert!(matches!(fault(answer), Fault::Trap(_)));
    }
    assert_eq!(arena.faults(&release), 8);
    arena.assert_unharmed();
}

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

#[test]
fn a_full_house_is_nobodys_fault_and_idle_instances_make_room() {
    // The class with few instances, so that a test can fill it.
    let class = LimitClass::Scripted;
    let engine = Engine::new(cache().to_owned()).unwrap();
    let load = |mode| {
        let (component, book) = (guests::component(guests::HOSTILE), two_models(mode));
        engine
            .load_release(&component, book.canonical, class, Trust::Trusted)
            .unwrap()
    };
    // Two releases that rate honestly.
    let (first, second) = (load(modes::HONEST), load(modes::LOW_QUOTE));
    let rate = |release: &ReleaseId| {
        let priced = engine.rate(release, &event("gpt-4o"), &facts(KeySource::Managed));
        priced.map(|priced| priced.price_usd.to_string())
    };
    let right = Ok("0.004375000".to_owned());
    let others = class.limits().instances_max as usize - 1;
    let (begun, end) = (Barrier::new(others + 1), Barrier::new(others + 1));
    std::thread::scope(|scope| {
        // Each worker keeps its instance warm as long as it lives, this one too.
        for _ in 0..others {
            scope.spawn(|| {
                let priced = rate(&first);
                begun.wait();
                end.wait();
                assert_eq!(priced, Ok("0.004375000".to_owned()));
            });
        }
        let here = rate(&first);
        begun.wait();
        let in_another_worker = scope.spawn(|| rate(&second)).join();
        // Here the idle instance of the first release makes room for the second.
        let made_room = rate(&second);
        end.wait();
        assert_eq!(here, right);
        assert_eq!(in_another_worker.unwrap(), Err(PolicyError::Busy));
        assert_eq!(made_room, right);
    });
    let afterwards = std::thread::scope(|scope| scope.spawn(|| rate(&second)).join().unwrap());
    assert_eq!(afterwards, right);
    assert!(engine.faults().iter().all(|(_, faults)| *faults == 0));
}

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
    assert_eq!(refused(&whole[..8]), AdmissionError::WrongWorld);
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
    assert_eq!(refused(&empty), AdmissionError::WrongWorld);
    let later = r#"(component
        (instance $none)
        (export "farebox:policy/policy@2.0.0" (instance $none)))"#;
    assert_eq!(
        refused(&wat::parse_str(later).unwrap()),
        AdmissionError::UnknownContract("farebox:policy/policy@2.0.0".to_owned())
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
