//! Where the demo takes place: a server on a throw-away folder, and a tracker. Leaves nothing behind, but compiled
//! adapters where the environment has a place for them.

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
use super::narrator::Narrator;
use super::tracker::Tracker;

const USUAL_ADDRESS: &str = "127.0.0.1:8080";
const ANY_FREE_PORT: &str = "127.0.0.1:0";

/// How often, and how long, the demo looks whether all has been delivered. Six seconds are usual.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SETTLE_LIMIT: Duration = Duration::from_secs(15 * in_debug(6));

pub struct Stage {
    /// The admin's view.
    pub api: Api,
    pub url: String,
    pub admin_key: String,
    pub tracker: Tracker,
    server: Server,
    folder: Folder,
}

impl Stage {
    pub async fn set(narrator: &Narrator) -> anyhow::Result<Self> {
        let folder = Folder::create()?;
        let admin_key = api_key::secret(rand::random());
        // A tracker on this very machine is just what the guard is there to refuse.
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
        let tracker = Tracker::start(narrator.clone()).await?;
        let url = server.url();
        narrator.step("server", &format!("{url}, its data in {}", folder.path().display()));
        narrator.step("tracker", &tracker.url(""));
        let api = Api::new(Egress::new(loopback)?, url.clone(), admin_key.clone());
        Ok(Self { api, url, admin_key, tracker, server, folder })
    }

    /// Waits until nothing can arrive any more: every event is routed and every delivery has ended.
    /// Not for ever; the report says what is still missing then.
    pub async fn settle(&self, narrator: &Narrator) -> anyhow::Result<()> {
        let until = Instant::now() + SETTLE_LIMIT;
        let mut announced = false;
        while Instant::now() < until {
            // First the events: once they are routed, the list of what is pending is complete.
            let routed = self.server.app().is_idle().await?;
            let waiting = self.api.list("/api/v1/deliveries?state=pending").await?.len();
            if routed && waiting == 0 {
                return Ok(());
            }
            if !announced {
                narrator.step("waiting", &format!("for {waiting} deliveries that are delayed or will be retried"));
                announced = true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        narrator.step("waiting", &format!("is over after {} seconds", SETTLE_LIMIT.as_secs()));
        Ok(())
    }

    pub async fn clear(self) {
        self.server.stop().await;
        drop(self.folder);
    }
}

/// The documented address, or another one where that is taken.
async fn free_address() -> &'static str {
    match TcpListener::bind(USUAL_ADDRESS).await {
        Ok(_) => USUAL_ADDRESS,
        Err(_) => ANY_FREE_PORT,
    }
}

/// A private folder that goes with its value, also after an error.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        let name = format!("postrider-demo-{}", std::process::id());
        let usual = std::env::temp_dir().join(&name);
        // Left over from a demo that was killed, or laid out by somebody else: not to be shared.
        let other = std::env::temp_dir().join(format!("{name}-{:08x}", rand::random::<u32>()));
        let path = if usual.exists() { other } else { usual };
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("the folder {} can't be made; set TMPDIR to one that can", path.display()))?;
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
