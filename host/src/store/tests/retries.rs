//! L6: an idempotency key, a provider response: each takes effect at most once.

use super::*;

#[test]
fn l6_a_retry_is_answered_with_the_first_effect() {
    let mut house = House::new();
    let org = house.org("acme", 1_000);
    let (_, command) = house.hold_command(org, 100);
    let write = |house: &House, command: &Command, request| Write {
        idempotency: idempotency("key", request),
        ..house.wrap(Action::Ledger {
            command: command.clone(),
            note: None,
        })
    };
    let first = house.send(write(&house, &command, "a")).unwrap();
    assert!(!first.replayed);
    for restarted in [false, true] {
        if restarted {
            house.reopen();
        }
        // A retry is a new write with fresh ids.
        let (_, retry) = house.hold_command(org, 100);
        let again = house.send(write(&house, &retry, "a")).unwrap();
        assert!(again.replayed);
        assert_eq!(
            (again.id, again.made, again.outcome),
            (first.id, first.made, first.outcome)
        );
        assert!(matches!(
            house.send(write(&house, &retry, "b")),
            Err(WriteError::IdempotencyConflict)
        ));
        assert_eq!(house.wallet(org).available_nanos(), 900);
    }
    // The same key of another org is another key.
    let other = house.org("other", 1_000);
    let (_, command) = house.hold_command(other, 100);
    assert!(!house.send(write(&house, &command, "c")).unwrap().replayed);
}

#[test]
fn l6_an_org_is_made_once_however_often_it_is_asked_for() {
    let mut house = House::new();
    let create = |house: &House, request: &str| {
        let org = OrgId::new(house.id());
        Write {
            idempotency: idempotency("new customer", request),
            ..house.wrap(Action::CreateOrg {
                org: OrgRecord {
                    id: org,
                    name: "acme".into(),
                    plan: None,
                    created_at_ms: NOW,
                },
                wallet: OpenWallet {
                    org,
                    commodity: CREDITS,
                    credit_limit: Nanos::ZERO,
                },
            })
        }
    };
    let first = house.send(create(&house, "acme")).unwrap();
    for _ in 0..2 {
        let again = house.send(create(&house, "acme")).unwrap();
        assert!(again.replayed);
        assert_eq!(again.made, first.made);
        assert!(matches!(
            house.send(create(&house, "another body")),
            Err(WriteError::IdempotencyConflict)
        ));
        house.reopen();
    }
    assert_eq!(house.store.orgs(None, 10).unwrap().len(), 1);
}

#[test]
fn l6_a_refusal_is_not_an_effect() {
    let house = House::new();
    let org = house.org("acme", 50);
    let (_, command) = house.hold_command(org, 100);
    let write = |house: &House| Write {
        idempotency: idempotency("key", "a"),
        ..house.wrap(Action::Ledger {
            command: command.clone(),
            note: None,
        })
    };
    assert!(house.send(write(&house)).is_err());
    house.grant(org, 50);
    assert!(!house.send(write(&house)).unwrap().replayed);
    assert_eq!(house.wallet(org).available_nanos(), 0);
}

#[test]
fn l6_a_provider_response_counts_once_through_whichever_door() {
    let house = House::new();
    let org = house.org("acme", 1_000);
    let report = |key: &str| Write {
        idempotency: idempotency(key, key),
        once: response("openai chatcmpl-1"),
        ..house.wrap(Action::Usage(Box::new(house.usage(org, None, Some(100)))))
    };
    let first = house.send(report("door one")).unwrap();
    let second = house.send(report("door two")).unwrap();
    assert!(!first.replayed && second.replayed);
    assert_eq!(first.made, second.made);
    assert_eq!(house.wallet(org).available_nanos(), 900);
    let filter = crate::service::ledger::view::UsageFilter::default();
    let page = crate::service::ledger::view::PageRequest {
        after: None,
        limit: 10,
    };
    assert_eq!(
        house.store.usage(org, &filter, page).unwrap().items.len(),
        1
    );
}

#[test]
fn l6_equal_writes_in_one_commit_take_effect_once() {
    let house = House::new();
    let org = house.org("acme", 1_000);
    let writes: Vec<_> = (0..64)
        .map(|_| Write {
            idempotency: idempotency("key", "a"),
            ..house.wrap(Action::Usage(Box::new(house.usage(org, None, Some(10)))))
        })
        .collect();
    let waiting: Vec<_> = writes
        .into_iter()
        .map(|write| house.store.submit(write))
        .collect();
    let mut fresh = 0;
    for answer in waiting {
        let done = house.runtime.block_on(answer).unwrap();
        fresh += u32::from(!done.replayed);
    }
    assert_eq!(fresh, 1);
    assert_eq!(house.wallet(org).available_nanos(), 990);
}
