//! What rating costs, natively and through the sandbox, for `cargo xtask bench`: one flat JSON
//! object of whole numbers.
//!
//! The events are shaped like the calls a gateway sees: four pools, a plan, an org. Each figure is
//! the median of many rounds, because this kind of machine is noisy. `--quick` shortens them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a measurement, which ships to nobody"
)]

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::compiler::{self, Order};
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::policy::{Instances, PolicyEngine};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::{rating, verify};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

const BATCH: usize = 256;
/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Untrusted policies are prepared in a process of its own, which is this program again.
    if let Some((compiler::COMMAND, order)) = words
        .split_first()
        .map(|(command, order)| (command.as_str(), order))
    {
        let order = Order::read(order).ok_or("no order for the compiler")?;
        return Ok(order.run(std::io::stdin().lock(), std::io::stdout().lock())?);
    }
    compiler::this_program();
    let rounds = if std::env::args().any(|argument| argument == "--quick") {
        50
    } else {
        400
    };
    let book = shipped::default_book()
        .map_err(|errors| format!("{errors:?}"))?
        .canonical;
    let view = BookView::open(book.clone())?;
    let cache = tempfile::tempdir()?;

    let begun = Instant::now();
    let engine = Engine::new(cache.path().to_owned())?;
    let component = shipped::STANDARD_COMPONENT;
    let release =
        engine.load_release(component, book.clone(), LimitClass::Native, Trust::Trusted)?;
    let admit_cold = begun.elapsed();

    let begun = Instant::now();
    let again = Engine::new(cache.path().to_owned())?;
    let untrusted = again.load_release(component, book, LimitClass::Native, Trust::Untrusted)?;
    let admit_cached = begun.elapsed();
    if again.instances(&untrusted) != Some(Instances::Prepared) {
        return Err("the standard policy could not be prepared".into());
    }

    let (event, facts) = call();
    let batch = vec![(&event, &facts); BATCH];
    let native = || {
        let rating = rating::rate(&view, black_box(&event), &facts);
        rating
            .ok()
            .map(|rating| verify::rating(&view, &event, &facts, &rating))
    };
    // In turns, for their difference is a figure.
    let mut warm_batch = Vec::new();
    let mut fresh_batch = Vec::new();
    for _ in 0..rounds {
        warm_batch.push(timed(|| {
            drop(black_box(engine.rate_batch(&release, &batch)))
        }));
        fresh_batch.push(timed(|| {
            drop(black_box(again.rate_batch(&untrusted, &batch)))
        }));
    }
    let (warm_batch, fresh_batch) = (middle(warm_batch), middle(fresh_batch));
    let figures = [
        (
            "rate_native_ns",
            median(rounds, 200, || drop(black_box(native()))),
        ),
        (
            "rate_single_ns",
            median(rounds, 200, || {
                drop(black_box(engine.rate(&release, &event, &facts)))
            }),
        ),
        ("rate_batch_event_ns", warm_batch / BATCH as u32),
        ("rate_fresh_batch_event_ns", fresh_batch / BATCH as u32),
    ];
    if engine
        .faults()
        .iter()
        .chain(&again.faults())
        .any(|(_, faults)| *faults > 0)
    {
        return Err("a measured call ended in a policy fault".into());
    }
    let mut fields: Vec<String> = figures
        .iter()
        .map(|(name, time)| format!("\"{name}\":{}", time.as_nanos()))
        .collect();
    for (name, events) in [("fuel_single", 1), ("fuel_batch_event", BATCH)] {
        let fuel = engine.fuel_of(&release, &batch[..events])?;
        fields.push(format!("\"{name}\":{}", fuel / events as u64));
    }
    let extra = fresh_batch.saturating_sub(warm_batch).as_micros();
    fields.push(format!("\"fresh_batch_extra_us\":{extra}"));
    fields.push(format!("\"admit_cold_us\":{}", admit_cold.as_micros()));
    fields.push(format!("\"admit_cached_us\":{}", admit_cached.as_micros()));
    fields.push(format!("\"component_bytes\":{}", component.len()));
    for (figure, guest, example) in CUSTOM {
        custom(figure, guest, example, rounds / 10, &mut fields)?;
    }
    println!("{{{}}}", fields.join(","));
    Ok(())
}

