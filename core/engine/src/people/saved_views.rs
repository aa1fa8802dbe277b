//! Saved views of a person: names for pages with their filters. Nobody else sees them.

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use domain::ids::{SavedViewId, UserId};
use domain::people::changes::Changed;
use domain::people::saved_view::{NAME_MAX_CHARS, Place, SavedView, VIEWS_MAX};
use domain::program::quota::QuotaError;
use storage::base::page::{Page, PageRequest};

/// Saves a view.
///
/// # Errors
/// The name is empty, too long or taken, the URL is not that of a page, or the person has too many views.
pub async fn create(app: &App, user: UserId, name: &str, url: &str) -> Result<SavedView, Error> {
    let name = valid_name(name)?;
    let place = Place::read(url).map_err(|error| Error::invalid("/url", error.to_string()))?;
    let tx = app.db.begin().await?;
    // The lock makes two requests of one person run one after the other, so that the limit holds.
    storage::people::users::lock(&tx, user).await?;
    if storage::people::saved_views::count(&tx, user).await? >= u64::from(VIEWS_MAX) {
        return Err(QuotaError::SavedViews { limit: VIEWS_MAX }.into());
    }
    let now = app.clock.now();
    let view = SavedView { id: SavedViewId::new(now), user_id: user, name, place, created_at: now };
    storage::people::saved_views::insert(&tx, &view).await.map_err(|error| taken(error, &view.name))?;
    tx.commit().await?;
    Ok(view)
}

/// Gives a view another name.
///
/// # Errors
/// The name is empty, too long or taken.
pub async fn rename(app: &App, user: UserId, id: SavedViewId, name: &str) -> Result<Changed<SavedView>, Error> {
    let name = valid_name(name)?;
    let tx = app.db.begin().await?;
    let before = find(&tx, user, id).await?;
    let view = SavedView { name, ..before.clone() };
    storage::people::saved_views::save_name(&tx, &view).await.map_err(|error| taken(error, &view.name))?;
    tx.commit().await?;
    Ok(Changed::new(before, view))
}

/// Deletes a view and returns it.
pub async fn delete(app: &App, user: UserId, id: SavedViewId) -> Result<SavedView, Error> {
    let tx = app.db.begin().await?;
    let view = find(&tx, user, id).await?;
    storage::people::saved_views::delete(&tx, id).await?;
    tx.commit().await?;
    Ok(view)
}

/// A view of the person.
pub async fn get(app: &App, user: UserId, id: SavedViewId) -> Result<SavedView, Error> {
    find(app.db.reader(), user, id).await
}

/// The views of a person, of one page or of all, the newest first.
pub async fn list(app: &App, user: UserId, of_page: Option<&str>, page: PageRequest) -> Result<Page<SavedView>, Error> {
    Ok(storage::people::saved_views::list(app.db.lists(), user, of_page, page).await?)
}

async fn find(db: &impl sea_orm::ConnectionTrait, user: UserId, id: SavedViewId) -> Result<SavedView, Error> {
    let found = storage::people::saved_views::find(db, id, user).await?;
    found.ok_or_else(|| Error::not_found("saved view", id))
}

fn valid_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    match name.chars().count() {
        1..=NAME_MAX_CHARS if !name.contains(char::is_control) => Ok(name.to_owned()),
        _ => Err(Error::invalid("/name", format!("must have 1 to {NAME_MAX_CHARS} characters"))),
    }
}

fn taken(error: sea_orm::DbErr, name: &str) -> Error {
    match is_taken(&error) {
        true => Error::Taken { what: "the name", value: name.to_owned() },
        false => error.into(),
    }
}
