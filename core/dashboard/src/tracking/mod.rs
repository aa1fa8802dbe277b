//! Pages of links, clicks and conversions.

pub mod clicks;
pub mod conversion;
pub mod conversions;
pub mod links;
pub mod rows;

use std::fmt::Display;
use std::str::FromStr;

use domain::archive::ArchivedFilter;
use domain::ids::OfferId;
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::program::offers;
use storage::base::page::PageRequest;
use web::errors::Problem;

use crate::parts::list::ListUrl;
use crate::shell::texts::{Text, plain, text};

/// The most offers that a choice of offers has.
const OFFERS_AT_MOST: u64 = 200;

/// The name of an offer, or its id if it was deleted.
pub async fn offer_name(app: &App, id: OfferId) -> Result<String, Error> {
    Ok(app.catalog.offer(id).await?.map_or_else(|| id.to_string(), |offer| offer.name.clone()))
}

/// The offers that the caller may see as choices of a filter, after the choice of all.
pub async fn offer_choices(app: &App, actor: Actor) -> Result<Vec<(String, Text)>, Error> {
    let page = offers::list(app, actor, None, ArchivedFilter::Any, PageRequest::first(OFFERS_AT_MOST)).await?;
    let named = page.items.into_iter().map(|it| (it.offer.id.to_string(), plain(it.offer.name)));
    Ok(std::iter::once((String::new(), text("links.all_offers"))).chain(named).collect())
}

/// A filter of the URL. One that cannot be read is refused, because ignoring it would show everything.
pub fn filter_of<T: FromStr<Err: Display>>(url: &ListUrl, name: &str) -> Result<Option<T>, Problem> {
    let read = url.get(name).map(str::parse).transpose();
    read.map_err(|error| Problem::bad_request("invalid_parameter", format!("{name}: {error}")))
}
