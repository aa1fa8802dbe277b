//! `/api/v1/conversions/approve`, `reject` and `preview-decision`: decisions about many conversions at once.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::AuditedChanges;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::amounts::{Currency, SignedAmount};
use domain::ids::ConversionId;
use domain::people::changes::{Changed, FieldChange, of_word};
use domain::program::rejection_reason::NOTE_MAX_CHARS;
use domain::tracking::conversion::Conversion;
use engine::Error;
use engine::app::App;
use engine::tracking::conversions::{self, Decision, Effects, Rejection};

/// The maximum number of ids in one request.
pub const IDS_MAX: usize = 1_000;

/// The approval of several conversions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionApprovalsIn {
    /// 1 to 1,000 ids.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<ConversionId>,
}

/// The rejection of several conversions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionRejectionsIn {
    /// 1 to 1,000 ids.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<ConversionId>,
    /// The code of a reason of the catalogue. It can be sent in postbacks.
    #[schema(example = "fraud", min_length = 1, max_length = 100)]
    reason: String,
    /// What the affiliate reads besides the text of the reason.
    #[schema(example = "Three orders from the same card.", max_length = 500)]
    note: Option<String>,
}

/// What would be decided.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConversionDecision)]
pub enum DecisionWord {
    Approve,
    Reject,
}

/// A decision about several conversions, to see its effects.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionPreviewIn {
    /// 1 to 1,000 ids.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<ConversionId>,
    decision: DecisionWord,
}

/// The sum of payouts in one currency.
#[derive(Serialize, ToSchema)]
pub struct DecisionSumOut {
    currency: Currency,
    /// The amount that affiliates would earn if the conversions are approved, or that would be taken back if they are
    /// rejected.
    #[schema(example = "117.60")]
    amount: String,
}

/// What a decision would change.
#[derive(Serialize, ToSchema)]
pub struct DecisionPreviewOut {
    /// The number of conversions that would change.
    changing: usize,
    /// The number of conversions that have the status already, or do not exist.
    unchanged: usize,
    /// By currency. Commissions of sub-affiliates come on top.
    payouts: Vec<DecisionSumOut>,
}

impl From<Effects> for DecisionPreviewOut {
    fn from(effects: Effects) -> Self {
        let payouts = effects.payouts.into_iter();
        let payouts =
            payouts.map(|(currency, micros)| DecisionSumOut { currency, amount: SignedAmount(micros).to_string() });
        Self { changing: effects.changing.len(), unchanged: effects.unchanged, payouts: payouts.collect() }
    }
}

/// The result of a decision for one conversion.
#[derive(Serialize, ToSchema)]
pub struct ConversionDecisionOut {
    id: ConversionId,
    /// `approved`, `rejected`, or `error`.
    #[schema(example = "approved")]
    result: &'static str,
    /// The code of the error; null without an error.
    code: Option<&'static str>,
    /// The error as a sentence; null without an error.
    message: Option<String>,
}

/// The results of a decision about several conversions.
#[derive(Serialize, ToSchema)]
pub struct ConversionDecisionsOut {
    /// The number of conversions without an error.
    done: usize,
    /// One item for each id of the request.
    items: Vec<ConversionDecisionOut>,
}

/// The answers of a decision, one for each conversion.
pub type Answers = Vec<(ConversionId, Result<Changed<Conversion>, Error>)>;

/// The changes of the status for the audit log.
pub fn changes_of(answers: &Answers) -> Vec<FieldChange> {
    let changes = answers.iter().filter_map(|(id, answer)| {
        let Changed { before, now, .. } = answer.as_ref().ok()?;
        of_word(format!("{id}.status"), before.as_ref()?.status.word(), now.status.word())
    });
    changes.collect()
}

fn check(ids: &[ConversionId]) -> Result<(), Error> {
    match ids.len() {
        1..=IDS_MAX => Ok(()),
        _ => Err(Error::invalid("/ids", format!("send 1 to {IDS_MAX} ids"))),
    }
}

/// The reason and note of a rejection, trimmed.
///
/// # Errors
/// The reason is missing, or one of them is too long.
pub fn rejection(reason: &str, note: Option<String>) -> Result<Rejection, Error> {
    let mut issues = Issues::default();
    let reason = issues.text("/reason", reason, 100);
    let note = issues.optional_text("/note", note, NOTE_MAX_CHARS);
    issues.result().map(|()| Rejection { reason, note })
}

fn answer(answers: Answers, done: &'static str) -> (Extension<AuditedChanges>, Json<ConversionDecisionsOut>) {
    let changes = AuditedChanges::many(changes_of(&answers));
    let items = answers.into_iter().map(|(id, answer)| match answer {
        Ok(_) => ConversionDecisionOut { id, result: done, code: None, message: None },
        Err(error) => {
            let problem = Problem::from(error);
            ConversionDecisionOut { id, result: "error", code: Some(problem.code), message: Some(problem.detail) }
        }
    });
    let items: Vec<_> = items.collect();
    let done = items.iter().filter(|it| it.code.is_none()).count();
    (changes, Json(ConversionDecisionsOut { done, items }))
}

/// Approve many conversions at once. Conversions that cannot be approved are listed with an error; the others are
/// approved.
#[utoipa::path(post, path = "/api/v1/conversions/approve", tag = "conversions", request_body = ConversionApprovalsIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = ConversionDecisionsOut), (status = "default", body = Problem)))]
pub async fn approve_conversions(
    State(app): State<App>,
    ApiJson(body): ApiJson<ConversionApprovalsIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<ConversionDecisionsOut>)> {
    check(&body.ids)?;
    Ok(answer(conversions::decide_many(&app, &body.ids, Decision::Approve).await?, "approved"))
}

/// Reject many conversions at once, with one reason. Conversions that cannot be rejected are listed with an error; the
/// others are rejected.
#[utoipa::path(post, path = "/api/v1/conversions/reject", tag = "conversions", request_body = ConversionRejectionsIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = ConversionDecisionsOut), (status = "default", body = Problem)))]
pub async fn reject_conversions(
    State(app): State<App>,
    ApiJson(body): ApiJson<ConversionRejectionsIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<ConversionDecisionsOut>)> {
    check(&body.ids)?;
    let rejection = rejection(&body.reason, body.note)?;
    Ok(answer(conversions::decide_many(&app, &body.ids, Decision::Reject(rejection)).await?, "rejected"))
}

/// Compute what approving or rejecting many conversions would change: how many, and the sums by currency. It changes
/// nothing.
#[utoipa::path(post, path = "/api/v1/conversions/preview-decision", tag = "conversions", request_body = DecisionPreviewIn,
    security(("api_key" = ["manage_conversions"])),
    responses((status = 200, body = DecisionPreviewOut), (status = "default", body = Problem)))]
pub async fn preview_decision(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<DecisionPreviewIn>,
) -> ApiResult<Json<DecisionPreviewOut>> {
    check(&body.ids)?;
    let is_approval = matches!(body.decision, DecisionWord::Approve);
    Ok(Json(conversions::effects(&app, actor, &body.ids, is_approval).await?.into()))
}
