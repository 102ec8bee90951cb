//! Commands become effects. Each operation reads the state, decides, and says which rows change;
//! only then does the state take the rows over. A refusal therefore changes nothing.

mod wallet;

use crate::command::{Command, Past, Stamp};
use crate::effect::Effect;
use crate::refusal::Refusal;
use crate::state::State;

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

fn decide(state: &State, command: &Command, _past: &Past, stamp: Stamp) -> Result<Effect, Refusal> {
    let at_ms = state.latest_ms().max(stamp.now_ms);
    match command {
        Command::OpenWallet(command) => Ok(wallet::open(state, command, at_ms)?),
        // The other operations follow in the next commits.
        _ => Err(Refusal::ExpireDue(
            crate::refusal::WalletRefusal::WalletNotFound { org: command.org() }.into(),
        )),
    }
}
