//! `/offers/{id}`: what an offer pays and permits, and the application of an affiliate.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::ids::OfferId;
use domain::people::actor::Actor;
use domain::people::permission::Permission::ManageLinks;
use domain::program::application::ApplicationStatus;
use domain::program::cap::{Cap, Caps, OverCap, Period};
use domain::program::offer::{Offer, Recurring, Visibility};
use engine::Error;
use engine::app::App;
use engine::program::applications;
use engine::program::offers::{self, OfferWithEligibility};
use serde::{Deserialize, Serialize};
use storage::base::page::PageRequest;
use storage::program::applications::Filter;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::offers::{hold, payout_of, pays, shown_status};
use crate::form::{self, Fields};
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

const MESSAGE_MAX: u32 = 2_000;

#[derive(Debug, Serialize)]
pub struct OfferPage {
    id: String,
    status: ShownStatus,
    pays: Text,
    /// What later payments of a customer pay, if they pay differently.
    later: Option<Text>,
    hold: Text,
    minimum_withdrawal: Option<Text>,
    /// How long after the click a conversion counts.
    window: Text,
    goals: Vec<GoalRow>,
    caps: Vec<Text>,
    /// What happens to conversions beyond a limit, and to the place of a rejected one.
    beyond: [Text; 2],
    hosts: Vec<String>,
    landing_pages: Vec<String>,
    /// The sentence about the application, and why it was refused.
    application: Option<Text>,
    reason: Option<String>,
    /// The reader may create links to the offer.
    may_link: bool,
    /// The form to apply; `None` if there is nothing to apply for.
    form: Option<Form>,
}

#[derive(Debug, Serialize)]
struct GoalRow {
    name: String,
    pays: Text,
}

/// A limit as a sentence: "20 conversions a day".
fn cap_sentence(cap: &Cap, offer: &Offer) -> Option<Text> {
    let period = match cap.period {
        Period::Day => "cap_period.day",
        Period::Month => "cap_period.month",
        Period::Total => "cap_period.total",
    };
    let conversions = cap.conversions.map(|count| text("offers.cap_conversions").count("count", count.into()));
    let payout = cap.payout.map(|payout| text("offers.cap_payout").money("payout", payout.of(offer.currency)));
    let most = match (conversions, payout) {
        (Some(conversions), Some(payout)) => {
            text("offers.cap_both").inner("conversions", conversions).inner("payout", payout)
        }
        // A limit has one of them.
        (conversions, payout) => conversions.or(payout)?,
    };
    let sentence = match &cap.goal {
        Some(goal) => text("offers.cap_of_goal").with("goal", goal),
        None => text("offers.cap"),
    };
    Some(sentence.inner("most", most).inner("period", text(period)))
}

fn beyond(caps: &Caps) -> [Text; 2] {
    let over = match caps.over {
        OverCap::Reject => "offers.over_cap.reject",
        OverCap::Hold => "offers.over_cap.hold",
        OverCap::Unpaid => "offers.over_cap.unpaid",
    };
    [text(over), text(if caps.keep_rejected { "offers.keeps_place" } else { "offers.gives_place_back" })]
}

/// What later payments of a customer pay: "3.00 USD for each conversion, for the first 12 payments of a customer".
fn later(recurring: Recurring, it: &OfferWithEligibility) -> Text {
    let pays = pays(recurring.payout.unwrap_or_else(|| payout_of(it, None)), it.offer.currency);
    match recurring.paid_payments {
        Some(1) => text("offers.later_none"),
        Some(paid) => text("offers.later_limited").inner("pays", pays).with("count", paid.to_string()),
        None => pays,
    }
}

fn application_form(message: &str) -> Form {
    let field = Field::text("message", "offers.message").value(message).length(None, MESSAGE_MAX);
    Form::new([field.help("offers.message_help")])
}

