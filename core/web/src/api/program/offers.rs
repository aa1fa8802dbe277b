//! `/api/v1/offers`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{AmountIn, Issues, has_control_characters};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::amounts::{Amount, Currency, Percent};
use domain::archive::ArchivedFilter;
use domain::ids::OfferId;
use domain::program::application::ApplicationStatus;
use domain::program::cap::Caps;
use domain::program::offer::{
    Goal, HOLD_DAYS_MAX, LandingPage, Offer, OfferStatus, Payout, Recurring, Terms, UnknownGoal, Visibility,
};
use domain::timestamp::Timestamp;
use domain::tracking::attribution::AttributionTerms;
use domain::tracking::deep_link::HostPattern;
use domain::tracking::landing::LandingUrl;
use engine::Error;
use engine::app::App;
use engine::program::offers::{self, OfferData, OfferWithEligibility};

/// A payout, or a revenue: either `{"fixed": "12.50"}` or `{"percent": "30"}`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutIn {
    /// An amount in the offer's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fixed: Option<AmountIn>,
    /// A percentage of the conversion's amount, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<AmountIn>,
}

impl PayoutIn {
    const NONE: Self = Self { fixed: None, percent: None };
}

impl From<Payout> for PayoutIn {
    fn from(payout: Payout) -> Self {
        match payout {
            Payout::Fixed(amount) => Self { fixed: Some(AmountIn::of(amount)), percent: None },
            Payout::Percent(percent) => Self { fixed: None, percent: Some(AmountIn::of(percent)) },
        }
    }
}

/// An offer: a product that affiliates promote.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferIn {
    /// The name of the offer.
    #[schema(example = "Pro plan", min_length = 1, max_length = 200)]
    name: String,
    /// The landing page. The URL can contain the macros {click_id}, {affiliate_id}, {offer_id} and {sub1} to {sub10} in
    /// path, query or fragment. `&amp;` and `&#038;` are stored as `&`.
    #[schema(example = "https://shop.example/?cid={click_id}")]
    landing_url: String,
    /// The currency of the offer's amounts. It cannot be changed later.
    currency: Currency,
    /// The amount that an affiliate earns for a conversion. A change applies to later conversions.
    payout: PayoutIn,
    /// `active` if absent.
    #[serde(default)]
    status: OfferStatus,
    /// Which affiliates may see and promote the offer; `public` if absent.
    #[serde(default)]
    visibility: Visibility,
    /// The amount that the advertiser pays for a conversion that is reported without a revenue; null for none.
    /// Not shown to affiliates.
    #[serde(default)]
    revenue: Option<PayoutIn>,
    /// Goals with their own payout or revenue, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    goals: Vec<Goal>,
    /// How conversions with a goal that is not in `goals` are handled, if there are any `goals`; `hold` if absent.
    #[serde(default)]
    unknown_goal: UnknownGoal,
    /// What the payments of a customer after the first one pay, such as the renewals of a subscription; null if each pays
    /// the same.
    #[serde(default)]
    recurring: Option<Recurring>,
    /// The URL to which links lead while the offer is paused; null for a "not found" page. It can contain the macros
    /// {affiliate_id} and {offer_id}.
    #[serde(default)]
    fallback_url: Option<String>,
    /// Landing pages besides `landing_url`, at most 50. A link, or its parameter `lp`, selects one by name; other
    /// visitors are distributed by weight.
    #[serde(default)]
    #[schema(max_items = 50)]
    landing_pages: Vec<LandingPage>,
    /// Hosts of pages to which links may lead by `deep_url` or their parameter `url`, at most 100. No deep links if
    /// empty.
    #[serde(default)]
    #[schema(max_items = 100)]
    deep_link_hosts: Vec<HostPattern>,
    /// Whether sources add parameters to landing page URLs, such as `affrank_sid`; true if absent. Send false if the
    /// landing page refuses parameters that it does not know.
    #[serde(default = "crate::api::default_true")]
    source_parameters: bool,
    /// How conversions are attributed.
    #[serde(default)]
    attribution: AttributionTerms,
    /// The maximum number or payout of conversions.
    #[serde(default)]
    caps: Caps,
    /// Whether this is the default offer, to which referral codes lead; false if absent. The first offer is always the
    /// default offer. To replace the default offer, make another offer the default.
    #[serde(default)]
    default: bool,
    /// The hold: days for which an approved payout stays pending, 0 to 730. With 0 (the default) it is available
    /// immediately. A change applies to later approvals; pending earnings keep their release date.
    #[serde(default)]
    #[schema(example = 30, maximum = 730)]
    hold_days: u16,
    /// The minimum withdrawal in the offer's currency for affiliates with earnings on this offer; null or 0 for none.
    #[serde(default)]
    #[schema(value_type = Option<Amount>, example = "50.00")]
    minimum_withdrawal: Option<AmountIn>,
}

