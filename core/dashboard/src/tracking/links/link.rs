//! `/links/{id}`: a link with the builder, its QR code, coupons and last clicks; its target and status can be changed.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::LinkId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::permission::Permission::ManageLinks;
use domain::timestamp::Timestamp;
use domain::tracking::click::Click;
use domain::tracking::coupon::Coupon;
use domain::tracking::link::{Link, LinkStatus};
use engine::Error;
use engine::app::App;
use engine::tracking::clicks;
use engine::tracking::links::{self, LinkData, LinkWithCoupons, NewCoupon};
use serde::{Deserialize, Serialize};
use storage::base::page::PageRequest;
use storage::tracking::clicks::{Filter, VisitFilter};
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::builder::{BuiltUrl, Choices};
use super::{Target, published_url, shown_status};
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;
use crate::tracking::offer_name;

/// Clicks whose sub ids the builder suggests, and those that the page shows.
const CLICKS_READ: u64 = 50;
const CLICKS_SHOWN: usize = 5;

#[derive(Debug, Serialize)]
pub struct LinkPage {
    id: String,
    offer_id: String,
    offer: String,
    target: Target,
    status: ShownStatus,
    built: BuiltUrl,
    builder: Form,
    /// The further sub ids of the builder.
    more: Form,
    /// The builder has values in further sub ids.
    has_more: bool,
    impression_url: String,
    coupons: Vec<CouponRow>,
    clicks: Vec<ClickRow>,
    is_paused: bool,
    is_archived: bool,
    may_change: bool,
    form: Form,
}

#[derive(Debug, Serialize)]
struct CouponRow {
    code: String,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    status: ShownStatus,
}

#[derive(Debug, Serialize)]
struct ClickRow {
    id: String,
    at: Timestamp,
    external_id: Option<String>,
    country: Option<String>,
    device: Option<String>,
}

impl CouponRow {
    fn new(coupon: Coupon, now: Timestamp) -> Self {
        let Coupon { code, active, .. } = coupon;
        let status = match active.starts_at {
            _ if active.at(now) => ShownStatus::of("ok", "circle-check", "coupon_status.valid"),
            Some(start) if now < start => ShownStatus::of("warn", "clock", "coupon_status.planned"),
            _ => ShownStatus::of("off", "circle-slash", "coupon_status.ended"),
        };
        Self { code, starts_at: active.starts_at, ends_at: active.ends_at, status }
    }
}

impl From<Click> for ClickRow {
    fn from(click: Click) -> Self {
        Self {
            id: click.id.to_string(),
            at: click.occurred_at,
            external_id: click.external_id,
            country: click.country,
            device: click.agent.device,
        }
    }
}

/// The target of a link, as its form has it.
#[derive(Clone, Deserialize)]
pub struct TargetForm {
    #[serde(default)]
    deep_url: String,
    #[serde(default)]
    landing_page: String,
}

impl TargetForm {
    fn of(link: &Link) -> Self {
        Self {
            deep_url: link.deep_url.clone().unwrap_or_default(),
            landing_page: link.landing_page.clone().unwrap_or_default(),
        }
    }

    fn fields(&self, landing_pages: Vec<String>) -> Form {
        Form::new(target_fields(&self.deep_url, &self.landing_page, landing_pages))
    }
}

/// The fields of where a link leads.
pub(super) fn target_fields(deep_url: &str, landing_page: &str, landing_pages: Vec<String>) -> [Field; 2] {
    let deep =
        Field::text("deep_url", "links.deep_url").value(deep_url).length(None, 2_000).help("links.deep_url_help");
    let page = Field::text("landing_page", "links.landing_page").value(landing_page).length(None, 100);
    [deep, page.suggestions(landing_pages).help("links.landing_page_help")]
}

