//! The leases that all workers of the proxy share: changed by compare-and-swap, under a hash of the
//! customer's key, the build of the filter, and the books that its calls can be priced by.
//!
//! The proxy keeps what is shared for as long as it runs and cannot take it out again. So keys share
//! a fixed number of entries ([`place`]).

use crate::hash;
use crate::identity;
use crate::lease::{Leases, place};
use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;
use std::rc::Rc;

/// How often a change is tried before it is given up. Each failure is another worker's success.
const TRIES_MAX: u32 = 10_000;
/// The version that an entry is made under: the proxy makes one under any, and refuses to change
/// one under another than its own. It counts versions from one, a change each.
const ABSENT: u32 = u32::MAX;

/// Where the leases of a key are shared, among filters of this build that have this host and these
/// books: what was granted to one build is not another's to spend.
pub fn name(key: &str, host: &str, books: &str) -> Rc<str> {
    let short = |digest: &str| digest.chars().take(16).collect::<String>();
    let (filter, books) = (short(identity::filter()), short(books));
    let key = hash::hex(key.as_bytes());
    format!("farebox:{host}:{filter}:{books}:{key}").into()
}

/// The leases as they are now.
pub fn read(name: &str) -> Leases {
    let (bytes, _) = hostcalls::get_shared_data(&place::place(name)).unwrap_or_default();
    place::read(&bytes.unwrap_or_default(), name)
}

/// Changes the leases in one step. `change` may be asked several times, and only its last answer
/// counts; `None` changes nothing.
pub fn change<T>(name: &str, mut change: impl FnMut(&mut Leases) -> Option<T>) -> Option<T> {
    let place = place::place(name);
    for _ in 0..TRIES_MAX {
        let (bytes, version) = hostcalls::get_shared_data(&place).unwrap_or_default();
        let bytes = bytes.unwrap_or_default();
        let mut leases = place::read(&bytes, name);
        let answer = change(&mut leases)?;
        let version = version.unwrap_or(ABSENT);
        let bytes = place::with(&bytes, name, &leases);
        match hostcalls::set_shared_data(&place, Some(&bytes), Some(version)) {
            Ok(()) => return Some(answer),
            Err(Status::CasMismatch) => {}
            Err(_) => return None,
        }
    }
    None
}
