//! The limit class that a component declares, in a custom section of its own.
//!
//! It stands *inside* the component, at its end, so the component's digest covers it: the same rules
//! under other limits are another release, and nobody can push one and have it run as the other. A
//! component that declares nothing is judged by its size. Must not know what a class allows beyond
//! that size.

use crate::service::policy::LimitClass;
use wasm_encoder::{ComponentSection as _, CustomSection};

/// The section that holds the name of the class.
pub const LIMITS_SECTION: &str = "farebox:limits";

/// The class whose name the section holds.
pub fn read(data: &[u8]) -> Option<LimitClass> {
    let mut classes = LimitClass::ALL.into_iter();
    classes.find(|class| class.name().as_bytes() == data)
}

/// The class that a component of [`super::package::Package`] declares at its end.
pub fn of(component: &[u8]) -> Option<LimitClass> {
    let mut classes = LimitClass::ALL.into_iter();
    classes.find(|class| component.ends_with(&section(*class)))
}

/// Lets a component declare a class, in place of the one that it declares.
pub fn declare(component: &mut Vec<u8>, class: LimitClass) {
    if let Some(old) = of(component) {
        let kept = component.len().saturating_sub(section(old).len());
        component.truncate(kept);
    }
    component.extend(section(class));
}

fn section(class: LimitClass) -> Vec<u8> {
    let mut bytes = Vec::new();
    CustomSection {
        name: LIMITS_SECTION.into(),
        data: class.name().as_bytes().into(),
    }
    .append_to_component(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::package::{Package, PackageError};
    use super::*;

    fn component() -> Vec<u8> {
        wat::parse_str("(component (core module))").unwrap()
    }

    #[test]
    fn a_class_is_declared_once_and_can_be_declared_anew() {
        let mut declared = component();
        assert_eq!(of(&declared), None);
        assert_eq!(LimitClass::of(&declared), LimitClass::Native);
        for class in LimitClass::ALL {
            declare(&mut declared, class);
            assert_eq!(of(&declared), Some(class));
            assert_eq!(LimitClass::of(&declared), class);
            assert_eq!(declared, [component(), section(class)].concat());
        }
    }

    #[test]
    fn what_declares_nothing_is_judged_by_its_size() {
        let large = vec![0; LimitClass::Native.limits().component_bytes_max + 1];
        assert_eq!(LimitClass::of(&large), LimitClass::Scripted);
    }

    #[test]
    fn the_section_is_of_the_component_wherever_it_stands() {
        let scripted = section(LimitClass::Scripted);
        let whole = component();
        let (preamble, body) = whole.split_at(8);
        let moved = [preamble, &scripted, body].concat();
        let package = Package::open(&moved).unwrap();
        assert_eq!(
            package.component,
            [whole.clone(), scripted.clone()].concat()
        );
        let twice = [whole.clone(), scripted.clone(), scripted].concat();
        assert_eq!(
            Package::open(&twice),
            Err(PackageError::SectionTwice(LIMITS_SECTION))
        );
        let mut unknown = whole;
        CustomSection {
            name: LIMITS_SECTION.into(),
            data: b"boundless".as_slice().into(),
        }
        .append_to_component(&mut unknown);
        let error = Package::open(&unknown).unwrap_err();
        assert_eq!(error.to_string(), "`boundless` is no limit class");
    }
}
