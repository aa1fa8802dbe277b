//! `/retry-jobs/new`: counts the deliveries that match the filters of the log, and retries them when a person confirms.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::delivery::retry_job::RetryableStatus;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::retry_jobs::{self, Count};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use crate::delivery::log::filter::{LogFilter, fields, parameters};
use crate::form::{self, Fields};
use crate::parts::list::{Filters, ListUrl};
use crate::parts::period::invalid;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;
use crate::tracking::offer_choices;
use crate::tracking::rows::PostbackNames;

/// The parameter with the time of counting.
const COUNTED_AT: &str = "counted_at";
/// The parameter with the number that a person confirmed.
const EXPECTED: &str = "expected";

#[derive(Debug, Serialize)]
pub struct NewRetryJob {
    matching: u32,
    question: Text,
    /// There can be more than were counted.
    is_capped: bool,
    /// The filters, as the log shows them.
    filters: Filters,
    is_filtered: bool,
    /// How fast the job is.
    pace: Text,
    /// The fields of the form, which are not shown.
    hidden: Vec<(String, String)>,
    /// The log with these filters.
    back: String,
}

/// What the URL or the form asks for.
struct Asked {
    url: ListUrl,
    filter: LogFilter,
    status: RetryableStatus,
}

impl Asked {
    fn of(url: ListUrl, viewer: &Viewer) -> Result<Self, Problem> {
        let filter = LogFilter::of(&url, viewer.formats.zone)?;
        let status = filter.retryable().ok_or_else(|| invalid("status", "must be failed or cancelled"))?;
        Ok(Self { url, filter, status })
    }
}

impl NewRetryJob {
    async fn load(app: &App, actor: Actor, asked: &Asked, counted_at: Timestamp) -> Result<Self, Problem> {
        let Count { matching, is_capped } =
            retry_jobs::count(app, actor, &asked.filter.of_job(asked.status, counted_at)).await?;
        let names = PostbackNames::load(app, actor).await?;
        let filters = fields(&asked.url, names.choices(), offer_choices(app, actor).await?.split_off(1));
        let per_minute = u64::from(app.settings.retries_per_minute);
        let pace = match actor.is_staff() {
            true => text("retry.pace_of_staff"),
            false => text("retry.pace").count("count", per_minute),
        };
        Ok(Self::new(&asked.url, asked.status, matching, is_capped, filters, pace, counted_at))
    }

    fn new(
        url: &ListUrl,
        status: RetryableStatus,
        matching: u32,
        is_capped: bool,
        filters: Filters,
        pace: Text,
        counted_at: Timestamp,
    ) -> Self {
        let question = match status {
            RetryableStatus::Failed => "retry.question_failed",
            RetryableStatus::Cancelled => "retry.question_cancelled",
        };
        let kept = parameters(&url.without(&["status"]));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&kept)
            .append_pair("status", status.as_str())
            .finish();
        let fixed =
            [("status", status.to_string()), (COUNTED_AT, counted_at.to_string()), (EXPECTED, matching.to_string())];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
        Self {
            matching,
            question: text(question).count("count", matching.into()),
            is_capped,
            is_filtered: filters.any_set(),
            filters,
            pace,
            hidden: kept.into_iter().chain(fixed).collect(),
            back: format!("/deliveries?{query}"),
        }
    }
}

impl Page for NewRetryJob {
    const TEMPLATE: &'static str = "delivery/new_retry_job";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = ListUrl::of(&"/retry-jobs/new?reason=%3Cb%3E&status=failed".parse().expect("a path"));
        let sample = |status, matching, is_capped, filters| {
            let pace = text("retry.pace").count("count", 120);
            Self::new(&url, status, matching, is_capped, filters, pace, Timestamp::from_millis(0))
        };
        vec![
            sample(RetryableStatus::Failed, 128, true, fields(&url, Vec::new(), Vec::new())),
            sample(RetryableStatus::Cancelled, 0, false, Filters::new(&url)),
        ]
    }
}

fn reply(viewer: &Viewer, page: NewRetryJob) -> Reply<NewRetryJob> {
    let page = viewer.page(text("retry.new"), page).lead(text("retry.new_lead"));
    page.below("/deliveries", text("nav.deliveries"))
}

/// `GET /retry-jobs/new`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<NewRetryJob>, Problem> {
    let asked = Asked::of(ListUrl::of(&uri), &viewer)?;
    Ok(reply(&viewer, NewRetryJob::load(&app, actor, &asked, viewer.formats.now).await?))
}

/// `POST /retry-jobs`: creates the job, and leads to it.
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = Asked::of(ListUrl::of_form("/retry-jobs/new", pairs), &viewer)?;
    let expected = asked.url.get(EXPECTED).and_then(|it| it.parse().ok());
    let expected: u32 = expected.ok_or_else(|| invalid(EXPECTED, "is not a number"))?;
    let counted_at = asked.url.get(COUNTED_AT).and_then(Timestamp::parse);
    let counted_at = counted_at.ok_or_else(|| invalid(COUNTED_AT, "is not a time"))?;
    match retry_jobs::create(&app, actor, asked.filter.of_job(asked.status, counted_at), expected).await {
        Ok(job) => Ok(form::created(job.id, &format!("/retry-jobs/{}", job.id))),
        Err(error) => {
            let page = NewRetryJob::load(&app, actor, &asked, viewer.formats.now).await?;
            Ok(reply(&viewer, page).alert(&Problem::from(error)).into_response())
        }
    }
}
