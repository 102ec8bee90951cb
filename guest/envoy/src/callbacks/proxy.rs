//! What is asked of the proxy. A failure of the proxy is never a reason to end the VM, so each
//! answers with nothing instead.

use crate::settings::Host;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};
use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

/// A header, where it is there and is text.
pub fn header(map: MapType, name: &str) -> Option<String> {
    let bytes = hostcalls::get_map_value_bytes(map, name).ok().flatten()?;
    String::from_utf8(bytes).ok()
}

/// Every header that is text.
pub fn headers(map: MapType) -> Vec<(String, String)> {
    let all = hostcalls::get_map_bytes(map).unwrap_or_default();
    all.into_iter()
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect()
}

/// The value of a header among them, as [`header`] has it: where it stands several times, all of them.
pub fn value_of(headers: &[(String, String)], name: &str) -> Option<String> {
    let mut values = headers.iter().filter(|(is, _)| is == name);
    let (_, first) = values.next()?;
    let mut value = first.clone();
    for (_, next) in values {
        value.push(',');
        value.push_str(next);
    }
    Some(value)
}

/// Removes a header.
pub fn remove(map: MapType, name: &str) {
    // A map that cannot be changed is one that goes nowhere.
    hostcalls::remove_map_value(map, name).ok();
}

/// Sets a header.
pub fn set(map: MapType, name: &str, value: &str) {
    hostcalls::set_map_value_bytes(map, name, Some(value.as_bytes())).ok();
}

/// A property of the call that is text.
pub fn property(path: &[&str]) -> Option<String> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    String::from_utf8(bytes).ok()
}

/// A property of the call that is a number of things.
pub fn count(path: &[&str]) -> Option<u64> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Keeps a word with the call, where the proxy's access log finds it.
pub fn keep(name: &str, value: &str) {
    hostcalls::set_property(vec![name], Some(value.as_bytes())).ok();
}

/// A word that was kept with the call, in whichever place.
pub fn kept(name: &str) -> Option<String> {
    property(&["filter_state", &format!("wasm.{name}")])
}

/// Bytes of a body, from `start` on.
pub fn body(buffer: BufferType, start: usize, len: usize) -> Vec<u8> {
    let bytes = hostcalls::get_buffer(buffer, start, len);
    bytes.ok().flatten().unwrap_or_default()
}

/// Puts other bytes in the place of the `len` bytes of a body.
pub fn replace(buffer: BufferType, len: usize, bytes: &[u8]) {
    hostcalls::set_buffer(buffer, 0, len, bytes).ok();
}

/// Writes behind the `len` bytes of a body.
pub fn append(buffer: BufferType, len: usize, bytes: &[u8]) {
    hostcalls::set_buffer(buffer, len, 0, bytes).ok();
}

/// Sends a request to one of the proxy's clusters; its token, where it could be sent.
pub fn post(host: &Host, path: &str, headers: &[(&str, &str)], body: &str) -> Option<u32> {
    let mut all = vec![
        (":method", "POST"),
        (":path", path),
        (":authority", "farebox"),
        ("content-type", "application/json"),
    ];
    all.extend_from_slice(headers);
    let body = Some(body.as_bytes());
    hostcalls::dispatch_http_call(&host.cluster, all, body, Vec::new(), host.timeout).ok()
}

/// The answer to a request: its status, where there is an answer, and its body.
pub fn answer(body_bytes: usize) -> (Option<u16>, Vec<u8>) {
    let status = header(MapType::HttpCallResponseHeaders, ":status");
    let body = body(BufferType::HttpCallResponseBody, 0, body_bytes);
    (status.and_then(|status| status.parse().ok()), body)
}

/// Answers the caller in place of the upstream.
pub fn refuse(status: u16, problem: &[u8]) {
    let headers = vec![("content-type", "application/problem+json")];
    hostcalls::send_http_response(status.into(), headers, Some(problem)).ok();
}

/// Lets a request go on that was held back.
pub fn go_on() {
    hostcalls::resume_http_request().ok();
}

/// Whatever is asked next is asked for this context; false where there is none.
pub fn speak_for(context: u32) -> bool {
    hostcalls::set_effective_context(context).is_ok()
}

/// Closes the stream, on both sides, as it is. What was not sent yet is lost.
pub fn close() {
    hostcalls::reset_http_request().ok();
}

/// Lets an answer go on that was held back.
pub fn go_on_with_answer() {
    hostcalls::resume_http_response().ok();
}

/// A line of reports that outlives the VM: whoever runs next finds there what was handed on.
#[derive(Clone, Copy)]
pub struct Line(u32);

impl Line {
    /// Opens it, for every VM of the same id.
    pub fn open(name: &str) -> Option<Self> {
        hostcalls::register_shared_queue(name).ok().map(Self)
    }

    /// Puts one at its end.
    pub fn put(self, text: &str) -> bool {
        hostcalls::enqueue_shared_queue(self.0, Some(text.as_bytes())).is_ok()
    }

    /// Takes the first.
    pub fn take(self) -> Option<Vec<u8>> {
        hostcalls::dequeue_shared_queue(self.0).ok().flatten()
    }
}

/// Has the worker's ticks come this often.
pub fn tick_every(period: Duration) {
    hostcalls::set_tick_period(period).ok();
}

/// The time, in milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = hostcalls::get_current_time()
        .ok()
        .and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// The time, in nanoseconds since the Unix epoch.
pub fn now_nanos() -> u128 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.map(|since| since.as_nanos()).unwrap_or_default()
}

/// A line in the proxy's log.
pub fn log(level: LogLevel, message: &str) {
    hostcalls::log(level, message).ok();
}

/// A level among the proxy's statistics: the sum of what each worker has.
pub struct Level {
    id: Option<u32>,
    shown: Cell<i64>,
}

impl Level {
    /// Declares it.
    pub fn new(name: &str) -> Self {
        Self {
            id: hostcalls::define_metric(MetricType::Gauge, name).ok(),
            shown: Cell::new(0),
        }
    }

    /// This worker has so many now.
    pub fn show(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let more = count.saturating_sub(self.shown.get());
        if let Some(id) = self.id.filter(|_| more != 0) {
            hostcalls::increment_metric(id, more).ok();
            self.shown.set(count);
        }
    }
}

/// A counter among the proxy's statistics.
#[derive(Clone, Copy)]
pub struct Counter(Option<u32>);

impl Counter {
    /// Declares it.
    pub fn new(name: &str) -> Self {
        Self(hostcalls::define_metric(MetricType::Counter, name).ok())
    }

    /// One more.
    pub fn add(self) {
        self.add_all(1);
    }

    /// So many more.
    pub fn add_all(self, count: i64) {
        if let Some(id) = self.0.filter(|_| count != 0) {
            hostcalls::increment_metric(id, count).ok();
        }
    }
}
