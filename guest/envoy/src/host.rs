//! What is said to the host that keeps the ledger, and what its answers mean: a hold before a call,
//! its release or the report of what was used after it.
//!
//! The host's answer is the authority on money; the price of the edge goes along only to be
//! compared. Must not know proxies.

use crate::digest::Headers;
use crate::lease::Return;
use crate::lease::wire::{self, nanos};
use crate::moment;
use crate::settings::Upstream;
use crate::telling;
use farebox_sdk::pricing::event::KeySource;
use farebox_sdk::pricing::meter::Pool;
use farebox_usage::{Finish, Normalised, RequestFacts, parse_exact};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::rc::Rc;

/// What a request asks for, as the host is told.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The model, of the body or of the path.
    pub model: Option<Box<str>>,
    /// What the body says, where it could be read.
    pub read: RequestFacts,
}

impl Asked {
    /// The same in the words of the upstream that is asked.
    #[must_use]
    pub fn of(&self, upstream: &Upstream) -> Self {
        let model = self.model.as_deref();
        Self {
            model: model.map(|model| upstream.own_name(model).unwrap_or(model).into()),
            read: self.read.clone(),
        }
    }

    /// The record of a request that the API takes.
    fn record(&self) -> Value {
        json!({
            "model": self.model,
            "stream": self.read.stream,
            "max_output": self.read.max_output_tokens,
            "service_tier": self.read.service_tier,
            "body_bytes": self.read.body_bytes,
        })
    }
}

/// The body of `POST /v1/holds`.
pub fn hold(upstream: &Upstream, asked: &Asked) -> String {
    let call = json!({
        "provider": upstream.provider,
        "model": asked.model,
        "body_bytes": asked.read.body_bytes,
        "max_output_tokens": asked.read.max_output_tokens,
        "service_tier": asked.read.service_tier,
        "region": upstream.region,
        "key_source": word(upstream.key_source),
    });
    let call = without_nulls(call);
    // How long it lives is the host's to say, which has a bound for it.
    json!({"call": call}).to_string()
}

/// What the host says to a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The call may run.
    Held {
        /// The hold's id.
        id: Box<str>,
    },
    /// It may not: the host's problem is for the caller.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// There is no answer.
    Away,
}

impl Held {
    /// Reads the answer; without a status there was none.
    pub fn read(status: Option<u16>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Hold {
            id: Box<str>,
        }
        match status {
            Some(200 | 201) => match serde_json::from_slice(body) {
                Ok(Hold { id }) => Self::Held { id },
                Err(_) => Self::Away,
            },
            Some(status @ 400..=499) => Self::Refused { status },
            // It says so itself, so it is there: nothing runs that it did not let run.
            Some(status @ 500..=599) if is_problem(body) => Self::Refused { status },
            _ => Self::Away,
        }
    }
}

/// What an answer said of its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The body of the answer, or what of it says all of that; and the headers that count.
    Response(String, Headers),
    /// The stream, or those of its events that say all of it. Empty: nothing was said.
    Stream(String, Headers),
    /// What was read, where no text says the same.
    Read(Box<Normalised>),
}

impl Said {
    /// Nothing.
    pub const fn nothing() -> Self {
        Self::Stream(String::new(), Vec::new())
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
    /// The hold, where there is one.
    pub hold: Option<&'a str>,
    /// When it was, in milliseconds since the Unix epoch by the host's clock: where the hold is a
    /// lease, which further calls are reported under.
    pub leased_at_ms: Option<i64>,
}

/// The body of `POST /v1/usage`.
pub fn usage(over: &Over<'_>) -> String {
    let record = without_nulls(over.asked.record());
    let mut report = json!({
        "provider": over.upstream.provider,
        "api": over.upstream.api.map(farebox_usage::Api::name),
        "model": over.asked.model,
        "request": record,
        "hold_id": over.hold,
        "status": over.status,
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
        Said::Response(_, headers) | Said::Stream(_, headers) => headers.as_slice(),
        Said::Read(_) => &[],
    };
    if !headers.is_empty() {
        let header = |(name, value): &(String, String)| (name.clone(), value.clone().into());
        let headers = headers.iter().map(header).collect();
        fields.insert("headers".to_owned(), Value::Object(headers));
    }
    let (name, value) = match said {
        Said::Response(body, _) => match serde_json::from_str::<&RawValue>(body) {
            // Numbers keep their source text.
            Ok(raw) if raw.get().starts_with('{') => match serde_json::from_str(raw.get()) {
                Ok(value) => ("response", value),
                Err(_) => ("sse", Value::String(String::new())),
            },
            // A list of objects is read as the stream it came as.
            Ok(raw) => ("sse", Value::String(raw.get().to_owned())),
            Err(_) => ("sse", Value::String(String::new())),
        },
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

const fn word(key_source: KeySource) -> &'static str {
    match key_source {
        KeySource::Managed => "managed",
        KeySource::Own => "own",
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.collect::<Map<_, _>>())
        }
        value => value,
    }
}

/// Something the host has to hear, however often it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it goes.
    pub path: String,
    /// The caller's key.
    pub key: String,
    /// Under which it counts once.
    pub idempotency_key: String,
    /// What is said.
    pub body: String,
    /// What the edge took the call to cost, in USD.
    pub price_usd: Option<Decimal>,
    /// The hold that it is under, where that is its own.
    pub hold: Option<Box<str>>,
    /// The lease that it was a call under.
    pub leased: Option<Leased>,
}

