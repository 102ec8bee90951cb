//! Placing, renewing and releasing holds. Budgets and wallet are checked and the worst case is
//! put aside in one step: nothing can come between check and charge.

use super::draft::{Begin, Draft, Found, sum};
use super::lots::Plan;
use crate::command::{Past, PlaceHold, ReleaseHold, RenewHold};
use crate::effect::{Effect, HoldChange, Outcome};
use crate::hold::{Hold, HoldEnd, Reserve};
use crate::refusal::{
    ExceedsCredits, PlaceHoldRefusal, ReleaseHoldRefusal, RenewHoldRefusal, WalletRefusal,
};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

pub(super) fn place<'a>(
    draft: impl Begin<'a>,
    command: &PlaceHold,
) -> Result<Effect, PlaceHoldRefusal> {
    let mut draft = draft()?;
    let hold = command.hold;
    if draft.state.hold(hold).is_some() {
        return Err(PlaceHoldRefusal::HoldExists { hold });
    }
    let expires_at_ms = draft.in_ledger_time(command.expires_at_ms)?;
    if expires_at_ms <= draft.now_ms() {
        return Err(PlaceHoldRefusal::ExpiryNotAhead);
    }
    let open = draft.wallet.shortfall();
    if !open.is_zero() {
        return Err(PlaceHoldRefusal::ShortfallOpen { open });
    }
    let feature = command.dimensions.feature.as_deref();
    let reserves = draft.put_aside(command.amount, feature)??;
    draft.budgets_hold(&command.dimensions, command.amount)??;
    draft.holds.push(HoldChange::Placed(Hold {
        id: hold,
        amount: command.amount,
        reserves,
        captured: Nanos::ZERO,
        expires_at_ms,
        placed_at_ms: draft.now_ms(),
        unpriced: 0,
        closing: false,
        dimensions: Arc::clone(&command.dimensions),
        context: Arc::clone(&command.context),
        lease: None,
    }));
    Ok(draft.finish(Outcome::Held {
        left: command.amount,
        expires_at_ms,
    })?)
}

pub(super) fn renew<'a>(
    draft: impl Begin<'a>,
    command: &RenewHold,
    past: &Past,
) -> Result<Effect, RenewHoldRefusal> {
    let mut draft = draft()?;
    let id = command.hold;
    let mut hold = match draft.find_hold(id, past) {
        Found::Active(hold) if hold.closing => {
            let end = HoldEnd::Captured;
            return Err(RenewHoldRefusal::HoldEnded { hold: id, end });
        }
        Found::Active(hold) if hold.lease.is_some() => {
            return Err(RenewHoldRefusal::IsLease { hold: id });
        }
        Found::Active(hold) => hold,
        Found::Ended(end, _) => return Err(RenewHoldRefusal::HoldEnded { hold: id, end }),
        Found::Unknown => return Err(RenewHoldRefusal::HoldNotFound { hold: id }),
    };
    let expires_at_ms = draft.in_ledger_time(command.expires_at_ms)?;
    if expires_at_ms <= draft.now_ms() {
        return Err(RenewHoldRefusal::ExpiryNotAhead);
    }
    if !command.extra.is_zero() {
        let open = draft.wallet.shortfall();
        if !open.is_zero() {
            return Err(RenewHoldRefusal::ShortfallOpen { open });
        }
        let parts = draft.put_aside(command.extra, hold.dimensions.feature.as_deref())??;
        draft.budgets_hold(&hold.dimensions, command.extra)??;
        for part in parts {
            add(&mut hold, part)?;
        }
        hold.amount = sum(hold.amount, command.extra)?;
    }
    hold.expires_at_ms = hold.expires_at_ms.max(expires_at_ms);
    let outcome = Outcome::Held {
        left: hold.left(),
        expires_at_ms: hold.expires_at_ms,
    };
    draft.holds.push(HoldChange::Changed(hold));
    Ok(draft.finish(outcome)?)
}

pub(super) fn release<'a>(
    draft: impl Begin<'a>,
    command: &ReleaseHold,
    past: &Past,
) -> Result<Effect, ReleaseHoldRefusal> {
    let mut draft = draft()?;
    let id = command.hold;
    let hold = match draft.find_hold(id, past) {
        Found::Active(hold) if hold.lease.is_some() => {
            return Err(ReleaseHoldRefusal::IsLease { hold: id });
        }
        Found::Active(hold) => hold,
        Found::Ended(end, _) => return Err(ReleaseHoldRefusal::HoldEnded { hold: id, end }),
        Found::Unknown => return Err(ReleaseHoldRefusal::HoldNotFound { hold: id }),
    };
    if hold.unpriced > 0 {
        return Err(ReleaseHoldRefusal::UsageUnpriced { hold: id });
    }
    draft.end_hold(&hold, HoldEnd::Released)?;
    Ok(draft.finish(Outcome::Done)?)
}

/// Adds a part to what a hold has put aside; each payer stands there once.
pub(super) fn add(hold: &mut Hold, part: Reserve) -> Result<(), WalletRefusal> {
    if let Some(own) = hold.reserves.iter_mut().find(|own| own.payer == part.payer) {
        own.amount = sum(own.amount, part.amount)?;
    } else {
        hold.reserves.push(part);
    }
    Ok(())
}

impl Draft<'_> {
    /// Puts `amount` aside for `feature`, by named lots.
    ///
    /// # Errors
    /// The outer one as ever; the inner one when less is available.
    pub(super) fn put_aside(
        &mut self,
        amount: Nanos,
        feature: Option<&str>,
    ) -> Result<Result<Vec<Reserve>, ExceedsCredits>, WalletRefusal> {
        let Plan { parts, missing } = self.plan(amount, feature);
        if !missing.is_zero() {
            let available = self.less(amount, missing)?;
            return Ok(Err(ExceedsCredits { available, missing }));
        }
        for part in &parts {
            self.reserve(part.payer, part.amount)?;
        }
        Ok(Ok(parts))
    }
}
