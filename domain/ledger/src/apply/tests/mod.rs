//! The rules of the ledger, one test each, and a small customer to try them on.

mod budgets;
mod charges;
mod grants;
mod holds;
mod leases;
mod naive;
mod random;
mod refunds;
mod time;
mod verify;

use super::apply;
use crate::account::Account;
use crate::budget::{Budget, BudgetKind, BudgetScope};
use crate::command::*;
use crate::commodity::Commodity;
use crate::effect::{Charged, Effect, Outcome, Refunded};
use crate::grant::GrantSource;
use crate::hold::Dimensions;
use crate::ids::*;
use crate::refusal::Refusal;
use crate::state::{OrgRows, OrgState, State, Wallet};
use crate::transaction::{Transaction, TransactionKind};
use crate::window::{Window, Zone};
use farebox_pricing::money::{Nanos, Peg};
use std::sync::Arc;

const ORG: OrgId = OrgId::new(7);
const COMMODITY: CommodityId = CommodityId::new(1);
const HOUR_MS: i64 = 3_600_000;
/// 2026-11-21T00:00:00Z.
const START_MS: i64 = 1_795_219_200_000;

fn n(nanos: i64) -> Nanos {
    Nanos::new(nanos).unwrap()
}

fn feature(name: &str) -> Dimensions {
    Dimensions {
        feature: Some(name.into()),
        ..Dimensions::default()
    }
}

/// A ledger with one org, its clock, and everything it ever wrote.
struct Ledger {
    state: State,
    now_ms: i64,
    last_id: u128,
    journal: Vec<Transaction>,
    /// What was charged, for refunds.
    charges: Vec<(ChargeId, PastCharge)>,
}

impl Ledger {
    /// A wallet with nothing in it and a credit limit.
    fn with_credit(limit: i64) -> Self {
        let mut state = State::new(START_MS);
        state.add_commodity(Commodity::of_usd(COMMODITY, "credit".into(), Peg::DEFAULT));
        let mut ledger = Self {
            state,
            now_ms: START_MS,
            last_id: 1_000,
            journal: Vec::new(),
            charges: Vec::new(),
        };
        ledger.ok(Command::OpenWallet(OpenWallet {
            org: ORG,
            commodity: COMMODITY,
            credit_limit: n(limit),
        }));
        ledger
    }

    /// A wallet with one purchased lot that never expires.
    fn with(amount: i64) -> Self {
        let mut ledger = Self::with_credit(0);
        ledger.grant(amount, 10, None);
        ledger
    }

    fn id(&mut self) -> u128 {
        self.last_id = self.last_id.checked_add(1).unwrap();
        self.last_id
    }

    fn apply_with(&mut self, command: &Command, past: &Past) -> Result<Effect, Refusal> {
        let stamp = Stamp {
            now_ms: self.now_ms,
            transaction: TransactionId::new(self.id().checked_mul(1_000).unwrap()),
        };
        let before = self.rows();
        let result = apply(&mut self.state, command, past, stamp);
        match &result {
            Ok(effect) => self.journal.extend(effect.transactions.iter().cloned()),
            // All or nothing.
            Err(_) => assert_eq!(before, self.rows()),
        }
        result
    }

    fn apply(&mut self, command: Command) -> Result<Effect, Refusal> {
        let past = match self.state.recall(&command) {
            Some(Recall::Charge(id)) => self
                .charges
                .iter()
                .find(|(charge, _)| *charge == id)
                .map_or(Past::Nothing, |(_, past)| Past::Charge(past.clone())),
            _ => Past::Nothing,
        };
        self.apply_with(&command, &past)
    }

    fn ok(&mut self, command: Command) -> Effect {
        self.apply(command).unwrap()
    }

    fn refused(&mut self, command: Command) -> Refusal {
        self.apply(command).unwrap_err()
    }

    fn org(&self) -> &OrgState {
        self.state.org(ORG).unwrap()
    }

    /// The rows a store would have, in one order.
    fn rows(&self) -> Option<OrgRows> {
        let org = self.state.org(ORG)?;
        let mut rows = OrgRows {
            org: ORG,
            wallet: *org.wallet(),
            grants: org.grants().cloned().collect(),
            holds: org.holds().cloned().collect(),
            unpriced: org.unpriced().cloned().collect(),
            budgets: org.budgets().cloned().collect(),
        };
        rows.holds.sort_by_key(|hold| hold.id);
        rows.unpriced.sort_by_key(|usage| usage.event);
        rows.budgets.sort_by_key(|(budget, _)| budget.id);
        Some(rows)
    }

    fn wallet(&self) -> Wallet {
        *self.org().wallet()
    }

    fn available(&self) -> i64 {
        self.wallet().available_nanos()
    }

    fn balance(&self, account: Account) -> i64 {
        self.wallet().balances.get(account)
    }

    fn left(&self, grant: GrantId) -> i64 {
        self.org().grant(grant).map_or(0, |g| g.remaining.get())
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.journal.iter().map(|t| t.kind.name()).collect()
    }

    fn granting(&mut self, amount: i64) -> GrantCredits {
        GrantCredits {
            org: ORG,
            grant: GrantId::new(self.id()),
            source: GrantSource::Purchase,
            amount: n(amount),
            cash_paid: None,
            priority: 10,
            expires_at_ms: None,
            features: Box::default(),
            detail_digest: [1; 32],
        }
    }

