//! Readers of what callers name things by: ids, and the time zones of budgets.

use crate::Named;
use farebox_ledger::ids::{
    BatchId, BudgetId, ChargeId, CommodityId, EventId, GrantId, HoldId, IdError, KeyId, OrgId,
    QueryId, QuoteId, RefundId, TransactionId,
};
use farebox_ledger::window::{Window, Zone, span};
use std::fmt::Display;
use std::str::FromStr;

/// The targets of this module.
pub const TARGETS: [Named; 2] = [("ledger_ids", ledger_ids), ("ledger_zone", ledger_zone)];

/// An id has one text.
fn id<T: FromStr<Err = IdError> + Display>(text: &str) -> bool {
    match text.parse::<T>() {
        Ok(id) => {
            assert_eq!(id.to_string(), text);
            true
        }
        Err(error) => {
            assert!(error.to_string().len() < 512, "{error}");
            false
        }
    }
}

/// A text is the id of one kind of thing at most.
pub fn ledger_ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let kinds = [
        id::<OrgId>,
        id::<TransactionId>,
        id::<HoldId>,
        id::<GrantId>,
        id::<EventId>,
        id::<ChargeId>,
        id::<RefundId>,
        id::<KeyId>,
        id::<BudgetId>,
        id::<CommodityId>,
        id::<QuoteId>,
        id::<QueryId>,
        id::<BatchId>,
    ];
    let of = kinds.iter().filter(|is| is(text)).count();
    assert!(of <= 1, "`{text}` is the id of {of} kinds of things");
}

/// A budget's window holds the moment it was asked for: eight bytes of time, then a zone.
pub fn ledger_zone(data: &[u8]) {
    let Some((at_ms, zone)) = data.split_first_chunk::<8>() else {
        return;
    };
    let at_ms = i64::from_be_bytes(*at_ms);
    let Ok(Ok(zone)) = std::str::from_utf8(zone).map(Zone::new) else {
        return;
    };
    for window in [Window::Day, Window::Month] {
        if let Ok(span) = span(window, &zone, at_ms) {
            assert!(
                span.start_ms <= at_ms && at_ms < span.end_ms,
                "{at_ms} is not in the {window:?} {span:?} of {}",
                zone.name()
            );
        }
    }
}
