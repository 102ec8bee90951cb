//! Releases and bindings in the store: one release for the same bytes, one winner of two operators,
//! a history that only grows, and everybody sees one moment.

use super::*;
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::releases::{
    BindTo, BindingChange, BindingScope, ChangeKind, ChangeRecord, ReleaseParts, ReleaseRecord,
    ScopePart,
};
use crate::service::ledger::view::PageRequest;
use crate::service::policy::{Digest as Content, LimitClass, ReleaseId, Trust};
use std::time::Duration;

fn id_of(number: u8) -> ReleaseId {
    ReleaseId {
        component: Content([7; 32]),
        book: Content([number; 32]),
    }
}

fn everyone() -> BindingScope {
    BindingScope::everyone(Deployment::Hosted)
}

fn pro() -> BindingScope {
    BindingScope {
        deployment: Deployment::Hosted,
        part: Some(ScopePart::Plan("pro".into())),
    }
}

impl House {
    fn push_as(&self, number: u8, trust: Trust) -> Result<(), DirectoryRefusal> {
        let write = DirectoryWrite::AdmitRelease {
            release: ReleaseRecord {
                id: id_of(number),
                name: format!("book {number}").into(),
                contract: "1.0.0".into(),
                class: LimitClass::Native,
                trust,
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
                book: vec![number; 5].into(),
                book_source: Some(vec![number; 7].into()),
                signatures: [].into(),
                filters: [].into(),
            },
        };
        self.directory(write)
    }

    fn push(&self, number: u8) -> ReleaseId {
        self.push_as(number, Trust::Untrusted).unwrap();
        id_of(number)
    }

    fn directory(&self, write: DirectoryWrite) -> Result<(), DirectoryRefusal> {
        match self.write(Action::Directory(write)) {
            Ok(_) => Ok(()),
            Err(WriteError::Directory(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        }
    }

    fn bind(
        &self,
        scope: BindingScope,
        to: BindTo,
        expected: Option<ReleaseId>,
    ) -> Result<(), DirectoryRefusal> {
        self.directory(DirectoryWrite::Bind(BindingChange {
            scope,
            to,
            expected,
            beside: None,
            why: Some("because".into()),
        }))
    }

    fn bound(&self, scope: &BindingScope) -> Option<ReleaseId> {
        self.store.bindings().bound(scope)
    }

    fn revoke(&self, release: ReleaseId) -> Result<(), DirectoryRefusal> {
        let why = "wrong prices".into();
        self.directory(DirectoryWrite::RevokeRelease { release, why })
    }

    fn history(&self) -> Vec<ChangeRecord> {
        let page = PageRequest {
            after: None,
            limit: 100,
        };
        self.store.binding_changes(None, page).unwrap().items
    }
}

#[test]
fn the_same_bytes_twice_are_one_release_with_its_first_trust() {
    let house = House::new();
    let release = house.push(1);
    house.push(1);
    let refused = house.push_as(1, Trust::Trusted).unwrap_err();
    assert_eq!(refused, DirectoryRefusal::ReleaseExists(release));
    house.push(2);
    let kept = house.store.releases().unwrap();
    let ids: Vec<_> = kept.iter().map(|kept| kept.id).collect();
    assert_eq!(ids, [id_of(1), id_of(2)]);
    assert_eq!((kept[0].component_bytes, kept[0].book_bytes), (9, 5));
    assert_eq!(&*kept[0].admitted_by, "admin:test");
    let parts = house.store.release_parts(&release).unwrap().unwrap();
    assert_eq!(*parts.book, [1; 5]);
    assert_eq!(parts.book_source.as_deref(), Some([1; 7].as_slice()));
    assert_eq!(house.store.release_parts(&id_of(3)).unwrap(), None);
}

#[test]
fn of_two_operators_at_once_one_wins_and_the_other_is_told() {
    let mut house = House::new();
    let (first, second, third) = (house.push(1), house.push(2), house.push(3));
    house
        .bind(everyone(), BindTo::Configured(first), None)
        .unwrap();
    let before = house.store.bindings();
    house
        .bind(everyone(), BindTo::Release(second), Some(first))
        .unwrap();
    let told = house
        .bind(everyone(), BindTo::Release(third), Some(first))
        .unwrap_err();
    assert_eq!(
        told,
        DirectoryRefusal::BindingMoved {
            scope: Box::new(everyone()),
            bound: Some(Box::new(second))
        }
    );
    // Who looked before still sees that moment as a whole.
    assert_eq!(before.bound(&everyone()), Some(first));
    assert_eq!(house.bound(&everyone()), Some(second));
    let told = house.bind(everyone(), BindTo::Release(id_of(9)), Some(second));
    assert_eq!(told, Err(DirectoryRefusal::ReleaseNotFound(id_of(9))));
    let history = house.history();
    let kinds: Vec<_> = history.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Activate, ChangeKind::Start]);
    assert_eq!(history[0].before, Some(first));
    assert_eq!(
        (&*history[0].by, history[0].why.as_deref()),
        ("admin:test", Some("because"))
    );
    house.reopen();
    assert_eq!(house.bound(&everyone()), Some(second));
    assert_eq!(house.history(), history);
}

