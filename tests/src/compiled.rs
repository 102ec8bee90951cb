//! Compiled components that tests share: a compiler takes longer than most tests.
//!
//! What is shared is what the host itself compiled and sealed, in the folder that it reads after a
//! restart. Must not be where a test counts what is compiled.

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::package::Package;
use farebox::service::policy::PolicyEngine as _;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Where the engines of this process keep them: each component is compiled once.
///
/// No server has it for its own, because a server that starts removes what it does not know.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Puts the standard policy into a server's own folder, as it prices, and as what is pushed is tried.
///
/// # Panics
/// The folder cannot be written, or the standard policy is not admitted.
pub fn put_standard(into: &Path) {
    static STANDARD: OnceLock<TempDir> = OnceLock::new();
    let standard = STANDARD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(folder.path().to_owned()).unwrap();
        let file = Package {
            component: shipped::STANDARD_COMPONENT.to_vec(),
            book: Some(shipped::default_book().unwrap().canonical),
            ..Package::default()
        };
        engine.admit(&file.to_file(), None).unwrap();
        folder
    });
    std::fs::create_dir_all(into).unwrap();
    for file in std::fs::read_dir(standard.path()).unwrap() {
        let file = file.unwrap();
        // A copy: a test may damage its own.
        std::fs::copy(file.path(), into.join(file.file_name())).unwrap();
    }
}
