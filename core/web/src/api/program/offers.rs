//! `/api/v1/offers`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{AmountIn, Issues};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::amounts::{Amount, Currency, Percent};
use domain::ids::OfferId;
use domain::program::application::ApplicationStatus;
use domain::program::cap::Caps;
use domain::program::offer::{Goal, HOLD_DAYS_MAX, LandingPage, OfferStatus, Payout, Visibility};
use domain::timestamp::Timestamp;
use domain::tracking::attribution::AttributionTerms;
use domain::tracking::deep_link::HostPattern;
use domain::tracking::landing::LandingUrl;
use engine::app::App;
use engine::program::offers::{self, Changes, NewOffer, OfferWithEligibility, TermChanges};

/// A payout, or a revenue: either `{"fixed": "12.50"}` or `{"percent": "30"}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutIn {
    /// An amount in the offer's currency.
    fixed: Option<AmountIn>,
    /// A percentage of the conversion's amount, 0 to 100.
    percent: Option<AmountIn>,
}

/// The body of a new or changed offer: its own fields, and the terms that both can set. Each term replaces its
/// whole value.
macro_rules! offer_body {
    ($(#[$attribute:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// Which affiliates may see and promote the offer. A new offer is `public` if absent.
            visibility: Option<Visibility>,
            /// The amount that the advertiser pays for a conversion that is reported without a revenue; null for none.
            /// Not shown to affiliates.
            #[serde(default, deserialize_with = "crate::api::some")]
            #[schema(value_type = Option<PayoutIn>)]
            revenue: Option<Option<PayoutIn>>,
            /// Goals with their own payout or revenue, at most 100.
            #[schema(max_items = 100)]
            goals: Option<Vec<Goal>>,
            /// The URL to which links lead while the offer is paused; null for a "not found" page. It can contain the
            /// macros {affiliate_id} and {offer_id}.
            #[serde(default, deserialize_with = "crate::api::some")]
            #[schema(value_type = Option<String>)]
            fallback_url: Option<Option<String>>,
            /// Landing pages besides `landing_url`, at most 50. A link, or its parameter `lp`, selects one by name;
            /// other visitors are distributed by weight.
            #[schema(max_items = 50)]
            landing_pages: Option<Vec<LandingPage>>,
            /// Hosts of pages to which links may lead by `deep_url` or their parameter `url`, at most 100. No deep
            /// links if empty.
            #[schema(max_items = 100)]
            deep_link_hosts: Option<Vec<HostPattern>>,
            /// How conversions are attributed.
            attribution: Option<AttributionTerms>,
            /// The maximum number or payout of conversions.
            caps: Option<Caps>,
            /// The minimum withdrawal in the offer's currency for affiliates with earnings on this offer; null or 0 for
            /// none.
            #[serde(default, deserialize_with = "crate::api::some")]
            #[schema(value_type = Option<Amount>, example = "50.00")]
            minimum_withdrawal: Option<Option<AmountIn>>,
        }

        impl $name {
            fn minimum_withdrawal(&mut self, issues: &mut Issues) -> Option<Option<Amount>> {
                let amount = self.minimum_withdrawal.take()?;
                Some(AmountIn::read(amount, "/minimum_withdrawal", issues).filter(|it| it.micros() > 0))
            }

            fn terms(&mut self, issues: &mut Issues) -> TermChanges {
                let revenue = self.revenue.take().map(|it| it.and_then(|it| payout(issues, "/revenue", it)));
                let fallback_url = self.fallback_url.take();
                TermChanges {
                    revenue,
                    goals: self.goals.take(),
                    fallback_url: fallback_url
                        .map(|text| text.and_then(|text| landing_url(issues, "/fallback_url", &text))),
                    landing_pages: self.landing_pages.take(),
                    deep_link_hosts: self.deep_link_hosts.take(),
                    attribution: self.attribution.take(),
                    caps: self.caps.take(),
                }
            }
        }
    };
}

offer_body!(OfferIn {
    /// The name of the offer.
    #[schema(example = "Pro plan", max_length = 200)]
    name: String,
    /// The landing page. The URL can contain the macros {click_id}, {affiliate_id}, {offer_id} and {sub1} to {sub10} in
    /// path, query or fragment.
    #[schema(example = "https://shop.example/?cid={click_id}")]
    landing_url: String,
    /// The currency of the offer's amounts. It cannot be changed later.
    currency: Currency,
    /// The amount that an affiliate earns for a conversion.
    payout: PayoutIn,
    /// Whether this is the default offer, to which referral codes lead; false if absent. The first offer is always the
    /// default offer.
    #[serde(default)]
    default: bool,
    /// The hold: days for which an approved payout stays pending, 0 to 730. With 0 (the default) it is available
    /// immediately.
    #[serde(default)]
    #[schema(example = 30, maximum = 730)]
    hold_days: u16,
});

