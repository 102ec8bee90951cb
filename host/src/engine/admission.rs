//! Which bytes may become a policy: a component of the contract's world that imports nothing.

use super::compiler::Exceeded;
use super::contract;
use super::limits::Limits;
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
    /// It takes the compiler more than a component may.
    #[error(
        "compiling it takes more than {0}, which is all that a component of its class may take"
    )]
    CompileLimit(Exceeded),
    /// The compiler ended without a result.
    #[error("the compiler ended without a result: {0}")]
    CompilerFailed(String),
    /// There is no compiler now, whatever the component is.
    #[error("no compiler can run now: {0}")]
    NoCompiler(String),
    /// It imports functions or more. A policy imports nothing but types.
    #[error("a policy must not import anything, but this one imports {}", names.join(", "))]
    ImportsNotAllowed {
        /// What it imports.
        names: Vec<String>,
    },
    /// It exports the policy interface of a version that this host does not serve.
    #[error("it speaks version `{version}` of the contract; this host serves {served}")]
    UnknownContract {
        /// The version it exports.
        version: String,
        /// The versions that are served.
        served: String,
    },
    /// It exports the policy interface in several versions.
    #[error("it exports several versions of the contract: {}; a policy speaks one", versions.join(", "))]
    SeveralContracts {
        /// The versions it exports.
        versions: Vec<String>,
    },
    /// It does not export the policy interface.
    #[error(
        "it does not export `{}` in a version that this host serves: {served}",
        interface()
    )]
    WrongWorld {
        /// The versions that are served.
        served: String,
    },
    /// It exports the policy interface's name with other functions or types.
    #[error("its `{}` {version} is not the contract's: {reason}", interface())]
    WrongInterface {
        /// The version it exports.
        version: &'static str,
        /// What differs.
        reason: String,
    },
}

/// What the interface of the contract is called, whatever its version.
fn interface() -> &'static str {
    contract::INTERFACE.trim_end_matches('@')
}

/// Looks at bytes before they are compiled.
///
/// # Errors
/// `TooLarge`, `NotWasm` or `CoreModule`.
pub fn check_bytes(limits: &Limits, bytes: &[u8]) -> Result<(), AdmissionError> {
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
    Ok(())
}

/// The compiler's words, which stand on several lines, on one.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses what plainly imports something, before anything is compiled for it.
///
/// # Errors
/// `ImportsNotAllowed`.
pub fn check_import_names(component: &[u8]) -> Result<(), AdmissionError> {
    let names = contract::imports(component);
    if names.is_empty() {
        Ok(())
    } else {
        Err(AdmissionError::ImportsNotAllowed { names })
    }
}

/// Checks the imports of a compiled component.
///
/// # Errors
/// `ImportsNotAllowed`.
pub fn check_imports(engine: &Engine, component: &Component) -> Result<(), AdmissionError> {
    let ty = component.component_type();
    let names: Vec<String> = ty
        .imports(engine)
        .filter(|(_, import)| !is_only_types(engine, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(AdmissionError::ImportsNotAllowed { names })
    }
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
