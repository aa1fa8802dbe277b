//! The demo's server, its data folder and its tracker. Without `--data-dir` the folder is temporary and is removed at the end;
//! only compiled adapters remain, if the process environment names a folder for them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::cli::api::Api;
use crate::server::Server;
use domain::ids::UserId;
use domain::people::api_key;
use egress::Egress;
use engine::config::{Role, Settings};
use engine::people::auth::sign_in;
use storage::clock::Clock;
use storage::private_files;

use super::history::{self, Cast, People, Stage, Times};
use super::in_debug;
use super::tracker::Tracker;
use crate::cli::console::Console;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";
const ANY_FREE_PORT: &str = "127.0.0.1:0";

/// Interval and limit of the wait for the end of all deliveries. It usually takes six seconds.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const IDLE_LIMIT: Duration = Duration::from_secs(15 * in_debug(20));

pub struct Environment {
    /// A client with the admin key.
    pub api: Api,
    pub url: String,
    pub admin_key: String,
    pub tracker: Tracker,
    /// The program, if this start created it.
    pub cast: Option<Cast>,
    people: People,
    server: Server,
    folder: Folder,
}

/// What a later start on the same folder needs. It is written when the past is complete.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    people: People,
    tracker_port: u16,
}

/// The file of [`Kept`] in the data folder.
const KEPT: &str = "demo.json";

impl Environment {
    /// Starts the server. In a new folder, it creates the program and its past first.
    pub async fn start(console: &Console, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = data_dir.map_or_else(Folder::temporary, Folder::kept)?;
        let kept = folder.read_kept()?;
        let tracker = Tracker::start(console.clone(), kept.as_ref().map_or(0, |it| it.tracker_port)).await?;
        console.step("tracker", &tracker.url(""));
        let admin_key = api_key::secret(rand::random());
        let settings = settings(&folder, &admin_key);
        let (server, cast, people) = match kept {
            Some(kept) => (serve(settings, Clock::system()).await?, None, kept.people),
            None => {
                let (server, cast) = live(console, &settings, &tracker).await?;
                let people = cast.people.clone();
                folder.keep(&Kept { people: people.clone(), tracker_port: tracker.port() })?;
                (server, Some(cast), people)
            }
        };
        let url = server.url();
        console.step("server", &format!("{url}, its data in {}", folder.path().display()));
        let api = client(&server, &admin_key)?;
        Ok(Self { api, url, admin_key, tracker, cast, people, server, folder })
    }

    /// One-time links that sign in as Ada and as the owner.
    pub async fn doors(&self) -> anyhow::Result<Doors> {
        let link = async |id: &str| {
            let id: UserId = id.parse()?;
            anyhow::Ok(sign_in::create_link(self.server.app(), id).await?)
        };
        Ok(Doors {
            affiliate: link(&self.people.affiliate).await?,
            admin: link(&self.people.admin).await?,
            password: self.people.password.clone(),
        })
    }

