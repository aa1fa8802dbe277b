//! The keys of sources, which are part of their addresses. A key is stored as a hash.
//!
//! An older release stored keys readable. This release hashes them at its first start and deletes the readable keys one
//! day later. Until then, a process of the older release still finds these sources, in a rolling upgrade or after a
//! roll-back, so that no notification is lost.

use std::time::Duration;

use crate::app::App;
use crate::delivery::secrets::sealed;
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::source::SourceKey;
use storage::inbound::sources::ReadableKey;

/// The time for which an upgrade from the older release can be rolled back without losing its sources.
pub const ROLL_BACK: Duration = Duration::from_secs(24 * 3_600);
/// The maximum number of rows in one transaction.
const CHUNK: u64 = 500;

/// The form in which a key is stored: a hash and, for a source of an affiliate, a sealed copy.
pub(crate) fn stored_key(app: &App, id: SourceId, owner: Option<AffiliateId>, key: &str) -> SourceKey {
    SourceKey::new(key, owner.map(|_| app.vault.seal(key, &sealed::source_key(id))))
}

/// Hashes readable keys. Runs at the start and once an hour, because a process of the older release may add readable
/// keys.
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
            // The readable key is kept for ROLL_BACK after it is hashed for the first time. At the end of that time it
            // is hashed again and deleted.
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
