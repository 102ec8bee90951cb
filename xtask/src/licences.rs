//! Checks what the project is built from: licences and sources, against `deny.toml`.
//!
//! cargo-deny does it where it is installed. It takes minutes to compile, so a fresh machine goes
//! without: then the same lists of the same file are checked here, from what cargo knows. Either
//! way no run goes without the check. Security advisories need a database from the network, which
//! a run must not depend on.

use crate::environment;
use crate::step::{self, note};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Rules {
    licenses: LicenceRules,
    sources: SourceRules,
}

#[derive(Deserialize)]
struct LicenceRules {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<LicenceException>,
}

/// What one package may be under besides.
#[derive(Deserialize)]
struct LicenceException {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

impl LicenceRules {
    /// Whether a package may be under this licence, an SPDX term without `AND` and `OR`.
    fn allow(&self, package: &str, term: &str) -> bool {
        let is_term = |allowed: &String| allowed == term;
        self.allow.iter().any(is_term)
            || self
                .exceptions
                .iter()
                .filter(|exception| exception.package == package)
                .any(|exception| exception.allow.iter().any(is_term))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SourceRules {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// Absent: the workspace's own.
    source: Option<String>,
}

/// Checks every package the workspace is built from.
///
/// # Errors
/// A licence or source that `deny.toml` does not allow, each named.
pub fn check(root: &Path) -> Result<()> {
    let has_cargo_deny = step::output(environment::cargo().args(["deny", "--version"])).is_ok();
    if has_cargo_deny {
        let mut deny = environment::cargo();
        deny.current_dir(root).args(["deny", "--offline", "check"]);
        step::run(deny.args(["licenses", "bans", "sources"]))?;
    } else {
        check_here(root)?;
    }
    note("left out: security advisories, whose database must be fetched (`cargo deny check`)");
    Ok(())
}

fn check_here(root: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(root.join("deny.toml")).context("could not read deny.toml")?;
    let rules: Rules = toml_edit::de::from_str(&text).context("could not read deny.toml")?;
    let mut cargo = environment::cargo();
    cargo
        .current_dir(root)
        .args(["metadata", "--format-version", "1", "--all-features"]);
    let metadata: Metadata = serde_json::from_str(&step::output(&mut cargo)?)?;
    let faults: Vec<_> = metadata
        .packages
        .iter()
        .filter_map(|package| fault(package, &rules))
        .collect();
    if !faults.is_empty() {
        bail!(
            "not allowed by deny.toml:\n      {}",
            faults.join("\n      ")
        );
    }
    note(&format!(
        "{} packages, all allowed by deny.toml",
        metadata.packages.len()
    ));
    Ok(())
}

/// What is wrong with a package, in one line.
fn fault(package: &Package, rules: &Rules) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    if let Some(source) = &package.source {
        let mut allowed = rules.sources.allow_registry.iter();
        if !allowed.any(|url| source.strip_prefix("registry+") == Some(url)) {
            return Some(format!("{name}: comes from `{source}`"));
        }
    }
    let Some(licence) = &package.license else {
        return Some(format!("{name}: states no licence"));
    };
    match is_allowed(licence, |term| rules.licenses.allow(&package.name, term)) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: is under `{licence}`")),
        Err(error) => Some(format!(
            "{name}: `{licence}` is no licence expression: {error}"
        )),
    }
}

/// Whether an SPDX expression can be met by allowed licences alone.
fn is_allowed(licence: &str, allowed: impl Fn(&str) -> bool) -> Result<bool> {
    // Lax: old crates write `MIT/Apache-2.0`.
    let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
        .map_err(|error| anyhow::anyhow!("{}", error.reason))?;
    Ok(expression.evaluate(|requirement| allowed(&requirement.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(licence: &str, expect: bool) {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
        assert_eq!(
            is_allowed(licence, |term| allowed.contains(&term)).expect(licence),
            expect,
            "{licence}"
        );
    }

    #[test]
    fn an_expression_is_met_by_allowed_licences_alone() {
        check("MIT", true);
        check("MIT/Apache-2.0", true);
        check("MIT OR GPL-3.0-only", true);
        check("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true);
        check("GPL-3.0-only", false);
        check("MIT AND GPL-3.0-only", false);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", false);
    }

    fn rules() -> Rules {
        Rules {
            licenses: LicenceRules {
                allow: vec!["MIT".into()],
                exceptions: vec![LicenceException {
                    package: "excepted".into(),
                    allow: vec!["NCSA".into()],
                }],
            },
            sources: SourceRules {
                allow_registry: vec!["https://example.org/index".into()],
            },
        }
    }

    fn package(name: &str, license: Option<&str>, source: &str) -> Package {
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.map(str::to_owned),
            source: Some(source.into()),
        }
    }

    #[test]
    fn an_exception_is_for_one_package_alone() {
        let fault = |name: &str| {
            let licence = Some("MIT AND NCSA");
            let good = "registry+https://example.org/index";
            fault(&package(name, licence, good), &rules())
        };
        assert_eq!(fault("excepted"), None);
        assert_eq!(
            fault("odd").as_deref(),
            Some("odd 1.0.0: is under `MIT AND NCSA`")
        );
    }

    #[test]
    fn a_package_from_elsewhere_or_without_licence_is_named() {
        let rules = rules();
        let package = |license, source| package("odd", license, source);
        let good = "registry+https://example.org/index";
        assert_eq!(fault(&package(Some("MIT"), good), &rules), None);
        assert_eq!(
            fault(&package(None, good), &rules).as_deref(),
            Some("odd 1.0.0: states no licence")
        );
        let git = "git+https://example.org/odd";
        assert_eq!(
            fault(&package(Some("MIT"), git), &rules),
            Some(format!("odd 1.0.0: comes from `{git}`"))
        );
    }
}