impl OfferIn {
    fn data(self) -> Result<OfferData, Error> {
        let mut issues = Issues::default();
        let name = issues.text("/name", &self.name, 200);
        let minimum_withdrawal = AmountIn::read(self.minimum_withdrawal, "/minimum_withdrawal", &mut issues);
        let landing_url = landing_url(&mut issues, "/landing_url", &self.landing_url);
        let page = |(at, page): (usize, LandingPage)| {
            let url = self::landing_url(&mut issues, &format!("/landing_pages/{at}/url"), page.url.as_str())?;
            Some(LandingPage { url, ..page })
        };
        let landing_pages = self.landing_pages.into_iter().enumerate().filter_map(page).collect();
        let payout_of = payout(&mut issues, "/payout", self.payout);
        let terms = Terms {
            revenue: self.revenue.and_then(|it| payout(&mut issues, "/revenue", it)),
            goals: self.goals,
            unknown_goal: self.unknown_goal,
            recurring: self.recurring,
            fallback_url: self.fallback_url.and_then(|text| self::landing_url(&mut issues, "/fallback_url", &text)),
            landing_pages,
            deep_link_hosts: self.deep_link_hosts,
            without_source_parameters: !self.source_parameters,
            attribution: self.attribution,
            caps: self.caps,
        };
        let hold_days = hold_days(&mut issues, self.hold_days);
        issues.result()?;
        let (Some(landing_url), Some(payout)) = (landing_url, payout_of) else {
            unreachable!("a missing field is an issue");
        };
        Ok(OfferData {
            name,
            landing_url,
            currency: self.currency,
            payout,
            status: self.status,
            visibility: self.visibility,
            terms,
            is_default: self.default,
            hold_days,
            minimum_withdrawal: minimum_withdrawal.filter(|it| it.micros() > 0),
        })
    }

    /// The body that would create this offer.
    fn of(offer: &Offer) -> Self {
        let terms = offer.terms.clone();
        Self {
            name: offer.name.clone(),
            landing_url: offer.landing_url.as_str().to_owned(),
            currency: offer.currency,
            payout: offer.payout.into(),
            status: offer.status,
            visibility: offer.visibility,
            revenue: terms.revenue.map(PayoutIn::from),
            goals: terms.goals,
            unknown_goal: terms.unknown_goal,
            recurring: terms.recurring,
            fallback_url: terms.fallback_url.map(|url| url.as_str().to_owned()),
            landing_pages: terms.landing_pages,
            deep_link_hosts: terms.deep_link_hosts,
            source_parameters: !terms.without_source_parameters,
            attribution: terms.attribution,
            caps: terms.caps,
            default: offer.is_default,
            hold_days: offer.hold_days,
            minimum_withdrawal: offer.minimum_withdrawal.map(AmountIn::of),
        }
    }

    fn patched(offer: &Offer, patch: &Patch) -> Result<Self, Error> {
        let mut present = Self::of(offer);
        // A percentage replaces a fixed amount, and the reverse.
        if patch.chooses("payout") {
            present.payout = PayoutIn::NONE;
        }
        if patch.chooses("revenue") {
            present.revenue = None;
        }
        if let (Some(recurring), Some(change)) = (&mut present.recurring, patch.get("recurring"))
            && change.get("payout").is_some()
        {
            recurring.payout = None;
        }
        patch.apply(&present)
    }
}

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
    /// How conversions with a goal that is not in `goals` are handled, if there are any `goals`.
    unknown_goal: UnknownGoal,
    /// What the payments of a customer after the first one pay; null if each pays the same.
    recurring: Option<Recurring>,
    visibility: Visibility,
    /// Whether the calling affiliate may promote the offer; true for staff. False while the offer is archived.
    may_promote: bool,
    /// The status of the calling affiliate's application; null without one, and for staff.
    application: Option<ApplicationStatus>,
    /// The URL to which links lead while the offer is paused; null for a "not found" page.
    fallback_url: Option<LandingUrl>,
    /// Landing pages besides `landing_url`.
    landing_pages: Vec<LandingPage>,
    /// Hosts of pages to which links may lead; no deep links if empty.
    deep_link_hosts: Vec<HostPattern>,
    /// Whether sources add parameters to landing page URLs, such as `affrank_sid`.
    source_parameters: bool,
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
    /// When the offer was archived; null while it is in use.
    archived_at: Option<Timestamp>,
}

