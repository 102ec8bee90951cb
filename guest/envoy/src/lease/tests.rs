//! A lease between its calls and its host, whatever comes before what.

use super::wire::Answer;
use super::*;
use proptest::prelude::*;

const NOW_MS: i64 = 1_795_219_200_000;

fn granted(granted: i64, free: i64, turn: u32) -> Granted {
    Granted {
        id: "hold_1".into(),
        turn: format!("txn_{turn}").into(),
        granted,
        free,
        recalled: false,
        superseded: false,
        exhausted: false,
        expires_in_ms: 30_000,
        renew_in_ms: 1_000,
        now_ms: NOW_MS + 500,
        vouched: Vouched {
            org: "org_1".into(),
            plan: Some("pro".into()),
            book: "b".into(),
            month_to_date_usd: Decimal::new(12, 1),
            peg: Peg::DEFAULT,
            ahead_ms: 0,
        },
    }
}

pub(super) fn leased(amount: i64) -> Leases {
    let mut leases = Leases::default();
    leases.granted(&granted(amount, amount, 1), NOW_MS, NOW_MS);
    leases
}

fn sent(renewal: &Renewal, at_ms: i64) -> Sent {
    Sent {
        shared: "farebox:h:b:k".into(),
        lease: renewal.lease.clone(),
        turn: renewal.turn.clone(),
        body: wire::renew(renewal),
        at_ms,
    }
}

/// The host answers at once.
fn hears(leases: &mut Leases, renewal: &Renewal, granted: &Granted, now_ms: i64) {
    leases.renewed(&sent(renewal, now_ms), granted, now_ms);
}

#[test]
fn a_call_takes_its_worst_case_and_leaves_its_price() {
    let mut leases = leased(100);
    assert!(leases.take("hold_1", 60, NOW_MS));
    assert!(!leases.take("hold_1", 41, NOW_MS), "no more than there is");
    leases.over("hold_1", 60, 10, false);
    assert!(leases.take("hold_1", 90, NOW_MS));
    assert!(!leases.take("hold_1", 1, NOW_MS));
    // The host's figure stands, be it more or less.
    leases.charged("hold_1", 10, Some(8));
    assert!(leases.take("hold_1", 2, NOW_MS));
    assert!(!leases.take("hold_1", 1, NOW_MS));
}

#[test]
fn nothing_runs_under_a_lease_that_expired_or_was_superseded() {
    let mut leases = leased(100);
    assert!(!leases.take("hold_1", 1, NOW_MS + 30_000));
    assert!(!leases.take("hold_2", 1, NOW_MS));
    assert_eq!(
        leases.offered(NOW_MS).map(|own| own.vouched.ahead_ms),
        Some(500)
    );
    let renewal = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    let superseded = Granted {
        superseded: true,
        ..granted(100, 0, 2)
    };
    hears(&mut leases, &renewal, &superseded, NOW_MS + 1_000);
    assert_eq!(leases.offered(NOW_MS + 1_000), None);
    assert!(!leases.take("hold_1", 1, NOW_MS));
}

#[test]
fn of_two_that_workers_were_granted_at_once_one_goes_back() {
    let mut leases = leased(100);
    let second = Granted {
        id: "hold_2".into(),
        ..granted(50, 50, 2)
    };
    leases.granted(&second, NOW_MS, NOW_MS);
    let offered = leases.offered(NOW_MS).map(|own| own.id.clone());
    assert_eq!(offered.as_deref(), Some("hold_1"));
    let back = leases.unused(NOW_MS + PACE_MS).map(|back| back.lease);
    assert_eq!(back.as_deref(), Some("hold_2"));
    assert_eq!(leases.unused(NOW_MS + PACE_MS), None);
}

#[test]
fn a_clock_that_was_set_back_spends_nothing() {
    let mut leases = leased(100);
    assert!(leases.take("hold_1", 1, NOW_MS - BACK_MAX_MS));
    assert!(!leases.take("hold_1", 1, NOW_MS - BACK_MAX_MS - 1));
    assert_eq!(leases.offered(NOW_MS - 3_600_000), None);
    // The host says what time it is with each answer.
    let renewal = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    hears(&mut leases, &renewal, &granted(100, 0, 2), NOW_MS - 500);
    let ahead_ms = leases.offered(NOW_MS).map(|own| own.vouched.ahead_ms);
    assert_eq!(ahead_ms, Some(1_000));
}

