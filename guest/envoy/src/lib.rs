//! A pricing policy as a proxy-wasm filter: any implementor of [`farebox_sdk::Policy`] becomes one
//! by [`export_filter!`], as it becomes a component by `farebox_sdk::export_component!`.
//!
//! The filter reads what a call used from its answer as it passes, asks the policy for the price,
//! checks it as the host does, and tells it to the caller: in headers where a small JSON body may
//! be held back, in a comment at the end of an event stream, in trailers where the protocol has
//! them, and in the proxy's own record of the call.
//!
//! - [`settings`]: what the operator says of the upstreams.
//! - [`release`]: the policy with its book, and what is asked of it.
//! - [`shelf`]: the books of a VM, of which the host says which one prices a call.
//! - [`ending`]: the last event of a stream that is cut off.
//! - [`exchange`]: one call, from its request to its price. Plain data in, plain data out.
//! - [`host`]: what is said to the host that keeps the ledger, and what its answers mean.
//! - [`identity`]: which build of the filter this is.
//! - [`path`]: the model that a path names.
//! - [`parting`]: how a call ended, by the proxy's word for it.
//! - [`lease`]: what is leased from the host, and what calls take of it.
//! - [`queue`]: reports that wait for the host.
//! - [`handed`]: what is left to whoever takes this filter's place.
//! - [`digest`]: what is kept of a stream so that the host can read its usage again.
//! - [`naming`]: the model's name in a request, and another in its place.
//! - [`boundary`]: where a stream of events stands, and so where a comment may.
//! - [`telling`]: the price as text.
//! - [`watch`]: whether a stream has passed what is put aside for it.
//! - `callbacks`: the proxy's callbacks, and nothing else. Only for wasm.
//!
//! Arithmetic and rules are the policy's and `farebox_pricing`'s; how usage is read is
//! `farebox_usage`'s. Nothing here may know wallets: the host is the one authority on money.

pub mod boundary;
#[cfg(target_family = "wasm")]
pub mod callbacks;
pub mod digest;
pub mod ending;
pub mod exchange;
pub mod handed;
mod hash;
pub mod host;
pub mod identity;
pub mod lease;
mod moment;
pub mod naming;
pub mod parting;
pub mod path;
pub mod queue;
pub mod release;
pub mod settings;
pub mod shelf;
pub mod telling;
pub mod watch;

/// Exports a [`farebox_sdk::Policy`] as a proxy-wasm filter (ABI 0.2.1). Write it once, at the root
/// of a `cdylib` crate, under `#[cfg(target_family = "wasm")]`. It also installs
/// `farebox_sdk::allocator::Blocks` as the module's allocator.
#[macro_export]
macro_rules! export_filter {
    ($policy:ty) => {
        const _: () = {
            #[global_allocator]
            static BLOCKS: $crate::callbacks::Blocks = $crate::callbacks::Blocks::new();

            // SAFETY: the name that the proxy calls first; nothing else here has it.
            #[unsafe(no_mangle)]
            extern "C" fn _initialize() {
                $crate::callbacks::start::<$policy>();
            }
        };
    };
}
