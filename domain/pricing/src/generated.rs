//! Generated books and events, for properties. Only compiled into tests.

use crate::book::*;
use crate::canonical::{BookView, encode};
use crate::event::{Deployment, Facts, KeySource, UsageEvent};
use crate::meter::{Attribute, Meter, Pool};
use crate::money::Rounding;
use call::call;
use prices::{factor, models, periods, price};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rust_decimal::Decimal;
use terms::scope;

pub use call::request_for;
pub use prices::meter;

mod call;
mod prices;
pub mod terms;

/// The time of every generated call.
pub const NOW_MS: i64 = 1_700_000_000_000;
const TIERS: [&str; 3] = ["batch", "flex", "priority"];
const REGIONS: [&str; 3] = ["*", "eu", "us"];
const SERVED_IN: [&str; 4] = ["ap", "eu", "global", "us"];

/// The smallest book: one model of OpenAI with these rates, cost plus `markup` for everybody.
pub fn small_book(rates: &[(Meter, &str)], markup: &str) -> Book {
    let mut rates: Vec<Rate> = rates
        .iter()
        .map(|(meter, usd)| Rate {
            meter: meter.clone(),
            attributes: Vec::new(),
            usd: usd.parse().unwrap(),
        })
        .collect();
    rates.sort_by(|a, b| a.meter.cmp(&b.meter));
    Book {
        name: "test".into(),
        as_of: "2026-11-21".into(),
        sources: Vec::new(),
        rounding: Rounding::default(),
        models: vec![Model {
            provider: "openai".into(),
            name: "m".into(),
            aliases: Vec::new(),
            prefixes: vec!["m-".into()],
            patterns: Vec::new(),
            except: Vec::new(),
            max_output_tokens: Some(1000),
            context_inclusive: false,
            context_marginal: false,
            periods: vec![Period {
                valid_from_ms: None,
                valid_to_ms: None,
                known_since_ms: None,
                tables: vec![RateTable {
                    service_tier: None,
                    region: None,
                    context_above: None,
                    hours: None,
                    rates,
                }],
                allowances: Vec::new(),
            }],
        }],
        meter_fallbacks: Vec::new(),
        tier_fallbacks: Vec::new(),
        charge_rules: vec![ChargeRule {
            name: "default".into(),
            scope: Scope::default(),
            charge: Charge::CostPlus {
                markup: markup.parse().unwrap(),
            },
            loss_leader: false,
        }],
        minimums: Vec::new(),
        plans: Vec::new(),
        own_key_cap: FeeCap::default(),
        max_output_tokens_default: 4096,
        loss_leader: false,
        sale: None,
        unknown_models: UnknownModels::default(),
        failure_rules: FailureRules::default(),
    }
}

pub fn view(book: &Book) -> BookView {
    BookView::open(encode(book).unwrap()).unwrap()
}

/// An event of the small book's model.
pub fn event(pools: &[(Meter, u32)]) -> UsageEvent {
    UsageEvent {
        provider: "openai".into(),
        model_asked: Some("m".into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: pools
            .iter()
            .map(|(meter, quantity)| Pool::new(meter.clone(), (*quantity).into()))
            .collect(),
        provider_cost_usd: None,
    }
}

pub fn facts(key_source: KeySource) -> Facts {
    Facts::new(Deployment::Hosted, key_source, NOW_MS)
}

fn text(choices: &'static [&'static str]) -> impl Strategy<Value = Box<str>> {
    select(choices).prop_map(Into::into)
}

fn deployment(hosted: bool) -> Deployment {
    if hosted {
        Deployment::Hosted
    } else {
        Deployment::SelfHosted
    }
}

fn key_source(managed: bool) -> KeySource {
    if managed {
        KeySource::Managed
    } else {
        KeySource::Own
    }
}

fn charge_rules(
    loss_leader: bool,
    losses: bool,
    cap: FeeCap,
    has_sheet: bool,
) -> impl Strategy<Value = Vec<ChargeRule>> {
    let parts = (scope(), 0_u8..12, 0_i64..300, any::<bool>());
    let rule = parts.prop_map(move |(mut scope, kind, percent, flag)| {
        let declared = flag && losses;
        let charge = match kind {
            0 => Charge::NotAllowed,
            1 if losses => Charge::Free,
            1..=4 => {
                scope.key_source = scope.key_source.filter(|s| *s == KeySource::Managed);
                let least = if loss_leader || declared { 0 } else { 100 };
                Charge::CostPlus {
                    markup: Decimal::new(least + percent, 2).normalize(),
                }
            }
            5..=8 => {
                scope.key_source = scope.key_source.filter(|s| *s == KeySource::Managed);
                Charge::Listed {
                    sheet: (has_sheet && flag).then_some(0),
                    share: Decimal::new(percent, 2).normalize(),
                }
            }
            _ => {
                scope.key_source = scope.key_source.filter(|s| *s == KeySource::Own);
                Charge::PlatformFee {
                    fixed_usd: cap.fixed_usd,
                    share_of_market: cap
                        .share_of_market
                        .min(Decimal::new(percent, 2))
                        .normalize(),
                }
            }
        };
        ChargeRule {
            name: format!("rule:{kind}:{percent}").into(),
            scope,
            charge,
            loss_leader: declared,
        }
    });
    (prop::collection::vec(rule, 0..5), 100_i64..200).prop_map(move |(mut rules, percent)| {
        for charge in [
            Charge::CostPlus {
                markup: Decimal::new(percent, 2).normalize(),
            },
            Charge::PlatformFee {
                fixed_usd: Decimal::ZERO,
                share_of_market: cap.share_of_market,
            },
        ] {
            rules.push(ChargeRule {
                name: "default".into(),
                scope: Scope::default(),
                charge,
                loss_leader: false,
            });
        }
        rules
    })
}

