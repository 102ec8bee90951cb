//! The proxy's callbacks: the only code that names `proxy_wasm`.
//!
//! They carry bytes and words between the proxy and [`crate::exchange`] and decide nothing. Headers
//! are read as bytes: the library's readers of text end the VM at the first that is no UTF-8.

mod attempt;
mod cut;
mod hold;
mod http;
mod leased;
mod leases;
mod levels;
mod proxy;
mod root;
mod shared;

pub use farebox_sdk::allocator::Blocks;

use farebox_sdk::Policy;
use root::Root;

/// What the module's `_initialize` does: from now on the proxy is answered by this policy.
pub fn start<P: Policy>() {
    proxy_wasm::set_root_context(|id| Box::new(Root::<P>::new(id)));
}
