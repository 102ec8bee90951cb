//! Exports a [`crate::Policy`] as a component: one module per version of the contract.
//!
//! All released versions stay alive side by side; a policy is exported for one of them.

pub mod v1_0_0;

/// Exports a [`crate::Policy`] as a component of the world
/// `farebox:policy/farebox-policy@1.0.0`. Write it once, at the root of a `cdylib` crate, under
/// `#[cfg(target_family = "wasm")]`. It also installs [`crate::allocator::Blocks`] as the module's
/// allocator.
#[macro_export]
macro_rules! export_component {
    ($policy:ty) => {
        // SAFETY: these are the functions of the contract by the names of its canonical ABI; the
        // host calls them with what `Exported` asks for.
        const _: () = {
            use $crate::component::v1_0_0::{self as contract, Exported, Handle, abi};

            #[global_allocator]
            static BLOCKS: $crate::allocator::Blocks = $crate::allocator::Blocks::new();

            #[unsafe(link_section = "component-type:farebox:policy@1.0.0")]
            #[doc(hidden)]
            pub static COMPONENT_TYPE: [u8; contract::COMPONENT_TYPE.len()] =
                *contract::COMPONENT_TYPE;

            // What the host writes for a call is the call's (`memory`): it may write all in one block.
            #[unsafe(link_section = "farebox:arguments")]
            #[doc(hidden)]
            pub static ARGUMENTS: [u8; contract::ARGUMENTS.len()] = *contract::ARGUMENTS;

            #[link(wasm_import_module = "[export]farebox:policy/policy@1.0.0")]
            unsafe extern "C" {
                #[link_name = "[resource-new]policy"]
                fn own(policy: *mut $policy) -> Handle;
            }

            unsafe fn owned(policy: *mut $policy) -> Handle {
                unsafe { own(policy) }
            }

            #[unsafe(export_name = "cabi_realloc")]
            unsafe extern "C" fn reallocate(
                old: *mut u8,
                old_bytes: usize,
                align: usize,
                bytes: usize,
            ) -> *mut u8 {
                unsafe { contract::reallocate(old, old_bytes, align, bytes) }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[dtor]policy")]
            unsafe extern "C" fn give_up(policy: *mut $policy) {
                unsafe { Exported::<$policy>::drop(policy) }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[static]policy.load")]
            unsafe extern "C" fn load(book: *mut u8, book_bytes: usize) -> *const u8 {
                unsafe { Exported::<$policy>::load(book, book_bytes, owned).cast() }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[method]policy.quote")]
            unsafe extern "C" fn quote(arguments: *const u8) -> *const u8 {
                unsafe { Exported::<$policy>::quote(arguments.cast()).cast() }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[method]policy.rate")]
            unsafe extern "C" fn rate(arguments: *const u8) -> *const u8 {
                unsafe { Exported::<$policy>::rate(arguments.cast()).cast() }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[method]policy.rate-batch")]
            unsafe extern "C" fn rate_batch(
                policy: *const $policy,
                callers: *const abi::Caller,
                callers_len: usize,
                requests: *const abi::BatchRequest,
                requests_len: usize,
            ) -> *const u8 {
                let callers = abi::List {
                    at: callers,
                    len: callers_len,
                };
                let requests = abi::List {
                    at: requests,
                    len: requests_len,
                };
                unsafe { Exported::<$policy>::rate_batch(policy, callers, requests).cast() }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[method]policy.rate-card")]
            unsafe extern "C" fn rate_card(arguments: *const u8) -> *const u8 {
                unsafe { Exported::<$policy>::rate_card(arguments.cast()).cast() }
            }

            #[unsafe(export_name = "farebox:policy/policy@1.0.0#[method]policy.describe")]
            unsafe extern "C" fn describe(policy: *const $policy) -> *const u8 {
                unsafe { Exported::<$policy>::describe(policy).cast() }
            }
        };
    };
}
