//! What happens by itself: holds and lots end when their time is over, and freed credits pay what
//! the org owes.

use super::draft::{Draft, Entries, negative};
use super::lots::Plan;
use crate::account::Account;
use crate::grant::Grant;
use crate::hold::Payer;
use crate::ids::{Digest, GrantId};
use crate::refusal::WalletRefusal;
use crate::transaction::{Movement, TransactionKind};
use farebox_pricing::money::Nanos;

/// There is nothing beside a transaction the ledger makes by itself.
const NO_DETAIL: Digest = [0; 32];

impl Draft<'_> {
    /// Ends every hold and lot whose time is over, and pays what is owed from what that freed.
    pub(super) fn end_due(&mut self) -> Result<(), WalletRefusal> {
        let state = self.state;
        for id in state.due_holds(self.now_ms()) {
            let hold = state.hold(id).ok_or(self.inconsistent())?;
            if hold.is_due(self.now_ms()) {
                self.end_hold(hold, hold.end_by_time())?;
            }
        }
        self.break_expired()?;
        self.pay_owed()
    }

    /// Posts the rest of every expired lot that no hold has named as breakage (L8). What a hold
    /// has named follows when the hold gives it back.
    pub(super) fn break_expired(&mut self) -> Result<(), WalletRefusal> {
        let now_ms = self.now_ms();
        let mut expired: Vec<GrantId> = self.state.due_grants(now_ms).collect();
        let is_over = |grant: &&Grant| grant.is_expired(now_ms) && !grant.free().is_zero();
        for grant in self.grants.iter().filter(is_over) {
            if !expired.contains(&grant.id()) {
                expired.push(grant.id());
            }
        }
        for id in expired {
            let rest = self.grant(id).map_or(Nanos::ZERO, Grant::free);
            if rest.is_zero() {
                continue;
            }
            self.spend(Payer::Grant(id), rest)?;
            self.post(
                TransactionKind::Breakage { grant: id },
                Entries::default()
                    .debit(Account::Wallet, rest)
                    .credit(Account::Breakage, rest),
                vec![Movement {
                    payer: Payer::Grant(id),
                    amount_nanos: negative(rest),
                }],
                NO_DETAIL,
            )?;
        }
        Ok(())
    }

    /// Pays the open shortfall from what is free, then what was spent on credit.
    pub(super) fn pay_owed(&mut self) -> Result<(), WalletRefusal> {
        self.settle()?;
        self.repay()
    }

    fn settle(&mut self) -> Result<(), WalletRefusal> {
        let open = self.wallet.shortfall();
        if open.is_zero() {
            return Ok(());
        }
        let Plan { parts, .. } = self.plan(open, None);
        if parts.is_empty() {
            return Ok(());
        }
        let (paid, movements) = self.spend_all(&parts)?;
        self.post(
            TransactionKind::Settlement,
            Entries::default()
                .debit(Account::Wallet, paid)
                .credit(Account::Shortfall, paid),
            movements,
            NO_DETAIL,
        )
    }

    fn repay(&mut self) -> Result<(), WalletRefusal> {
        let owed = self.wallet.overdraft;
        if owed.is_zero() {
            return Ok(());
        }
        let Plan { parts, .. } = self.plan_lots(owed, None);
        if parts.is_empty() {
            return Ok(());
        }
        let (paid, mut movements) = self.spend_all(&parts)?;
        self.wallet.overdraft = self.less(owed, paid)?;
        movements.push(Movement {
            payer: Payer::Credit,
            amount_nanos: paid.get(),
        });
        self.post(
            TransactionKind::Repayment,
            Entries::default(),
            movements,
            NO_DETAIL,
        )
    }
}
