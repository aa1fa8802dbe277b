//! Settings: `postrider.toml`, then `POSTRIDER_*` from the environment, which wins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::places::Places;
use crate::services::secrets::parse_key;

/// What the environment may set. Others put their own POSTRIDER_* there: a cluster does for a service of
/// that name. The admin key and the secret key are read apart, as text, whatever they look like.
const FROM_ENVIRONMENT: &[&str] = &[
    "LISTEN",
    "DATABASE_URL",
    "DATA_DIR",
    "PUBLIC_URL",
    "EGRESS_ALLOW",
    "TRUSTED_PROXIES",
    "ROLE",
    "LEASE_SECS",
    "REQUEST_TIMEOUT_MS",
    "DRAIN_TIMEOUT_MS",
    "SEND_CONCURRENCY",
    "DESTINATION_PLACES",
    "OWNER_PLACES",
    "DRAIN_PER_SECOND",
    "DATABASE_CONNECTIONS",
    "RETENTION_DAYS",
    "COMPILER_PROGRAM",
    "ADAPTER_CACHE_DIR",
    "REGISTRATION",
    "SMTP_URL",
    "MAIL_FROM",
    "GEOIP_DATABASE",
];

/// Which part of the work this process does. Many `web` and `worker` processes may share one PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    All,
    Web,
    Worker,
}

impl Role {
    pub fn serves_web(self) -> bool {
        self != Self::Worker
    }

    pub fn runs_workers(self) -> bool {
        self != Self::Web
    }
}

/// Who may become an affiliate without being invited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Whoever confirms an e-mail address.
    Open,
    /// The same, after somebody of the program approves.
    Approval,
    Closed,
}

/// Every setting, with its default in [`Settings::default`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: String,
    /// `sqlite:///path/to/file.db` or `postgres://user@host/name`; without it a SQLite file in `data_dir`.
    pub database_url: Option<String>,
    /// Database file, compiled adapters and the generated keys live here.
    pub data_dir: PathBuf,
    /// How the world reaches this server, for links; without it `http://{listen}`.
    pub public_url: Option<String>,
    /// The bootstrap admin key; without it one is made and kept in `data_dir`.
    pub admin_api_key: Option<String>,
    /// Seals the secrets of postbacks: 32 bytes, hexadecimal or base64. Without it one is made and kept in `data_dir`;
    /// processes that share a database must share it.
    pub secret_key: Option<String>,
    /// The Postrider that compiles installed adapters in a process of its own; without it this program itself.
    pub compiler_program: Option<PathBuf>,
    /// Where compiled adapters are kept, for this user alone; without it a folder in `data_dir`.
    pub adapter_cache_dir: Option<PathBuf>,
    /// Networks that postbacks may reach although the guard refuses them (`127.0.0.0/8,10.1.0.0/16`).
    #[serde(deserialize_with = "networks")]
    pub egress_allow: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub role: Role,
    /// How long a worker may keep what it claimed. What a crash leaves is taken up again after this; a message after three
    /// times this, of which the mail server has two.
    pub lease_secs: u64,
    /// One deadline over connect, headers and body of a postback.
    pub request_timeout_ms: u64,
    /// How long a stop waits for what is in flight.
    pub drain_timeout_ms: u64,
    /// Postbacks in flight at once.
    pub send_concurrency: usize,
    /// Of these, to one destination at most; without it a quarter. A crash repeats no more than these to a destination.
    pub destination_places: Option<usize>,
    /// Of these, for the postbacks of one affiliate, or for those of the program, at most; without it three quarters.
    pub owner_places: Option<usize>,
    /// Waiting deliveries that leave per second and process for a destination that answers again, at most.
    pub drain_per_second: u32,
    /// Connections to PostgreSQL, or readers of SQLite.
    pub database_connections: u32,
    /// Days that clicks, events, deliveries, attempts and inbound requests are kept; 0 keeps them. Reports keep what they
    /// counted.
    pub retention_days: u32,
    pub registration: Registration,
    /// `smtps://user:password@host:465` or `smtp://host:25`; without it messages are written to a folder in `data_dir`.
    pub smtp_url: Option<String>,
    /// `Name <name@example.com>`; without it no-reply at the host of `public_url`.
    pub mail_from: Option<String>,
    /// A MaxMind-format file (`.mmdb`) that knows the countries of addresses; read again when it changes.
    pub geoip_database: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            database_url: None,
            data_dir: "./postrider-data".into(),
            public_url: None,
            admin_api_key: None,
            secret_key: None,
            compiler_program: None,
            adapter_cache_dir: None,
            egress_allow: Vec::new(),
            trusted_proxies: Vec::new(),
            role: Role::All,
            lease_secs: 30,
            request_timeout_ms: 10_000,
            drain_timeout_ms: 15_000,
            send_concurrency: 256,
            destination_places: None,
            owner_places: None,
            drain_per_second: 500,
            database_connections: 10,
            retention_days: 0,
            registration: Registration::Closed,
            smtp_url: None,
            mail_from: None,
            geoip_database: None,
        }
    }
}

