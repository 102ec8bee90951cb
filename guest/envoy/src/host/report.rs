//! What the host has to hear, by itself or with others, until it has it: as it is sent, as it is
//! handed on, and what an answer means for it. Must not know what is in it.

use super::ReleaseText;
use super::is_problem;
use crate::lease::Return;
use crate::lease::wire::{self, nanos};
use crate::telling;
use farebox_usage::parse_exact;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::rc::Rc;

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
    /// SHA-256 of the book by which it did, in hexadecimal.
    pub book: Option<Box<str>>,
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
            book: None,
            hold: None,
            leased: None,
        }
    }

    fn to_value(&self) -> Value {
        let leased = self.leased.as_ref();
        json!({
            "path": self.path,
            "key": self.key,
            "idempotency_key": self.idempotency_key,
            "body": self.body,
            "price_usd": self.price_usd.map(telling::plain),
            "book": self.book,
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
            book: text.book,
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
            book: None,
            hold: None,
            leased: None,
        })
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
    book: Option<Box<str>>,
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

    /// Its reports.
    pub fn into_reports(self) -> Vec<Report> {
        match self {
            Self::One(report) => vec![report],
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

    /// What an answer means for it; without a status there was none.
    pub fn answered(&self, status: Option<u16>, body: &[u8]) -> Answered {
        let reports = self.reports();
        let each: Vec<_> = match self {
            Self::One(report) => vec![Heard::read(status, body, report)],
            Self::Many(_) if status == Some(200) => {
                #[derive(Deserialize)]
                struct Answers<'a> {
                    #[serde(borrow)]
                    items: Vec<&'a RawValue>,
                }
                match serde_json::from_slice(body) {
                    Ok(Answers { items }) if items.len() == reports.len() => {
                        let heard = |(item, report): (&&RawValue, &Report)| {
                            Heard::of_item(item.get(), report)
                        };
                        items.iter().zip(reports).map(heard).collect()
                    }
                    _ => return Answered::Later,
                }
            }
            // It is about all of them, or about one that nobody names.
            Self::Many(_) => {
                let heard = |report| (Heard::read(status, body, report).0, None);
                reports.iter().map(heard).collect()
            }
        };
        let is_refused = status.is_some_and(|status| (400..=499).contains(&status));
        let waits = each.iter().any(|(heard, _)| *heard == Heard::NotYet);
        match status {
            None => Answered::Nobody,
            Some(500..=599) if !is_problem(body) => Answered::Nobody,
            Some(_) if waits => Answered::Later,
            Some(_) if is_refused && reports.len() > 1 => Answered::Apart,
            Some(_) => Answered::Each(each),
        }
    }
}

/// What the host's answer means for a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// What became of each of its reports, and what was charged for it in nano-credits.
    Each(Vec<(Heard, Option<i64>)>),
    /// It is not taken as a whole. Nothing of it was, so each report may go by itself.
    Apart,
    /// It cannot be taken now.
    Later,
    /// There is no answer.
    Nobody,
}

/// What the host says that it charged: a call's answer, or its item in that of a batch.
#[derive(Default, Deserialize)]
struct Charged<'a> {
    price_usd: Option<Box<str>>,
    release: Option<ReleaseText>,
    credits: Option<Box<str>>,
    /// In the place of all that.
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

