//! Charging what was used. Nothing that was really used is dropped: first the hold pays, then what
//! the wallet has free, then the credit limit; the rest is the org's shortfall, posted in the same
//! transaction.

use super::draft::{Begin, Draft, Entries, Found, sum};
use super::lots::{Plan, pay};
use crate::account::Account;
use crate::command::{Capture, Past, Reach, RecordUnpriced, SettleUnpriced};
use crate::effect::{Charged, Effect, HoldChange, Outcome, Unpriced, UnpricedChange};
use crate::hold::{Dimensions, Hold, HoldEnd, Payer};
use crate::ids::{ChargeId, Digest, EventId, HoldId};
use crate::refusal::{CaptureRefusal, RecordUnpricedRefusal, SettleUnpricedRefusal, WalletRefusal};
use crate::transaction::{Movement, TransactionKind};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// What is charged, whether its price came at once or later.
struct Usage {
    charge: ChargeId,
    event: EventId,
    hold: Option<HoldId>,
    price: Nanos,
    cost: Nanos,
    detail_digest: Digest,
}

pub(super) fn capture<'a>(
    draft: impl Begin<'a>,
    command: &Capture,
    past: &Past,
) -> Result<Effect, CaptureRefusal> {
    let mut draft = draft()?;
    let (hold, dimensions) = match command.hold {
        None => (None, Arc::clone(&command.dimensions)),
        Some(id) => match draft.find_hold(id, past) {
            Found::Active(hold) if !hold.closing => {
                let dimensions = Arc::clone(&hold.dimensions);
                (Some(hold), dimensions)
            }
            Found::Active(_) | Found::Ended(HoldEnd::Captured, _) => {
                return Err(CaptureRefusal::AlreadyCaptured { hold: id });
            }
            Found::Ended(HoldEnd::Released | HoldEnd::Expired | HoldEnd::Lapsed, dimensions) => {
                (None, dimensions)
            }
            Found::Unknown => return Err(CaptureRefusal::HoldNotFound { hold: id }),
        },
    };
    if let (Reach::Hold, Some(id)) = (command.reach, command.hold) {
        let left = hold.as_ref().map_or(Nanos::ZERO, Hold::left);
        if hold.is_none() || command.price > left {
            return Err(CaptureRefusal::BeyondHold { hold: id, left });
        }
    }
    let hold = hold.map(|mut hold| {
        hold.closing = ends(&hold, command.last);
        hold
    });
    let usage = Usage {
        charge: command.charge,
        event: command.event,
        hold: command.hold,
        price: command.price,
        cost: command.cost,
        detail_digest: command.detail_digest,
    };
    let charged = draft.charge(&usage, hold, &dimensions)?;
    Ok(draft.finish(Outcome::Charged(charged))?)
}

/// Whether nothing more comes under the hold. A lease is its holder's to return: other calls may
/// run on it.
const fn ends(hold: &Hold, last: bool) -> bool {
    last && hold.lease.is_none()
}

pub(super) fn record_unpriced<'a>(
    draft: impl Begin<'a>,
    command: &RecordUnpriced,
    past: &Past,
) -> Result<Effect, RecordUnpricedRefusal> {
    let mut draft = draft()?;
    let event = command.event;
    if draft.state.unpriced_event(event).is_some() {
        return Err(RecordUnpricedRefusal::EventExists { event });
    }
    let mut dimensions = Arc::clone(&command.dimensions);
    if let Some(id) = command.hold {
        match draft.find_hold(id, past) {
            Found::Active(mut hold) if !hold.closing => {
                let unpriced = hold.unpriced.checked_add(1);
                hold.unpriced = unpriced.ok_or(WalletRefusal::OutOfRange)?;
                hold.closing = ends(&hold, command.last);
                dimensions = Arc::clone(&hold.dimensions);
                draft.holds.push(HoldChange::Changed(hold));
            }
            Found::Active(_) | Found::Ended(HoldEnd::Captured, _) => {
                return Err(RecordUnpricedRefusal::AlreadyCaptured { hold: id });
            }
            Found::Ended(_, _) if command.reach == Reach::Hold => {
                let left = Nanos::ZERO;
                return Err(RecordUnpricedRefusal::BeyondHold { hold: id, left });
            }
            Found::Ended(HoldEnd::Released | HoldEnd::Expired | HoldEnd::Lapsed, own) => {
                dimensions = own;
            }
            Found::Unknown => return Err(RecordUnpricedRefusal::HoldNotFound { hold: id }),
        }
    }
    draft.unpriced.push(UnpricedChange::Recorded(Unpriced {
        event,
        hold: command.hold,
        dimensions,
    }));
    Ok(draft.finish(Outcome::Done)?)
}

