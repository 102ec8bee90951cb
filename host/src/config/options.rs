//! Every key, as the file, the environment and the flags spell it. The first paragraph of each
//! field's comment is its text in `--help` and in docs/configuration.md.

use crate::service::bindings::Fallback;
use crate::service::filters::EdgeFilters;
use farebox_pricing::event::Deployment;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where this Farebox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentOption {
    /// The operator's own service.
    Hosted,
    /// On the customer's own machines.
    SelfHosted,
}

impl From<DeploymentOption> for Deployment {
    fn from(option: DeploymentOption) -> Self {
        match option {
            DeploymentOption::Hosted => Self::Hosted,
            DeploymentOption::SelfHosted => Self::SelfHosted,
        }
    }
}

/// What prices a call that has not run yet when its release fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FallbackOption {
    /// Nothing: the call is refused.
    Refuse,
    /// The release that was bound before.
    LastGood,
}

impl From<FallbackOption> for Fallback {
    fn from(option: FallbackOption) -> Self {
        match option {
            FallbackOption::Refuse => Self::Refuse,
            FallbackOption::LastGood => Self::LastGood,
        }
    }
}

/// Which filters of gateways may hold for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeFiltersOption {
    /// Those that were recorded as belonging to the component that prices.
    Recorded,
    /// Any.
    Any,
}

impl From<EdgeFiltersOption> for EdgeFilters {
    fn from(option: EdgeFiltersOption) -> Self {
        match option {
            EdgeFiltersOption::Recorded => Self::Recorded,
            EdgeFiltersOption::Any => Self::Any,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What can be configured. Everything is optional; [`Config`](super::Config) fills the gaps.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// A TOML file with any of the other keys.
    #[arg(long, env = "FAREBOX_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// The directory that holds everything Farebox stores. One server at a time uses it.
    #[arg(long, env = "FAREBOX_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The address and port the API listens on; port 0 takes a free one.
    #[arg(long, env = "FAREBOX_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where this Farebox runs: a fact that every price may depend on.
    #[arg(long, env = "FAREBOX_DEPLOYMENT", value_enum)]
    pub deployment: Option<DeploymentOption>,

    /// A key with every right, for the first org and the first real admin key. At least 16
    /// printable characters. Better set by the environment or the file than by a flag, which other
    /// users of the machine can see.
    #[arg(
        long,
        env = "FAREBOX_ADMIN_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub admin_key: Option<String>,

    /// The price book to sell under, TOML or JSON. Without it: the book that Farebox ships with.
    #[arg(long, env = "FAREBOX_PRICE_BOOK", value_name = "FILE")]
    pub price_book: Option<PathBuf>,

    /// The policy to price with, a WebAssembly component. Without it: the standard policy. It is tried
    /// as one that is pushed, before it first prices.
    #[arg(long, env = "FAREBOX_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The public keys of whoever may stand for a release, each `NAME=KEY` with 64 hexadecimal digits
    /// or the file of an ed25519 public key in PEM. Then a release is pushed, activated, tried on
    /// customers and served from only with the signature of one of them (docs/policies.md). Without
    /// any, nothing has to be signed.
    #[arg(
        long,
        env = "FAREBOX_POLICY_KEYS",
        value_name = "NAME=KEY",
        value_delimiter = ','
    )]
    pub policy_keys: Option<Vec<String>>,

    /// The name of the credits that wallets hold: 1 to 32 of `a` to `z`, `0` to `9` and `_`.
    /// Fixed once the data directory exists.
    #[arg(long, env = "FAREBOX_COMMODITY", value_name = "NAME")]
    pub commodity: Option<String>,

    /// What one credit is worth in USD: above 0, at most nine decimal places. Fixed once the data
    /// directory exists. Refused when a charge of 100 million USD would not fit the ledger.
    #[arg(long, env = "FAREBOX_CREDIT_USD", value_name = "USD")]
    pub credit_usd: Option<String>,

    /// A TOML file that pegs the credit to another currency, in place of `credit_usd`: `currency`,
    /// `per_credit`, and dated `rates` to USD (docs/billing/currencies.md). Currency and worth are
    /// fixed once the data directory exists; rates may be added.
    #[arg(long, env = "FAREBOX_CREDIT_RATES", value_name = "FILE")]
    pub credit_rates: Option<PathBuf>,

    /// How long a hold lives when its caller does not say, in milliseconds: 1000 to
    /// `hold_ttl_max_ms`.
    #[arg(long, env = "FAREBOX_HOLD_TTL_MS", value_name = "MS")]
    pub hold_ttl_ms: Option<u64>,

    /// The longest life a caller may give a hold, in milliseconds: 1000 to 2592000000 (30 days).
    #[arg(long, env = "FAREBOX_HOLD_TTL_MAX_MS", value_name = "MS")]
    pub hold_ttl_max_ms: Option<u64>,

    /// How long a lease may be spent from without being renewed, in milliseconds: 1000 to 600000. An
    /// edge that cannot reach this server goes on with what it has leased for this long, and a
    /// key that was revoked is let in by it no longer than this.
    #[arg(long, env = "FAREBOX_LEASE_TTL_MS", value_name = "MS")]
    pub lease_ttl_ms: Option<u64>,

    /// How often an edge is asked to renew its leases, in milliseconds: 100 to 60000, and at most
    /// half of `lease_ttl_ms`. A call that needs what another edge has leased waits this long.
    #[arg(long, env = "FAREBOX_LEASE_RENEW_MS", value_name = "MS")]
    pub lease_renew_ms: Option<u64>,

    /// How long a lease that expired stays put aside for reports that come late, in milliseconds: 0
    /// to 86400000. Then what is left of it is given back.
    #[arg(long, env = "FAREBOX_LEASE_DOUBT_MS", value_name = "MS")]
    pub lease_doubt_ms: Option<u64>,

