//! What affiliates see of buyers: the setting of the program.

use crate::Error;
use crate::app::App;
use domain::people::changes::Changed;
use domain::program::buyer_visibility::BuyerVisibility;

/// Reads the setting.
pub async fn visibility(app: &App) -> Result<BuyerVisibility, Error> {
    Ok(storage::program::program_settings::find_buyer_visibility(app.db.reader()).await?)
}

/// Replaces the setting. It holds for requests and answers from now on, also about older conversions.
pub async fn change_visibility(app: &App, visibility: BuyerVisibility) -> Result<Changed<BuyerVisibility>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::lock_buyer_visibility(&tx).await?;
    storage::program::program_settings::save_buyer_visibility(&tx, visibility, app.clock.now()).await?;
    tx.commit().await?;
    app.catalog.buyer_visibility_changed();
    Ok(Changed::new(before, visibility))
}
