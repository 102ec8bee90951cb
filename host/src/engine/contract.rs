//! Which versions of the contract a host serves, and what serving one means.
//!
//! A component says its version by the name of what it exports. The version is read once, from the
//! bytes, and from there on nothing asks for it: a [`Contract`] links the component, and what it
//! gives speaks the domain's types whatever the guest speaks. So a version is one module that knows
//! one set of bindings, and a line in [`Contracts::released`]. Must not know any version's types.

use super::admission::AdmissionError;
pub use super::instance::{Guard, Malformed};
use crate::service::policy::RateRequest;
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};
use wasmparser::{
    Chunk, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType,
    ComponentTypeRef, InstanceTypeDeclaration, Parser, Payload,
};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, bail};

/// What the interface of the contract is called in a component, before its version.
pub const INTERFACE: &str = "farebox:policy/policy@";

/// The function by which a prepared component says where a policy lies.
pub const PLACE_OF: &str = "prepared-place-of";

/// The function by which a prepared component makes a handle of what lies there.
pub const AT_PLACE: &str = "prepared-at-place";

/// The section by which a guest says that it frees nothing of what it is asked.
const ARGUMENTS_SECTION: &str = "farebox:arguments";
/// What that section says.
const OF_THE_CALL: &[u8] = b"of the call";

/// Whose what the host writes for a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The guest's own, piece by piece, as the canonical ABI has it.
    Owned,
    /// The call's: the guest frees none of it, so all of it may lie in one block. A guest that says so
    /// and frees some all the same harms its own memory alone.
    OfTheCall,
}

impl Arguments {
    /// What a component says, in a custom section of any module in it.
    pub fn of(component: &[u8]) -> Self {
        let payloads = Parser::new(0).parse_all(component);
        let said = payloads.map_while(Result::ok).any(|payload| {
            matches!(payload, Payload::CustomSection(section)
                if section.name() == ARGUMENTS_SECTION && section.data() == OF_THE_CALL)
        });
        match said {
            true => Self::OfTheCall,
            false => Self::Owned,
        }
    }
}

/// A version of the contract.
pub trait Contract: Send + Sync {
    /// The version, such as `1.0.0`.
    fn version(&self) -> &'static str;

    /// Type-checks the exports of a component that names this version.
    ///
    /// # Errors
    /// What it exports is not what the contract says.
    fn link(&self, component: InstancePre<Guard>) -> wasmtime::Result<Box<dyn Linked>>;

    /// Gives the book to an instance whose state is to be kept, and finds where in it the policy
    /// lies. The component has the function [`PLACE_OF`].
    ///
    /// # Errors
    /// The guest failed or refuses the book, or policies of this version are not prepared.
    fn load_for_good(
        &self,
        _component: InstancePre<Guard>,
        _store: &mut Store<Guard>,
        _canonical_book: &[u8],
    ) -> wasmtime::Result<(Instance, u32)> {
        bail!("policies of version {} are not prepared", self.version())
    }

    /// The same as [`Self::link`] for a component that has its book, and the function [`AT_PLACE`].
    ///
    /// # Errors
    /// What it exports is not what the contract says.
    fn link_prepared(
        &self,
        _component: InstancePre<Guard>,
        _place: u32,
    ) -> wasmtime::Result<Box<dyn Linked>> {
        bail!("policies of version {} are not prepared", self.version())
    }
}

/// A component whose exports are the contract's.
pub trait Linked: Send + Sync {
    /// Instantiates it and loads the book, unless it has it.
    ///
    /// # Errors
    /// The guest failed, or there is no room for it; inside, it does not take the book.
    fn load(
        &self,
        store: &mut Store<Guard>,
        canonical_book: &[u8],
    ) -> wasmtime::Result<Result<Box<dyn Loaded>, ConfigError>>;
}

/// The call failed, or its answer is no value of the contract, or it is answered.
pub type Called<T> = wasmtime::Result<Result<T, Malformed>>;

/// What is answered to an event, or to a request.
pub type Answer<T> = Result<T, Refusal>;