impl Report {
    /// A lease goes back. If the host has it already, that is as well.
    pub fn of_return(back: &Return, key: &str) -> Self {
        Self {
            path: format!("{LEASES}{}/release", back.lease),
            key: key.to_owned(),
            idempotency_key: format!("{}:{}:back", back.lease, back.turn),
            body: wire::give_back(back),
            price_usd: None,
            hold: None,
            leased: None,
        }
    }

    /// Whether it tells of a call.
    pub fn is_of_call(&self) -> bool {
        !self.path.starts_with(LEASES)
    }
}

/// Where the host's leases are.
const LEASES: &str = "/v1/leases/";

/// What a call left of the lease it ran under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Where the key's leases are shared.
    pub shared: Rc<str>,
    /// The lease.
    pub lease: Box<str>,
    /// What it left, in nano-credits.
    pub cost: i64,
}

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parcel {
    /// One report.
    One(Report),
    /// Calls under leases of one key. Sent again it is the same parcel, so that each counts once.
    Many(Vec<Report>),
}

#[derive(Deserialize)]
struct ReportText {
    path: String,
    key: String,
    idempotency_key: String,
    body: String,
    price_usd: Option<Box<str>>,
    hold: Option<Box<str>>,
    shared: Option<Box<str>>,
    lease: Option<Box<str>>,
    cost: Option<i64>,
}

impl Parcel {
    /// The parcel as text, to be handed on to whoever takes this place.
    pub fn to_text(&self) -> String {
        let reports: Vec<Value> = self.reports().iter().map(Report::to_value).collect();
        json!({"together": matches!(self, Self::Many(_)), "reports": reports}).to_string()
    }

    /// Reads what [`Parcel::to_text`] wrote; `None` where it is nothing of the kind.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Text {
            together: bool,
            reports: Vec<ReportText>,
        }
        let text: Text = serde_json::from_slice(text).ok()?;
        let reports = text.reports.into_iter().map(Report::of_text);
        let mut reports = reports.collect::<Option<Vec<_>>>()?;
        if text.together {
            return Some(Self::Many(reports));
        }
        reports.pop().map(Self::One)
    }

    /// Its reports.
    pub fn reports(&self) -> &[Report] {
        match self {
            Self::One(report) => std::slice::from_ref(report),
            Self::Many(reports) => reports,
        }
    }

    /// Where it goes, and what is said there.
    pub fn request(&self) -> (String, String) {
        match self {
            Self::One(report) => (report.path.clone(), report.body.clone()),
            Self::Many(reports) => {
                let mut body = String::from("{\"items\":[");
                for (index, report) in reports.iter().enumerate() {
                    if index > 0 {
                        body.push(',');
                    }
                    body.push_str(&report.body);
                }
                body.push_str("]}");
                ("/v1/usage/batch".to_owned(), body)
            }
        }
    }

    /// What became of each of its reports.
    pub fn heard(&self, status: Option<u16>, body: &[u8]) -> Vec<(Heard, Option<i64>)> {
        let reports = self.reports();
        match self {
            Self::One(report) => vec![(Heard::read(status, body, report), charged(body))],
            Self::Many(_) => {
                #[derive(Deserialize)]
                struct Answers<'a> {
                    #[serde(borrow)]
                    items: Vec<&'a RawValue>,
                }
                let answers: Option<Answers<'_>> = match status {
                    Some(200) => serde_json::from_slice(body).ok(),
                    _ => None,
                };
                match answers {
                    Some(Answers { items }) if items.len() == reports.len() => items
                        .iter()
                        .zip(reports)
                        .map(|(item, report)| {
                            let (status, body) = by_itself(item.get());
                            (Heard::read(Some(status), body, report), charged(body))
                        })
                        .collect(),
                    // One bad report never makes the batch one, but whoever sent it may be let in
                    // no more.
                    _ => {
                        let heard = match status {
                            Some(200) => Heard::NotYet,
                            status => match reports.first() {
                                Some(first) => Heard::read(status, body, first),
                                None => Heard::NotYet,
                            },
                        };
                        reports.iter().map(|_| (heard, None)).collect()
                    }
                }
            }
        }
    }
}

