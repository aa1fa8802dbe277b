//! `/api/v1/clicks/{id}/test-conversions`, and the deletion of test conversions

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::{AmountIn, Issues};
use crate::audit::Deleted;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PathId};
use domain::amounts::Currency;
use domain::ids::{ClickId, ConversionId};
use domain::tracking::conversion::Buyer;
use domain::tracking::conversion_report::{Claims, Report};
use engine::Error;
use engine::app::App;
use engine::tracking::conversions;

use super::conversions::{ConversionOut, StatusWord, reported_status, status_of};

/// A test conversion of a click.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestConversionIn {
    /// An id of your choice. The same id again changes the status and amounts of the same test conversion.
    #[schema(example = "test-1", max_length = 200)]
    transaction_id: String,
    /// The goal; null for none.
    #[schema(example = "sale", max_length = 100)]
    goal: Option<String>,
    /// The status. If absent, a new test conversion is pending, and a known one keeps its status.
    status: Option<StatusWord>,
    /// The reason of a rejection; required for the status `rejected`, and not allowed for others.
    #[schema(example = "fraud", max_length = 100)]
    reason: Option<String>,
    /// The amount of the sale. Required if the offer pays a percentage.
    amount: Option<AmountIn>,
    /// The currency of the amount; the offer's currency if absent.
    currency: Option<Currency>,
}

impl TestConversionIn {
    fn report(self) -> Result<Report, Error> {
        let mut issues = Issues::default();
        let report = Report {
            claims: Claims::default(),
            offer_id: None,
            transaction_id: issues.text("/transaction_id", &self.transaction_id, 200),
            goal: issues.optional_text("/goal", self.goal, 100),
            status: reported_status(&mut issues, self.status, self.reason),
            amount: AmountIn::read(self.amount, "/amount", &mut issues),
            currency: self.currency,
            payout_currency: None,
            revenue_currency: None,
            default_currency: None,
            refund: None,
            payment: None,
            may_reopen: false,
            payout: None,
            revenue: None,
            buyer: Buyer::default(),
            reporter: None,
            test: None,
        };
        issues.result()?;
        Ok(report)
    }
}

/// Try out a click and its postbacks with a test conversion.
///
/// It is attributed to the click and sent to postbacks like a real conversion, is marked as a test, and counts nowhere.
/// Affiliates test their own clicks, and only their own postbacks are sent. The requests to the destinations are real.
/// It is deleted seven days after its last change.
#[utoipa::path(post, path = "/api/v1/clicks/{id}/test-conversions", tag = "conversions", params(("id" = ClickId, Path)),
    request_body = TestConversionIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 201, body = ConversionOut, description = "The test conversion is recorded."),
        (status = 200, body = ConversionOut, description = "The test conversion was known, and is unchanged or updated."),
        (status = "default", body = Problem)))]
pub async fn create_test_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ClickId>,
    ApiJson(body): ApiJson<TestConversionIn>,
) -> ApiResult<(StatusCode, Json<ConversionOut>)> {
    let recorded = conversions::test_click(&app, actor, id, body.report()?).await?;
    Ok((status_of(recorded.change), Json(ConversionOut::of(actor, recorded.conversion))))
}

/// Delete a test conversion with its events, deliveries and attempts.
///
/// Real conversions are never deleted (409 `not_a_test_conversion`). A delivery that a worker has already taken can still
/// be sent, and is then in no log.
#[utoipa::path(delete, path = "/api/v1/conversions/{id}", tag = "conversions", params(("id" = ConversionId, Path)),
    security(("api_key" = ["manage_conversions"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn delete_test_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
) -> ApiResult<Deleted<ConversionOut>> {
    Ok(Deleted(ConversionOut::of(actor, conversions::delete_test(&app, id).await?)))
}
