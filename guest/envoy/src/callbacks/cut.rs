//! A stream that comes to more than is put aside for it: more is got for it, or it is given its last
//! event and, after a while in which that reaches its caller, closed on both sides.
//!
//! While more is asked for, what has come is held back: nothing beyond what is paid for leaves the
//! proxy. A filter cannot end an answer that its upstream has not ended; it can only have the proxy
//! close the stream, and what the proxy has not sent by then is lost. So a stream is closed a while
//! after its last event, on a tick of the worker; what the upstream says until then goes nowhere.

use super::hold::{State, Under};
use super::http::Call;
use super::proxy;
use super::root::ticks;
use super::shared;
use crate::boundary::Place;
use crate::ending;
use crate::exchange::Exchange;
use crate::host::more::{self, More};
use crate::lease::Extended;
use crate::settings::WhenAway;
use crate::telling;
use proxy_wasm::types::{Action, BufferType};
use std::cell::RefCell;
use std::rc::Rc;

const BODY: BufferType = BufferType::HttpResponseBody;

/// What becomes of a stream.
#[derive(Default)]
pub(super) enum Course {
    /// It flows.
    #[default]
    Flows,
    /// It is held back while more is asked for.
    Waits(Waiting),
    /// It was cut off, and is closed after so many ticks.
    Cut(u32),
}

/// A stream that waits.
pub(super) struct Waiting {
    /// How many of the bytes at hand its caller gets in any case: the rest of an event that it has
    /// begun to read.
    head: usize,
    /// How many ticks it waits for its lease at most.
    ticks: u32,
    asked: Asked,
}

/// Who is asked for more.
#[derive(Clone, Copy)]
enum Asked {
    /// The host, for the call's own hold; `all`: for all that there is.
    Host { all: bool },
    /// The call's lease, which grows on the worker's ticks.
    Lease,
}

/// What came of asking.
enum Got {
    More,
    Asked(Asked),
    Nothing,
}

/// The calls of a worker that look for something on its ticks.
pub type Late = Rc<RefCell<Vec<(u32, Rc<RefCell<Call>>)>>>;

impl Call {
    /// The next piece of a stream that may be cut off is at hand, `size` bytes in all. What belongs
    /// to an event that its caller has begun to read is passed on whatever it costs.
    pub(super) fn watched_piece(&mut self, chunk: &[u8], size: usize) -> Action {
        let head = self.boundary.rest_of_event(chunk);
        let (first, rest) = chunk.split_at_checked(head).unwrap_or((chunk, &[]));
        let Some(exchange) = &mut self.exchange else {
            return Action::Continue;
        };
        exchange.chunk(first);
        exchange.pass_on();
        exchange.chunk(rest);
        let Some(short) = exchange.short() else {
            exchange.pass_on();
            self.boundary.feed(chunk);
            return Action::Continue;
        };
        self.read_bytes = size;
        match self.is_short(short, head) {
            true => Action::Pause,
            false => Action::Continue,
        }
    }

    /// What is to be done with a piece of a stream that waits or was cut off; `None` where it flows.
    pub(super) fn late_piece(&mut self, size: usize, is_last: bool) -> Option<Action> {
        match self.course {
            Course::Flows => None,
            Course::Cut(_) => {
                proxy::replace(BODY, size, b"");
                Some(Action::Continue)
            }
            Course::Waits(_) => {
                let new = size.saturating_sub(self.read_bytes);
                let chunk = proxy::body(BODY, self.read_bytes, new);
                if let Some(exchange) = &mut self.exchange {
                    exchange.chunk(&chunk);
                }
                self.read_bytes = size;
                if !is_last {
                    return Some(Action::Pause);
                }
                // What is over is not cut off.
                self.flow_on();
                self.answer_is_whole(size);
                Some(Action::Continue)
            }
        }
    }

