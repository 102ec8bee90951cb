//! The standard policy as a proxy-wasm filter. A filter of another policy is this file with that
//! policy's name.

#[cfg(target_family = "wasm")]
farebox_envoy::export_filter!(farebox_standard::StandardPolicy);
