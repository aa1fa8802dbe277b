//! `/inbound-requests/replay`: replays all requests that match the filters of the log, after their number was confirmed.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::replays::{self, Count, ReplayFilter};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use super::requests::RequestFilter;
use crate::form::Fields;
use crate::parts::list::{LastDays, ListUrl};
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// The filters of the log that a replay has.
const FILTERS: [&str; 5] = ["days", "source_id", "outcome", "reason_code", "transaction_id"];

#[derive(Debug, Serialize)]
pub struct ReplayPage {
    matching: u64,
    is_capped: bool,
    /// The log with the same filters.
    log_url: String,
    /// The filters that are set, for the form and for the reader.
    filters: Vec<(String, String)>,
    until: String,
}

impl ReplayPage {
    fn new(url: &ListUrl, count: Count, until: Timestamp) -> Self {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(filters(url)).finish();
        Self {
            matching: count.matching.into(),
            is_capped: count.is_capped,
            log_url: format!("/inbound-requests?{query}"),
            filters: filters(url),
            until: until.to_string(),
        }
    }
}

fn filters(url: &ListUrl) -> Vec<(String, String)> {
    FILTERS.into_iter().filter_map(|name| Some((name.to_owned(), url.get(name)?.to_owned()))).collect()
}

fn filter_of(url: &ListUrl, viewer: &Viewer, until: Timestamp) -> Result<ReplayFilter, Problem> {
    let RequestFilter { source_id, outcome, code, transaction_id } = RequestFilter::of(url)?;
    let from = LastDays::of(url).begin(&viewer.formats);
    Ok(ReplayFilter { source_id, outcome, code, transaction_id, from, until })
}

impl Page for ReplayPage {
    const TEMPLATE: &'static str = "inbound/replay";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = ListUrl::of(&"/inbound-requests/replay?days=7&reason_code=x".parse().expect("a path"));
        let sample = |matching, is_capped| Self::new(&url, Count { matching, is_capped }, Timestamp::from_millis(0));
        vec![sample(0, false), sample(1, false), sample(1_000, true)]
    }
}

fn reply(viewer: &Viewer, page: ReplayPage) -> Reply<ReplayPage> {
    viewer
        .page(text("replay.title"), page)
        .below("/sources", text("nav.sources"))
        .below("/inbound-requests", text("requests.title"))
}

/// `GET /inbound-requests/replay`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<ReplayPage>, Problem> {
    let url = ListUrl::of(&uri);
    let until = viewer.formats.now;
    let count = replays::count(&app, actor, &filter_of(&url, &viewer, until)?).await?;
    Ok(reply(&viewer, ReplayPage::new(&url, count, until)))
}

/// `POST /inbound-requests/replay`
pub async fn replay(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(values): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let url = ListUrl::of_form("/inbound-requests/replay", values);
    let until = url.get("until").and_then(Timestamp::parse).unwrap_or(viewer.formats.now);
    let expected = url.get("expected").and_then(|text| text.parse().ok()).unwrap_or_default();
    let filter = filter_of(&url, &viewer, until)?;
    match replays::replay(&app, actor, &filter, expected).await {
        Ok(_) => {
            let kept = filters(&url).into_iter().filter(|(name, _)| name == "source_id" || name == "days");
            let query = url::form_urlencoded::Serializer::new("done=replayed".to_owned()).extend_pairs(kept).finish();
            Ok(Redirect::to(&format!("/inbound-requests?{query}")).into_response())
        }
        Err(error) => {
            let count = replays::count(&app, actor, &filter).await?;
            let page = reply(&viewer, ReplayPage::new(&url, count, until));
            Ok(page.alert(&Problem::from(error)).into_response())
        }
    }
}
