//! `/deliveries`: the postback log. New rows are announced behind a link; rows never move by themselves.

pub mod delivery;
pub mod export;
pub mod filter;
mod request;
pub mod row;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::delivery::retry_job::RetryableStatus;
use domain::ids::DeliveryId;
use domain::people::actor::Actor;
use domain::people::permission::Permission::{ManagePostbacks, ReadReports};
use engine::app::App;
use engine::delivery::delivery_log::{self, Newer};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::live::unchanged;
use crate::parts::views::Views;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;
use crate::tracking::offer_choices;
use crate::tracking::rows::PostbackNames;
use filter::{LogFilter, fields, parameters};
use row::Row;

const ROWS: u64 = 50;
/// New rows that are counted.
const NEW_ROWS: u64 = 99;
/// The first row of a list that has none: every id is newer.
const NO_ROW: DeliveryId = DeliveryId(uuid::Uuid::nil());

/// The views that everybody has: the text, and the query.
const VIEWS: [(&str, &str); 4] = [
    ("log.view.all", ""),
    ("log.view.failed", "status=failed"),
    ("log.view.pending", "status=pending"),
    ("log.view.not_sent", "not_sent=yes"),
];

#[derive(Debug, Serialize)]
pub struct Log {
    views: Views,
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    /// Announces new rows; `None` on older pages, on which none appear.
    live: Option<Live>,
    retry: Option<RetryAll>,
    may_export: bool,
    /// The parameters with which the export has the same rows.
    parameters: Vec<(String, String)>,
}

/// How the page asks for new rows.
#[derive(Debug, Serialize)]
struct Live {
    /// Answers 204 while there are none.
    ask: String,
    /// The first page, with the new rows.
    show: String,
    new: Option<Text>,
}

/// The page that retries all deliveries that match.
#[derive(Debug, Serialize)]
struct RetryAll {
    url: String,
    help: Text,
}

impl Live {
    fn new(url: &ListUrl, first: DeliveryId, newer: Option<Newer>) -> Self {
        let new = newer.map(|it| match it.is_capped {
            true => text("log.more_new").count("count", it.count),
            false => text("log.new").count("count", it.count),
        });
        Self { ask: url.with("after", Some(&first.to_string())), show: url.first_page(), new }
    }
}

impl RetryAll {
    fn new(url: &ListUrl, status: RetryableStatus) -> Self {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters(&url.without(&["status"])))
            .append_pair("status", status.as_str())
            .finish();
        let help = match status {
            RetryableStatus::Failed => "log.retry_failed_help",
            RetryableStatus::Cancelled => "log.retry_cancelled_help",
        };
        Self { url: format!("/retry-jobs/new?{query}"), help: text(help) }
    }
}

impl Page for Log {
    const TEMPLATE: &'static str = "delivery/log";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let all = url("/deliveries");
        let filtered = url(
            "/deliveries?from=2026-11-01&until=2026-11-02&status=failed&http_status=5xx&reason=busy&transaction_id=%3Cb%3E\
             &click_id=x&reason_code=http_503&not_sent=yes&affiliate_id=aff_1&conversion_id=cnv_1&event_id=evt_1&cursor=x",
        );
        let [no_views, views] = Views::samples(&all);
        let choices = || vec![("pbk_1".to_owned(), crate::shell::texts::plain("Voluum <b>"))];
        let sample = |url: &ListUrl, views: &Views, rows, next, live| {
            let filters = fields(url, choices(), choices());
            Self {
                views: views.clone(),
                is_filtered: filters.any_set(),
                filters,
                rows,
                pager: Pager::new(url, next),
                live,
                retry: Some(RetryAll::new(url, RetryableStatus::Failed)),
                may_export: true,
                parameters: parameters(url),
            }
        };
        let newer = |is_capped| Some(Newer { count: 12, is_capped });
        let next = Some(uuid::Uuid::nil());
        vec![
            sample(&all, &views, Row::samples(), next, Some(Live::new(&all, NO_ROW, newer(false)))),
            sample(&all, &views, Row::samples(), None, Some(Live::new(&all, NO_ROW, newer(true)))),
            Self { retry: None, ..sample(&all, &no_views, Vec::new(), None, Some(Live::new(&all, NO_ROW, None))) },
            sample(&filtered, &views, Vec::new(), next, None),
        ]
    }
}

/// `GET /deliveries`: with `after`, only whether there are newer deliveries than that one.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked = ListUrl::of(&uri);
    let url = asked.without(&["after"]);
    let filter = LogFilter::of(&url, viewer.formats.zone)?;
    if let Some(first) = crate::tracking::filter_of::<DeliveryId>(&asked, "after")? {
        return news(&app, &viewer, actor, &url, filter, first).await;
    }
    let request = filter.page(ROWS).after(cursor(&url));
    let found = delivery_log::list(&app, actor, filter.filter.clone(), request).await?;
    let names = PostbackNames::load(&app, actor).await?;
    let now = viewer.formats.now;
    let filters = fields(&url, names.choices(), offer_choices(&app, actor).await?.split_off(1));
    let first = found.items.first().map_or(NO_ROW, |row| row.delivery.id);
    let may_retry = actor.may(ManagePostbacks) && found.items.iter().any(Row::is_retryable);
    let log = Log {
        views: Views::load(&app, &viewer, &url, &VIEWS).await?,
        is_filtered: filters.any_set(),
        filters,
        rows: found.items.iter().map(|row| Row::new(row, &names, now)).collect(),
        pager: Pager::new(&url, found.next),
        live: url.get("cursor").is_none().then(|| Live::new(&url, first, None)),
        retry: filter.retryable().filter(|_| may_retry).map(|status| RetryAll::new(&url, status)),
        may_export: !found.items.is_empty() && actor.may(ReadReports) && actor.may_change().is_ok(),
        parameters: parameters(&url),
    };
    Ok(reply(&viewer, log).into_response())
}

fn reply(viewer: &Viewer, log: Log) -> Reply<Log> {
    viewer.page(text("nav.deliveries"), log).lead(text("log.lead")).wide()
}

/// The link to new rows, or 204. Nothing else of the page is loaded.
async fn news(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    url: &ListUrl,
    filter: LogFilter,
    first: DeliveryId,
) -> Result<Response, Problem> {
    let request = filter.page(NEW_ROWS);
    let newer = delivery_log::count_newer(app, actor, filter.filter, request, first).await?;
    if newer.count == 0 {
        return Ok(unchanged());
    }
    let log = Log {
        views: Views::default(),
        filters: Filters::new(url),
        is_filtered: true,
        rows: Vec::new(),
        pager: Pager::default(),
        live: Some(Live::new(url, first, Some(newer))),
        retry: None,
        may_export: false,
        parameters: Vec::new(),
    };
    Ok(reply(viewer, log).into_response())
}
