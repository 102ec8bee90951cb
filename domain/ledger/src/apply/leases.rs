//! Leases: a hold that an edge holds and charges many calls with, so that it need not ask for each.
//!
//! What it takes is decided here, where wallet and budgets are known to the nano: its share of what
//! is available, so that several edges and calls that are held one by one all find something. All
//! that is leased is put aside like any hold, so leases together never pass what there is (L3).

use super::draft::{Begin, Draft, Found, sum};
use super::holds::add;
use super::lots::Plan;
use crate::command::{GrantLease, LeaseTerms, Past, RenewLease, ReturnLease};
use crate::effect::{Effect, HoldChange, Outcome};
use crate::hold::{Dimensions, Hold, HoldEnd, Lease};
use crate::ids::{HoldId, TransactionId};
use crate::refusal::{
    ExceedsBudget, ExceedsCredits, GrantLeaseRefusal, LeaseLost, RenewLeaseRefusal,
    ReturnLeaseRefusal, WalletRefusal,
};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// The whole of what is available, in the unit of [`LeaseTerms::share_permille`].
const WHOLE: u16 = 1000;

pub(super) fn grant<'a>(
    draft: impl Begin<'a>,
    command: &GrantLease,
) -> Result<Effect, GrantLeaseRefusal> {
    let mut draft = draft()?;
    let lease = command.lease;
    if draft.state.hold(lease).is_some() {
        return Err(GrantLeaseRefusal::LeaseExists { lease });
    }
    let expires_at_ms = draft.in_ledger_time(command.terms.expires_at_ms)?;
    if expires_at_ms <= draft.now_ms() {
        return Err(GrantLeaseRefusal::ExpiryNotAhead);
    }
    let open = draft.wallet.shortfall();
    if !open.is_zero() {
        return Err(GrantLeaseRefusal::ShortfallOpen { open });
    }
    let share = draft.share(&command.dimensions, command.terms)?;
    let mut hold = Hold {
        id: lease,
        amount: Nanos::ZERO,
        reserves: Vec::new(),
        captured: Nanos::ZERO,
        expires_at_ms,
        placed_at_ms: draft.now_ms(),
        unpriced: 0,
        closing: false,
        dimensions: Arc::clone(&command.dimensions),
        context: Arc::clone(&command.context),
        lease: Some(Lease {
            turn: draft.turn(),
            doubt_ms: command.doubt_ms.max(0),
        }),
    };
    match draft.lend(&mut hold, share.max(command.least))? {
        Ok(()) => {}
        Err(Short::Credits(exceeds)) => return Err(exceeds.into()),
        Err(Short::Budget(exceeds)) => return Err(exceeds.into()),
    }
    let outcome = outcome(&hold);
    draft.holds.push(HoldChange::Placed(hold));
    Ok(draft.finish(outcome)?)
}

pub(super) fn renew<'a>(
    draft: impl Begin<'a>,
    command: &RenewLease,
    past: &Past,
) -> Result<Effect, RenewLeaseRefusal> {
    let mut draft = draft()?;
    let mut hold = find(&draft, command.lease, command.turn, past)?;
    let expires_at_ms = draft.in_ledger_time(command.terms.expires_at_ms)?;
    if expires_at_ms <= draft.now_ms() {
        return Err(RenewLeaseRefusal::ExpiryNotAhead);
    }
    let paid = draft.less(hold.amount, hold.left())?;
    // What was charged beyond what the holder told is gone whatever it keeps.
    let keep = command.keep.checked_sub(paid).unwrap_or(Nanos::ZERO);
    draft.keep_only(&mut hold, keep)?;
    if draft.wallet.shortfall().is_zero() {
        let share = draft.share(&hold.dimensions, command.terms)?;
        // A share of what is available is available.
        if draft.lend(&mut hold, share)?.is_err() {
            return Err(draft.inconsistent().into());
        }
    }
    hold.expires_at_ms = hold.expires_at_ms.max(expires_at_ms);
    if let Some(lease) = &mut hold.lease {
        lease.turn = draft.turn();
    }
    let outcome = outcome(&hold);
    draft.holds.push(HoldChange::Changed(hold));
    Ok(draft.finish(outcome)?)
}

