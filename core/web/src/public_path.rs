//! The addresses of visitors and networks as people and programs write them: with a second slash, in capitals, with the end
//! of the sentence. They are written in the form of their route before they are routed. Other paths stay as they are.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The first segments of the public paths, whose second segment is an id, a code or a key, and the last one.
const PUBLIC: [&str; 4] = ["c", "r", "i", "in"];

/// Characters around an address, besides white space and the punctuation of ASCII: quotation marks and punctuation of other
/// languages, and invisible characters.
const AROUND: [char; 26] = [
    '“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '‹', '›', '…', '–', '—', '。', '，', '、', '！', '？', '；', '：',
    '）', '\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}',
];
/// The characters of a segment that are not encoded: RFC 3986 unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request with the path of its route, if it has a public path.
pub fn normalized(mut request: Request) -> Request {
    if let Some(uri) = normal_uri(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn normal_uri(uri: &Uri) -> Option<Uri> {
    let normal = normal(uri.path(), uri.query())?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(normal.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Path and query as the route has them; `None` if they have this form, or if it is no public path.
fn normal(path: &str, query: Option<&str>) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let first = segments.next()?;
    let kind = PUBLIC.into_iter().find(|kind| kind.eq_ignore_ascii_case(first))?;
    let segment = segments.next()?;
    if !segments.all(|segment| decoded(segment).is_some_and(|text| bare(&text).is_empty())) {
        return None;
    }
    let (segment, appended) = split_query(segment);
    let text = decoded(segment)?;
    let id = bare(&text);
    let is_normal = id == text && appended.is_none() && first == kind && path.len() == kind.len() + segment.len() + 2;
    if is_normal || id.is_empty() {
        return None;
    }
    let mut normal = format!("/{kind}/{}", utf8_percent_encode(id, SEGMENT));
    let queries = [appended.as_deref(), query];
    for (part, mark) in queries.into_iter().flatten().zip(["?", "&"]) {
        normal.extend([mark, part]);
    }
    Some(normal)
}

/// Splits a query off that was appended with `&`, or with an encoded `?`: no id, code or key contains them.
fn split_query(segment: &str) -> (&str, Option<String>) {
    for (at, _) in segment.match_indices(['&', '%']) {
        let rest = &segment[at..];
        let mark = ["&", "%3F", "%26"]
            .into_iter()
            .find(|mark| rest.get(..mark.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(mark)));
        if let Some(mark) = mark {
            return (&segment[..at], Some(plain_query(&rest[mark.len()..])));
        }
    }
    (segment, None)
}

/// The query, decoded once if it was encoded as a whole.
fn plain_query(query: &str) -> String {
    if query.contains('=') {
        return query.to_owned();
    }
    let marks = [("%3D", "="), ("%3d", "="), ("%26", "&"), ("%25", "%")];
    marks.into_iter().fold(query.to_owned(), |text, (encoded, plain)| text.replace(encoded, plain))
}

fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// The text without the white space and punctuation around it.
fn bare(text: &str) -> &str {
    let is_around = |c: char| c.is_ascii_punctuation() || c.is_whitespace() || c.is_control() || AROUND.contains(&c);
    text.trim_matches(is_around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_found_in_any_spelling() {
        for (path, wanted) in [
            ("/c/06A5/", "/c/06A5"),
            ("//c/06a5", "/c/06a5"),
            ("/c//06a5//", "/c/06a5"),
            ("/C/06A5", "/c/06A5"),
            ("/R/AF12345", "/r/AF12345"),
            ("/I/lnk_06a5", "/i/lnk_06a5"),
            ("//IN/k3y/", "/in/k3y"),
            ("/c/06a5.", "/c/06a5"),
            ("/c/06a5),", "/c/06a5"),
            ("/c/06a5/).", "/c/06a5"),
            ("/c/%2206a5%22", "/c/06a5"),
            ("/c/06a5%20", "/c/06a5"),
            ("/c/06a5%E2%80%9D", "/c/06a5"),
            ("/r/%D0%90%D0%91%D0%92.", "/r/%D0%90%D0%91%D0%92"),
            ("/c/06a5&sub1=a%26b", "/c/06a5?sub1=a%26b"),
            ("/c/06a5%3Fsub1=a", "/c/06a5?sub1=a"),
            ("/c/06a5%3fsub1%3Da%2526b%26sub2%3db", "/c/06a5?sub1=a%26b&sub2=b"),
        ] {
            assert_eq!(normal(path, None).as_deref(), Some(wanted), "{path}");
            assert_eq!(normal(wanted.split('?').next().unwrap(), None), None, "{wanted} has its form");
        }
        assert_eq!(normal("/C/06a5", Some("a=1&b=%26")).as_deref(), Some("/c/06a5?a=1&b=%26"));
        assert_eq!(normal("/c/06a5&a=1", Some("b=2")).as_deref(), Some("/c/06a5?a=1&b=2"));
        let uri: Uri = "//c/06a5/?a=1".parse().unwrap();
        assert_eq!(normal_uri(&uri).unwrap().to_string(), "/c/06a5?a=1");
        let absolute: Uri = "https://t.example/C/06a5".parse().unwrap();
        assert_eq!(normal_uri(&absolute).unwrap().to_string(), "https://t.example/c/06a5");
    }

    #[test]
    fn other_paths_stay_as_they_are() {
        for path in [
            "/",
            "//",
            "/c",
            "/c/",
            "/c/.",
            "/c/06a5",
            "/r/%D0%90",
            "/c/06a5/x",
            "/c/%ff.",
            "/in/k3y",
            "/API/v1/offers",
            "//api/v1/offers",
            "/links/",
            "/clicks/06a5.",
            "/conversions/C/06a5.",
        ] {
            assert_eq!(normal(path, Some("a=1")), None, "{path}");
        }
    }
}