offer_body!(
    /// Changes of an offer. Absent fields are unchanged; other fields replace the whole value.
    #[derive(Default)]
    OfferChanges {
        /// The name of the offer.
        #[schema(max_length = 200)]
        name: Option<String>,
        /// The landing page. The URL can contain the macros {click_id}, {affiliate_id}, {offer_id} and {sub1} to
        /// {sub10} in path, query or fragment.
        landing_url: Option<String>,
        /// The amount that an affiliate earns. It applies to later conversions.
        payout: Option<PayoutIn>,
        status: Option<OfferStatus>,
        /// True makes this the default offer; false has no effect. To replace the default offer, make another offer the
        /// default.
        #[serde(default)]
        default: bool,
        /// The hold, in days. It applies to later approvals; pending earnings keep their release date.
        #[schema(maximum = 730)]
        hold_days: Option<u16>,
    }
);

/// An offer: a product that affiliates promote.
#[derive(Serialize, ToSchema)]
pub struct OfferOut {
    id: OfferId,
    /// The name of the offer.
    name: String,
    /// The landing page, with macros.
    landing_url: String,
    /// The currency of the offer's amounts.
    currency: Currency,
    /// The amount that an affiliate earns for a conversion. Affiliates see their own payout.
    payout: Payout,
    /// The amount that the advertiser pays for a conversion that is reported without a revenue; null if none is set.
    /// Not shown to affiliates.
    revenue: Option<Payout>,
    /// Goals with their own payout or revenue. Affiliates see their own payout for each goal, and no revenue.
    goals: Vec<Goal>,
    visibility: Visibility,
    /// Whether the calling affiliate may promote the offer; always true for staff.
    may_promote: bool,
    /// The status of the calling affiliate's application; null without one, and for staff.
    application: Option<ApplicationStatus>,
    /// The URL to which links lead while the offer is paused; null for a "not found" page.
    fallback_url: Option<LandingUrl>,
    /// Landing pages besides `landing_url`.
    landing_pages: Vec<LandingPage>,
    /// Hosts of pages to which links may lead; no deep links if empty.
    deep_link_hosts: Vec<HostPattern>,
    attribution: AttributionTerms,
    /// The maximum number or payout of conversions. Affiliates see only the limits per affiliate that apply to them.
    caps: Caps,
    /// Whether this is the default offer, to which referral codes lead.
    default: bool,
    /// The hold: days for which an approved payout stays pending; with 0 it is available immediately.
    hold_days: u16,
    /// The minimum withdrawal in the offer's currency for affiliates with earnings on this offer; null if there is
    /// none.
    minimum_withdrawal: Option<Amount>,
    status: OfferStatus,
    /// When the offer was created.
    created_at: Timestamp,
    /// When the offer last changed.
    updated_at: Timestamp,
}

impl From<OfferWithEligibility> for OfferOut {
    fn from(offer: OfferWithEligibility) -> Self {
        let may_promote = offer.may_promote();
        let OfferWithEligibility { mut offer, eligibility } = offer;
        let application = eligibility.as_ref().and_then(|it| it.application);
        if let Some(own) = eligibility {
            let payout = |goal| own.payout_overrides.payout_for(&offer, own.affiliate_id, goal);
            let goals = offer.terms.goals.iter().map(|goal| Goal {
                name: goal.name.clone(),
                payout: Some(payout(Some(&goal.name))),
                revenue: None,
            });
            (offer.terms.goals, offer.payout) = (goals.collect(), payout(None));
            offer.terms.revenue = None;
            offer.terms.caps.limits = offer.terms.caps.of_affiliate(own.affiliate_id).cloned().collect();
        }
        let terms = offer.terms;
        Self {
            id: offer.id,
            name: offer.name,
            landing_url: offer.landing_url.as_str().to_owned(),
            currency: offer.currency,
            payout: offer.payout,
            revenue: terms.revenue,
            goals: terms.goals,
            visibility: offer.visibility,
            may_promote,
            application,
            fallback_url: terms.fallback_url,
            landing_pages: terms.landing_pages,
            deep_link_hosts: terms.deep_link_hosts,
            attribution: terms.attribution,
            caps: terms.caps,
            default: offer.is_default,
            hold_days: offer.hold_days,
            minimum_withdrawal: offer.minimum_withdrawal,
            status: offer.status,
            created_at: offer.created_at,
            updated_at: offer.updated_at,
        }
    }
}

