//! `/retry-jobs/{id}`: the progress of a job, and its end.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::delivery::retry_job::{RetryFilter, RetryJob, RetryJobStatus};
use domain::ids::RetryJobId;
use domain::people::permission::Permission::ManagePostbacks;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::retry_jobs;
use serde::Serialize;
use web::api::delivery::retry_jobs::RetryJobOut;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use crate::parts::list::ListUrl;
use crate::parts::live::reload;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::rows::PostbackNames;

/// The width of the whole bar, in its own units.
const WHOLE: u64 = 1_000;

#[derive(Debug, Serialize)]
pub struct RetryJobPage {
    id: String,
    status: ShownStatus,
    answer: Text,
    matching: u32,
    retried: u32,
    skipped: u32,
    /// How much is done, of [`WHOLE`].
    done: u64,
    created_at: Timestamp,
    settled_at: Option<Timestamp>,
    filters: Vec<(Text, Text)>,
    until: Timestamp,
    is_running: bool,
    can_cancel: bool,
    /// The log with the deliveries of the job.
    log: String,
}

pub(super) fn shown_status(status: RetryJobStatus) -> ShownStatus {
    match status {
        RetryJobStatus::Running => ShownStatus::of("info", "loader-circle", "retry.status.running"),
        RetryJobStatus::Done => ShownStatus::of("ok", "circle-check", "retry.status.done"),
        RetryJobStatus::Cancelled => ShownStatus::of("off", "circle-slash", "retry.status.cancelled"),
    }
}

/// The values of a filter that the log has under the same names.
fn values(filter: &RetryFilter) -> Vec<(&'static str, &'static str, String)> {
    let id = |id: Option<String>| id;
    let all = [
        ("postback_id", "log.postback", id(filter.postback_id.map(|it| it.to_string()))),
        ("offer_id", "log.offer", id(filter.offer_id.map(|it| it.to_string()))),
        ("affiliate_id", "log.affiliate", id(filter.affiliate_id.map(|it| it.to_string()))),
        ("conversion_id", "log.conversion", id(filter.conversion_id.map(|it| it.to_string()))),
        ("event_id", "log.event", id(filter.event_id.map(|it| it.to_string()))),
        ("click_id", "log.click", id(filter.click_id.map(|it| it.to_string()))),
        ("transaction_id", "log.transaction", filter.transaction_id.clone()),
    ];
    all.into_iter().filter_map(|(name, label, value)| Some((name, label, value?))).collect()
}

impl RetryJobPage {
    fn of(job: &RetryJob, names: &PostbackNames, may_cancel: bool) -> Self {
        let filter = &job.filter;
        let is_running = job.status == RetryJobStatus::Running;
        let examined = u64::from(job.retried) + u64::from(job.skipped);
        let done = examined.min(job.matching.into()) * WHOLE / u64::from(job.matching.max(1));
        let values = values(filter);
        let log = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(values.iter().map(|(name, _, value)| (*name, value.as_str())))
            .finish();
        let shown = |(name, label, value): (&str, &str, String)| match filter.postback_id {
            Some(id) if name == "postback_id" => (text(label), plain(names.of(id))),
            _ => (text(label), plain(value)),
        };
        let mut filters = vec![(text("log.status"), text(&format!("status.{}", filter.status)))];
        filters.extend(values.into_iter().map(shown));
        let answer = filter.http_status.map(|it| (text("log.answer"), plain(it.to_string())));
        let reason_code = filter.reason_code.as_ref().map(|it| (text("log.reason_code"), plain(it)));
        let reason = filter.reason.as_ref().map(|it| (text("log.reason"), plain(it)));
        filters.extend(answer.into_iter().chain(reason_code).chain(reason));
        let key = match job.status {
            RetryJobStatus::Running => "retry.answer.running",
            RetryJobStatus::Done => "retry.answer.done",
            RetryJobStatus::Cancelled => "retry.answer.cancelled",
        };
        Self {
            id: job.id.to_string(),
            status: shown_status(job.status),
            answer: text(key).count("retried", job.retried.into()).count("matching", job.matching.into()),
            matching: job.matching,
            retried: job.retried,
            skipped: job.skipped,
            done: if job.status == RetryJobStatus::Done { WHOLE } else { done },
            created_at: job.created_at,
            settled_at: job.settled_at,
            filters,
            until: filter.until,
            is_running,
            can_cancel: is_running && may_cancel,
            log: if log.is_empty() { "/deliveries".to_owned() } else { format!("/deliveries?{log}") },
        }
    }
}

impl Page for RetryJobPage {
    const TEMPLATE: &'static str = "delivery/retry_job";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let page = |status: RetryJobStatus| Self {
            id: "rtj_06a5xk2m7q8r9stvwxyz012345".into(),
            status: shown_status(status),
            answer: text("retry.answer.running").count("retried", 200).count("matching", 1_240),
            matching: 1_240,
            retried: 200,
            skipped: 3,
            done: 163,
            created_at: Timestamp::from_millis(0),
            settled_at: (status != RetryJobStatus::Running).then(|| Timestamp::from_millis(1)),
            filters: vec![(text("log.reason"), plain("<b>"))],
            until: Timestamp::from_millis(0),
            is_running: status == RetryJobStatus::Running,
            can_cancel: status == RetryJobStatus::Running,
            log: "/deliveries".into(),
        };
        vec![page(RetryJobStatus::Running), page(RetryJobStatus::Done), page(RetryJobStatus::Cancelled)]
    }
}

async fn reply(app: &App, viewer: &Viewer, caller: &Caller, job: &RetryJob) -> Result<Reply<RetryJobPage>, Problem> {
    let names = PostbackNames::load(app, caller.0).await?;
    let page = RetryJobPage::of(job, &names, caller.0.may(ManagePostbacks));
    let title = text("retry.job_of").time("at", job.created_at);
    Ok(viewer.page(title, page).below("/retry-jobs", text("retry.title")))
}

/// `GET /retry-jobs/{id}`: with `while=running`, a job that has ended makes the browser load the page again.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    caller: Caller,
    PathId(id): PathId<RetryJobId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let job = retry_jobs::get(&app, caller.0, id).await?;
    if ListUrl::of(&uri).get("while") == Some("running") && job.status != RetryJobStatus::Running {
        return Ok(reload());
    }
    Ok(reply(&app, &viewer, &caller, &job).await?.into_response())
}

/// `POST /retry-jobs/{id}/cancel`
pub async fn cancel(
    State(app): State<App>,
    viewer: Viewer,
    caller: Caller,
    PathId(id): PathId<RetryJobId>,
) -> Result<Response, Problem> {
    match retry_jobs::cancel(&app, caller.0, id).await {
        Ok(changed) => {
            let audited = AuditedChanges::many(changed.map(RetryJobOut::from).fields());
            Ok((audited, Redirect::to(&format!("/retry-jobs/{id}"))).into_response())
        }
        Err(error) => {
            let job = retry_jobs::get(&app, caller.0, id).await?;
            Ok(reply(&app, &viewer, &caller, &job).await?.alert(&Problem::from(error)).into_response())
        }
    }
}
