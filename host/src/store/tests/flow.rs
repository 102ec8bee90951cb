//! One call, end to end, and what readers see of it before and after a restart.

use super::*;
use crate::service::ledger::directory::{DirectoryRefusal, KeyRecord};
use crate::service::ledger::view::{GroupBy, PageRequest, UsageFilter};
use crate::service::ledger::write::{Made, SettleWrite, Unpriced};
use crate::service::policy::{Digest, ReleaseId};
use farebox_ledger::command::{ExpireDue, RefundCharge, ReleaseHold};
use farebox_ledger::effect::Outcome;
use farebox_ledger::hold::HoldEnd;
use farebox_ledger::ids::{KeyId, RefundId};
use farebox_ledger::refusal::{PlaceHoldRefusal, Refusal};
use farebox_ledger::transaction::TransactionKind;

const PAGE: PageRequest = PageRequest {
    after: None,
    limit: 100,
};

#[test]
fn a_call_is_held_captured_and_shown() {
    let mut house = House::new();
    let org = house.org("acme", 1_000);
    let hold = house.hold(org, 600).unwrap();
    assert_eq!(house.wallet(org).available_nanos(), 400);
    let usage = house.usage(org, Some(hold), Some(250));
    let (event, charge) = (usage.event_id, usage.charge.clone().unwrap().0);
    let done = house.write(Action::Usage(Box::new(usage.clone()))).unwrap();
    assert_eq!(done.made, Made::Usage(event, Some(charge)));
    assert!(matches!(done.outcome, Outcome::Charged(charged) if charged.from_hold == nanos(250)));

    for restarted in [false, true] {
        if restarted {
            house.reopen();
        }
        let wallet = house.wallet(org);
        assert_eq!(
            (wallet.posted_nanos(), wallet.available_nanos()),
            (750, 750)
        );
        assert_eq!(house.store.month_to_date(org, NOW).unwrap(), nanos(250));
        let grants = house.store.grants(org).unwrap();
        assert_eq!((grants.len(), grants[0].remaining), (1, nanos(750)));
        let view = house.store.hold(org, hold).unwrap().unwrap();
        let ended = view.ended.unwrap();
        assert_eq!((ended.end, ended.returned), (HoldEnd::Captured, nanos(350)));

        let page = house.store.transactions(org, PAGE).unwrap();
        assert_eq!(page.next, None);
        let kinds: Vec<_> = page
            .items
            .iter()
            .map(|item| item.transaction.kind.name())
            .collect();
        assert_eq!(kinds, ["charge", "grant"]);
        assert_eq!(page.items[1].note.as_deref(), Some("invoice 7"));
        assert_eq!(
            page.items[0].transaction.prev_hash,
            page.items[1].transaction.hash
        );
        assert!(matches!(
            page.items[0].transaction.kind,
            TransactionKind::Charge { charge: c, event: e, hold: h }
                if c == charge && e == event && h == Some(hold)
        ));

        let seen = house.store.usage_event(org, event).unwrap().unwrap();
        assert_eq!(seen.event, usage.event);
        assert_eq!(seen.audit, usage.audit);
        assert_eq!(seen.personal, usage.personal);
        assert_eq!(seen.raw_usage, usage.raw_usage);
        let receipt = house.store.receipt(org, charge).unwrap().unwrap();
        assert_eq!(receipt.pricing, usage.charge.clone().unwrap().1);
        assert_eq!(receipt.event, usage.event);
    }
}

