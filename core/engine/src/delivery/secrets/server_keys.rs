//! The secret keys of this server: where it reads them from, and whether they are the keys of its database.
//!
//! A server does not start without the keys of its database: sealed values could not be opened, and new values would
//! need another key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sea_orm::{ConnectionTrait, DbErr};

use super::sealed;
use crate::config::Settings;
use domain::delivery::secret_key::parse_key;
use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::servers::{self, Server};
use storage::delivery::sealed_columns::{self, SealedColumn};
use storage::delivery::secret_keys::{self, KnownKey};
use storage::private_files;

use super::{KeyId, Vault};

/// The text that is sealed as the canary of a key.
const WORD: &str = "canary";
/// Number of sealed values of each column that are tried if a database has no canary yet.
const TRIED: u64 = 200;

/// The id that stands for the given up keys of a database from a release in which keys had no ids.
pub const UNNAMED: &str = "unnamed";

/// Time between two heartbeats of a server.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(30);
/// A server without a heartbeat for this time counts as stopped, and no key is kept for it.
pub const PRESENT_FOR: Duration = Duration::from_secs(120);
/// The row of a server is deleted this long after its last heartbeat.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Opens the vault at the start of a server, and records the server. A new database gets a key. A database from a
/// release without canaries gets its canary.
///
/// # Errors
///
/// The keys of the database are not configured.
pub async fn open(db: &Database, settings: &Settings, server_id: i64, now: Timestamp) -> anyhow::Result<Vault> {
    let tx = db.begin().await?;
    secret_keys::lock(&tx).await?;
    let known = secret_keys::list(&tx).await?;
    let vault = match configured(settings)? {
        Some(vault) => vault,
        // All keys were given up, so no key opens the remaining values.
        None if !known.is_empty() && known.iter().all(KnownKey::is_given_up) => make(settings)?,
        None if known.is_empty() && !has_secrets(&tx).await? => make(settings)?,
        None => anyhow::bail!(missing(settings, needed(&known))),
    };
    if known.is_empty() {
        opens_what_is_stored(&tx, &vault, settings).await?;
    }
    check(&vault, &known, settings)?;
    // If the database has no key yet, each configured key may have sealed values. Otherwise a previous key that is not
    // in the database was removed by a rotation.
    let new = if known.iter().all(|it| it.id == UNNAMED) { usize::MAX } else { 1 };
    for id in vault.key_ids().take(new) {
        secret_keys::insert_missing(&tx, &canary(&vault, id), now).await?;
    }
    if !db.is_postgres() {
        // SQLite: the file is locked, so no other server runs.
        servers::delete_all(&tx).await?;
    }
    servers::save(&tx, &server(&vault, server_id), now).await?;
    tx.commit().await?;
    Ok(vault)
}

/// Stores the heartbeat of a running server. If the server was suspended for so long that its key was removed
/// meanwhile, the key is added again, and other servers need it.
pub async fn save_in_use(db: &Database, vault: &Vault, server_id: i64, now: Timestamp) -> Result<(), DbErr> {
    let server = server(vault, server_id);
    servers::save(db.writer(), &server, now).await?;
    let known = secret_keys::list(db.writer()).await?;
    if !known.iter().any(|it| it.id == server.key && !it.is_given_up()) {
        tracing::warn!(key = server.key, "The secret key of this server was retired or given up, and is needed again");
        secret_keys::insert_missing(db.writer(), &canary(vault, current(vault)), now).await?;
    }
    servers::delete_unseen_since(db.writer(), now.minus(KEPT_FOR)).await
}

/// The row of this server.
pub fn server(vault: &Vault, id: i64) -> Server {
    Server { id, key: current(vault).to_string() }
}

/// Gives up a lost key, so that servers start without it. [`UNNAMED`] stands for the keys of a database without ids of
/// keys. Returns `false` if the database has no such key.
pub async fn forget(db: &Database, key: &str, now: Timestamp) -> Result<bool, DbErr> {
    let tx = db.begin().await?;
    secret_keys::lock(&tx).await?;
    let forgotten = if key == UNNAMED && secret_keys::list(&tx).await?.is_empty() {
        let unnamed = KnownKey { id: UNNAMED.to_owned(), canary: String::new() };
        secret_keys::insert_missing(&tx, &unnamed, now).await?;
        true
    } else {
        secret_keys::give_up(&tx, key).await?
    };
    tx.commit().await?;
    Ok(forgotten)
}

/// Opens the vault for the command that rotates keys. No key is created, and a server must already have used the
/// current key.
pub async fn open_for_rotation(db: &Database, settings: &Settings) -> anyhow::Result<Vault> {
    let known = secret_keys::list(db.reader()).await?;
    let vault = configured(settings)?;
    let vault = vault.ok_or_else(|| anyhow::anyhow!(missing(settings, needed(&known))))?;
    check(&vault, &known, settings)?;
    let current = current(&vault);
    anyhow::ensure!(
        known.iter().any(|it| it.id == current.to_string()),
        "no server has used the secret key {current} with this database yet; start every server with it as the current \
         key and with the former key as a previous key, then rotate"
    );
    Ok(vault)
}

