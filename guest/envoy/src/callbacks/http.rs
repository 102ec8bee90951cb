//! One call's callbacks.
//!
//! The request is held back until its body was read, within the declared bound. The answer passes
//! as it comes, but for a small JSON body, which waits for its price. A stream gets its price at
//! its end; a call that breaks off has it in the proxy's record alone.

use super::cut::{Course, Late};
use super::hold::{KEY, Standing};
use super::leases::Keeper;
use super::levels::Levels;
use super::proxy;
use super::root::Counters;
use crate::boundary::Boundary;
use crate::exchange::{Exchange, Head, Over, Told, Way};
use crate::naming;
use crate::parting;
use crate::path::Named;
use crate::queue::Queue;
use crate::release::Unpriced;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::telling;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use rust_decimal::Decimal;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Where the proxy's access log finds what was told: `%FILTER_STATE(wasm.farebox:PLAIN)%`.
const KEPT: &str = "farebox";
/// The same for the most that the call could cost, in USD.
const KEPT_QUOTE: &str = "farebox_quote_usd";

/// The cluster that the call is held for.
pub(super) const KEPT_CLUSTER: &str = "farebox_cluster";
/// The model that the caller asks for, for the attempts at a group.
pub(super) const KEPT_MODEL: &str = "farebox_model";

/// One call.
pub struct Call {
    pub(super) shelf: Rc<Shelf>,
    pub(super) settings: Rc<Settings>,
    pub(super) counters: Counters,
    levels: Rc<Levels>,
    pub(super) exchange: Option<Exchange>,
    /// The proxy's cluster that it goes to, as it was when the request was read.
    pub(super) cluster: String,
    request_bytes: usize,
    /// The most that it can cost, in USD.
    pub(super) most_usd: Option<Decimal>,
    pub(super) request_is_held: bool,
    way: Way,
    /// How much of a body that is held back was read.
    pub(super) read_bytes: usize,
    pub(super) boundary: Boundary,
    pub(super) course: Course,
    /// What the proxy calls it.
    pub(super) context: u32,
    /// Whether it is among those that look for something on the worker's ticks.
    pub(super) is_late: bool,
    pub(super) late: Late,
    pub(super) me: Weak<RefCell<Self>>,
    pub(super) standing: Standing,
    pub(super) reports: Rc<RefCell<Queue>>,
    pub(super) keeper: Rc<RefCell<Keeper>>,
}

impl Call {
    pub fn new(
        shelf: Rc<Shelf>,
        settings: Rc<Settings>,
        counters: Counters,
        levels: Rc<Levels>,
        reports: Rc<RefCell<Queue>>,
        keeper: Rc<RefCell<Keeper>>,
        (context, late): (u32, Late),
    ) -> Rc<RefCell<Self>> {
        let call = |me: &Weak<RefCell<Self>>| Self {
            shelf,
            settings,
            counters,
            levels,
            exchange: None,
            cluster: String::new(),
            request_bytes: 0,
            most_usd: None,
            request_is_held: false,
            way: Way::Pass,
            read_bytes: 0,
            boundary: Boundary::default(),
            course: Course::default(),
            context,
            is_late: false,
            late,
            me: me.clone(),
            standing: Standing::default(),
            reports,
            keeper,
        };
        Rc::new_cyclic(|me| RefCell::new(call(me)))
    }

    /// The request's body is whole, or as much of it as may be held back.
    fn request_is_read(&mut self, whole: bool) {
        self.request_is_held = false;
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        let cluster = cluster();
        self.cluster.clone_from(&cluster);
        if whole {
            let body = proxy::body(BufferType::HttpRequestBody, 0, self.request_bytes);
            let read = exchange.request(&cluster, &body);
            // Where the host says what prices the call, it has not yet.
            if self.settings.host.is_none() {
                self.most_usd = read.and_then(|()| exchange.quote(&cluster)).ok();
            }
            if !exchange.is_offered(&cluster) {
                return self.is_not_offered();
            }
            if !self.is_named(&cluster, &body) {
                return self.is_not_offered();
            }
        }
        self.ask(whole);
    }

