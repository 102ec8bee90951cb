//! One call's standing with the host: asked before it goes upstream, told when it is over.

use super::http::Call;
use super::leased::Found;
use super::proxy;
use super::shared;
use crate::exchange::{Exchange, Over, Told};
use crate::host::record::Record;
use crate::host::report::{Leased, Report};
use crate::host::usage::{self, Said};
use crate::host::{self, Held, problem};
use crate::identity;
use crate::release::{Absent, Prices, Unpriced};
use crate::settings::WhenAway;
use farebox_sdk::pricing::event::KeySource;
use proxy_wasm::types::{LogLevel, MapType};
use std::rc::Rc;

/// Where callers put their keys. The host takes all of them as a bearer's.
pub(super) const KEYS: [&str; 3] = ["authorization", "x-api-key", "x-goog-api-key"];

/// Where callers put their key whose own provider's key stands in one of [`KEYS`].
pub(super) const KEY: &str = "farebox-key";

/// Where the proxy's access log finds what is reported of a call:
/// `%FILTER_STATE(wasm.farebox_report:PLAIN)%`.
const KEPT_REPORT: &str = "farebox_report";

/// How much of the proxy's own id of a call goes into the key of its report.
const ID_CHARS_MAX: usize = 32;

/// A key as the host takes it, from wherever it stood.
fn bearer(value: String) -> String {
    match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => value,
        _ => format!("Bearer {value}"),
    }
}

/// What the host was asked and said.
#[derive(Default)]
pub struct Standing {
    /// The caller's key, as the host takes it.
    pub(super) key: Option<String>,
    /// What goes of the proxy's own id of the call into the key of its report.
    id: String,
    pub(super) state: State,
    over: Option<(Over, bool)>,
}

#[derive(Default)]
pub(super) enum State {
    /// Nobody is asked.
    #[default]
    Free,
    /// The host was asked to hold the call and has not answered.
    Asked,
    /// It was asked for a lease at this time, in milliseconds since the Unix epoch.
    AskedLease(i64),
    /// The call was refused: the caller has its answer.
    Refused,
    /// The call runs.
    Runs(Under),
}

/// What a call runs under.
pub(super) enum Under {
    /// Nothing: the host is away, and calls run all the same.
    Nothing,
    /// A hold of its own, and whose it is.
    Hold { hold: Box<str>, org: Box<str> },
    /// A lease, of which it took its worst case in nano-credits.
    Lease {
        shared: Rc<str>,
        lease: Box<str>,
        worst: i64,
    },
}

impl Standing {
    /// The proxy has this id for the call.
    pub fn is_known_as(&mut self, id: &str) {
        let id = id.chars().filter(char::is_ascii_alphanumeric);
        self.id = id.take(ID_CHARS_MAX).collect();
    }

    /// Whether the request must not go on.
    pub const fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::Asked | State::AskedLease(_) | State::Refused
        )
    }

    /// Whether what became of the call is known.
    pub const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// What its caller was told, where it is over.
    pub fn told(&self) -> Option<&Told> {
        self.over.as_ref().map(|(over, _)| &over.told)
    }

    /// What became of the call, for the report.
    pub fn over(&mut self, over: Over, aborted: bool) {
        self.over = Some((over, aborted));
    }
}

impl Call {
    /// Takes the caller's key out of the request, and puts the upstream's in; where several may
    /// serve, each gets its own when it is asked (see `attempt`). A provider's key that is the
    /// caller's own stays where it is, and nobody here looks at it. `ours`: the key that stood in
    /// [`KEY`].
    pub(super) fn change_keys(
        &mut self,
        cluster: &str,
        ours: Option<String>,
        headers: &[(String, String)],
    ) {
        if self.settings.host.is_none() {
            return;
        }
        let map = MapType::HttpRequestHeaders;
        self.standing.key = ours.map(bearer);
        let upstream = self.settings.upstreams.get(cluster);
        if upstream.is_some_and(|upstream| upstream.key_source == KeySource::Own) {
            // The proxy looks for the route again where a header is gone by which it was chosen.
            proxy::set(map, KEY, "taken");
            return;
        }
        for name in KEYS {
            let Some(value) = proxy::value_of(headers, name) else {
                continue;
            };
            self.standing.key.get_or_insert_with(|| bearer(value));
            proxy::remove(map, name);
        }
        if let Some(key) = upstream.and_then(|upstream| upstream.key.as_ref()) {
            proxy::set(map, &key.header, &key.value);
        }
    }

