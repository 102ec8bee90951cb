//! Which accounts each kind of transaction may post to, and in which direction: the table of
//! [`crate::account`], read backwards.

use crate::account::Account;
use crate::grant::GrantSource;
use crate::transaction::{Posting, Postings, TransactionKind};

/// The first posting that does not belong in a transaction of this kind. `source` is that of the
/// lot the kind names, where it names one.
pub(super) fn foreign(
    kind: &TransactionKind,
    source: Option<GrantSource>,
    postings: &Postings,
) -> Option<Posting> {
    let stray = postings
        .as_slice()
        .iter()
        .find(|posting| !belongs(kind, source, posting.account, posting.amount_nanos > 0));
    // What a call cost the operator is its own pair; it never mixes with what the org pays.
    let cost = postings.on(Account::Cost);
    let unpaired = cost.checked_neg() != Some(postings.on(Account::Payable));
    stray.copied().or(unpaired.then_some(Posting {
        account: Account::Cost,
        amount_nanos: cost,
    }))
}

/// Whether a transaction of this kind may move this account up (or down).
fn belongs(
    kind: &TransactionKind,
    source: Option<GrantSource>,
    account: Account,
    up: bool,
) -> bool {
    use Account::{Absorbed, Adjustment, Breakage, Cost, Payable, Revenue, Shortfall, Wallet};
    let of_source = source.is_some_and(|source| source.account() == account);
    match kind {
        TransactionKind::Grant { .. } => {
            matches!((account, up), (Wallet, true)) || of_source && !up
        }
        TransactionKind::GrantRefund { .. } => {
            matches!((account, up), (Wallet, false)) || of_source && up
        }
        TransactionKind::Deduction => matches!((account, up), (Wallet, false) | (Adjustment, true)),
        TransactionKind::Charge { .. } => matches!(
            (account, up),
            (Wallet | Shortfall | Payable, false) | (Revenue | Cost, true)
        ),
        TransactionKind::ChargeRefund { .. } => matches!(
            (account, up),
            (Wallet | Shortfall | Absorbed, true) | (Revenue, false)
        ),
        TransactionKind::Breakage { .. } => {
            matches!((account, up), (Wallet, false) | (Breakage, true))
        }
        TransactionKind::Settlement => matches!((account, up), (Wallet, false) | (Shortfall, true)),
        TransactionKind::Repayment => false,
        TransactionKind::Absorption => {
            matches!((account, up), (Shortfall, true) | (Absorbed, false))
        }
    }
}