    /// Puts the upstream's own name of the model in the place of the caller's; where several may
    /// serve, leaves word of the model for each attempt. `false`: the request cannot be renamed.
    fn is_named(&self, cluster: &str, body: &[u8]) -> bool {
        let Some(model) = self.exchange.as_ref().and_then(Exchange::model) else {
            return true;
        };
        if self.settings.groups.contains_key(cluster) {
            proxy::keep(KEPT_MODEL, model);
            return true;
        }
        let upstream = self.settings.upstreams.get(cluster);
        let name = upstream.and_then(|upstream| upstream.own_name(model));
        name.is_none_or(|name| name == model || renamed(model, name, body))
    }

    /// Ends the call, once.
    fn end(&mut self, aborted: bool, failed: bool) -> Option<Told> {
        let over = self.exchange.as_mut()?.end(aborted, failed)?;
        Some(self.is_over(over, aborted))
    }

    /// Counts what has become of the call.
    pub(super) fn is_over(&mut self, over: Over, aborted: bool) -> Told {
        let told = over.told.clone();
        self.standing.over(over, aborted);
        match told.price {
            Ok(_) => self.counters.priced.add(),
            Err(Unpriced::Fault) => self.counters.faults.add(),
            Err(_) => self.counters.unpriced.add(),
        }
        told
    }

    /// The body of the answer ends with the `size` bytes that are at hand.
    pub(super) fn answer_is_whole(&mut self, size: usize) {
        let Some(told) = self.end(false, false) else {
            return;
        };
        match self.way {
            Way::Pass => {}
            Way::Hold => tell(MapType::HttpResponseHeaders, &told),
            Way::Flow { comment } => {
                if comment && let Some(comment) = telling::comment(&told, self.boundary.place()) {
                    proxy::append(BufferType::HttpResponseBody, size, comment.as_bytes());
                }
                if has_trailers() {
                    tell(MapType::HttpResponseTrailers, &told);
                }
            }
        }
    }
}

/// One call, as the proxy calls it.
pub struct Stream(pub Rc<RefCell<Call>>);

impl Context for Stream {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, bytes: usize, _: usize) {
        self.0.borrow_mut().heard(bytes);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.0.borrow_mut().request_begins(end_of_stream)
    }

    fn on_http_request_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        self.0.borrow_mut().request_piece(body_bytes, end_of_stream)
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        self.0.borrow_mut().request_ends()
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.0.borrow_mut().answer_begins(end_of_stream)
    }

    fn on_http_response_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        self.0.borrow_mut().answer_piece(body_bytes, end_of_stream)
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        self.0.borrow_mut().answer_ends()
    }

    fn on_log(&mut self) {
        self.0.borrow_mut().is_logged();
    }
}

impl Call {
    fn request_begins(&mut self, end_of_stream: bool) -> Action {
        let map = MapType::HttpRequestHeaders;
        let headers = proxy::headers(map);
        let value = |name| proxy::value_of(&headers, name);
        let ours = value(KEY);
        forget(map, &headers);
        let is_post = value(":method").is_some_and(|method| method == "POST");
        let cluster = cluster();
        if self.settings.serving(&cluster).is_empty() {
            return Action::Continue;
        }
        if !is_post {
            self.is_no_call();
            return hold_while(self.standing.is_open());
        }
        // What is compressed cannot be read.
        proxy::set(map, "accept-encoding", "identity");
        let path = value(":path").unwrap_or_default();
        self.exchange = Some(Exchange::new(
            self.shelf.first(),
            Rc::clone(&self.settings),
            &path,
            proxy::now_ms(),
        ));
        proxy::keep(KEPT_CLUSTER, &cluster);
        let id = value("x-request-id").unwrap_or_default();
        self.standing.is_known_as(&id);
        self.change_keys(&cluster, ours, &headers);
        let is_small =
            length(&headers).is_none_or(|bytes| bytes <= self.settings.request_bytes_max);
        self.request_is_held = !end_of_stream && is_small;
        if !self.request_is_held {
            self.request_is_read(is_small);
        }
        hold_while(self.request_is_held || self.standing.is_open())
    }

