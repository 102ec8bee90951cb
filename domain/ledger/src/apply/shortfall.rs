//! The operator takes a shortfall on itself. (Settling one needs no command: whatever frees
//! credits pays it.)

use super::draft::{Begin, Entries};
use crate::account::Account;
use crate::command::AbsorbShortfall;
use crate::effect::{Effect, Outcome};
use crate::refusal::AbsorbShortfallRefusal;
use crate::transaction::TransactionKind;

pub(super) fn absorb<'a>(
    draft: impl Begin<'a>,
    command: &AbsorbShortfall,
) -> Result<Effect, AbsorbShortfallRefusal> {
    let mut draft = draft()?;
    let open = draft.wallet.shortfall();
    let amount = command.amount.unwrap_or(open);
    if command.amount.is_some_and(|amount| amount.is_zero()) {
        return Err(AbsorbShortfallRefusal::AmountZero);
    }
    if amount > open || open.is_zero() {
        return Err(AbsorbShortfallRefusal::ExceedsShortfall { open });
    }
    draft.post(
        TransactionKind::Absorption,
        Entries::default()
            .credit(Account::Shortfall, amount)
            .debit(Account::Absorbed, amount),
        Vec::new(),
        command.detail_digest,
    )?;
    Ok(draft.finish(Outcome::Done)?)
}
