//! `POST /deliveries/export`: the rows of the postback log with the filters of its URL, as a CSV file, newest first.

use axum::extract::State;
use axum::response::Response;
use domain::money::csv;
use engine::app::App;
use engine::delivery::delivery_log::{self, LogRow};
use web::auth::Caller;
use web::errors::Problem;

use super::filter::LogFilter;
use crate::form::Fields;
use crate::parts::csv_file::{PAGES_AT_MOST, ROWS_AT_MOST, ROWS_AT_ONCE, file, local, too_many};
use crate::parts::list::ListUrl;
use crate::shell::format::Formats;
use crate::shell::viewer::Viewer;
use crate::tracking::rows::PostbackNames;

/// The columns after the first, which names the zone of its times.
const COLUMNS: [&str; 15] = [
    "id",
    "postback_id",
    "postback",
    "event_id",
    "conversion_id",
    "transaction_id",
    "click_id",
    "status",
    "reason_code",
    "reason",
    "attempts",
    "http_status",
    "error_code",
    "duration_ms",
    "due_at",
];

/// `POST /deliveries/export`
pub async fn export(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(parameters): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let filter = LogFilter::of(&ListUrl::of_form("/deliveries", parameters), viewer.formats.zone)?;
    let _place = app.heavy.stream(actor).await?;
    let names = PostbackNames::load(&app, actor).await?;
    let mut text = header_line(&viewer.formats);
    let (mut next, mut rows) = (None, 0);
    for _ in 0..PAGES_AT_MOST {
        let request = filter.page(ROWS_AT_ONCE).after(next);
        let page = delivery_log::list(&app, actor, filter.filter.clone(), request).await?;
        rows += page.items.len();
        if rows > ROWS_AT_MOST {
            return Err(too_many("deliveries"));
        }
        page.items.iter().for_each(|row| push(&mut text, row, &names, &viewer.formats));
        next = page.next;
        if next.is_none() {
            return Ok(file("deliveries", text));
        }
    }
    Err(too_many("deliveries"))
}

fn header_line(formats: &Formats) -> String {
    let mut text = String::new();
    let time = format!("created_at ({})", formats.zone);
    csv::push_row(&mut text, std::iter::once(time.as_str()).chain(COLUMNS));
    text
}

fn push(text: &mut String, row: &LogRow, names: &PostbackNames, formats: &Formats) {
    let LogRow { delivery, event, last_attempt } = row;
    let conversion = event.as_ref().and_then(|it| it.facts.conversion.as_ref());
    let written = |number: Option<i32>| number.map(|it| it.to_string()).unwrap_or_default();
    let (code, sentence) = delivery.reason.clone().map(|it| (it.code, it.sentence)).unwrap_or_default();
    let cells = [
        local(delivery.created_at, formats),
        delivery.id.to_string(),
        delivery.postback_id.to_string(),
        names.of(delivery.postback_id),
        delivery.event_id.to_string(),
        delivery.conversion_id.map(|id| id.to_string()).unwrap_or_default(),
        conversion.map(|it| it.transaction_id.clone()).unwrap_or_default(),
        event.as_ref().and_then(|it| it.click_id).map(|id| id.to_string()).unwrap_or_default(),
        delivery.state.to_string(),
        code,
        sentence,
        delivery.attempts.to_string(),
        written(last_attempt.as_ref().and_then(|it| it.status)),
        last_attempt.as_ref().and_then(|it| it.error_code.clone()).unwrap_or_default(),
        written(last_attempt.as_ref().map(|it| it.duration_ms)),
        local(delivery.due_at, formats),
    ];
    csv::push_row(text, cells.iter().map(String::as_str));
}
