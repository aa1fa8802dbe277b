//! `/links/new`: creates a link. The choices of the link builder are kept for the page of the link.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::archive::ArchivedFilter;
use domain::ids::{AffiliateId, InvalidId, OfferId};
use domain::people::actor::Actor;
use domain::program::offer::Offer;
use domain::tracking::link::LinkStatus;
use engine::Error;
use engine::app::App;
use engine::program::offers;
use engine::tracking::links::{self, LinkData};
use serde::{Deserialize, Serialize};
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use super::builder::tracker_field;
use super::link::{given, target_fields};
use crate::form::{self, Fields};
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;

/// The most offers that the form offers.
const OFFERS_AT_MOST: u64 = 200;

#[derive(Debug, Serialize)]
pub struct NewLink {
    form: Form,
    /// There is an offer that the affiliate may promote.
    has_offer: bool,
}

/// The form of `POST /links`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct LinkForm {
    affiliate_id: String,
    offer_id: String,
    deep_url: String,
    landing_page: String,
    tracker: String,
    sub1: String,
    sub2: String,
}

impl LinkForm {
    fn of(url: &ListUrl) -> Self {
        let value = |name| url.get(name).unwrap_or_default().to_owned();
        Self { offer_id: value("offer_id"), tracker: value("tracker"), ..Self::default() }
    }

    fn data(&self, actor: Actor) -> Result<LinkData, Error> {
        let invalid = |path: &'static str| move |error: InvalidId| Error::invalid(path, error.to_string());
        let affiliate_id = match actor.confined_to() {
            Some(own) => own,
            None => self.affiliate_id.trim().parse::<AffiliateId>().map_err(invalid("/affiliate_id"))?,
        };
        Ok(LinkData {
            affiliate_id,
            offer_id: self.offer_id.parse::<OfferId>().map_err(invalid("/offer_id"))?,
            deep_url: given(&self.deep_url),
            landing_page: given(&self.landing_page),
            coupons: Vec::new(),
            status: LinkStatus::default(),
        })
    }

    fn fields(&self, is_staff: bool, offers: &[Offer]) -> Form {
        let affiliate =
            Field::text("affiliate_id", "links.affiliate").value(&self.affiliate_id).help("links.affiliate_help");
        let choices = offers.iter().map(|it| (it.id.to_string(), plain(&it.name)));
        let pages = match offers {
            [only] => landing_pages(only),
            _ => offers.iter().find(|it| it.id.to_string() == self.offer_id).map(landing_pages).unwrap_or_default(),
        };
        let target = target_fields(&self.deep_url, &self.landing_page, pages);
        let sub_id = |name, label, value: &str| Field::text(name, label).value(value).length(None, 512);
        let last = [
            tracker_field(&self.tracker),
            sub_id("sub1", "sub_id.sub1", &self.sub1).help("links.sub_ids_help"),
            sub_id("sub2", "sub_id.sub2", &self.sub2),
        ];
        let first = is_staff.then(|| affiliate.required()).into_iter();
        let offer = Field::select("offer_id", "links.offer", &self.offer_id, choices);
        Form::new(first.chain([offer]).chain(target).chain(last))
    }
}

fn landing_pages(offer: &Offer) -> Vec<String> {
    offer.terms.landing_pages.iter().map(|page| page.name.clone()).collect()
}

/// The offers in use for which the caller may create links.
async fn promotable(app: &App, actor: Actor) -> Result<Vec<Offer>, Error> {
    let page = PageRequest::first(OFFERS_AT_MOST);
    let found = offers::list(app, actor, None, ArchivedFilter::InUse, page).await?.items;
    Ok(found.into_iter().filter(offers::OfferWithEligibility::may_promote).map(|it| it.offer).collect())
}

impl Page for NewLink {
    const TEMPLATE: &'static str = "tracking/new_link";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let form = |is_staff| LinkForm { sub1: "<b>".into(), ..LinkForm::default() }.fields(is_staff, &[]);
        let mut failed = form(true);
        failed.refuse(&Problem::from(Error::invalid("/offer_id", "is missing")));
        vec![
            Self { form: form(false), has_offer: true },
            Self { form: failed, has_offer: true },
            Self { form: form(false), has_offer: false },
        ]
    }
}

fn reply(viewer: &Viewer, form: Form, has_offer: bool) -> Reply<NewLink> {
    let page = viewer.page(text("links.new"), NewLink { form, has_offer });
    page.lead(text("links.new_lead")).below("/links", text("nav.links"))
}

/// `GET /links/new`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<NewLink>, Problem> {
    let offers = promotable(&app, actor).await?;
    let form = LinkForm::of(&ListUrl::of(&uri)).fields(actor.is_staff(), &offers);
    Ok(reply(&viewer, form, !offers.is_empty()))
}

/// `POST /links`
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(form): Fields<LinkForm>,
) -> Result<Response, Problem> {
    let creating = async { links::create(&app, actor, form.data(actor)?).await };
    match creating.await {
        Ok(created) => {
            let id = created.link.id;
            let chosen = [("tracker", &form.tracker), ("sub1", &form.sub1), ("sub2", &form.sub2)];
            let chosen = chosen.into_iter().filter(|(_, value)| !value.is_empty());
            let query = url::form_urlencoded::Serializer::new("done=created".to_owned()).extend_pairs(chosen).finish();
            Ok(form::created(id, &format!("/links/{id}?{query}")))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let offers = promotable(&app, actor).await?;
            let mut fields = form.fields(actor.is_staff(), &offers);
            let is_shown = fields.refuse(&problem);
            Ok(reply(&viewer, fields, true).refused(&problem, is_shown).into_response())
        }
    }
}
