//! The host's readers of what callers, operators and disks give it.

use crate::Named;
use farebox::cli::rate::input;
use farebox::config::{Config, Options};
use farebox::engine::package::Package;
use farebox::service::secret;

/// The targets of this module.
pub const TARGETS: [Named; 4] = [
    ("host_rate_line", host_rate_line),
    ("host_key", host_key),
    ("host_config", host_config),
    ("host_package", host_package),
];

fn utf8(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// A line of `farebox rate` has an answer that is short, or pools that can be rated.
pub fn host_rate_line(data: &[u8]) {
    match input::read(data) {
        Ok(call) => {
            let event = &call.intake.event;
            let keys: Vec<_> = event
                .pools
                .iter()
                .map(|p| (&p.meter, &p.attributes))
                .collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{event:?}");
            assert!(!event.pools.is_empty() || event.provider_cost_usd.is_some());
            let cost = event.provider_cost_usd;
            assert!(cost.is_none_or(|cost| !cost.is_sign_negative()), "{cost:?}");
        }
        Err(error) => assert!(error.to_string().len() < 4 << 10, "{error}"),
    }
}

/// A key's text names one key, and every other text of its length is refused.
pub fn host_key(data: &[u8]) {
    let text = utf8(data);
    if let Ok(id) = secret::key_id(text) {
        assert!(text.starts_with(secret::PREFIX));
        assert!(text.contains(&format!("{:032x}", id.get())), "{text}");
        let mut other = text.as_bytes().to_vec();
        let at = other.len() / 2;
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        assert!(secret::key_id(utf8(&other)).is_err(), "{text}");
    }
}

/// A configuration file is refused, or is a configuration whose every value is in range.
pub fn host_config(data: &[u8]) {
    if let Ok(options) = toml_edit::de::from_str::<Options>(utf8(data))
        && let Ok(config) = Config::resolve(options)
    {
        assert!(config.hold_ttl_ms <= config.hold_ttl_max_ms);
        assert!(config.queue_max > 0 && config.body_bytes_max > 0);
    }
}

/// A file that is taken apart is put together again to a file of the same parts.
pub fn host_package(data: &[u8]) {
    match Package::open(data) {
        Ok(package) => {
            let again = Package::open(&package.to_file());
            assert_eq!(again.as_ref(), Ok(&package));
            let component = Package {
                component: package.component.clone(),
                ..Package::default()
            };
            assert_eq!(Package::open(&package.component), Ok(component));
        }
        Err(error) => assert!(error.to_string().len() < 4 << 10, "{error}"),
    }
}
