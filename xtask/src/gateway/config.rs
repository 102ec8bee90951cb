//! `guest/envoy/envoy.yaml` with this machine's values filled in.

use super::providers::Providers;
use crate::guests;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::Ipv4Addr;
use std::path::Path;

/// What the configuration leaves open.
pub struct Values<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// Where everything is written.
    pub folder: &'a Path,
    /// Where callers find the gateway.
    pub port: u16,
    /// Where its operator does.
    pub admin_port: u16,
    /// The host's port.
    pub host: u16,
    /// Who serves.
    pub providers: &'a Providers,
    /// The canonical book.
    pub book: &'a [u8],
}

/// The repository's configuration with every `${NAME}` given its value.
///
/// # Errors
/// It cannot be read, or names a provider that is not recorded.
pub fn filled(values: &Values<'_>) -> Result<String> {
    let path = values.root.join("guest/envoy/envoy.yaml");
    let mut text = std::fs::read_to_string(&path)
        .with_context(|| format!("could not read `{}`", path.display()))?;
    let local = || Ipv4Addr::LOCALHOST.to_string();
    let filter = guests::path(values.root, "farebox_filter");
    let mut filled = vec![
        ("GATEWAY_PORT", values.port.to_string()),
        ("ADMIN_PORT", values.admin_port.to_string()),
        ("FAREBOX_HOST", local()),
        ("FAREBOX_PORT", values.host.to_string()),
        ("FAREBOX_FILTER", filter.display().to_string()),
        ("FAREBOX_BOOK", STANDARD.encode(values.book)),
        (
            "ACCESS_LOG",
            values.folder.join("calls.jsonl").display().to_string(),
        ),
    ];
    // The keys are those that the recorded providers take.
    for (host, port, key, name, secret) in [
        (
            "OPENAI_HOST",
            "OPENAI_PORT",
            "OPENAI_API_KEY",
            "openai",
            "sk-openai",
        ),
        (
            "ANTHROPIC_HOST",
            "ANTHROPIC_PORT",
            "ANTHROPIC_API_KEY",
            "anthropic",
            "sk-ant",
        ),
        (
            "OPENROUTER_HOST",
            "OPENROUTER_PORT",
            "OPENROUTER_API_KEY",
            "openrouter",
            "sk-or",
        ),
    ] {
        filled.push((host, local()));
        filled.push((port, values.providers.port(name)?.to_string()));
        filled.push((key, secret.to_owned()));
    }
    for (name, value) in filled {
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    Ok(text)
}
