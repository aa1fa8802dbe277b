//! `/api/v1/offers`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::landing::LandingUrl;
use crate::domain::offer::{Offer, OfferStatus, Payout};
use crate::ids::OfferId;
use crate::money::Currency;
use crate::services::offers::{self, Changes, NewOffer};
use crate::web::auth::Caller;
use crate::web::errors::{ApiResult, Problem};
use crate::web::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};

use super::{AmountIn, Issues};

/// What a conversion pays: `{"fixed": "12.50"}` or `{"percent": "30"}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutIn {
    /// An amount in the offer's currency.
    fixed: Option<AmountIn>,
    /// A share of the conversion's amount, 0 to 100.
    percent: Option<AmountIn>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayoutOut {
    #[schema(example = "12.50")]
    Fixed(String),
    #[schema(example = "30")]
    Percent(String),
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferIn {
    #[schema(example = "Pro plan", max_length = 200)]
    name: String,
    /// With macros {click_id}, {affiliate_id}, {offer_id}, {sub1} to {sub10} in path, query or fragment.
    #[schema(example = "https://shop.example/?cid={click_id}")]
    landing_url: String,
    currency: Currency,
    payout: PayoutIn,
    /// Referral codes lead to the default offer. The first offer is it.
    #[serde(default)]
    default: bool,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferChanges {
    name: Option<String>,
    landing_url: Option<String>,
    payout: Option<PayoutIn>,
    status: Option<OfferStatus>,
    /// True makes it the default offer; to take that away make another one the default.
    #[serde(default)]
    default: bool,
}

#[derive(Serialize, ToSchema)]
pub struct OfferOut {
    id: OfferId,
    name: String,
    landing_url: String,
    currency: Currency,
    payout: PayoutOut,
    default: bool,
    status: OfferStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Offer> for OfferOut {
    fn from(it: Offer) -> Self {
        Self {
            id: it.id,
            name: it.name,
            landing_url: it.landing_url.as_str().to_owned(),
            currency: it.currency,
            payout: match it.payout {
                Payout::Fixed(amount) => PayoutOut::Fixed(amount.to_string()),
                Payout::Percent(percent) => PayoutOut::Percent(percent.to_string()),
            },
            default: it.is_default,
            status: it.status,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

fn payout(issues: &mut Issues, it: PayoutIn) -> Option<Payout> {
    match (it.fixed, it.percent) {
        (Some(fixed), None) => AmountIn::read(Some(fixed), "/payout/fixed", issues).map(Payout::Fixed),
        (None, Some(percent)) => {
            let percent = AmountIn::read(Some(percent), "/payout/percent", issues)?;
            if percent.micros() > 100_000_000 {
                issues.add(
                    "/payout/percent",
                    "invalid_amount",
                    format!("{percent} is more than the whole; choose 0 to 100"),
                );
            }
            percent.to_string().parse().ok().map(Payout::Percent)
        }
        _ => {
            issues.add("/payout", "invalid_field", "give either fixed or percent, such as {\"fixed\": \"12.50\"}");
            None
        }
    }
}

fn landing_url(issues: &mut Issues, text: &str) -> Option<LandingUrl> {
    let parsed = LandingUrl::parse(text);
    parsed.map_err(|error| issues.add("/landing_url", "invalid_landing_url", error.to_string())).ok()
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
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let landing_url = landing_url(&mut issues, &body.landing_url);
    let payout = payout(&mut issues, body.payout);
    issues.result()?;
    let (Some(landing_url), Some(payout)) = (landing_url, payout) else {
        unreachable!("what is missing was an issue");
    };
    let new = NewOffer { name, landing_url, currency: body.currency, payout, is_default: body.default };
    Ok((StatusCode::CREATED, Json(offers::create(&app, new).await?.into())))
}

/// List offers, newest first.
#[utoipa::path(get, path = "/api/v1/offers", tag = "offers", params(PageIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<OfferOut>), (status = "default", body = Problem)))]
pub async fn list_offers(
    State(app): State<App>,
    _: Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<OfferOut>>> {
    Ok(Json(PageOut::of(offers::list(&app, page.request()?).await?, OfferOut::from)))
}

/// Read an offer.
#[utoipa::path(get, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = OfferId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn get_offer(State(app): State<App>, _: Caller, PathId(id): PathId<OfferId>) -> ApiResult<Json<OfferOut>> {
    Ok(Json(offers::get(&app, id).await?.into()))
}

/// Change an offer. What it pays changes for conversions to come.
#[utoipa::path(patch, path = "/api/v1/offers/{id}", tag = "offers", params(("id" = OfferId, Path)),
    request_body = OfferChanges,
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = OfferOut), (status = "default", body = Problem)))]
pub async fn change_offer(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiJson(body): ApiJson<OfferChanges>,
) -> ApiResult<Json<OfferOut>> {
    let mut issues = Issues::default();
    let changes = Changes {
        name: body.name.map(|name| issues.text("/name", &name, 200)),
        landing_url: body.landing_url.and_then(|text| landing_url(&mut issues, &text)),
        payout: body.payout.and_then(|it| payout(&mut issues, it)),
        status: body.status,
        make_default: body.default,
    };
    issues.result()?;
    Ok(Json(offers::change(&app, id, changes).await?.into()))
}
