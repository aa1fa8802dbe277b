//! Sealed values in the database. Each value is sealed for one holder, its row: copied to another row, it cannot be
//! opened.

use uuid::Uuid;

use domain::ids::{MailId, PayoutDetailsId, PostbackId, SourceId, UserId, WithdrawalId};
use storage::delivery::sealed_columns::{SealedColumn, Stored};

use super::{Resealed, Vault};

/// The holder of the key of a source.
pub(crate) fn source_key(id: SourceId) -> String {
    format!("source-key/{id}")
}

/// The holder of the second factor of a user.
pub(crate) fn second_factor(id: UserId) -> String {
    format!("totp/{id}")
}

/// The holder of a mail.
pub(crate) fn mail(id: MailId) -> String {
    format!("mail/{id}")
}

/// Seals a stored value again with the current key, as far as it can be opened.
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

/// The holder of a stored value.
fn holder(column: SealedColumn, id: Uuid) -> String {
    match (column.table, column.column) {
        ("users", _) => second_factor(UserId(id)),
        ("mails", _) => mail(MailId(id)),
        ("sources", "key_sealed") => source_key(SourceId(id)),
        _ => holder_id(column, id),
    }
}

/// The id of a row with its prefix, as in the API.
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
