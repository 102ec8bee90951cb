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
        const _: () = {
            #[global_allocator]
            static BLOCKS: $crate::allocator::Blocks = $crate::allocator::Blocks::new();
            type Exported = $crate::component::v1_0_0::Exported<$policy>;
            $crate::component::v1_0_0::bindings::export!(
                Exported with_types_in $crate::component::v1_0_0::bindings
            );
        };
    };
}
