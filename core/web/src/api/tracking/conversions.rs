//! `/api/v1/conversions`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{AmountIn, Issues, has_control_characters};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, JsonBody, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn, TestFilter};
use domain::amounts::{Amount, Currency, Money};
use domain::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use domain::money::earning::net_payout;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::attribution::{Considered, Evidence, Ruling, Trace, Verdict};
use domain::tracking::conversion::{Buyer, Conversion, Status, Tester};
use domain::tracking::conversion_report::Claims;
use domain::tracking::conversion_report::Report;
use domain::tracking::email_hash::EmailHash;
use domain::tracking::transaction::refund::Refund;
use domain::tracking::transaction::{is_no_goal, is_no_id, without_no_id};
use engine::Error;
use engine::app::App;
use engine::tracking::conversions;
use engine::tracking::record_conversions::Change;

use super::conversion_decisions::rejection;

/// The maximum number of conversions in one request.
pub(crate) const BATCH_MAX: usize = 1_000;

/// The status of a conversion. `pending`: it waits for a decision. `approved`: the affiliate earns its payout.
/// `rejected`: the affiliate earns nothing; only `approve_conversion` changes this.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConversionStatus)]
pub enum StatusWord {
    Pending,
    Approved,
    Rejected,
}

/// A conversion as an advertiser reports it.
///
/// It is attributed by the first of `click_id`, `referral_code` and `coupon` that is present. Without any of them, an
/// earlier conversion of the same customer (`customer_id`, or else `customer_email`) decides. Empty texts, and ids such as
/// `null`, `undefined` or `0`, count as absent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionIn {
    /// The id of the click, which the landing page got in the macro `{click_id}`.
    #[schema(example = "06a5xk2m7q8r9stvwxyz012345")]
    click_id: Option<String>,
    /// The referral code of an affiliate, in any case.
    #[schema(example = "AF12345")]
    referral_code: Option<String>,
    /// A coupon of a link, in any case.
    #[schema(example = "SAVE10")]
    coupon: Option<String>,
    /// The advertiser's own id of the sale. The same offer, transaction id and goal are the same conversion.
    #[schema(example = "T-1001", min_length = 1, max_length = 200)]
    transaction_id: String,
    /// The offer. If absent: the offer of the click or coupon, or else the default offer. It is an error to name
    /// another offer than that of the click or coupon.
    offer_id: Option<OfferId>,
    /// The goal: the name of one of the offer's goals, or any other text. Each goal of a transaction is a conversion of
    /// its own. Without a goal, it is the conversion of the transaction that exists, if there is only one.
    #[schema(example = "sale", max_length = 100)]
    goal: Option<String>,
    /// Whether it is a test conversion: it is attributed and sent to postbacks like a real one, is marked everywhere and
    /// counts nowhere. Test conversions have transaction ids of their own, so a test never blocks or changes a real
    /// conversion. They are deleted seven days after their last change. False if absent.
    #[serde(default)]
    test: bool,
    /// The status. If absent, a new conversion is pending, and a known one keeps its status.
    status: Option<StatusWord>,
    /// The reason of a rejection; required for the status `rejected`, and not allowed for others.
    #[schema(example = "fraud", max_length = 100)]
    reason: Option<String>,
    /// The amount that the customer paid. Required if the offer pays a percentage and there is no `payout`.
    amount: Option<AmountIn>,
    /// How much of the amount was refunded to the customer so far. It lowers the amount, and a percentage payout with
    /// it. A refund of the whole amount rejects the conversion, with the reason `refund`.
    refunded_amount: Option<AmountIn>,
    /// The currency of all amounts. If absent, the offer's currency, or that of a known conversion.
    currency: Option<Currency>,
    /// The currency of `payout`, if it is not `currency`.
    payout_currency: Option<Currency>,
    /// The currency of `revenue`, if it is not `currency`.
    revenue_currency: Option<Currency>,
    /// The amount that the affiliate earns; the payout of the goal or offer if absent.
    payout: Option<AmountIn>,
    /// The amount that the advertiser pays to the program; the revenue of the goal or offer if absent.
    revenue: Option<AmountIn>,
    /// The advertiser's own id of the customer.
    #[schema(max_length = 200)]
    customer_id: Option<String>,
    /// The customer's name.
    #[schema(max_length = 200)]
    customer_name: Option<String>,
    /// The customer's e-mail address. If it is the affiliate's own, the conversion can be rejected as a self-referral.
    #[schema(max_length = 254)]
    customer_email: Option<String>,
    /// The name of the plan or product.
    #[schema(max_length = 200)]
    plan_name: Option<String>,
    /// The price of the plan or product.
    plan_price: Option<AmountIn>,
    /// The advertiser's own id of the purchase.
    #[schema(max_length = 200)]
    purchase_id: Option<String>,
    /// When the customer bought: RFC 3339, or a date (UTC). It decides whether click and coupon are still valid. The
    /// current time if absent or in the future.
    #[schema(example = "2026-11-20T14:05:00Z")]
    purchase_date: Option<String>,
}

