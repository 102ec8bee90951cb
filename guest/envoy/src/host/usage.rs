//! What a call used, as the host is told: the body of `POST /v1/usage`. Must not know when or how
//! often it is sent.

use super::{Asked, without_nulls, word};
use crate::digest::Headers;
use crate::moment;
use crate::settings::Upstream;
use crate::telling;
use farebox_sdk::pricing::meter::Pool;
use farebox_usage::{Finish, Normalised};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

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

/// The body of `POST /v1/usage`.
pub fn body(over: &Over<'_>) -> String {
    let record = without_nulls(over.asked.record());
    let mut report = json!({
        "provider": over.upstream.provider,
        "api": over.upstream.api.map(farebox_usage::Api::name),
        "model": over.asked.model,
        "request": record,
        "hold_id": over.hold,
        "idempotency_key": over.idempotency_key,
        "status": over.status,
        "cut_off_bytes": over.cut_off_bytes,
        "region": over.upstream.region,
        "key_source": word(over.upstream.key_source),
        "occurred_at": over.leased_at_ms.map(moment::text),
        "final": over.leased_at_ms.map(|_| false),
    });
    if let Value::Object(report) = &mut report {
        if over.aborted {
            report.insert("aborted".to_owned(), Value::Bool(true));
        }
        report.extend(said(over.said));
    }
    without_nulls(report).to_string()
}

fn said(said: &Said) -> Map<String, Value> {
    let mut fields = Map::new();
    let headers = match said {
        Said::Response(_, headers) | Said::Content(_, headers) | Said::Stream(_, headers) => {
            headers.as_slice()
        }
        Said::Read(_) => &[],
    };
    if !headers.is_empty() {
        let header = |(name, value): &(String, String)| (name.clone(), value.clone().into());
        let headers = headers.iter().map(header).collect();
        fields.insert("headers".to_owned(), Value::Object(headers));
    }
    let (name, value) = match said {
        Said::Response(body, _) | Said::Content(body, _) => {
            match serde_json::from_str::<&RawValue>(body) {
                // Numbers keep their source text.
                Ok(raw) if raw.get().starts_with('{') => match serde_json::from_str(raw.get()) {
                    Ok(value) => ("response", value),
                    Err(_) => ("sse", Value::String(String::new())),
                },
                // A list of objects is read as the stream it came as.
                Ok(raw) => ("sse", Value::String(raw.get().to_owned())),
                Err(_) => ("sse", Value::String(String::new())),
            }
        }
        Said::Stream(stream, _) => ("sse", Value::String(stream.clone())),
        Said::Read(whole) => {
            let pool = |pool: &Pool| {
                let quantity = telling::plain(pool.quantity.get());
                (pool.meter.name().to_owned(), Value::String(quantity))
            };
            let text = |text: &str| Value::String(text.to_owned());
            let cost = whole.provider_cost_usd.map(telling::plain);
            let beside = [
                ("model", whole.model_served.as_deref().map(text)),
                ("service_tier", whole.service_tier.as_deref().map(text)),
                ("region", whole.region.as_deref().map(text)),
                ("provider_cost_usd", cost.map(Value::String)),
            ];
            for (name, value) in beside {
                fields.extend(value.map(|value| (name.to_owned(), value)));
            }
            let pools = whole.pools.iter().map(pool).collect();
            ("usage", Value::Object(pools))
        }
    };
    fields.insert(name.to_owned(), value);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_sdk::pricing::meter::{Attribute, Meter};
    use rust_decimal::Decimal;

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
        let fields = said(&Said::of(&plain).unwrap());
        assert_eq!(fields["usage"], json!({"input": "7", "output": "7"}));
        assert_eq!(fields["model"], "m");
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
