//! Saved views: a person's name for a page with its filters. The filters are the query of the page's URL.

use crate::ids::{SavedViewId, UserId};
use crate::timestamp::Timestamp;

/// Maximum number of characters of a name.
pub const NAME_MAX_CHARS: usize = 60;
/// Maximum number of views of one person.
pub const VIEWS_MAX: u32 = 50;
/// Maximum number of bytes of a URL.
const URL_MAX_BYTES: usize = 2_000;
/// Parameters of one page of a list. A view begins with the newest rows.
const NOT_KEPT: [&str; 3] = ["cursor", "after", "done"];

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// Id of the view.
    pub id: SavedViewId,
    /// The person whose view it is.
    pub user_id: UserId,
    /// The name, which is unique among the person's views of a page.
    pub name: String,
    /// Path and query.
    pub place: Place,
    /// When it was saved.
    pub created_at: Timestamp,
}

/// A page with its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path of the page, such as `/deliveries`.
    pub page: String,
    /// The query of the URL without its question mark; empty without filters.
    pub query: String,
}

/// A text that is not the URL of a page.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be the path of a page of this server with its filters, such as /deliveries?status=failed")]
pub struct InvalidPlace;

impl Place {
    /// Reads path and query. The position in the list is left out.
    ///
    /// # Errors
    /// It is the address of another server, or not an address.
    pub fn read(url: &str) -> Result<Self, InvalidPlace> {
        // "//host" and "/\host" are addresses of other servers for a browser.
        let is_local = url.starts_with('/') && !url.starts_with("//");
        let is_plain = url.bytes().all(|it| it.is_ascii_graphic() && !b"\\#\"<>".contains(&it));
        if !is_local || !is_plain || url.len() > URL_MAX_BYTES {
            return Err(InvalidPlace);
        }
        let (page, query) = url.split_once('?').unwrap_or((url, ""));
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let is_kept =
            |pair: &&str| !pair.ends_with('=') && !pair.is_empty() && !NOT_KEPT.contains(&name(pair).as_str());
        let kept: Vec<_> = query.split('&').filter(is_kept).collect();
        Ok(Self { page: page.to_owned(), query: kept.join("&") })
    }

    /// The URL of the page with its filters.
    pub fn url(&self) -> String {
        if self.query.is_empty() { self.page.clone() } else { format!("{}?{}", self.page, self.query) }
    }

    /// Whether both have the same filters, in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        let sorted = |place: &Self| {
            let mut pairs: Vec<String> = place.query.split('&').map(str::to_owned).collect();
            pairs.sort_unstable();
            pairs
        };
        self.page == other.page && sorted(self) == sorted(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_has_path_and_filters_without_the_position() {
        for (url, page, query) in [
            ("/deliveries", "/deliveries", ""),
            ("/deliveries?status=failed&cursor=x&offer_id=", "/deliveries", "status=failed"),
            ("/reports?from=2026-11-01&after=x&metric=clicks", "/reports", "from=2026-11-01&metric=clicks"),
        ] {
            let place = Place::read(url).unwrap();
            assert_eq!((place.page.as_str(), place.query.as_str()), (page, query), "{url}");
        }
        assert_eq!(Place::read("/deliveries?status=failed&cursor=x").unwrap().url(), "/deliveries?status=failed");
    }

    #[test]
    fn an_address_of_another_server_is_refused() {
        let long = format!("/deliveries?reason={}", "x".repeat(2_000));
        for url in
            ["", "deliveries", "//evil.example", "/\\evil.example", "https://evil.example/", "/a b", "/a#b", &long]
        {
            assert_eq!(Place::read(url), Err(InvalidPlace), "{url}");
        }
    }

    #[test]
    fn filters_are_the_same_in_any_order() {
        let place = |url: &str| Place::read(url).unwrap();
        assert!(place("/a?x=1&y=2").is_same(&place("/a?y=2&x=1")));
        assert!(!place("/a?x=1").is_same(&place("/a?x=2")));
        assert!(!place("/a?x=1").is_same(&place("/b?x=1")));
    }
}
