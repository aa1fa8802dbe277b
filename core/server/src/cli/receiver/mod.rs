//! `postrider receiver`: a destination for postbacks on this machine, for a first try and for tests of integrations.
//!
//! It prints each request that arrives, verifies its signature, stores it if it is told to, and answers as it is told.
//! It sends nothing.

pub mod answers;
mod print;
pub mod server;
mod signature;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::http::StatusCode;
use tokio::net::TcpListener;

use super::console::Console;
use super::serve::stop_signal;
use answers::{Answer, Answers, PathAnswers, parse_delay, parse_status};
use server::Receiver;
use signature::Secret;
use store::Store;

#[derive(clap::Args)]
pub struct ReceiverArgs {
    /// The address and port to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The status of every answer
    #[arg(long, default_value = "200", value_parser = parse_status)]
    status: u16,
    /// The body of every answer; the name of the status if absent
    #[arg(long)]
    body: Option<String>,
    /// How long to wait before each answer, such as 500ms or 2s
    #[arg(long, default_value = "0s", value_parser = parse_delay)]
    delay: Duration,
    /// Another answer for one path: /fail=500, /slow=200@15s, or /flaky=200,503,200 for the first, the second, and all
    /// other requests; repeatable
    #[arg(long = "answer", value_name = "PATH=STATUS")]
    answers: Vec<PathAnswers>,
    /// Verify signatures of Standard Webhooks with this secret, such as whsec_…; repeatable
    #[arg(long = "secret", value_name = "SECRET", value_parser = Secret::parse)]
    secrets: Vec<Secret>,
    /// Append each request to this file, as one line of JSON
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

pub async fn run(args: ReceiverArgs) -> anyhow::Result<ExitCode> {
    let console = Console::new();
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("{} is not available; choose another address with --listen", args.listen))?;
    let receiver = start(args, listener, console.clone())?;
    let url = format!("http://{}", receiver.address());
    console.line(&format!("The receiver listens on {url} and answers every path. Ctrl-C stops it."));
    if receiver.address().ip().to_canonical().is_loopback() {
        console.line(
            "A server sends postbacks to this machine only if it runs with POSTRIDER_EGRESS_ALLOW=127.0.0.0/8,::1/128.",
        );
    }
    console.line("");
    stop_signal().await?;
    Ok(ExitCode::SUCCESS)
}

fn start(args: ReceiverArgs, listener: TcpListener, console: Console) -> anyhow::Result<Receiver> {
    let name = || StatusCode::from_u16(args.status).ok().and_then(|it| it.canonical_reason());
    let body = args.body.unwrap_or_else(|| name().unwrap_or_default().to_owned());
    let answers = Answers::new(Answer { status: args.status, body, delay: args.delay }, args.answers);
    let store = args.store.as_deref().map(Store::open).transpose()?;
    let secrets = args.secrets;
    Receiver::start(listener, answers, move |request| {
        let verdicts = secrets.iter().map(|it| signature::verify(it, &request.headers, &request.body, request.at));
        // Several secrets are for a rotation: one that verifies is sufficient.
        let verdict = verdicts.reduce(|a, b| if a == signature::Verdict::Valid { a } else { b });
        if let Some(Err(error)) = store.as_ref().map(|store| store.append(request, verdict)) {
            console.line(&format!("  The request cannot be stored: {error}"));
        }
        print::print(&console, request, verdict);
    })
}
