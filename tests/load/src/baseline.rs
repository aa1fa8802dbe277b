//! The baseline for clicks: only a redirect by axum, in a separate process, with the same settings as the server (default
//! allocator, one worker per core, TCP_NODELAY).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// It has the same length as the server's.
const LOCATION: &str = "https://shop.example/landing?cid=06bq3x8k2m7v1d5r9t4w6y8z0a";

/// The child: prints its address, serves, and ends when its standard input is closed.
pub fn serve() -> ExitCode {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        std::io::stdout().flush().expect("the parent reads the output");
        let redirect = async || (StatusCode::FOUND, [(header::LOCATION, LOCATION)]);
        let router = Router::new().route("/c/{link}", get(redirect));
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let _ = axum::serve(listener, router).await;
    });
    ExitCode::SUCCESS
}

/// The parent's handle of the child. Dropping it ends the child.
pub struct Baseline {
    child: Child,
    pub address: SocketAddr,
}

impl Baseline {
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve-baseline")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the baseline can't be started")?;
        let mut line = String::new();
        let read = child.stdout.take().map(|it| BufReader::new(it).read_line(&mut line));
        let address = read.context("its output is piped")?.map_err(anyhow::Error::from);
        match address.and_then(|_| Ok(line.trim().parse()?)) {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context("the baseline did not print its address"))
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
