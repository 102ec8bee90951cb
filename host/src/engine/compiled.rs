//! Compiled components on disk, keyed by the component's digest, its book's where it was prepared
//! with one, and by everything in the engine that decides the machine code. A restart compiles nothing.
//!
//! Loading compiled code is unsafe by nature: the bytes *are* machine code. So only what this
//! program's own compiler handed over is loaded, and files that this host wrote of that: they carry a
//! digest of their content, made with the write, and whatever does not match is compiled anew. The folder is private to the user the host runs as; whoever
//! can write there can already replace the host.

use super::admission::{self, AdmissionError};
use super::compiler::{Compiler, PreparedCode};
use super::sandbox::Sandbox;
use crate::service::policy::{Digest, ReleaseId};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wasmtime::component::Component;

const SEAL_BYTES: usize = 32;

/// The folder of compiled components.
pub struct CompiledCache {
    folder: PathBuf,
    compiler: Compiler,
    /// Held while it compiles. One compiler takes a core and up to gigabytes, and calls want both; and
    /// who waited for the same component finds it on disk.
    compiling: Mutex<()>,
}

impl CompiledCache {
    /// Makes the folder where it is missing, readable by nobody else.
    pub fn new(folder: PathBuf, compiler: Compiler) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(Self {
            folder,
            compiler,
            compiling: Mutex::new(()),
        })
    }

    /// The same folder, with what is missing in it made by another compiler.
    pub fn compiled_by(&mut self, compiler: Compiler) {
        self.compiler = compiler;
    }

    /// The compiled component of these bytes, from disk where it is there.
    pub fn component(
        &self,
        sandbox: &Sandbox,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Component, AdmissionError> {
        let path = self.path(sandbox, digest, None);
        let kept = || -> Result<Option<Component>, AdmissionError> {
            let Some(component) = load(sandbox, &path) else {
                return Ok(None);
            };
            admission::check_imports(&sandbox.engine, &component)?;
            Ok(Some(component))
        };
        if let Some(component) = kept()? {
            return Ok(component);
        }
        admission::check_bytes(sandbox.limits, bytes)?;
        admission::check_import_names(bytes)?;
        let _alone = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = kept()? {
            return Ok(component);
        }
        let code = self.compiler.code(sandbox.settings, bytes)?;
        let component = made_here(sandbox, &code)
            .map_err(|error| AdmissionError::NoCompiler(format!("{error:#}")))?;
        admission::check_imports(&sandbox.engine, &component)?;
        if let Err(error) = store(&code, &path) {
            // The cache only saves time; the component is there.
            tracing::warn!(path = %path.display(), %error, "compiled component not kept");
        }
        Ok(component)
    }

    /// The same, prepared with a book: the component, and where the policy lies in its instances.
    /// Nothing where no other process can prepare it.
    pub fn prepared(
        &self,
        sandbox: &Sandbox,
        release: &ReleaseId,
        component: &[u8],
        book: &[u8],
    ) -> Result<Option<(Component, u32)>, AdmissionError> {
        let path = self.path(sandbox, &release.component, Some(&release.book));
        let kept = || {
            let prepared = PreparedCode::read(&unsealed(&path)?)?;
            let component = made_here(sandbox, &prepared.code).ok()?;
            Some((component, prepared.place))
        };
        if let Some(prepared) = kept() {
            return Ok(Some(prepared));
        }
        let _alone = self
            .compiling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = kept() {
            return Ok(Some(prepared));
        }
        let made = self.compiler.prepared(sandbox.settings, component, book)?;
        let Some(made) = made else {
            return Ok(None);
        };
        let component = made_here(sandbox, &made.code)
            .map_err(|error| AdmissionError::NoCompiler(format!("{error:#}")))?;
        if let Err(error) = store(&made.to_bytes(), &path) {
            tracing::warn!(path = %path.display(), %error, "prepared component not kept");
        }
        Ok(Some((component, made.place)))
    }

    /// Removes every file that none of these settings and releases has.
    pub fn keep_only<'s>(&self, settings: impl Iterator<Item = (&'s Sandbox, ReleaseId)>) {
        let kept: HashSet<PathBuf> = settings
            .flat_map(|(sandbox, id)| {
                let path = |book| self.path(sandbox, &id.component, book);
                [path(None), path(Some(&id.book))]
            })
            .collect();
        self.remove_where(|path| !kept.contains(path));
    }

    /// Removes the files of a component.
    pub fn remove(&self, component: &Digest) {
        let digest = hex::encode(component.0);
        self.remove_where(|path| {
            let name = path.file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| name.starts_with(&digest))
        });
    }

    fn remove_where(&self, is_over: impl Fn(&Path) -> bool) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in files.map(|file| file.path()) {
            // Another file in this folder is not ours.
            let is_ours = path
                .extension()
                .is_some_and(|kind| kind == "cwasm" || kind == "partial");
            if is_ours
                && is_over(&path)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "compiled component not removed");
            }
        }
    }

    fn path(&self, sandbox: &Sandbox, component: &Digest, book: Option<&Digest>) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        sandbox
            .engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        let component = hex::encode(component.0);
        let book = book.map_or_else(String::new, |book| format!("-{}", hex::encode(book.0)));
        let name = format!("{component}{book}-{:016x}.cwasm", hasher.finish());
        self.folder.join(name)
    }
}

fn load(sandbox: &Sandbox, path: &Path) -> Option<Component> {
    made_here(sandbox, &unsealed(path)?).ok()
}

