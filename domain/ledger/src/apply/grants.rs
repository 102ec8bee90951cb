//! Credits come and go other than by calls: grants, corrections, cash refunds.

use super::draft::{Begin, Entries, negative};
use super::lots::Plan;
use crate::account::Account;
use crate::command::{Deduct, GrantCredits, RefundGrant};
use crate::effect::{Effect, Outcome, Refunded};
use crate::grant::{Grant, GrantSource, GrantTerms};
use crate::hold::Payer;
use crate::refusal::{DeductRefusal, ExceedsCredits, GrantCreditsRefusal, RefundGrantRefusal};
use crate::transaction::{Movement, TransactionKind};

pub(super) fn grant<'a>(
    draft: impl Begin<'a>,
    command: &GrantCredits,
) -> Result<Effect, GrantCreditsRefusal> {
    let mut draft = draft()?;
    let grant = command.grant;
    if draft.grant(grant).is_some() {
        return Err(GrantCreditsRefusal::GrantExists { grant });
    }
    if command.source == GrantSource::Refund {
        return Err(GrantCreditsRefusal::SourceRefund);
    }
    if command.amount.is_zero() {
        return Err(GrantCreditsRefusal::AmountZero);
    }
    if command.expires_at_ms.is_some_and(|at| at <= draft.now_ms()) {
        return Err(GrantCreditsRefusal::ExpiryNotAhead);
    }
    draft.grants.push(Grant::new(GrantTerms {
        id: grant,
        source: command.source,
        amount: command.amount,
        cash_paid: command.cash_paid,
        priority: command.priority,
        expires_at_ms: command.expires_at_ms,
        features: command.features.clone(),
        granted_at_ms: draft.now_ms(),
    }));
    draft.post(
        TransactionKind::Grant { grant },
        Entries::default()
            .credit(Account::Wallet, command.amount)
            .debit(command.source.account(), command.amount),
        vec![Movement {
            payer: Payer::Grant(grant),
            amount_nanos: command.amount.get(),
        }],
        command.detail_digest,
    )?;
    Ok(draft.finish(Outcome::Done)?)
}

pub(super) fn deduct<'a>(draft: impl Begin<'a>, command: &Deduct) -> Result<Effect, DeductRefusal> {
    let mut draft = draft()?;
    let amount = command.amount;
    if amount.is_zero() {
        return Err(DeductRefusal::AmountZero);
    }
    let Plan { parts, missing } = draft.plan(amount, None);
    if !missing.is_zero() {
        let available = draft.less(amount, missing)?;
        return Err(ExceedsCredits { available, missing }.into());
    }
    let (_, movements) = draft.spend_all(&parts)?;
    draft.post(
        TransactionKind::Deduction,
        Entries::default()
            .debit(Account::Wallet, amount)
            .credit(Account::Adjustment, amount),
        movements,
        command.detail_digest,
    )?;
    Ok(draft.finish(Outcome::Done)?)
}

pub(super) fn refund_grant<'a>(
    draft: impl Begin<'a>,
    command: &RefundGrant,
) -> Result<Effect, RefundGrantRefusal> {
    let mut draft = draft()?;
    let id = command.grant;
    let not_found = RefundGrantRefusal::GrantNotFound { grant: id };
    let grant = draft.grant(id).ok_or(not_found)?;
    let account = grant.terms.source.account();
    let left = grant.free();
    let amount = command.amount.unwrap_or(left);
    if command.amount.is_some_and(|amount| amount.is_zero()) {
        return Err(RefundGrantRefusal::AmountZero);
    }
    if amount > left || left.is_zero() {
        return Err(RefundGrantRefusal::ExceedsGrant { left });
    }
    draft.spend(Payer::Grant(id), amount)?;
    draft.post(
        TransactionKind::GrantRefund {
            grant: id,
            refund: command.refund,
        },
        Entries::default()
            .debit(Account::Wallet, amount)
            .credit(account, amount),
        vec![Movement {
            payer: Payer::Grant(id),
            amount_nanos: negative(amount),
        }],
        command.detail_digest,
    )?;
    Ok(draft.finish(Outcome::Refunded(Refunded {
        amount,
        grants: amount,
        ..Refunded::default()
    }))?)
}
