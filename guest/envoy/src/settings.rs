//! What the operator says of the upstreams, in the filter's plugin configuration: JSON, which a
//! proxy takes from a string or from a structure of its own configuration alike.
//!
//! The price book is not in here. It is the configuration of the *VM*, so that all filters of a
//! worker that sell by the same book load it once. Must not know prices.

use farebox_sdk::pricing::event::{Deployment, KeySource};
use farebox_sdk::pricing::money::Peg;
use farebox_sdk::pricing::provider;
use farebox_usage::{Api, parse_exact};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The filter's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where this runs.
    pub deployment: Deployment,
    /// What stands behind each of the proxy's clusters, by its name. Calls to others pass untouched.
    pub upstreams: BTreeMap<Box<str>, Upstream>,
    /// Clusters whose members serve in each other's place: the upstreams that those are.
    pub groups: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Whom to ask before a call and to tell after it; absent: nobody, and no call is held.
    pub host: Option<Host>,
    /// What one credit is worth.
    pub peg: Peg,
    /// The largest request body that is held back to be read, in bytes.
    pub request_bytes_max: usize,
    /// The largest JSON answer that is held back to have its price in headers, in bytes.
    pub held_bytes_max: usize,
    /// The largest JSON answer, or event of a stream, that is read at all, in bytes.
    pub read_bytes_max: usize,
}

/// The host that keeps the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The proxy's cluster of it.
    pub cluster: Box<str>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What becomes of calls while it does not answer.
    pub when_away: WhenAway,
    /// How many reports wait for it at most, for each worker.
    pub reports_max: usize,
    /// Whether calls run under leases; else each is held by itself.
    pub leases: bool,
    /// What the host is told this proxy is called.
    pub edge: Box<str>,
    /// How long the reports of calls under leases wait for others to go with.
    pub report_after: Duration,
    /// How long a stream that was cut off has to take its last event before it is closed.
    pub flush: Duration,
}

/// What becomes of a call that could not be held because the host does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenAway {
    /// It is refused.
    #[default]
    Closed,
    /// It runs without a hold, and is reported.
    Open,
}

/// The key that an upstream is called with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamKey {
    /// The header it stands in, in lower case.
    pub header: Box<str>,
    /// What stands there, such as `Bearer …`.
    pub value: Box<str>,
}

/// What stands behind a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The family of its answers; absent: told by shape.
    pub api: Option<Api>,
    /// Whose key it is called with.
    pub key_source: KeySource,
    /// Where it serves, where its price depends on that.
    pub region: Option<Box<str>>,
    /// What takes the place of the caller's key; absent: nothing does.
    pub key: Option<UpstreamKey>,
    /// The models that it serves: by the name that callers use, the name that it knows. Empty: any,
    /// by the caller's name.
    pub models: BTreeMap<Box<str>, Box<str>>,
    /// What its paths begin with, before that of the request.
    pub path_prefix: Box<str>,
}

