//! What the log keeps of requests and answers.

use crate::delivery::plan::Plan;
use crate::delivery::wire;
use host::wire as contract;

/// What the log keeps of a body, and of a URL.
pub const BODY_LOG_BYTES: usize = 16 * 1024;
/// What it keeps of headers: so many, so much of each value, and so much in all.
const HEADERS_MAX: usize = 64;
const HEADER_NAME_BYTES: usize = 256;
const HEADER_VALUE_BYTES: usize = 2 * 1024;
const HEADERS_LOG_BYTES: usize = 16 * 1024;

/// A request as the log shows it: as it was rendered, without its secrets.
#[derive(Default)]
pub struct Logged {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// Something of it was too long for the log.
    pub cut: bool,
}

impl Logged {
    pub fn of(request: &contract::Request, plan: &Plan) -> Self {
        let outgoing = wire::request(request);
        let hide = |text: &str| plan.secrets.mask(text).into_owned();
        let mut headers: Vec<_> = outgoing.headers.into_iter().map(|(name, value)| (name, hide(&value))).collect();
        // Masked before it is cut, so that no half of a placeholder is left at the end.
        let body = outgoing.body.map(|(content_type, bytes)| {
            headers.push(("content-type".to_owned(), content_type));
            hide(&text(&bytes))
        });
        let (headers, headers_cut) = kept_headers(headers);
        let (url, url_cut) = kept(hide(&outgoing.url), BODY_LOG_BYTES);
        let (body, body_cut) = body.map(|body| kept(body, BODY_LOG_BYTES)).unzip();
        let cut = headers_cut || url_cut || body_cut.unwrap_or_default();
        Self { method: outgoing.method.to_string(), url, headers, body, cut }
    }
}

/// The beginning of a text, and whether that is not all.
fn kept(mut text: String, bytes: usize) -> (String, bool) {
    let cut = text.len() > bytes;
    text.truncate(text.floor_char_boundary(bytes));
    (text, cut)
}

/// What the log keeps of headers, and whether that is not all. A value that was cut says how long it was, and the last line
/// how many headers are left out.
pub fn kept_headers(headers: Vec<(String, String)>) -> (Vec<(String, String)>, bool) {
    let (all, mut cut, mut bytes) = (headers.len(), false, 0);
    let mut logged = Vec::with_capacity(all.min(HEADERS_MAX));
    for (name, value) in headers {
        let length = value.len();
        let (name, name_cut) = kept(name, HEADER_NAME_BYTES);
        let (mut value, value_cut) = kept(value, HEADER_VALUE_BYTES);
        bytes += name.len() + value.len();
        if logged.len() == HEADERS_MAX || bytes > HEADERS_LOG_BYTES {
            break;
        }
        if value_cut {
            value.push_str(&format!("… ({length} bytes)"));
        }
        cut |= name_cut || value_cut;
        logged.push((name, value));
    }
    let left_out = all - logged.len();
    if left_out > 0 {
        logged.push(("…".to_owned(), format!("{left_out} more headers are not in the log")));
    }
    (logged, cut || left_out > 0)
}

/// Bytes of a stranger as text that any database keeps: PostgreSQL has no NUL.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(count: usize, bytes: usize) -> Vec<(String, String)> {
        (0..count).map(|number| (format!("x-{number}"), "é".repeat(bytes / 2))).collect()
    }

    #[test]
    fn headers_are_kept_within_bounds_and_say_what_is_missing() {
        assert_eq!(kept_headers(headers(64, 100)), (headers(64, 100), false));
        // (headers, bytes of each) -> (kept, left out)
        for (count, bytes, kept, left_out) in
            [(90, 8_000, 7, 83), (100, 10, 64, 36), (1, 400_000, 1, 0), (20, 1_000, 16, 4)]
        {
            let (logged, cut) = kept_headers(headers(count, bytes));
            let size: usize = logged.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(cut && size < 18 * 1024, "{count} of {bytes}: {size}");
            assert_eq!(logged.len(), kept + usize::from(left_out > 0), "{count} of {bytes}");
            if left_out > 0 {
                let (_, note) = logged.last().expect("a note");
                assert_eq!(*note, format!("{left_out} more headers are not in the log"));
            }
        }
        let (logged, _) = kept_headers(headers(1, 8_000));
        assert!(logged[0].1.ends_with("é… (8000 bytes)"), "{}", logged[0].1.len());
    }
}
