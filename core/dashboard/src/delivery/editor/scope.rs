//! The affiliate of a scope: members of staff type a name, a referral code or an id, and choose from what matches.

use axum::extract::State;
use axum::http::Uri;
use domain::archive::ArchivedFilter;
use domain::ids::AffiliateId;
use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use domain::search::Search;
use engine::Error;
use engine::app::App;
use engine::program::affiliates;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// The most affiliates that are offered.
const OFFERED: u64 = 10;

/// Affiliates whose name, referral code or id begins with a text.
async fn matching(app: &App, actor: Actor, typed: &str) -> Result<Vec<Affiliate>, Error> {
    let search = Search::new(typed).map_err(|error| Error::invalid("/affiliate", error.to_string()))?;
    let page = PageRequest::first(OFFERED);
    Ok(affiliates::list(app, actor, search, ArchivedFilter::InUse, page).await?.items)
}

/// The referral codes that the field offers at first.
pub async fn first_codes(app: &App, actor: Actor) -> Result<Vec<String>, Error> {
    let found = if actor.is_staff() { matching(app, actor, "").await? } else { Vec::new() };
    Ok(found.into_iter().map(|it| it.referral_code).collect())
}

/// The affiliate that a person typed; `None` for all.
///
/// # Errors
/// No affiliate matches, or several do.
pub async fn affiliate_of(app: &App, actor: Actor, typed: &str) -> Result<Option<AffiliateId>, Error> {
    if typed.is_empty() {
        return Ok(None);
    }
    if let Ok(id) = typed.parse() {
        return Ok(Some(id));
    }
    let found = matching(app, actor, typed).await?;
    let exact =
        found.iter().find(|it| it.referral_code.eq_ignore_ascii_case(typed) || it.name.eq_ignore_ascii_case(typed));
    match (exact, found.as_slice()) {
        (Some(it), _) => Ok(Some(it.id)),
        (None, [only]) => Ok(Some(only.id)),
        (None, []) => Err(Error::invalid(
            "/affiliate",
            format!("no affiliate begins with \"{typed}\"; enter a name, a referral code or an id"),
        )),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|it| format!("{} ({})", it.name, it.referral_code)).collect();
            let message =
                format!("several affiliates begin with \"{typed}\": {}; enter a referral code", names.join(", "));
            Err(Error::invalid("/affiliate", message))
        }
    }
}

/// The affiliates that the field offers while a person types.
#[derive(Debug, Serialize)]
pub struct OfferedAffiliates {
    affiliates: Vec<OfferedAffiliate>,
}

#[derive(Debug, Serialize)]
struct OfferedAffiliate {
    code: String,
    name: String,
}

impl Page for OfferedAffiliates {
    const TEMPLATE: &'static str = "parts/editor/affiliates";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

/// `GET /postbacks/new/affiliates`: the choices for a field, as a part of the page.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<OfferedAffiliates>, Problem> {
    let url = ListUrl::of(&uri);
    let found = match url.get("affiliate") {
        Some(typed) if actor.is_staff() => matching(&app, actor, typed).await?,
        _ => Vec::new(),
    };
    let offered = found.into_iter().map(|it| OfferedAffiliate { code: it.referral_code, name: it.name });
    Ok(viewer.page(text("nav.affiliates"), OfferedAffiliates { affiliates: offered.collect() }))
}
