//! `/api/v1/conversions`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{AmountIn, Issues};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, JsonBody, PageIn, PageOut, PathId, read};
use domain::amounts::{Amount, Currency, Money};
use domain::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use domain::people::actor::Actor;
use domain::people::masking::{mask_email, mask_name};
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use domain::tracking::attribution::{Considered, Evidence, Ruling, Trace, Verdict};
use domain::tracking::conversion::{Buyer, Conversion, Status};
use domain::tracking::conversion_report::Claims;
use domain::tracking::conversion_report::Report;
use engine::Error;
use engine::app::App;
use engine::tracking::conversions;
use engine::tracking::record_conversions::Change;

/// Conversions in one request.
const BATCH_MAX: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    Pending,
    Approved,
    Rejected,
}

/// A conversion as an advertiser tells of it. The first that is given of click_id, referral_code and coupon says whose it
/// is; without any of them an earlier conversion of the same customer does.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionIn {
    click_id: Option<String>,
    #[schema(example = "AF12345")]
    referral_code: Option<String>,
    coupon: Option<String>,
    /// The advertiser's own id; counts once per offer.
    #[schema(example = "T-1001", max_length = 200)]
    transaction_id: String,
    offer_id: Option<OfferId>,
    #[schema(example = "sale")]
    goal: Option<String>,
    /// Pending when absent; a transaction that is known already then stays as it is.
    status: Option<StatusWord>,
    /// Why it is rejected, for that status.
    reason: Option<String>,
    /// What the customer paid.
    amount: Option<AmountIn>,
    /// The offer's when absent.
    currency: Option<Currency>,
    /// What the offer pays when absent.
    payout: Option<AmountIn>,
    /// What the advertiser pays to the program.
    revenue: Option<AmountIn>,
    /// The advertiser's own id of the customer.
    customer_id: Option<String>,
    customer_name: Option<String>,
    customer_email: Option<String>,
    plan_name: Option<String>,
    plan_price: Option<AmountIn>,
    purchase_id: Option<String>,
    /// RFC 3339, or a date.
    #[schema(example = "2026-11-20T14:05:00Z")]
    purchase_date: Option<String>,
}

impl ConversionIn {
    fn report(self) -> Result<Report, Error> {
        let mut issues = Issues::default();
        let claims = self.claims(&mut issues);
        let transaction_id = issues.text("/transaction_id", &self.transaction_id, 200);
        let status = match (self.status, issues.optional_text("/reason", self.reason, 100)) {
            (Some(StatusWord::Rejected), Some(reason)) => Some(Status::Rejected { reason }),
            (Some(StatusWord::Rejected), None) => {
                issues.add("/reason", "invalid_field", "a rejected conversion needs a reason, such as \"fraud\"");
                None
            }
            (_, Some(_)) => {
                issues.add("/reason", "invalid_field", "only the status rejected can have a reason");
                None
            }
            (Some(StatusWord::Pending), None) => Some(Status::Pending),
            (Some(StatusWord::Approved), None) => Some(Status::Approved),
            (None, None) => None,
        };
        let purchase_date = self.purchase_date.filter(|text| !text.trim().is_empty()).and_then(|text| {
            let parsed = Timestamp::parse(text.trim());
            if parsed.is_none() {
                issues.add("/purchase_date", "invalid_field", "must be a time such as 2026-11-20T14:05:00Z, or a date");
            }
            parsed
        });
        let report = Report {
            claims,
            offer_id: self.offer_id,
            transaction_id,
            goal: issues.optional_text("/goal", self.goal, 100),
            status,
            amount: AmountIn::read(self.amount, "/amount", &mut issues),
            currency: self.currency,
            payout: AmountIn::read(self.payout, "/payout", &mut issues),
            revenue: AmountIn::read(self.revenue, "/revenue", &mut issues),
            buyer: Buyer {
                customer_id: issues.optional_text("/customer_id", self.customer_id, 200),
                customer_name: issues.optional_text("/customer_name", self.customer_name, 200),
                customer_email: issues.optional_text("/customer_email", self.customer_email, 254),
                plan_name: issues.optional_text("/plan_name", self.plan_name, 200),
                plan_price: AmountIn::read(self.plan_price, "/plan_price", &mut issues),
                purchase_id: issues.optional_text("/purchase_id", self.purchase_id, 200),
                purchase_date,
            },
            reporter: None,
        };
        issues.result()?;
        Ok(report)
    }

    /// What was given is read whole: unreadable evidence is never skipped over.
    fn claims(&self, issues: &mut Issues) -> Claims {
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let click = given(&self.click_id).and_then(|text| {
            let parsed = text.parse::<ClickId>();
            parsed.map_err(|error| issues.add("/click_id", "unknown_click", error.to_string())).ok()
        });
        let claims = Claims { click, referral_code: given(&self.referral_code), coupon: given(&self.coupon) };
        let knows_customer = given(&self.customer_id).or(given(&self.customer_email)).is_some();
        if claims.is_empty() && !knows_customer && given(&self.click_id).is_none() {
            issues.add(
                "/click_id",
                "attribution_missing",
                "say whose conversion it is: send click_id, referral_code or coupon",
            );
        }
        claims
    }
}