impl ConversionIn {
    fn report(self) -> Result<Report, Error> {
        let mut issues = Issues::default();
        let claims = self.claims(&mut issues);
        let transaction_id = issues.text("/transaction_id", &self.transaction_id, 200);
        if !transaction_id.is_empty() && is_no_id(&transaction_id) {
            let sentence = "this word stands for no id; send the id of the sale, because each sale needs its own";
            issues.add("/transaction_id", "invalid_field", sentence);
        }
        let status = reported_status(&mut issues, self.status, self.reason);
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
            goal: issues.optional_text("/goal", self.goal, 100).filter(|goal| !is_no_goal(goal)),
            status,
            amount: AmountIn::read(self.amount, "/amount", &mut issues),
            currency: self.currency,
            payout_currency: self.payout_currency,
            revenue_currency: self.revenue_currency,
            default_currency: None,
            may_reopen: false,
            refund: AmountIn::read(self.refunded_amount, "/refunded_amount", &mut issues).map(Refund::Total),
            payment: None,
            payout: AmountIn::read(self.payout, "/payout", &mut issues),
            revenue: AmountIn::read(self.revenue, "/revenue", &mut issues),
            buyer: Buyer {
                customer_id: without_no_id(issues.optional_text("/customer_id", self.customer_id, 200)),
                customer_name: issues.optional_text("/customer_name", self.customer_name, 200),
                customer_email: customer_email(&mut issues, self.customer_email),
                plan_name: issues.optional_text("/plan_name", self.plan_name, 200),
                plan_price: AmountIn::read(self.plan_price, "/plan_price", &mut issues),
                purchase_id: without_no_id(issues.optional_text("/purchase_id", self.purchase_id, 200)),
                purchase_date,
            },
            reporter: None,
            test: self.test.then_some(Tester::Program),
        };
        issues.result()?;
        Ok(report)
    }

    /// The evidence for the attribution. Evidence that cannot be read is an issue: it is never skipped.
    fn claims(&self, issues: &mut Issues) -> Claims {
        let trimmed =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let id = |text: &Option<String>| without_no_id(trimmed(text));
        let click_id = id(&self.click_id);
        let click = click_id.as_deref().and_then(|text| {
            let parsed = text.parse::<ClickId>();
            parsed.map_err(|error| issues.add("/click_id", "unknown_click", error.to_string())).ok()
        });
        Claims { click, referral_code: id(&self.referral_code), coupon: id(&self.coupon) }
    }
}

/// The status of the fields `status` and `reason`.
pub(super) fn reported_status(
    issues: &mut Issues,
    status: Option<StatusWord>,
    reason: Option<String>,
) -> Option<Status> {
    match (status, issues.optional_text("/reason", reason, 100)) {
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
    }
}

fn customer_email(issues: &mut Issues, email: Option<String>) -> Option<String> {
    let email = issues.optional_text("/customer_email", email, 254)?;
    if has_control_characters(&email) {
        issues.add("/customer_email", "invalid_field", "contains an invisible or control character; remove it");
    }
    Some(email)
}

