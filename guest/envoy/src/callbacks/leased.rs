//! One call under its key's lease: takes its worst case from it, or asks the host for one.

use super::hold::{State, Under};
use super::http::Call;
use super::proxy;
use super::shared;
use crate::host::report::Report;
use crate::lease::Return;
use crate::lease::asks::Asked;
use crate::lease::wire::{self, Answer};
use rust_decimal::Decimal;
use std::rc::Rc;

/// How long a key for which the host has no leases is not asked about again, in milliseconds.
const DENIED_MS: i64 = 60_000;
/// The same where its wallet has too little.
const POOR_MS: i64 = 1_000;

/// What becomes of a call that looks for a lease.
pub(super) enum Found {
    /// It runs under one.
    Runs,
    /// The host is asked for one.
    Asked,
    /// It is held by itself.
    None,
}

/// A lease that was looked at, and the call's worst case by what it vouches for: in USD, and in
/// nano-credits.
struct LookedAt {
    id: Box<str>,
    worst: Option<(Decimal, i64)>,
}

impl Call {
    /// Takes the call's worst case from the key's lease, or asks the host for one. `may_ask`: the
    /// host was not asked yet.
    pub(super) fn lease(&mut self, key: &str, may_ask: bool) -> Found {
        let (Some(host), Some(exchange)) = (&self.settings.host, &mut self.exchange) else {
            return Found::None;
        };
        let cluster = &self.cluster;
        let name = || shared::name(key, &host.cluster, self.shelf.name());
        let shared = self.keeper.borrow_mut().name_of(key, name);
        let now_ms = proxy::now_ms();
        let mut looked_at: Option<LookedAt> = None;
        let took = shared::change(&shared, |leases| {
            let lease = leases.offered(now_ms)?;
            let is_known = looked_at.as_ref().is_some_and(|known| known.id == lease.id);
            if !is_known {
                // None is kept whose book is not here. What has no bound here may have one at the
                // host, or its reason.
                let worst = self.shelf.find(&lease.vouched.book).and_then(|release| {
                    exchange.sell_by(release);
                    exchange.vouch(&lease.vouched);
                    exchange.worst(cluster).ok()
                });
                let id = lease.id.clone();
                looked_at = Some(LookedAt { id, worst });
            }
            let LookedAt { id, worst } = looked_at.as_ref()?;
            // What a call does not find is noted, so that the next renewal asks for it.
            Some(leases.take(id, (*worst)?.1, now_ms))
        });
        if let Some(LookedAt { id: lease, worst }) = looked_at {
            let Some((usd, worst)) = worst else {
                return Found::None;
            };
            self.keeper.borrow_mut().meet(&shared, key);
            if took != Some(true) {
                return Found::None;
            }
            exchange.watch(worst);
            self.counters.leased.add();
            self.most_usd = Some(usd);
            self.standing.state = State::Runs(Under::Lease {
                shared,
                lease,
                worst,
            });
            return Found::Runs;
        }
        let Ok((_, worst)) = exchange.worst(cluster) else {
            return Found::None;
        };
        let timeout_ms = i64::try_from(host.timeout.as_millis()).unwrap_or(i64::MAX);
        let until_ms = now_ms.saturating_add(timeout_ms);
        let asked = may_ask.then(|| {
            let new = || Asked {
                idempotency_key: format!("{shared}:{}", proxy::now_nanos()),
                body: wire::grant(&host.edge, worst),
            };
            let mut keeper = self.keeper.borrow_mut();
            keeper.asks.next(&shared, now_ms, until_ms, new)
        });
        let Some(asked) = asked.flatten() else {
            return Found::None;
        };
        let headers = [
            ("authorization", key),
            ("idempotency-key", asked.idempotency_key.as_str()),
        ];
        match proxy::post(host, "/v1/leases", &headers, &asked.body) {
            Some(_) => {
                self.standing.state = State::AskedLease(now_ms);
                Found::Asked
            }
            None => Found::None,
        }
    }

    /// The host answered a request for a lease that was sent at this time.
    pub(super) fn heard_of_lease(&mut self, sent_at_ms: i64, status: Option<u16>, body: &[u8]) {
        let (Some(key), Some(host)) = (self.standing.key.clone(), &self.settings.host) else {
            return;
        };
        let shared = shared::name(&key, &host.cluster, self.shelf.name());
        let now_ms = proxy::now_ms();
        let answer = Answer::read(status, body);
        let waits_ms = match answer {
            // Nobody has answered, so it is asked again in the same words.
            Answer::Away => None,
            // The next call asks again, or is refused as this one.
            Answer::Granted(_) | Answer::Refused { .. } => Some(0),
            // Less is there than even this call needs, which the host says best.
            Answer::None if status == Some(402) => Some(POOR_MS),
            Answer::Failed => Some(POOR_MS),
            // There are no leases for the key.
            Answer::None => Some(DENIED_MS),
        };
        match waits_ms {
            None => {}
            Some(0) => self.keeper.borrow_mut().asks.answered(&shared),
            Some(ms) => self.deny(&shared, now_ms.saturating_add(ms)),
        }
        match answer {
            // Another book prices the key's calls: the host alone can say how.
            Answer::Granted(granted) if self.shelf.find(&granted.vouched.book).is_none() => {
                let back = Return {
                    lease: granted.id.clone(),
                    turn: granted.turn.clone(),
                    keep: 0,
                };
                let back = Report::of_return(&back, &key);
                self.reports.borrow_mut().push(back);
                self.deny(&shared, now_ms.saturating_add(DENIED_MS));
            }
            Answer::Granted(granted) => {
                shared::change(&shared, |leases| {
                    leases.granted(&granted, sent_at_ms, now_ms);
                    Some(())
                });
                self.keeper.borrow_mut().meet(&shared, &key);
                if matches!(self.lease(&key, false), Found::Runs) {
                    return proxy::go_on();
                }
            }
            Answer::None | Answer::Failed => {}
            Answer::Refused { status } => {
                self.counters.refused.add();
                return self.refuse_with(status, body);
            }
            Answer::Away => return self.away_and_on(),
        }
        self.hold(&key);
        if !self.standing.is_open() {
            proxy::go_on();
        }
    }

    fn deny(&self, shared: &Rc<str>, until_ms: i64) {
        self.keeper.borrow_mut().asks.denied(shared, until_ms);
    }
}
