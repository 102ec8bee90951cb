//! Small price books, and calls they price.

use farebox_book::{Compiled, Format, compile};
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Meter, Pool};

/// When every call here happens: 2026-11-21T00:00:00Z.
pub const NOW_MS: i64 = 1_795_219_200_000;

/// The text of [`two_models`].
pub fn two_models_text(name: &str) -> String {
    format!(
        r#"
name = "{name}"
as_of = "2026-11-21"

[defaults]
markup = "1.25"
max_output_tokens = 4096

[own_keys]
fixed_usd = "0.0005"
share_of_market = "0.05"

[own_keys.cap]
fixed_usd = "0.001"
share_of_market = "0.1"

[[models]]
provider = "openai"
model = "gpt-4o"
max_output_tokens = 16384
per_million = {{ input = "2.5", cache_read = "1.25", output = "10" }}

[[models]]
provider = "openai"
model = "gpt-4o-mini"
max_output_tokens = 16384
per_million = {{ input = "0.15", cache_read = "0.075", output = "0.6" }}
"#
    )
}

/// A book of two models with this name: managed keys pay 125 % of the cost, own keys half a
/// thousandth of a dollar and 5 % of the market rate.
///
/// # Panics
/// When the book is not valid, which is a mistake here.
pub fn two_models(name: &str) -> Compiled {
    let text = two_models_text(name);
    compile(&text, Format::Toml).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// A call of 1,000 prompt and 100 completion tokens: USD 0.0035 at list price for `gpt-4o`.
pub fn event(model: &str) -> UsageEvent {
    UsageEvent {
        provider: "openai".into(),
        model_asked: Some(model.into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: vec![
            Pool::new(Meter::Input, 1000.into()),
            Pool::new(Meter::Output, 100.into()),
        ],
        provider_cost_usd: None,
    }
}

/// The same call before it is made.
pub fn quote_request(model: &str) -> QuoteRequest {
    QuoteRequest {
        provider: "openai".into(),
        model: Some(model.into()),
        service_tier: None,
        region: None,
        feature: None,
        body_bytes: 4000,
        max_output_tokens: Some(100),
        declared: Vec::new(),
        provider_cost_max_usd: None,
    }
}

/// Facts of a hosted call at [`NOW_MS`].
pub const fn facts(key_source: KeySource) -> Facts {
    Facts::new(Deployment::Hosted, key_source, NOW_MS)
}
