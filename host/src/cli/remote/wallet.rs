//! `farebox wallet`: what an org has, and how credits get there and back.

use super::server::Server;
use super::show;
use crate::cli::failure::Failure;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::io::Write;

const EXAMPLES: &str = r#"Examples:
  farebox wallet show org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01
  farebox wallet grant org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01 500 \
      --source purchase --paid USD:5000 --payment stripe:pi_123
  farebox wallet adjust org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01 -2.5 --note "counted twice""#;

/// Show and change wallets on a running server. Amounts are decimals in credits.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Wallet {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

/// Where a grant comes from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// The customer paid for it.
    Purchase,
    /// Given away.
    Promotional,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show an org's balance and the lots it consists of.
    Show {
        /// The org's id.
        org: String,
    },
    /// Give credits. An open shortfall is settled from them at once.
    Grant(Grant),
    /// Correct a wallet, up or (with an amount below zero) down.
    Adjust {
        /// The org's id.
        org: String,
        /// What the customer gains; below zero: loses.
        #[arg(allow_negative_numbers = true)]
        credits: String,
        /// Why. The customer sees it.
        #[arg(long)]
        note: String,
    },
    /// Give back a charge, or the unspent rest of a grant, to the nano-credit.
    Refund {
        /// The org's id.
        org: String,
        /// The charge's or the grant's id.
        what: String,
        /// How much; absent: all that is left.
        #[arg(long, value_name = "CREDITS")]
        credits: Option<String>,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// Take an open shortfall on, so that the org can call again.
    Absorb {
        /// The org's id.
        org: String,
        /// How much; absent: all of it.
        #[arg(long, value_name = "CREDITS")]
        credits: Option<String>,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Grant {
    /// The org's id.
    org: String,
    /// How much, above zero.
    credits: String,
    /// Where it comes from.
    #[arg(long, value_enum, default_value_t = Source::Promotional)]
    source: Source,
    /// What was paid, in the currency's smallest unit, such as `USD:5000` for 50 dollars.
    #[arg(long, value_name = "CURRENCY:MINOR_UNITS")]
    paid: Option<String>,
    /// The payment, which buys once, such as `stripe:pi_123`.
    #[arg(long, value_name = "PROVIDER:ID")]
    payment: Option<String>,
    /// Lower is spent first.
    #[arg(long)]
    priority: Option<u16>,
    /// When it can no longer be spent, such as `2027-01-01T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// A feature it may be spent on; absent: any. Can be given several times.
    #[arg(long = "feature", value_name = "FEATURE")]
    features: Vec<String>,
    /// Why.
    #[arg(long)]
    note: Option<String>,
}

impl Wallet {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.command.call(&self.server)?;
        show::answer(&answer, self.server.json, out)
    }
}

impl Command {
    fn call(&self, server: &Server) -> Result<Value, Failure> {
        match self {
            Self::Show { org } => server.get("/v1/wallet", Some(org)),
            Self::Grant(grant) => {
                let path = format!("/v1/admin/orgs/{}/grants", grant.org);
                server.post(&path, &grant.body()?)
            }
            Self::Adjust { org, credits, note } => server.post(
                &format!("/v1/admin/orgs/{org}/adjustments"),
                &json!({ "amount_credits": credits, "note": note }),
            ),
            Self::Refund {
                org,
                what,
                credits,
                note,
            } => {
                // An id says what it is the id of.
                let field = if what.starts_with("grant_") {
                    "grant_id"
                } else {
                    "charge_id"
                };
                server.post(
                    &format!("/v1/admin/orgs/{org}/refunds"),
                    &json!({ field: what, "amount_credits": credits, "note": note }),
                )
            }
            Self::Absorb { org, credits, note } => server.post(
                &format!("/v1/admin/orgs/{org}/shortfall/absorb"),
                &json!({ "amount_credits": credits, "note": note }),
            ),
        }
    }
}

impl Grant {
    fn body(&self) -> Result<Value, Failure> {
        let paid = self.paid.as_deref().map(paid).transpose()?;
        let payment = self.payment.as_deref().map(payment).transpose()?;
        Ok(json!({
            "amount_credits": self.credits,
            "source": match self.source {
                Source::Purchase => "purchase",
                Source::Promotional => "promotional",
            },
            "cash_paid": paid,
            "payment": payment,
            "priority": self.priority,
            "expires_at": self.expires_at,
            "features": self.features,
            "note": self.note,
        }))
    }
}

fn paid(text: &str) -> Result<Value, Failure> {
    let parts = text.split_once(':');
    parts
        .and_then(|(currency, units)| Some((currency, units.parse::<u64>().ok()?)))
        .map(|(currency, units)| json!({ "currency": currency, "minor_units": units }))
        .ok_or_else(|| Failure::Usage(format!("`{text}` is no payment: write it like `USD:5000`")))
}

fn payment(text: &str) -> Result<Value, Failure> {
    text.split_once(':')
        .map(|(provider, id)| json!({ "provider": provider, "id": id }))
        .ok_or_else(|| {
            Failure::Usage(format!(
                "`{text}` is no payment: write it like `stripe:pi_123`"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_payments_are_written_with_a_colon() {
        assert_eq!(
            paid("USD:5000").unwrap(),
            json!({ "currency": "USD", "minor_units": 5000 })
        );
        assert_eq!(
            payment("stripe:pi:1").unwrap(),
            json!({ "provider": "stripe", "id": "pi:1" })
        );
        for wrong in ["USD", "USD:50.00", "USD:-1", ""] {
            assert!(matches!(paid(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
