//! The contract itself: it parses, it is documented, and the built guests keep its first promises.

use farebox_tests::guests;
use std::path::Path;
use wit_parser::{Docs, Resolve, TypeDefKind, WorldItem};

fn contract() -> Resolve {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/1.0.0");
    resolve.push_dir(folder).unwrap();
    resolve
}

#[test]
fn the_world_imports_nothing_and_exports_the_policy() {
    let resolve = contract();
    let (_, world) = resolve.worlds.iter().next().unwrap();
    assert_eq!(world.name, "farebox-policy");
    assert!(world.imports.is_empty());
    let exports: Vec<String> = world
        .exports
        .iter()
        .map(|(key, item)| {
            assert!(matches!(item, WorldItem::Interface { .. }));
            resolve.name_world_key(key)
        })
        .collect();
    assert_eq!(exports, ["farebox:policy/policy@1.0.0"]);
}

#[test]
fn everything_a_stranger_must_implement_is_documented() {
    let resolve = contract();
    let (_, interface) = resolve.interfaces.iter().next().unwrap();
    let mut bare = Vec::new();
    let mut look = |name: &str, docs: &Docs| {
        if docs.contents.is_none() {
            bare.push(name.to_owned());
        }
    };
    for (name, function) in &interface.functions {
        look(name, &function.docs);
    }
    for (name, id) in &interface.types {
        let ty = &resolve.types[*id];
        look(name, &ty.docs);
        if let TypeDefKind::Variant(variant) = &ty.kind {
            for case in &variant.cases {
                look(&format!("{name}.{}", case.name), &case.docs);
            }
        }
    }
    assert!(bare.is_empty(), "without documentation: {bare:?}");
}

#[test]
fn the_standard_policy_is_small_and_imports_nothing() {
    let bytes = guests::component(guests::STANDARD);
    assert!(bytes.len() < 512 << 10, "{} bytes", bytes.len());
    let decoded = wit_component::decode(&bytes).unwrap();
    let resolve = decoded.resolve();
    let (_, world) = resolve.worlds.iter().next().unwrap();
    assert!(world.imports.is_empty(), "{:?}", world.imports);
}