/// Whoever changes what is bound takes a turn from before the commit until calls are priced by it, and
/// whoever reads of it waits for that turn. Here somebody else has it: the change is not committed, and
/// nobody who reads is told anything.
#[test]
fn who_reads_of_a_change_finds_that_it_has_taken_effect() {
    const A_WHILE: Duration = Duration::from_millis(200);
    let house = House::new();
    let release = house.push(1);
    let database = rusqlite::Connection::open(house.folder.path().join("ledger.db")).unwrap();
    let committed = || {
        let count = "SELECT count(*) FROM binding_changes";
        database.query_row(count, [], |row| row.get::<_, u32>(0))
    };
    let newest = PageRequest {
        after: None,
        limit: 1,
    };
    std::thread::scope(|scope| {
        let turn = house.store.turn();
        let change = scope.spawn(|| house.bind(everyone(), BindTo::Release(release), None));
        let store = &house.store;
        let read = [
            scope.spawn(move || store.bound().unwrap().len()),
            scope.spawn(move || store.binding_changes(None, newest).unwrap().items.len()),
            scope.spawn(move || store.trials(newest).unwrap().items.len()),
        ];
        std::thread::sleep(A_WHILE);
        assert_eq!(committed().unwrap(), 0);
        assert!(!change.is_finished());
        assert!(read.iter().all(|read| !read.is_finished()));
        drop(turn);
        change.join().unwrap().unwrap();
        assert_eq!(house.bound(&everyone()), Some(release));
        assert_eq!(committed().unwrap(), 1);
    });
}

#[test]
fn rollbacks_go_back_step_by_step_and_past_what_was_revoked() {
    let house = House::new();
    let releases: Vec<_> = (1..=4).map(|number| house.push(number)).collect();
    let mut bound = None;
    for release in &releases {
        house
            .bind(everyone(), BindTo::Release(*release), bound)
            .unwrap();
        bound = Some(*release);
    }
    house.revoke(releases[2]).unwrap();
    for expected in [releases[1], releases[0]] {
        house.bind(everyone(), BindTo::Before(None), bound).unwrap();
        bound = house.bound(&everyone());
        assert_eq!(bound, Some(expected));
    }
    let told = house
        .bind(everyone(), BindTo::Before(None), bound)
        .unwrap_err();
    assert_eq!(told, DirectoryRefusal::NothingBefore(Box::new(everyone())));
    // What was rolled back can be activated again, and that rolled back.
    house
        .bind(everyone(), BindTo::Release(releases[3]), bound)
        .unwrap();
    house
        .bind(everyone(), BindTo::Before(None), Some(releases[3]))
        .unwrap();
    assert_eq!(house.bound(&everyone()), Some(releases[0]));
}

#[test]
fn a_part_of_a_deployment_goes_back_to_having_none_of_its_own() {
    let house = House::new();
    let (first, second) = (house.push(1), house.push(2));
    house
        .bind(everyone(), BindTo::Release(first), None)
        .unwrap();
    house.bind(pro(), BindTo::Release(second), None).unwrap();
    let org = OrgId::new(1);
    let of = |plan| {
        let bindings = house.store.bindings();
        bindings.release_for(Deployment::Hosted, org, plan)
    };
    assert_eq!((of(Some("pro")), of(None)), (Some(second), Some(first)));
    house
        .bind(pro(), BindTo::Before(None), Some(second))
        .unwrap();
    assert_eq!(of(Some("pro")), Some(first));
    let told = house.bind(pro(), BindTo::Before(None), None).unwrap_err();
    assert_eq!(told, DirectoryRefusal::NothingBefore(Box::new(pro())));
    house.bind(pro(), BindTo::Release(second), None).unwrap();
    house.bind(pro(), BindTo::Nothing, Some(second)).unwrap();
    assert_eq!(of(Some("pro")), Some(first));
    house.bind(pro(), BindTo::Before(None), None).unwrap();
    assert_eq!(of(Some("pro")), Some(second));
    let told = house.bind(everyone(), BindTo::Nothing, Some(first));
    assert_eq!(
        told,
        Err(DirectoryRefusal::ScopeNeedsRelease(Box::new(everyone())))
    );
}

#[test]
fn a_release_that_is_bound_is_not_revoked_and_a_revoked_one_is_not_bound() {
    let house = House::new();
    let (first, second) = (house.push(1), house.push(2));
    house
        .bind(everyone(), BindTo::Release(first), None)
        .unwrap();
    assert_eq!(
        house.revoke(first),
        Err(DirectoryRefusal::ReleaseBound {
            release: Box::new(first),
            scope: Box::new(everyone())
        })
    );
    house
        .bind(everyone(), BindTo::Release(second), Some(first))
        .unwrap();
    house.revoke(first).unwrap();
    house.revoke(first).unwrap();
    assert!(house.store.bindings().is_revoked(&first));
    let told = house.bind(everyone(), BindTo::Release(first), Some(second));
    assert_eq!(told, Err(DirectoryRefusal::ReleaseRevoked(first)));
    let kept = house.store.releases().unwrap();
    let revoked = kept[0].revoked.as_ref().unwrap();
    assert_eq!((&*revoked.why, revoked.at_ms), ("wrong prices", NOW));
    assert_eq!(
        house.revoke(id_of(9)),
        Err(DirectoryRefusal::ReleaseNotFound(id_of(9)))
    );
}
