//! What a worker's filter leaves when another configuration takes its place, for whoever runs next:
//! what the host has not heard yet, what it was asked without its answer being heard, and the keys
//! whose leases are to go back.

use crate::host::report::Parcel;
use crate::lease::Sent;
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// What the host has to hear.
    Parcel(Parcel),
    /// A key that may have leases.
    Leases {
        /// Where they are shared.
        shared: Rc<str>,
        /// The customer's key, as the host takes it.
        key: String,
    },
    /// A renewal whose answer nobody has heard.
    Renewal {
        /// The customer's key, as the host takes it.
        key: String,
        /// What was asked.
        sent: Sent,
    },
}

impl Handed {
    /// As text.
    pub fn to_text(&self) -> String {
        match self {
            Self::Parcel(parcel) => parcel.to_text(),
            Self::Leases { shared, key } => json!({"leases": &**shared, "key": key}).to_string(),
            Self::Renewal { key, sent } => json!({
                "leases": &*sent.shared,
                "key": key,
                "sent": {"lease": sent.lease, "turn": sent.turn, "body": sent.body, "at_ms": sent.at_ms},
            })
            .to_string(),
        }
    }

    /// Reads what [`Handed::to_text`] wrote; `None` where it is nothing of the kind.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Leases {
            leases: Box<str>,
            key: String,
            sent: Option<Renewal>,
        }
        #[derive(Deserialize)]
        struct Renewal {
            lease: Box<str>,
            turn: Box<str>,
            body: String,
            at_ms: i64,
        }
        let Ok(Leases { leases, key, sent }) = serde_json::from_slice(text) else {
            return Parcel::from_text(text).map(Self::Parcel);
        };
        let shared = (*leases).into();
        Some(match sent {
            None => Self::Leases { shared, key },
            Some(sent) => Self::Renewal {
                key,
                sent: Sent {
                    shared,
                    lease: sent.lease,
                    turn: sent.turn,
                    body: sent.body,
                    at_ms: sent.at_ms,
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::report::Report;
    use crate::lease::Return;

    #[test]
    fn what_is_handed_on_comes_back_or_is_nothing() {
        let leases = Handed::Leases {
            shared: "farebox:h:b:k".into(),
            key: "Bearer \"k\"".to_owned(),
        };
        let back = Return {
            lease: "hold_1".into(),
            turn: "txn_1".into(),
            keep: 7,
        };
        let parcel = Handed::Parcel(Parcel::One(Report::of_return(&back, "Bearer k")));
        let renewal = Handed::Renewal {
            key: "Bearer k".to_owned(),
            sent: Sent {
                shared: "farebox:h:b:k".into(),
                lease: "hold_1".into(),
                turn: "txn_1".into(),
                body: r#"{"turn":"txn_1"}"#.to_owned(),
                at_ms: 7,
            },
        };
        for handed in [leases, parcel, renewal] {
            assert_eq!(Handed::from_text(handed.to_text().as_bytes()), Some(handed));
        }
        assert_eq!(Handed::from_text(b"{}"), None);
        assert_eq!(Handed::from_text(b"\xff"), None);
    }
}
