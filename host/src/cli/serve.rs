//! `farebox serve`: run the server until it is told to stop.

use super::failure::Failure;
use crate::app::server;
use crate::config::{Config, LogFormat, Options};
use clap::Args;
use std::io::{IsTerminal, Write};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Run the server until SIGTERM or Ctrl-C; open requests end first.
///
/// Every option may also stand in a file (`--config`) or in the environment; a flag wins over a
/// variable, a variable over the file. docs/configuration.md lists them.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    options: Options,
}

impl Serve {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let config = Config::load(self.options.clone()).map_err(|error| {
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                text.push_str(": ");
                text.push_str(&cause.to_string());
            }
            Failure::Usage(text)
        })?;
        log(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(serve(&config, out))
    }
}

async fn serve(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = server::start(config)
        .await
        .map_err(|error| Failure::unavailable("the server did not start", error))?;
    writeln!(out, "farebox listens on http://{}", running.address())?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}

fn log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&*config.log)
        .map_err(|error| Failure::Usage(format!("`log` is not a filter: {error}")))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let set = match config.log_format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    set.map_err(|error| Failure::unavailable("the log cannot be set up", error))
}