/// Its VM may have ended with the call.
#[test]
fn a_lease_whose_call_never_ends_is_left_to_lapse() {
    let mut leases = leased(100);
    leases.take("hold_1", 60, NOW_MS);
    leases.close(NOW_MS);
    let mut now_ms = NOW_MS;
    let mut turn = 1;
    while let Some(renewal) = leases.renewal(now_ms + 1_000, 2_000) {
        now_ms += 1_000;
        turn += 1;
        assert_eq!(renewal.keep, 60, "the call may still end");
        hears(&mut leases, &renewal, &granted(60, 0, turn), now_ms);
        assert!(now_ms < NOW_MS + CLOSED_MAX_MS, "for ever");
    }
    assert!(now_ms > NOW_MS + CLOSED_MAX_MS - 2_000);
    assert_eq!(leases.unused(now_ms), None);
    now_ms += 30_000 + FORGOTTEN_MS;
    assert!(leases.forget_expired(now_ms));
    assert_eq!(leases.look_at_ms(now_ms), None);
}

#[test]
fn a_renewal_keeps_what_is_used_and_says_what_is_free() {
    let mut leases = leased(100);
    assert_eq!(leases.renewal(NOW_MS + 999, 2_000), None);
    leases.take("hold_1", 60, NOW_MS);
    let renewal = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    assert_eq!((renewal.keep, renewal.free, renewal.recent), (100, 40, 60));
    assert_eq!(leases.renewal(NOW_MS + 1_000, 2_000), None, "one asks");
    // The host wants less to be free: it goes back when it is asked next.
    hears(&mut leases, &renewal, &granted(100, 10, 2), NOW_MS + 1_000);
    let renewal = leases.renewal(NOW_MS + 2_000, 2_000).unwrap();
    assert_eq!(
        (renewal.keep, renewal.free, &*renewal.turn),
        (70, 10, "txn_2")
    );
    assert!(!leases.take("hold_1", 11, NOW_MS + 2_000), "it may be gone");
    // An answer to what was asked before the last answer is none.
    let stale = Renewal {
        turn: "txn_1".into(),
        ..renewal.clone()
    };
    hears(&mut leases, &stale, &granted(1_000, 10, 9), NOW_MS + 2_000);
    assert!(!leases.take("hold_1", 11, NOW_MS + 2_000));
}

#[test]
fn a_renewal_that_was_passed_by_another_says_nothing_any_more() {
    let mut leases = leased(100);
    let first = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    let first = sent(&first, NOW_MS + 1_000);
    assert!(leases.waits(&first, NOW_MS + 1_000));
    let second = leases.renewal(NOW_MS + 6_000, 2_000).unwrap();
    hears(&mut leases, &second, &granted(100, 10, 2), NOW_MS + 6_000);
    assert!(!leases.waits(&first, NOW_MS + 6_000));
    leases.lost(&first);
    assert!(leases.take("hold_1", 10, NOW_MS + 6_000));
    let third = leases.renewal(NOW_MS + 7_000, 2_000).unwrap();
    leases.lost(&sent(&third, NOW_MS + 7_000));
    assert!(leases.is_empty());
}

#[test]
fn what_lies_idle_goes_back_at_once_when_it_is_recalled() {
    let mut leases = leased(100);
    leases.take("hold_1", 30, NOW_MS);
    let renewal = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    let recalled = Granted {
        recalled: true,
        ..granted(100, 0, 2)
    };
    hears(&mut leases, &renewal, &recalled, NOW_MS + 1_000);
    let renewal = leases.renewal(NOW_MS + 1_000, 2_000).unwrap();
    assert_eq!((renewal.keep, renewal.free), (30, 0));
    let still = Granted {
        recalled: true,
        ..granted(30, 0, 3)
    };
    hears(&mut leases, &renewal, &still, NOW_MS + 1_001);
    assert_eq!(
        leases.renewal(NOW_MS + 1_002, 2_000),
        None,
        "there is no more"
    );
}

