//! Sub-affiliates and second-tier commissions: the settings, and the sub-affiliates of an affiliate.

use crate::app::App;
use crate::{Error, FieldIssue};
use domain::amounts::Currency;
use domain::ids::AffiliateId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::program::affiliate::{Affiliate, normal_code};
use domain::program::sub_affiliate::SubAffiliateSettings;
use storage::base::page::{Page, PageRequest};

/// Reads the settings of sub-affiliates.
pub async fn settings(app: &App) -> Result<SubAffiliateSettings, Error> {
    Ok(storage::program::program_settings::find_sub_affiliates(app.db.reader()).await?)
}

/// Replaces the settings of sub-affiliates. They apply to conversions that are approved from now on.
pub async fn change_settings(
    app: &App,
    settings: SubAffiliateSettings,
) -> Result<Changed<SubAffiliateSettings>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::lock_sub_affiliates(&tx).await?;
    storage::program::program_settings::save_sub_affiliates(&tx, &settings, app.clock.now()).await?;
    tx.commit().await?;
    app.catalog.sub_affiliate_settings_changed();
    Ok(Changed::new(before, settings))
}

/// A sub-affiliate and the commissions that its parent affiliate earned with it.
#[derive(Clone, Debug)]
pub struct SubAffiliate {
    pub affiliate: Affiliate,
    /// One sum in micros for each currency, less reversals.
    pub commissions: Vec<(Currency, i128)>,
}

/// Lists the sub-affiliates of an affiliate, newest first.
pub async fn list(
    app: &App,
    actor: Actor,
    parent: AffiliateId,
    page: PageRequest,
) -> Result<Page<SubAffiliate>, Error> {
    super::affiliates::get(app, actor, parent).await?;
    let page = storage::program::affiliates::list_sub_affiliates(app.db.reader(), parent, page).await?;
    let ids = page.items.iter().map(|it| it.id);
    let mut earned = storage::money::earnings::sum_by_sub_affiliate(app.db.reader(), parent, ids).await?;
    Ok(page.map(|affiliate| SubAffiliate { commissions: earned.remove(&affiliate.id).unwrap_or_default(), affiliate }))
}

/// Finds a parent affiliate by its id or referral code.
pub async fn find_parent(app: &App, text: &str) -> Result<AffiliateId, Error> {
    let found = match text.parse::<AffiliateId>() {
        Ok(id) => storage::program::affiliates::find(app.db.reader(), id).await?,
        Err(_) => storage::program::affiliates::find_by_code(app.db.reader(), &normal_code(text)).await?,
    };
    found.map(|it| it.id).ok_or_else(|| {
        let message =
            format!("no affiliate has the id or referral code \"{}\"", text.chars().take(64).collect::<String>());
        Error::Invalid(vec![FieldIssue::new("/parent_affiliate", "unknown_parent_affiliate", message)])
    })
}
