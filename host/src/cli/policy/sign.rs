//! `farebox policy keygen`, `sign` and `verify`: who stands for a release, made and looked at on a
//! machine without a server. The private key never leaves it.

use super::build;
use crate::cli::failure::{self, Failure};
use crate::config;
use crate::engine::package::Package;
use crate::service::signature::{self, PinnedKeys, SecretKey, SignatureError, Statement};
use clap::Args;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const SIGN_EXAMPLES: &str = "\
Examples:
  farebox policy sign november.wasm --key releaser.pem
  farebox policy sign november.wasm --key releaser.pem -o signed.wasm";

const VERIFY_EXAMPLES: &str = "\
Examples:
  farebox policy verify november.wasm --key releaser=19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1
  farebox policy verify november.wasm --key releaser.pub";

/// Make a key that signs releases, and print its public half.
///
/// The file is PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it, and only its owner
/// can read it. What is printed is what a server's `policy_keys` and `farebox policy verify` take.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Where the private key is written. A file that is there is never overwritten.
    #[arg(short, long, value_name = "KEY")]
    output: PathBuf,
}

/// Sign a release: the file says who stands for it, and stays the same release.
///
/// Signed are the digest of the component, the digest of the price book, the version of the
/// contract and the limit class. Others who signed the file before stay on it.
#[derive(Debug, Args)]
#[command(after_help = SIGN_EXAMPLES)]
pub struct Sign {
    /// The file that `farebox policy build --book` made.
    file: PathBuf,
    /// The private key: PKCS#8 in PEM, of `farebox policy keygen` or of openssl.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Where the signed file is written. Without it, it takes the place of the file.
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

/// Tell who signed a release, and over what. Ends with 1 unless one of the keys did.
///
/// A server that pins the same keys decides the same.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct Verify {
    /// The file.
    file: PathBuf,
    /// A public key, one of which must have signed: 64 hexadecimal digits or a PEM file, with a
    /// name before it or not (`NAME=KEY`).
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
}

impl Keygen {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let cannot = |why: String| Failure::unavailable("no key can be made", why);
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| cannot(error.to_string()))?;
        let key = SecretKey::from_seed(&seed);
        let pem = key
            .to_pem()
            .ok_or_else(|| cannot("it cannot be written as PKCS#8".to_owned()))?;
        write_new(&self.output, pem.as_bytes()).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => Failure::Usage(format!(
                "`{}` is there already, and a key is never overwritten",
                self.output.display()
            )),
            _ => Failure::Write {
                path: self.output.clone(),
                source,
            },
        })?;
        Ok(writeln!(out, "{}", key.public())?)
    }
}

/// Writes a file that was not there, for its owner's eyes alone; a part of it is none.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| drop(fs::remove_file(path)))
}

impl Sign {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let about = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::Found(format!("{}: {error}", path.display()))
        };
        let key = SecretKey::from_pem(&failure::read_text(&self.key)?)
            .map_err(|error| about(&self.key, &error))?;
        let (mut package, statement) = open(&self.file)?;
        // What is wrong on it already would make the whole file refused.
        PinnedKeys::default()
            .check(&statement, &package.signatures)
            .map_err(|error| about(&self.file, &error))?;
        signature::add(&mut package.signatures, key.sign(&statement));
        if package.signatures.len() > signature::SIGNATURES_MAX {
            let error = signature::TextError::TooMany;
            return Err(about(&self.file, &error));
        }
        let output = self.output.as_ref().unwrap_or(&self.file);
        failure::write(output, &package.to_file())?;
        show(&statement, out)?;
        writeln!(out, "signed by  {}", key.public())?;
        Ok(writeln!(out, "wrote      {}", output.display())?)
    }
}

impl Verify {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (package, statement) = open(&self.file)?;
        let keys = config::given_keys(&self.keys)
            .map_err(|error| Failure::Usage(format!("`--key`: {error}")))?;
        keys.check(&statement, &package.signatures)
            .map_err(|error| {
                let error = match error {
                    SignatureError::Unsigned { .. } => "nobody signed it".to_owned(),
                    error => error.to_string(),
                };
                Failure::Found(format!("{}: {error}", self.file.display()))
            })?;
        show(&statement, out)?;
        for signed in &package.signatures {
            let name = keys.name_of(&signed.key).unwrap_or("none of these keys");
            writeln!(out, "signed by  {} ({name})", signed.key)?;
        }
        Ok(())
    }
}

/// A file of a release, and what a signature on it is over.
fn open(path: &Path) -> Result<(Package, Statement), Failure> {
    let package = build::open(path, &failure::read(path)?)?;
    let statement = package
        .statement()
        .map_err(|error| Failure::Found(format!("{}: {error}", path.display())))?;
    Ok((package, statement))
}

fn show(statement: &Statement, out: &mut dyn Write) -> io::Result<()> {
    let release = statement.release();
    writeln!(out, "release    {release}")?;
    writeln!(out, "component  {}", hex::encode(release.component.0))?;
    writeln!(out, "book       {}", hex::encode(release.book.0))?;
    writeln!(out, "contract   {}", statement.contract())?;
    writeln!(out, "limits     {}", statement.class())
}
