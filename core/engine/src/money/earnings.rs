//! Queries of earnings. Callers see the earnings and fields that they have access to.

use crate::Error;
use crate::app::App;
use domain::amounts::Currency;
use domain::ids::{AffiliateId, EarningId};
use domain::money::earning::{Earning, EarningKind};
use domain::people::actor::Actor;
use storage::base::page::{Page, PageRequest};

/// Reads an earning that the caller may see.
pub async fn get(app: &App, actor: Actor, id: EarningId) -> Result<Earning, Error> {
    let found = storage::money::earnings::find(app.db.reader(), id).await?;
    let found = found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("earning", id))?;
    Ok(visible_to(actor, found))
}

/// Lists the earnings that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::money::earnings::Filter,
    page: PageRequest,
) -> Result<Page<Earning>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let mut found = storage::money::earnings::list(app.db.lists(), filter, page).await?;
    found.items = found.items.into_iter().map(|it| visible_to(actor, it)).collect();
    Ok(found)
}

/// A parent affiliate sees its commission and the sub-affiliate, but not the conversion.
fn visible_to(actor: Actor, earning: Earning) -> Earning {
    let hides = earning.kind == EarningKind::Commission && !actor.is_staff();
    Earning { conversion_id: earning.conversion_id.filter(|_| !hides), ..earning }
}

/// The pending earning of an affiliate in a currency whose hold ends first, as the caller may see it.
pub async fn next_release(
    app: &App,
    actor: Actor,
    affiliate: AffiliateId,
    currency: Currency,
) -> Result<Option<Earning>, Error> {
    if !actor.may_see(affiliate) {
        return Ok(None);
    }
    let found = storage::money::earnings::find_next_of(app.db.reader(), affiliate, currency).await?;
    Ok(found.map(|earning| visible_to(actor, earning)))
}