fn unknown_models() -> impl Strategy<Value = UnknownModels> {
    prop_oneof![
        Just(UnknownModels::Refuse),
        Just(UnknownModels::ProviderCost),
        price().prop_map(|usd| UnknownModels::Cap { usd }),
        periods().prop_map(|periods| UnknownModels::DefaultRate {
            model: Box::new(Model {
                provider: "*".into(),
                name: "default-rate".into(),
                aliases: Vec::new(),
                prefixes: Vec::new(),
                patterns: Vec::new(),
                except: Vec::new(),
                max_output_tokens: None,
                context_inclusive: false,
                context_marginal: false,
                periods,
            }),
        }),
    ]
}

fn failure_rules() -> impl Strategy<Value = FailureRules> {
    let actions = prop::array::uniform5(select(FailureAction::ALL.to_vec()));
    (actions, 1_u32..9, 0_i64..101).prop_map(|(actions, bytes_per_token, percent)| {
        let [
            client_abort,
            upstream_error,
            no_usage,
            zero_usage,
            partial_stream,
        ] = actions;
        FailureRules {
            client_abort,
            upstream_error,
            no_usage,
            zero_usage,
            partial_stream,
            estimate: Estimate {
                bytes_per_token,
                output_share: Decimal::new(percent, 2).normalize(),
            },
        }
    })
}

/// A valid book.
pub fn book() -> impl Strategy<Value = Book> {
    let cap = (factor(), factor()).prop_map(|(fixed_usd, share_of_market)| FeeCap {
        fixed_usd,
        share_of_market,
    });
    let losses = (weighted(0.3, any::<bool>()), any::<bool>());
    let losses = losses.prop_map(|(whole, some)| (whole.is_some(), some));
    (losses, cap).prop_flat_map(|((loss_leader, losses), cap)| {
        terms::sale(losses).prop_flat_map(move |sale| {
            let cap = cap.clone();
            let name = of(text(&["rule", "other rule"]));
            let fallback = (of(select(&TIERS[..])), meter(), meter(), factor(), name).prop_map(
                |(tier, meter, base, factor, name)| MeterFallback {
                    service_tier: tier.map(Into::into),
                    meter,
                    base,
                    factor,
                    name,
                },
            );
            let minimum = (scope(), price()).prop_map(|(scope, usd)| Minimum {
                name: "least".into(),
                scope,
                usd,
            });
            let tiers =
                prop::collection::btree_map(text(&TIERS), factor(), 0..3).prop_map(|tiers| {
                    tiers
                        .into_iter()
                        .map(|(service_tier, factor)| TierFallback {
                            service_tier,
                            factor,
                        })
                        .collect()
                });
            let plans = prop_oneof![
                Just(Vec::new()),
                Just(vec![Box::from("pro"), Box::from("free")])
            ];
            (
                models(),
                prop::collection::vec(fallback, 0..8),
                tiers,
                charge_rules(loss_leader, losses, cap.clone(), sale.is_some()),
                prop::collection::vec(minimum, 0..3),
                plans,
                0_u64..5000,
                (unknown_models(), failure_rules()),
            )
                .prop_map(
                    move |(
                        models,
                        meter_fallbacks,
                        tier_fallbacks,
                        charge_rules,
                        minimums,
                        plans,
                        max,
                        (unknown_models, failure_rules),
                    )| Book {
                        name: "generated".into(),
                        as_of: "2026-11-21".into(),
                        sources: vec![Source {
                            name: "proptest".into(),
                            version: "1".into(),
                        }],
                        rounding: Rounding::HalfEven,
                        models,
                        meter_fallbacks,
                        tier_fallbacks,
                        charge_rules,
                        minimums,
                        plans,
                        own_key_cap: cap.clone(),
                        max_output_tokens_default: max,
                        loss_leader,
                        sale: sale.clone(),
                        unknown_models,
                        failure_rules,
                    },
                )
        })
    })
}

/// A book and a call that it usually can price.
pub fn book_and_call() -> impl Strategy<Value = (Book, UsageEvent, Facts)> {
    let known = weighted(0.9, any::<Index>());
    (book(), call(), known).prop_map(|(book, (mut event, facts), known)| {
        if let Some(known) = known {
            let model = &book.models[known.index(book.models.len())];
            event.provider = model.provider.clone();
            event.model_asked = Some((*model.name).into());
            let tables = || model.periods.iter().flat_map(|period| &period.tables);
            event.pools.retain(|pool| {
                let falls_back = book.meter_fallbacks.iter().any(|f| f.meter == pool.meter);
                let mut rates = tables().flat_map(|table| &table.rates);
                falls_back || rates.any(|rate| rate.meter == pool.meter)
            });
        }
        (book, event, facts)
    })
}