pub(super) fn take_back<'a>(
    draft: impl Begin<'a>,
    command: &ReturnLease,
    past: &Past,
) -> Result<Effect, ReturnLeaseRefusal> {
    let mut draft = draft()?;
    let mut hold = find(&draft, command.lease, command.turn, past)?;
    if hold.unpriced == 0 {
        draft.end_hold(&hold, HoldEnd::Released)?;
        return Ok(draft.finish(Outcome::Done)?);
    }
    draft.keep_only(&mut hold, command.keep)?;
    hold.closing = true;
    let outcome = outcome(&hold);
    draft.holds.push(HoldChange::Changed(hold));
    Ok(draft.finish(outcome)?)
}

/// The lease, where it is alive and whoever asks holds it.
fn find(
    draft: &Draft<'_>,
    lease: HoldId,
    turn: TransactionId,
    past: &Past,
) -> Result<Hold, LeaseLost> {
    match draft.find_hold(lease, past) {
        Found::Active(hold) if hold.closing => Err(LeaseLost::Ended {
            lease,
            end: HoldEnd::Captured,
        }),
        Found::Active(hold) => match &hold.lease {
            Some(own) if own.turn == turn => Ok(hold),
            Some(_) => Err(LeaseLost::TurnPassed { lease }),
            // A hold for one call is none.
            None => Err(LeaseLost::NotFound { lease }),
        },
        Found::Ended(end, _) => Err(LeaseLost::Ended { lease, end }),
        Found::Unknown => Err(LeaseLost::NotFound { lease }),
    }
}

fn outcome(hold: &Hold) -> Outcome {
    Outcome::Leased {
        granted: hold.amount,
        left: hold.left(),
        expires_at_ms: hold.expires_at_ms,
    }
}

/// What is missing.
enum Short {
    Credits(ExceedsCredits),
    Budget(ExceedsBudget),
}

impl Draft<'_> {
    /// What a lease gets on these terms: what it wants, within its share of what wallet and hard
    /// budgets have.
    fn share(&self, dimensions: &Dimensions, terms: LeaseTerms) -> Result<Nanos, WalletRefusal> {
        let Plan { missing, .. } = self.plan(Nanos::MAX, dimensions.feature.as_deref());
        let wallet = self.less(Nanos::MAX, missing)?;
        let room = self.budgets_room(dimensions)?;
        let available = room.map_or(wallet, |room| room.min(wallet));
        let part = i128::from(available.get())
            .saturating_mul(i128::from(terms.share_permille.min(WHOLE)))
            .div_euclid(i128::from(WHOLE));
        let part = i64::try_from(part).ok().and_then(Nanos::new);
        Ok(part.ok_or(self.inconsistent())?.min(terms.want))
    }

    /// Puts so much more aside for the lease.
    fn lend(&mut self, hold: &mut Hold, amount: Nanos) -> Result<Result<(), Short>, WalletRefusal> {
        let parts = match self.put_aside(amount, hold.dimensions.feature.as_deref())? {
            Ok(parts) => parts,
            Err(exceeds) => return Ok(Err(Short::Credits(exceeds))),
        };
        if let Err(exceeds) = self.budgets_hold(&hold.dimensions, amount)? {
            return Ok(Err(Short::Budget(exceeds)));
        }
        for part in parts {
            add(hold, part)?;
        }
        hold.amount = sum(hold.amount, amount)?;
        Ok(Ok(()))
    }

    /// Gives back what the lease has beyond `keep`: last what would be spent first (L8).
    fn keep_only(&mut self, hold: &mut Hold, keep: Nanos) -> Result<(), WalletRefusal> {
        let surplus = hold.left().checked_sub(keep).unwrap_or(Nanos::ZERO);
        let mut rest = surplus;
        for part in hold.reserves.iter_mut().rev() {
            let back = part.amount.min(rest);
            self.unreserve(part.payer, back)?;
            part.amount = self.less(part.amount, back)?;
            rest = self.less(rest, back)?;
        }
        hold.reserves.retain(|part| !part.amount.is_zero());
        hold.amount = self.less(hold.amount, surplus)?;
        self.budgets_unhold(&hold.dimensions, surplus)
    }
}
