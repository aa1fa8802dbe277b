//! Recruiting: who brought whom, and the shares that the program gives for it.

use crate::app::App;
use crate::{Error, FieldIssue};
use domain::amounts::Currency;
use domain::ids::AffiliateId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::program::affiliate::{Affiliate, normal_code};
use domain::program::recruiting::Recruiting;
use storage::base::page::{Page, PageRequest};

pub async fn get(app: &App) -> Result<Recruiting, Error> {
    Ok(storage::program::program_settings::find_recruiting(app.db.reader()).await?)
}

/// For conversions that are approved from now on; what was agreed stays.
pub async fn change(app: &App, recruiting: Recruiting) -> Result<Changed<Recruiting>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::lock_recruiting(&tx).await?;
    storage::program::program_settings::save_recruiting(&tx, &recruiting, app.clock.now()).await?;
    tx.commit().await?;
    app.catalog.recruiting_changed();
    Ok(Changed::new(before, recruiting))
}

/// Somebody whom an affiliate recruited, and what that has brought it.
#[derive(Clone, Debug)]
pub struct Recruit {
    pub affiliate: Affiliate,
    /// One for each currency, less what was taken back.
    pub commissions: Vec<(Currency, i128)>,
}

/// Whom an affiliate recruited, newest first.
pub async fn recruits(
    app: &App,
    actor: Actor,
    recruiter: AffiliateId,
    page: PageRequest,
) -> Result<Page<Recruit>, Error> {
    super::affiliates::get(app, actor, recruiter).await?;
    let page = storage::program::affiliates::list_recruits(app.db.reader(), recruiter, page).await?;
    let ids = page.items.iter().map(|it| it.id);
    let mut earned = storage::money::earnings::by_recruit(app.db.reader(), recruiter, ids).await?;
    Ok(page.map(|affiliate| Recruit { commissions: earned.remove(&affiliate.id).unwrap_or_default(), affiliate }))
}

/// The recruiter that an id or a referral code names.
pub async fn named(app: &App, text: &str) -> Result<AffiliateId, Error> {
    let found = match text.parse::<AffiliateId>() {
        Ok(id) => storage::program::affiliates::find(app.db.reader(), id).await?,
        Err(_) => storage::program::affiliates::find_by_code(app.db.reader(), &normal_code(text)).await?,
    };
    found.map(|it| it.id).ok_or_else(|| {
        let message =
            format!("no affiliate has the id or referral code \"{}\"", text.chars().take(64).collect::<String>());
        Error::Invalid(vec![FieldIssue::new("/recruited_by", "unknown_recruiter", message)])
    })
}
