//! `/offers`: the offers that the reader may see, with what they pay and whether the reader may promote them.

use axum::extract::State;
use axum::http::Uri;
use domain::amounts::Currency;
use domain::archive::ArchivedFilter;
use domain::program::application::ApplicationStatus;
use domain::program::offer::{OfferStatus, Payout, Visibility};
use engine::app::App;
use engine::program::offers::{self, OfferWithEligibility};
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;
use web::filters;

use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Offers {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    name: String,
    pays: Text,
    hold: Text,
    goals: usize,
    status: ShownStatus,
}

/// What an offer pays for a conversion.
pub(super) fn pays(payout: Payout, currency: Currency) -> Text {
    match payout {
        Payout::Fixed(amount) => text("offers.pays_fixed").money("payout", amount.of(currency)),
        Payout::Percent(percent) => text("offers.pays_percent").with("percent", percent.to_string()),
    }
}

/// How long an approved payout is held.
pub(super) fn hold(days: u16) -> Text {
    match days {
        0 => text("offers.no_hold"),
        days => text("offers.hold").count("days", days.into()),
    }
}

/// What the reader earns for a conversion with a goal, or with none. Staff read the payout of the offer.
pub(super) fn payout_of(it: &OfferWithEligibility, goal: Option<&str>) -> Payout {
    match &it.eligibility {
        Some(own) => own.payout_overrides.payout_for(&it.offer, own.affiliate_id, goal),
        None => {
            let listed = it.offer.terms.goals.iter().find(|known| Some(known.name.as_str()) == goal);
            listed.and_then(|goal| goal.payout).unwrap_or(it.offer.payout)
        }
    }
}

/// Whether the reader may promote an offer, or why not.
pub(super) fn shown_status(it: &OfferWithEligibility) -> ShownStatus {
    let application = it.eligibility.as_ref().and_then(|own| own.application);
    match (it.offer.status, application) {
        _ if it.offer.archived_at.is_some() => ShownStatus::of("off", "circle-slash", "offer_status.archived"),
        (OfferStatus::Paused, _) => ShownStatus::of("warn", "pause", "offer_status.paused"),
        _ if it.eligibility.is_none() => ShownStatus::of("ok", "circle-check", "offer_status.active"),
        _ if it.offer.visibility == Visibility::Public => ShownStatus::of("ok", "circle-check", "offer_status.open"),
        (_, Some(ApplicationStatus::Approved)) => ShownStatus::of("ok", "badge-check", "offer_status.approved"),
        (_, Some(ApplicationStatus::Pending)) => ShownStatus::of("warn", "clock", "offer_status.pending"),
        (_, Some(ApplicationStatus::Refused)) => ShownStatus::of("bad", "circle-x", "offer_status.refused"),
        (_, None) => ShownStatus::of("info", "circle-dashed", "offer_status.on_application"),
    }
}

impl From<OfferWithEligibility> for Row {
    fn from(it: OfferWithEligibility) -> Self {
        Self {
            pays: pays(payout_of(&it, None), it.offer.currency),
            hold: hold(it.offer.hold_days),
            goals: it.offer.terms.goals.len(),
            status: shown_status(&it),
            id: it.offer.id.to_string(),
            name: it.offer.name,
        }
    }
}

impl Offers {
    fn new(url: &ListUrl, rows: Vec<Row>, pager: Pager) -> Self {
        let search = url.get("search");
        let field = Field::text("search", "offers.search").value(search.unwrap_or_default());
        let filters = Filters::new(url).add(url, field, "search", "offers.search", search.map(plain));
        Self { is_filtered: filters.any_set(), filters, rows, pager }
    }
}

impl Page for Offers {
    const TEMPLATE: &'static str = "program/offers";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use ApplicationStatus::{Approved, Pending, Refused};

