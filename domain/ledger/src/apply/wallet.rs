//! Opening a wallet and setting its credit limit.

use crate::command::OpenWallet;
use crate::effect::{Effect, Outcome};
use crate::refusal::OpenWalletRefusal;
use crate::state::{State, Wallet};

pub(super) fn open(
    state: &State,
    command: &OpenWallet,
    at_ms: i64,
) -> Result<Effect, OpenWalletRefusal> {
    let org = command.org;
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