    /// The most of what is available in a wallet that one lease takes at a time, in percent: 1 to
    /// 100. A call that waits for its lease gets what it needs beyond that.
    #[arg(long, env = "FAREBOX_LEASE_SHARE_PERCENT", value_name = "PERCENT")]
    pub lease_share_percent: Option<u64>,

    /// How far a caller's `occurred_at` may lie from this machine's clock, in milliseconds: 0 to
    /// 2592000000. A time further away is refused; without one, the time of arrival counts.
    #[arg(long, env = "FAREBOX_SKEW_MAX_MS", value_name = "MS")]
    pub skew_max_ms: Option<u64>,

    /// How often usage that was recorded without a price is tried again, in milliseconds: 0 for
    /// never, or 100 to 86400000. Each failure doubles the wait of that event, up to 64 intervals.
    #[arg(long, env = "FAREBOX_SETTLE_INTERVAL_MS", value_name = "MS")]
    pub settle_interval_ms: Option<u64>,

    /// Policy faults in a row, 0 to 1000, after which a release is paused for the org they concern:
    /// holds get 503, usage is recorded without a price. 0: never.
    #[arg(long, env = "FAREBOX_BREAKER_FAULTS", value_name = "COUNT")]
    pub breaker_faults: Option<u64>,

    /// How long such a pause is, in milliseconds: 100 to 86400000. Then one call is let through.
    #[arg(long, env = "FAREBOX_BREAKER_PAUSE_MS", value_name = "MS")]
    pub breaker_pause_ms: Option<u64>,

    /// What prices a call that has not run yet when its release fails or is paused: nothing, so that
    /// the call gets 503, or the last good release, the one that was bound before. What has run
    /// already is never priced by another release: it waits.
    #[arg(long, env = "FAREBOX_POLICY_FALLBACK", value_enum)]
    pub policy_fallback: Option<FallbackOption>,

    /// The filter that runs the configured policy in a gateway: a file that carries its digest, as
    /// `cargo xtask guests` makes it. It is recorded with the release, as by
    /// `farebox policy push --filter`.
    #[arg(long, env = "FAREBOX_POLICY_FILTER", value_name = "FILE")]
    pub policy_filter: Option<PathBuf>,

    /// Which filters of gateways may hold for calls: those that were recorded as belonging to the
    /// component of the release that prices them, or any.
    #[arg(long, env = "FAREBOX_EDGE_FILTERS", value_enum)]
    pub edge_filters: Option<EdgeFiltersOption>,

    /// Commands that may wait for the ledger's writer, 1 to 1000000. Above it, callers get 503
    /// with `Retry-After`.
    #[arg(long, env = "FAREBOX_QUEUE_MAX", value_name = "COUNT")]
    pub queue_max: Option<u64>,

    /// The largest request body in bytes, 1024 to 268435456.
    #[arg(long, env = "FAREBOX_BODY_BYTES_MAX", value_name = "BYTES")]
    pub body_bytes_max: Option<u64>,

    /// How long a request may take, in milliseconds: 100 to 3600000. An effect that was already
    /// on its way still happens; a retry with the same idempotency key returns it.
    #[arg(long, env = "FAREBOX_REQUEST_TIMEOUT_MS", value_name = "MS")]
    pub request_timeout_ms: Option<u64>,

    /// How long open requests may go on after a stop signal, in milliseconds: 0 to 3600000.
    #[arg(long, env = "FAREBOX_DRAIN_MS", value_name = "MS")]
    pub drain_ms: Option<u64>,

    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as
    /// `info,farebox::http=debug`. Bodies and keys are never logged.
    #[arg(long, env = "FAREBOX_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How log lines look.
    #[arg(long, env = "FAREBOX_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

impl Options {
    /// These options, with what they leave open taken from `file`.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen),
            deployment: self.deployment.or(file.deployment),
            admin_key: self.admin_key.or(file.admin_key),
            price_book: self.price_book.or(file.price_book),
            policy: self.policy.or(file.policy),
            policy_keys: self.policy_keys.or(file.policy_keys),
            commodity: self.commodity.or(file.commodity),
            credit_usd: self.credit_usd.or(file.credit_usd),
            credit_rates: self.credit_rates.or(file.credit_rates),
            hold_ttl_ms: self.hold_ttl_ms.or(file.hold_ttl_ms),
            hold_ttl_max_ms: self.hold_ttl_max_ms.or(file.hold_ttl_max_ms),
            lease_ttl_ms: self.lease_ttl_ms.or(file.lease_ttl_ms),
            lease_renew_ms: self.lease_renew_ms.or(file.lease_renew_ms),
            lease_doubt_ms: self.lease_doubt_ms.or(file.lease_doubt_ms),
            lease_share_percent: self.lease_share_percent.or(file.lease_share_percent),
            skew_max_ms: self.skew_max_ms.or(file.skew_max_ms),
            settle_interval_ms: self.settle_interval_ms.or(file.settle_interval_ms),
            breaker_faults: self.breaker_faults.or(file.breaker_faults),
            breaker_pause_ms: self.breaker_pause_ms.or(file.breaker_pause_ms),
            policy_fallback: self.policy_fallback.or(file.policy_fallback),
            policy_filter: self.policy_filter.or(file.policy_filter),
            edge_filters: self.edge_filters.or(file.edge_filters),
            queue_max: self.queue_max.or(file.queue_max),
            body_bytes_max: self.body_bytes_max.or(file.body_bytes_max),
            request_timeout_ms: self.request_timeout_ms.or(file.request_timeout_ms),
            drain_ms: self.drain_ms.or(file.drain_ms),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
        }
    }
}
