//! `postrider serve`: runs the server until SIGTERM or Ctrl-C.

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Server;
use crate::telemetry::Telemetry;
use engine::config::Settings;
use storage::clock::Clock;

pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&settings)?;
    let result = serve(settings).await;
    telemetry.stop().await;
    result
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let server = Server::start(settings, Clock::system()).await?;
    tokio::select! {
        signal = stop_signal() => signal?,
        // The database accepts no writes, so neither new requests nor the results of deliveries in flight can be stored.
        sentence = server.broken() => anyhow::bail!(sentence),
    }
    tracing::info!("Stopping: answering requests in progress and sending deliveries in flight");
    server.stop().await;
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}