impl From<OfferWithEligibility> for OfferOut {
    fn from(offer: OfferWithEligibility) -> Self {
        let may_promote = offer.may_promote() && offer.offer.archived_at.is_none();
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
            unknown_goal: terms.unknown_goal,
            recurring: terms.recurring,
            visibility: offer.visibility,
            may_promote,
            application,
            fallback_url: terms.fallback_url,
            landing_pages: terms.landing_pages,
            deep_link_hosts: terms.deep_link_hosts,
            source_parameters: !terms.without_source_parameters,
            attribution: terms.attribution,
            caps: terms.caps,
            default: offer.is_default,
            hold_days: offer.hold_days,
            minimum_withdrawal: offer.minimum_withdrawal,
            status: offer.status,
            created_at: offer.created_at,
            updated_at: offer.updated_at,
            archived_at: offer.archived_at,
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
    if has_control_characters(text.trim()) {
        issues.add(path, "invalid_landing_url", "the URL contains a line break or a control character; remove it");
        return None;
    }
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
    ApiJson(body): ApiJson<OfferIn>,
) -> ApiResult<(StatusCode, Json<OfferOut>)> {
    let offer = offers::create(&app, body.data()?).await?;
    Ok((StatusCode::CREATED, Json(OfferWithEligibility::for_staff(offer).into())))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfferFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only offers whose name, landing page (with or without `https://`) or id begins with this text.
    search: Option<String>,
    /// Which offers the list has: `false` (the default) those in use, `true` archived ones, `any` both.
    #[param(inline)]
    archived: Option<ArchivedFilter>,
}

/// List offers, newest first. Affiliates see the offers that they may promote or apply for, with their own payout.
#[utoipa::path(get, path = "/api/v1/offers", tag = "offers", params(OfferFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<OfferOut>), (status = "default", body = Problem)))]
pub async fn list_offers(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<OfferFilter>,
) -> ApiResult<Json<PageOut<OfferOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor }.request()?;
    let search = filters::search(params.search.as_deref())?;
    let archived = params.archived.unwrap_or_default();
    Ok(Json(PageOut::of(offers::list(&app, actor, search, archived, page).await?, OfferOut::from)))
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

/// Change an offer.
///
/// The body is a merge patch (RFC 7396). A changed payout applies to later conversions.
#[utoipa::path(patch, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = OfferId, Path)),
    request_body = OfferIn,
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn change_offer(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    patch: Patch,
) -> ApiResult<Audited<OfferOut>> {
    let changed = offers::change(&app, id, |offer| OfferIn::patched(offer, &patch)?.data()).await?;
    Ok(Audited(changed.map(|it| OfferWithEligibility::for_staff(it).into())))
}

/// Archive an offer.
///
/// It stays for statistics and the books, and is not in lists by default. Its links lead to the fallback URL or a "not
/// found" page, as those of a paused offer, and it takes no new links and applications. Conversions of earlier clicks
/// are recorded and paid. Archiving it again has no effect. The default offer cannot be archived (409).
#[utoipa::path(post, path = "/api/v1/offers/{id}/archive", tag = "offers", params(("id" = OfferId, Path)),
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn archive_offer(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
) -> ApiResult<Audited<OfferOut>> {
    Ok(Audited(offers::archive(&app, id).await?.map(|it| OfferWithEligibility::for_staff(it).into())))
}

/// Restore an archived offer.
///
/// Its links lead to it again, unless it is paused. Restoring an offer that is in use has no effect.
#[utoipa::path(post, path = "/api/v1/offers/{id}/restore", tag = "offers", params(("id" = OfferId, Path)),
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn restore_offer(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
) -> ApiResult<Audited<OfferOut>> {
    Ok(Audited(offers::restore(&app, id).await?.map(|it| OfferWithEligibility::for_staff(it).into())))
}
