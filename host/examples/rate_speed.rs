//! How long Farebox takes to rate recorded calls through the sandbox with every check, for `cargo
//! xtask peers`: one flat JSON object of whole numbers.
//!
//! `rate_speed BOOK CALLS SECONDS`: the calls are lines as `farebox rate` reads them. They are
//! read before anything is measured, as the peers' are. Each way runs for half of the time.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a measurement, which ships to nobody"
)]

use farebox::cli::rate::input;
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::policy::{PolicyEngine as _, rate_requests};
use farebox_book::{Format, compile};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// 2026-11-21T00:00:00Z: the day of the peers' prices.
const OCCURRED_AT_MS: i64 = 1_795_219_200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("missing: {what}"));
    let book = std::fs::read_to_string(next("BOOK")?)?;
    let calls = std::fs::read_to_string(next("CALLS")?)?;
    let half = Duration::from_secs(next("SECONDS")?.parse()?) / 2;

    let canonical = compile(&book, Format::Toml)
        .map_err(|errors| format!("{errors:?}"))?
        .canonical;
    let cache = tempfile::tempdir()?;
    let engine = Engine::new(cache.path().to_owned())?;
    let component = farebox::app::shipped::STANDARD_COMPONENT;
    let release = engine.load_release(component, canonical, LimitClass::Native, Trust::Trusted)?;
    let requests = calls
        .lines()
        .map(|line| {
            let call = input::read(line.as_bytes()).map_err(|error| error.to_string())?;
            let occurred_at_ms = call.occurred_at_ms.unwrap_or(OCCURRED_AT_MS);
            let facts = Facts::new(Deployment::Hosted, KeySource::Managed, occurred_at_ms);
            Ok((call.intake.event, facts))
        })
        .collect::<Result<Vec<(UsageEvent, Facts)>, String>>()?;

    let single = per_call(half, requests.len(), || {
        for (event, facts) in &requests {
            drop(black_box(engine.rate(&release, event, facts)));
        }
    });
    let events_max = LimitClass::Native.limits().batch_events_max;
    let batch = per_call(half, requests.len(), || {
        for chunk in requests.chunks(events_max) {
            drop(black_box(
                engine.rate_batch(&release, &rate_requests(chunk)),
            ));
        }
    });
    println!("{{\"event_ns\":{single},\"batch_event_ns\":{batch}}}");
    Ok(())
}

/// Nanoseconds for each of the `calls` calls of a round; the first round warms up.
fn per_call(least: Duration, calls: usize, mut round: impl FnMut()) -> u128 {
    round();
    let begun = Instant::now();
    let mut rounds = 0_u128;
    while begun.elapsed() < least {
        round();
        rounds += 1;
    }
    begun.elapsed().as_nanos() / rounds.max(1) / calls.max(1) as u128
}