    fn request_piece(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        if self.request_is_held {
            self.request_bytes = body_bytes;
            let is_small = body_bytes <= self.settings.request_bytes_max;
            if end_of_stream || !is_small {
                self.request_is_read(is_small);
            }
        }
        hold_while(self.request_is_held || self.standing.is_open())
    }

    fn request_ends(&mut self) -> Action {
        if self.request_is_held {
            self.request_is_read(true);
        }
        hold_while(self.standing.is_open())
    }

    fn answer_begins(&mut self, end_of_stream: bool) -> Action {
        let map = MapType::HttpResponseHeaders;
        let headers = proxy::headers(map);
        forget(map, &headers);
        let Some(exchange) = self.exchange.as_mut().filter(|_| is_of_upstream()) else {
            return Action::Continue;
        };
        self.way = exchange.answer(&served(&self.settings), head(headers));
        if end_of_stream {
            if let Some(told) = self.end(false, false) {
                tell(map, &told);
            }
            return Action::Continue;
        }
        if let Way::Flow { comment: true } = self.way {
            // It becomes longer by its price.
            proxy::remove(map, "content-length");
        }
        hold_while(self.way == Way::Hold)
    }

    fn answer_piece(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        if let Some(action) = self.late_piece(body_bytes, end_of_stream) {
            return action;
        }
        let Some(exchange) = self.exchange.as_mut().filter(|_| self.way != Way::Pass) else {
            return Action::Continue;
        };
        // A body that is held back is shown from its beginning each time.
        let new_bytes = body_bytes.saturating_sub(self.read_bytes);
        let chunk = proxy::body(BufferType::HttpResponseBody, self.read_bytes, new_bytes);
        if self.way == (Way::Flow { comment: true }) && !end_of_stream && exchange.is_watched() {
            return self.watched_piece(&chunk, body_bytes);
        }
        self.boundary.feed(&chunk);
        exchange.chunk(&chunk);
        if self.way == Way::Hold {
            self.read_bytes = body_bytes;
            if !end_of_stream && body_bytes > self.settings.held_bytes_max {
                self.way = Way::Flow { comment: false };
                self.read_bytes = 0;
            }
        }
        if end_of_stream {
            self.answer_is_whole(body_bytes);
            return Action::Continue;
        }
        hold_while(self.way == Way::Hold)
    }

    fn answer_ends(&mut self) -> Action {
        if matches!(self.course, Course::Waits(_)) {
            // What is over is not cut off.
            self.flow_on();
        }
        let map = MapType::HttpResponseTrailers;
        forget(map, &proxy::headers(map));
        if let Some(told) = self.end(false, false) {
            let map = match self.way {
                Way::Hold => MapType::HttpResponseHeaders,
                _ => MapType::HttpResponseTrailers,
            };
            tell(map, &told);
        }
        Action::Continue
    }

    /// Nobody waits for this, so what only records and reports tell is made here.
    fn is_logged(&mut self) {
        self.is_gone();
        let (mut aborted, mut in_vain) = (false, false);
        if !self.standing.is_over() {
            // What was not over yet broke off: on the caller's side, or on the other.
            let details = details();
            aborted = parting::is_by_caller(&details);
            self.end(aborted, !aborted);
            let attempts = proxy::count(&["upstream", "request_attempt_count"]);
            in_vain = !aborted && parting::reached_nobody(&details, attempts);
        }
        if let Some(told) = self.standing.told() {
            proxy::keep(KEPT, &telling::json(told));
        }
        if let Some(most_usd) = self.most_usd {
            proxy::keep(KEPT_QUOTE, &telling::plain(most_usd));
        }
        self.report(aborted, in_vain);
        self.levels
            .show(&self.reports.borrow(), &self.keeper.borrow());
    }
}

