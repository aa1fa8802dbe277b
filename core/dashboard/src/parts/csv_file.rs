//! CSV files of lists: what the page shows, with all rows.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::timestamp::Timestamp;
use web::errors::Problem;

use crate::shell::format::Formats;

/// The rows that are read at once, and the most of a file. The export of the API has no limit.
pub const ROWS_AT_ONCE: u64 = 200;
pub const ROWS_AT_MOST: usize = 10_000;
/// The most pages that are read; a page of a filter that matches little examines 20,000 rows.
pub const PAGES_AT_MOST: usize = 100;

/// The response with a file.
pub fn file(name: &str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, text).into_response()
}

/// A part of the rows could be mistaken for all of them.
pub fn too_many(what: &str) -> Problem {
    let detail = format!(
        "the file would have more than {ROWS_AT_MOST} {what}, or too many would be examined; choose a shorter period, or \
         use the export of the API, which has no limit"
    );
    Problem::bad_request("invalid_parameter", detail)
}

/// A time in the zone of the reader, with its offset: `2026-11-26T14:43:10.204+01:00`.
pub fn local(at: Timestamp, formats: &Formats) -> String {
    let local = formats.zone.from_utc(at);
    let minutes = (local.and_utc().timestamp_millis() - at.millis()) / 60_000;
    let sign = if minutes < 0 { '-' } else { '+' };
    let mut shown = local.format("%Y-%m-%dT%H:%M:%S%.3f").to_string();
    write!(shown, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60).expect("text grows");
    shown
}
