//! The program under test as a child process, and its affiliate program (affiliate, offer, link, postback).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::http::Connection;
use crate::{Kind, machine};
use postrider_tests::database::Database;
use postrider_tests::postgres::free_port;
use postrider_tests::temp::TempDir;

pub const ADMIN_KEY: &str = "prk_bootstrap_key_of_the_benchmark";

const START: Duration = Duration::from_secs(60);
/// A server that uses less than a twentieth of a processor for this time is calm.
const CALM: Duration = Duration::from_millis(500);

/// A server on its own database. Dropping it kills the process and removes its data.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub database: Database,
    /// The log, and the data if no other folder has it.
    folder: TempDir,
}

impl Server {
    /// Starts it on a new database.
    pub async fn start(kind: Kind, program: &Path) -> anyhow::Result<Self> {
        Self::serve(program, kind.create().await, None).await
    }

    /// Starts it on this database. `data_dir` has its keys; a new folder if absent.
    pub async fn serve(program: &Path, database: Database, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = TempDir::new("load");
        let data_dir = data_dir.unwrap_or_else(|| folder.path().to_owned());
        let log = std::fs::File::create(folder.path().join("log"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(program);
        // The shell must not add settings.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POSTRIDER_")) {
            command.env_remove(name);
        }
        let child = command
            .arg("serve")
            .current_dir(folder.path())
            .env("DATABASE_URL", database.url())
            .env("POSTRIDER_LISTEN", address.to_string())
            .env("POSTRIDER_DATA_DIR", data_dir)
            .env("POSTRIDER_ADMIN_API_KEY", ADMIN_KEY)
            .env("POSTRIDER_EGRESS_ALLOW", "127.0.0.1/32")
            // The server trusts the generator like a reverse proxy, so that visitors have different addresses.
            .env("POSTRIDER_TRUSTED_PROXIES", "127.0.0.1/32")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let mut server = Self { child, address, database, folder };
        server.wait_until_ready().await?;
        server.wait_until_calm().await;
        Ok(server)
    }

    /// Waits until the server has nothing left to do of its start: it compiles its adapters when it is already ready.
    async fn wait_until_calm(&self) {
        let started = Instant::now();
        let mut before = machine::processor_time(self.pid());
        while started.elapsed() < START {
            tokio::time::sleep(CALM).await;
            let now = machine::processor_time(self.pid());
            if now - before < CALM / 20 {
                return;
            }
            before = now;
        }
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                bail!("postrider ended during its start ({status}); its log:\n{}", self.log());
            }
            if let Ok(200) = self.status_of("/readyz").await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("postrider is not ready after {START:?}; its log:\n{}", self.log())
    }

    async fn status_of(&self, path: &str) -> std::io::Result<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        Ok(Connection::open(self.address).await?.call(request.as_bytes()).await?.status)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of the server's log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Creates an object as the admin.
    pub async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = body.to_string();
        let request = post(self.address, path, &body);
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.call(&request).await?;
        ensure!(answer.status == 201, "{path} answered {}", answer.text());
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// Creates an affiliate, an offer and a link. Returns the path of the link.
    pub async fn create_link(&self) -> anyhow::Result<String> {
        let affiliate = json!({"name": "Ada Lovelace", "email": "ada@example.com"});
        let affiliate = self.create("/api/v1/affiliates", &affiliate).await?;
        let offer = json!({
            "name": "Starter", "landing_url": "https://shop.example/landing?cid={click_id}",
            "currency": "USD", "payout": {"fixed": "12.50"},
        });
        let offer = self.create("/api/v1/offers", &offer).await?;
        let link = json!({"affiliate_id": affiliate["id"], "offer_id": offer["id"]});
        let link = self.create("/api/v1/links", &link).await?;
        let url = link["url"].as_str().context("a link has a url")?;
        Ok(url[url.find("/c/").context("a link's path is /c/…")?..].to_owned())
    }

    /// Creates a macro-url postback for every approved conversion.
    pub async fn create_postback(&self, receiver: SocketAddr) -> anyhow::Result<()> {
        let postback = json!({
            "name": "Tracker", "adapter": "macro-url", "config": postback_config(&format!("http://{receiver}/pb")),
            "action": "conversion", "scope": {"affiliate_id": null, "offer_id": null}, "firing_status": "approved",
            "rejection_reasons": [], "delay": null, "enabled": true,
        });
        self.create("/api/v1/postbacks", &postback).await.map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The usual values for a tracker: seven macros and a fixed value.
pub fn postback_config(base_url: &str) -> Value {
    let parameter = |name: &str, token: &str| json!({"name": name, "macro": token});
    json!({
        "base_url": base_url,
        "method": "GET",
        "parameters": [
            parameter("tid", "transaction_id"),
            parameter("clickid", "external_click_id"),
            parameter("sub", "sub1"),
            parameter("goal", "goal"),
            parameter("status", "status"),
            parameter("payout", "payout"),
            parameter("currency", "currency"),
        ],
        "custom": [{"name": "source", "value": "postrider"}],
    })
}

/// The bytes of a POST request as the admin.
pub fn post(host: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
