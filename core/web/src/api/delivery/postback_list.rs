//! `GET /api/v1/postbacks`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut};
use crate::filters;
use domain::delivery::delivery::DeliveryState;
use domain::delivery::postback::Status;
use domain::delivery::rules::ScopeKind;
use domain::ids::{AffiliateId, OfferId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::app::App;
use engine::delivery::postbacks::{self, ListedPostback};
use storage::delivery::postbacks::Filter;

use super::postbacks::PostbackOut;

/// A postback of a list, with its state and its last deliveries.
#[derive(Serialize, ToSchema)]
pub struct ListedPostbackOut {
    #[serde(flatten)]
    postback: PostbackOut,
    status: Status,
    /// When the last delivery was created; null if there is none.
    last_delivery_at: Option<Timestamp>,
    /// The status of the last delivery; null if there is none.
    last_delivery_status: Option<DeliveryState>,
    last_24_hours: RecentDeliveriesOut,
}

/// The results of the deliveries that were created in the last 24 hours.
#[derive(Serialize, ToSchema)]
pub struct RecentDeliveriesOut {
    /// Deliveries that the destination accepted.
    #[schema(example = 240)]
    success: i64,
    /// Deliveries that failed.
    #[schema(example = 2)]
    failed: i64,
    /// Whether there are more than 1,000 deliveries, of which the newest 1,000 were counted.
    capped: bool,
}

impl From<ListedPostback> for ListedPostbackOut {
    fn from(listed: ListedPostback) -> Self {
        let (status, activity) = (listed.status(), listed.activity);
        Self {
            postback: listed.postback.into(),
            status,
            last_delivery_at: activity.last.map(|it| it.at),
            last_delivery_status: activity.last.map(|it| it.state),
            last_24_hours: RecentDeliveriesOut {
                success: activity.success,
                failed: activity.failed,
                capped: activity.is_capped,
            },
        }
    }
}

/// Whose postbacks a list has.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostbackOwner {
    /// Those of the program.
    Program,
    /// Those of affiliates.
    Affiliates,
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PostbackFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only postbacks whose name, id, or destination of a sent request (scheme and host) begins with this text.
    search: Option<String>,
    /// Only postbacks of this affiliate.
    owner_affiliate_id: Option<AffiliateId>,
    /// Only postbacks of the program, or only those of affiliates.
    #[param(inline)]
    owner: Option<PostbackOwner>,
    /// Only postbacks with this kind of scope.
    #[param(inline)]
    scope: Option<ScopeKind>,
    /// Only postbacks whose scope has this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only postbacks whose scope has this offer.
    offer_id: Option<OfferId>,
    /// Only postbacks that are fired for this kind of events.
    action: Option<Action>,
    /// Only postbacks of the adapter with this id.
    adapter: Option<String>,
    /// Only postbacks in this state.
    status: Option<Status>,
}

impl PostbackFilter {
    fn read(self) -> ApiResult<Filter> {
        Ok(Filter {
            owner: self.owner_affiliate_id,
            of_program: self.owner.map(|owner| matches!(owner, PostbackOwner::Program)),
            scope: self.scope,
            affiliate_id: self.affiliate_id,
            offer_id: self.offer_id,
            action: self.action,
            adapter: self.adapter,
            status: self.status,
            search: filters::search(self.search.as_deref())?,
        })
    }
}

/// List postbacks, newest first. Affiliates see their own.
#[utoipa::path(get, path = "/api/v1/postbacks", tag = "postbacks", params(PostbackFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ListedPostbackOut>), (status = "default", body = Problem)))]
pub async fn list_postbacks(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<PostbackFilter>,
) -> ApiResult<Json<PageOut<ListedPostbackOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor.clone() }.request()?;
    let found = postbacks::list_with_activity(&app, actor, params.read()?, page).await?;
    Ok(Json(PageOut::of(found, ListedPostbackOut::from)))
}