    fn grant(&mut self, amount: i64, priority: u16, expires_in_ms: Option<i64>) -> GrantId {
        let command = GrantCredits {
            priority,
            expires_at_ms: expires_in_ms.map(|ms| self.now_ms.checked_add(ms).unwrap()),
            ..self.granting(amount)
        };
        let id = command.grant;
        self.ok(Command::GrantCredits(command));
        id
    }

    fn scoped(&mut self, amount: i64, feature: &str) -> GrantId {
        let command = GrantCredits {
            features: [feature.into()].into(),
            priority: 1,
            source: GrantSource::Promotional,
            ..self.granting(amount)
        };
        let id = command.grant;
        self.ok(Command::GrantCredits(command));
        id
    }

    fn placing(&mut self, amount: i64, dimensions: Dimensions) -> PlaceHold {
        PlaceHold {
            org: ORG,
            hold: HoldId::new(self.id()),
            amount: n(amount),
            expires_at_ms: self.now_ms.checked_add(HOUR_MS).unwrap(),
            dimensions: Arc::new(dimensions),
            context: Arc::new([]),
        }
    }

    fn try_hold(&mut self, amount: i64, dimensions: Dimensions) -> Result<HoldId, Refusal> {
        let command = self.placing(amount, dimensions);
        let hold = command.hold;
        self.apply(Command::PlaceHold(command)).map(|_| hold)
    }

    /// A hold for an hour.
    fn hold(&mut self, amount: i64) -> HoldId {
        self.try_hold(amount, Dimensions::default()).unwrap()
    }

    fn capturing(&mut self, hold: Option<HoldId>, price: i64, last: bool) -> Capture {
        Capture {
            org: ORG,
            hold,
            reach: Reach::Wallet,
            last,
            charge: ChargeId::new(self.id()),
            event: EventId::new(self.id()),
            price: n(price),
            cost: n(price / 2),
            dimensions: Arc::default(),
            detail_digest: [2; 32],
        }
    }

    fn remember(&mut self, effect: &Effect, dimensions: Arc<Dimensions>) -> (ChargeId, Charged) {
        let Outcome::Charged(charged) = effect.outcome else {
            panic!("{:?}", effect.outcome)
        };
        let transaction = effect.transactions.iter().find_map(|t| match t.kind {
            TransactionKind::Charge { charge, .. } => Some((charge, t)),
            _ => None,
        });
        let (charge, transaction) = transaction.unwrap();
        let parts = [
            charged.from_hold,
            charged.from_wallet,
            charged.from_credit,
            charged.shortfall,
        ];
        let sum: i64 = parts.iter().map(|part| part.get()).sum();
        assert_eq!(sum, charged.price.get());
        let paid = transaction.movements.iter().map(|m| PastPart {
            payer: m.payer,
            amount: n(-m.amount_nanos),
        });
        let grants = self.org().grants().chain(&effect.grants);
        let past = PastCharge {
            at_ms: effect.at_ms,
            dimensions,
            paid: paid.collect(),
            shortfall: charged.shortfall,
            refunded: Nanos::ZERO,
            grants: grants.cloned().collect(),
        };
        self.charges.push((charge, past));
        (charge, charged)
    }

    /// The last charge of a hold, or a direct one.
    fn charge(&mut self, hold: Option<HoldId>, price: i64) -> (ChargeId, Charged) {
        let command = self.capturing(hold, price, true);
        let dimensions = Arc::clone(&command.dimensions);
        let effect = self.ok(Command::Capture(command));
        self.remember(&effect, dimensions)
    }

    fn try_refund(&mut self, charge: ChargeId, amount: Option<i64>) -> Result<Refunded, Refusal> {
        let command = Command::RefundCharge(RefundCharge {
            org: ORG,
            charge,
            refund: RefundId::new(self.id()),
            amount: amount.map(n),
            grant: GrantId::new(self.id()),
            detail_digest: [3; 32],
        });
        let outcome = self.apply(command)?.outcome;
        let Outcome::Refunded(refunded) = outcome else {
            panic!("{outcome:?}")
        };
        for (id, past) in &mut self.charges {
            if *id == charge {
                past.refunded = past.refunded.checked_add(refunded.amount).unwrap();
            }
        }
        Ok(refunded)
    }

    fn refund(&mut self, charge: ChargeId, amount: Option<i64>) -> Refunded {
        self.try_refund(charge, amount).unwrap()
    }

    fn release(&mut self, hold: HoldId) -> Result<Effect, Refusal> {
        self.apply(Command::ReleaseHold(ReleaseHold { org: ORG, hold }))
    }

    fn renew(&mut self, hold: HoldId, in_ms: i64, extra: i64) -> Result<Effect, Refusal> {
        let expires_at_ms = self.now_ms.checked_add(in_ms).unwrap();
        self.apply(Command::RenewHold(RenewHold {
            org: ORG,
            hold,
            expires_at_ms,
            extra: n(extra),
        }))
    }

    fn expire(&mut self) -> Effect {
        self.ok(Command::ExpireDue(ExpireDue { org: ORG }))
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms = self.now_ms.checked_add(ms).unwrap();
    }

    fn budget(
        &mut self,
        scope: BudgetScope,
        kind: BudgetKind,
        window: Window,
        limit: i64,
    ) -> BudgetId {
        let id = BudgetId::new(self.id());
        self.ok(Command::PutBudget(PutBudget {
            org: ORG,
            budget: Budget {
                id,
                scope,
                kind,
                window,
                zone: Zone::utc(),
                limit: n(limit),
            },
            spent: Nanos::ZERO,
        }));
        id
    }
}