/// A policy with its book loaded, inside a store.
pub trait Loaded: Send {
    /// The worst case of a call.
    ///
    /// # Errors
    /// The guest failed.
    fn quote(
        &self,
        store: &mut Store<Guard>,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Called<Answer<Quote>>;

    /// The price of one event.
    ///
    /// # Errors
    /// The guest failed.
    fn rate(
        &self,
        store: &mut Store<Guard>,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Called<Answer<Rating>>;

    /// The prices of many events, in one call.
    ///
    /// # Errors
    /// The guest failed.
    fn rate_batch(
        &self,
        store: &mut Store<Guard>,
        requests: &[RateRequest<'_>],
    ) -> Called<Vec<Answer<Rating>>>;

    /// A page of the rate card.
    ///
    /// # Errors
    /// The guest failed.
    fn rate_card(
        &self,
        store: &mut Store<Guard>,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Called<Answer<RateCardPage>>;

    /// What the policy says of itself.
    ///
    /// # Errors
    /// The guest failed.
    fn describe(&self, store: &mut Store<Guard>) -> Called<Description>;
}

/// The versions that a host serves, all at once.
pub struct Contracts(Vec<&'static dyn Contract>);

impl Contracts {
    /// Those that are released.
    pub fn released() -> Self {
        Self(vec![&super::v1_0_0::V1_0_0])
    }

    /// One more.
    pub fn add(&mut self, contract: &'static dyn Contract) {
        self.0.push(contract);
    }

    /// The one that a component speaks; nothing where it names none, or is damaged.
    ///
    /// # Errors
    /// `UnknownContract`, `SeveralContracts`.
    pub fn of(&self, component: &[u8]) -> Result<Option<&'static dyn Contract>, AdmissionError> {
        let Some(version) = spoken(component)? else {
            return Ok(None);
        };
        let served = self.0.iter().find(|served| served.version() == version);
        let unknown = || AdmissionError::UnknownContract {
            version: version.to_owned(),
            served: self.names(),
        };
        served.copied().map(Some).ok_or_else(unknown)
    }

    /// Their versions, for people.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|served| served.version()).collect();
        names.join(", ")
    }
}

/// The version of the contract that a component exports, whether anyone serves it or not. Nothing
/// where it exports none, or is damaged: that is found out when it is compiled.
///
/// # Errors
/// `SeveralContracts`: what such a component is asked would depend on who asks.
pub fn spoken(component: &[u8]) -> Result<Option<&str>, AdmissionError> {
    let mut read = Read::default();
    read.all(component);
    match *read.versions.as_slice() {
        [] => Ok(None),
        [version] => Ok(Some(version)),
        ref versions => Err(AdmissionError::SeveralContracts {
            versions: versions.iter().copied().map(str::to_owned).collect(),
        }),
    }
}

/// What a component imports that is more than types, as far as can be told without compiling it.
pub fn imports(component: &[u8]) -> Vec<String> {
    let mut read = Read::default();
    read.all(component);
    read.imports
}

/// What the outermost component says of itself.
#[derive(Default)]
struct Read<'a> {
    versions: Vec<&'a str>,
    imports: Vec<String>,
    /// Of each type in the order of their indices: whether it is an instance that has more than types.
    types: Vec<Option<bool>>,
}

impl<'a> Read<'a> {
    fn all(&mut self, component: &'a [u8]) {
        // What cannot be read any further is left to the compiler.
        let _whole = walk(component, |payload| self.section(payload));
    }

    fn section(&mut self, payload: Payload<'a>) {
        match payload {
            Payload::ComponentExportSection(exports) => {
                for export in exports.into_iter().flatten() {
                    self.versions
                        .extend(export.name.name.strip_prefix(INTERFACE));
                    // What is exported has an index of its own.
                    if export.kind == ComponentExternalKind::Type {
                        self.types.push(None);
                    }
                }
            }
            Payload::ComponentTypeSection(types) => {
                for ty in types.into_iter().flatten() {
                    self.types.push(has_more_than_types(&ty));
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.into_iter().flatten() {
                    let is_type = match alias {
                        ComponentAlias::InstanceExport { kind, .. } => {
                            kind == ComponentExternalKind::Type
                        }
                        ComponentAlias::Outer { kind, .. } => kind == ComponentOuterAliasKind::Type,
                        ComponentAlias::CoreInstanceExport { .. } => false,
                    };
                    if is_type {
                        self.types.push(None);
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.into_iter().flatten() {
                    self.import(import.name.name, import.ty);
                }
            }
            _ => {}
        }
    }

    fn import(&mut self, name: &str, ty: ComponentTypeRef) {
        let is_refused = match ty {
            ComponentTypeRef::Type(_) => {
                self.types.push(None);
                false
            }
            // Of a type that is not told here the compiler tells.
            ComponentTypeRef::Instance(index) => usize::try_from(index)
                .ok()
                .and_then(|index| *self.types.get(index)?)
                .unwrap_or_default(),
            _ => true,
        };
        if is_refused {
            self.imports.push(name.to_owned());
        }
    }
}

/// Whether an instance's type has more than types; nothing where it is another kind of type.
fn has_more_than_types(ty: &ComponentType<'_>) -> Option<bool> {
    let ComponentType::Instance(parts) = ty else {
        return None;
    };
    let is_more = |part: &InstanceTypeDeclaration<'_>| {
        let InstanceTypeDeclaration::Export { ty, .. } = part else {
            return false;
        };
        !matches!(ty, ComponentTypeRef::Type(_))
    };
    Some(parts.iter().any(is_more))
}

/// Shows the sections of a component, but not of what is inside it, as far as the bytes can be read.
pub fn walk<'a>(component: &'a [u8], mut see: impl FnMut(Payload<'a>)) -> Option<()> {
    let mut parser = Parser::new(0);
    let mut rest = component;
    loop {
        let Ok(Chunk::Parsed {
            mut consumed,
            payload,
        }) = parser.parse(rest, true)
        else {
            return None;
        };
        match payload {
            // What is inside exports to the component, not from it.
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => {
                let inside = unchecked_range.end.checked_sub(unchecked_range.start)?;
                consumed = consumed.checked_add(usize::try_from(inside).ok()?)?;
            }
            Payload::End(_) => return Some(()),
            seen => see(seen),
        }
        rest = rest.get(consumed..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component that exports an empty instance by each of these names.
    fn exporting(names: &[&str]) -> Vec<u8> {
        let export = |name: &&str| format!(r#"(export "{name}" (instance $none))"#);
        let exports: String = names.iter().map(export).collect();
        // What stands inside a nested component is nobody's export.
        let inner =
            r#"(component (instance $i) (export "farebox:policy/policy@9.0.0" (instance $i)))"#;
        wat::parse_str(format!("(component {inner} (instance $none) {exports})")).unwrap()
    }

    fn of(names: &[&str]) -> Result<Option<&'static str>, AdmissionError> {
        let contract = Contracts::released().of(&exporting(names))?;
        Ok(contract.map(Contract::version))
    }

    #[test]
    fn the_version_is_that_of_the_export_to_the_letter() {
        let one = "farebox:policy/policy@1.0.0";
        assert_eq!(of(&[one]), Ok(Some("1.0.0")));
        assert_eq!(of(&["another:thing/policy@1.0.0", one]), Ok(Some("1.0.0")));
        assert_eq!(of(&["another:thing/policy@1.0.0"]), Ok(None));
        for version in ["1.0.1", "1.1.0", "2.0.0", "1.0.0-rc.1", "0.9.0"] {
            let name = format!("{INTERFACE}{version}");
            let error = of(&[&name]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("it speaks version `{version}` of the contract; this host serves 1.0.0")
            );
        }
    }

    #[test]
    fn a_component_of_two_versions_is_refused_whoever_serves_them() {
        let names = ["farebox:policy/policy@1.0.0", "farebox:policy/policy@1.1.0"];
        let error = of(&names).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it exports several versions of the contract: 1.0.0, 1.1.0; a policy speaks one"
        );
    }

    #[test]
    fn what_is_damaged_speaks_no_version() {
        let name = "farebox:policy/policy@1.0.0";
        let whole = exporting(&[name]);
        assert_eq!(spoken(&whole), Ok(Some("1.0.0")));
        let at = |window: &[u8]| window == name.as_bytes();
        let at = whole.windows(name.len()).position(at).unwrap();
        assert_eq!(spoken(&whole[..at + name.len() - 1]), Ok(None));
        assert_eq!(spoken(b"no component"), Ok(None));
    }
}
