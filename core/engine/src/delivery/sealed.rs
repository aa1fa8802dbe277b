//! Sealed values: for what each of them is sealed, and how it is sealed again. Each is sealed for one row: copied to another, it does
//! not open.

use uuid::Uuid;

use domain::ids::{MailId, PayoutDetailsId, PostbackId, SourceId, UserId, WithdrawalId};
use storage::delivery::sealed_columns::{SealedColumn, Stored};

use super::secrets::{Resealed, Vault};

/// For the key of a source.
pub(crate) fn source_key(id: SourceId) -> String {
    format!("source-key/{id}")
}

/// For the second factor of a user.
pub(crate) fn second_factor(id: UserId) -> String {
    format!("totp/{id}")
}

/// For a message.
pub(crate) fn mail(id: MailId) -> String {
    format!("mail/{id}")
}

/// A value sealed with the current key, as far as it can be opened.
pub(crate) fn reseal(vault: &Vault, column: SealedColumn, stored: &Stored) -> Resealed<String> {
    let holder = holder(column, stored.id);
    if !column.is_json {
        return Resealed::of_whole(vault.reseal(&stored.text, &holder));
    }
    match serde_json::from_str(&stored.text) {
        Ok(value) => {
            let Resealed { new, opened, unreadable } = vault.reseal_parts(&value, &holder);
            Resealed { new: new.map(|value| value.to_string()), opened, unreadable }
        }
        Err(_) => Resealed { new: None, opened: false, unreadable: true },
    }
}

/// Whom a value is sealed for.
fn holder(column: SealedColumn, id: Uuid) -> String {
    match (column.table, column.column) {
        ("users", _) => second_factor(UserId(id)),
        ("mails", _) => mail(MailId(id)),
        ("sources", "key_sealed") => source_key(SourceId(id)),
        _ => holder_id(column, id),
    }
}

/// How people write the id of a row.
pub(crate) fn holder_id(column: SealedColumn, id: Uuid) -> String {
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