/// A conversion: an event that an advertiser pays for.
#[derive(Serialize, ToSchema)]
pub struct ConversionOut {
    id: ConversionId,
    /// The advertiser's own id of the conversion.
    transaction_id: String,
    /// 1 for a new conversion, and 1 more for each change of its status or amounts.
    revision: i32,
    status: StatusWord,
    /// The reason of the rejection; null unless the conversion is rejected. It is a code of the catalogue, or the word
    /// of the network or program that reported the rejection.
    rejection_reason: Option<String>,
    /// What a person added to the reason, for the affiliate; null if nothing.
    rejection_note: Option<String>,
    /// The affiliate that gets the conversion. It never changes.
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    /// The link; null if the affiliate's referral code was used.
    link_id: Option<LinkId>,
    /// The click; null if the conversion was attributed by a referral code or coupon.
    click_id: Option<ClickId>,
    /// The evidence that decided which affiliate gets the conversion.
    attributed_by: Evidence,
    /// Further evidence, and the rule of the program that changed the conversion; null if there is neither.
    attribution: Option<AttributionOut>,
    /// The goal; null if none was reported.
    goal: Option<String>,
    /// Which payment of its customer it is, if the offer pays later payments differently or its source reports several
    /// payments under one transaction id; else null.
    payment_number: Option<u32>,
    /// The amount that the customer paid; null if none was reported.
    amount: Option<Amount>,
    /// The currency of `amount`, or of the payout if there is no amount.
    currency: Option<Currency>,
    /// The amount that the affiliate earns when the conversion is approved.
    payout: Option<Money>,
    /// What the affiliate gets of the payout: less the second-tier commissions, if the program deducts them. They are
    /// agreed at the first approval.
    net_payout: Option<Money>,
    /// The amount that the advertiser pays to the program; null if it is not known. Not shown to affiliates.
    revenue: Option<Money>,
    /// The advertiser's own id of the customer. Shown to callers with the permission `read_buyers`, and to affiliates if
    /// the setting `affiliates_see` is `all`.
    customer_id: Option<String>,
    /// The customer's name. Masked for callers without the permission `read_buyers`. Affiliates see what the setting
    /// `affiliates_see` allows.
    customer_name: Option<String>,
    /// The customer's e-mail address. Masked for callers without the permission `read_buyers`. Affiliates see what the
    /// setting `affiliates_see` allows.
    customer_email: Option<String>,
    /// The name of the plan or product.
    plan_name: Option<String>,
    /// The price of the plan or product, in the conversion's currency.
    plan_price: Option<Amount>,
    /// The advertiser's own id of the purchase.
    purchase_id: Option<String>,
    /// When the customer bought, as it was reported.
    purchase_date: Option<Timestamp>,
    /// The source that received the first notification of the conversion; null if it was reported by the API.
    source_id: Option<SourceId>,
    /// Whether an affiliate's own source reported it. The network then pays the affiliate, and the program does not.
    self_reported: bool,
    /// Whether it is a test conversion: it counts in no report, cap, balance or commission, and is deleted seven days
    /// after its last change. It never changes.
    test: bool,
    /// When the conversion was recorded.
    created_at: Timestamp,
    /// When the conversion last changed.
    updated_at: Timestamp,
}

/// Details of the attribution of a conversion.
#[derive(Serialize, ToSchema)]
pub struct AttributionOut {
    /// The rule of the program that changed the conversion; null if there is none.
    ruling: Option<Ruling>,
    /// The evidence that was reported, with a verdict for each piece. Affiliates see only evidence that names them.
    considered: Vec<ConsideredEvidenceOut>,
}

/// One piece of evidence of a conversion.
#[derive(Serialize, ToSchema)]
pub struct ConsideredEvidenceOut {
    /// The kind of evidence.
    evidence: Evidence,
    /// The click id, referral code or coupon; null for a customer.
    value: Option<String>,
    /// The affiliate to which the evidence leads; null if it leads to none.
    affiliate_id: Option<AffiliateId>,
    /// How the evidence was used.
    verdict: Verdict,
    /// The verdict as a sentence.
    sentence: &'static str,
}

impl AttributionOut {
    /// The details that `actor` may see: an affiliate sees no evidence for other affiliates. `None` if there are none.
    fn of(actor: Actor, trace: Trace) -> Option<Self> {
        if trace.is_plain() {
            return None;
        }
        let ruling = trace.shown_ruling();
        let visible = |it: &Considered| actor.is_staff() || it.affiliate_id.is_some_and(|id| actor.may_see(id));
        let considered = trace.considered.into_iter().filter(visible).map(|considered| ConsideredEvidenceOut {
            evidence: considered.evidence,
            value: considered.value,
            affiliate_id: considered.affiliate_id,
            verdict: considered.verdict,
            sentence: considered.verdict.sentence(),
        });
        Some(Self { ruling, considered: considered.collect() })
    }
}

