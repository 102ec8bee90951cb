//! Opening a wallet and setting its credit limit.

use super::draft::{Begin, sum};
use crate::command::{OpenWallet, SetCreditLimit, Stamp};
use crate::effect::{Effect, Outcome};
use crate::refusal::{OpenWalletRefusal, SetCreditLimitRefusal};
use crate::state::{State, Wallet};

pub(super) fn open(
    state: &State,
    command: &OpenWallet,
    stamp: Stamp,
) -> Result<Effect, OpenWalletRefusal> {
    let org = command.org;
    let at_ms = state.latest_ms().max(stamp.now_ms);
    if state.org(org).is_some() {
        return Err(OpenWalletRefusal::WalletExists { org });
    }
    let commodity = command.commodity;
    if state.commodity(commodity).is_none() {
        return Err(OpenWalletRefusal::CommodityNotFound { commodity });
    }
    Ok(Effect {
        org,
        at_ms,
        wallet: Wallet::new(commodity, command.credit_limit, at_ms),
        transactions: Vec::new(),
        grants: Vec::new(),
        holds: Vec::new(),
        unpriced: Vec::new(),
        budgets: Vec::new(),
        budget_uses: Vec::new(),
        alerts: Vec::new(),
        outcome: Outcome::Done,
    })
}

pub(super) fn set_credit_limit<'a>(
    draft: impl Begin<'a>,
    command: &SetCreditLimit,
) -> Result<Effect, SetCreditLimitRefusal> {
    let mut draft = draft()?;
    let used = sum(draft.wallet.overdraft, draft.wallet.held_on_credit)?;
    if command.credit_limit < used {
        return Err(SetCreditLimitRefusal::BelowUsedCredit { used });
    }
    draft.wallet.credit_limit = command.credit_limit;
    Ok(draft.finish(Outcome::Done)?)
}
