//! Commands become effects. Each operation reads the state, decides, and says which rows change;
//! only then does the state take the rows over. A refusal therefore changes nothing.
//!
//! Every operation on a wallet works on a [`Draft`]: it begins by ending what is due, and ends by
//! breaking what expired and paying what is owed, so no operation has to think of either.

mod budgets;
mod capture;
mod draft;
mod due;
mod grants;
mod holds;
mod leases;
mod lots;
mod refund;
mod shortfall;
mod wallet;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests;

use crate::command::{Command, Past, Stamp};
use crate::effect::{Effect, Outcome};
use crate::refusal::{ExpireDueRefusal, Refusal};
use crate::state::State;
use draft::Draft;

/// Applies one command. `past` answers what [`State::recall`] asked for.
///
/// All or nothing: on `Err` the state is as it was.
///
/// # Errors
/// [`Refusal`] names the broken rule.
pub fn apply(
    state: &mut State,
    command: &Command,
    past: &Past,
    stamp: Stamp,
) -> Result<Effect, Refusal> {
    let effect = decide(state, command, past, stamp)?;
    state.commit(&effect);
    Ok(effect)
}

fn decide(state: &State, command: &Command, past: &Past, stamp: Stamp) -> Result<Effect, Refusal> {
    let draft = || Draft::begin(state, command.org(), stamp);
    Ok(match command {
        Command::OpenWallet(command) => wallet::open(state, command, stamp)?,
        Command::SetCreditLimit(command) => wallet::set_credit_limit(draft, command)?,
        Command::GrantCredits(command) => grants::grant(draft, command)?,
        Command::Deduct(command) => grants::deduct(draft, command)?,
        Command::PlaceHold(command) => holds::place(draft, command)?,
        Command::RenewHold(command) => holds::renew(draft, command, past)?,
        Command::ReleaseHold(command) => holds::release(draft, command, past)?,
        Command::GrantLease(command) => leases::grant(draft, command)?,
        Command::RenewLease(command) => leases::renew(draft, command, past)?,
        Command::ReturnLease(command) => leases::take_back(draft, command, past)?,
        Command::Capture(command) => capture::capture(draft, command, past)?,
        Command::RecordUnpriced(command) => capture::record_unpriced(draft, command, past)?,
        Command::SettleUnpriced(command) => capture::settle_unpriced(draft, command)?,
        Command::RefundCharge(command) => refund::refund_charge(draft, command, past)?,
        Command::RefundGrant(command) => grants::refund_grant(draft, command)?,
        Command::AbsorbShortfall(command) => shortfall::absorb(draft, command)?,
        Command::PutBudget(command) => budgets::put(draft, command)?,
        Command::RemoveBudget(command) => budgets::remove(draft, command)?,
        Command::ExpireDue(_) => expire(draft)?,
    })
}

fn expire<'a>(draft: impl draft::Begin<'a>) -> Result<Effect, ExpireDueRefusal> {
    let draft = draft()?;
    let (holds, grants) = draft.expired();
    Ok(draft.finish(Outcome::Expired { holds, grants })?)
}