/// A text of a form; `None` if it is empty.
pub(super) fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl LinkPage {
    /// The page of a link, with the choices of the builder in the URL.
    async fn load(app: &App, actor: Actor, linked: LinkWithCoupons, url: &ListUrl) -> Result<Self, Error> {
        let LinkWithCoupons { link, coupons } = linked;
        let filter = Filter { link_id: Some(link.id), ..Default::default() };
        let last =
            clicks::list(app, actor, filter, VisitFilter::default(), PageRequest::first(CLICKS_READ)).await?.items;
        let known: Vec<_> = last.iter().flat_map(|click| click.sub_ids.clone()).collect();
        let offer = app.catalog.offer(link.offer_id).await?;
        let pages = offer.map(|offer| offer.terms.landing_pages.iter().map(|page| page.name.clone()).collect());
        let choices = Choices::of(url);
        let (builder, more) = choices.fields(&known);
        let now = app.clock.now();
        Ok(Self {
            id: link.id.to_string(),
            offer_id: link.offer_id.to_string(),
            offer: offer_name(app, link.offer_id).await?,
            target: Target::of(&link),
            status: shown_status(&link),
            built: BuiltUrl::new(&published_url(app, &link), &choices),
            builder,
            more,
            has_more: choices.has_more(),
            impression_url: format!("{}/i/{}", app.public_url, link.id.bare()),
            coupons: coupons.into_iter().map(|it| CouponRow::new(it, now)).collect(),
            clicks: last.into_iter().take(CLICKS_SHOWN).map(ClickRow::from).collect(),
            is_paused: link.status == LinkStatus::Paused,
            is_archived: link.archived_at.is_some(),
            may_change: actor.may(ManageLinks) && actor.may_change().is_ok(),
            form: TargetForm::of(&link).fields(pages.unwrap_or_default()),
        })
    }

    fn reply(self, viewer: &Viewer) -> Reply<Self> {
        let title = text("links.title_of").with("offer", &self.offer);
        viewer.page(title, self).below("/links", text("nav.links"))
    }
}

impl Page for LinkPage {
    const TEMPLATE: &'static str = "tracking/link";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::tracking::coupon::Active;

        let at = Timestamp::from_millis;
        let coupon = |starts_at, ends_at| {
            let link_id = LinkId::new(at(0));
            CouponRow::new(Coupon { code: "SAVE10".into(), link_id, active: Active { starts_at, ends_at } }, at(15))
        };
        let sample = |query: &str, is_paused: bool, is_archived: bool, may_change: bool| {
            let url = ListUrl::of(&format!("/links/lnk_1{query}").parse().expect("a path"));
            let choices = Choices::of(&url);
            let (builder, more) = choices.fields(&[("sub1".into(), "news <b>".into())]);
            let clicked = |full: bool| ClickRow {
                id: "06a5xk2m7q8r9stvwxyz012345".into(),
                at: at(0),
                external_id: full.then(|| "{clickid}".into()),
                country: full.then(|| "DE".into()),
                device: full.then(|| "mobile".into()),
            };
            let target = TargetForm { deep_url: "https://shop.example/<b>".into(), landing_page: String::new() };
            Self {
                id: "lnk_06a5xk2m7q8r9stvwxyz012345".into(),
                offer_id: "off_06a5xk2m7q8r9stvwxyz012345".into(),
                offer: "Harbor <b> Pro".into(),
                target: Target {
                    deep_url: is_paused.then(|| target.deep_url.clone()),
                    landing_page: is_archived.then(|| "spring".into()),
                },
                status: ShownStatus::of("ok", "circle-check", "link_status.active"),
                built: BuiltUrl::new("https://go.example/c/06a5xk2m7q8r9stvwxyz012345", &choices),
                builder,
                more,
                has_more: choices.has_more(),
                impression_url: "https://go.example/i/06a5xk2m7q8r9stvwxyz012345".into(),
                coupons: match is_paused {
                    true => vec![coupon(None, None), coupon(Some(at(20)), None), coupon(Some(at(1)), Some(at(10)))],
                    false => Vec::new(),
                },
                clicks: if is_paused { vec![clicked(true), clicked(false)] } else { Vec::new() },
                is_paused,
                is_archived,
                may_change,
                form: target.fields(vec!["spring".into()]),
            }
        };
        vec![
            sample("", false, false, true),
            sample("?tracker=voluum&sub1=news&sub9=x", true, false, true),
            sample("?sub1=%7Bzone%7D", false, true, true),
            sample("", true, false, false),
        ]
    }
}

