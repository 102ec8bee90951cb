//! The leases of a worker's keys: renewed on the worker's ticks, and returned when nobody calls.
//!
//! Keys are in the memory of the workers that met them and nowhere else.

use super::proxy;
use super::shared;
use crate::handed::Handed;
use crate::host::report::Report;
use crate::lease::Sent;
use crate::lease::asks::Asks;
use crate::lease::wire::{self, Answer};
use crate::queue::Queue;
use crate::settings::Host;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many ticks pass before a host that did not answer is asked again.
const TICKS_AFTER_SILENCE: u32 = 20;

/// A key that has a lease.
struct Watched {
    key: String,
    /// When its leases are looked at next, in milliseconds since the Unix epoch. Of a thousand keys
    /// most have nothing due and no call.
    look_at_ms: i64,
}

/// What a worker looks after.
#[derive(Default)]
pub struct Keeper {
    /// Keys by where their leases are shared.
    keys: BTreeMap<Rc<str>, Watched>,
    /// Where the leases of those of them are shared that calls came with: a hash of the key, which
    /// takes longer to make than to find.
    names: BTreeMap<String, Rc<str>>,
    on_their_way: BTreeMap<u32, Sent>,
    /// Those that were not answered, and in how many ticks they are sent again.
    again: Vec<(u32, Sent)>,
    /// Keys for which the host is asked for a first lease.
    pub asks: Asks,
}

impl Keeper {
    /// Where the leases of a key are shared that a call came with, of which `name` is asked where it
    /// is not known.
    pub fn name_of(&mut self, key: &str, name: impl FnOnce() -> Rc<str>) -> Rc<str> {
        if let Some(name) = self.names.get(key) {
            return Rc::clone(name);
        }
        let name = name();
        // Keys that have no lease, or are none, fill nothing.
        if self.keys.contains_key(&name) {
            self.names.insert(key.to_owned(), Rc::clone(&name));
        }
        name
    }

    /// A call came with this key, which has a lease.
    pub fn meet(&mut self, shared: &Rc<str>, key: &str) {
        match self.keys.get_mut(shared) {
            Some(watched) => watched.look_at_ms = 0,
            None => {
                let watched = Watched {
                    key: key.to_owned(),
                    look_at_ms: 0,
                };
                self.keys.insert(Rc::clone(shared), watched);
            }
        }
    }

    /// The keys that may have leases, and the renewals whose answers nobody has heard, for whoever
    /// takes this place.
    pub fn drain(&mut self) -> Vec<Handed> {
        let keys = std::mem::take(&mut self.keys);
        self.names.clear();
        let again = self.again.drain(..).map(|(_, sent)| sent);
        let unheard = std::mem::take(&mut self.on_their_way).into_values();
        let renewals = unheard.chain(again).filter_map(|sent| {
            let key = keys.get(&sent.shared)?.key.clone();
            Some(Handed::Renewal { key, sent })
        });
        let mut handed: Vec<_> = renewals.collect();
        let keys = keys.into_iter();
        handed.extend(keys.map(|(shared, Watched { key, .. })| Handed::Leases { shared, key }));
        handed
    }

    /// Looks after a key whose filter is gone. `is_own`: this filter shares the leases; if not,
    /// none of its calls can run under them, and they go back.
    pub fn take_over(&mut self, shared: &Rc<str>, key: &str, is_own: bool) {
        if !is_own {
            let now_ms = proxy::now_ms();
            shared::change(shared, |leases| {
                leases.close(now_ms);
                Some(())
            });
        }
        self.meet(shared, key);
    }

    /// Asks once more what another worker asked the host and did not hear: it may have taken
    /// effect, and then the lease is known to the host by another turn than here.
    pub fn ask_again(&mut self, sent: Sent, key: &str) {
        let now_ms = proxy::now_ms();
        let waits = shared::change(&sent.shared, |leases| {
            leases.waits(&sent, now_ms).then_some(())
        });
        if waits.is_some() {
            self.meet(&sent.shared, key);
            self.again.push((1, sent));
        }
    }