/// The ids of the database's keys that are not configured on this server.
pub fn not_configured(known: &[KnownKey], settings: &Settings) -> anyhow::Result<Vec<String>> {
    let vault = configured(settings)?;
    let is_here = |it: &KnownKey| it.is_given_up() || vault.as_ref().is_some_and(|vault| is_opened(vault, it));
    Ok(known.iter().filter(|it| !is_here(it)).map(|it| it.id.clone()).collect())
}

/// The id of the key that seals new values.
pub fn current(vault: &Vault) -> KeyId {
    vault.key_ids().next().expect("a vault has a key")
}

fn check(vault: &Vault, known: &[KnownKey], settings: &Settings) -> anyhow::Result<()> {
    match known.iter().find(|it| !is_opened(vault, it)) {
        Some(it) => anyhow::bail!(missing(settings, Some(&it.id))),
        None => Ok(()),
    }
}

fn holder(id: &str) -> String {
    format!("secret-key/{id}")
}

fn is_opened(vault: &Vault, known: &KnownKey) -> bool {
    known.is_given_up() || vault.open(&known.canary, &holder(&known.id)).is_ok_and(|word| word == WORD)
}

fn canary(vault: &Vault, id: KeyId) -> KnownKey {
    let canary = vault.seal_with(id, WORD, &holder(&id.to_string()));
    KnownKey { id: id.to_string(), canary }
}

fn missing(settings: &Settings, id: Option<&str>) -> String {
    let which = id.map_or_else(String::new, |id| format!(" {id}"));
    let hint = if id.is_some() { "" } else { " (the key that was in use when the secrets were entered)" };
    format!(
        "this database holds secrets that are sealed with the key{which}, which this server does not have; put that key \
         back as {} or POSTRIDER_SECRET_KEY, or add it to POSTRIDER_PREVIOUS_SECRET_KEYS{hint}; if it is lost for good, run \
         `postrider secrets forget {}`, start with a new key and enter the secrets of postbacks and sources, payout details \
         and second factors again",
        key_file(settings).display(),
        id.unwrap_or(UNNAMED)
    )
}

/// The id of the key that sealed values last.
fn needed(known: &[KnownKey]) -> Option<&str> {
    known.iter().rfind(|it| !it.is_given_up()).map(|it| it.id.as_str())
}

async fn has_secrets(tx: &impl ConnectionTrait) -> anyhow::Result<bool> {
    for column in sealed_columns::ALL {
        if !column.list(tx, NO_MARK, uuid::Uuid::nil(), 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A text with which no sealed value begins.
const NO_MARK: &str = "-";

/// Checks the keys of a database without canaries by opening stored values. If some values open and others do not,
/// servers used two different keys by mistake; these values are logged.
///
/// # Errors
///
/// No value can be opened.
async fn opens_what_is_stored(tx: &impl ConnectionTrait, vault: &Vault, settings: &Settings) -> anyhow::Result<()> {
    let (mut opened, mut unreadable) = (0, Vec::new());
    for column in sealed_columns::ALL {
        for stored in column.list(tx, NO_MARK, uuid::Uuid::nil(), TRIED).await? {
            let found = sealed::reseal(vault, column, &stored);
            if found.unreadable {
                unreadable.push(name(column, stored.id));
            }
            opened += usize::from(found.opened);
        }
    }
    anyhow::ensure!(opened > 0 || unreadable.is_empty(), missing(settings, None));
    if !unreadable.is_empty() {
        tracing::warn!(
            rows = unreadable.join(", "),
            "Secrets are sealed with a key that this server does not have; enter them again"
        );
    }
    Ok(())
}

fn name(column: SealedColumn, id: uuid::Uuid) -> String {
    format!("{}.{} of {}", column.table, column.column, sealed::holder_id(column, id))
}

/// The vault with the keys of the settings, or of the file in the data folder. `None` if there is neither.
fn configured(settings: &Settings) -> anyhow::Result<Option<Vault>> {
    let mut texts = match &settings.secret_key {
        Some(key) => vec![key.clone()],
        None => match read_file(&key_file(settings))? {
            Some(keys) => keys,
            None => return Ok(None),
        },
    };
    texts.extend(settings.previous_secret_keys.iter().cloned());
    let keys = texts.iter().map(|text| {
        parse_key(text).context("a secret key is not 32 bytes in hexadecimal or base64; restore it from a copy")
    });
    let keys: Vec<_> = keys.collect::<anyhow::Result<_>>()?;
    let (current, previous) = keys.split_first().expect("a key that is set, or those of a file that has some");
    Ok(Some(Vault::with_keys(*current, previous.iter().copied())))
}

fn key_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("secret-key")
}

/// Reads keys from a file: the current key on the first line, previous ones below.
fn read_file(path: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
    };
    let keys: Vec<_> = text.lines().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    anyhow::ensure!(
        !keys.is_empty(),
        "the secret key file {} is empty; restore it from a copy, or, if this server has never run, delete it, so that a key is created",
        path.display()
    );
    Ok(Some(keys))
}

fn make(settings: &Settings) -> anyhow::Result<Vault> {
    let (path, key) = (key_file(settings), rand::random::<[u8; 32]>());
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    private_files::write(&path, &text).with_context(|| format!("{} can't be written", path.display()))?;
    tracing::info!(path = %path.display(), "Created the key that seals secrets; keep a copy of this file with each copy of the database");
    Ok(Vault::with_keys(key, []))
}
