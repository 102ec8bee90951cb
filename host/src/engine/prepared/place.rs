//! Two functions that a component is given for its snapshot: one says where in its memory a policy
//! lies, the other makes a handle of what lies there.
//!
//! A handle belongs to an instance and not to its memory, so the one that `load` gave is gone with
//! its instance. What it stood for is an address in the guest's memory (the *representation* of the
//! resource), and that is in the snapshot. The component model has both ways as functions of its own,
//! `resource.rep` and `resource.new`, so nothing of the guest's code is changed
//! (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>).

use super::super::contract::{self, AT_PLACE, PLACE_OF};
use wasm_encoder::{
    CanonicalFunctionSection, CanonicalOption, ComponentExportKind, ComponentExportSection,
    ComponentSection as _, ComponentTypeSection, ComponentValType, PrimitiveValType,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind,
    ComponentType, ExternalKind, Payload,
};
use wasmtime::{Result, bail};

/// Under what name the resource is exported once more: a function may only name what is exported.
const RESOURCE: &str = "prepared-policy";

/// The same component, with the two functions.
pub fn tell(component: &[u8]) -> Result<Vec<u8>> {
    let mut count = Count::default();
    let whole = contract::walk(component, |payload| count.section(payload));
    let (Some(()), &[resource]) = (whole, count.resources.as_slice()) else {
        bail!("not one resource of its own, but {}", count.resources.len())
    };
    let own = |number: u32| ComponentValType::Type(count.types.saturating_add(number));
    let place = || ComponentValType::Primitive(PrimitiveValType::U32);
    let mut resources = ComponentExportSection::new();
    resources.export(RESOURCE, ComponentExportKind::Type, resource, None);
    let mut types = ComponentTypeSection::new();
    types.defined_type().own(count.types);
    let params = [("place", place())];
    types.function().params(params).result(Some(own(1)));
    let params = [("policy", own(1))];
    types.function().params(params).result(Some(place()));
    let (at_place, place_of) = (count.types.saturating_add(2), count.types.saturating_add(3));
    let mut functions = CanonicalFunctionSection::new();
    functions.resource_new(resource).resource_rep(resource);
    let none: [CanonicalOption; 0] = [];
    functions.lift(count.core_functions, at_place, none).lift(
        count.core_functions.saturating_add(1),
        place_of,
        none,
    );
    let mut exports = ComponentExportSection::new();
    let function = ComponentExportKind::Func;
    exports.export(AT_PLACE, function, count.functions, None);
    // What is exported has an index of its own, after all that are made.
    let second = count.functions.saturating_add(1);
    exports.export(PLACE_OF, function, second, None);
    let mut told = component.to_vec();
    resources.append_to_component(&mut told);
    types.append_to_component(&mut told);
    functions.append_to_component(&mut told);
    exports.append_to_component(&mut told);
    Ok(told)
}

/// How many of each kind a component has, which is the index of the next.
#[derive(Default)]
struct Count {
    types: u32,
    functions: u32,
    core_functions: u32,
    resources: Vec<u32>,
}

impl Count {
    fn section(&mut self, payload: Payload<'_>) {
        match payload {
            Payload::ComponentTypeSection(types) => {
                for ty in types.into_iter().flatten() {
                    if matches!(ty, ComponentType::Resource { .. }) {
                        self.resources.push(self.types);
                    }
                    one_more(&mut self.types);
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.into_iter().flatten() {
                    self.item(import.ty.kind());
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.into_iter().flatten() {
                    self.item(export.kind);
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.into_iter().flatten() {
                    self.alias(alias);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.into_iter().flatten() {
                    one_more(match function {
                        CanonicalFunction::Lift { .. } => &mut self.functions,
                        _ => &mut self.core_functions,
                    });
                }
            }
            _ => {}
        }
    }

    fn item(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Type => one_more(&mut self.types),
            ComponentExternalKind::Func => one_more(&mut self.functions),
            _ => {}
        }
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind, .. } => self.item(kind),
            ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Func,
                ..
            } => one_more(&mut self.core_functions),
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Type,
                ..
            } => one_more(&mut self.types),
            _ => {}
        }
    }
}

fn one_more(count: &mut u32) {
    *count = count.saturating_add(1);
}