    /// The stream is `short` of so much: whether it waits now. Else what is at hand is as its caller
    /// gets it.
    fn is_short(&mut self, mut short: i64, head: usize) -> bool {
        loop {
            match self.more(short) {
                Got::Asked(asked) => {
                    self.wait(head, asked);
                    return true;
                }
                Got::Nothing => {
                    self.cut(head);
                    return false;
                }
                Got::More => match self.exchange.as_mut().and_then(Exchange::short) {
                    Some(still) => short = still,
                    None => {
                        self.flow_on();
                        return false;
                    }
                },
            }
        }
    }

    /// Gets more for the stream, or asks for it: half as much again as it has, so that it does not
    /// ask often, and not less than it is short of.
    fn more(&mut self, short: i64) -> Got {
        let Some(exchange) = &mut self.exchange else {
            return Got::Nothing;
        };
        let allowed = exchange.allowed().unwrap_or_default();
        let want = short.max(allowed / 2);
        match &mut self.standing.state {
            State::Runs(Under::Hold { .. }) => self.ask_host(want, false),
            State::Runs(Under::Lease {
                shared,
                lease,
                worst,
            }) => {
                let now_ms = proxy::now_ms();
                let extended = shared::change(shared, |leases| {
                    Some(leases.extend(lease, short, want, now_ms))
                });
                match extended {
                    Some(Extended::By(more)) => {
                        *worst = worst.saturating_add(more);
                        exchange.allow(allowed.saturating_add(more));
                        Got::More
                    }
                    Some(Extended::Asked) => {
                        if let Some(key) = &self.standing.key {
                            self.keeper.borrow_mut().meet(shared, key);
                        }
                        Got::Asked(Asked::Lease)
                    }
                    Some(Extended::No) | None => Got::Nothing,
                }
            }
            _ => Got::Nothing,
        }
    }

    /// Asks the host to put more aside for the call's own hold.
    fn ask_host(&mut self, extra: i64, all: bool) -> Got {
        let (Some(host), Some(key)) = (&self.settings.host, &self.standing.key) else {
            return Got::Nothing;
        };
        let State::Runs(Under::Hold { hold, .. }) = &self.standing.state else {
            return Got::Nothing;
        };
        let path = format!("/v1/holds/{hold}/renew");
        let once = format!("{hold}:more:{}", proxy::now_nanos());
        let headers = [("authorization", key.as_str()), ("idempotency-key", &once)];
        match proxy::post(host, &path, &headers, &more::body(extra)) {
            Some(_) => Got::Asked(Asked::Host { all }),
            None => self.nobody_answers(),
        }
    }

    /// The host does not say whether there is more: what then is declared.
    fn nobody_answers(&mut self) -> Got {
        self.counters.away.add();
        let when_away = self.settings.host.as_ref().map(|host| host.when_away);
        match (&mut self.exchange, when_away) {
            (Some(exchange), Some(WhenAway::Open)) => {
                exchange.allow(i64::MAX);
                Got::More
            }
            _ => Got::Nothing,
        }
    }