#[derive(Serialize, ToSchema)]
pub struct ConversionOut {
    id: ConversionId,
    transaction_id: String,
    /// Grows by one with every change of status.
    revision: i32,
    status: StatusWord,
    rejection_reason: Option<String>,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    link_id: Option<LinkId>,
    click_id: Option<ClickId>,
    attributed_by: Evidence,
    /// What else was considered, and what a rule of the program decided; null when there is no more to say.
    attribution: Option<AttributionOut>,
    goal: Option<String>,
    amount: Option<Amount>,
    currency: Option<Currency>,
    payout: Option<Money>,
    /// What the advertiser pays; not shown to affiliates.
    revenue: Option<Money>,
    /// Not shown to affiliates.
    customer_id: Option<String>,
    /// Masked for affiliates.
    customer_name: Option<String>,
    /// Masked for affiliates.
    customer_email: Option<String>,
    plan_name: Option<String>,
    plan_price: Option<Amount>,
    purchase_id: Option<String>,
    purchase_date: Option<Timestamp>,
    /// The source that a network reported it to; null for the API.
    source_id: Option<SourceId>,
    /// An affiliate's own source reported it: its payout is the network's debt, and no earning of the program's.
    self_reported: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How a conversion came to its affiliate.
#[derive(Serialize, ToSchema)]
pub struct AttributionOut {
    /// The rule of the program that made more of it than its report said.
    ruling: Option<Ruling>,
    considered: Vec<ConsideredOut>,
}

/// One piece of evidence that the report came with.
#[derive(Serialize, ToSchema)]
pub struct ConsideredOut {
    evidence: Evidence,
    /// A click id, a code or a coupon.
    value: Option<String>,
    /// Whom it names.
    affiliate_id: Option<AffiliateId>,
    verdict: Verdict,
    sentence: &'static str,
}

impl AttributionOut {
    /// An affiliate is not told of others.
    fn of(actor: Actor, trace: Trace) -> Option<Self> {
        if trace.is_plain() {
            return None;
        }
        let visible = |it: &Considered| actor.is_staff() || it.affiliate_id.is_some_and(|id| actor.may_see(id));
        let considered = trace.considered.into_iter().filter(visible).map(|it| ConsideredOut {
            evidence: it.evidence,
            value: it.value,
            affiliate_id: it.affiliate_id,
            verdict: it.verdict,
            sentence: it.verdict.sentence(),
        });
        Some(Self { ruling: trace.ruling, considered: considered.collect() })
    }
}

impl ConversionOut {
    pub(crate) fn of(actor: Actor, it: Conversion) -> Self {
        let (mut name, mut email) = (it.buyer.customer_name, it.buyer.customer_email);
        if !actor.may(Permission::ReadBuyers) {
            name = name.map(|name| mask_name(&name));
            email = email.map(|email| mask_email(&email));
        }
        Self {
            id: it.id,
            transaction_id: it.transaction_id,
            revision: it.revision,
            status: match it.status {
                Status::Pending => StatusWord::Pending,
                Status::Approved => StatusWord::Approved,
                Status::Rejected { .. } => StatusWord::Rejected,
            },
            rejection_reason: it.status.reason().map(str::to_owned),
            affiliate_id: it.affiliate_id,
            offer_id: it.offer_id,
            link_id: it.link_id,
            click_id: it.click_id,
            attributed_by: it.attributed_by,
            attribution: AttributionOut::of(actor, it.trace),
            goal: it.goal,
            amount: it.sale.map(Money::amount),
            currency: it.sale.or(it.payout).map(|money| money.currency),
            payout: it.payout,
            revenue: it.revenue.filter(|_| actor.is_staff()),
            customer_id: it.buyer.customer_id.filter(|_| actor.may(Permission::ReadBuyers)),
            customer_name: name,
            customer_email: email,
            plan_name: it.buyer.plan_name,
            plan_price: it.buyer.plan_price,
            purchase_id: it.buyer.purchase_id,
            purchase_date: it.buyer.purchase_date,
            source_id: it.reporter.map(|reporter| reporter.source_id),
            self_reported: it.reporter.is_some_and(|reporter| reporter.is_affiliate),
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// One answer of many.
#[derive(Serialize, ToSchema)]
pub struct BatchItemOut {
    /// As if it had been sent alone: 201, 200 or an error.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion: Option<ConversionOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

#[derive(Serialize, ToSchema)]
pub struct BatchOut {
    /// In the order given.
    items: Vec<BatchItemOut>,
}

/// Only its schema is used: the body is read item by item, so that each item has its own answer.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ConversionsIn {
    One(Box<ConversionIn>),
    Many(Vec<ConversionIn>),
}

fn status_of(change: Change) -> StatusCode {
    if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK }
}

/// Report one conversion, or up to 1,000. The same transaction again is the same answer; another status is an update.
#[utoipa::path(post, path = "/api/v1/conversions", tag = "conversions", request_body = ConversionsIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 201, description = "Recorded", body = ConversionOut),
        (status = 200, description = "Known already or updated; for an array, an answer each", body = BatchOut),
        (status = "default", body = Problem)))]