#[test]
fn a_lease_goes_back_when_nobody_calls_and_all_is_reported() {
    let mut leases = leased(100);
    leases.take("hold_1", 30, NOW_MS);
    leases.over("hold_1", 30, 20, false);
    let mut now_ms = NOW_MS;
    for turn in 2..7 {
        assert_eq!(leases.unused(now_ms), None);
        now_ms += 1_000;
        let renewal = leases.renewal(now_ms, 2_000).unwrap();
        hears(
            &mut leases,
            &renewal,
            &granted(renewal.keep, 0, turn),
            now_ms,
        );
        now_ms += 100;
    }
    // Of a call that has no price the worst case stays.
    leases.charged("hold_1", 20, None);
    let back = Return {
        lease: "hold_1".into(),
        turn: "txn_6".into(),
        keep: 20,
    };
    assert_eq!(leases.unused(now_ms), Some(back));
    assert_eq!(leases.look_at_ms(now_ms), None);
}

#[test]
fn leases_come_back_from_their_bytes() {
    let mut leases = leased(100);
    leases.take("hold_1", 60, NOW_MS);
    let second = Granted {
        id: "hold_2".into(),
        ..granted(7, 7, 2)
    };
    leases.granted(&second, NOW_MS, NOW_MS);
    let bytes = leases.to_bytes();
    assert_eq!(Leases::from_bytes(&bytes), leases);
    for end in 0..bytes.len() {
        // Cut off it is one lease less, or none: never another.
        let cut = Leases::from_bytes(&bytes[..end]);
        assert!(cut.all.iter().all(|lease| leases.all.contains(lease)));
    }
}

#[test]
fn the_hosts_answer_is_read_or_is_none() {
    let body = br#"{"id":"hold_1","turn":"txn_1","granted_credits":"0.0000001",
        "free_credits":"0.00000001","recalled":false,"superseded":false,"expires_in_ms":30000,
        "renew_in_ms":1000,"now_ms":1795219200500,"replayed":false,"vouched":{"org_id":"org_1",
        "plan":"pro","deployment":"hosted","release_id":"rel_1","component":"c","book":"b",
        "month_to_date_usd":"1.2","usd_per_credit":"0.1"}}"#;
    let expect = Granted {
        free: 10,
        ..granted(100, 100, 1)
    };
    assert_eq!(
        Answer::read(Some(201), body),
        Answer::Granted(Box::new(expect))
    );
    for (status, expect) in [
        (Some(201), Answer::Away),
        (Some(401), Answer::Refused { status: 401 }),
        (Some(402), Answer::None),
        (Some(409), Answer::None),
        (Some(429), Answer::Failed),
        (Some(503), Answer::Away),
        (None, Answer::Away),
    ] {
        assert_eq!(Answer::read(status, b"{}"), expect, "{status:?}");
    }
    // Who says that its disk is full is there: nothing runs that it did not let run.
    let full = br#"{"type":"/problems/storage-full"}"#;
    assert_eq!(Answer::read(Some(507), full), Answer::Failed);
}