pub(super) fn settle_unpriced<'a>(
    draft: impl Begin<'a>,
    command: &SettleUnpriced,
) -> Result<Effect, SettleUnpricedRefusal> {
    let mut draft = draft()?;
    let event = command.event;
    let not_unpriced = SettleUnpricedRefusal::EventNotUnpriced { event };
    let unpriced = draft.state.unpriced_event(event).ok_or(not_unpriced)?;
    // A hold that counts this event is active, but for a lease whose holder never came back: what
    // has ended pays nothing.
    let hold = match unpriced.hold.map(|id| draft.find_hold(id, &Past::Nothing)) {
        Some(Found::Active(mut hold)) => {
            let rest = hold.unpriced.checked_sub(1);
            hold.unpriced = rest.ok_or(draft.inconsistent())?;
            Some(hold)
        }
        _ => None,
    };
    let usage = Usage {
        charge: command.charge,
        event,
        hold: unpriced.hold,
        price: command.price,
        cost: command.cost,
        detail_digest: command.detail_digest,
    };
    let charged = draft.charge(&usage, hold, &unpriced.dimensions)?;
    draft.unpriced.push(UnpricedChange::Settled(event));
    Ok(draft.finish(Outcome::Charged(charged))?)
}

impl Draft<'_> {
    /// Charges `usage` to its active hold, if any, and beyond.
    fn charge(
        &mut self,
        usage: &Usage,
        hold: Option<Hold>,
        dimensions: &Dimensions,
    ) -> Result<Charged, WalletRefusal> {
        let mut charged = Charged {
            price: usage.price,
            ..Charged::default()
        };
        let mut movements = Vec::new();
        let mut rest = usage.price;
        if let Some(hold) = hold {
            let (paid, left) = self.charge_hold(hold, usage.price, &mut movements)?;
            charged.from_hold = paid;
            charged.hold_left = left;
            rest = self.less(rest, paid)?;
        }
        let Plan { parts, missing } = self.plan(rest, dimensions.feature.as_deref());
        for part in parts {
            self.spend(part.payer, part.amount)?;
            pay(&mut movements, part.payer, part.amount);
            match part.payer {
                Payer::Grant(_) => {
                    charged.from_wallet = sum(charged.from_wallet, part.amount)?;
                }
                Payer::Credit => charged.from_credit = sum(charged.from_credit, part.amount)?,
            }
        }
        charged.shortfall = missing;
        self.post(
            TransactionKind::Charge {
                charge: usage.charge,
                event: usage.event,
                hold: usage.hold,
            },
            Entries::default()
                .debit(Account::Wallet, self.less(usage.price, missing)?)
                .debit(Account::Shortfall, missing)
                .credit(Account::Revenue, usage.price)
                .credit(Account::Cost, usage.cost)
                .debit(Account::Payable, usage.cost),
            movements,
            usage.detail_digest,
        )?;
        self.budgets_spend(dimensions, usage.price)?;
        Ok(charged)
    }

    /// Takes up to `price` out of a hold, and ends it when nothing more can come. Returns what it
    /// paid and, while it is active, what it has left.
    fn charge_hold(
        &mut self,
        mut hold: Hold,
        price: Nanos,
        movements: &mut Vec<Movement>,
    ) -> Result<(Nanos, Option<Nanos>), WalletRefusal> {
        let mut paid = Nanos::ZERO;
        for part in &mut hold.reserves {
            let take = part.amount.min(self.less(price, paid)?);
            self.unreserve(part.payer, take)?;
            self.spend(part.payer, take)?;
            pay(movements, part.payer, take);
            part.amount = self.less(part.amount, take)?;
            paid = sum(paid, take)?;
        }
        hold.reserves.retain(|part| !part.amount.is_zero());
        hold.captured = sum(hold.captured, price)?;
        self.budgets_unhold(&hold.dimensions, paid)?;
        if hold.closing && hold.unpriced == 0 {
            self.end_hold(&hold, HoldEnd::Captured)?;
            return Ok((paid, None));
        }
        if hold.is_due(self.now_ms()) {
            // Only the usage whose price came just now had kept it.
            self.end_hold(&hold, hold.end_by_time())?;
            return Ok((paid, None));
        }
        let left = hold.left();
        self.holds.push(HoldChange::Changed(hold));
        Ok((paid, Some(left)))
    }
}
