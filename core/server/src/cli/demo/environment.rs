//! The demo's server, with a temporary data folder, and its tracker. The folder is removed at the end; only compiled adapters
//! remain, if the process environment names a folder for them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::cli::api::Api;
use crate::server::Server;
use domain::people::api_key;
use egress::Egress;
use engine::config::Settings;
use storage::clock::Clock;

use super::in_debug;
use super::tracker::Tracker;
use crate::cli::console::Console;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";
const ANY_FREE_PORT: &str = "127.0.0.1:0";

/// Interval and limit of the wait for the end of all deliveries. It usually takes six seconds.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const IDLE_LIMIT: Duration = Duration::from_secs(15 * in_debug(6));

pub struct Environment {
    /// A client with the admin key.
    pub api: Api,
    pub url: String,
    pub admin_key: String,
    pub tracker: Tracker,
    server: Server,
    folder: Folder,
}

impl Environment {
    pub async fn start(console: &Console) -> anyhow::Result<Self> {
        let folder = Folder::create()?;
        let admin_key = api_key::secret(rand::random());
        // Egress refuses destinations on this machine unless they are allowed.
        let loopback: Vec<IpNet> = ["127.0.0.0/8", "::1/128"].map(|it| it.parse().expect("a network")).into();
        let settings = Settings {
            listen: free_address().await.to_owned(),
            data_dir: folder.path().to_owned(),
            admin_api_key: Some(admin_key.clone()),
            adapter_cache_dir: Settings::adapter_cache_dir_of_environment(),
            egress_allow: loopback.clone(),
            drain_timeout_ms: 3_000,
            ..Settings::default()
        };
        let server = Server::start(settings, Clock::system()).await?;
        let tracker = Tracker::start(console.clone()).await?;
        let url = server.url();
        console.step("server", &format!("{url}, its data in {}", folder.path().display()));
        console.step("tracker", &tracker.url(""));
        let api = Api::new(Egress::new(loopback)?, url.clone(), admin_key.clone());
        Ok(Self { api, url, admin_key, tracker, server, folder })
    }

    /// Waits until every event is routed and no delivery is pending, at most [`IDLE_LIMIT`]. The report shows deliveries that are
    /// still pending then.
    pub async fn wait_until_idle(&self, console: &Console) -> anyhow::Result<()> {
        let until = Instant::now() + IDLE_LIMIT;
        let mut announced = false;
        while Instant::now() < until {
            // Events come first: the list of pending deliveries is complete once all events are routed.
            let routed = self.server.app().is_idle().await?;
            let waiting = self.api.list("/api/v1/deliveries?status=pending").await?.len();
            if routed && waiting == 0 {
                return Ok(());
            }
            if !announced {
                console.step("waiting", &format!("for {waiting} deliveries that are delayed or will be retried"));
                announced = true;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        console.step("waiting", &format!("ended after the limit of {} seconds", IDLE_LIMIT.as_secs()));
        Ok(())
    }

    pub async fn stop(self) {
        self.server.stop().await;
        drop(self.folder);
    }
}

/// The default address, or any free port if it is in use.
async fn free_address() -> &'static str {
    match TcpListener::bind(DEFAULT_ADDRESS).await {
        Ok(_) => DEFAULT_ADDRESS,
        Err(_) => ANY_FREE_PORT,
    }
}

/// A private folder. It is removed when the value is dropped, also after an error.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        let name = format!("postrider-demo-{}", std::process::id());
        let default_path = std::env::temp_dir().join(&name);
        // An existing folder is from a killed demo or from another user, so it is not used.
        let random_path = std::env::temp_dir().join(format!("{name}-{:08x}", rand::random::<u32>()));
        let path = if default_path.exists() { random_path } else { default_path };
        DirBuilder::new().mode(0o700).create(&path).with_context(|| {
            format!("the folder {} can't be created; set TMPDIR to a writable folder", path.display())
        })?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