    /// The request is none that has a price. Where calls are paid for, nothing else may use the
    /// upstream's key, or take the caller's there.
    pub(super) fn is_no_call(&mut self) {
        if self.settings.host.is_some() {
            let detail = "only calls that can be priced pass: use POST";
            self.refuse(405, "method-not-allowed", "Method not allowed", detail);
        }
    }

    /// Asks the host whether the call may run. `whole`: its request was read.
    pub(super) fn ask(&mut self, whole: bool) {
        let Some(host) = &self.settings.host else {
            return;
        };
        if self.exchange.is_none() {
            return;
        }
        if !whole {
            let detail = "the request is larger than what is held back to be read";
            return self.refuse(413, "body-too-large", "Body too large", detail);
        }
        let Some(key) = self.standing.key.as_deref() else {
            let serving = self.exchange.as_ref().and_then(Exchange::serving);
            let detail = match serving {
                Some((upstream, _)) if upstream.key_source == KeySource::Own => {
                    "the request has no key in `farebox-key`, beside that of its provider"
                }
                _ => "the request has no key",
            };
            return self.refuse(401, "unauthenticated", "Unauthenticated", detail);
        };
        let is_full = self.reports.borrow().len() >= host.reports_max;
        if is_full && host.when_away == WhenAway::Closed {
            return self.away();
        }
        let (leases, key) = (host.leases, key.to_owned());
        if !leases {
            return self.hold(&key);
        }
        match self.lease(&key, true) {
            Found::Runs | Found::Asked => {}
            Found::None => self.hold(&key),
        }
    }

    /// Has the host hold this call by itself.
    pub(super) fn hold(&mut self, key: &str) {
        let (Some(host), Some(exchange)) = (&self.settings.host, &mut self.exchange) else {
            return;
        };
        exchange.forget_vouched();
        // It is held for whoever may serve it at the highest price. Without a bound here the host may
        // have one, or the reason.
        let _bound = exchange.quote(&self.cluster);
        let Some((upstream, asked)) = exchange.serving() else {
            return;
        };
        let body = host::hold(upstream, &asked);
        match proxy::post(host, "/v1/holds", &[("authorization", key)], &body) {
            Some(_) => self.standing.state = State::Asked,
            None => self.away(),
        }
    }

    /// The host answered, or the time for it is over.
    pub(super) fn heard(&mut self, body_bytes: usize) {
        let (status, body) = proxy::answer(body_bytes);
        if self.heard_of_more(status, &body) {
            return;
        }
        if let State::AskedLease(sent_at_ms) = self.standing.state {
            return self.heard_of_lease(sent_at_ms, status, &body);
        }
        match Held::read(status, &body) {
            Held::Held {
                id,
                org,
                book,
                nanos,
            } => {
                self.counters.held.add();
                self.standing.state = State::Runs(Under::Hold { hold: id, org });
                let release = self.shelf.find(&book);
                self.sell_by(release.unwrap_or_else(|| Rc::new(Absent)));
                if let (Some(exchange), Some(nanos)) = (&mut self.exchange, nanos) {
                    exchange.watch(nanos);
                }
                proxy::go_on();
            }
            Held::Refused { status } => {
                self.counters.refused.add();
                self.refuse_with(status, &body);
            }
            Held::Away => self.away_and_on(),
        }
    }

    pub(super) fn away_and_on(&mut self) {
        self.away();
        if !self.standing.is_open() {
            proxy::go_on();
        }
    }

    fn away(&mut self) {
        self.counters.away.add();
        let when_away = self.settings.host.as_ref().map(|host| host.when_away);
        if when_away == Some(WhenAway::Open) {
            self.standing.state = State::Runs(Under::Nothing);
            self.sell_by(self.shelf.only());
        } else {
            let detail = "the ledger does not answer, so the call cannot be paid for";
            self.refuse(503, "unavailable", "Unavailable", detail);
        }
    }