/// What its figures begin with, the guest's file, and the folder of its example.
const CUSTOM: [(&str, &str, &str); 3] = [
    ("rust", "farebox_committed_spend", "committed-spend"),
    ("js", "happy_hour", "happy-hour"),
    ("python", "surge", "surge"),
];

/// The figures of a policy of `guest/examples`, where it is built: admitted, kept, and fresh.
fn custom(
    figure: &str,
    guest: &str,
    example: &str,
    rounds: usize,
    fields: &mut Vec<String>,
) -> Result<(), Box<dyn Error>> {
    let Ok(component) = std::fs::read(format!("target/guests/{guest}.wasm")) else {
        eprintln!("    left out: {guest} is not built");
        return Ok(());
    };
    let text = std::fs::read_to_string(format!("guest/examples/{example}/book.toml"))?;
    let book = farebox_book::compile(&text, farebox_book::Format::Toml)
        .map_err(|errors| format!("{errors:?}"))?
        .canonical;
    let cache = tempfile::tempdir()?;
    let class = LimitClass::of(&component);
    let begun = Instant::now();
    let kept = Engine::new(cache.path().to_owned())?;
    let trusted = kept.load_release(&component, book.clone(), class, Trust::Trusted)?;
    let admitted = begun.elapsed();
    let fresh = Engine::new(cache.path().to_owned())?;
    let untrusted = fresh.load_release(&component, book, class, Trust::Untrusted)?;
    let (mut event, mut facts) = call();
    event.provider = "openai".into();
    event.model_asked = Some("gpt-4o-mini".into());
    event.model_served = None;
    event.pools.retain(|pool| pool.meter != Meter::CacheWrite5m);
    facts.plan = Some("committed-1k".into());
    let batch = vec![(&event, &facts); BATCH];
    let priced = fresh.rate_batch(&untrusted, &batch);
    if let Some(Err(error)) = priced.into_iter().find(Result::is_err) {
        return Err(format!("{guest}: {error}").into());
    }
    let warm = median(rounds, 1, || {
        drop(black_box(kept.rate_batch(&trusted, &batch)))
    });
    let cold = median(rounds, 1, || {
        drop(black_box(fresh.rate_batch(&untrusted, &batch)))
    });
    let events = BATCH as u32;
    fields.push(format!("\"{figure}_admit_ms\":{}", admitted.as_millis()));
    fields.push(format!(
        "\"{figure}_batch_event_ns\":{}",
        (warm / events).as_nanos()
    ));
    fields.push(format!(
        "\"{figure}_fresh_batch_event_ns\":{}",
        (cold / events).as_nanos()
    ));
    let fuel = kept.fuel_of(&trusted, &batch)? / BATCH as u64;
    fields.push(format!("\"{figure}_fuel_batch_event\":{fuel}"));
    Ok(())
}

/// The median time of one call, over `rounds` of `calls` calls each; the first tenth warms up.
fn median(rounds: usize, calls: u32, mut call: impl FnMut()) -> Duration {
    let times = (0..rounds + rounds / 10)
        .map(|_| timed(|| (0..calls).for_each(|_| call())) / calls)
        .skip(rounds / 10);
    middle(times.collect())
}

fn timed(call: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    call();
    begun.elapsed()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn call() -> (UsageEvent, Facts) {
    let pool = |meter, quantity: u32| Pool::new(meter, Quantity::from(quantity));
    let event = UsageEvent {
        provider: "anthropic".into(),
        model_asked: Some("claude-sonnet-4-0".into()),
        model_served: Some("claude-sonnet-4-20250514".into()),
        service_tier: None,
        region: None,
        feature: Some("lead_enrichment".into()),
        pools: vec![
            pool(Meter::Input, 3),
            pool(Meter::CacheRead, 4_890),
            pool(Meter::CacheWrite5m, 353),
            pool(Meter::Output, 323),
        ],
        provider_cost_usd: None,
    };
    let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, NOW_MS);
    facts.plan = Some("pro".into());
    facts.org = Some("org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".into());
    (event, facts)
}