    /// The host has answered a stream that asked for more; false where it did not ask.
    pub(super) fn heard_of_more(&mut self, status: Option<u16>, body: &[u8]) -> bool {
        let Course::Waits(Waiting {
            head,
            asked: Asked::Host { all },
            ..
        }) = self.course
        else {
            return false;
        };
        let short = self.exchange.as_mut().and_then(Exchange::short);
        let got = match (More::read(status, body), short) {
            (_, None) => Got::More,
            (More::Has(allowed), _) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.allow(allowed);
                }
                Got::More
            }
            (More::Less(available), Some(short)) if !all && available >= short => {
                self.ask_host(available, true)
            }
            (More::Less(_) | More::Nothing, _) => Got::Nothing,
            (More::Away, _) => self.nobody_answers(),
        };
        self.go_on(head, got);
        true
    }

    /// What came of asking for a stream that waited.
    fn go_on(&mut self, head: usize, got: Got) {
        let waits = match got {
            Got::Asked(asked) => {
                self.wait(head, asked);
                true
            }
            Got::Nothing => {
                self.cut(head);
                false
            }
            Got::More => match self.exchange.as_mut().and_then(Exchange::short) {
                Some(short) => self.is_short(short, head),
                None => {
                    self.flow_on();
                    false
                }
            },
        };
        if !waits {
            proxy::go_on_with_answer();
        }
    }

    fn wait(&mut self, head: usize, asked: Asked) {
        if matches!(asked, Asked::Lease) {
            self.be_late();
        }
        let ticks = match &self.course {
            Course::Waits(waiting) => waiting.ticks,
            _ => {
                let host = self.settings.host.as_ref();
                host.map_or(1, |host| ticks(host.timeout).max(1))
            }
        };
        self.course = Course::Waits(Waiting { head, ticks, asked });
    }

    /// All that is at hand goes to the caller.
    pub(super) fn flow_on(&mut self) {
        self.boundary.feed(&proxy::body(BODY, 0, self.read_bytes));
        if let Some(exchange) = &mut self.exchange {
            exchange.pass_on();
        }
        self.course = Course::Flows;
        self.read_bytes = 0;
    }

    /// Cuts the stream off: of the bytes at hand its caller gets the first `head`, then the last
    /// event.
    fn cut(&mut self, head: usize) {
        let mut last = proxy::body(BODY, 0, head);
        self.boundary.feed(&last);
        let api = self.exchange.as_ref().and_then(Exchange::api);
        let over = self.exchange.as_mut().and_then(Exchange::cut_off);
        let told = over.map(|over| self.is_over(over, false));
        last.extend(ending::cut_off(api, self.boundary.place()).into_bytes());
        if let Some(comment) = told.and_then(|told| telling::comment(&told, Place::Event)) {
            last.extend(comment.into_bytes());
        }
        proxy::replace(BODY, self.read_bytes, &last);
        self.counters.cut.add();
        let host = self.settings.host.as_ref();
        let flush = host.map_or(1, |host| ticks(host.flush).max(1));
        self.course = Course::Cut(flush);
        self.be_late();
    }

    /// From now on it looks for something on the worker's ticks.
    fn be_late(&mut self) {
        if !self.is_late
            && let Some(me) = self.me.upgrade()
        {
            self.is_late = true;
            self.late.borrow_mut().push((self.context, me));
        }
    }

    /// A tick of the worker; whether it looks again on the next.
    pub(super) fn tick(&mut self) -> bool {
        self.is_late = match &mut self.course {
            Course::Flows => false,
            Course::Cut(ticks) => {
                *ticks = ticks.saturating_sub(1);
                if *ticks == 0 {
                    proxy::close();
                }
                *ticks > 0
            }
            Course::Waits(waiting) => {
                waiting.ticks = waiting.ticks.saturating_sub(1);
                let (head, is_over) = (waiting.head, waiting.ticks == 0);
                let short = self.exchange.as_mut().and_then(Exchange::short);
                let got = match short {
                    None => Got::More,
                    // A host that has no more says so, and a lease then waits no longer: this one was
                    // not answered.
                    Some(_) if is_over => {
                        self.want_no_more();
                        self.nobody_answers()
                    }
                    Some(short) => self.more(short),
                };
                // Whatever comes of it, it is in the list already.
                self.is_late = true;
                self.go_on(head, got);
                !matches!(self.course, Course::Flows)
            }
        };
        self.is_late
    }

    /// Its lease need not grow for it any more.
    fn want_no_more(&self) {
        if let State::Runs(Under::Lease { shared, lease, .. }) = &self.standing.state {
            shared::change(shared, |leases| {
                leases.needs_no_more(lease);
                Some(())
            });
        }
    }

    /// The call is over on all sides.
    pub(super) fn is_gone(&mut self) {
        if matches!(self.course, Course::Waits(_)) {
            self.want_no_more();
        }
        self.late.borrow_mut().retain(|(id, _)| *id != self.context);
    }
}