impl Charged<'_> {
    /// What became of the report of it, and what was charged in nano-credits.
    fn heard(self, report: &Report) -> (Heard, Option<i64>) {
        let book = self.release.map(|release| release.book);
        let ours = report.price_usd.map(telling::plain);
        let differs = match (&self.price_usd, &ours) {
            (Some(theirs), Some(ours)) => **theirs != **ours || book != report.book,
            (None, Some(_)) => true,
            // What has no price at the edge is the host's to settle.
            (_, None) => false,
        };
        let charged = self.credits.and_then(|credits| nanos(&credits));
        (Heard::Yes { differs }, charged)
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The host has it.
    Yes {
        /// Its price is another than the edge's, or another book made it.
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
    /// What a call that left `cost` of its lease has really cost, as far as that is known now. What
    /// the host refuses was used all the same, so it is not to be spent again.
    pub const fn settled(self, cost: i64, charged: Option<i64>) -> Option<i64> {
        match self {
            Self::Yes { .. } => charged,
            Self::Nothing => Some(0),
            Self::Refused => Some(cost),
            Self::NotYet => None,
        }
    }

    /// Reads the answer to a report; without a status there was none. With it, what was charged in
    /// nano-credits.
    pub fn read(status: Option<u16>, body: &[u8], report: &Report) -> (Self, Option<i64>) {
        let heard = match status {
            Some(200..=299) => {
                let charged: Option<Charged<'_>> = serde_json::from_slice(body).ok();
                return charged.unwrap_or_default().heard(report);
            }
            Some(422) if reason(body).as_deref() == Some("provider_error") => Self::Nothing,
            Some(408 | 425 | 429) | None => Self::NotYet,
            Some(400..=499) => Self::Refused,
            Some(_) => Self::NotYet,
        };
        (heard, None)
    }

    /// The same of an item of a batch.
    fn of_item(item: &str, report: &Report) -> (Self, Option<i64>) {
        #[derive(Deserialize)]
        struct Problem {
            status: u16,
        }
        let charged: Charged<'_> = serde_json::from_str(item).unwrap_or_default();
        let Some(problem) = charged.problem else {
            return charged.heard(report);
        };
        let status: Option<Problem> = serde_json::from_str(problem.get()).ok();
        let status = status.map_or(500, |problem| problem.status);
        Self::read(Some(status), problem.get().as_bytes(), report)
    }
}

/// The reason in a problem of the host.
fn reason(problem: &[u8]) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Problem {
        reason: Option<Box<str>>,
    }
    serde_json::from_slice::<Problem>(problem).ok()?.reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(price_usd: Option<Decimal>) -> Report {
        Report {
            path: "/v1/usage".to_owned(),
            key: "Bearer k".to_owned(),
            idempotency_key: "hold_1".to_owned(),
            body: "{}".to_owned(),
            price_usd,
            book: price_usd.map(|_| "ab12".into()),
            hold: None,
            leased: None,
        }
    }

    #[test]
    fn only_no_answer_is_asked_again() {
        let priced = report(Some(Decimal::new(4375, 6)));
        let yes = |differs| Heard::Yes { differs };
        for (status, body, expect) in [
            (
                Some(200),
                r#"{"price_usd":"0.004375","release":{"book":"ab12"}}"#,
                yes(false),
            ),
            (
                Some(200),
                r#"{"price_usd":"0.00437","release":{"book":"ab12"}}"#,
                yes(true),
            ),
            (
                Some(200),
                r#"{"price_usd":"0.004375","release":{"book":"cd34"}}"#,
                yes(true),
            ),
            (Some(200), r#"{"price_usd":"0.004375"}"#, yes(true)),
            (Some(202), r#"{"reason":"unknown_model"}"#, yes(true)),
            (Some(422), "{}", Heard::Refused),
            (Some(422), r#"{"reason":"no_usage"}"#, Heard::Refused),
            (Some(422), r#"{"reason":"provider_error"}"#, Heard::Nothing),
            (Some(429), "{}", Heard::NotYet),
            (Some(503), "{}", Heard::NotYet),
            (None, "", Heard::NotYet),
        ] {
            let (heard, _) = Heard::read(status, body.as_bytes(), &priced);
            assert_eq!(heard, expect, "{status:?} {body}");
        }
        let unpriced = Heard::read(Some(200), br#"{"price_usd":"1"}"#, &report(None));
        assert_eq!(unpriced, (yes(false), None));
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
        let body = br#"{"items":[{"price_usd":"0.001","credits":"0.01","release":{"book":"ab12"}},
            {"status":"unpriced"},{"problem":{"status":422,"reason":"provider_error"}}]}"#;
        let yes = |differs| Heard::Yes { differs };
        assert_eq!(
            parcel.answered(Some(200), body),
            Answered::Each(vec![
                (yes(false), Some(10_000_000)),
                (yes(true), None),
                (Heard::Nothing, None)
            ])
        );
        // An answer for fewer is none.
        let body = br#"{"items":[{"price_usd":"0.001","credits":"0.01"}]}"#;
        let full: &[u8] = br#"{"type":"/problems/storage-full"}"#;
        for (status, body, expect) in [
            (Some(200), &body[..], Answered::Later),
            (Some(429), b"{}", Answered::Later),
            (Some(507), full, Answered::Later),
            (Some(503), b"no healthy upstream", Answered::Nobody),
            (None, b"", Answered::Nobody),
            (Some(413), b"{}", Answered::Apart),
        ] {
            assert_eq!(parcel.answered(status, body), expect, "{status:?}");
        }
        let alone = Parcel::Many(vec![leased(1)]);
        let refused = Answered::Each(vec![(Heard::Refused, None)]);
        assert_eq!(alone.answered(Some(413), b"{}"), refused);
        let wait = br#"{"items":[{"problem":{"status":503}}]}"#;
        assert_eq!(alone.answered(Some(200), wait), Answered::Later);
    }

    #[test]
    fn what_the_host_refuses_is_not_to_be_spent_again() {
        let yes = Heard::Yes { differs: false };
        assert_eq!(yes.settled(7, Some(8)), Some(8));
        assert_eq!(yes.settled(7, None), None, "it waits for its price");
        assert_eq!(Heard::Nothing.settled(7, None), Some(0));
        assert_eq!(Heard::Refused.settled(7, None), Some(7));
    }
}
