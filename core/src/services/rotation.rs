//! Rotation of keys: everything that is sealed is sealed again with the current key, while servers go on.
//!
//! Each value is replaced only if it is still the one that was read, so a pass may be broken off anywhere and begun again,
//! and it races with nobody. Passes are repeated until one finds nothing; then the previous keys are needed no more.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Clock;
use crate::ids::{MailId, PayoutDetailsId, PostbackId, SourceId, UserId, WithdrawalId};
use crate::storage::sealed_columns::{self, SealedColumn, Stored};
use crate::storage::{Database, secret_keys};

use super::auth::second_factor;
use super::secrets::{SecretError, Vault};
use super::{Error, outbox, secret_keys as keys, sources};

/// Values that are replaced in one transaction: few, so that clicks need not wait.
const CHUNK: u64 = 50;
/// Passes until it is given up: somebody seals with another key as fast as this one reads.
const PASSES: usize = 20;

/// What a rotation did.
#[derive(Clone, Debug, Default)]
pub struct Rotated {
    /// Values sealed anew, by table.
    pub resealed: BTreeMap<&'static str, usize>,
    /// What no configured key opens, as `table row`.
    pub unreadable: Vec<String>,
    /// Previous keys that nothing is sealed with any more.
    pub retired: Vec<String>,
    /// Nothing is left that a previous key sealed.
    pub complete: bool,
}

/// Seals everything again with the current key.
pub async fn rotate(db: &Database, vault: &Vault, clock: &Clock) -> Result<Rotated, Error> {
    let mut rotated = Rotated::default();
    for _ in 0..PASSES {
        rotated.unreadable.clear();
        let mut found = 0;
        for column in sealed_columns::ALL {
            found += pass(db, vault, clock, column, &mut rotated).await?;
        }
        if found == 0 {
            rotated.complete = true;
            rotated.retired = retire_previous(db, vault).await?;
            return Ok(rotated);
        }
    }
    Ok(rotated)
}

/// All values of one column, in chunks. Returns how many had to be sealed anew, whether or not somebody was faster.
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
            match reseal(vault, column, &stored) {
                Ok(Some(text)) => new.push((stored, text)),
                Ok(None) => {}
                Err(_) => rotated.unreadable.push(format!("{} {}", column.table, holder_id(column, stored.id))),
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

/// A value sealed with the current key; `None` if it is.
pub(super) fn reseal(vault: &Vault, column: SealedColumn, stored: &Stored) -> Result<Option<String>, SecretError> {
    let holder = holder(column, stored.id);
    if !column.is_json {
        return vault.reseal(&stored.text, &holder);
    }
    let value = serde_json::from_str(&stored.text).map_err(|_| SecretError::Unreadable)?;
    Ok(vault.reseal_parts(&value, &holder)?.map(|value| value.to_string()))
}

/// Whom a value is sealed for.
fn holder(column: SealedColumn, id: Uuid) -> String {
    match (column.table, column.column) {
        ("users", _) => second_factor::holder(UserId(id)),
        ("mails", _) => outbox::holder(MailId(id)),
        ("sources", "key_sealed") => sources::key_holder(SourceId(id)),
        _ => holder_id(column, id),
    }
}

/// How people write the id of a row.
pub(super) fn holder_id(column: SealedColumn, id: Uuid) -> String {
    match column.table {
        "postbacks" => PostbackId(id).to_string(),
        "sources" => SourceId(id).to_string(),
        "payout_details" => PayoutDetailsId(id).to_string(),
        "withdrawals" => WithdrawalId(id).to_string(),
        "users" => UserId(id).to_string(),
        "mails" => MailId(id).to_string(),
        table => unreachable!("{table} has no sealed column"),
    }
}

async fn retire_previous(db: &Database, vault: &Vault) -> Result<Vec<String>, Error> {
    let current = keys::current(vault).to_string();
    let mut retired = Vec::new();
    for key in secret_keys::list(db.reader()).await?.into_iter().filter(|it| it.id != current) {
        if secret_keys::remove(db.writer(), &key.id).await? {
            retired.push(key.id);
        }
    }
    Ok(retired)
}
