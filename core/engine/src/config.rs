//! Settings: `postrider.toml`, then `POSTRIDER_*` from the environment, which wins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use domain::delivery::places::Places;
use domain::delivery::secret_key::parse_key;
use storage::base::database::Shares;

/// What the environment may set. Others put their own POSTRIDER_* there: a cluster does for a service of
/// that name. The admin key and the secret keys are read apart, as text, whatever they look like.
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
    "ADAPTER_THREADS",
    "DESTINATION_PLACES",
    "OWNER_PLACES",
    "DRAIN_PER_SECOND",
    "DATABASE_CONNECTIONS",
    "REPORT_PLACES",
    "REPORT_PLACES_PER_CALLER",
    "REPORT_WAIT_MS",
    "REPORT_TIMEOUT_MS",
    "RETENTION_DAYS",
    "CATALOG_MAX_AGE_SECS",
    "COMPILER_PROGRAM",
    "ADAPTER_CACHE_DIR",
    "REGISTRATION",
    "SMTP_URL",
    "MAIL_FROM",
    "GEOIP_DATABASE",
    "OTLP_ENDPOINT",
    "MAX_CONNECTIONS",
    "HEADER_TIMEOUT_MS",
    "IDLE_TIMEOUT_MS",
    "BODY_TIMEOUT_MS",
    "WRITE_TIMEOUT_MS",
    "POSTBACKS_PER_AFFILIATE",
    "SOURCES_PER_AFFILIATE",
    "LINKS_PER_AFFILIATE",
    "API_KEYS_PER_PERSON",
    "TESTS_PER_MINUTE",
    "RETRIES_PER_MINUTE",
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
    /// Keys that sealed secrets before: what they sealed can still be opened, until `postrider secrets rotate` has sealed
    /// it again.
    pub previous_secret_keys: Vec<String>,
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
    /// Threads that adapters compute on, two or more; one of them takes no slow work. Without it as many as there are cores.
    pub adapter_threads: Option<usize>,
    /// Of these, to one destination at most; without it a quarter. A crash repeats no more than these to a destination.
    pub destination_places: Option<usize>,
    /// Of these, for the postbacks of one affiliate, or for those of the program, at most; without it three quarters.
    pub owner_places: Option<usize>,
    /// Waiting deliveries that leave per second and process for a destination that answers again, at most.
    pub drain_per_second: u32,
    /// Connections to PostgreSQL, or readers of SQLite.
    pub database_connections: u32,
    /// Reports and pages of exports that are made at once, each with a connection of its own; 0: as many as processors, two at
    /// least.
    pub report_places: usize,
    /// How many of these one affiliate or one person may have.
    pub report_places_per_caller: usize,
    /// How long a report waits for a place before it is refused with 429.
    pub report_wait_ms: u64,
    /// How long one report, or one statement of an export, may take.
    pub report_timeout_ms: u64,
    /// Days that clicks, events, deliveries, attempts and inbound requests are kept; 0 keeps them. Reports keep what they
    /// counted.
    pub retention_days: u32,
    /// How old what is kept in memory of offers, links, people and keys may be when no notification tells of a change.
    pub catalog_max_age_secs: u64,
    pub registration: Registration,
    /// `smtps://user:password@host:465` or `smtp://host:25`; without it messages are written to a folder in `data_dir`.
    pub smtp_url: Option<String>,
    /// `Name <name@example.com>`; without it no-reply at the host of `public_url`.
    pub mail_from: Option<String>,
    /// A MaxMind-format file (`.mmdb`) that knows the countries of addresses; read again when it changes.
    pub geoip_database: Option<PathBuf>,
    /// The collector that gets spans over OTLP (HTTP, protobuf): `http://host:4318`; without it none are exported.
    pub otlp_endpoint: Option<String>,
    /// Connections that are open at once; fewer when the limit of open files is lower. Beyond it, idle ones make room.
    pub max_connections: usize,
    /// For the headers of a request, from its first byte or from the beginning of the connection.
    pub header_timeout_ms: u64,
    /// From one request on a connection to the next. Longer than a proxy before this server keeps idle connections.
    pub idle_timeout_ms: u64,
    /// For the body of a request; a second more for each 4 KiB of it.
    pub body_timeout_ms: u64,
    /// How long the other side may take nothing of an answer.
    pub write_timeout_ms: u64,
    /// Postbacks that an affiliate may have set up at once.
    pub postbacks_per_affiliate: u32,
    /// Sources that an affiliate may have at once.
    pub sources_per_affiliate: u32,
    /// Links that an affiliate may have.
    pub links_per_affiliate: u32,
    /// API keys that a person or an affiliate may have at once.
    pub api_keys_per_person: u32,
    /// Requests to destinations that one caller may have tested in a minute.
    pub tests_per_minute: u32,
    /// Deliveries and reports that an affiliate may have tried again in a minute.
    pub retries_per_minute: u32,
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
            previous_secret_keys: Vec::new(),
            compiler_program: None,
            adapter_cache_dir: None,
            egress_allow: Vec::new(),
            trusted_proxies: Vec::new(),
            role: Role::All,
            lease_secs: 30,
            request_timeout_ms: 10_000,
            drain_timeout_ms: 15_000,
            send_concurrency: 256,
            adapter_threads: None,
            destination_places: None,
            owner_places: None,
            drain_per_second: 500,
            database_connections: 10,
            report_places: 0,
            report_places_per_caller: 2,
            report_wait_ms: 5_000,
            report_timeout_ms: 60_000,
            retention_days: 0,
            catalog_max_age_secs: 5,
            registration: Registration::Closed,
            smtp_url: None,
            mail_from: None,
            geoip_database: None,
            otlp_endpoint: None,
            max_connections: 8_192,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 120_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 30_000,
            postbacks_per_affiliate: 50,
            sources_per_affiliate: 20,
            links_per_affiliate: 10_000,
            api_keys_per_person: 50,
            tests_per_minute: 30,
            retries_per_minute: 120,
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
            previous_secret_keys: text("POSTRIDER_PREVIOUS_SECRET_KEYS")
                .map(|keys| keys.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect())
                .unwrap_or(settings.previous_secret_keys),
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
            ("max_connections", self.max_connections as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("tests_per_minute", u64::from(self.tests_per_minute)),
            ("retries_per_minute", u64::from(self.retries_per_minute)),
            ("report_places_per_caller", self.report_places_per_caller as u64),
            ("report_timeout_ms", self.report_timeout_ms),
        ];
        for (name, value) in positive {
            anyhow::ensure!(value > 0, "{name} is 0; set it to 1 or more");
        }
        anyhow::ensure!(
            self.catalog_max_age_secs <= 86_400,
            "catalog_max_age_secs is {}; a day (86400) is the most",
            self.catalog_max_age_secs
        );
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
        anyhow::ensure!(
            self.adapter_threads.is_none_or(|threads| (2..=256).contains(&threads)),
            "adapter_threads must be 2 to 256: slow adapters never take the last one"
        );
        if let Some(key) = &self.admin_api_key {
            anyhow::ensure!(key.len() >= 16, "admin_api_key is shorter than 16 characters; choose a longer one");
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            let url = url::Url::parse(endpoint);
            anyhow::ensure!(
                url.is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
                "otlp_endpoint is not the address of a collector; write one such as http://127.0.0.1:4318"
            );
        }
        for (name, key) in self
            .secret_key
            .iter()
            .map(|key| ("secret_key", key))
            .chain(self.previous_secret_keys.iter().map(|key| ("one of previous_secret_keys", key)))
        {
            anyhow::ensure!(
                parse_key(key).is_some(),
                "{name} is not 32 bytes in hexadecimal or base64; make one with `openssl rand -hex 32`"
            );
        }
        Ok(())
    }

    pub fn report_places(&self) -> usize {
        match self.report_places {
            0 => std::thread::available_parallelism().map_or(2, |it| it.get().max(2)),
            given => given,
        }
    }

    pub fn report_wait(&self) -> Duration {
        Duration::from_millis(self.report_wait_ms)
    }

    pub fn report_timeout(&self) -> Duration {
        Duration::from_millis(self.report_timeout_ms)
    }

    /// Who may use how much of the database.
    pub fn shares(&self) -> Shares {
        Shares {
            connections: self.database_connections,
            reports: u32::try_from(self.report_places()).unwrap_or(u32::MAX),
            report_timeout: self.report_timeout(),
        }
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

    pub fn adapter_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        self.adapter_threads.unwrap_or_else(cores).max(2)
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
