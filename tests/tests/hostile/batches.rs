//! Faults in a batch: each is the fault of its event alone.

use super::{Arena, cache, fault, load, modes};
use farebox::engine::Engine;
use farebox::engine::limits::Trust;
use farebox::service::policy::{Fault, PolicyEngine as _};
use farebox_pricing::event::KeySource;
use farebox_tests::books::{event, facts};

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
