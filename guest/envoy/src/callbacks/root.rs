//! A filter as the proxy configures it: the book with the VM, the settings with each filter in it.

use super::http::Call;
use super::proxy::{self, Counter};
use crate::release::{Prices, Release};
use crate::settings::{Settings, SettingsError};
use farebox_sdk::Policy;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType, LogLevel};
use std::cell::RefCell;
use std::error::Error;
use std::marker::PhantomData;
use std::rc::Rc;

thread_local! {
    /// The release of this VM, which has one thread.
    static RELEASE: RefCell<Option<Rc<dyn Prices>>> = const { RefCell::new(None) };
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
}

/// A filter.
pub struct Root<P> {
    configured: Option<(Rc<dyn Prices>, Rc<Settings>)>,
    counters: Option<Counters>,
    policy: PhantomData<P>,
}

impl<P: Policy> Root<P> {
    pub fn new() -> Self {
        Self {
            configured: None,
            counters: None,
            policy: PhantomData,
        }
    }
}

impl<P: Policy> Context for Root<P> {}

impl<P: Policy> RootContext for Root<P> {
    fn on_vm_start(&mut self, book_bytes: usize) -> bool {
        if RELEASE.with_borrow(Option::is_some) {
            return true;
        }
        let book = buffer(BufferType::VmConfiguration, book_bytes);
        match Release::<P>::load(book) {
            Ok(release) => {
                RELEASE.set(Some(Rc::new(release)));
                true
            }
            Err(error) => refused(&error),
        }
    }

    fn on_configure(&mut self, settings_bytes: usize) -> bool {
        let text = buffer(BufferType::PluginConfiguration, settings_bytes);
        let settings: Result<_, SettingsError> = Settings::read(&text);
        match (settings, RELEASE.with_borrow(Clone::clone)) {
            (Ok(settings), Some(release)) => {
                self.configured = Some((release, Rc::new(settings)));
                self.counters = Some(Counters {
                    priced: Counter::new("farebox.priced"),
                    unpriced: Counter::new("farebox.unpriced"),
                    faults: Counter::new("farebox.fault"),
                });
                true
            }
            (Err(error), _) => refused(&error),
            (Ok(_), None) => false,
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let (release, settings) = self.configured.clone()?;
        Some(Box::new(Call::new(release, settings, self.counters?)))
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
