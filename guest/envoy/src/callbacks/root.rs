//! A filter as the proxy configures it: the book with the VM, the settings with each filter in it.

use super::attempt::Attempt;
use super::cut::Late;
use super::http::{Call, Stream};
use super::leases::Keeper;
use super::levels::Levels;
use super::proxy::{self, Counter, Line};
use super::shared;
use crate::handed::Handed;
use crate::host::report::{Answered, Heard, Leased};
use crate::queue::Queue;
use crate::settings::{Settings, SettingsError};
use crate::shelf::{Shelf, ShelfError};
use farebox_sdk::Policy;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    /// The books of this VM, which has one thread.
    static SHELF: RefCell<Option<Rc<Shelf>>> = const { RefCell::new(None) };
}

/// What the calls of a worker count into.
#[derive(Clone, Copy)]
pub struct Counters {
    /// Calls that were told their price.
    pub priced: Counter,
    /// Calls without a price here.
    pub unpriced: Counter,
    /// Answers of the policy that did not pass the checks.
    pub faults: Counter,
    /// Calls that ran under a lease.
    pub leased: Counter,
    /// Calls that the host held one by one.
    pub held: Counter,
    /// Calls that the host refused.
    pub refused: Counter,
    /// Calls that ran and have no price here, because their book is not.
    pub other_book: Counter,
    /// Calls that could not be held because the host did not answer.
    pub away: Counter,
    /// Streams that were cut off.
    pub cut: Counter,
    /// Reports that the host has.
    pub reported: Counter,
    /// Reports that the host does not want.
    pub unreported: Counter,
    /// Reports whose price is not the host's.
    pub differences: Counter,
}

impl Counters {
    fn new() -> Self {
        Self {
            priced: Counter::new("farebox.priced"),
            unpriced: Counter::new("farebox.unpriced"),
            faults: Counter::new("farebox.fault"),
            leased: Counter::new("farebox.leased"),
            held: Counter::new("farebox.held"),
            refused: Counter::new("farebox.refused"),
            other_book: Counter::new("farebox.other_book"),
            away: Counter::new("farebox.away"),
            cut: Counter::new("farebox.cut"),
            reported: Counter::new("farebox.reported"),
            unreported: Counter::new("farebox.unreported"),
            differences: Counter::new("farebox.difference"),
        }
    }
}

/// What the name of the line of what was handed on begins with; its host's cluster follows.
const LINE: &str = "farebox.handed";
/// How often a worker looks at its reports.
const TICK: Duration = Duration::from_millis(20);

/// How many ticks that takes.
pub(super) fn ticks(time: Duration) -> u32 {
    let ticks = time.as_millis().checked_div(TICK.as_millis());
    let ticks = ticks.and_then(|ticks| u32::try_from(ticks).ok());
    ticks.unwrap_or_default()
}

/// The `root_id` of the filter before upstreams.
const UPSTREAM: &str = "upstream";

/// A filter.
pub struct Root<P> {
    /// What the proxy calls it.
    context: u32,
    /// It stands before each attempt at an upstream, and not before each call.
    is_upstream: bool,
    /// Where reports go that are left when another configuration takes this one's place.
    line: Option<Line>,
    configured: Option<(Rc<Shelf>, Rc<Settings>)>,
    counters: Option<Counters>,
    levels: Option<Rc<Levels>>,
    reports: Rc<RefCell<Queue>>,
    keeper: Rc<RefCell<Keeper>>,
    late: Late,
    policy: PhantomData<P>,
}

impl<P: Policy> Root<P> {
    pub fn new(context: u32) -> Self {
        Self {
            context,
            is_upstream: false,
            line: None,
            configured: None,
            counters: None,
            levels: None,
            reports: Rc::default(),
            keeper: Rc::default(),
            late: Rc::default(),
            policy: PhantomData,
        }
    }
}

impl<P> Root<P> {
    /// Calls that wait for something look for it, each in its own name.
    fn tick_late(&self) {
        let late = self.late.take();
        if late.is_empty() {
            return;
        }
        let mut still = Vec::with_capacity(late.len());
        for (context, call) in late {
            if proxy::speak_for(context) && call.borrow_mut().tick() {
                still.push((context, call));
            }
        }
        self.late.borrow_mut().append(&mut still);
        proxy::speak_for(self.context);
    }
}

impl<P: Policy> Context for Root<P> {
    /// Another configuration has taken its place, and its last call is over. There are no more ticks
    /// and no more answers, so what the host does not have yet is the next one's to say.
    fn on_done(&mut self) -> bool {
        let parcels = self.reports.borrow_mut().drain();
        let keys = self.keeper.borrow_mut().drain();
        for handed in parcels.into_iter().map(Handed::Parcel).chain(keys) {
            let is_handed_on = self.line.is_some_and(|line| line.put(&handed.to_text()));
            if let (false, Handed::Parcel(parcel)) = (is_handed_on, &handed) {
                let (path, _) = parcel.request();
                proxy::log(LogLevel::Error, &format!("farebox: `{path}` is lost"));
            }
        }
        if let Some(levels) = &self.levels {
            levels.leave();
        }
        true
    }

