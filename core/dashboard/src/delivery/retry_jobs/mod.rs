//! `/retry-jobs`: jobs that retry many deliveries.

pub mod create;
pub mod job;

use axum::extract::State;
use axum::http::Uri;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::retry_jobs;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::{ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct RetryJobs {
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    at: Timestamp,
    status: ShownStatus,
    matching: u32,
    retried: u32,
    skipped: u32,
    settled_at: Option<Timestamp>,
}

impl Page for RetryJobs {
    const TEMPLATE: &'static str = "delivery/retry_jobs";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = ListUrl::of(&"/retry-jobs?cursor=x".parse().expect("a path"));
        let row = |settled_at| Row {
            id: "rtj_1".into(),
            at: Timestamp::from_millis(0),
            status: job::shown_status(domain::delivery::retry_job::RetryJobStatus::Running),
            matching: 1_240,
            retried: 200,
            skipped: 3,
            settled_at,
        };
        vec![
            Self {
                rows: vec![row(None), row(Some(Timestamp::from_millis(1)))],
                pager: Pager::new(&url, Some(uuid::Uuid::nil())),
            },
            Self { rows: Vec::new(), pager: Pager::default() },
        ]
    }
}

/// `GET /retry-jobs`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<RetryJobs>, Problem> {
    let url = ListUrl::of(&uri);
    let found = retry_jobs::list(&app, actor, PageRequest::first(ROWS).after(cursor(&url))).await?;
    let rows = found.items.into_iter().map(|job| Row {
        id: job.id.to_string(),
        at: job.created_at,
        status: job::shown_status(job.status),
        matching: job.matching,
        retried: job.retried,
        skipped: job.skipped,
        settled_at: job.settled_at,
    });
    let page = RetryJobs { rows: rows.collect(), pager: Pager::new(&url, found.next) };
    let page = viewer.page(text("retry.title"), page).lead(text("retry.lead"));
    Ok(page.below("/deliveries", text("nav.deliveries")))
}
