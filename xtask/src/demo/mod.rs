//! `cargo xtask demo`: the whole path on an empty directory, with the real server and real calls.
//!
//! It is a client like any other: everything it shows comes back from the HTTP API or from the
//! `farebox` command. Whatever it does not expect ends it with an error, so a run that reaches its
//! end is a test too.

mod recorded;
mod replay;
mod scenes;
mod show;

use crate::api::Admin;
use crate::guests;
use crate::server::{self, Build, Server, Setup};
use crate::step::{self, note, step};
use crate::toolchain::Wanted;
use anyhow::Result;
use std::path::Path;

/// Good enough for a server that only this machine can reach, and shown at the end.
pub const ADMIN_KEY: &str = "farebox-demo-admin-key";
const PORT: u16 = 8787;

/// Runs the demo. Afterwards the server goes on until Ctrl-C, unless `no_serve` is set or nobody
/// is there to press it.
///
/// # Errors
/// Anything that is not as it should be.
pub fn run(root: &Path, wanted: Wanted, no_serve: bool) -> Result<()> {
    guests::build(root, wanted)?;
    let binary = step("host", || server::build(root, Build::Dev))?;
    let folder = server::empty_folder(root, "demo")?;
    let data_dir = folder.join("hosted");
    let server = step("server on an empty directory", || {
        let server = Server::start(&Setup {
            binary: &binary,
            data_dir: &data_dir,
            listen: server::address(PORT)?,
            admin_key: ADMIN_KEY,
            deployment: "hosted",
            more: &[],
            apart: false,
        })?;
        note(&format!("listens on http://{}", server.address));
        Ok(server)
    })?;
    let admin = Admin::new(server.client().with_key(ADMIN_KEY));
    let replayed = step("real calls: quote, hold, usage", || {
        replay::run(root, &server, &admin)
    })?;
    scenes::run(&server, &admin, &replayed)?;
    step("a customer's own key, self-hosted", || {
        scenes::own_key(&binary, &folder.join("self-hosted"))
    })?;
    step("ledger verify", || server::verify(&binary, &data_dir))?;
    if no_serve || !step::somebody_is_there() {
        note(&format!(
            "the server listened on http://{}; it stops now",
            server.address
        ));
        return server.stop();
    }
    invite(&server, &replayed);
    server.wait()
}

fn invite(server: &Server, replayed: &replay::Replayed) {
    let url = format!("http://{}", server.address);
    let key = &replayed.key;
    println!(
        "\nFarebox listens on {url} until Ctrl-C. Try:\n\
         \x20 curl -s -H 'Authorization: Bearer {key}' {url}/v1/wallet\n\
         \x20 curl -s -H 'Authorization: Bearer {key}' '{url}/v1/usage?group_by=model'\n\
         \x20 curl -s -H 'Authorization: Bearer {key}' {url}/v1/charges/{}/receipt\n\
         \x20 curl -s -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n\
         \x20      -d '{{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"body_bytes\":2000,\
         \"max_output_tokens\":500}}' {url}/v1/quotes\n\
         \x20 curl -s {url}/openapi.json\n\
         The admin key is {ADMIN_KEY}.",
        replayed.a_charge
    );
}