pub async fn create_conversions(
    State(app): State<App>,
    Caller(actor): Caller,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let serde_json::Value::Array(items) = body else {
        let recorded = conversions::report(&app, read::<ConversionIn>(body)?.report()?).await?;
        let status = status_of(recorded.change);
        return Ok((status, Json(ConversionOut::of(actor, recorded.conversion))).into_response());
    };
    if items.is_empty() || items.len() > BATCH_MAX {
        let detail = format!("the array has {} conversions; send 1 to {BATCH_MAX}", items.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_batch", detail));
    }
    // What can't be read is answered where it stands; what can is recorded in the order given.
    let (mut reports, mut refusals) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        match read::<ConversionIn>(item).and_then(|it| Ok(it.report()?)) {
            Ok(report) => {
                reports.push(report);
                refusals.push(None);
            }
            Err(problem) => refusals.push(Some(problem)),
        }
    }
    let mut recorded = conversions::report_many(&app, reports).await.into_iter();
    let answers = refusals.into_iter().map(|refusal| match refusal {
        Some(problem) => Err(problem),
        None => recorded.next().expect("every report has its answer").map_err(Problem::from),
    });
    let items = answers.map(|answer| match answer {
        Ok(recorded) => BatchItemOut {
            status: status_of(recorded.change).as_u16(),
            conversion: Some(ConversionOut::of(actor, recorded.conversion)),
            error: None,
        },
        Err(problem) => BatchItemOut { status: problem.status().as_u16(), conversion: None, error: Some(problem) },
    });
    Ok(Json(BatchOut { items: items.collect() }).into_response())
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConversionFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    offer_id: Option<OfferId>,
    click_id: Option<ClickId>,
    status: Option<StatusWord>,
    transaction_id: Option<String>,
}

/// List conversions, newest first.
#[utoipa::path(get, path = "/api/v1/conversions", tag = "conversions", params(ConversionFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ConversionOut>), (status = "default", body = Problem)))]
pub async fn list_conversions(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<ConversionFilter>,
) -> ApiResult<Json<PageOut<ConversionOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let filter = storage::tracking::conversions::Filter {
        affiliate_id: it.affiliate_id,
        offer_id: it.offer_id,
        click_id: it.click_id,
        status: it.status.map(|status| match status {
            StatusWord::Pending => "pending",
            StatusWord::Approved => "approved",
            StatusWord::Rejected => "rejected",
        }),
        transaction_keys: None,
    };
    let page = conversions::list(&app, actor, filter, it.transaction_id, page).await?;
    Ok(Json(PageOut::of(page, |it| ConversionOut::of(actor, it))))
}

/// Read a conversion.
#[utoipa::path(get, path = "/api/v1/conversions/{id}", tag = "conversions", params(("id" = ConversionId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = ConversionOut), (status = "default", body = Problem)))]
pub async fn get_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
) -> ApiResult<Json<ConversionOut>> {
    Ok(Json(ConversionOut::of(actor, conversions::get(&app, actor, id).await?)))
}

/// Approve a pending conversion.
#[utoipa::path(post, path = "/api/v1/conversions/{id}/approve", tag = "conversions", params(("id" = ConversionId, Path)),
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = ConversionOut), (status = "default", body = Problem)))]
pub async fn approve_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
) -> ApiResult<Audited<ConversionOut>> {
    Ok(Audited(conversions::approve(&app, id).await?.map(|it| ConversionOut::of(actor, it))))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectionIn {
    #[schema(example = "fraud", max_length = 100)]
    reason: String,
}

/// Reject a pending conversion, or an approved one as a chargeback.
#[utoipa::path(post, path = "/api/v1/conversions/{id}/reject", tag = "conversions", params(("id" = ConversionId, Path)),
    request_body = RejectionIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = ConversionOut), (status = "default", body = Problem)))]
pub async fn reject_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
    ApiJson(body): ApiJson<RejectionIn>,
) -> ApiResult<Audited<ConversionOut>> {
    let mut issues = Issues::default();
    let reason = issues.text("/reason", &body.reason, 100);
    issues.result()?;
    Ok(Audited(conversions::reject(&app, id, reason).await?.map(|it| ConversionOut::of(actor, it))))
}