/// What an item of a batch would have been answered by itself.
fn by_itself(item: &str) -> (u16, &[u8]) {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        problem: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Problem {
        status: u16,
    }
    let read: Option<Item<'_>> = serde_json::from_str(item).ok();
    match read.and_then(|item| item.problem) {
        None => (200, item.as_bytes()),
        Some(problem) => {
            let status: Option<Problem> = serde_json::from_str(problem.get()).ok();
            let status = status.map_or(500, |problem| problem.status);
            (status, problem.get().as_bytes())
        }
    }
}

/// What the host charged for a call, in nano-credits.
fn charged(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Charged<'a> {
        credits: Option<&'a str>,
    }
    let charged: Charged<'_> = serde_json::from_slice(body).ok()?;
    nanos(charged.credits?)
}

impl Report {
    fn to_value(&self) -> Value {
        let leased = self.leased.as_ref();
        json!({
            "path": self.path,
            "key": self.key,
            "idempotency_key": self.idempotency_key,
            "body": self.body,
            "price_usd": self.price_usd.map(telling::plain),
            "hold": self.hold,
            "shared": leased.map(|leased| &*leased.shared),
            "lease": leased.map(|leased| &leased.lease),
            "cost": leased.map(|leased| leased.cost),
        })
    }

    fn of_text(text: ReportText) -> Option<Self> {
        let price_usd = match text.price_usd {
            Some(price) => Some(parse_exact(&price).ok()?),
            None => None,
        };
        let leased = match (text.shared, text.lease, text.cost) {
            (Some(shared), Some(lease), Some(cost)) => Some(Leased {
                shared: (*shared).into(),
                lease,
                cost,
            }),
            _ => None,
        };
        Some(Self {
            path: text.path,
            key: text.key,
            idempotency_key: text.idempotency_key,
            body: text.body,
            price_usd,
            hold: text.hold,
            leased,
        })
    }