        let mut all: Vec<_> = [None, Some(Approved), Some(Pending), Some(Refused)]
            .map(|it| samples::offer(Visibility::OnApplication, it))
            .into();
        let mut paused = samples::offer(Visibility::Public, None);
        paused.offer.status = OfferStatus::Paused;
        paused.offer.hold_days = 0;
        let mut archived = samples::offer(Visibility::Public, None);
        archived.offer.archived_at = Some(archived.offer.created_at);
        archived.offer.terms.goals.clear();
        let of_staff = OfferWithEligibility::for_staff(samples::offer(Visibility::Public, None).offer);
        all.extend([samples::offer(Visibility::Public, None), paused, archived, of_staff]);
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let (whole, filtered) = (url("/offers"), url("/offers?search=x&cursor=x"));
        let next = Some(uuid::Uuid::nil());
        vec![
            Self::new(&whole, all.into_iter().map(Row::from).collect(), Pager::new(&whole, next)),
            Self::new(&whole, Vec::new(), Pager::new(&whole, None)),
            Self::new(&filtered, Vec::new(), Pager::new(&filtered, next)),
        ]
    }
}

/// `GET /offers`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Offers>, Problem> {
    let url = ListUrl::of(&uri);
    let search = filters::search(url.get("search"))?;
    let request = PageRequest::first(ROWS).after(cursor(&url));
    let page = offers::list(&app, actor, search, ArchivedFilter::InUse, request).await?;
    let rows = page.items.into_iter().map(Row::from).collect();
    let list = Offers::new(&url, rows, Pager::new(&url, page.next));
    let lead = if actor.is_staff() { "offers.lead_staff" } else { "offers.lead" };
    Ok(viewer.page(text("nav.offers"), list).lead(text(lead)).wide())
}

#[cfg(test)]
pub(super) mod samples {
    use domain::ids::{AffiliateId, OfferId};
    use domain::program::offer::{Goal, LandingPage, Offer, Recurring, Terms};
    use domain::program::payout_override::PayoutOverrides;
    use domain::timestamp::Timestamp;
    use domain::tracking::landing::LandingUrl;
    use engine::program::offers::Eligibility;
    use serde_json::json;

    use super::*;

    /// An offer with everything, as an affiliate with an application of this status sees it.
    pub fn offer(visibility: Visibility, application: Option<ApplicationStatus>) -> OfferWithEligibility {
        let url = LandingUrl::parse("https://shop.example/").expect("a URL");
        let caps = json!({"limits": [
            {"per": "affiliate", "period": "day", "conversions": 20},
            {"per": "affiliate", "period": "month", "payout": "900", "goal": "trial <b>"},
            {"per": "affiliate", "period": "total", "conversions": 5, "payout": "100"},
        ]});
        let goal = |name: &str, payout| Goal { name: name.into(), payout, revenue: None };
        let fixed = Payout::Fixed("12.50".parse().expect("an amount"));
        let terms = Terms {
            goals: vec![goal("trial <b>", Some(fixed)), goal("sale", None)],
            landing_pages: vec![LandingPage { name: "spring <b>".into(), url: url.clone(), weight: 0 }],
            deep_link_hosts: vec!["*.shop.example".parse().expect("a host")],
            caps: serde_json::from_value(caps).expect("caps"),
            recurring: Some(Recurring { payout: Some(fixed), paid_payments: Some(12) }),
            ..Terms::default()
        };
        let offer = Offer {
            id: OfferId::new(Timestamp::from_millis(0)),
            name: "Harbor <b> Pro".into(),
            landing_url: url,
            currency: "USD".parse().expect("a currency"),
            payout: Payout::Percent("30".parse().expect("a percentage")),
            status: OfferStatus::Active,
            visibility,
            terms,
            is_default: false,
            hold_days: 14,
            minimum_withdrawal: Some("50".parse().expect("an amount")),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            archived_at: None,
        };
        let affiliate_id = AffiliateId::new(Timestamp::from_millis(0));
        let eligibility = Eligibility { affiliate_id, payout_overrides: PayoutOverrides::default(), application };
        OfferWithEligibility { offer, eligibility: Some(eligibility) }
    }
}