impl Upstream {
    /// The name of the family of its answers, where it is declared.
    pub fn api_name(&self) -> Option<&'static str> {
        self.api.map(Api::name)
    }

    /// What it calls the model that a caller asks for; `None` where it does not serve it.
    pub fn own_name<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        if self.models.is_empty() {
            return Some(asked);
        }
        self.models.get(asked).map(|name| &**name)
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not JSON of these fields.
    #[error("the plugin configuration is not the filter's settings")]
    Malformed(#[from] serde_json::Error),
    /// Not an amount above zero.
    #[error("`usd_per_credit` is `{value}`: give an amount above zero, such as \"0.1\"")]
    Peg {
        /// As given.
        value: Box<str>,
    },
    /// No well-formed provider id.
    #[error("upstream `{upstream}`: `{value}` is not a provider id")]
    Provider {
        /// The cluster.
        upstream: Box<str>,
        /// As given.
        value: Box<str>,
    },
    /// What stands in for another must be there, and say which models it serves: else a model's
    /// name would go to an upstream that does not know it, or knows another model by it.
    #[error("group `{group}`: `{member}` {what}")]
    Member {
        /// The cluster.
        group: Box<str>,
        /// As given.
        member: Box<str>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A cluster is an upstream or a group, and a group has members.
    #[error("group `{group}` {what}")]
    Group {
        /// The cluster.
        group: Box<str>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// One of the two would not be used.
    #[error("upstream `{upstream}`: a `key` takes the place of the customer's own")]
    OwnKey {
        /// The cluster.
        upstream: Box<str>,
    },
    /// No known family of answers.
    #[error("upstream `{upstream}`: `{value}` is not a known api")]
    Api {
        /// The cluster.
        upstream: Box<str>,
        /// As given.
        value: Box<str>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    deployment: DeploymentText,
    upstreams: BTreeMap<Box<str>, UpstreamText>,
    #[serde(default)]
    groups: BTreeMap<Box<str>, Vec<Box<str>>>,
    host: Option<HostText>,
    #[serde(default)]
    usd_per_credit: Option<Box<str>>,
    #[serde(default = "a_mebibyte")]
    request_bytes_max: usize,
    #[serde(default = "a_mebibyte")]
    held_bytes_max: usize,
    #[serde(default = "four_mebibytes")]
    read_bytes_max: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeploymentText {
    Hosted,
    SelfHosted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostText {
    cluster: Box<str>,
    #[serde(default = "two_seconds")]
    timeout_ms: u32,
    #[serde(default)]
    when_away: WhenAway,
    #[serde(default = "a_thousand")]
    reports_max: usize,
    #[serde(default = "yes")]
    leases: bool,
    #[serde(default = "envoy")]
    edge: Box<str>,
    #[serde(default = "a_quarter_second")]
    report_ms: u32,
    #[serde(default = "a_quarter_second")]
    flush_ms: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamText {
    provider: Box<str>,
    api: Option<Box<str>>,
    #[serde(default)]
    key_source: KeySourceText,
    region: Option<Box<str>>,
    key: Option<UpstreamKey>,
    #[serde(default)]
    models: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    path_prefix: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeySourceText {
    #[default]
    Managed,
    Own,
}

const fn yes() -> bool {
    true
}

fn envoy() -> Box<str> {
    "envoy".into()
}

const fn a_quarter_second() -> u32 {
    250
}

const fn two_seconds() -> u32 {
    2000
}

const fn a_thousand() -> usize {
    1024
}

const fn a_mebibyte() -> usize {
    1 << 20
}

const fn four_mebibytes() -> usize {
    4 << 20
}

impl Settings {
    /// Reads the plugin configuration.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn read(json: &[u8]) -> Result<Self, SettingsError> {
        let text: Text = serde_json::from_slice(json)?;
        let peg = match text.usd_per_credit {
            None => Peg::DEFAULT,
            Some(value) => {
                let usd = parse_exact(&value).ok();
                usd.and_then(Peg::new).ok_or(SettingsError::Peg { value })?
            }
        };
        let upstreams = text.upstreams.into_iter().map(|(name, text)| {
            let upstream = upstream(&name, text)?;
            Ok((name, upstream))
        });
        let upstreams = upstreams.collect::<Result<_, SettingsError>>()?;
        groups(&text.groups, &upstreams, text.host.is_some())?;
        Ok(Self {
            deployment: match text.deployment {
                DeploymentText::Hosted => Deployment::Hosted,
                DeploymentText::SelfHosted => Deployment::SelfHosted,
            },
            upstreams,
            groups: text.groups,
            host: text.host.map(|host| Host {
                cluster: host.cluster,
                timeout: Duration::from_millis(host.timeout_ms.into()),
                when_away: host.when_away,
                reports_max: host.reports_max,
                leases: host.leases,
                edge: host.edge,
                report_after: Duration::from_millis(host.report_ms.into()),
                flush: Duration::from_millis(host.flush_ms.into()),
            }),
            peg,
            request_bytes_max: text.request_bytes_max,
            held_bytes_max: text.held_bytes_max,
            read_bytes_max: text.read_bytes_max,
        })
    }

    /// The upstreams that may serve a call to this cluster, in the order in which they are named;
    /// none where the cluster is no business of the filter.
    pub fn serving<'a>(&'a self, cluster: &str) -> Vec<(&'a str, &'a Upstream)> {
        let of = |name: &str| {
            let (name, upstream) = self.upstreams.get_key_value(name)?;
            Some((&**name, upstream))
        };
        match self.groups.get(cluster) {
            Some(members) => members.iter().filter_map(|name| of(name)).collect(),
            None => of(cluster).into_iter().collect(),
        }
    }
}

/// Groups of which every member can stand in for every other.
fn groups(
    groups: &BTreeMap<Box<str>, Vec<Box<str>>>,
    upstreams: &BTreeMap<Box<str>, Upstream>,
    has_host: bool,
) -> Result<(), SettingsError> {
    for (group, members) in groups {
        let refused = |what| {
            let group = group.clone();
            Err(SettingsError::Group { group, what })
        };
        if members.is_empty() {
            return refused("has no members");
        }
        if upstreams.contains_key(group) {
            return refused("is an upstream as well");
        }
        if !has_host {
            return refused("needs a `host`: else each member would get the caller's key");
        }
        for member in members {
            let what = match upstreams.get(member) {
                None => "is no upstream",
                Some(upstream) if upstream.models.is_empty() => "does not say its `models`",
                Some(upstream) if upstream.key_source == KeySource::Own => {
                    "is called with the customer's own key, which is nobody else's to have"
                }
                Some(_) => continue,
            };
            let (group, member) = (group.clone(), member.clone());
            return Err(SettingsError::Member {
                group,
                member,
                what,
            });
        }
    }
    Ok(())
}

fn upstream(name: &str, text: UpstreamText) -> Result<Upstream, SettingsError> {
    if matches!(text.key_source, KeySourceText::Own) && text.key.is_some() {
        let upstream = name.into();
        return Err(SettingsError::OwnKey { upstream });
    }
    let provider = match provider::normalise(&text.provider) {
        Some(id) => id.as_ref().into(),
        None => {
            return Err(SettingsError::Provider {
                upstream: name.into(),
                value: text.provider,
            });
        }
    };
    let api = match text.api {
        None => None,
        Some(value) => match Api::from_name(&value) {
            Ok(api) => Some(api),
            Err(_) => {
                return Err(SettingsError::Api {
                    upstream: name.into(),
                    value,
                });
            }
        },
    };
    Ok(Upstream {
        provider,
        api,
        key_source: match text.key_source {
            KeySourceText::Managed => KeySource::Managed,
            KeySourceText::Own => KeySource::Own,
        },
        region: text.region,
        key: text.key,
        models: text.models,
        path_prefix: text.path_prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let settings = Settings::read(
            br#"{"deployment": "self-hosted", "upstreams": {"a": {"provider": "OpenAI"}}}"#,
        )
        .unwrap();
        assert_eq!(settings.deployment, Deployment::SelfHosted);
        assert_eq!(settings.peg, Peg::DEFAULT);
        assert_eq!(settings.request_bytes_max, 1_048_576);
        let expect = Upstream {
            provider: "openai".into(),
            api: None,
            key_source: KeySource::Managed,
            region: None,
            key: None,
            models: BTreeMap::new(),
            path_prefix: "".into(),
        };
        assert_eq!(settings.host, None);
        assert_eq!(settings.upstreams.get("a"), Some(&expect));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (json, expect) in [
            (
                r#"{"deployment": "hosted", "upstreams": {}, "usd_per_credit": "0"}"#,
                "`usd_per_credit` is `0`: give an amount above zero, such as \"0.1\"",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "Open AI!"}}}"#,
                "upstream `a`: `Open AI!` is not a provider id",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "x", "api": "soap"}}}"#,
                "upstream `a`: `soap` is not a known api",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "x", "key_source": "own", "key": {"header": "h", "value": "v"}}}}"#,
                "upstream `a`: a `key` takes the place of the customer's own",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {}, "hold": true}"#,
                "the plugin configuration is not the filter's settings",
            ),
            (
                r#"{"deployment": "hosted", "host": {"cluster": "h"}, "upstreams": {"a": {"provider": "x"}}, "groups": {"g": ["a"]}}"#,
                "group `g`: `a` does not say its `models`",
            ),
            (
                r#"{"deployment": "hosted", "host": {"cluster": "h"}, "upstreams": {}, "groups": {"g": ["a"]}}"#,
                "group `g`: `a` is no upstream",
            ),
            (
                r#"{"deployment": "hosted", "host": {"cluster": "h"}, "upstreams": {"a": {"provider": "x", "models": {"m": "n"}, "key_source": "own"}}, "groups": {"g": ["a"]}}"#,
                "group `g`: `a` is called with the customer's own key, which is nobody else's to have",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "x"}}, "groups": {"a": ["a"]}}"#,
                "group `a` is an upstream as well",
            ),
            (
                r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "x", "models": {"m": "n"}}}, "groups": {"g": ["a"]}}"#,
                "group `g` needs a `host`: else each member would get the caller's key",
            ),
        ] {
            assert_eq!(
                Settings::read(json.as_bytes()).unwrap_err().to_string(),
                expect
            );
        }
    }
}