    /// That nothing was used, in place of this report of what was: the hold is given back.
    pub fn of_nothing(self) -> Option<Self> {
        let hold = self.hold?;
        Some(Self {
            path: format!("/v1/holds/{hold}/release"),
            key: self.key,
            idempotency_key: format!("{hold}:nothing"),
            body: "{}".to_owned(),
            price_usd: None,
            hold: None,
            leased: None,
        })
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The host has it.
    Yes {
        /// Its price is another than the edge's.
        differs: bool,
    },
    /// The provider answered with an error, and the book charges what was seen, which is nothing.
    Nothing,
    /// The host does not want it, and never will.
    Refused,
    /// There was no answer, or one that may change.
    NotYet,
}

impl Heard {
    /// Reads the answer to a report; without a status there was none.
    pub fn read(status: Option<u16>, body: &[u8], report: &Report) -> Self {
        #[derive(Deserialize)]
        struct Charged {
            price_usd: Option<Box<str>>,
        }
        match status {
            Some(200..=299) => {
                let charged: Option<Charged> = serde_json::from_slice(body).ok();
                let theirs = charged.and_then(|charged| charged.price_usd);
                let ours = report.price_usd.map(telling::plain);
                let differs = match (&theirs, &ours) {
                    (Some(theirs), Some(ours)) => **theirs != **ours,
                    (None, Some(_)) => true,
                    // What has no price at the edge is the host's to settle.
                    (_, None) => false,
                };
                Self::Yes { differs }
            }
            Some(422) if reason(body).as_deref() == Some("provider_error") => Self::Nothing,
            Some(408 | 425 | 429) | None => Self::NotYet,
            Some(400..=499) => Self::Refused,
            Some(_) => Self::NotYet,
        }
    }
}

/// Whether this is the host's own word, and not that of a proxy in its place.
fn is_problem(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Problem {
        r#type: Box<str>,
    }
    let problem = serde_json::from_slice::<Problem>(body);
    problem.is_ok_and(|problem| problem.r#type.starts_with("/problems/"))
}

/// The reason in a problem of the host.
fn reason(problem: &[u8]) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Problem {
        reason: Option<Box<str>>,
    }
    serde_json::from_slice::<Problem>(problem).ok()?.reason
}

/// A problem of the filter's own, in the host's form.
pub fn problem(kind: &str, title: &str, status: u16, detail: &str) -> String {
    json!({
        "type": format!("/problems/{kind}"),
        "title": title,
        "status": status,
        "detail": detail,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_sdk::pricing::meter::{Attribute, Meter};

    fn report(price_usd: Option<Decimal>) -> Report {
        Report {
            path: "/v1/usage".to_owned(),
            key: "Bearer k".to_owned(),
            idempotency_key: "hold_1".to_owned(),
            body: "{}".to_owned(),
            price_usd,
            hold: None,
            leased: None,
        }
    }

    #[test]
    fn only_no_answer_is_asked_again() {
        let priced = report(Some(Decimal::new(4375, 6)));
        let yes = |differs| Heard::Yes { differs };
        for (status, body, expect) in [
            (Some(200), r#"{"price_usd":"0.004375"}"#, yes(false)),
            (Some(200), r#"{"price_usd":"0.00437"}"#, yes(true)),
            (Some(202), r#"{"reason":"unknown_model"}"#, yes(true)),
            (Some(422), "{}", Heard::Refused),
            (Some(422), r#"{"reason":"no_usage"}"#, Heard::Refused),
            (Some(422), r#"{"reason":"provider_error"}"#, Heard::Nothing),
            (Some(429), "{}", Heard::NotYet),
            (Some(503), "{}", Heard::NotYet),
            (None, "", Heard::NotYet),
        ] {
            let heard = Heard::read(status, body.as_bytes(), &priced);
            assert_eq!(heard, expect, "{status:?} {body}");
        }
        let unpriced = Heard::read(Some(200), br#"{"price_usd":"1"}"#, &report(None));
        assert_eq!(unpriced, yes(false));
    }

    #[test]
    fn what_is_handed_on_is_the_same() {
        let of_lease = Report {
            leased: Some(Leased {
                shared: "farebox:b:k".into(),
                lease: "hold_1".into(),
                cost: 5,
            }),
            ..report(None)
        };
        for price in [None, Some(Decimal::new(4375, 6))] {
            let report = Report {
                body: "{\"a\": 1.50}".to_owned(),
                hold: Some("hold_1".into()),
                ..report(price)
            };
            for parcel in [
                Parcel::One(report.clone()),
                Parcel::Many(vec![report, of_lease.clone()]),
            ] {
                let read = Parcel::from_text(parcel.to_text().as_bytes());
                assert_eq!(read, Some(parcel));
            }
        }
        assert_eq!(Parcel::from_text(b"{}"), None);
    }

    #[test]
    fn each_report_of_a_batch_has_its_own_answer() {
        let leased = |usd: i64| Report {
            leased: Some(Leased {
                shared: "k".into(),
                lease: "l".into(),
                cost: 1,
            }),
            ..report(Some(Decimal::new(usd, 3)))
        };
        let parcel = Parcel::Many(vec![leased(1), leased(1), leased(1)]);
        let body = br#"{"items":[{"price_usd":"0.001","credits":"0.01"},
            {"status":"unpriced"},{"problem":{"status":422,"reason":"provider_error"}}]}"#;
        let yes = |differs| Heard::Yes { differs };
        assert_eq!(
            parcel.heard(Some(200), body),
            [
                (yes(false), Some(10_000_000)),
                (yes(true), None),
                (Heard::Nothing, None)
            ]
        );
        // An answer for fewer is none.
        let body = br#"{"items":[{"price_usd":"0.001","credits":"0.01"}]}"#;
        assert_eq!(parcel.heard(Some(200), body), [(Heard::NotYet, None); 3]);
        assert_eq!(parcel.heard(None, b""), [(Heard::NotYet, None); 3]);
        assert_eq!(parcel.heard(Some(401), b"{}"), [(Heard::Refused, None); 3]);
    }

    #[test]
    fn a_hold_is_the_hosts_word_alone() {
        let id = Held::Held {
            id: "hold_1".into(),
        };
        for (status, body, expect) in [
            (Some(201), r#"{"id":"hold_1","credits":"1"}"#, id),
            (Some(201), "{}", Held::Away),
            (Some(402), "{}", Held::Refused { status: 402 }),
            (Some(500), "{}", Held::Away),
            (Some(503), "no healthy upstream", Held::Away),
            (
                Some(507),
                r#"{"type":"/problems/storage-full"}"#,
                Held::Refused { status: 507 },
            ),
            (None, "", Held::Away),
        ] {
            assert_eq!(Held::read(status, body.as_bytes()), expect);
        }
    }

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
