//! `cargo xtask gateway`: the host, Envoy with the filter as `guest/envoy/envoy.yaml` configures it,
//! and providers that answer as they once did, all on this machine.
//!
//! What it prints is one `curl` that anybody can paste. With `--once` it makes that call itself and
//! holds the wallet to the price that the stream ended with, so a run that reaches its end is a test.
//! However it ends, Envoy is drained first.

mod call;
mod config;
mod providers;
mod stop;

use crate::api::{Admin, Customer};
use crate::envoy;
use crate::guests;
use crate::interrupt::Interrupt;
use crate::proxy::{self, Proxy};
use crate::server::{self, Build, Server, Setup};
use crate::step::{self, note, step};
use crate::toolchain::Wanted;
use anyhow::Result;
use providers::Providers;
use std::path::Path;

/// Good enough for a host that only this machine can reach.
const ADMIN_KEY: &str = "farebox-gateway-admin-key";
const HOST_PORT: u16 = 8787;
const GATEWAY_PORT: u16 = 8080;
const CREDITS: &str = "10";

/// Runs the gateway until Ctrl-C; with `once`, or where nobody is there to press it, for one call.
///
/// # Errors
/// Something is missing that cannot be installed, or anything is not as it should be.
pub fn run(root: &Path, wanted: Wanted, once: bool) -> Result<()> {
    guests::build(root, wanted)?;
    step("Envoy", || envoy::install(root))?;
    let (binary, providers) = step("host and providers", || {
        let binary = server::build(root, Build::Dev)?;
        let providers = server::built(
            root,
            Build::Dev,
            &["--bin", providers::NAME],
            providers::NAME,
        )?;
        Ok((binary, providers))
    })?;
    let folder = server::empty_folder(root, "gateway")?;
    // Nothing that is started from here on ends before Envoy is drained.
    let interrupt = Interrupt::heed()?;
    let mut host = step("host on an empty directory", || {
        start_host(root, &binary, &folder)
    })?;
    let admin = Admin::new(host.client().with_key(ADMIN_KEY));
    let org = admin.create_org("Ada's Agents", None)?;
    admin.grant(&org, CREDITS)?;
    let key = admin.create_key(&org)?;
    let providers = Providers::start(&providers)?;
    let port = server::address(GATEWAY_PORT)?.port();
    let mut proxy = step("Envoy with the filter", || {
        let admin_port = server::address(0)?.port();
        let values = config::Values {
            root,
            folder: &folder,
            port,
            admin_port,
            host: host.address.port(),
            providers: &providers,
            book: &server::canonical_book(&binary)?,
        };
        let proxy = Proxy::start(&proxy::Setup {
            root,
            folder: &folder,
            config: &config::filled(&values)?,
            admin_port,
            workers: 2,
            apart: true,
        })?;
        note(&format!("listens on http://127.0.0.1:{port}"));
        Ok(proxy)
    })?;
    let customer = Customer::new(host.client().with_key(&key));
    if once || !step::somebody_is_there() {
        step("one call, streamed", || call::run(port, &key, &customer))?;
    } else {
        invite(port, &key, &proxy);
        stop::wait(&interrupt, &mut proxy, &mut host)?;
    }
    step("drain and stop", || {
        stop::in_order(&interrupt, proxy, host, &customer)
    })?;
    step("ledger verify", || {
        server::verify(&binary, &folder.join("host"))
    })
}

fn invite(port: u16, key: &str, proxy: &Proxy) {
    println!(
        "\nThe gateway listens on http://127.0.0.1:{port} until Ctrl-C, and then drains \
         Envoy for some seconds (Ctrl-C again: not to the end). This streams a call, shows \
         what it cost, and then the wallet:\n\n{}\n\n\
         The wallet began with {CREDITS} credits. Further routes and every setting: {}\n\
         Counters: http://127.0.0.1:{}/stats?filter=farebox",
        call::curl(port, key),
        proxy.config.display(),
        proxy.admin_port,
    );
}

fn start_host(root: &Path, binary: &Path, folder: &Path) -> Result<Server> {
    let filter = guests::path(root, "farebox_filter");
    let filter = filter.display().to_string();
    let server = Server::start(&Setup {
        binary,
        data_dir: &folder.join("host"),
        listen: server::address(HOST_PORT)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
        // Which filter the gateway runs: another one would be refused.
        more: &[("FAREBOX_POLICY_FILTER", &filter)],
        apart: true,
    })?;
    note(&format!("listens on http://{}", server.address));
    Ok(server)
}
