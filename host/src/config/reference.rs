//! Prints docs/configuration.md from [`Options`] and the defaults of [`Config`], so the page
//! cannot say what the code does not do.

use super::{Config, ConfigError, LogFormat, Options};
use clap::Args as _;
use farebox_pricing::event::Deployment;
use std::fmt::Write as _;

const HEAD: &str = "\
# Configuration

Printed from the code (`host/src/config`); a test compares. Do not edit by hand.

A flag wins over an environment variable, a variable over the file named by `--config`. In the
file (TOML) a key is spelled as below; a key it does not know is refused. Numbers are whole.

";

/// The text of docs/configuration.md.
///
/// # Errors
/// Only when the defaults themselves were refused.
pub fn reference() -> Result<String, ConfigError> {
    let defaults = shown(&Config::resolve(Options::default())?);
    let command = Options::augment_args(clap::Command::new("serve"));
    let mut page = HEAD.to_owned();
    for argument in command.get_arguments() {
        let key = argument.get_id().as_str();
        let flag = argument.get_long().unwrap_or_default();
        let variable = argument
            .get_env()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let help = argument
            .get_long_help()
            .or_else(|| argument.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        let default = defaults
            .iter()
            .find(|(name, _)| *name == key)
            .map_or_else(|| "none".to_owned(), |(_, value)| format!("`{value}`"));
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "## `{key}`\n\n{help}\n");
        if !values.is_empty() {
            let _ = writeln!(page, "One of {}.\n", values.join(", "));
        }
        let _ = writeln!(
            page,
            "- flag `--{flag}`, variable `{variable}`\n- default: {default}\n"
        );
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    Ok(page)
}

/// Each key that has a default, and that default as one would write it.
fn shown(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("data_dir", config.data_dir.display().to_string()),
        ("listen", config.listen.to_string()),
        (
            "deployment",
            match config.deployment {
                Deployment::Hosted => "hosted".to_owned(),
                Deployment::SelfHosted => "self-hosted".to_owned(),
            },
        ),
        ("commodity", config.commodity.to_string()),
        ("credit_usd", config.pegs.per_credit().to_string()),
        ("hold_ttl_ms", config.hold_ttl_ms.to_string()),
        ("hold_ttl_max_ms", config.hold_ttl_max_ms.to_string()),
        ("lease_ttl_ms", config.leases.ttl_ms.to_string()),
        ("lease_renew_ms", config.leases.renew_ms.to_string()),
        ("lease_doubt_ms", config.leases.doubt_ms.to_string()),
        (
            "lease_share_percent",
            config.leases.share_percent.to_string(),
        ),
        ("skew_max_ms", config.skew_max_ms.to_string()),
        ("settle_interval_ms", config.settle_interval_ms.to_string()),
        ("breaker_faults", config.breaker_faults.to_string()),
        ("breaker_pause_ms", config.breaker_pause_ms.to_string()),
        ("policy_fallback", "refuse".to_owned()),
        ("edge_filters", "recorded".to_owned()),
        ("queue_max", config.queue_max.to_string()),
        ("body_bytes_max", config.body_bytes_max.to_string()),
        ("request_timeout_ms", config.request_timeout_ms.to_string()),
        ("drain_ms", config.drain_ms.to_string()),
        ("log", config.log.to_string()),
        (
            "log_format",
            match config.log_format {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            },
        ),
    ]
}
