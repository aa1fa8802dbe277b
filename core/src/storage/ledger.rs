//! Postings and their entries. Added, never edited.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DbErr};

use crate::domain::ledger::Posting;
use crate::ids::PostingId;

use super::bulk::{Rows, Type};

/// Adds what is not yet there: a posting whose key exists is left out, with its entries.
pub async fn post(tx: &impl ConnectionTrait, postings: &[Posting]) -> Result<(), DbErr> {
    if postings.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Id, Type::Text, Type::Big]);
    for posting in postings {
        posting.assert_balanced();
        rows.push([
            posting.id.into(),
            posting.key.clone().into(),
            posting.conversion_id.into(),
            posting.currency.to_string().into(),
            posting.at.into(),
        ]);
    }
    let added = rows
        .query(
            tx,
            "INSERT INTO postings (id, key, conversion_id, currency, created_at) {rows}
             ON CONFLICT (key) DO NOTHING RETURNING id",
            vec![],
        )
        .await?;
    let added: HashSet<PostingId> = added.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;

    let mut rows = Rows::new(&[Type::Id, Type::Int, Type::Text, Type::Id, Type::Text, Type::Big]);
    for posting in postings.iter().filter(|posting| added.contains(&posting.id)) {
        for (number, entry) in (0_i32..).zip(&posting.entries) {
            rows.push([
                posting.id.into(),
                number.into(),
                entry.account.name().into(),
                entry.account.affiliate_id().into(),
                posting.currency.to_string().into(),
                entry.micros.into(),
            ]);
        }
    }
    rows.execute(tx, "INSERT INTO entries (posting_id, number, account, affiliate_id, currency, micros) {rows}", vec![])
        .await
        .map(drop)
}
