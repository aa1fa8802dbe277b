//! Addresses of sources that an older release stored as they are: hashed at the first start of this one, and out of the
//! table a day later. Until then a node of the release before, in a rolling upgrade or after a roll-back, still finds
//! the sources that it knows, so that no report is lost. What this release makes is never stored readable.

use std::time::Duration;

use crate::app::App;
use domain::inbound::source::SourceKey;
use storage::inbound::sources::ReadableKey;

use super::sources::stored_key;

/// How long the release before can be gone back to.
pub const ROLL_BACK: Duration = Duration::from_secs(24 * 3_600);
/// Rows of one transaction.
const CHUNK: u64 = 500;

/// At the start, and once an hour: an older node may add some.
pub async fn hash_stored(app: &App) -> Result<(), sea_orm::DbErr> {
    let now = app.clock.now();
    let mut hashed = 0;
    loop {
        let tx = app.db.begin().await?;
        let chunk = storage::inbound::sources::list_readable_keys(&tx, now, CHUNK).await?;
        if chunk.is_empty() {
            break;
        }
        hashed += chunk.len();
        for it in chunk {
            // The time of a key begins when its hash is first there, and it is hashed anew at the end of it.
            let until = if it.until.is_none() { Some(now.plus(ROLL_BACK)) } else { None };
            storage::inbound::sources::save_hashed(&tx, &it, &as_stored(app, &it), until).await?;
        }
        tx.commit().await?;
    }
    if hashed > 0 {
        tracing::info!(hashed, "Stored addresses of sources as hashes");
    }
    Ok(())
}

fn as_stored(app: &App, it: &ReadableKey) -> SourceKey {
    stored_key(app, it.id, it.owner, &it.key)
}
