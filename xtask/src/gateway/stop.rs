//! An orderly stop of the gateway, as docs/gateway.md tells operators: Envoy has reported every call
//! and given its leases back before it ends, so nothing stays put aside.

use crate::api::{Customer, text};
use crate::client::Client;
use crate::interrupt::Interrupt;
use crate::proxy::Proxy;
use crate::server::Server;
use crate::step::note;
use anyhow::{Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long calls, reports and leases may take to end: longer than any recorded stream.
const DRAINED_MAX: Duration = Duration::from_secs(30);
/// What is zero when nothing is left: calls that run, reports and returned leases that the host does
/// not have yet, and keys that have leases.
const LEFT: [&str; 3] = [
    "http.gateway.downstream_rq_active",
    "wasmcustom.farebox.waiting",
    "wasmcustom.farebox.leasing",
];

/// Until somebody asks for the end.
///
/// # Errors
/// Host or Envoy ends before that.
pub fn wait(interrupt: &Interrupt, proxy: &mut Proxy, host: &mut Server) -> Result<()> {
    while !interrupt.came() {
        proxy.still_runs()?;
        host.still_runs()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Drains Envoy, then stops it and the host. Ctrl-C again ends the drain.
///
/// # Errors
/// Something is left in Envoy in the end, or put aside in the customer's wallet; both are stopped all
/// the same.
pub fn in_order(
    interrupt: &Interrupt,
    proxy: Proxy,
    host: Server,
    customer: &Customer,
) -> Result<()> {
    let drained = drain(interrupt, proxy.admin_port);
    proxy.stop()?;
    let held = drained.and_then(|()| text(&customer.wallet()?, "/balance/held_credits"));
    host.stop()?;
    let held: Decimal = held?.parse()?;
    ensure!(
        held == Decimal::ZERO,
        "{held} credits are still put aside for a gateway that was drained"
    );
    note("Envoy has reported everything and given its leases back");
    Ok(())
}

fn drain(interrupt: &Interrupt, admin_port: u16) -> Result<()> {
    // What was asked for before is this.
    interrupt.ctrl_c();
    let admin = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port)));
    let drain = admin.post("/drain_listeners?graceful", None, &Value::Null)?;
    ensure!(drain.status == 200, "Envoy cannot be drained: {drain:?}");
    // `^(…|…)$`, as an address has it.
    let path = format!("/stats?format=json&filter=%5E({})%24", LEFT.join("%7C"));
    let begun = Instant::now();
    loop {
        let left = left(&admin.get(&path)?.ok()?);
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= DRAINED_MAX || interrupt.ctrl_c() {
            bail!("a drained Envoy still has {}", left.join(", "));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Which of [`LEFT`] is not known to be zero.
fn left(stats: &Value) -> Vec<&'static str> {
    let stats = stats.pointer("/stats").and_then(Value::as_array);
    let stats = stats.map(Vec::as_slice).unwrap_or_default();
    let is_zero = |name: &&str| {
        let mut named = stats
            .iter()
            .filter(|stat| stat.get("name") == Some(&Value::from(*name)));
        named.any(|stat| stat.get("value").and_then(Value::as_u64) == Some(0))
    };
    LEFT.into_iter().filter(|name| !is_zero(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_said_to_be_zero_is_over() {
        let stat = |name: &str, value: u64| json!({ "name": name, "value": value });
        let [calls, waiting, leasing] = LEFT;
        let stats = |values: [Value; 3]| json!({ "stats": values });
        let over = stats([stat(calls, 0), stat(waiting, 0), stat(leasing, 0)]);
        assert!(left(&over).is_empty());
        let leased = stats([stat(calls, 0), stat(waiting, 0), stat(leasing, 1)]);
        assert_eq!(left(&leased), [leasing]);
        assert_eq!(
            left(&json!({ "stats": [stat(calls, 0)] })),
            [waiting, leasing]
        );
        assert_eq!(left(&json!(null)), LEFT);
    }
}
