//! What a call used, as the host is told: the body of `POST /v1/usage`. Must not know when or how
//! often it is sent.

use super::{Asked, RequestText, word};
use crate::digest::Headers;
use crate::moment;
use crate::settings::Upstream;
use crate::telling;
use farebox_sdk::pricing::meter::Pool;
use farebox_usage::{Finish, Normalised};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What an answer said of its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What of the body of the answer says all of it, and the headers that count.
    Response(String, Headers),
    /// The same with all of the body, where no part of it says the same.
    Content(String, Headers),
    /// Those events of the stream that say all of it. Empty: nothing was said.
    Stream(String, Headers),
    /// What was read, where no text says the same.
    Read(Box<Normalised>),
}

impl Said {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self::Stream(String::new(), Vec::new())
    }

    /// Whether it has something of what was answered, beside what was used.
    pub const fn has_content(&self) -> bool {
        matches!(self, Self::Content(..))
    }

    /// What was read, where it can be told by the names of its pools; `None` where that would say
    /// something else: of things with attributes, of two costs, or of an answer that is not whole.
    pub fn of(whole: &Normalised) -> Option<Self> {
        let plain = whole.pools.iter().all(|pool| pool.attributes.is_empty());
        let once = whole
            .pools
            .windows(2)
            .all(|two| !matches!(two, [a, b] if a.meter == b.meter));
        let can_be_told = plain
            && once
            && !whole.pools.is_empty()
            && whole.finish == Finish::Complete
            && whole.upstream_cost_usd.is_none();
        can_be_told.then(|| Self::Read(Box::new(whole.clone())))
    }
}

/// A call that is over, as the host is told.
pub struct Over<'a> {
    /// Who served it.
    pub upstream: &'a Upstream,
    /// What was asked.
    pub asked: &'a Asked,
    /// What was answered.
    pub said: &'a Said,
    /// The provider's HTTP status, where it answered.
    pub status: Option<u16>,
    /// Whether the caller went away.
    pub aborted: bool,
    /// What the caller had got when the stream was cut off, in bytes of text; `None` where it was not.
    pub cut_off_bytes: Option<u64>,
    /// The hold, where there is one.
    pub hold: Option<&'a str>,
    /// Under which it counts once.
    pub idempotency_key: &'a str,
    /// When it was, in milliseconds since the Unix epoch by the host's clock: where the hold is a
    /// lease, which further calls are reported under.
    pub leased_at_ms: Option<i64>,
}

/// The body of `POST /v1/usage`. It is written with each call, so no tree of it is made.
pub fn body(over: &Over<'_>) -> String {
    let (upstream, asked) = (over.upstream, over.asked);
    let said = Fields::of(over.said);
    let report = Text {
        provider: &upstream.provider,
        api: upstream.api_name(),
        model: said.model.or(asked.model.as_deref()),
        request: asked.record(),
        hold_id: over.hold,
        idempotency_key: over.idempotency_key,
        status: over.status,
        cut_off_bytes: over.cut_off_bytes,
        region: said.region.or(upstream.region.as_deref()),
        key_source: word(upstream.key_source),
        occurred_at: over.leased_at_ms.map(moment::text),
        r#final: over.leased_at_ms.map(|_| false),
        aborted: over.aborted,
        said,
    };
    telling::to_json(&report)
}

#[derive(Serialize)]
struct Text<'a> {
    provider: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    request: RequestText<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<&'a str>,
    idempotency_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_off_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    key_source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#final: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    aborted: bool,
    #[serde(flatten)]
    said: Fields<'a>,
}

/// What was answered, in a report's fields.
#[derive(Default, Serialize)]
struct Fields<'a> {
    /// What was read says it better than what was asked.
    #[serde(skip)]
    model: Option<&'a str>,
    #[serde(skip)]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "by_name")]
    headers: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sse: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_cost_usd: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "by_meter")]
    usage: &'a [Pool],
}

impl<'a> Fields<'a> {
    fn of(said: &'a Said) -> Self {
        match said {
            Said::Response(body, headers) | Said::Content(body, headers) => {
                // Numbers keep their source text.
                let raw: Option<&RawValue> = serde_json::from_str(body).ok();
                let is_object = |raw: &&RawValue| raw.get().starts_with('{');
                Self {
                    headers,
                    response: raw.filter(is_object),
                    // A list of objects is read as the stream it came as.
                    sse: match raw {
                        Some(raw) if is_object(&raw) => None,
                        Some(raw) => Some(raw.get()),
                        None => Some(""),
                    },
                    ..Self::default()
                }
            }
            Said::Stream(stream, headers) => Self {
                headers,
                sse: Some(stream),
                ..Self::default()
            },
            Said::Read(whole) => Self {
                model: whole.model_served.as_deref(),
                region: whole.region.as_deref(),
                service_tier: whole.service_tier.as_deref(),
                provider_cost_usd: whole.provider_cost_usd.map(telling::plain),
                usage: &whole.pools,
                ..Self::default()
            },
        }
    }
}

fn by_name<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| (name, value)))
}

fn by_meter<S: Serializer>(pools: &[Pool], serializer: S) -> Result<S::Ok, S::Error> {
    let quantity = |pool: &Pool| telling::plain(pool.quantity.get());
    serializer.collect_map(pools.iter().map(|pool| (pool.meter.name(), quantity(pool))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_sdk::pricing::meter::{Attribute, Meter};
    use rust_decimal::Decimal;
    use serde_json::json;

    fn read(pools: Vec<Pool>) -> Normalised {
        let stream =
            br#"{"type":"message","model":"m","usage":{"input_tokens":7,"output_tokens":2}}"#;
        let whole = farebox_usage::normalise_response("anthropic", None, stream).unwrap();
        Normalised {
            pools,
            service_tier: Some("priority".into()),
            provider_cost_usd: Some(Decimal::new(5, 3)),
            ..whole
        }
    }

    /// By names alone, two pools of one meter would be one, and a part would be the whole.
    #[test]
    fn only_what_names_can_tell_is_told_by_them() {
        let pool = |meter| Pool::new(meter, 7.into());
        let plain = read(vec![pool(Meter::Input), pool(Meter::Output)]);
        let said = Said::of(&plain).unwrap();
        let fields = Fields::of(&said);
        assert_eq!(fields.model, Some("m"));
        let fields = serde_json::to_value(fields).unwrap();
        assert_eq!(fields["usage"], json!({"input": "7", "output": "7"}));
        assert_eq!(fields["service_tier"], "priority");
        assert_eq!(fields["provider_cost_usd"], "0.005");
        let mut sized = pool(Meter::Image);
        sized.attributes.push(Attribute {
            name: "size".into(),
            value: "1024x1024".into(),
        });
        let cut = Normalised {
            finish: Finish::Partial,
            ..plain.clone()
        };
        let twice = read(vec![pool(Meter::Image), pool(Meter::Image)]);
        for whole in [cut, twice, read(vec![sized]), read(Vec::new())] {
            assert_eq!(Said::of(&whole), None, "{whole:?}");
        }
    }
}
