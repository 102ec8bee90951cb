//! The end of an audit: what the journal made against what the rows say.

use super::{Auditor, Violation};
use crate::account::Account;

impl Auditor {
    pub(super) fn finish_chain(&mut self) {
        let found = self.head.seq;
        let expected = self.wallet.seq;
        if found != expected || self.head.hash != self.wallet.head_hash {
            self.find(None, Violation::CutOff { expected, found });
        }
        for seq in std::mem::take(&mut self.exported).into_keys() {
            self.find(None, Violation::ExportedHead { seq });
        }
    }

    pub(super) fn finish_wallet(&mut self) {
        let wallet = self.wallet;
        for (sum_nanos, account) in self.sums.into_iter().zip(Account::ALL) {
            let row_nanos = wallet.balances.get(account);
            if sum_nanos != i128::from(row_nanos) {
                let balance = Violation::Balance {
                    account,
                    row_nanos,
                    sum_nanos,
                };
                self.find(None, balance);
            }
        }
        let journal_nanos = self.owed;
        let row_nanos = wallet.overdraft.get();
        if journal_nanos != i128::from(row_nanos) {
            let overdraft = Violation::Overdraft {
                row_nanos,
                journal_nanos,
            };
            self.find(None, overdraft);
        }
        for (row, holds_nanos) in [
            (wallet.held, self.held),
            (wallet.held_on_credit, self.held_on_credit),
        ] {
            let row_nanos = row.get();
            if holds_nanos != i128::from(row_nanos) {
                let held = Violation::Held {
                    row_nanos,
                    holds_nanos,
                };
                self.find(None, held);
            }
        }
        let used_nanos = self.owed.saturating_add(self.held_on_credit);
        let limit_nanos = wallet.credit_limit.get();
        if used_nanos > i128::from(limit_nanos) {
            let limit = Violation::CreditLimit {
                used_nanos,
                limit_nanos,
            };
            self.find(None, limit);
        }
    }

    pub(super) fn finish_lots(&mut self) {
        for (grant, lot) in std::mem::take(&mut self.lots) {
            let row_nanos = lot.row.get();
            if lot.remaining != i128::from(row_nanos) {
                let remaining = Violation::Remaining {
                    grant,
                    row_nanos,
                    journal_nanos: lot.remaining,
                };
                self.find(None, remaining);
            }
            let rest_nanos = lot.remaining.saturating_sub(lot.reserved);
            if rest_nanos < 0 {
                let reserved = Violation::Reserved {
                    grant,
                    reserved_nanos: lot.reserved,
                    remaining_nanos: lot.remaining,
                };
                self.find(None, reserved);
            }
            let is_over = |at_ms| at_ms <= self.wallet.at_ms;
            if rest_nanos > 0 && lot.terms.expires_at_ms.is_some_and(is_over) {
                self.find(None, Violation::Unbroken { grant, rest_nanos });
            }
        }
    }
}