impl OfferPage {
    /// `reason` is that of a refused application.
    fn new(actor: Actor, it: &OfferWithEligibility, reason: Option<String>) -> Self {
        let offer = &it.offer;
        let may_change = actor.may(ManageLinks) && actor.may_change().is_ok();
        let application = it.eligibility.as_ref().and_then(|own| own.application);
        let can_apply = it.eligibility.is_some()
            && application.is_none()
            && offer.visibility == Visibility::OnApplication
            && offer.archived_at.is_none();
        let caps: Vec<_> = match &it.eligibility {
            Some(own) => offer.terms.caps.of_affiliate(own.affiliate_id).collect(),
            None => offer.terms.caps.limits.iter().collect(),
        };
        let goal =
            |name: &String| GoalRow { name: name.clone(), pays: pays(payout_of(it, Some(name)), offer.currency) };
        Self {
            id: offer.id.to_string(),
            status: shown_status(it),
            pays: pays(payout_of(it, None), offer.currency),
            later: offer.terms.recurring.map(|recurring| later(recurring, it)),
            hold: hold(offer.hold_days),
            minimum_withdrawal: offer
                .minimum_withdrawal
                .map(|amount| text("offers.minimum").money("amount", amount.of(offer.currency))),
            window: match offer.terms.attribution.window_days {
                Some(days) => text("offers.window").count("days", days.into()),
                None => text("offers.no_window"),
            },
            goals: offer.terms.goals.iter().map(|it| goal(&it.name)).collect(),
            caps: caps.into_iter().filter_map(|cap| cap_sentence(cap, offer)).collect(),
            beyond: beyond(&offer.terms.caps),
            hosts: offer.terms.deep_link_hosts.iter().map(ToString::to_string).collect(),
            landing_pages: offer.terms.landing_pages.iter().map(|page| page.name.clone()).collect(),
            application: application.map(|status| text(&format!("application.{status}"))),
            reason,
            may_link: may_change && it.may_promote() && offer.archived_at.is_none(),
            form: (may_change && can_apply).then(|| application_form("")),
        }
    }

    async fn load(app: &App, actor: Actor, id: OfferId) -> Result<(Text, Self), Error> {
        let found = offers::get(app, actor, id).await?;
        let refused = |own: &offers::Eligibility| own.application == Some(ApplicationStatus::Refused);
        let reason = match found.eligibility.as_ref().filter(|own| refused(own)) {
            Some(own) => {
                let filter = Filter { affiliate_id: Some(own.affiliate_id), offer_id: Some(id), status: None };
                let newest = applications::list(app, actor, filter, PageRequest::first(1)).await?.items.pop();
                newest.and_then(|application| application.reason)
            }
            None => None,
        };
        let page = Self::new(actor, &found, reason);
        Ok((plain(found.offer.name), page))
    }
}

fn reply(viewer: &Viewer, (name, page): (Text, OfferPage)) -> Reply<OfferPage> {
    viewer.page(name, page).below("/offers", text("nav.offers"))
}

impl Page for OfferPage {
    const TEMPLATE: &'static str = "program/offer";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use ApplicationStatus::{Approved, Pending, Refused};

        use super::offers::samples::offer;

        let actor = Actor::bootstrap();
        let reasons =
            [(None, None), (Some(Approved), None), (Some(Pending), None), (Some(Refused), Some("no <b> sites"))];
        let mut pages: Vec<_> = reasons
            .map(|(status, reason)| {
                let reason = reason.map(str::to_owned);
                Self::new(actor, &offer(Visibility::OnApplication, status), reason)
            })
            .into();
        let mut simple = OfferWithEligibility::for_staff(offer(Visibility::Public, None).offer);
        simple.offer.terms.attribution.window_days = Some(30);
        simple.offer.terms.recurring = Some(Recurring::default());
        pages.push(Self::new(actor, &simple, None));
        simple.offer.terms = Default::default();
        simple.offer.minimum_withdrawal = None;
        pages.push(Self::new(actor, &simple, None));
        pages
    }
}

/// `GET /offers/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<OfferId>,
    uri: Uri,
) -> Result<Reply<OfferPage>, Problem> {
    let page = reply(&viewer, OfferPage::load(&app, actor, id).await?);
    Ok(match ListUrl::of(&uri).get("done") {
        Some("applied") => page.notice(text("offers.applied")),
        _ => page,
    })
}

/// The form of `POST /offers/{id}/apply`.
#[derive(Deserialize)]
pub struct ApplicationForm {
    #[serde(default)]
    message: String,
}

/// `POST /offers/{id}/apply`
pub async fn apply(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<OfferId>,
    Fields(form): Fields<ApplicationForm>,
) -> Result<Response, Problem> {
    let message = form.message.trim();
    let applying = async {
        let own = actor.confined_to().ok_or_else(|| Error::invalid("", "only an affiliate can apply for an offer"))?;
        if message.chars().count() > MESSAGE_MAX as usize {
            return Err(Error::invalid("/message", format!("must have at most {MESSAGE_MAX} characters")));
        }
        let message = Some(message.to_owned()).filter(|text| !text.is_empty());
        applications::create(&app, actor, id, own, message).await
    };
    match applying.await {
        Ok(application) => Ok(form::created(application.id, &format!("/offers/{id}?done=applied"))),
        Err(error) => {
            let problem = Problem::from(error);
            let (name, mut page) = OfferPage::load(&app, actor, id).await?;
            let mut fields = application_form(message);
            let is_shown = page.form.is_some() && fields.refuse(&problem);
            page.form = page.form.map(|_| fields);
            Ok(reply(&viewer, (name, page)).refused(&problem, is_shown).into_response())
        }
    }
}
