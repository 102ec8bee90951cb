//! `farebox policy keygen`, `sign` and `verify` as a shell sees them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOOK: &str = "name = \"signed\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
    model = \"gpt\"\nper_million = { input = \"2\", output = \"8\" }\n";

/// The example of RFC 8410, as openssl writes it too.
const OPENSSL_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";
const OPENSSL_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";
const OPENSSL_DIGITS: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        for (name, text) in [
            ("book.toml", BOOK),
            ("openssl.pem", OPENSSL_KEY),
            ("openssl.pub", OPENSSL_PUBLIC),
        ] {
            std::fs::write(bench.path(name), text).unwrap();
        }
        bench.done("build --book book.toml -o a.wasm");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn policy(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_farebox"))
            .arg("policy")
            .args(args.split(' '))
            .current_dir(self.folder.path())
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .output()
            .unwrap()
    }

    /// What a command that works prints.
    #[track_caller]
    fn done(&self, args: &str) -> String {
        let output = self.policy(args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a command that ends with this code says.
    #[track_caller]
    fn told(&self, code: i32, args: &str) -> String {
        let output = self.policy(args);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(text(&output.stdout), "");
        told
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The line of a command's output that begins so.
fn line<'a>(shown: &'a str, head: &str) -> &'a str {
    let mut lines = shown.lines();
    lines.find(|line| line.starts_with(head)).unwrap()
}

#[test]
fn a_release_is_signed_by_several_and_stays_the_same_release() {
    let bench = Bench::new();
    let before = bench.done("inspect a.wasm");
    let public = bench.done("keygen -o releaser.pem").trim().to_owned();
    let signed = bench.done("sign a.wasm --key releaser.pem -o b.wasm");
    assert_eq!(line(&signed, "release"), line(&before, "release"));
    assert_eq!(line(&signed, "signed by"), format!("signed by  {public}"));
    bench.done("sign b.wasm --key openssl.pem");
    // By whom and over what.
    let verified = bench.done(&format!(
        "verify b.wasm --key openssl.pub --key releaser={public}"
    ));
    for head in ["release", "component", "book"] {
        assert_eq!(line(&verified, head), line(&before, head));
    }
    assert_eq!(line(&verified, "contract"), "contract   1.0.0");
    assert_eq!(line(&verified, "limits"), "limits     native");
    let by_both = [
        format!("signed by  {public} (releaser)\n"),
        format!("signed by  {OPENSSL_DIGITS} (openssl.pub)\n"),
    ];
    for by in by_both {
        assert!(verified.contains(&by), "{verified}");
    }
    // One of the keys is enough, and the other is told.
    let verified = bench.done(&format!("verify b.wasm --key {OPENSSL_DIGITS}"));
    let other = format!("signed by  {public} (none of these keys)\n");
    assert!(verified.contains(&other), "{verified}");
    // Equal signers make equal bytes, in whatever order they signed.
    bench.done("sign a.wasm --key openssl.pem");
    bench.done("sign a.wasm --key releaser.pem");
    bench.done("sign a.wasm --key openssl.pem");
    assert_eq!(bench.bytes("a.wasm"), bench.bytes("b.wasm"));
    let inspected = bench.done("inspect b.wasm");
    assert!(
        inspected.contains(&format!("signed by  {public}\n")),
        "{inspected}"
    );
}

#[test]
fn a_key_is_for_its_owner_and_never_overwritten() {
    let bench = Bench::new();
    bench.done("keygen -o releaser.pem");
    let key = bench.bytes("releaser.pem");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(bench.path("releaser.pem")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    let told = bench.told(2, "keygen -o releaser.pem");
    assert!(told.contains("a key is never overwritten"), "{told}");
    assert_eq!(bench.bytes("releaser.pem"), key);
    let told = bench.told(3, "keygen -o nowhere/releaser.pem");
    assert!(
        told.contains("cannot write `nowhere/releaser.pem`"),
        "{told}"
    );
    // A public key does not sign, a private one does not verify.
    let told = bench.told(1, "sign a.wasm --key openssl.pub");
    assert!(told.contains("no private ed25519 key"), "{told}");
    let told = bench.told(2, "verify a.wasm --key releaser.pem");
    assert!(
        told.contains("a public key is 64 hexadecimal digits"),
        "{told}"
    );
    let told = bench.told(2, "verify a.wasm --key missing.pub");
    assert!(told.contains("`missing.pub` is neither"), "{told}");
}

#[test]
fn what_is_not_signed_for_this_release_is_refused_with_the_reason() {
    let bench = Bench::new();
    let verify = format!("verify a.wasm --key {OPENSSL_DIGITS}");
    let told = bench.told(1, &verify);
    assert!(told.contains("a.wasm: nobody signed it"), "{told}");
    bench.done("sign a.wasm --key openssl.pem");
    let signed = bench.bytes("a.wasm");
    bench.done(&verify);
    let stranger = bench.done("keygen -o stranger.pem").trim().to_owned();
    let told = bench.told(1, &format!("verify a.wasm --key stranger={stranger}"));
    assert!(
        told.contains(&format!(
            "signed by the key `{OPENSSL_DIGITS}`, and here it must be by one of `stranger`"
        )),
        "{told}"
    );
    // Cut off before the signature: the file is whole, and nobody signed it.
    let at = signed
        .windows(17)
        .position(|found| found == b"farebox:signature")
        .unwrap();
    let write = |bytes: &[u8]| std::fs::write(bench.path("a.wasm"), bytes).unwrap();
    for cut in 1..=8 {
        write(&signed[..at - cut]);
        let told = bench.told(1, &verify);
        let expected = ["nobody signed it", "cut off or damaged"];
        assert!(expected.iter().any(|said| told.contains(said)), "{told}");
    }
    write(&signed[..signed.len() - 1]);
    let told = bench.told(1, &verify);
    assert!(told.contains("cut off or damaged"), "{told}");
    let mut flipped = signed.clone();
    let last = flipped.len() - 2;
    flipped[last] ^= 1;
    write(&flipped);
    let told = bench.told(1, &verify);
    assert!(told.contains("`farebox:signature` is damaged"), "{told}");
    // The signature of another release, moved here: nothing reads such a file.
    std::fs::write(bench.path("book.toml"), BOOK.replace("\"2\"", "\"3\"")).unwrap();
    bench.done("build --book book.toml -o other.wasm");
    let mut section = at - 1;
    while signed[section] != 0 {
        section -= 1;
    }
    write(&[&bench.bytes("other.wasm")[..], &signed[section..]].concat());
    for args in [
        verify.as_str(),
        "sign a.wasm --key openssl.pem",
        "inspect a.wasm",
    ] {
        let told = bench.told(1, args);
        assert!(
            told.contains("is not of this release: it is over the price book"),
            "{told}"
        );
    }
    // So it is with other limits, which are part of the component.
    write(&signed);
    bench.done("build a.wasm --limits scripted -o scripted.wasm");
    write(&[&bench.bytes("scripted.wasm")[..], &signed[section..]].concat());
    let told = bench.told(1, &verify);
    assert!(told.contains("it is over the component"), "{told}");
    write(&bench.bytes("scripted.wasm"));
    let told = bench.told(1, &verify);
    assert!(told.contains("nobody signed it"), "{told}");
    // Another book through the front door takes the signature away.
    write(&signed);
    bench.done("build a.wasm --book book.toml -o a.wasm");
    assert_eq!(bench.bytes("a.wasm"), bench.bytes("other.wasm"));
}