/// What `store` wrote: the seal shows that it is that, wholly.
fn unsealed(path: &Path) -> Option<Vec<u8>> {
    let mut file = fs::read(path).ok()?;
    let content = file.split_off(SEAL_BYTES.min(file.len()));
    (file == Sha256::digest(&content).as_slice()).then_some(content)
}

/// Code that this program's compiler made, just now or before.
#[expect(
    unsafe_code,
    reason = "deserialising machine code that this program's own compiler made"
)]
fn made_here(sandbox: &Sandbox, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the callers have the bytes from the compiler, or from a file that `store` wrote
    // of them and whose seal they have checked; wasmtime compares its own header with the engine.
    unsafe { Component::deserialize(&sandbox.engine, code) }
}

fn store(content: &[u8], path: &Path) -> io::Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(&Sha256::digest(content))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::super::limits::LimitClass;
    use super::super::sandbox::Sandboxes;
    use super::*;
    use wasmtime::{Config, Engine};

    /// A component of the right name with nothing in it: enough to be compiled and kept.
    const HOLLOW: &str = r#"(component
        (instance $none)
        (export "farebox:policy/policy@1.0.0" (instance $none)))"#;

    struct Kept {
        sandboxes: Sandboxes,
        cache: CompiledCache,
        bytes: Vec<u8>,
        _folder: tempfile::TempDir,
    }

    const DIGEST: Digest = Digest([7; 32]);

    impl Kept {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let kept = Self {
                sandboxes: Sandboxes::new().unwrap(),
                cache: CompiledCache::new(folder.path().join("compiled"), Compiler::Here).unwrap(),
                bytes: wat::parse_str(HOLLOW).unwrap(),
                _folder: folder,
            };
            assert!(!kept.path().exists());
            kept.ask();
            kept
        }

        fn sandbox(&self) -> &Sandbox {
            self.sandboxes.of(LimitClass::Native)
        }

        fn path(&self) -> PathBuf {
            self.cache.path(self.sandbox(), &DIGEST, None)
        }

        fn ask(&self) {
            let found = self.cache.component(self.sandbox(), &DIGEST, &self.bytes);
            assert!(found.is_ok(), "{:?}", found.err());
        }

        /// Puts `file` where the compiled component was: it is not loaded, and made anew.
        fn assert_made_anew(&self, file: &[u8], what: &str) {
            fs::write(self.path(), file).unwrap();
            assert!(load(self.sandbox(), &self.path()).is_none(), "{what}");
            self.ask();
            assert_ne!(fs::read(self.path()).unwrap(), file, "{what}");
            assert!(load(self.sandbox(), &self.path()).is_some(), "{what}");
        }
    }

    fn sealed(code: &[u8]) -> Vec<u8> {
        [Sha256::digest(code).as_slice(), code].concat()
    }

    #[test]
    fn what_was_compiled_is_loaded_and_not_compiled_again() {
        let kept = Kept::new();
        let written = fs::metadata(kept.path()).unwrap().modified().unwrap();
        kept.ask();
        let later = fs::metadata(kept.path()).unwrap().modified().unwrap();
        assert_eq!(written, later);
    }

    #[test]
    fn what_no_release_has_is_removed_and_nothing_else() {
        let kept = Kept::new();
        let folder = kept.path().parent().unwrap().to_owned();
        let old = folder.join(format!("{}-0123456789abcdef.cwasm", hex::encode(DIGEST.0)));
        let broken_off = kept.path().with_extension("77.partial");
        let other = folder.join("notes.txt");
        for path in [&old, &broken_off, &other] {
            fs::write(path, b"x").unwrap();
        }
        let prepared = |book| {
            kept.cache
                .path(kept.sandbox(), &DIGEST, Some(&Digest([book; 32])))
        };
        let (its, anothers) = (prepared(1), prepared(2));
        for path in [&its, &anothers] {
            fs::write(path, b"x").unwrap();
        }
        let release = ReleaseId {
            component: DIGEST,
            book: Digest([1; 32]),
        };
        kept.cache
            .keep_only([(kept.sandbox(), release)].into_iter());
        assert!(its.exists() && !anothers.exists());
        assert!(kept.path().exists() && other.exists());
        assert!(!old.exists() && !broken_off.exists());
        kept.cache.remove(&Digest([8; 32]));
        assert!(kept.path().exists());
        kept.cache.remove(&DIGEST);
        assert!(!kept.path().exists() && !its.exists() && other.exists());
    }

    #[test]
    fn a_damaged_file_is_never_loaded_and_made_anew() {
        let kept = Kept::new();
        let whole = fs::read(kept.path()).unwrap();
        for length in [
            0,
            1,
            SEAL_BYTES - 1,
            SEAL_BYTES,
            SEAL_BYTES + 1,
            whole.len() - 1,
        ] {
            kept.assert_made_anew(&whole[..length], &format!("cut to {length}"));
        }
        let mut longer = whole.clone();
        longer.push(0);
        kept.assert_made_anew(&longer, "a byte more");
        let step = whole.len() / 50 + 1;
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            kept.assert_made_anew(&flipped, &format!("bit flipped at {at}"));
        }
    }

    #[test]
    fn what_another_engine_compiled_is_never_loaded() {
        let kept = Kept::new();
        kept.assert_made_anew(&sealed(b"no machine code"), "text");
        let other = Engine::new(Config::new().consume_fuel(false)).unwrap();
        let code = other.precompile_component(&kept.bytes).unwrap();
        kept.assert_made_anew(&sealed(&code), "code without fuel");
    }
}