    /// From now on the call is priced by this release, which is what the host said.
    fn sell_by(&mut self, release: Rc<dyn Prices>) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        exchange.sell_by(release);
        match exchange.quote(&self.cluster) {
            Ok(most_usd) => self.most_usd = Some(most_usd),
            Err(Unpriced::OtherBook) => self.counters.other_book.add(),
            Err(_) => {}
        }
    }

    /// The model is none that this cluster has.
    pub(super) fn is_not_offered(&mut self) {
        let model = self.exchange.as_ref().and_then(|exchange| exchange.model());
        let detail = match model {
            Some(model) => format!("there is no model `{model}` here"),
            None => "the request names no model, or in more than one place".to_owned(),
        };
        self.refuse(404, "model-not-offered", "Model not offered", &detail);
    }

    fn refuse(&mut self, status: u16, kind: &str, title: &str, detail: &str) {
        let problem = problem(kind, title, status, detail);
        self.refuse_with(status, problem.as_bytes());
    }

    pub(super) fn refuse_with(&mut self, status: u16, problem: &[u8]) {
        if status == 403 && host::is_filter_not_known(problem) {
            let filter = identity::filter();
            let message = format!("farebox: the host does not know this filter, `{filter}`");
            proxy::log(LogLevel::Error, &message);
        }
        self.exchange = None;
        self.standing.state = State::Refused;
        proxy::refuse(status, problem);
    }

    /// The call is over, on all sides: the host hears what was used, or that nothing was. `in_vain`:
    /// nobody was reached, so nobody bills anything. Who was reached and said nothing may have
    /// billed all of it: what is charged then is the book's rule.
    pub(super) fn report(&mut self, aborted: bool, in_vain: bool) {
        let State::Runs(under) = std::mem::replace(&mut self.standing.state, State::Free) else {
            return;
        };
        let (Some(key), Some(exchange)) = (self.standing.key.take(), &self.exchange) else {
            return;
        };
        let Some((upstream, asked)) = exchange.serving() else {
            return;
        };
        let over = self.standing.over.take();
        let price = over
            .as_ref()
            .and_then(|(over, _)| over.told.price.as_ref().ok().copied());
        let nothing_used = over.is_none() && in_vain;
        let (org, hold, leased) = match under {
            Under::Nothing => (None, None, None),
            Under::Hold { hold, org } => (Some(org), Some(hold), None),
            Under::Lease {
                shared,
                lease,
                worst,
            } => {
                // What has no price here may have one at the host: until then it can cost what was
                // taken for it.
                let cost = match price {
                    _ if nothing_used => 0,
                    Some(price) => price.credits.get(),
                    None => worst,
                };
                shared::change(&shared, |leases| {
                    leases.over(&lease, worst, cost, nothing_used);
                    Some(())
                });
                let leased = Leased {
                    shared,
                    lease: lease.clone(),
                    cost,
                };
                let org = exchange.org().map(Into::into);
                (org, Some(lease), Some(leased))
            }
        };
        let idempotency_key = match &hold {
            Some(hold) if leased.is_none() => format!("{hold}:over"),
            // The proxy's own id of the call may be its caller's word, whatever it says; the time of
            // its end is not.
            _ => {
                format!("{}:{}", self.standing.id, proxy::now_nanos())
            }
        };
        let price_usd = price.map(|price| price.usd);
        let book = price_usd.map(|_| exchange.book().into());
        let (path, body) = match (over, hold.as_deref()) {
            (None, Some(hold)) if in_vain && leased.is_none() => {
                (format!("/v1/holds/{hold}/release"), "{}".to_owned())
            }
            (None, _) if in_vain => return,
            (over, hold) => {
                let status = over.as_ref().map(|(over, _)| over.status);
                let aborted = over.as_ref().map_or(aborted, |(_, aborted)| *aborted);
                let cut_off_bytes = over.as_ref().and_then(|(over, _)| over.cut_off_bytes);
                let said = over.map(|(over, _)| over.reading.said(upstream));
                let said = said.unwrap_or_else(Said::nothing);
                let body = usage::body(&usage::Over {
                    upstream,
                    asked: &asked,
                    said: &said,
                    status,
                    aborted,
                    cut_off_bytes,
                    hold,
                    idempotency_key: &idempotency_key,
                    leased_at_ms: leased.as_ref().map(|_| exchange.occurred_at_ms()),
                });
                let record = Record {
                    org: org.as_deref(),
                    idempotency_key: &idempotency_key,
                    price_usd,
                    report: (!said.has_content()).then_some(&body),
                };
                proxy::keep(KEPT_REPORT, &record.text());
                ("/v1/usage".to_owned(), body)
            }
        };
        self.reports.borrow_mut().push(Report {
            path,
            key,
            idempotency_key,
            body,
            price_usd,
            book,
            // A lease is not given back for one call.
            hold: hold.filter(|_| leased.is_none()),
            leased,
        });
    }
}
