//! The keys that secrets are sealed with: where this server has them from, and whether they are those of its database.
//!
//! A database without its keys must not be served: nothing that is sealed there could be used, and what is sealed anew
//! would need another key. So the start is refused, with a sentence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sea_orm::{ConnectionTrait, DbErr};

use crate::config::Settings;
use crate::delivery::sealed;
use domain::delivery::secret_key::parse_key;
use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::servers::{self, Server};
use storage::delivery::sealed_columns::{self, SealedColumn};
use storage::delivery::secret_keys::{self, KnownKey};
use storage::private_files;

use super::secrets::{KeyId, Vault};

/// What a canary says.
const WORD: &str = "canary";
/// Sealed values of each kind that are tried where a database has no canary yet.
const TRIED: u64 = 200;

/// What stands for the keys of a database from before keys had names, when they are given up.
pub const UNNAMED: &str = "unnamed";

/// How often a server says that it is here.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// A server that has not said so for longer is taken for gone, and no key is kept for it.
pub const PRESENT_FOR: Duration = Duration::from_secs(120);
/// Until its row is deleted.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// The vault of this database, for a server that is here from now on. A new database gets a key, and one from before there were canaries gets its canary.
pub async fn open(db: &Database, settings: &Settings, server_id: i64, now: Timestamp) -> anyhow::Result<Vault> {
    let tx = db.begin().await?;
    secret_keys::take_turn(&tx).await?;
    let known = secret_keys::list(&tx).await?;
    let vault = match configured(settings)? {
        Some(vault) => vault,
        // What is left of a key that was given up cannot be opened by any.
        None if !known.is_empty() && known.iter().all(KnownKey::is_given_up) => make(settings)?,
        None if known.is_empty() && !has_secrets(&tx).await? => make(settings)?,
        None => anyhow::bail!(missing(settings, needed(&known))),
    };
    if known.is_empty() {
        opens_what_is_stored(&tx, &vault, settings).await?;
    }
    check(&vault, &known, settings)?;
    // Of a database that knows no key yet, each of them may have sealed something; else a previous one that is not known
    // any more has been rotated out.
    let new = if known.iter().all(|it| it.id == UNNAMED) { usize::MAX } else { 1 };
    for id in vault.key_ids().take(new) {
        secret_keys::insert_missing(&tx, &canary(&vault, id), now).await?;
    }
    if !db.is_postgres() {
        // The file is locked, so the others are gone.
        servers::remove_all(&tx).await?;
    }
    servers::save(&tx, &server(&vault, server_id), now).await?;
    tx.commit().await?;
    Ok(vault)
}

/// Again and again while a server runs. If it was suspended for so long that its key was retired meanwhile, other servers
/// need that key again from here on.
pub async fn save_in_use(db: &Database, vault: &Vault, server_id: i64, now: Timestamp) -> Result<(), DbErr> {
    let server = server(vault, server_id);
    servers::save(db.writer(), &server, now).await?;
    let known = secret_keys::list(db.writer()).await?;
    if !known.iter().any(|it| it.id == server.key && !it.is_given_up()) {
        tracing::warn!(key = server.key, "This server's key was retired or given up, and is needed again");
        secret_keys::insert_missing(db.writer(), &canary(vault, current(vault)), now).await?;
    }
    servers::forget_unseen_since(db.writer(), now.minus(KEPT_FOR)).await
}

/// This server, as others see it.
pub fn server(vault: &Vault, id: i64) -> Server {
    Server { id, key: current(vault).to_string() }
}

/// Servers start without this key from here on; [`UNNAMED`] stands for those of a database that has no names of keys.
/// `false`: it is not there.
pub async fn forget(db: &Database, key: &str, now: Timestamp) -> Result<bool, DbErr> {
    let tx = db.begin().await?;
    secret_keys::take_turn(&tx).await?;
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

/// The vault for a command beside a server: nothing is made, and the current key must be one that a server has used.
pub async fn open_for_rotation(db: &Database, settings: &Settings) -> anyhow::Result<Vault> {
    let known = secret_keys::list(db.reader()).await?;
    let vault = configured(settings)?;
    let vault = vault.ok_or_else(|| anyhow::anyhow!(missing(settings, needed(&known))))?;
    check(&vault, &known, settings)?;
    let current = current(&vault);
    anyhow::ensure!(
        known.iter().any(|it| it.id == current.to_string()),
        "no server has used the secret key {current} with this database yet; start every server with it as the current \
         key, and the one before as a previous key, then rotate"
    );
    Ok(vault)
}

/// Which of the keys of a database are not configured here.
pub fn not_configured(known: &[KnownKey], settings: &Settings) -> anyhow::Result<Vec<String>> {
    let vault = configured(settings)?;
    let is_here = |it: &KnownKey| it.is_given_up() || vault.as_ref().is_some_and(|vault| is_opened(vault, it));
    Ok(known.iter().filter(|it| !is_here(it)).map(|it| it.id.clone()).collect())
}

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
    let hint = if id.is_some() { "" } else { " (it is the one that was there when they were entered)" };
    format!(
        "this database holds secrets that are sealed with the key{which}, which this server does not have; put that key \
         back as {} or POSTRIDER_SECRET_KEY, or name it in POSTRIDER_PREVIOUS_SECRET_KEYS{hint}; if it is lost for good, run \
         `postrider secrets forget {}`, start with a new key and enter the secrets of postbacks and sources, payout details \
         and second factors again",
        key_file(settings).display(),
        id.unwrap_or(UNNAMED)
    )
}

/// The key that a database was sealed with last.
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

/// What no sealed text begins with.
const NO_MARK: &str = "-";

/// A database from before there were canaries: its newest release sealed with one key. One that opens some and not others
/// was served with two by mistake, and there is nothing to do but to say so.
async fn opens_what_is_stored(tx: &impl ConnectionTrait, vault: &Vault, settings: &Settings) -> anyhow::Result<()> {
    let (mut opened, mut closed) = (0, Vec::new());
    for column in sealed_columns::ALL {
        for stored in column.list(tx, NO_MARK, uuid::Uuid::nil(), TRIED).await? {
            let found = sealed::reseal(vault, column, &stored);
            if found.unreadable {
                closed.push(name(column, stored.id));
            }
            opened += usize::from(found.opened);
        }
    }
    anyhow::ensure!(opened > 0 || closed.is_empty(), missing(settings, None));
    if !closed.is_empty() {
        tracing::warn!(
            rows = closed.join(", "),
            "Secrets were sealed with a key that this server does not have; they have to be entered again"
        );
    }
    Ok(())
}

fn name(column: SealedColumn, id: uuid::Uuid) -> String {
    format!("{}.{} of {}", column.table, column.column, sealed::holder_id(column, id))
}

/// The keys of the settings or of the file in the data folder; `None`: there is neither.
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

/// The current key on the first line; previous ones, if there are any, below.
fn read_file(path: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
    };
    let keys: Vec<_> = text.lines().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    anyhow::ensure!(
        !keys.is_empty(),
        "the secret key {} is empty; restore it from a copy, or delete it if this server has never run: then a key is made",
        path.display()
    );
    Ok(Some(keys))
}

fn make(settings: &Settings) -> anyhow::Result<Vault> {
    let (path, key) = (key_file(settings), rand::random::<[u8; 32]>());
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    private_files::write(&path, &text).with_context(|| format!("{} can't be written", path.display()))?;
    tracing::info!(path = %path.display(), "Made the key that seals secrets; keep a copy of this file with each copy of the database");
    Ok(Vault::with_keys(key, []))
}
