//! `/api/v1/exports`: all rows of a period as CSV or JSON Lines, oldest first. The rows are sent while they are read.

use std::io::Write;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::delivery::deliveries::DeliveryOut;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiQuery;
use crate::filters::{self, Period, PeriodIn, TestFilter};
use crate::streaming;
use domain::ids::{AffiliateId, OfferId, floor_uuid};
use domain::money::csv;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::tracking::exports::{self, Export, Rows, Subject};
use storage::tracking::exports::ExportRange;

use super::clicks::ClickOut;
use super::conversions::ConversionOut;
use super::events::EventOut;

/// The format of an export: CSV, or JSON Lines (one JSON object per line).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Csv,
    Jsonl,
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// csv, or jsonl for JSON Lines; csv if absent.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Only rows of this affiliate; of deliveries, those of its postbacks.
    affiliate_id: Option<AffiliateId>,
    /// Only rows of this offer. Not allowed for deliveries.
    offer_id: Option<OfferId>,
    /// Without rows of test conversions (`false`), only these (`true`), or all (`any`). If absent: `false` for
    /// conversions and events, and `any` for deliveries, which were really sent. Not allowed for clicks.
    #[param(inline)]
    test: Option<TestFilter>,
}

/// The columns of a CSV file, as paths into the JSON of a row. A list or object is written as JSON.
fn columns(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Clicks => &[
            "id",
            "action",
            "occurred_at",
            "link_id",
            "affiliate_id",
            "offer_id",
            "external_click_id",
            "sub_ids/sub1",
            "sub_ids/sub2",
            "sub_ids/sub3",
            "sub_ids/sub4",
            "sub_ids/sub5",
            "sub_ids/sub6",
            "sub_ids/sub7",
            "sub_ids/sub8",
            "sub_ids/sub9",
            "sub_ids/sub10",
            "parameters",
            "landing_url",
            "referrer",
            "ip",
            "user_agent",
            "country",
            "device",
            "browser",
            "os",
            "likely_bot",
            "unique",
        ],
        Subject::Conversions => &[
            "id",
            "transaction_id",
            "revision",
            "status",
            "rejection_reason",
            "affiliate_id",
            "offer_id",
            "link_id",
            "click_id",
            "attributed_by",
            "attribution/ruling",
            "goal",
            "amount",
            "currency",
            "payout/amount",
            "payout/currency",
            "revenue/amount",
            "revenue/currency",
            "customer_id",
            "customer_name",
            "customer_email",
            "plan_name",
            "plan_price",
            "purchase_id",
            "purchase_date",
            "source_id",
            "self_reported",
            "test",
            "created_at",
            "updated_at",
        ],
        Subject::Events => &[
            "id",
            "action",
            "occurred_at",
            "affiliate_id",
            "offer_id",
            "click_id",
            "conversion_id",
            "revision",
            "test",
            "facts",
        ],
        Subject::Deliveries => &[
            "id",
            "event_id",
            "postback_id",
            "conversion_id",
            "affiliate_id",
            "test",
            "status",
            "reason_code",
            "reason",
            "due_at",
            "created_at",
            "settled_at",
            "attempts",
        ],
    }
}

/// Export clicks, conversions, events or deliveries as CSV or JSON Lines, oldest first.
///
/// The rows have the fields of the lists in this API. They are sent while they are read: after an error the connection
/// is closed before the end of the body, so that a part is not mistaken for the whole. Without `from` they begin with the
/// oldest row, and without `until` they end now. The body is compressed if
/// `Accept-Encoding` allows gzip. Affiliates export their own rows. The data of buyers is masked for callers
/// without the permission `read_buyers`; affiliates get what the setting `affiliates_see` allows. Each export is
/// recorded in the audit log.
#[utoipa::path(get, path = "/api/v1/exports/{subject}", tag = "reports",
    params(("subject" = String, Path, description = "clicks, conversions, events or deliveries", example = "conversions"),
        ExportQuery, PeriodIn),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, description = "The rows.", content((String = "text/csv"), (String = "application/jsonl"))),
        (status = "default", body = Problem)))]