    /// How many keys have leases.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Renews what is due, and returns what nobody uses.
    pub fn tick(&mut self, host: &Host, reports: &mut Queue) {
        let now_ms = proxy::now_ms();
        let timeout_ms = i64::try_from(host.timeout.as_millis()).unwrap_or(i64::MAX);
        for (ticks, _) in &mut self.again {
            *ticks = ticks.saturating_sub(1);
        }
        let due: Vec<_> = self
            .again
            .extract_if(.., |(ticks, _)| *ticks == 0)
            .collect();
        for (_, asked) in due {
            self.send(host, asked);
        }
        let mut gone = Vec::new();
        let mut due = Vec::new();
        for (name, watched) in &mut self.keys {
            if watched.look_at_ms > now_ms {
                continue;
            }
            let leases = shared::read(name);
            let Some(look_at_ms) = leases.look_at_ms(now_ms) else {
                gone.push(Rc::clone(name));
                continue;
            };
            watched.look_at_ms = look_at_ms;
            let key = &watched.key;
            // Most often nothing is due: then nothing is written.
            if leases.clone().forget_expired(now_ms) {
                shared::change(name, |leases| leases.forget_expired(now_ms).then_some(()));
            }
            if leases.clone().unused(now_ms).is_some()
                && let Some(back) = shared::change(name, |leases| leases.unused(now_ms))
            {
                reports.push(Report::of_return(&back, key));
            }
            if leases.clone().renewal(now_ms, timeout_ms).is_some()
                && let Some(renewal) =
                    shared::change(name, |leases| leases.renewal(now_ms, timeout_ms))
            {
                due.push(Sent {
                    shared: Rc::clone(name),
                    body: wire::renew(&renewal),
                    lease: renewal.lease,
                    turn: renewal.turn,
                    at_ms: now_ms,
                });
            }
        }
        for name in gone {
            if let Some(watched) = self.keys.remove(&name) {
                self.names.remove(&watched.key);
            }
        }
        for asked in due {
            self.send(host, asked);
        }
    }

    fn send(&mut self, host: &Host, asked: Sent) {
        let Some(Watched { key, .. }) = self.keys.get(&asked.shared) else {
            return;
        };
        let Sent { lease, turn, .. } = &asked;
        let once = format!("{lease}:{turn}");
        let headers = [("authorization", key.as_str()), ("idempotency-key", &once)];
        let path = format!("/v1/leases/{lease}/renew");
        match proxy::post(host, &path, &headers, &asked.body) {
            Some(token) => {
                self.on_their_way.insert(token, asked);
            }
            None => self.again.push((TICKS_AFTER_SILENCE, asked)),
        }
    }

    /// The answer to a renewal; false when the token is of none.
    pub fn answered(&mut self, token: u32, body_bytes: usize) -> bool {
        let Some(asked) = self.on_their_way.remove(&token) else {
            return false;
        };
        if let Some(watched) = self.keys.get_mut(&asked.shared) {
            watched.look_at_ms = 0;
        }
        let (status, body) = proxy::answer(body_bytes);
        let now_ms = proxy::now_ms();
        match Answer::read(status, &body) {
            Answer::Granted(granted) => {
                shared::change(&asked.shared, |leases| {
                    leases.renewed(&asked, &granted, now_ms);
                    Some(())
                });
            }
            Answer::Away | Answer::Failed => {
                let waits = shared::change(&asked.shared, |leases| {
                    leases.waits(&asked, now_ms).then_some(())
                });
                if waits.is_some() {
                    self.again.push((TICKS_AFTER_SILENCE, asked));
                }
            }
            // It is over there, or its key is: no further call runs under it.
            Answer::None | Answer::Refused { .. } => {
                shared::change(&asked.shared, |leases| {
                    leases.lost(&asked);
                    Some(())
                });
            }
        }
        true
    }
}
