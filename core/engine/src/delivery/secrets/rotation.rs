//! Rotation of secret keys: all sealed values are sealed again with the current key, while servers run.
//!
//! A value is replaced only if it did not change since it was read. So a rotation may be interrupted and repeated at
//! any time, and it does not conflict with other changes. Passes are repeated until one finds nothing; then the
//! previous keys are not needed any more.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Error;
use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::servers;
use storage::clock::Clock;
use storage::delivery::sealed_columns::{self, SealedColumn};
use storage::delivery::secret_keys;

use super::Vault;
use super::sealed::{holder_id, reseal};
use super::server_keys as keys;

/// Maximum number of values that are replaced in one transaction. Few, so that clicks do not wait for it.
const CHUNK: u64 = 50;
/// Maximum number of passes. More would be needed only if a server sealed values with another key all the time.
const PASSES: usize = 20;

/// The result of a rotation.
#[derive(Clone, Debug, Default)]
pub struct Rotated {
    /// Number of values that were sealed again, by table.
    pub resealed: BTreeMap<&'static str, usize>,
    /// Values that no configured key opens, as `table row`.
    pub unreadable: Vec<String>,
    /// Previous keys that are not needed any more.
    pub retired: Vec<String>,
    /// Other keys with which running servers seal values.
    pub in_use: BTreeSet<String>,
    /// Whether no value is sealed with a previous key, and no server seals with one.
    pub complete: bool,
}

/// Seals all values again with the current key.
pub async fn rotate(db: &Database, vault: &Vault, clock: &Clock) -> Result<Rotated, Error> {
    let mut rotated = Rotated::default();
    for _ in 0..PASSES {
        rotated.unreadable.clear();
        rotated.in_use = in_use(db.reader(), vault, clock.now()).await?;
        let mut found = 0;
        for column in sealed_columns::ALL {
            found += pass(db, vault, clock, column, &mut rotated).await?;
        }
        if found == 0 {
            retire_previous(db, vault, clock.now(), &mut rotated).await?;
            rotated.complete = rotated.in_use.is_empty();
            return Ok(rotated);
        }
    }
    Ok(rotated)
}

/// Seals the values of one column again, in chunks. Returns the number of values that were not sealed with the current
/// key, including those that another transaction changed meanwhile.
async fn pass(
    db: &Database,
    vault: &Vault,
    clock: &Clock,
    column: SealedColumn,
    rotated: &mut Rotated,
) -> Result<usize, Error> {
    let mark = keys::current(vault).mark();
    let (mut found, mut after) = (0, Uuid::nil());
    loop {
        let chunk = column.list(db.reader(), &mark, after, CHUNK).await?;
        let Some(last) = chunk.last() else { return Ok(found) };
        after = last.id;
        let mut new = Vec::new();
        for stored in chunk {
            let resealed = reseal(vault, column, &stored);
            if resealed.unreadable {
                rotated.unreadable.push(format!("{} {}", column.table, holder_id(column, stored.id)));
            }
            if let Some(text) = resealed.new {
                new.push((stored, text));
            }
        }
        if new.is_empty() {
            continue;
        }
        found += new.len();
        let tx = db.begin().await?;
        let mut replaced = 0;
        for (stored, text) in &new {
            replaced += usize::from(column.replace(&tx, stored, text, clock.now()).await?);
        }
        tx.commit().await?;
        *rotated.resealed.entry(column.table).or_default() += replaced;
    }
}

/// Removes previous keys that are not needed any more. A lock excludes servers that start, so that none begins to seal
/// with a key while the key is removed. A key also stays if a server sealed with it when the last pass began: the pass
/// may have missed values of that server, even if it has stopped since.
async fn retire_previous(db: &Database, vault: &Vault, now: Timestamp, rotated: &mut Rotated) -> Result<(), Error> {
    let current = keys::current(vault).to_string();
    let tx = db.begin().await?;
    secret_keys::lock(&tx).await?;
    rotated.in_use.extend(in_use(&tx, vault, now).await?);
    for key in secret_keys::list(&tx).await? {
        if key.id == current || rotated.in_use.contains(&key.id) {
            continue;
        }
        // A key that was given up stays while values that it sealed are left.
        if key.is_given_up() && !rotated.unreadable.is_empty() {
            continue;
        }
        secret_keys::delete(&tx, &key.id).await?;
        if !key.is_given_up() {
            rotated.retired.push(key.id);
        }
    }
    Ok(tx.commit().await?)
}

/// The other keys with which running servers seal values.
async fn in_use(db: &impl ConnectionTrait, vault: &Vault, now: Timestamp) -> Result<BTreeSet<String>, Error> {
    let mut in_use = servers::list_keys_since(db, now.minus(keys::PRESENT_FOR)).await?;
    in_use.remove(&keys::current(vault).to_string());
    Ok(in_use)
}
