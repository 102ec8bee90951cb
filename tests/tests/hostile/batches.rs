//! Faults in a batch: each is the fault of its event alone.

use super::{Arena, cache, fault, load, modes};
use farebox::engine::Engine;
use farebox::engine::limits::Trust;
use farebox::service::policy::{Fault, PolicyEngine as _, rate_requests};
use farebox_pricing::event::KeySource;
use farebox_pricing::meter::Quantity;
use farebox_tests::books::{event, facts};

#[test]
fn a_batch_with_an_answer_too_few_is_a_fault_and_its_events_are_rated_alone() {
    let arena = Arena::new();
    let release = arena.hostile(modes::SHORT_BATCH);
    let batch = vec![(event("gpt-4o"), facts(KeySource::Managed)); 3];
    for answer in arena.engine.rate_batch(&release, &rate_requests(&batch)) {
        assert_eq!(answer.unwrap().price_usd.to_string(), "0.004375000");
    }
    assert_eq!(arena.faults(&release), 1);
    arena.assert_unharmed();
}

/// A batch is asked in several calls of one instance: no answer goes to another event.
#[test]
fn a_batch_of_any_size_is_answered_as_its_events_are_alone() {
    let arena = Arena::new();
    let managed = facts(KeySource::Managed);
    let events: Vec<_> = (1..=256_u32)
        .map(|number| {
            let mut event = event(["gpt-4o", "gpt-4o-mini", "unheard-of"][number as usize % 3]);
            event.pools[0].quantity = Quantity::from(number);
            event
        })
        .collect();
    let rate = |event| arena.engine.rate(&arena.honest, event, &managed);
    let alone: Vec<_> = events.iter().map(rate).collect();
    assert!(alone[0].is_ok() && alone[1].is_err());
    for size in [0, 1, 63, 64, 65, 128, 200, 256] {
        let batch: Vec<_> = events[..size]
            .iter()
            .map(|event| (event, &managed))
            .collect();
        let answers = arena.engine.rate_batch(&arena.honest, &batch);
        assert_eq!(answers, alone[..size], "{size}");
    }
    let batch = [(&events[0], &managed); 257];
    for answer in arena.engine.rate_batch(&arena.honest, &batch) {
        assert!(answer.is_err());
    }
    arena.assert_unharmed();
}

#[test]
fn a_trap_in_a_batch_is_the_fault_of_its_event_alone() {
    let arena = Arena::new();
    let managed = facts(KeySource::Managed);
    for trust in [Trust::Trusted, Trust::Untrusted] {
        let engine = Engine::new(cache().to_owned()).unwrap();
        let release = load(&engine, modes::TRAP_ON_MINI, trust).unwrap();
        let mut batch = vec![(event("gpt-4o"), managed.clone()); 200];
        batch[150].0 = event("gpt-4o-mini");
        let answers = engine.rate_batch(&release, &rate_requests(&batch));
        assert_eq!(answers.len(), batch.len());
        for (number, answer) in answers.into_iter().enumerate() {
            if number == 150 {
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
    for answer in arena.engine.rate_batch(&release, &rate_requests(&batch)) {
        assert!(matches!(fault(answer), Fault::Trap(_)));
    }
    assert_eq!(arena.faults(&release), 8);
    arena.assert_unharmed();
}
