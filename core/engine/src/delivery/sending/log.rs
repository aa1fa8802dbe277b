//! Requests and answers as the delivery log keeps them: without secrets, and cut to a maximum size.

use crate::delivery::plan::Plan;
use crate::delivery::wire;
use host::wire as contract;

/// Maximum number of bytes of a body or a URL in the log.
pub(crate) const BODY_LOG_BYTES: usize = 16 * 1024;
/// Maximum number of headers in the log.
const HEADERS_MAX: usize = 64;
/// Maximum number of bytes of a header's name in the log.
const HEADER_NAME_BYTES: usize = 256;
/// Maximum number of bytes of a header's value in the log.
const HEADER_VALUE_BYTES: usize = 2 * 1024;
/// Maximum number of bytes of all headers in the log.
const HEADERS_LOG_BYTES: usize = 16 * 1024;

/// A request as the log shows it: as rendered, with `***` in place of secrets.
#[derive(Default)]
pub struct Logged {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    /// Whether a part of the request was too long for the log.
    pub cut: bool,
}

impl Logged {
    /// The logged form of a rendered request.
    pub fn of(request: &contract::Request, plan: &Plan) -> Self {
        let outgoing = wire::request(request);
        let hide = |text: &str| plan.secrets.mask(text).into_owned();
        let mut headers: Vec<_> = outgoing.headers.into_iter().map(|(name, value)| (name, hide(&value))).collect();
        // The text is masked before it is cut, so that no part of a placeholder remains at the end.
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

impl Logged {
    /// The request with its texts changed by `hide`.
    pub(crate) fn masked(self, hide: impl Fn(&str) -> String) -> Self {
        let headers = self.headers.into_iter().map(|(name, value)| (name, hide(&value))).collect();
        Self { url: hide(&self.url), headers, body: self.body.as_deref().map(&hide), ..self }
    }
}

/// The first `bytes` bytes of a text, and whether the text was cut.
fn kept(mut text: String, bytes: usize) -> (String, bool) {
    let cut = text.len() > bytes;
    text.truncate(text.floor_char_boundary(bytes));
    (text, cut)
}

/// The headers as the log keeps them, and whether something was cut. A cut value ends with its original length; the
/// last entry says how many headers are left out.
pub(crate) fn kept_headers(headers: Vec<(String, String)>) -> (Vec<(String, String)>, bool) {
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

/// Received bytes as text that both databases accept. PostgreSQL accepts no NUL characters.
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
    fn headers_are_cut_to_the_maximum_size_with_a_note() {
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