impl ConversionOut {
    pub(crate) fn of(actor: Actor, conversion: Conversion) -> Self {
        let net_payout = net_payout(&conversion);
        let conversion = actor.buyers().show(conversion).into_inner();
        Self {
            id: conversion.id,
            transaction_id: conversion.transaction_id,
            revision: conversion.revision,
            status: match conversion.status {
                Status::Pending => StatusWord::Pending,
                Status::Approved => StatusWord::Approved,
                Status::Rejected { .. } => StatusWord::Rejected,
            },
            rejection_reason: conversion.status.reason().map(str::to_owned),
            rejection_note: conversion.rejection_note,
            affiliate_id: conversion.affiliate_id,
            offer_id: conversion.offer_id,
            link_id: conversion.link_id,
            click_id: conversion.click_id,
            attributed_by: conversion.attributed_by,
            payment_number: conversion.trace.payment.as_ref().map(|it| it.number),
            net_payout,
            attribution: AttributionOut::of(actor, conversion.trace),
            goal: conversion.goal,
            amount: conversion.sale.map(Money::amount),
            currency: conversion.sale.or(conversion.payout).map(|money| money.currency),
            payout: conversion.payout,
            revenue: conversion.revenue.filter(|_| actor.is_staff()),
            customer_id: conversion.buyer.customer_id,
            customer_name: conversion.buyer.customer_name,
            customer_email: conversion.buyer.customer_email,
            plan_name: conversion.buyer.plan_name,
            plan_price: conversion.buyer.plan_price,
            purchase_id: conversion.buyer.purchase_id,
            purchase_date: conversion.buyer.purchase_date,
            source_id: conversion.reporter.map(|reporter| reporter.source_id),
            self_reported: conversion.reporter.is_some_and(|reporter| reporter.is_affiliate),
            test: conversion.test.is_some(),
            created_at: conversion.created_at,
            updated_at: conversion.updated_at,
        }
    }
}

/// The result for one conversion of an array.
#[derive(Serialize, ToSchema)]
pub struct ConversionResultOut {
    /// The HTTP status that the conversion alone would get: 201 if it was recorded, 200 if it was known, or an error.
    http_status: u16,
    /// The conversion; absent after an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversion: Option<ConversionOut>,
    /// The error; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// The results for an array of conversions.
#[derive(Serialize, ToSchema)]
pub struct ConversionResultsOut {
    /// One result for each conversion, in the order of the request.
    items: Vec<ConversionResultOut>,
}

// Only the schema of this type is used: the handler reads the body item by item, so that each item has its own result.
/// One conversion, or an array of 1 to 1,000 conversions.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ConversionsIn {
    One(Box<ConversionIn>),
    Many(Vec<ConversionIn>),
}

/// The conversion, or for an array the results.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ConversionsOut {
    One(Box<ConversionOut>),
    Many(ConversionResultsOut),
}

pub(super) fn status_of(change: Change) -> StatusCode {
    if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK }
}

/// Report one conversion, or an array of up to 1,000 conversions.
///
/// Reporting the same transaction again has no effect; another status or other amounts change the conversion. An
/// approved conversion can become rejected, but not pending again. A report does not change a rejected conversion; only
/// `approve_conversion` does. Each conversion of an array has its own result: an error of one does not affect the others.
#[utoipa::path(post, path = "/api/v1/conversions", tag = "conversions", request_body = ConversionsIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 201, description = "One conversion, which is recorded.", body = ConversionOut),
        (status = 200, body = inline(ConversionsOut),
            description = "For one conversion: the conversion, which was known and is now unchanged or updated. For an array: the results, one for each conversion."),
        (status = "default", body = Problem)))]
pub async fn create_conversions(
    State(app): State<App>,
    Caller(actor): Caller,
    JsonBody(body): JsonBody,
) -> ApiResult<(StatusCode, Json<ConversionsOut>)> {
    let serde_json::Value::Array(items) = body else {
        let recorded = conversions::report(&app, body::read::<ConversionIn>(body)?.report()?).await?;
        let conversion = Box::new(ConversionOut::of(actor, recorded.conversion));
        return Ok((status_of(recorded.change), Json(ConversionsOut::One(conversion))));
    };
    if items.is_empty() || items.len() > BATCH_MAX {
        let detail = format!("the array has {} conversions; send 1 to {BATCH_MAX}", items.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_batch", detail));
    }
    // An item that cannot be read gets its error in its position; the others are recorded in the order of the request.
    let (mut reports, mut refusals) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        match body::read::<ConversionIn>(item).and_then(ConversionIn::report) {
            Ok(report) => {
                reports.push(report);
                refusals.push(None);
            }
            Err(error) => refusals.push(Some(Problem::from(error))),
        }
    }
    let mut recorded = conversions::report_many(&app, reports).await.into_iter();
    let results = refusals.into_iter().map(|refusal| match refusal {
        Some(problem) => Err(problem),
        None => recorded.next().expect("every report has a result").map_err(Problem::from),
    });
    let items = results.map(|result| match result {
        Ok(recorded) => ConversionResultOut {
            http_status: status_of(recorded.change).as_u16(),
            conversion: Some(ConversionOut::of(actor, recorded.conversion)),
            error: None,
        },
        Err(problem) => {
            ConversionResultOut { http_status: problem.status().as_u16(), conversion: None, error: Some(problem) }
        }
    });
    Ok((StatusCode::OK, Json(ConversionsOut::Many(ConversionResultsOut { items: items.collect() }))))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConversionFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only conversions of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only conversions of this offer.
    offer_id: Option<OfferId>,
    /// Only conversions of this click.
    click_id: Option<ClickId>,
    /// Only conversions with this status.
    status: Option<StatusWord>,
    /// Only conversions with this transaction id, also those of affiliates' own sources.
    transaction_id: Option<String>,
    /// Only conversions with this id of the customer. It requires the permission `read_buyers`, or for affiliates the
    /// setting `affiliates_see` with the value `all`.
    customer_id: Option<String>,
    /// Only conversions of the customer with this e-mail address: the SHA-256 of the address, trimmed and in lower case,
    /// as 64 hexadecimal digits. It requires the same as `customer_id`.
    #[param(
        example = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
        pattern = "^[0-9A-Fa-f]{64}$"
    )]
    customer_email_sha256: Option<String>,
    /// Only real conversions (`false`), only test conversions (`true`), or both (`any`); `false` if absent.
    #[param(inline)]
    test: Option<TestFilter>,
}

