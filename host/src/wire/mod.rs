//! JSON shapes that more than one edge speaks: the HTTP API and the command line show a charge's
//! lines in the same words.
//!
//! Knows the domain's types and serde. Must not know HTTP, clap, SQL or wasmtime.

mod backtest;
mod line;
mod number;
mod reason;
mod repair;

pub use backtest::{
    BacktestJson, BacktestReportJson, ComparedJson, GroupJson, GroupsJson, LossesJson, MissedJson,
    MoneyJson,
};
pub use line::LineJson;
pub use number::{AmountText, PoolsText};
pub use reason::ReasonJson;

pub use repair::{CorrectionsJson, RepairJson, RepairReportJson, RepairedOrgJson, UncorrectedJson};

use rust_decimal::Decimal;

/// An amount in plain notation: no exponent, no trailing zeros, no sign on zero.
pub fn plain(amount: Decimal) -> String {
    amount.normalize().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_has_no_exponent_and_no_trailing_zeros() {
        assert_eq!(
            plain(Decimal::new(15, 28)),
            "0.0000000000000000000000000015"
        );
        assert_eq!(plain(Decimal::new(1_500, 3)), "1.5");
        assert_eq!(plain(-Decimal::new(0, 5)), "0");
        assert_eq!(plain(Decimal::from(1_000_000)), "1000000");
    }
}
