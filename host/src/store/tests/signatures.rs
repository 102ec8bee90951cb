//! Signatures and pinned keys in the store: what the writer itself refuses to bind.

use super::*;
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::releases::{
    BindTo, BindingChange, BindingScope, ReleaseParts, ReleaseRecord,
};
use crate::service::policy::{Digest as Content, LimitClass, ReleaseId, Trust};
use crate::service::signature::{PinnedKey, PinnedKeys, SecretKey, Signature, Statement};

fn release() -> ReleaseId {
    ReleaseId {
        component: Content([7; 32]),
        book: Content([8; 32]),
    }
}

fn signature(number: u8) -> Signature {
    let statement = Statement::new(release(), "1.0.0", LimitClass::Native).unwrap();
    SecretKey::from_seed(&[number; 32]).sign(&statement)
}

fn push(house: &House, signed: &[u8]) {
    let write = DirectoryWrite::AdmitRelease {
        release: ReleaseRecord {
            id: release(),
            name: "signed".into(),
            contract: "1.0.0".into(),
            class: LimitClass::Native,
            trust: Trust::Untrusted,
            component_bytes: 0,
            book_bytes: 0,
            admitted_at_ms: 0,
            admitted_by: Box::default(),
            revoked: None,
            signatures: Vec::new(),
            filters: Vec::new(),
        },
        parts: ReleaseParts {
            component: b"component".as_slice().into(),
            book: b"book".as_slice().into(),
            book_source: None,
            signatures: signed.iter().copied().map(signature).collect(),
            filters: [].into(),
        },
    };
    house.write(Action::Directory(write)).unwrap();
}

fn pin(house: &House, deployment: Deployment, numbers: &[u8]) {
    let key = |number: &u8| PinnedKey {
        name: format!("key-{number}").into(),
        key: SecretKey::from_seed(&[*number; 32]).public(),
    };
    let keys = PinnedKeys::new(numbers.iter().map(key).collect()).unwrap();
    let write = DirectoryWrite::PinKeys {
        deployment,
        keys: keys.clone(),
    };
    house.write(Action::Directory(write)).unwrap();
    assert_eq!(house.store.pinned_keys(deployment).unwrap(), keys);
}

/// Binds the release in a deployment; the word why not.
fn bind(house: &House, deployment: Deployment) -> Result<(), &'static str> {
    let scope = BindingScope::everyone(deployment);
    let change = BindingChange {
        to: BindTo::Release(release()),
        expected: house.store.bindings().bound(&scope),
        scope: scope.clone(),
        beside: None,
        why: None,
    };
    match house.write(Action::Directory(DirectoryWrite::Bind(change))) {
        Ok(_) => Ok(()),
        Err(WriteError::Directory(DirectoryRefusal::ReleaseNotSigned {
            release: refused,
            scope: there,
            error,
        })) => {
            assert_eq!((*refused, *there), (release(), scope));
            Err(error.reason())
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn pinned_keys_are_of_their_deployment_and_the_last_ones_hold() {
    let house = House::new();
    let (hosted, own) = (Deployment::Hosted, Deployment::SelfHosted);
    push(&house, &[]);
    pin(&house, hosted, &[1]);
    assert_eq!(bind(&house, hosted), Err("unsigned"));
    assert_eq!(bind(&house, own), Ok(()));
    push(&house, &[2]);
    assert_eq!(bind(&house, hosted), Err("signature_unknown_key"));
    pin(&house, hosted, &[1, 2]);
    assert_eq!(bind(&house, hosted), Ok(()));
    pin(&house, own, &[1]);
    assert_eq!(bind(&house, own), Err("signature_unknown_key"));
    pin(&house, own, &[]);
    assert_eq!(bind(&house, own), Ok(()));
    // The newest change of keys holds, also when it is to earlier ones.
    pin(&house, hosted, &[1]);
    assert_eq!(bind(&house, hosted), Err("signature_unknown_key"));
}

#[test]
fn a_release_keeps_each_signature_with_who_pushed_it_first() {
    let mut house = House::new();
    push(&house, &[2]);
    push(&house, &[1, 2]);
    push(&house, &[]);
    for _ in 0..2 {
        let kept = house.store.releases().unwrap().remove(0).signatures;
        let signatures: Vec<_> = kept.iter().map(|kept| kept.signature.clone()).collect();
        let parts = house.store.release_parts(&release()).unwrap().unwrap();
        assert_eq!(*parts.signatures, *signatures);
        let mut expected = vec![signature(1), signature(2)];
        expected.sort_by_key(|signature| signature.key);
        assert_eq!(signatures, expected);
        assert!(kept.iter().all(|kept| &*kept.by == "admin:test"));
        house.reopen();
    }
}
