//! A host that has heard and whose answers come too late: calls wait no longer than is declared,
//! then the declared rule holds; what was said counts once, and nothing stays put aside.

use super::client::Got;
use super::held::House;
use super::proxy::{Envoy, Plan, until};
use farebox_tests::books::two_models_text;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What each call costs, in credits.
const PRICE: &str = "0.04375";
/// How long a hold lives that nobody reports under.
const HOLD_MS: i64 = 900_000;
/// How long a lease lives that nobody renews, and how long it is in doubt then.
const LEASE_MS: i64 = 30_000;
const DOUBT_MS: i64 = 300_000;

/// The route by which leases are renewed.
const RENEW: &str = "/v1/leases/{lease_id}/renew";

/// A gate before the host: what is asked passes, what is answered waits while it is shut.
async fn gate(host: SocketAddr, is_open: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((envoy, _)) = listener.accept().await {
            let mut is_open = is_open.clone();
            tokio::spawn(async move {
                let (mut asked, mut answered) = envoy.into_split();
                let (mut answer, mut ask) = TcpStream::connect(host).await?.into_split();
                tokio::spawn(async move { copy(&mut asked, &mut ask).await });
                let mut bytes = vec![0; 65_536];
                loop {
                    let read = answer.read(&mut bytes).await?;
                    let is_over = is_open.wait_for(|is_open| *is_open).await.is_err();
                    if read == 0 || is_over {
                        return answered.shutdown().await;
                    }
                    answered.write_all(&bytes[..read]).await?;
                }
            });
        }
    });
    address
}

struct Slow {
    house: House,
    is_open: watch::Sender<bool>,
    calls: AtomicUsize,
}

impl Slow {
    fn new(when_away: &str, leases: bool) -> Self {
        Self::started(when_away, leases, 1_000, Envoy::start)
    }

    fn started(
        when_away: &str,
        leases: bool,
        timeout_ms: u64,
        start: impl FnOnce(&Plan) -> Envoy,
    ) -> Self {
        let (is_open, gate_is_open) = watch::channel(true);
        let house = House::started(
            &two_models_text("edge"),
            when_away,
            |runtime, host| vec![runtime.block_on(gate(host, gate_is_open))],
            |_, plan| {
                plan.settings["host"]["timeout_ms"] = json!(timeout_ms);
                plan.settings["host"]["leases"] = json!(leases);
            },
            start,
        );
        Self {
            house,
            is_open,
            calls: AtomicUsize::new(0),
        }
    }

    fn open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    fn call(&self, key: &str) -> Got {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let bearer = format!("Bearer {key}");
        self.house
            .post(&format!("call={number}"), &[("authorization", &bearer)])
    }

    /// Until a call is served: on a busy machine the host may be slow by itself.
    fn served(&self, key: &str) {
        until(|| match self.call(key) {
            got if got.status == 200 => Ok(()),
            got => Err(format!("{got:?}")),
        });
    }

    /// Until a call runs under a lease.
    fn leased(&self, key: &str) {
        until(|| {
            self.served(key);
            match self.house.envoy.counted("farebox.leased") {
                0 => Err("no lease yet".to_owned()),
                _ => Ok(()),
            }
        });
    }

    fn refused(&self, key: &str) {
        let before = self.house.reached();
        let got = self.call(key);
        assert_eq!(got.status, 503, "{got:?}");
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(problem["type"], "/problems/unavailable");
        assert_eq!(self.house.reached(), before, "it left Envoy");
    }

    /// Until something of this customer's is put aside.
    fn until_held(&self, key: &str) {
        until(|| match self.house.balance(key) {
            (_, held) if held > Decimal::ZERO => Ok(()),
            _ => Err("nothing is held".to_owned()),
        });
    }