    /// Waits until every event is routed and no delivery of these postbacks is pending, at most [`IDLE_LIMIT`]. The report shows
    /// deliveries that are still pending then.
    pub async fn wait_until_idle(&self, console: &Console, postbacks: &[&String]) -> anyhow::Result<()> {
        let until = Instant::now() + IDLE_LIMIT;
        let mut announced = false;
        while Instant::now() < until {
            // Events come first: the list of pending deliveries is complete once all events are routed.
            let routed = self.server.app().is_idle().await?;
            let mut waiting = 0;
            for postback in postbacks {
                let path = format!("/api/v1/deliveries?status=pending&postback_id={postback}");
                waiting += self.api.list(&path).await?.len();
            }
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

/// The links that sign in, and the password of both people.
pub struct Doors {
    pub affiliate: String,
    pub admin: String,
    pub password: String,
}

fn settings(folder: &Folder, admin_key: &str) -> Settings {
    Settings {
        listen: ANY_FREE_PORT.to_owned(),
        data_dir: folder.path().to_owned(),
        admin_api_key: Some(admin_key.to_owned()),
        adapter_cache_dir: Settings::adapter_cache_dir_of_environment(),
        egress_allow: loopback(),
        drain_timeout_ms: 3_000,
        ..Settings::default()
    }
}

/// Starts the server at the default address, or at any free port if it is in use.
async fn serve(settings: Settings, clock: Clock) -> anyhow::Result<Server> {
    let at_default = Settings { listen: DEFAULT_ADDRESS.to_owned(), ..settings.clone() };
    if is_default_free().await {
        match Server::start(at_default, clock.clone()).await {
            Ok(server) => return Ok(server),
            // Another program took the address meanwhile.
            Err(_) if !is_default_free().await => {}
            Err(error) => return Err(error),
        }
    }
    Server::start(settings, clock).await
}

/// Egress refuses destinations on this machine unless they are allowed.
fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].map(|it| it.parse().expect("a network")).into()
}

fn client(server: &Server, admin_key: &str) -> anyhow::Result<Api> {
    Ok(Api::new(Egress::new(loopback())?, server.url(), admin_key.to_owned()))
}

/// Lives through the past. Returns the second of its servers, whose clock then runs.
async fn live(console: &Console, settings: &Settings, tracker: &Tracker) -> anyhow::Result<(Server, Cast)> {
    let times = Times::until_now();
    let clock = Clock::manual(times.start.millis());
    let key = settings.admin_api_key.clone().unwrap_or_default();
    let stage = |server: &Server| {
        let (app, clock) = (server.app().clone(), clock.clone());
        anyhow::Ok(Stage { api: client(server, &key)?, app, clock, tracker, times })
    };
    console.step("past", "ninety days of visits, sales and withdrawals");
    let without_workers = Settings { role: Role::Web, ..settings.clone() };
    let server = Server::start(without_workers, clock.clone()).await?;
    let past = history::begin(&stage(&server)?).await?;
    server.stop().await;
    let server = serve(settings.clone(), clock.clone()).await?;
    let cast = history::finish(&stage(&server)?, past).await?;
    console.step("past", &format!("{} affiliates, {} offers", cast.members.len(), cast.offers.len()));
    Ok((server, cast))
}

async fn is_default_free() -> bool {
    TcpListener::bind(DEFAULT_ADDRESS).await.is_ok()
}

/// A private folder. A temporary one is removed when the value is dropped, also after an error.
struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    fn temporary() -> anyhow::Result<Self> {
        let name = format!("postrider-demo-{}", std::process::id());
        let default_path = std::env::temp_dir().join(&name);
        // An existing folder is from a killed demo or from another user, so it is not used.
        let random_path = std::env::temp_dir().join(format!("{name}-{:08x}", rand::random::<u32>()));
        let path = if default_path.exists() { random_path } else { default_path };
        DirBuilder::new().mode(0o700).create(&path).with_context(|| {
            format!("the folder {} can't be created; set TMPDIR to a writable folder", path.display())
        })?;
        Ok(Self { path, is_temporary: true })
    }

    fn kept(path: PathBuf) -> anyhow::Result<Self> {
        private_files::create_dir(&path)?;
        Ok(Self { path, is_temporary: false })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier start wrote; `None` for a new folder.
    ///
    /// # Errors
    /// The folder has a database of something else, or of a demo that was stopped before it was complete.
    fn read_kept(&self) -> anyhow::Result<Option<Kept>> {
        let file = self.path.join(KEPT);
        if !file.exists() {
            let database = self.path.join("postrider.db");
            ensure!(
                !database.exists(),
                "{} is not the database of a complete demo; choose an empty folder with --data-dir",
                database.display()
            );
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let kept = serde_json::from_str(&text);
        Ok(Some(kept.with_context(|| format!("{} is damaged; choose an empty folder", file.display()))?))
    }

    fn keep(&self, kept: &Kept) -> anyhow::Result<()> {
        let file = self.path.join(KEPT);
        private_files::write(&file, &serde_json::to_string(kept)?)
            .with_context(|| format!("{} can't be written", file.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
