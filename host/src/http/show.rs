//! JSON shapes that several routes answer with.

use super::time;
use crate::service::ledger::receipt::Pricing;
use crate::wire::{LineJson, plain};
use farebox_ledger::account::Account;
use farebox_ledger::budget::BudgetAlert;
use farebox_ledger::grant::Grant;
use farebox_ledger::state::Wallet;
use farebox_pricing::money::Nanos;
use serde::Serialize;
use utoipa::ToSchema;

/// Nano-credits as credits, in plain notation.
pub fn credits(amount: Nanos) -> String {
    balance(amount.get())
}

/// A balance in nano-credits as credits; below zero where it is.
pub fn balance(nanos: i64) -> String {
    const PER_CREDIT: u64 = 1_000_000_000;
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (
        size.checked_div(PER_CREDIT).unwrap_or_default(),
        size.checked_rem(PER_CREDIT).unwrap_or_default(),
    );
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let mut text = format!("{sign}{whole}.{rest:09}");
    text.truncate(text.trim_end_matches('0').len());
    text
}

/// A text that may be absent, of its own.
pub fn owned(text: &Option<Box<str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

/// What a wallet holds, in credits.
#[derive(Debug, Serialize, ToSchema)]
pub struct BalanceJson {
    /// The sum of everything posted; below zero when spent on a credit limit.
    #[schema(example = "120.5")]
    posted_credits: String,
    /// Put aside by active holds.
    held_credits: String,
    /// Posted less held: what new calls can spend, besides the credit limit.
    available_credits: String,
    /// How far available may go below zero.
    credit_limit_credits: String,
    /// What calls cost beyond what the wallet could pay, still open.
    shortfall_credits: String,
}

impl From<&Wallet> for BalanceJson {
    fn from(wallet: &Wallet) -> Self {
        Self {
            posted_credits: balance(wallet.posted_nanos()),
            held_credits: credits(wallet.held),
            available_credits: balance(wallet.available_nanos()),
            credit_limit_credits: credits(wallet.credit_limit),
            shortfall_credits: credits(wallet.shortfall()),
        }
    }
}

/// What an org was charged in all, and what it cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalsJson {
    charged_credits: String,
    expired_credits: String,
    purchased_credits: String,
    promotional_credits: String,
}

impl From<&Wallet> for TotalsJson {
    fn from(wallet: &Wallet) -> Self {
        let of = |account| wallet.balances.get(account);
        let given = |account| balance(of(account).checked_neg().unwrap_or(i64::MAX));
        Self {
            charged_credits: balance(of(Account::Revenue)),
            expired_credits: balance(of(Account::Breakage)),
            purchased_credits: given(Account::Funding),
            promotional_credits: given(Account::Promotion),
        }
    }
}

/// A lot of credits.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantJson {
    /// Which.
    #[schema(example = "grant_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    pub id: String,
    /// `purchase`, `promotional`, `adjustment` or `refund`.
    pub source: String,
    /// How much was granted.
    pub amount_credits: String,
    /// What is left.
    pub remaining_credits: String,
    /// The part of it that active holds have named.
    pub reserved_credits: String,
    /// Lower is spent first.
    pub priority: u16,
    /// When it can no longer be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The only features it may be spent on; empty: any.
    pub features: Vec<String>,
    /// When it was given.
    pub granted_at: String,
}

impl From<&Grant> for GrantJson {
    fn from(grant: &Grant) -> Self {
        let terms = &grant.terms;
        Self {
            id: terms.id.to_string(),
            source: terms.source.name().to_owned(),
            amount_credits: credits(terms.amount),
            remaining_credits: credits(grant.remaining),
            reserved_credits: credits(grant.reserved),
            priority: terms.priority,
            expires_at: terms.expires_at_ms.map(time::show),
            features: terms.features.iter().map(ToString::to_string).collect(),
            granted_at: time::show(terms.granted_at_ms),
        }
    }
}

/// A budget that an operation carried past its limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertJson {
    budget_id: String,
    /// `hard` or `warning`.
    kind: String,
    limit_credits: String,
    used_credits: String,
}

impl From<&BudgetAlert> for AlertJson {
    fn from(alert: &BudgetAlert) -> Self {
        Self {
            budget_id: alert.budget.to_string(),
            kind: alert.kind.name().to_owned(),
            limit_credits: credits(alert.limit),
            used_credits: credits(alert.used),
        }
    }
}

/// A price and how it came about.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceJson {
    /// What the customer pays in USD, exact and unrounded: the sum of the lines.
    #[schema(example = "0.00018")]
    pub price_usd: String,
    /// The same in credits, rounded once.
    #[schema(example = "0.0018")]
    pub credits: String,
    /// What the call cost the operator, as the host computed it; zero with an own key.
    pub provider_cost_usd: String,
    /// The provider's list price, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_usd: Option<String>,
    /// Lines that add up to `price_usd`, exactly.
    pub lines: Vec<LineJson>,
}

impl From<&Pricing> for PriceJson {
    fn from(pricing: &Pricing) -> Self {
        Self {
            price_usd: plain(pricing.price_usd),
            credits: credits(pricing.price),
            provider_cost_usd: plain(pricing.provider_cost_usd),
            market_usd: pricing.market_usd.map(plain),
            lines: pricing.lines.iter().map(LineJson::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    #[test]
    fn nanos_are_written_as_the_decimal_they_are() {
        for nanos in [
            0,
            1,
            -1,
            10,
            999_999_999,
            1_000_000_000,
            -1_500_000_000,
            120_500_000_000,
            i64::MAX,
            i64::MIN,
        ] {
            let decimal = Decimal::from_i128_with_scale(i128::from(nanos), 9);
            assert_eq!(balance(nanos), plain(decimal), "{nanos}");
        }
    }
}
