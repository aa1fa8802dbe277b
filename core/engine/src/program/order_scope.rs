//! How often one order may count: the setting of the program.

use crate::Error;
use crate::app::App;
use domain::people::changes::Changed;
use domain::program::order_scope::OrderScope;

/// Reads the setting.
pub async fn get(app: &App) -> Result<OrderScope, Error> {
    Ok(storage::program::program_settings::find_order_scope(app.db.reader()).await?)
}

/// Replaces the setting. It holds for conversions that are recorded from now on.
pub async fn change(app: &App, scope: OrderScope) -> Result<Changed<OrderScope>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::lock_order_scope(&tx).await?;
    storage::program::program_settings::save_order_scope(&tx, scope, app.clock.now()).await?;
    tx.commit().await?;
    app.catalog.order_scope_changed();
    Ok(Changed::new(before, scope))
}
