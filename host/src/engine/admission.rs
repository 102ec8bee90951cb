//! Which bytes may become a policy: a component of the contract's world that imports nothing.

use super::limits::Limits;
use super::v1_0_0;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// Why bytes are not admitted as a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// Larger than the class allows.
    #[error("the component has {bytes} bytes, more than the {bytes_max} of its class")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most its class allows.
        bytes_max: usize,
    },
    /// A core module, which has not been made a component yet.
    #[error("this is a core wasm module, not a component: build it with `farebox policy build`")]
    CoreModule,
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: a component begins with the bytes `00 61 73 6d`")]
    NotWasm,
    /// Cut off, or damaged.
    #[error("this is not a valid component: {0}")]
    Invalid(String),
    /// It imports functions or more. A policy imports nothing but types.
    #[error("a policy must not import anything, but this one imports {}", names.join(", "))]
    ImportsNotAllowed {
        /// What it imports.
        names: Vec<String>,
    },
    /// It exports the policy interface of a version that this host does not serve.
    #[error("the contract version of `{0}` is not known to this host")]
    UnknownContract(String),
    /// It does not export the policy interface.
    #[error("it does not export `{}`", v1_0_0::INTERFACE)]
    WrongWorld,
    /// It exports the policy interface's name with other functions or types.
    #[error("its `{interface}` is not the contract's: {reason}")]
    WrongInterface {
        /// The interface.
        interface: &'static str,
        /// What differs.
        reason: String,
    },
}

/// Compiles bytes to a component and checks that it may be a policy.
///
/// # Errors
/// See [`AdmissionError`].
pub fn admit(engine: &Engine, limits: &Limits, bytes: &[u8]) -> Result<Component, AdmissionError> {
    if bytes.len() > limits.component_bytes_max {
        return Err(AdmissionError::TooLarge {
            bytes: bytes.len(),
            bytes_max: limits.component_bytes_max,
        });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(AdmissionError::NotWasm);
    }
    // The layer field of the preamble: 0 is a core module, 1 a component.
    if bytes.starts_with(b"\0asm\x01\0\0\0") {
        return Err(AdmissionError::CoreModule);
    }
    let component = Component::from_binary(engine, bytes)
        .map_err(|error| AdmissionError::Invalid(one_line(&format!("{error:#}"))))?;
    check_world(engine, &component)?;
    Ok(component)
}

/// The compiler's words, which stand on several lines, on one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks imports and exports of a compiled component.
///
/// # Errors
/// `ImportsNotAllowed`, `UnknownContract` or `WrongWorld`.
pub fn check_world(engine: &Engine, component: &Component) -> Result<(), AdmissionError> {
    let ty = component.component_type();
    let names: Vec<String> = ty
        .imports(engine)
        .filter(|(_, import)| !is_only_types(engine, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect();
    if !names.is_empty() {
        return Err(AdmissionError::ImportsNotAllowed { names });
    }
    let mut other_version = None;
    for (name, _) in ty.exports(engine) {
        if name == v1_0_0::INTERFACE {
            return Ok(());
        }
        if name.starts_with("farebox:policy/policy@") {
            other_version = Some(name.to_owned());
        }
    }
    Err(other_version.map_or(AdmissionError::WrongWorld, AdmissionError::UnknownContract))
}

fn is_only_types(engine: &Engine, item: &ComponentItem) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .all(|(_, export)| matches!(export.ty, ComponentItem::Type(_))),
        _ => false,
    }
}
