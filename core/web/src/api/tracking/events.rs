//! `/api/v1/events`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn, TestFilter};
use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::event::{Event, Facts};
use engine::app::App;
use engine::tracking::events;

/// The maximum number of attributes of one event.
pub(crate) const ATTRIBUTES_MAX: usize = 20;
/// The maximum number of characters of an attribute's value.
pub(crate) const ATTRIBUTE_MAX_CHARS: usize = 500;

/// A custom event: something that happened after a conversion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventIn {
    /// The conversion after which it happened.
    conversion_id: ConversionId,
    /// The name of the event.
    #[schema(example = "renewal", min_length = 1, max_length = 100)]
    name: String,
    /// Further data for postbacks, at most 20 attributes. Names have 1 to 100 characters, and values at most 500.
    #[serde(default)]
    #[schema(example = json!({"level": "gold"}))]
    attributes: BTreeMap<String, String>,
}

/// A record of something that happened. It is not changed later.
#[derive(Serialize, ToSchema)]
pub struct EventOut {
    id: EventId,
    action: Action,
    /// When it happened.
    occurred_at: Timestamp,
    /// The affiliate of the click or conversion.
    affiliate_id: AffiliateId,
    /// The offer of the click or conversion.
    offer_id: OfferId,
    /// The click or impression; null for a conversion without a click.
    click_id: Option<ClickId>,
    /// The conversion; null for clicks and impressions.
    conversion_id: Option<ConversionId>,
    /// The revision of the conversion; 0 for clicks and impressions.
    revision: i32,
    /// Whether it belongs to a test conversion.
    test: bool,
    /// The data that adapters get. The data of the buyer is masked for callers without the permission `read_buyers`;
    /// affiliates see what the setting `affiliates_see` allows, and no revenue.
    facts: Facts,
}

impl EventOut {
    pub(crate) fn of(actor: Actor, event: Event) -> Self {
        let test = event.is_test();
        let event = actor.buyers().show(event).into_inner();
        let mut facts = event.facts;
        if let Some(conversion) = &mut facts.conversion
            && !actor.is_staff()
        {
            conversion.revenue = None;
        }
        Self {
            id: event.id,
            action: event.action,
            occurred_at: event.occurred_at,
            affiliate_id: event.affiliate_id,
            offer_id: event.offer_id,
            click_id: event.click_id,
            conversion_id: event.conversion_id,
            revision: event.revision,
            test,
            facts,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only events of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only events of this conversion.
    conversion_id: Option<ConversionId>,
    /// Only events of this offer.
    offer_id: Option<OfferId>,
    /// Only events of this kind.
    action: Option<Action>,
    /// Without events of test conversions (`false`), only these (`true`), or all (`any`). If absent: `any` together with
    /// `conversion_id`, and otherwise `false`.
    #[param(inline)]
    test: Option<TestFilter>,
}

/// Record a custom event of a conversion, such as a renewal.
///
/// It is sent to the postbacks with the action `event`. It does not change the conversion.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", request_body = EventIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 201, body = EventOut), (status = "default", body = Problem)))]
pub async fn create_event(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<EventIn>,
) -> ApiResult<(StatusCode, Json<EventOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 100);
    if body.attributes.len() > ATTRIBUTES_MAX {
        let message = format!("has {} attributes; send at most {ATTRIBUTES_MAX}", body.attributes.len());
        issues.add("/attributes", "invalid_field", message);
    }
    let attributes = body.attributes.into_iter().map(|(name, value)| {
        let path = format!("/attributes/{name}");
        let length = value.chars().count();
        if length > ATTRIBUTE_MAX_CHARS {
            let message = format!("has {length} characters; shorten it to at most {ATTRIBUTE_MAX_CHARS}");
            issues.add(&path, "invalid_field", message);
        }
        (issues.text(&path, &name, 100), value)
    });
    let attributes = attributes.collect();
    issues.result()?;
    let event = events::record(&app, body.conversion_id, name, attributes).await?;
    Ok((StatusCode::CREATED, Json(EventOut::of(actor, event))))
}

/// List events, newest first.
///
/// Affiliates see their own. Clicks and impressions are recorded as events only while a postback is fired for them. A
/// page can be short or empty although more events match: a filter by offer or action examines at most 20,000 events
/// for each page. Continue with `next` until it is null.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventFilter, PeriodIn),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = PageOut<EventOut>), (status = "default", body = Problem)))]
pub async fn list_events(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<EventFilter>,
) -> ApiResult<Json<PageOut<EventOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let default = if params.conversion_id.is_some() { TestFilter::Any } else { TestFilter::False };
    let filter = storage::tracking::events::Filter {
        affiliate_id: params.affiliate_id,
        conversion_id: params.conversion_id,
        offer_id: params.offer_id,
        action: params.action,
        test: params.test.unwrap_or(default).condition(),
    };
    let page = events::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| EventOut::of(actor, it))))
}

/// Read an event.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "events", params(("id" = EventId, Path)),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = EventOut), (status = "default", body = Problem)))]
pub async fn get_event(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<EventId>,
) -> ApiResult<Json<EventOut>> {
    Ok(Json(EventOut::of(actor, events::get(&app, actor, id).await?)))
}
