//! Configuration: the only module that reads the environment.
//!
//! One struct, [`Options`], is the file's format, the flags of `farebox serve` and the `FAREBOX_…`
//! variables at once, so the three cannot drift apart; docs/configuration.md is printed from it
//! ([`reference()`]). A flag wins over a variable, a variable over the file. [`Config`] is what is
//! left: every value present, in range, of its own type. A configuration under which money could
//! overflow is refused here, before anything starts. Must not know what the values are used for.

mod keys;
mod options;
mod rates;
mod reference;

pub use keys::{KeysError, given_keys};
pub use options::{DeploymentOption, EdgeFiltersOption, FallbackOption, LogFormat, Options};
pub use rates::{RatesError, credit_rates};
pub use reference::reference;

use crate::service::bindings::Fallback;
use crate::service::filters::EdgeFilters;
use crate::service::leases::LeaseRule;
use crate::service::signature::PinnedKeys;
use farebox_pricing::currency::Pegs;
use farebox_pricing::event::Deployment;
use farebox_pricing::money::{Peg, Rounding};
use rust_decimal::Decimal;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The largest charge in USD that every commodity must be able to hold.
const CHARGE_USD_MAX: i64 = 100_000_000;

/// A text that never shows itself in logs or errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A checked configuration. What each value means stands at [`Options`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is stored.
    pub data_dir: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where this Farebox runs.
    pub deployment: Deployment,
    /// The bootstrap admin key.
    pub admin_key: Option<Secret>,
    /// A price book instead of the shipped one.
    pub price_book: Option<PathBuf>,
    /// A policy component instead of the shipped one.
    pub policy: Option<PathBuf>,
    /// Whose signature a release needs.
    pub policy_keys: PinnedKeys,
    /// The name of the commodity.
    pub commodity: Box<str>,
    /// What one credit is worth, at any time.
    pub pegs: Pegs,
    /// How long a hold lives when its caller does not say, in milliseconds.
    pub hold_ttl_ms: i64,
    /// How long a caller may make a hold live, in milliseconds.
    pub hold_ttl_max_ms: i64,
    /// What leases get.
    pub leases: LeaseRule,
    /// How far a caller's `occurred_at` may be from the host's clock, in milliseconds.
    pub skew_max_ms: i64,
    /// How often usage that waits for a price is tried again, in milliseconds; 0: never.
    pub settle_interval_ms: u64,
    /// Policy faults in a row that pause a release for an org; 0: never.
    pub breaker_faults: u32,
    /// How long it is paused, in milliseconds.
    pub breaker_pause_ms: u64,
    /// What prices a call that has not run yet when its release fails.
    pub policy_fallback: Fallback,
    /// The filter of the configured policy.
    pub policy_filter: Option<PathBuf>,
    /// Which filters of gateways may price.
    pub edge_filters: EdgeFilters,
    /// Commands that may wait for the ledger's writer.
    pub queue_max: usize,
    /// Bytes of the largest request body.
    pub body_bytes_max: usize,
    /// How long a request may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long open requests may go on after a stop signal, in milliseconds.
    pub drain_ms: u64,
    /// What is logged, as a `tracing` filter.
    pub log: Box<str>,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file `{}`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key that does not exist.
    #[error("the configuration file `{}` is not valid", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where, and why.
        #[source]
        source: Box<toml_edit::de::Error>,
    },
    /// A value is out of range.
    #[error("`{key}` is `{value}`, but {rule}")]
    OutOfRange {
        /// The key, as in the file.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The file of exchange rates is of no use.
    #[error("the exchange rates in `{}` cannot be used", path.display())]
    Rates {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<RatesError>,
    },
    /// A key to pin is none.
    #[error("`policy_keys` cannot be used")]
    Keys(#[from] KeysError),
    /// Every charge must fit into the ledger's integers.
    #[error(
        "a credit is worth {peg} USD, but a charge of {CHARGE_USD_MAX} USD would overflow the ledger \
         at that peg"
    )]
    PegOverflows {
        /// What was given.
        peg: Decimal,
    },
}

