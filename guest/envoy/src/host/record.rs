//! What the proxy's own record keeps of a call that is over: the report that the host is sent, so
//! that `farebox usage reconcile` can send it again when this proxy never did. No key is in it, and
//! nothing of what was asked or answered but ids, names and counts. Must not know where the record
//! is.

use crate::telling;
use rust_decimal::Decimal;

/// The longest report that is kept, in bytes. One line is written for each call.
const REPORT_BYTES_MAX: usize = 64 << 10;

/// A call that is over.
pub struct Record<'a> {
    /// Whose it is; unknown where it ran without a hold.
    pub org: Option<&'a str>,
    /// Under which its report counts once.
    pub idempotency_key: &'a str,
    /// What it was told to cost, in USD.
    pub price_usd: Option<Decimal>,
    /// The body of its report; absent where that has content.
    pub report: Option<&'a str>,
}

impl Record<'_> {
    /// The record as one line of JSON. The report is in it to the letter: said again it must be the
    /// same.
    pub fn text(&self) -> String {
        let report = self.report.filter(|text| text.len() <= REPORT_BYTES_MAX);
        let mut record = String::with_capacity(report.map_or(0, str::len).saturating_add(256));
        let mut field = |name: &str, value: &str| {
            record.push(if record.is_empty() { '{' } else { ',' });
            record.push('"');
            record.push_str(name);
            record.push_str("\":");
            record.push_str(value);
        };
        if let Some(org) = self.org {
            field("org_id", &telling::to_json(org));
        }
        field("idempotency_key", &telling::to_json(self.idempotency_key));
        if let Some(price_usd) = self.price_usd {
            field("price_usd", &telling::to_json(&telling::plain(price_usd)));
        }
        if let Some(report) = report {
            field("report", report);
        }
        record.push('}');
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_in_the_record_to_the_letter() {
        let mut record = Record {
            org: Some("org_1"),
            idempotency_key: "hold_1:5",
            price_usd: Some(Decimal::new(4_375, 6)),
            report: Some(r#"{"usage":{"input":1.50},"provider":"openai"}"#),
        };
        assert_eq!(
            record.text(),
            r#"{"org_id":"org_1","idempotency_key":"hold_1:5","price_usd":"0.004375","report":{"usage":{"input":1.50},"provider":"openai"}}"#
        );
        let long = format!("\"{}\"", "x".repeat(REPORT_BYTES_MAX));
        record.report = Some(&long);
        record.price_usd = None;
        let without = r#"{"org_id":"org_1","idempotency_key":"hold_1:5"}"#;
        assert_eq!(record.text(), without);
    }
}