/// What happens to a lease; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Take(i64),
    /// A call ends at a part of its worst case, in tenths.
    Over(usize, i64),
    /// The host charges a report, some tenths more or less than it was told.
    Report(usize, i64),
    Ask,
    /// The host hears of the renewal and gives so much more, if it was never told it before.
    Decide(i64, i64),
    Answer,
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..40_i64).prop_map(Step::Take),
        4 => (0..4_usize, 0..=10_i64).prop_map(|(call, part)| Step::Over(call, part)),
        3 => (0..4_usize, 8..=12_i64).prop_map(|(call, part)| Step::Report(call, part)),
        3 => Just(Step::Ask),
        3 => (0..50_i64, 0..100_i64).prop_map(|(more, free)| Step::Decide(more, free)),
        3 => Just(Step::Answer),
        2 => (1..1_500_i64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever is asked, answered and reported in whichever order: what calls have cost and can
    /// still cost never passes what the host has put aside, but for what it charged beyond what it
    /// was told.
    #[test]
    fn calls_never_pass_what_the_host_has_put_aside(steps in prop::collection::vec(step(), 1..120)) {
        let mut leases = leased(100);
        let mut host = 100;
        let (mut running, mut unreported): (Vec<i64>, Vec<i64>) = Default::default();
        let (mut charged, mut beyond) = (0, 0);
        let mut asked: Option<(Renewal, bool)> = None;
        let mut answer: Option<Granted> = None;
        let (mut now_ms, mut turn) = (NOW_MS, 1);
        for step in steps {
            match step {
                Step::Take(worst) => {
                    if leases.take("hold_1", worst, now_ms) {
                        running.push(worst);
                    }
                }
                Step::Over(call, part) if call < running.len() => {
                    let worst = running.remove(call);
                    let cost = worst * part / 10;
                    leases.over("hold_1", worst, cost, false);
                    unreported.push(cost);
                }
                Step::Report(call, part) if call < unreported.len() => {
                    let cost = unreported.remove(call);
                    let by_host = cost * part / 10;
                    charged += by_host;
                    beyond += (by_host - cost).max(0);
                    leases.charged("hold_1", cost, Some(by_host));
                }
                Step::Ask => {
                    if asked.is_none() && let Some(renewal) = leases.renewal(now_ms, 2_000) {
                        asked = Some((renewal, false));
                    }
                }
                Step::Decide(more, free) => {
                    if let Some((renewal, heard)) = &mut asked && !*heard {
                        *heard = true;
                        turn += 1;
                        host = renewal.keep.max(charged) + more;
                        answer = Some(granted(host, free, turn));
                    }
                }
                Step::Answer => {
                    if let (Some(said), Some((renewal, _))) = (answer.take(), &asked) {
                        hears(&mut leases, renewal, &said, now_ms);
                        asked = None;
                    }
                }
                Step::Pass(ms) => now_ms += ms,
                Step::Over(..) | Step::Report(..) => {}
            }
            let possible: i64 =
                running.iter().sum::<i64>() + unreported.iter().sum::<i64>() + charged;
            prop_assert!(possible <= host + beyond, "{possible} of {host} and {beyond}");
            prop_assert_eq!(leases.all.first().map(|own| own.used), Some(possible));
        }
    }
}

#[test]
fn a_call_that_runs_gets_more_while_there_is_any() {
    let mut leases = leased(100);
    assert!(leases.take("hold_1", 60, NOW_MS));
    assert_eq!(leases.extend("hold_1", 10, 30, NOW_MS), Extended::By(30));
    // What is left, where it is enough.
    assert_eq!(leases.extend("hold_1", 5, 30, NOW_MS), Extended::By(10));
    assert_eq!(leases.extend("hold_1", 5, 30, NOW_MS), Extended::Asked);
    let later_ms = NOW_MS + 60;
    assert_eq!(leases.look_at_ms(later_ms), Some(later_ms + 1));
    let renewal = leases.renewal(later_ms, 2_000).unwrap();
    assert_eq!((renewal.keep, renewal.free, renewal.needed), (100, 0, 5));
    // It goes to the call that waits, even where others want it back.
    let recalled = Granted {
        recalled: true,
        ..granted(105, 0, 2)
    };
    hears(&mut leases, &renewal, &recalled, later_ms);
    let renewal = leases.renewal(later_ms + 1, 2_000).unwrap();
    assert_eq!((renewal.keep, renewal.free), (105, 5));
    hears(&mut leases, &renewal, &granted(105, 0, 3), later_ms + 1);
    assert_eq!(leases.extend("hold_1", 5, 30, later_ms), Extended::By(5));
    assert_eq!(leases.extend("hold_1", 5, 30, later_ms), Extended::Asked);
    let renewal = leases.renewal(later_ms + 100, 2_000).unwrap();
    let exhausted = Granted {
        exhausted: true,
        ..granted(107, 0, 4)
    };
    hears(&mut leases, &renewal, &exhausted, later_ms + 100);
    assert_eq!(leases.extend("hold_1", 5, 30, later_ms), Extended::No);
    // Asked again later, there may be some.
    assert_eq!(leases.extend("hold_1", 5, 30, later_ms), Extended::Asked);
    leases.needs_no_more("hold_1");
    assert_eq!(leases, Leases::from_bytes(&leases.to_bytes()));
    let renewal = leases.renewal(later_ms + 200, 2_000);
    assert_eq!(renewal.map(|renewal| renewal.needed), None);
    assert_eq!(
        leases.extend("hold_1", 1, 1, NOW_MS + 60_000),
        Extended::No,
        "it has expired"
    );
}