/// `GET /links/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
    uri: Uri,
) -> Result<Reply<LinkPage>, Problem> {
    let url = ListUrl::of(&uri);
    let page = LinkPage::load(&app, actor, links::get(&app, actor, id).await?, &url).await?.reply(&viewer);
    Ok(match url.get("done") {
        Some(done @ ("created" | "saved" | "paused" | "activated" | "archived" | "restored")) => {
            page.notice(text(&format!("link_done.{done}")))
        }
        _ => page,
    })
}

/// The data of a link, to be changed in part.
fn data_of(linked: &LinkWithCoupons) -> LinkData {
    let LinkWithCoupons { link, coupons } = linked;
    let coupons = coupons.iter().map(|it| NewCoupon { code: it.code.clone(), active: it.active });
    LinkData {
        affiliate_id: link.affiliate_id,
        offer_id: link.offer_id,
        deep_url: link.deep_url.clone(),
        landing_page: link.landing_page.clone(),
        coupons: coupons.collect(),
        status: link.status,
    }
}

/// The fields that forms of this page change, as the API names them.
#[derive(Serialize)]
struct Recorded {
    deep_url: Option<String>,
    landing_page: Option<String>,
    status: LinkStatus,
    archived_at: Option<Timestamp>,
}

impl From<LinkWithCoupons> for Recorded {
    fn from(LinkWithCoupons { link, .. }: LinkWithCoupons) -> Self {
        let Link { deep_url, landing_page, status, archived_at, .. } = link;
        Self { deep_url, landing_page, status, archived_at }
    }
}

/// Leads back to the page of the link, which says what was done.
fn done(id: LinkId, changed: Changed<LinkWithCoupons>, word: &str) -> Response {
    let changes = AuditedChanges::many(changed.map(Recorded::from).fields());
    (changes, Redirect::to(&format!("/links/{id}?done={word}"))).into_response()
}

/// The page of the link with an error, after a button that has no field.
async fn refused(app: &App, viewer: &Viewer, actor: Actor, id: LinkId, error: Error) -> Result<Response, Problem> {
    let url = ListUrl::of(&Uri::from_static("/links"));
    let page = LinkPage::load(app, actor, links::get(app, actor, id).await?, &url).await?;
    Ok(page.reply(viewer).alert(&Problem::from(error)).into_response())
}

/// `POST /links/{id}`
pub async fn save(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
    Fields(form): Fields<TargetForm>,
) -> Result<Response, Problem> {
    let edit = |linked: &LinkWithCoupons| {
        Ok(LinkData { deep_url: given(&form.deep_url), landing_page: given(&form.landing_page), ..data_of(linked) })
    };
    match links::change(&app, actor, id, edit).await {
        Ok(changed) => Ok(done(id, changed, "saved")),
        Err(error) => {
            let problem = Problem::from(error);
            let url = ListUrl::of(&Uri::from_static("/links"));
            let mut page = LinkPage::load(&app, actor, links::get(&app, actor, id).await?, &url).await?;
            page.form = form.fields(Vec::new());
            let is_shown = page.form.refuse(&problem);
            Ok(page.reply(&viewer).refused(&problem, is_shown).into_response())
        }
    }
}

/// The form of `POST /links/{id}/status`.
#[derive(Deserialize)]
pub struct StatusForm {
    status: LinkStatus,
}

/// `POST /links/{id}/status`
pub async fn set_status(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
    Fields(StatusForm { status }): Fields<StatusForm>,
) -> Result<Response, Problem> {
    let word = if status == LinkStatus::Paused { "paused" } else { "activated" };
    match links::change(&app, actor, id, |linked| Ok(LinkData { status, ..data_of(linked) })).await {
        Ok(changed) => Ok(done(id, changed, word)),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// `POST /links/{id}/archive`
pub async fn archive(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
) -> Result<Response, Problem> {
    match links::archive(&app, actor, id).await {
        Ok(changed) => Ok(done(id, changed, "archived")),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// `POST /links/{id}/restore`
pub async fn restore(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
) -> Result<Response, Problem> {
    match links::restore(&app, actor, id).await {
        Ok(changed) => Ok(done(id, changed, "restored")),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}