    /// What the upstream has served is charged once, and nothing is put aside.
    fn settle(self, keys: &[(&str, &str)]) {
        let served = self.house.reached();
        self.house.until_reported(u64::try_from(served).unwrap());
        let spent = Decimal::from(served) * PRICE.parse::<Decimal>().unwrap();
        let credits = keys.iter().map(|(_, credits)| credits.parse::<Decimal>());
        let sold: Decimal = credits.map(Result::unwrap).sum();
        until(|| {
            let balances = keys.iter().map(|(key, _)| self.house.balance(key));
            let (left, held) = balances.fold((Decimal::ZERO, Decimal::ZERO), |sum, balance| {
                (sum.0 + balance.0, sum.1 + balance.1)
            });
            if (left, held) == (sold - spent, Decimal::ZERO) {
                return Ok(());
            }
            Err(format!("{left} of {sold} less {spent}, {held} held"))
        });
        assert_eq!(self.house.envoy.counted("farebox.difference"), 0);
        drop(self.house.envoy);
        self.house.host.verify();
    }
}

#[test]
fn a_slow_host_keeps_a_call_in_envoy_as_long_as_is_declared_and_its_late_hold_ends() {
    let slow = Slow::new("closed", false);
    let key = slow.house.host.sell_to("10");
    slow.open(false);
    slow.refused(&key);
    assert_eq!(slow.house.envoy.counted("farebox.away"), 1);
    // The host has heard, and holds for a call that nobody makes any more.
    slow.until_held(&key);
    slow.open(true);
    slow.served(&key);
    let served = u64::try_from(slow.house.reached()).unwrap();
    slow.house.until_reported(served);
    slow.house.host.advance(HOLD_MS);
    slow.settle(&[(&key, "10")]);
}

#[test]
fn a_slow_host_charges_once_what_ran_in_envoy_without_its_answer() {
    let slow = Slow::new("open", false);
    let key = slow.house.host.sell_to("10");
    slow.open(false);
    let got = slow.call(&key);
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.in_headers()["credits"], PRICE);
    assert_eq!(slow.house.envoy.counted("farebox.away"), 1);
    // The report arrives, and is sent again as long as no answer does.
    until(|| match slow.house.host.requests("POST", "/v1/usage") {
        0 | 1 => Err("the report was not sent twice".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(slow.house.envoy.counted("farebox.reported"), 0);
    slow.open(true);
    slow.house.until_reported(1);
    slow.house.host.advance(HOLD_MS);
    slow.settle(&[(&key, "10")]);
}

#[test]
fn a_slow_host_keeps_nobody_from_what_envoy_has_leased_and_its_late_lease_comes_back() {
    let slow = Slow::new("closed", true);
    let (early, late) = (slow.house.host.sell_to("10"), slow.house.host.sell_to("20"));
    slow.leased(&early);
    slow.open(false);
    // What is leased needs no answer.
    let got = slow.call(&early);
    assert_eq!(got.status, 200, "{got:?}");
    slow.refused(&late);
    slow.until_held(&late);
    slow.open(true);
    slow.served(&late);
    let served = u64::try_from(slow.house.reached()).unwrap();
    slow.house.until_reported(served);
    // Where another worker asked the next time, nobody knows of the late one: it lapses.
    slow.house.host.advance(LEASE_MS);
    slow.house.host.advance(DOUBT_MS);
    slow.settle(&[(&early, "10"), (&late, "20")]);
}

/// The renewal has taken effect, and the filter that asked is gone: the next one asks the same again,
/// or it would not know by which turn the host knows the lease.
#[test]
fn a_slow_host_renews_a_lease_for_the_configuration_that_takes_the_place_of_the_one_that_asked() {
    let mut next = None;
    let slow = Slow::started("closed", true, 60_000, |plan| {
        let mut changed = plan.clone();
        changed.settings["host"]["report_ms"] = json!(40);
        next = Some(changed);
        Envoy::watching(plan)
    });
    let key = slow.house.host.sell_to("10");
    slow.leased(&key);
    let served = u64::try_from(slow.house.reached()).unwrap();
    slow.house.until_reported(served);
    slow.open(false);
    let renewed = || slow.house.host.requests("POST", RENEW);
    let before = renewed();
    until(|| match renewed() {
        renewals if renewals == before => Err("no renewal was asked for".to_owned()),
        _ => Ok(()),
    });
    slow.house.envoy.swap(&next.unwrap());
    slow.open(true);
    slow.settle(&[(&key, "10")]);
}