pub(crate) fn payout(issues: &mut Issues, path: &str, payout: PayoutIn) -> Option<Payout> {
    let (fixed_path, percent_path) = (format!("{path}/fixed"), format!("{path}/percent"));
    match (payout.fixed, payout.percent) {
        (Some(fixed), None) => AmountIn::read(Some(fixed), &fixed_path, issues).map(Payout::Fixed),
        (None, Some(percent)) => {
            let percent = AmountIn::read(Some(percent), &percent_path, issues)?;
            let share = Percent::from_amount(percent);
            if share.is_none() {
                let message = format!("{percent} is more than 100 percent; use 0 to 100");
                issues.add(&percent_path, "invalid_amount", message);
            }
            share.map(Payout::Percent)
        }
        _ => {
            issues.add(path, "invalid_field", "use either fixed or percent, such as {\"fixed\": \"12.50\"}");
            None
        }
    }
}

fn landing_url(issues: &mut Issues, path: &str, text: &str) -> Option<LandingUrl> {
    let parsed = LandingUrl::parse(text);
    parsed.map_err(|error| issues.add(path, "invalid_landing_url", error.to_string())).ok()
}

fn hold_days(issues: &mut Issues, days: u16) -> u16 {
    if days > HOLD_DAYS_MAX {
        issues.add("/hold_days", "invalid_field", format!("{days} days is too long; use 0 to {HOLD_DAYS_MAX}"));
    }
    days
}

/// Create an offer.
#[utoipa::path(post, path = "/api/v1/offers", tag = "offers", request_body = OfferIn,
    security(("api_key" = ["manage_offers"])),
    responses((status = 201, body = OfferOut), (status = "default", body = Problem)))]
pub async fn create_offer(
    State(app): State<App>,
    _: Caller,
    ApiJson(mut body): ApiJson<OfferIn>,
) -> ApiResult<(StatusCode, Json<OfferOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let terms = body.terms(&mut issues);
    let minimum_withdrawal = body.minimum_withdrawal(&mut issues).flatten();
    let landing_url = landing_url(&mut issues, "/landing_url", &body.landing_url);
    let payout = payout(&mut issues, "/payout", body.payout);
    let hold_days = hold_days(&mut issues, body.hold_days);
    issues.result()?;
    let (Some(landing_url), Some(payout)) = (landing_url, payout) else {
        unreachable!("a missing field is an issue");
    };
    let new = NewOffer {
        name,
        landing_url,
        currency: body.currency,
        payout,
        visibility: body.visibility.unwrap_or_default(),
        terms,
        is_default: body.default,
        hold_days,
        minimum_withdrawal,
    };
    Ok((StatusCode::CREATED, Json(OfferWithEligibility::for_staff(offers::create(&app, new).await?).into())))
}

/// List offers, newest first. Affiliates see the offers that they may promote or apply for, with their own payout.
#[utoipa::path(get, path = "/api/v1/offers", tag = "offers", params(PageIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<OfferOut>), (status = "default", body = Problem)))]
pub async fn list_offers(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<OfferOut>>> {
    Ok(Json(PageOut::of(offers::list(&app, actor, page.request()?).await?, OfferOut::from)))
}

/// Read an offer.
#[utoipa::path(get, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = OfferId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn get_offer(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<OfferId>,
) -> ApiResult<Json<OfferOut>> {
    Ok(Json(offers::get(&app, actor, id).await?.into()))
}

/// Change an offer. A changed payout applies to later conversions.
#[utoipa::path(patch, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = OfferId, Path)),
    request_body = OfferChanges,
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn change_offer(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiJson(mut body): ApiJson<OfferChanges>,
) -> ApiResult<Audited<OfferOut>> {
    let mut issues = Issues::default();
    let terms = body.terms(&mut issues);
    let minimum_withdrawal = body.minimum_withdrawal(&mut issues);
    let changes = Changes {
        name: body.name.map(|name| issues.text("/name", &name, 200)),
        landing_url: body.landing_url.and_then(|text| landing_url(&mut issues, "/landing_url", &text)),
        payout: body.payout.and_then(|it| payout(&mut issues, "/payout", it)),
        status: body.status,
        visibility: body.visibility,
        terms,
        make_default: body.default,
        hold_days: body.hold_days.map(|days| hold_days(&mut issues, days)),
        minimum_withdrawal,
    };
    issues.result()?;
    Ok(Audited(offers::change(&app, id, changes).await?.map(|it| OfferWithEligibility::for_staff(it).into())))
}
