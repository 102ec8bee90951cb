//! What a worker's filter leaves when another configuration takes its place, for whoever runs next:
//! what the host has not heard yet, and the keys whose leases are to go back.

use crate::host::report::Parcel;
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
}

impl Handed {
    /// As text.
    pub fn to_text(&self) -> String {
        match self {
            Self::Parcel(parcel) => parcel.to_text(),
            Self::Leases { shared, key } => json!({"leases": &**shared, "key": key}).to_string(),
        }
    }

    /// Reads what [`Handed::to_text`] wrote; `None` where it is nothing of the kind.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Leases {
            leases: Box<str>,
            key: String,
        }
        match serde_json::from_slice(text) {
            Ok(Leases { leases, key }) => Some(Self::Leases {
                shared: (*leases).into(),
                key,
            }),
            Err(_) => Parcel::from_text(text).map(Self::Parcel),
        }
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
        for handed in [leases, parcel] {
            assert_eq!(Handed::from_text(handed.to_text().as_bytes()), Some(handed));
        }
        assert_eq!(Handed::from_text(b"{}"), None);
        assert_eq!(Handed::from_text(b"\xff"), None);
    }
}