/// List conversions, newest first. Affiliates see their own. Test conversions are left out unless `test` asks for them.
///
/// A page can be short or empty although more conversions match: a filter by offer or status examines at most 20,000
/// conversions for each page. Continue with `next` until it is null.
#[utoipa::path(get, path = "/api/v1/conversions", tag = "conversions", params(ConversionFilter, PeriodIn),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = PageOut<ConversionOut>), (status = "default", body = Problem)))]
pub async fn list_conversions(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<ConversionFilter>,
) -> ApiResult<Json<PageOut<ConversionOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let customer_email = given(params.customer_email_sha256).map(|text| text.trim().parse::<EmailHash>()).transpose();
    let customer_email = customer_email.map_err(|error| {
        Problem::bad_request("invalid_parameter", format!("customer_email_sha256: the text {error}"))
    })?;
    let filter = storage::tracking::conversions::Filter {
        affiliate_id: params.affiliate_id,
        offer_id: params.offer_id,
        click_id: params.click_id,
        status: params.status.map(|status| match status {
            StatusWord::Pending => "pending",
            StatusWord::Approved => "approved",
            StatusWord::Rejected => "rejected",
        }),
        transaction_id: given(params.transaction_id),
        customer_id: given(params.customer_id),
        customer_email,
        test: params.test.unwrap_or_default().condition(),
    };
    let page = conversions::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| ConversionOut::of(actor, it))))
}

/// Read a conversion.
#[utoipa::path(get, path = "/api/v1/conversions/{id}", tag = "conversions", params(("id" = ConversionId, Path)),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = ConversionOut), (status = "default", body = Problem)))]
pub async fn get_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
) -> ApiResult<Json<ConversionOut>> {
    Ok(Json(ConversionOut::of(actor, conversions::get(&app, actor, id).await?)))
}

/// Approve a pending conversion, or a rejected one after all.
///
/// The affiliate earns its payout: after the offer's hold, or immediately if it has none. Approving an approved
/// conversion again has no effect. The approval overrules a rejection: if the same rejection is reported again, it has
/// no effect.
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

/// The rejection of a conversion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionRejectionIn {
    /// The code of a reason of the catalogue, in any case. The affiliate reads its text, and it can be sent in postbacks.
    #[schema(example = "fraud", min_length = 1, max_length = 100)]
    reason: String,
    /// What the affiliate reads besides the text of the reason.
    #[schema(example = "Three orders from the same card.", max_length = 500)]
    note: Option<String>,
}

/// Reject a pending conversion, or an approved one as a chargeback.
///
/// The earnings of an approved conversion are reversed. Reports do not change a rejection; `approve_conversion` does.
#[utoipa::path(post, path = "/api/v1/conversions/{id}/reject", tag = "conversions", params(("id" = ConversionId, Path)),
    request_body = ConversionRejectionIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = ConversionOut), (status = "default", body = Problem)))]
pub async fn reject_conversion(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
    ApiJson(body): ApiJson<ConversionRejectionIn>,
) -> ApiResult<Audited<ConversionOut>> {
    let rejection = rejection(&body.reason, body.note)?;
    Ok(Audited(conversions::reject(&app, id, rejection).await?.map(|it| ConversionOut::of(actor, it))))
}
