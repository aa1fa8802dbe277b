//! Style sheet, scripts and images. A URL has the digest of the contents, so browsers keep the files for ever and load changed
//! ones at once.

use std::borrow::Cow;

use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// An embedded file.
struct Asset {
    /// The name in the templates: `style.css`.
    name: &'static str,
    content_type: &'static str,
    /// The name in URLs: `style-1f0a….css`.
    file: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The path of a file by its name in the templates.
///
/// # Panics
/// There is no such file. A test renders every template.
pub fn path(name: &str) -> String {
    #[cfg(debug_assertions)]
    if let Some(folder) = super::source::folder() {
        let files = super::bundle::read(&folder.join("assets"));
        return format!("/assets/{}", files.iter().find(|it| it.name == name).expect("an asset").file);
    }
    let asset = ASSETS.iter().find(|it| it.name == name);
    format!("/assets/{}", asset.unwrap_or_else(|| panic!("there is no asset {name}")).file)
}

/// `GET /assets/{file}`
pub async fn serve(headers: HeaderMap, Path(file): Path<String>) -> Response {
    #[cfg(debug_assertions)]
    if let Some(folder) = super::source::folder() {
        let files = super::bundle::read(&folder.join("assets"));
        let found = files.into_iter().find(|it| it.file == file);
        return found
            .map_or_else(|| StatusCode::NOT_FOUND.into_response(), |it| respond(it.content_type, None, it.bytes));
    }
    let Some(asset) = ASSETS.iter().find(|it| it.file == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (encoding, bytes) = match (accepts(accepted, "br"), accepts(accepted, "gzip")) {
        (true, _) => (Some("br"), asset.brotli),
        (false, true) => (Some("gzip"), asset.gzip),
        (false, false) => (None, asset.plain),
    };
    respond(asset.content_type, encoding, bytes)
}

fn respond(
    content_type: &'static str,
    encoding: Option<&'static str>,
    bytes: impl Into<Cow<'static, [u8]>>,
) -> Response {
    let mut response = bytes.into().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Whether an `Accept-Encoding` names a coding and does not refuse it (`q=0`).
fn accepts(accepted: &str, coding: &str) -> bool {
    accepted.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let refused = |it: &str| it.strip_prefix("q=").is_some_and(|weight| weight.parse::<f64>() == Ok(0.0));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding)) && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use sha2::{Digest, Sha256};

    use super::*;

    /// An entry of `assets/vendor/list.json`.
    #[derive(Deserialize)]
    struct Vendored {
        package: String,
        version: String,
        licence: String,
        sha256: String,
    }

    #[test]
    fn vendored_files_are_those_of_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let list = std::fs::read_to_string(format!("{folder}/vendor/list.json")).unwrap();
        let list: BTreeMap<String, Vendored> = serde_json::from_str(&list).unwrap();
        for (file, it) in &list {
            let digest = Sha256::digest(std::fs::read(format!("{folder}/{file}")).unwrap());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                digest, it.sha256,
                "{file} is not what {} {} was; update vendor/list.json",
                it.package, it.version
            );
            assert!(["0BSD", "ISC", "MIT"].contains(&it.licence.as_str()), "{file}: {}", it.licence);
        }
        for entry in std::fs::read_dir(format!("{folder}/vendor")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_tool = ["LICENSES.txt", "cut-kit", "make-sprite", "icons.txt", "list.json"].contains(&name.as_str());
            assert!(is_tool || list.contains_key(&format!("vendor/{name}")), "{name} is not in vendor/list.json");
        }
    }

    #[test]
    fn files_keep_their_budgets() {
        let size = |name: &str| ASSETS.iter().find(|it| it.name == name).unwrap().gzip.len();
        assert!(size("style.css") <= 32_000, "style sheet: {}", size("style.css"));
        let scripts = ["htmx.js", "postrider.js", "theme.js"].map(size);
        assert!(scripts.iter().sum::<usize>() <= 34_000, "scripts: {scripts:?}");
        assert!(scripts[1] + scripts[2] <= 6_000, "own scripts: {scripts:?}");
        assert!(size("icons.svg") <= 4_000, "icons: {}", size("icons.svg"));
    }

    #[test]
    fn the_policy_permits_all_of_them() {
        for it in ASSETS {
            let text = std::str::from_utf8(it.plain).unwrap();
            assert!(
                !text.contains("data:image") && !text.contains("@import") && !text.contains("url(http"),
                "{}",
                it.name
            );
            assert!(!text.contains("url(\"icons/"), "{} names an image that is not served", it.name);
            assert!(it.name == "htmx.js" || !text.contains("eval("), "{}", it.name);
            assert!(it.gzip.len() < it.plain.len() && it.brotli.len() < it.plain.len(), "{}", it.name);
        }
    }

    #[test]
    fn a_coding_is_used_if_the_browser_accepts_it() {
        for (accepted, wanted) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=0, gzip", false),
            ("BR;q=0.5", true),
            ("gzip", false),
            ("", false),
        ] {
            assert_eq!(accepts(accepted, "br"), wanted, "{accepted}");
        }
    }
}
