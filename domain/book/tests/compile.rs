//! What a text means: the plain book that it becomes.

use farebox_book::{Format, compile};
use farebox_pricing::book::{Book, Charge, RateTable};
use farebox_pricing::meter::Meter;

fn book(text: &str) -> Book {
    let text = format!("name = \"test\"\nas_of = \"2026-11-21\"\n{text}");
    compile(&text, Format::Toml).unwrap().book
}

/// One line a table: tier, region, context, then each rate in USD per unit.
fn shown(tables: &[RateTable]) -> Vec<String> {
    let rates = |table: &RateTable| {
        let rates = table.rates.iter().map(|rate| {
            let attributes: String = rate
                .attributes
                .iter()
                .map(|a| format!("[{}={}]", a.name, a.value))
                .collect();
            format!("{}{attributes}={}", rate.meter.name(), rate.usd)
        });
        rates.collect::<Vec<_>>().join(" ")
    };
    tables
        .iter()
        .map(|t| {
            format!(
                "{}/{}/{}: {}",
                t.service_tier.as_deref().unwrap_or("-"),
                t.region.as_deref().unwrap_or("-"),
                t.context_above.unwrap_or(0),
                rates(t)
            )
        })
        .collect()
}

#[test]
fn every_table_is_complete() {
    let book = book(
        r#"
        [[models]]
        provider = "gemini"
        model = "m"
        aliases = ["z", "a", "m"]
        per_million = { input = 1, output = 10, cache_read = 0.1 }
        per_unit = { search = "0.01" }
        rates = [{ meter = "image", attributes = { size = "1024x1024", quality = "hd" }, per_unit = "0.08" }]
        [[models.context]]
        above = 200_000
        per_million = { input = 2, output = 15 }
        [[models.tiers]]
        name = "flex"
        per_million = { input = "0.5", output = "5" }
        [[models.tiers]]
        name = "priority"
        per_million = { input = "2" }
        [[models.tiers.context]]
        above = 200000
        per_million = { input = "4" }
        [[models.regions]]
        name = "eu"
        per_million = { input = "1.1" }
        "#,
    );
    let model = &book.models[0];
    assert_eq!(&*model.provider, "google");
    assert_eq!(model.aliases, [Box::from("a"), Box::from("z")]);
    let image = "image[quality=hd][size=1024x1024]=0.08";
    let m = "0.000001";
    assert_eq!(
        shown(&model.periods[0].tables),
        [
            format!("-/-/0: input={m} cache_read=0.0000001 output=0.00001 search=0.01 {image}"),
            format!(
                "-/-/200000: input=0.000002 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
            format!(
                "-/eu/0: input=0.0000011 cache_read=0.0000001 output=0.00001 search=0.01 {image}"
            ),
            // Large prompts, of which the region says nothing, are raised as small ones are.
            format!(
                "-/eu/200000: input=0.0000022 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
            format!(
                "flex/-/0: input=0.0000005 cache_read=0.0000001 output=0.000005 search=0.01 {image}"
            ),
            format!(
                "flex/-/200000: input=0.000002 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
            // Raised as the region raises the standard price: half of 1.1, and twice.
            format!(
                "flex/eu/0: input=0.00000055 cache_read=0.0000001 output=0.000005 search=0.01 {image}"
            ),
            format!(
                "flex/eu/200000: input=0.0000022 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
            format!(
                "priority/-/0: input=0.000002 cache_read=0.0000001 output=0.00001 search=0.01 {image}"
            ),
            format!(
                "priority/-/200000: input=0.000004 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
            format!(
                "priority/eu/0: input=0.0000022 cache_read=0.0000001 output=0.00001 search=0.01 {image}"
            ),
            format!(
                "priority/eu/200000: input=0.0000044 cache_read=0.0000001 output=0.000015 search=0.01 {image}"
            ),
        ]
    );
}

#[test]
fn a_price_without_attributes_replaces_those_with() {
    let book = book(
        r#"
        [[models]]
        provider = "openai"
        model = "m"
        rates = [
          { meter = "search", attributes = { context_size = "low" }, per_unit = "0.01" },
          { meter = "search", attributes = { context_size = "high" }, per_unit = "0.03" },
        ]
        [[models.tiers]]
        name = "batch"
        per_unit = { search = "0.02" }
        "#,
    );
    let tables = shown(&book.models[0].periods[0].tables);
    assert_eq!(tables[1], "batch/-/0: search=0.02");
}

#[test]
fn periods_follow_each_other() {
    let book = book(
        r#"
        [[models]]
        provider = "openai"
        model = "m"
        per_million = { input = "1" }
        [[models.periods]]
        valid_from = 2026-06-01
        per_million = { input = "3" }
        [[models.periods]]
        valid_from = "2026-01-01"
        per_million = { input = "2" }
        "#,
    );
    let (january, june) = (1_767_225_600_000, 1_780_272_000_000);
    let periods: Vec<_> = book.models[0]
        .periods
        .iter()
        .map(|p| (p.valid_from_ms, p.valid_to_ms, shown(&p.tables)[0].clone()))
        .collect();
    assert_eq!(
        periods,
        [
            (None, Some(january), "-/-/0: input=0.000001".to_owned()),
            (
                Some(january),
                Some(june),
                "-/-/0: input=0.000002".to_owned()
            ),
            (Some(june), None, "-/-/0: input=0.000003".to_owned()),
        ]
    );
}

#[test]
fn terms_become_rules_in_order_of_precedence() {
    let book = book(
        r#"
        [defaults]
        markup = "1.25"
        minimum_usd = "0.0001"
        [own_keys]
        fixed_usd = "0.0005"
        share_of_market = "0.05"
        [deployments.self_hosted]
        managed_keys = false
        [plans.pro]
        markup = "1.15"
        [plans.enterprise]
        markup = "1.05"
        [plans.enterprise.own_keys]
        share_of_market = "0.02"
        [features.lead_enrichment]
        markup = "2"
        minimum_usd = "0.01"
        "#,
    );
    let rules: Vec<String> = book
        .charge_rules
        .iter()
        .map(|rule| {
            let charge = match &rule.charge {
                Charge::CostPlus { markup } => format!("cost × {markup}"),
                Charge::PlatformFee {
                    fixed_usd,
                    share_of_market,
                } => {
                    format!("{fixed_usd} + market × {share_of_market}")
                }
                Charge::NotAllowed => "refused".to_owned(),
                Charge::Listed { .. } | Charge::Free => panic!("not in this book"),
            };
            let keys = rule
                .scope
                .key_source
                .map_or("any".into(), |k| format!("{k:?}"));
            format!("{} ({keys}): {charge}", rule.name)
        })
        .collect();
    assert_eq!(
        rules,
        [
            "feature:lead_enrichment (Managed): cost × 2",
            "plan:enterprise (Managed): cost × 1.05",
            "plan:enterprise/own_keys (Own): 0 + market × 0.02",
            "plan:pro (Managed): cost × 1.15",
            "deployment:self_hosted (Managed): refused",
            "own_keys (Own): 0.0005 + market × 0.05",
            "default (any): cost × 1.25",
        ]
    );
    let minimums: Vec<_> = book
        .minimums
        .iter()
        .map(|m| (&*m.name, m.usd.to_string()))
        .collect();
    assert_eq!(
        minimums,
        [
            ("feature:lead_enrichment", "0.01".to_owned()),
            ("default", "0.0001".to_owned())
        ]
    );
    assert_eq!(book.plans, [Box::from("enterprise"), Box::from("pro")]);
    assert_eq!(book.own_key_cap.fixed_usd.to_string(), "0.0005");
    assert_eq!(book.own_key_cap.share_of_market.to_string(), "0.05");
}

#[test]
fn without_a_word_own_keys_are_refused_and_cost_is_passed_on() {
    let book = book("");
    let last: Vec<_> = book.charge_rules.iter().map(|rule| &rule.charge).collect();
    assert!(matches!(
        last[..],
        [Charge::NotAllowed, Charge::CostPlus { markup }] if markup.to_string() == "1"
    ));
    assert!(
        book.meter_fallbacks
            .iter()
            .any(|f| f.meter == Meter::Reasoning && f.base == Meter::Output)
    );
    assert!(book.tier_fallbacks.is_empty());
}

#[test]
fn toml_and_json_with_any_notation_of_a_number_have_one_digest() {
    let toml = r#"
        name = "x"
        as_of = "2026-11-21"
        [[models]]
        provider = "openai"
        model = "m"
        per_million = { input = 0.150, output = "0.6" }
    "#;
    let json = r#"{"as_of": "2026-11-21", "name": "x", "models": [
        {"model": "m", "provider": "openai", "per_million": {"output": 6e-1, "input": "15e-2"}}]}"#;
    let (toml, json) = (
        compile(toml, Format::Toml).unwrap(),
        compile(json, Format::Json).unwrap(),
    );
    assert_eq!(toml.book, json.book);
    assert_eq!(toml.canonical, json.canonical);
    assert_eq!(toml.digest, json.digest);
}