    fn on_http_call_response(&mut self, token: u32, _headers: usize, bytes: usize, _: usize) {
        if self.keeper.borrow_mut().answered(token, bytes) {
            return;
        }
        let Some(parcel) = self.reports.borrow_mut().answered(token) else {
            return;
        };
        let Some(counters) = self.counters else {
            return;
        };
        let (status, body) = proxy::answer(bytes);
        let mut reports = self.reports.borrow_mut();
        let heard = match parcel.answered(status, &body) {
            Answered::Each(heard) => heard,
            Answered::Apart => return reports.apart(parcel),
            Answered::Later => return reports.again(parcel),
            Answered::Nobody => return reports.unanswered(parcel),
        };
        let heard = parcel.reports().iter().zip(heard);
        let (mut reported, mut differences) = (0_i64, 0_i64);
        // Most of a parcel ran under the same lease, which is changed once for all of them.
        let mut charges: BTreeMap<&Rc<str>, Vec<(&Leased, Option<i64>)>> = BTreeMap::new();
        for (report, (heard, charged)) in heard.filter(|(report, _)| report.is_of_call()) {
            match heard {
                Heard::Yes { differs } => {
                    reported = reported.saturating_add(1);
                    differences = differences.saturating_add(i64::from(differs));
                }
                Heard::Nothing => match report.clone().of_nothing() {
                    Some(report) => reports.push(report),
                    None => reported = reported.saturating_add(1),
                },
                Heard::Refused => {
                    counters.unreported.add();
                    let path = &report.path;
                    let answer = String::from_utf8_lossy(&body);
                    proxy::log(
                        LogLevel::Error,
                        &format!("farebox: `{path}` is refused: {answer}"),
                    );
                }
                Heard::NotYet => {}
            }
            if let Some(leased) = &report.leased {
                let charged = heard.settled(leased.cost, charged);
                let of_key = charges.entry(&leased.shared).or_default();
                of_key.push((leased, charged));
            }
        }
        counters.reported.add_all(reported);
        counters.differences.add_all(differences);
        for (shared, of_key) in charges {
            shared::change(shared, |leases| {
                for (leased, charged) in &of_key {
                    leases.charged(&leased.lease, leased.cost, *charged);
                }
                Some(())
            });
        }
    }
}

impl<P: Policy> RootContext for Root<P> {
    fn on_vm_start(&mut self, book_bytes: usize) -> bool {
        if SHELF.with_borrow(Option::is_some) {
            return true;
        }
        let books = buffer(BufferType::VmConfiguration, book_bytes);
        match Shelf::load::<P>(books) {
            Ok(shelf) => {
                SHELF.set(Some(Rc::new(shelf)));
                true
            }
            Err(error) => refused(&error),
        }
    }

    fn on_configure(&mut self, settings_bytes: usize) -> bool {
        let text = buffer(BufferType::PluginConfiguration, settings_bytes);
        let settings: Result<_, SettingsError> = Settings::read(&text);
        match (settings, SHELF.with_borrow(Clone::clone)) {
            (Ok(settings), Some(shelf)) if settings.host.is_none() && shelf.has_several() => {
                refused(&ShelfError::NoHost)
            }
            (Ok(settings), Some(shelf)) => {
                let root = proxy::property(&["plugin_root_id"]);
                self.is_upstream = root.is_some_and(|root| root == UPSTREAM);
                if let Some(host) = settings.host.as_ref().filter(|_| !self.is_upstream) {
                    proxy::tick_every(TICK);
                    self.line = Line::open(&format!("{LINE}:{}", host.cluster));
                }
                self.configured = Some((shelf, Rc::new(settings)));
                self.counters = Some(Counters::new());
                self.levels.get_or_insert_with(|| Rc::new(Levels::new()));
                true
            }
            (Err(error), _) => refused(&error),
            (Ok(_), None) => false,
        }
    }

    fn on_tick(&mut self) {
        self.tick_late();
        let Some((shelf, settings)) = &self.configured else {
            return;
        };
        let Some(host) = &settings.host else {
            return;
        };
        let mut reports = self.reports.borrow_mut();
        while let Some(text) = self.line.and_then(Line::take) {
            match Handed::from_text(&text) {
                Some(Handed::Parcel(parcel)) => reports.take_over(parcel),
                Some(Handed::Leases { shared, key }) => {
                    let own = shared::name(&key, &host.cluster, shelf.name());
                    let mut keeper = self.keeper.borrow_mut();
                    keeper.take_over(&shared, &key, shared == own);
                }
                Some(Handed::Renewal { key, sent }) => {
                    self.keeper.borrow_mut().ask_again(sent, &key);
                }
                None => {
                    if let Some(counters) = self.counters {
                        counters.unreported.add();
                    }
                    let message =
                        "farebox: what another filter handed on cannot be read, and is lost";
                    proxy::log(LogLevel::Error, message);
                }
            }
        }
        self.keeper.borrow_mut().tick(host, &mut reports);
        for parcel in reports.due(ticks(host.report_after)) {
            let Some(first) = parcel.reports().first() else {
                continue;
            };
            let headers = [
                ("authorization", first.key.as_str()),
                ("idempotency-key", first.idempotency_key.as_str()),
                // Lines and balances are for people.
                ("prefer", "return=minimal"),
            ];
            let (path, body) = parcel.request();
            match proxy::post(host, &path, &headers, &body) {
                Some(token) => reports.sent(token, parcel),
                None => reports.unanswered(parcel),
            }
        }
        if let Some(levels) = &self.levels {
            levels.show(&reports, &self.keeper.borrow());
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let (shelf, settings) = self.configured.clone()?;
        if self.is_upstream {
            return Some(Box::new(Attempt::new(settings)));
        }
        Some(Box::new(Stream(Call::new(
            shelf,
            settings,
            self.counters?,
            Rc::clone(self.levels.as_ref()?),
            Rc::clone(&self.reports),
            Rc::clone(&self.keeper),
            (context, Rc::clone(&self.late)),
        ))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn buffer(kind: BufferType, bytes: usize) -> Vec<u8> {
    let read = hostcalls::get_buffer(kind, 0, bytes);
    read.ok().flatten().unwrap_or_default()
}

/// The proxy refuses the configuration, and says why in its log.
fn refused(error: &dyn Error) -> bool {
    let mut message = format!("farebox: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    proxy::log(LogLevel::Error, &message);
    false
}