impl Config {
    /// The configuration that `options` (flags and environment) and the file they name make.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(options: Options) -> Result<Self, ConfigError> {
        match options.config.clone() {
            Some(path) => {
                let file = read(&path)?;
                Self::resolve(options.or(file))
            }
            None => Self::resolve(options),
        }
    }

    /// The configuration without a file: what `options` leave open gets its default.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn resolve(options: Options) -> Result<Self, ConfigError> {
        let hold_ttl_max_ms: i64 = in_range(
            "hold_ttl_max_ms",
            options.hold_ttl_max_ms,
            86_400_000,
            1_000,
            2_592_000_000,
        )?;
        let hold_ttl_ms: i64 = in_range(
            "hold_ttl_ms",
            options.hold_ttl_ms,
            900_000,
            1_000,
            2_592_000_000,
        )?;
        if hold_ttl_ms > hold_ttl_max_ms {
            return Err(ConfigError::OutOfRange {
                key: "hold_ttl_ms",
                value: hold_ttl_ms.to_string(),
                rule: "must not be above `hold_ttl_max_ms`",
            });
        }
        let leases = leases(&options)?;
        Ok(Self {
            data_dir: options.data_dir.unwrap_or_else(|| "farebox-data".into()),
            listen: options
                .listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8787))),
            deployment: options
                .deployment
                .unwrap_or(DeploymentOption::Hosted)
                .into(),
            admin_key: admin_key(options.admin_key)?,
            price_book: options.price_book,
            policy: options.policy,
            policy_keys: keys::policy_keys(&options.policy_keys.unwrap_or_default())?,
            commodity: commodity(options.commodity)?,
            pegs: pegs(options.credit_usd, options.credit_rates.as_deref())?,
            hold_ttl_ms,
            hold_ttl_max_ms,
            leases,
            skew_max_ms: in_range(
                "skew_max_ms",
                options.skew_max_ms,
                300_000,
                0,
                2_592_000_000,
            )?,
            settle_interval_ms: settle_interval(options.settle_interval_ms)?,
            breaker_faults: in_range("breaker_faults", options.breaker_faults, 5, 0, 1_000)?,
            breaker_pause_ms: in_range(
                "breaker_pause_ms",
                options.breaker_pause_ms,
                30_000,
                100,
                86_400_000,
            )?,
            policy_fallback: options
                .policy_fallback
                .unwrap_or(FallbackOption::Refuse)
                .into(),
            policy_filter: options.policy_filter,
            edge_filters: options
                .edge_filters
                .unwrap_or(EdgeFiltersOption::Recorded)
                .into(),
            queue_max: in_range("queue_max", options.queue_max, 8_192, 1, 1_000_000)?,
            body_bytes_max: in_range(
                "body_bytes_max",
                options.body_bytes_max,
                8_388_608,
                1_024,
                268_435_456,
            )?,
            request_timeout_ms: in_range(
                "request_timeout_ms",
                options.request_timeout_ms,
                30_000,
                100,
                3_600_000,
            )?,
            drain_ms: in_range("drain_ms", options.drain_ms, 10_000, 0, 3_600_000)?,
            log: options.log.unwrap_or_else(|| "info".to_owned()).into(),
            log_format: options.log_format.unwrap_or(LogFormat::Text),
        })
    }

    /// The directory of compiled policies. It can be deleted at any time.
    pub fn cache_dir(&self) -> PathBuf {
        self.data_dir.join("cache")
    }
}

