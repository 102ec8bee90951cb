//! Finds the standard policy, which is built for another target and so cannot be a dependency.

use std::env;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let host = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = host.parent().ok_or("the host stands in a workspace")?;
    let component = root.join("target/guests/farebox_standard.wasm");
    println!("cargo::rerun-if-changed={}", component.display());
    if !component.is_file() {
        println!(
            "cargo::error=the standard policy is not built yet: run `cargo xtask guests` once"
        );
        return Ok(());
    }
    println!(
        "cargo::rustc-env=FAREBOX_STANDARD_COMPONENT={}",
        component.display()
    );
    Ok(())
}
