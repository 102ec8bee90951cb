//! Customers of whom a case says more than their plan: what they used before, or that they have a
//! contract of their own. Each is a new one, so that no other case counts to its past.

use super::{ADMIN_KEY, Customer, HttpServer, Reported, body};
use farebox::app::shipped::STANDARD_COMPONENT;
use farebox::engine::package::Package;
use farebox_book::{Format, compile};
use serde_json::{Map, Value, json};
use ureq::http::Request;

/// The id that a book gives a customer of whom it speaks by name, and the book. A server gives its
/// customers ids of its own, so the one is written in place of the other before the book is sold by.
#[derive(Clone, Copy, Debug)]
pub struct Contract<'b> {
    /// As the book spells it.
    pub org: &'b str,
    /// The book, as TOML.
    pub book: &'b str,
}

impl HttpServer {
    /// The last call of a new customer, who made those of `past` before, in the form of
    /// `farebox rate`.
    ///
    /// # Panics
    /// A call of the past is not charged, or the server does not take the contract.
    pub fn price_after(
        &self,
        past: &[Map<String, Value>],
        report: &Reported,
        contract: Option<Contract<'_>>,
    ) -> Value {
        self.clock.set(report.facts.occurred_at_ms);
        let number = self.own.get().saturating_add(1);
        self.own.set(number);
        let name = format!("with a past: {number}");
        let customer = self.new_customer(&name, report.facts.plan.as_deref());
        if let Some(contract) = contract {
            self.sell_by(&customer, contract);
        }
        for call in past {
            let before = Reported {
                call: call.clone(),
                facts: report.facts.clone(),
            };
            let answer = self.post(&customer.key, "/v1/usage", &body(&before));
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let answer = self.post(&customer.key, "/v1/usage", &body(report));
        let line = self.line(&customer, report, answer);
        match contract {
            Some(contract) => named(&line, &customer.org, contract.org),
            None => line,
        }
    }

    /// Pushes the contract's book, and binds it to the customer alone.
    fn sell_by(&self, customer: &Customer, contract: Contract<'_>) {
        let text = contract.book.replace(contract.org, &customer.org);
        let book = compile(&text, Format::Toml).unwrap_or_else(|errors| panic!("{errors:?}"));
        let package = Package {
            component: STANDARD_COMPONENT.to_vec(),
            book: Some(book.canonical),
            book_source: Some(text.into_bytes()),
            ..Package::default()
        };
        let release = self.push(&package.to_file());
        let bind = json!({
            "release_id": release, "org_id": customer.org, "expected": "none", "why": "contract"
        });
        let bound = self.post(ADMIN_KEY, "/v1/admin/bindings/activate", &bind);
        assert_eq!(bound.status, 200, "{}", bound.body);
    }

    fn push(&self, file: &[u8]) -> String {
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/v1/admin/policies", self.base))
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/wasm");
        let answer = self.agent.run(request.body(file).unwrap());
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        let release: Value = serde_json::from_str(&text).unwrap();
        let id = release["id"].as_str();
        id.unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

/// The answer with the name that the case knows the customer by.
fn named(answer: &Value, id: &str, name: &str) -> Value {
    serde_json::from_str(&answer.to_string().replace(id, name)).unwrap()
}