pub(super) const fn hold_while(held: bool) -> Action {
    if held {
        Action::Pause
    } else {
        Action::Continue
    }
}

/// The cluster that the call goes to, known from its first callback on.
pub(super) fn cluster() -> String {
    proxy::property(&["xds", "cluster_name"]).unwrap_or_default()
}

/// The upstream that is asked or has answered: the call's cluster, or that member of it whose
/// endpoint the proxy chose, which says so in its metadata.
pub(super) fn served(settings: &Settings) -> String {
    let cluster = cluster();
    let Some(members) = settings.groups.get(cluster.as_str()) else {
        return cluster;
    };
    let endpoint = proxy::property(&ENDPOINT).unwrap_or_default();
    let is_member = members.iter().any(|member| **member == *endpoint);
    if is_member { endpoint } else { String::new() }
}

/// Where an endpoint says which upstream it is.
const ENDPOINT: [&str; 5] = [
    "xds",
    "upstream_host_metadata",
    "filter_metadata",
    "farebox",
    "upstream",
];

/// Puts another name of the model into the request that is at hand, whose body is whole.
pub(super) fn renamed(model: &str, name: &str, body: &[u8]) -> bool {
    let map = MapType::HttpRequestHeaders;
    let path = proxy::header(map, ":path").unwrap_or_default();
    if let Some(named) = Named::by(&path) {
        if named.model.as_deref() != Some(model) {
            return false;
        }
        proxy::set(map, ":path", &naming::path_with(&path, name));
        return true;
    }
    let text = std::str::from_utf8(body).ok();
    let Some(renamed) = text.and_then(|text| naming::body_with(text, name)) else {
        return false;
    };
    if proxy::header(map, "content-length").is_some() {
        proxy::set(map, "content-length", &renamed.len().to_string());
    }
    proxy::replace(BufferType::HttpRequestBody, body.len(), renamed.as_bytes());
    true
}

/// How the proxy says that the call went.
fn details() -> String {
    proxy::property(&["response", "code_details"]).unwrap_or_default()
}

/// Whether the answer is the upstream's, and not the proxy's in its place.
fn is_of_upstream() -> bool {
    details() == "via_upstream"
}

/// Whether what the caller speaks has trailers that are read.
fn has_trailers() -> bool {
    let protocol = proxy::property(&["request", "protocol"]);
    protocol.is_some_and(|protocol| !protocol.starts_with("HTTP/1"))
}

/// Removes what only the filter says: nobody else's word passes for it.
pub(super) fn forget(map: MapType, headers: &[(String, String)]) {
    let names = headers.iter().map(|(name, _)| name);
    for name in names.filter(|name| name.starts_with(telling::PREFIX)) {
        proxy::remove(map, name);
    }
}

fn tell(map: MapType, told: &Told) {
    for (name, value) in telling::headers(told) {
        proxy::set(map, name, &value);
    }
}

fn length(headers: &[(String, String)]) -> Option<usize> {
    proxy::value_of(headers, "content-length")?.parse().ok()
}

fn head(headers: Vec<(String, String)>) -> Head {
    let value = |name| proxy::value_of(&headers, name);
    let word = |name| value(name).map(|value| value.trim().to_ascii_lowercase());
    Head {
        status: value(":status")
            .and_then(|status| status.parse().ok())
            .unwrap_or_default(),
        content_type: word("content-type").unwrap_or_default(),
        encoded: word("content-encoding").is_some_and(|encoding| encoding != "identity"),
        content_length: length(&headers),
        headers,
    }
}
