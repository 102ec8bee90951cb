//! One attempt at an upstream, as the router's own chain of filters sees it.
//!
//! It goes where the call was held for, or nowhere: a header that the call's filters took out may
//! have been one by which the route was chosen.
//!
//! A router that tries another upstream sends it the same headers as the one before, with whatever
//! was put into them, and the body as the caller's request left the filters of the call. So here,
//! before each attempt at a member of a group, whatever is anybody's key is taken out, and what the chosen upstream alone
//! may have is put in: its key, its name of the model, its path. Who was chosen its endpoint says;
//! where it does not, or is no member of the group, nothing is sent.

use super::hold::KEYS;
use super::http::{KEPT_CLUSTER, KEPT_MODEL, cluster, forget, hold_while, renamed, served};
use super::proxy;
use crate::host::problem;
use crate::settings::{Settings, Upstream};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use std::rc::Rc;

/// The path as the route left it, of the first attempt at a call.
const KEPT_PATH: &str = "farebox_path";

/// One attempt.
pub struct Attempt {
    settings: Rc<Settings>,
    /// Whose name of the model is still to be put in.
    held: Option<Upstream>,
    is_refused: bool,
    body_bytes: usize,
}

impl Attempt {
    pub const fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            held: None,
            is_refused: false,
            body_bytes: 0,
        }
    }

    fn forget_keys(&self) {
        let map = MapType::HttpRequestHeaders;
        let own = self.settings.upstreams.values();
        let own = own.filter_map(|upstream| upstream.key.as_ref());
        for name in KEYS.into_iter().chain(own.map(|key| &*key.header)) {
            proxy::remove(map, name);
        }
    }

    fn refuse(&mut self) -> Action {
        self.is_refused = true;
        let detail = "the gateway does not know its own upstream";
        let problem = problem("unavailable", "Unavailable", 503, detail);
        proxy::refuse(503, problem.as_bytes());
        Action::Pause
    }

    /// The body is whole.
    fn name(&mut self) -> Action {
        let Some(upstream) = self.held.take() else {
            return hold_while(self.is_refused);
        };
        let model = proxy::kept(KEPT_MODEL).unwrap_or_default();
        let body = proxy::body(BufferType::HttpRequestBody, 0, self.body_bytes);
        match upstream.own_name(&model) {
            Some(name) if renamed(&model, name, &body) => Action::Continue,
            _ => self.refuse(),
        }
    }
}

impl Context for Attempt {}

impl HttpContext for Attempt {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        let map = MapType::HttpRequestHeaders;
        forget(map, &proxy::headers(map));
        let cluster = cluster();
        if proxy::kept(KEPT_CLUSTER).is_some_and(|held_for| held_for != cluster) {
            self.forget_keys();
            return self.refuse();
        }
        if !self.settings.groups.contains_key(cluster.as_str()) {
            return Action::Continue;
        }
        self.forget_keys();
        let Some(upstream) = self.settings.upstreams.get(served(&self.settings).as_str()) else {
            return self.refuse();
        };
        if let Some(key) = &upstream.key {
            proxy::set(map, &key.header, &key.value);
        }
        let path = proxy::kept(KEPT_PATH).or_else(|| {
            let path = proxy::header(map, ":path")?;
            proxy::keep(KEPT_PATH, &path);
            Some(path)
        });
        let path = path.unwrap_or_default();
        proxy::set(map, ":path", &format!("{}{path}", upstream.path_prefix));
        self.held = Some(upstream.clone());
        if end_of_stream {
            return self.name();
        }
        Action::Pause
    }

    fn on_http_request_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        self.body_bytes = body_bytes;
        if end_of_stream {
            return self.name();
        }
        hold_while(self.held.is_some() || self.is_refused)
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        self.name()
    }
}