pub async fn export(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(subject): Path<String>,
    headers: HeaderMap,
    period: Period,
    ApiQuery(params): ApiQuery<ExportQuery>,
) -> ApiResult<Response> {
    let subject = Subject::from_word(&subject).ok_or_else(|| {
        let detail = format!("there is no such export; use one of: {}", Subject::WORDS.join(", "));
        Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
    })?;
    let from = period.from.unwrap_or(Timestamp::from_millis(0));
    let until = period.until.unwrap_or(Timestamp::from_millis(app.clock.now().millis() + 1));
    filters::check(from, until)?;
    if subject == Subject::Deliveries && params.offer_id.is_some() {
        return Err(Problem::bad_request("invalid_parameter", "deliveries cannot be filtered by offer_id; remove it"));
    }
    if subject == Subject::Clicks && params.test.is_some() {
        return Err(Problem::bad_request("invalid_parameter", "there are no test clicks; remove test"));
    }
    let mut range = ExportRange::new(floor_uuid(from), floor_uuid(until));
    (range.affiliate_id, range.offer_id) = (params.affiliate_id, params.offer_id);
    let default = if subject == Subject::Deliveries { TestFilter::Any } else { TestFilter::False };
    range.test = params.test.unwrap_or(default).condition();
    let export = exports::begin(&app, actor, subject, range)?;
    let place = app.heavy.stream(actor).await?;
    let gzip = accepts_gzip(&headers);
    let writer = Writer {
        export,
        actor,
        format: params.format,
        now: app.clock.now(),
        encoder: Encoder::new(gzip),
        has_started: false,
        has_ended: false,
    };
    let shared_app = app.clone();
    let pages = stream::try_unfold(writer, move |mut writer| {
        let app = shared_app.clone();
        async move {
            let _place = app.heavy.page_place(actor).await;
            Ok(writer.next().await?.map(|bytes| (bytes, writer)))
        }
    });
    let body = streaming::body(&app, place, pages);
    let (kind, ending) = match params.format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Jsonl => ("application/jsonl; charset=utf-8", "jsonl"),
    };
    let name =
        HeaderValue::try_from(format!("attachment; filename=\"{subject}.{ending}\"")).expect("the name is ASCII");
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether `Accept-Encoding` names gzip, and not with `q=0`.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
    })
}

/// Writes pages of rows as bytes. After an error the connection is closed, so that the client does not mistake a part
/// for the whole.
struct Writer {
    export: Export,
    actor: Actor,
    format: Format,
    now: Timestamp,
    encoder: Encoder,
    /// Whether the column names are written.
    has_started: bool,
    has_ended: bool,
}

impl Writer {
    /// The next bytes of the body; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, engine::Error> {
        while !self.has_ended {
            let mut text = String::new();
            if !self.has_started && self.format == Format::Csv {
                let names = columns(self.export.subject).iter().map(|path| path.trim_start_matches("sub_ids/"));
                let names: Vec<_> = names.map(|name| name.replace('/', "_")).collect();
                csv::push_row(&mut text, names.iter().map(String::as_str));
            }
            self.has_started = true;
            match self.export.next().await? {
                Some(rows) => self.write(rows, &mut text),
                None => self.has_ended = true,
            }
            let bytes = self.encoder.encode(text.as_bytes(), self.has_ended);
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    fn write(&self, rows: Rows, text: &mut String) {
        let (actor, now) = (self.actor, self.now);
        match rows {
            Rows::Clicks(items) => items.into_iter().for_each(|it| self.line(&ClickOut::of(actor, it), text)),
            Rows::Conversions(items) => {
                items.into_iter().for_each(|it| self.line(&ConversionOut::of(actor, it), text));
            }
            Rows::Events(items) => items.into_iter().for_each(|it| self.line(&EventOut::of(actor, it), text)),
            Rows::Deliveries(items) => {
                items.into_iter().for_each(|it| self.line(&DeliveryOut::of(now, it), text));
            }
        }
    }

    fn line(&self, row: &impl Serialize, text: &mut String) {
        let value = serde_json::to_value(row).expect("API representations are JSON");
        match self.format {
            Format::Jsonl => {
                text.push_str(&value.to_string());
                text.push('\n');
            }
            Format::Csv => {
                let cell = |path: &&str| match value.pointer(&format!("/{path}")) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                };
                let cells: Vec<_> = columns(self.export.subject).iter().map(cell).collect();
                csv::push_row(text, cells.iter().map(String::as_str));
            }
        }
    }
}

/// The encoding of the body.
enum Encoder {
    Plain,
    Gzip(Option<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    fn new(gzip: bool) -> Self {
        if gzip { Self::Gzip(Some(GzEncoder::new(Vec::new(), Compression::fast()))) } else { Self::Plain }
    }

    /// The bytes to send for `bytes`, possibly none yet. `last`: the body ends with them.
    fn encode(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        let Self::Gzip(gzip) = self else { return bytes.to_vec() };
        let mut encoded = Vec::new();
        if let Some(gzip) = gzip {
            gzip.write_all(bytes).expect("writing into memory cannot fail");
            encoded = std::mem::take(gzip.get_mut());
        }
        if last && let Some(gzip) = gzip.take() {
            encoded.extend(gzip.finish().expect("writing into memory cannot fail"));
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_if_it_is_accepted() {
        for (accepted, expected) in
            [("gzip, br", true), ("br;q=1, GZIP;q=0.5", true), ("gzip;q=0", false), ("identity", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), expected, "{accepted}");
        }
    }
}