impl Settings {
    /// Reads `file` when it exists, then the environment: `POSTRIDER_LISTEN`, …; plain `DATABASE_URL` counts too.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        let settings: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(Env::raw().only(&["DATABASE_URL"]))
            .merge(Env::prefixed("POSTRIDER_").only(FROM_ENVIRONMENT))
            .extract()
            .with_context(|| format!("The settings in {} or POSTRIDER_* can't be used", file.display()))?;
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let settings = Self {
            admin_api_key: text("POSTRIDER_ADMIN_API_KEY").or(settings.admin_api_key),
            secret_key: text("POSTRIDER_SECRET_KEY").or(settings.secret_key),
            ..settings
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> anyhow::Result<()> {
        let positive = [
            ("lease_secs", self.lease_secs),
            ("request_timeout_ms", self.request_timeout_ms),
            ("send_concurrency", self.send_concurrency as u64),
            ("destination_places", self.destination_places.map_or(1, |it| it as u64)),
            ("owner_places", self.owner_places.map_or(1, |it| it as u64)),
            ("drain_per_second", u64::from(self.drain_per_second)),
            ("database_connections", u64::from(self.database_connections)),
        ];
        for (name, value) in positive {
            anyhow::ensure!(value > 0, "{name} is 0; set it to 1 or more");
        }
        anyhow::ensure!(
            self.lease() > self.request_timeout(),
            "lease_secs ({} s) must be longer than request_timeout_ms ({} ms), or a postback in flight is sent twice",
            self.lease_secs,
            self.request_timeout_ms
        );
        anyhow::ensure!(
            self.database_connections >= 8 || !self.database().starts_with("postgres"),
            "database_connections is {}; PostgreSQL needs 8 or more",
            self.database_connections
        );
        if let Some(key) = &self.admin_api_key {
            anyhow::ensure!(key.len() >= 16, "admin_api_key is shorter than 16 characters; choose a longer one");
        }
        if let Some(key) = &self.secret_key {
            anyhow::ensure!(
                parse_key(key).is_some(),
                "secret_key is not 32 bytes in hexadecimal or base64; make one with `openssl rand -hex 32`"
            );
        }
        Ok(())
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// How the places to send are shared.
    pub fn places(&self) -> Places {
        let in_all = self.send_concurrency;
        let share = |configured: Option<usize>, default: usize| configured.unwrap_or(default).clamp(1, in_all.max(1));
        Places {
            in_all,
            per_destination: share(self.destination_places, in_all / 4),
            per_owner: share(self.owner_places, in_all - in_all / 4),
        }
    }

    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    pub fn adapter_cache_dir(&self) -> PathBuf {
        self.adapter_cache_dir.clone().unwrap_or_else(|| self.data_dir.join("compiled-adapters"))
    }

    /// What the environment says of it: for a server that takes nothing else from there.
    pub fn adapter_cache_dir_of_environment() -> Option<PathBuf> {
        std::env::var_os("POSTRIDER_ADAPTER_CACHE_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Where the database is: the one configured or a file in the data folder.
    pub fn database(&self) -> String {
        self.database_url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data_dir.join("postrider.db").display()))
    }
}

/// A TOML list, or the environment's comma-separated text.
fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    let words = match Form::deserialize(from)? {
        Form::List(words) => words,
        Form::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    words
        .iter()
        .map(|word| word.trim())
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.parse::<IpNet>().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| {
                serde::de::Error::custom(format!("\"{word}\" is not a network; write one such as 10.1.0.0/16"))
            })
        })
        .collect()
}
