//! Settings: read from `postrider.toml` and from `POSTRIDER_*` in the environment, which takes precedence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use domain::delivery::lane::places::Places;
use domain::delivery::secret_key::parse_key;
use storage::base::database::PoolLimits;

/// The settings that the environment may contain. Other `POSTRIDER_*` variables are ignored, because other programs
/// set some: Kubernetes does for a service of that name. The admin key and the secret keys are not listed here: they
/// are read separately, always as text.
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

/// The work of this process. Many `web` and `worker` processes may share one PostgreSQL database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves HTTP and runs the workers.
    All,
    /// Serves HTTP only.
    Web,
    /// Runs the workers only.
    Worker,
}

impl Role {
    /// Whether this process serves HTTP requests.
    pub fn serves_web(self) -> bool {
        self != Self::Worker
    }

    /// Whether this process runs the workers.
    pub(crate) fn runs_workers(self) -> bool {
        self != Self::Web
    }
}

/// Whether people may register as affiliates without an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Everybody who confirms an e-mail address.
    Open,
    /// Like `Open`, but staff must approve each registration.
    Approval,
    /// Nobody; affiliates are invited.
    Closed,
}

/// All settings. [`Settings::default`] has the defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on. Port 0 takes a free port.
    pub listen: String,
    /// `sqlite:///path/to/file.db` or `postgres://user@host/name`. Default: a SQLite file in `data_dir`.
    pub database_url: Option<String>,
    /// Folder of the database file, the compiled adapters and the generated keys.
    pub data_dir: PathBuf,
    /// The URL at which clients reach this server, used in links. Default: `http://{listen}`.
    pub public_url: Option<String>,
    /// The bootstrap admin key, 16 characters or more. Default: one is created and kept in `data_dir`.
    pub admin_api_key: Option<String>,
    /// The secret key, which seals secrets in the database: 32 bytes, hexadecimal or base64. Default: one is created
    /// and kept in `data_dir`. Processes that share a database need the same key.
    pub secret_key: Option<String>,
    /// Former secret keys. Secrets that they sealed can be opened; `postrider secrets rotate` seals them again with
    /// the current key.
    pub previous_secret_keys: Vec<String>,
    /// The Postrider program that is started as a separate process to compile installed adapters. Default: this
    /// program.
    pub compiler_program: Option<PathBuf>,
    /// Folder of compiled adapters, readable for this user only. Default: a folder in `data_dir`.
    pub adapter_cache_dir: Option<PathBuf>,
    /// Private networks that postbacks may be sent to, for example `127.0.0.0/8,10.1.0.0/16`. Other private networks
    /// are refused.
    #[serde(deserialize_with = "networks")]
    pub egress_allow: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` header is trusted.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub role: Role,
    /// Seconds of a lease. After a crash, leased rows are claimed again after this time. The lease of a mail lasts
    /// three times as long, and sending a mail may take two thirds of that.
    pub lease_secs: u64,
    /// Milliseconds for one request of a postback: connecting, headers and body together. Shorter than a lease.
    pub request_timeout_ms: u64,
    /// Milliseconds that a stop waits for requests in flight.
    pub drain_timeout_ms: u64,
    /// Maximum number of postback requests in flight, of this process.
    pub send_concurrency: usize,
    /// Threads for adapters, 2 to 256. Slow adapters never use the last one. Default: the number of processors.
    pub adapter_threads: Option<usize>,
    /// Maximum number of requests in flight to one destination, and the maximum number that a crash can repeat there.
    /// Default: a quarter of `send_concurrency`.
    pub destination_places: Option<usize>,
    /// Maximum number of requests in flight for the postbacks of one owner, an affiliate or the program. Default:
    /// three quarters of `send_concurrency`.
    pub owner_places: Option<usize>,
    /// Maximum number of waiting deliveries that one process sends per second to a destination that answers again.
    pub drain_per_second: u32,
    /// Connections to PostgreSQL, 8 or more, or read connections to SQLite.
    pub database_connections: u32,
    /// Reports, pages of exports and back-tests that are computed at once. Each uses its own database connection. 0:
    /// the number of processors, at least 2.
    pub report_places: usize,
    /// How many of `report_places` one affiliate or one person may use.
    pub report_places_per_caller: usize,
    /// Milliseconds that a report waits for a place before it is refused with status 429.
    pub report_wait_ms: u64,
    /// Milliseconds that one report, or one database statement of an export, may take.
    pub report_timeout_ms: u64,
    /// Days for which clicks, events, deliveries, attempts and inbound requests are kept. 0: for ever. Reports keep
    /// their figures.
    pub retention_days: u32,
    /// Maximum age in seconds of cached offers, links, people and keys if no notification announces a change. At most
    /// 86400.
    pub catalog_max_age_secs: u64,
    /// Whether people may register as affiliates.
    pub registration: Registration,
    /// `smtps://user:password@host:465` or `smtp://host:25`. Default: mails are written to a folder in `data_dir`.
    pub smtp_url: Option<String>,
    /// Sender of mails: `Name <name@example.com>`. Default: `no-reply` at the host of `public_url`.
    pub mail_from: Option<String>,
    /// A file in MaxMind format (`.mmdb`) with the countries of IP addresses. It is loaded again when it changes.
    pub geoip_database: Option<PathBuf>,
    /// The collector to which spans are exported over OTLP (HTTP, protobuf): `http://host:4318`. Default: none.
    pub otlp_endpoint: Option<String>,
    /// Maximum number of open connections; fewer if the limit of open files is lower. Idle connections are closed for
    /// new ones.
    pub max_connections: usize,
    /// Milliseconds for the headers of a request, from its first byte or from the start of the connection.
    pub header_timeout_ms: u64,
    /// Milliseconds between two requests on a connection. Must be longer than a proxy in front of this server keeps
    /// idle connections.
    pub idle_timeout_ms: u64,
    /// Milliseconds for the body of a request, plus one second for each 4 KiB.
    pub body_timeout_ms: u64,
    /// Milliseconds for which a client may read nothing of a response.
    pub write_timeout_ms: u64,
    /// Maximum number of postbacks of an affiliate.
    pub postbacks_per_affiliate: u32,
    /// Maximum number of sources of an affiliate.
    pub sources_per_affiliate: u32,
    /// Maximum number of links of an affiliate.
    pub links_per_affiliate: u32,
    /// Maximum number of API keys of a person or an affiliate that are neither revoked nor expired.
    pub api_keys_per_person: u32,
    /// Maximum number of test requests of one affiliate per minute. Staff may send ten times as many.
    pub tests_per_minute: u32,
    /// Maximum number of deliveries and inbound requests that an affiliate may retry per minute. Staff have no limit.
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
    /// Reads `file` if it exists, then the environment: `POSTRIDER_LISTEN`, …, and also `DATABASE_URL` without a
    /// prefix.
    ///
    /// # Errors
    ///
    /// A setting is unknown, has the wrong type or is out of its bounds.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        let settings: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(Env::raw().only(&["DATABASE_URL"]))
            .merge(Env::prefixed("POSTRIDER_").only(FROM_ENVIRONMENT))
            .extract()
            .with_context(|| format!("The settings in {} or in POSTRIDER_* variables are invalid", file.display()))?;
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
            "catalog_max_age_secs is {}; set it to 86400 (a day) or less",
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
            "adapter_threads must be 2 to 256: slow adapters never use the last thread"
        );
        if let Some(key) = &self.admin_api_key {
            anyhow::ensure!(key.len() >= 16, "admin_api_key is shorter than 16 characters; choose a longer one");
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            let url = url::Url::parse(endpoint);
            anyhow::ensure!(
                url.is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
                "otlp_endpoint is not the URL of a collector; use one such as http://127.0.0.1:4318"
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

    /// The number of reports and pages of exports that are computed at once.
    pub fn report_places(&self) -> usize {
        match self.report_places {
            0 => std::thread::available_parallelism().map_or(2, |it| it.get().max(2)),
            given => given,
        }
    }

    /// The time that a report waits for a place.
    pub(crate) fn report_wait(&self) -> Duration {
        Duration::from_millis(self.report_wait_ms)
    }

    /// The time that a report, or a database statement of an export, may take.
    pub fn report_timeout(&self) -> Duration {
        Duration::from_millis(self.report_timeout_ms)
    }

    /// The limits of the database connections.
    pub fn pool_limits(&self) -> PoolLimits {
        PoolLimits {
            connections: self.database_connections,
            reports: u32::try_from(self.report_places()).unwrap_or(u32::MAX),
            report_timeout: self.report_timeout(),
        }
    }

    /// The length of a lease.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }

    /// The deadline of a postback request.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The numbers of places for requests: in all, per destination and per owner.
    pub fn places(&self) -> Places {
        let in_all = self.send_concurrency;
        let share = |configured: Option<usize>, default: usize| configured.unwrap_or(default).clamp(1, in_all.max(1));
        Places {
            in_all,
            per_destination: share(self.destination_places, in_all / 4),
            per_owner: share(self.owner_places, in_all - in_all / 4),
        }
    }

    /// The time that a stop waits for requests in flight.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// The number of threads for adapters, at least 2.
    pub(crate) fn adapter_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        self.adapter_threads.unwrap_or_else(cores).max(2)
    }

    /// The folder of compiled adapters.
    pub fn adapter_cache_dir(&self) -> PathBuf {
        self.adapter_cache_dir.clone().unwrap_or_else(|| self.data_dir.join("compiled-adapters"))
    }

    /// The folder of compiled adapters in the environment, for a server that reads no other setting from it.
    pub fn adapter_cache_dir_of_environment() -> Option<PathBuf> {
        std::env::var_os("POSTRIDER_ADAPTER_CACHE_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The URL of the database: the configured one, or that of a SQLite file in the data folder.
    pub fn database(&self) -> String {
        self.database_url
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data_dir.join("postrider.db").display()))
    }
}

/// Reads networks from a list in TOML, or from a comma-separated text in the environment.
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
                serde::de::Error::custom(format!("\"{word}\" is not a network; use one such as 10.1.0.0/16"))
            })
        })
        .collect()
}
