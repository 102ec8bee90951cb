//! Calls at random, and requests that they stay within.

use super::prices::{NAMES, PROVIDERS, attributes, meter, price};
use super::{NOW_MS, SERVED_IN, deployment, key_source, terms, text};
use crate::event::{Facts, QuoteRequest, UsageEvent};
use crate::meter::{Attribute, Meter, Pool, Quantity};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// A call that a generated book may know.
pub fn call() -> impl Strategy<Value = (UsageEvent, Facts)> {
    let pool = ((meter(), attributes()), 0_u32..3000);
    let pools = prop::collection::btree_map(pool.0, pool.1, 0..5).prop_map(|pools| {
        pools
            .into_iter()
            .map(|((meter, attributes), quantity)| Pool {
                meter,
                quantity: Quantity::from(quantity),
                attributes,
            })
            .collect()
    });
    let event = (
        text(&PROVIDERS),
        of(prop_oneof![text(&NAMES), "[a-c]{1,5}".prop_map(Into::into)]),
        of(text(&["batch", "default", "flex", "priority", "scale"])),
        of(text(&SERVED_IN)),
        of(text(&["f", "g"])),
        pools,
        weighted(0.2, price()),
    )
        .prop_map(
            |(provider, model_asked, service_tier, region, feature, pools, provider_cost_usd)| {
                UsageEvent {
                    provider,
                    model_asked,
                    model_served: None,
                    service_tier,
                    region,
                    feature,
                    pools,
                    provider_cost_usd,
                }
            },
        );
    let used = of(0_u64..3000);
    let facts = (
        any::<bool>(),
        weighted(0.8, Just(true)),
        of(text(&["free", "pro"])),
        of(text(&["acme", "globex"])),
        prop_oneof![Just(Vec::new()), terms::counts()],
        used,
    )
        .prop_map(|(hosted, managed, plan, org, mut other, used)| {
            other.extend(used.map(|used| Attribute {
                name: "used:shared".into(),
                value: used.to_string().into(),
            }));
            let facts = Facts::new(deployment(hosted), key_source(managed.is_some()), NOW_MS);
            Facts {
                plan,
                org,
                other,
                ..facts
            }
        });
    (event, facts)
}

/// A request that this event stays within.
pub fn request_for(event: &UsageEvent, any_tier: bool, any_region: bool) -> QuoteRequest {
    let is_text = |meter: &Meter| {
        matches!(
            meter,
            Meter::Input | Meter::CacheRead | Meter::CacheWrite5m | Meter::CacheWrite1h
        )
    };
    let is_output = |meter: &Meter| matches!(meter, Meter::Output | Meter::Reasoning);
    let sum = |of: &dyn Fn(&Meter) -> bool| -> u64 {
        let pools = event.pools.iter().filter(|pool| of(&pool.meter));
        let sum: Decimal = pools.map(|pool| pool.quantity.get()).sum();
        sum.try_into().unwrap()
    };
    QuoteRequest {
        provider: event.provider.clone(),
        model: event.model_asked.clone(),
        service_tier: event.service_tier.clone().filter(|_| !any_tier),
        region: event.region.clone().filter(|_| !any_region),
        feature: event.feature.clone(),
        body_bytes: sum(&is_text),
        max_output_tokens: Some(sum(&is_output)),
        declared: event
            .pools
            .iter()
            .filter(|pool| !is_text(&pool.meter) && !is_output(&pool.meter))
            .cloned()
            .collect(),
        provider_cost_max_usd: event.provider_cost_usd,
    }
}