fn read(path: &Path) -> Result<Options, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml_edit::de::from_str(&text).map_err(|source| ConfigError::Malformed {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn in_range<T: TryFrom<u64>>(
    key: &'static str,
    given: Option<u64>,
    default: u64,
    min: u64,
    max: u64,
) -> Result<T, ConfigError> {
    let value = given.unwrap_or(default);
    let rule = "is out of its range (see docs/configuration.md)";
    let error = || ConfigError::OutOfRange {
        key,
        value: value.to_string(),
        rule,
    };
    if value < min || value > max {
        return Err(error());
    }
    T::try_from(value).map_err(|_| error())
}

fn leases(options: &Options) -> Result<LeaseRule, ConfigError> {
    let rule = LeaseRule {
        ttl_ms: in_range("lease_ttl_ms", options.lease_ttl_ms, 30_000, 1_000, 600_000)?,
        renew_ms: in_range("lease_renew_ms", options.lease_renew_ms, 1_000, 100, 60_000)?,
        doubt_ms: in_range(
            "lease_doubt_ms",
            options.lease_doubt_ms,
            300_000,
            0,
            86_400_000,
        )?,
        share_percent: in_range(
            "lease_share_percent",
            options.lease_share_percent,
            25,
            1,
            100,
        )?,
    };
    if rule.renew_ms.saturating_mul(2) > rule.ttl_ms {
        return Err(ConfigError::OutOfRange {
            key: "lease_renew_ms",
            value: rule.renew_ms.to_string(),
            rule: "must not be above half of `lease_ttl_ms`",
        });
    }
    Ok(rule)
}

fn settle_interval(given: Option<u64>) -> Result<u64, ConfigError> {
    match given {
        Some(0) => Ok(0),
        given => in_range("settle_interval_ms", given, 60_000, 100, 86_400_000),
    }
}

fn admin_key(given: Option<String>) -> Result<Option<Secret>, ConfigError> {
    match given {
        Some(key) if key.len() < 16 || !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(ConfigError::OutOfRange {
                key: "admin_key",
                value: "(secret)".to_owned(),
                rule: "must be at least 16 printable ASCII characters without spaces",
            })
        }
        given => Ok(given.map(Secret)),
    }
}

fn commodity(given: Option<String>) -> Result<Box<str>, ConfigError> {
    let name = given.unwrap_or_else(|| "credit".to_owned());
    let well_formed = (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if well_formed {
        Ok(name.into())
    } else {
        Err(ConfigError::OutOfRange {
            key: "commodity",
            value: name,
            rule: "must be 1 to 32 of `a` to `z`, `0` to `9` and `_`",
        })
    }
}

fn pegs(usd: Option<String>, rates: Option<&Path>) -> Result<Pegs, ConfigError> {
    match (usd, rates) {
        (Some(usd), Some(_)) => Err(ConfigError::OutOfRange {
            key: "credit_usd",
            value: usd,
            rule: "`credit_rates` says what a credit is worth: give one of them",
        }),
        (None, Some(rates)) => credit_rates(rates),
        (usd, None) => Ok(Pegs::usd(peg(usd)?)),
    }
}

fn peg(given: Option<String>) -> Result<Peg, ConfigError> {
    let text = given.unwrap_or_else(|| "0.10".to_owned());
    let peg = Decimal::from_str_exact(&text)
        .ok()
        .and_then(Peg::new)
        .ok_or(ConfigError::OutOfRange {
            key: "credit_usd",
            value: text,
            rule: "must be above 0, at most 1000000, with at most nine decimal places",
        })?;
    fits(peg)
}

/// The peg, where every charge fits the ledger at it.
fn fits(peg: Peg) -> Result<Peg, ConfigError> {
    peg.to_nanos(Decimal::from(CHARGE_USD_MAX), Rounding::AwayFromZero)
        .map(|_| peg)
        .map_err(|_| ConfigError::PegOverflows {
            peg: peg.usd_per_credit(),
        })
}

#[cfg(test)]
mod tests;

/// Where commands without a data directory keep compiled components: `$XDG_CACHE_HOME/farebox`,
/// `$HOME/.cache/farebox`, or a folder among the temporary files.
pub fn user_cache_dir() -> PathBuf {
    let folder = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("farebox")
}