#[test]
fn lists_are_paged_filtered_and_grouped() {
    let house = House::new();
    let org = house.org("acme", 1_000_000);
    for round in 0..150_i64 {
        house.clock.advance(1_000);
        let mut usage = house.usage(org, None, Some(10));
        if round % 3 == 0 {
            usage.event.model_served = Some("gpt-5-mini".into());
        }
        house.write(Action::Usage(Box::new(usage))).unwrap();
    }
    let mut seen = Vec::new();
    let mut page = PageRequest {
        after: None,
        limit: 40,
    };
    loop {
        let part = house
            .store
            .usage(org, &UsageFilter::default(), page)
            .unwrap();
        seen.extend(part.items.iter().map(|item| item.recorded_at_ms));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (1..=150).rev().map(|round| NOW + round * 1_000).collect();
    assert_eq!(seen, expected);

    let filter = UsageFilter {
        from_ms: Some(NOW + 10_000),
        to_ms: Some(NOW + 20_000),
        model: Some("gpt-5-mini".into()),
        ..UsageFilter::default()
    };
    let part = house.store.usage(org, &filter, PAGE).unwrap();
    let times: Vec<_> = part
        .items
        .iter()
        .map(|item| item.recorded_at_ms - NOW)
        .collect();
    assert_eq!(times, [19_000, 16_000, 13_000, 10_000]);

    let by = [GroupBy::Model, GroupBy::Day];
    let groups = house
        .store
        .usage_groups(org, &UsageFilter::default(), &by)
        .unwrap();
    let sums: Vec<_> = groups
        .iter()
        .map(|group| {
            (
                group.values[0].as_deref().unwrap(),
                group.events,
                group.price,
            )
        })
        .collect();
    assert_eq!(
        sums,
        [
            ("gpt-5-2025-08-07", 100, nanos(1_000)),
            ("gpt-5-mini", 50, nanos(500))
        ]
    );
    assert_eq!(
        groups[0].quantities[0],
        ("input".into(), Decimal::from(120_000))
    );

    let mut count = 0;
    let mut page = PageRequest {
        after: None,
        limit: 7,
    };
    loop {
        let part = house.store.transactions(org, page).unwrap();
        count += part.items.len();
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(count, 151);
    let other = house.org("other", 0);
    assert!(house.store.transactions(other, page).is_err());
    assert!(
        house
            .store
            .usage(other, &UsageFilter::default(), PAGE)
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn usage_without_a_price_keeps_its_hold_until_it_is_settled() {
    let mut house = House::new();
    let org = house.org("acme", 1_000);
    let hold = house.hold(org, 600).unwrap();
    let mut usage = house.usage(org, Some(hold), None);
    let unpriced = Unpriced {
        reason: "policy_fault".into(),
        key_source: KeySource::Own,
        release: Some(ReleaseId {
            component: Digest([1; 32]),
            book: Digest([2; 32]),
        }),
    };
    usage.unpriced = Some(unpriced.clone());
    let event = usage.event_id;
    house.write(Action::Usage(Box::new(usage))).unwrap();
    house.clock.advance(3_600_000);
    house
        .command(Command::ExpireDue(ExpireDue { org }))
        .unwrap();
    house.reopen();
    assert_eq!(house.store.unpriced(None, 10).unwrap(), [(org, event)]);
    assert_eq!(house.store.unpriced(Some(event), 10).unwrap(), []);
    assert_eq!(house.wallet(org).available_nanos(), 400);

    let charge = ChargeId::new(house.id());
    let settle = SettleWrite {
        org,
        event_id: event,
        charge,
        pricing: pricing(700, Decimal::new(700, 10)),
        counts: Vec::new(),
    };
    house
        .write(Action::Settle(Box::new(settle.clone())))
        .unwrap();
    assert!(house.write(Action::Settle(Box::new(settle))).is_err());
    assert_eq!(house.wallet(org).available_nanos(), 300);
    assert_eq!(house.store.unpriced(None, 10).unwrap(), []);
    let view = house.store.usage_event(org, event).unwrap().unwrap();
    assert_eq!(view.charge.unwrap().price, nanos(700));
    assert_eq!(view.unpriced, Some(unpriced));
    assert!(house.store.receipt(org, charge).unwrap().is_some());
}

#[test]
fn a_charge_goes_back_into_its_lot_even_after_a_restart() {
    let mut house = House::new();
    let org = house.org("acme", 100);
    let usage = house.usage(org, None, Some(130));
    let charge = usage.charge.clone().unwrap().0;
    house.write(Action::Usage(Box::new(usage))).unwrap();
    assert_eq!(house.wallet(org).shortfall(), nanos(30));
    assert_eq!(house.store.grants(org).unwrap(), []);
    let refused = house.hold(org, 1).unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Refused(Refusal::PlaceHold(PlaceHoldRefusal::ShortfallOpen { .. }))
    ));
    house.reopen();
    let refund = |amount| {
        Command::RefundCharge(RefundCharge {
            org,
            charge,
            refund: RefundId::new(house.id()),
            amount,
            grant: GrantId::new(house.id()),
            detail_digest: [0; 32],
        })
    };
    house.command(refund(Some(nanos(50)))).unwrap();
    house.command(refund(None)).unwrap();
    assert!(house.command(refund(Some(nanos(1)))).is_err());
    assert_eq!(house.wallet(org).shortfall(), Nanos::ZERO);
    assert_eq!(house.store.grants(org).unwrap()[0].remaining, nanos(100));
}

#[test]
fn released_and_expired_holds_give_everything_back() {
    let mut house = House::new();
    let org = house.org("acme", 1_000);
    let released = house.hold(org, 100).unwrap();
    let expired = house.hold(org, 200).unwrap();
    let release = Command::ReleaseHold(ReleaseHold {
        org,
        hold: released,
    });
    house.command(release.clone()).unwrap();
    assert!(house.command(release).is_err());
    house.clock.advance(3_600_000);
    house.reopen();
    house
        .command(Command::ExpireDue(ExpireDue { org }))
        .unwrap();
    assert_eq!(house.wallet(org).available_nanos(), 1_000);
    let view = house.store.hold(org, expired).unwrap().unwrap();
    assert_eq!(view.ended.unwrap().end, HoldEnd::Expired);
    // A capture after the end still counts: what was used is never dropped.
    let usage = house.usage(org, Some(expired), Some(70));
    house.write(Action::Usage(Box::new(usage))).unwrap();
    assert_eq!(house.wallet(org).available_nanos(), 930);
}

#[test]
fn the_directory_keeps_orgs_and_keys_apart() {
    let house = House::new();
    let (one, two) = (house.org("one", 5), house.org("two", 5));
    let key = KeyRecord {
        id: KeyId::new(house.id()),
        org: one,
        name: "server".into(),
        prefix: "fbx_abc".into(),
        hash: [7; 32],
        scopes: Box::new(["usage".into(), "wallet".into()]),
        created_at_ms: NOW,
        expires_at_ms: None,
        revoked_at_ms: None,
    };
    let create = |key: &KeyRecord| Action::Directory(DirectoryWrite::CreateKey(key.clone()));
    house.write(create(&key)).unwrap();
    assert!(matches!(
        house.write(create(&key)),
        Err(WriteError::Directory(DirectoryRefusal::KeyExists(_)))
    ));
    assert_eq!(
        house.store.key_by_hash(&[7; 32]).unwrap().as_ref(),
        Some(&key)
    );
    assert_eq!(house.store.key(two, key.id).unwrap(), None);
    assert_eq!(house.store.keys(two).unwrap(), []);
    let revoke = |org| Action::Directory(DirectoryWrite::RevokeKey { org, key: key.id });
    assert!(house.write(revoke(two)).is_err());
    house.write(revoke(one)).unwrap();
    let revoked = house.store.key(one, key.id).unwrap().unwrap();
    assert_eq!(revoked.revoked_at_ms, Some(NOW));
    let trail = house.store.audit(one, PAGE).unwrap().items;
    let verbs: Vec<_> = trail.iter().map(|item| &*item.verb).collect();
    assert_eq!(
        verbs,
        ["revoke_key", "create_key", "grant_credits", "create_org"]
    );
    assert_eq!(trail[0].actor, Actor::Admin("test".into()));
    let orgs = house.store.orgs(None, 10).unwrap();
    assert_eq!(
        orgs.iter().map(|org| org.id).collect::<Vec<_>>(),
        [one, two]
    );
    assert!(matches!(
        house.write(Action::CreateOrg {
            org: OrgRecord {
                id: OrgId::new(house.id()),
                ..orgs[0].clone()
            },
            wallet: OpenWallet {
                org: one,
                commodity: CREDITS,
                credit_limit: Nanos::ZERO
            },
        }),
        Err(WriteError::Directory(DirectoryRefusal::OrgExists(_)))
    ));
}

#[test]
fn who_called_is_forgotten_and_the_call_stays() {
    let mut house = House::new();
    let org = house.org("acme", 1_000_000);
    let other = house.org("other", 1_000_000);
    let mut events = Vec::new();
    for turn in 0..100 {
        let usage = house.usage(if turn % 3 == 0 { other } else { org }, None, Some(10));
        events.push((usage.org, usage.event_id));
        house.write(Action::Usage(Box::new(usage))).unwrap();
    }
    let known = |house: &House| -> Vec<bool> {
        let seen = events.iter().map(|(org, event)| {
            let usage = house.store.usage_event(*org, *event).unwrap().unwrap();
            !usage.personal.is_empty()
        });
        seen.collect()
    };
    let erase = |house: &House, event| {
        let write = DirectoryWrite::ErasePersonal { org, event };
        house.write(Action::Directory(write)).unwrap();
    };
    assert!(known(&house).iter().all(|known| *known));
    // Another org's call is none of one's own.
    erase(&house, Some(events[0].1));
    assert!(known(&house).iter().all(|known| *known));
    erase(&house, Some(events[40].1));
    house.reopen();
    let one_less = known(&house);
    assert!(
        one_less
            .iter()
            .enumerate()
            .all(|(at, known)| *known == (at != 40))
    );
    erase(&house, None);
    house.reopen();
    let theirs: Vec<bool> = events.iter().map(|(of, _)| *of == other).collect();
    assert_eq!(known(&house), theirs);
}
