//! `postrider serve`: until SIGTERM or Ctrl-C.

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
        told = told_to_stop() => told?,
        // Nothing that comes from here on could be stored, and nothing that is in flight be concluded.
        sentence = server.broken() => anyhow::bail!(sentence),
    }
    tracing::info!("Stopping: answering what was asked and sending what is in flight");
    server.stop().await;
    Ok(())
}

/// SIGTERM or Ctrl-C.
pub async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}
