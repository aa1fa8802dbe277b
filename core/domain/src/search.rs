//! Text search: stored texts that begin with a typed text, in any case.
//!
//! Both databases compare the stored text with its letters A to Z in lower case, which an index can hold. SQLite folds
//! no other letters, and PostgreSQL folds them by the locale of the installation. So the typed text is searched in the
//! forms in which people write names: as typed, in lower case, in upper case, and with capital initials. "ömer" and
//! "ÖMER" find "Ömer Özil"; only a stored text that mixes cases in another way must be typed as it is stored.

use uuid::Uuid;

use crate::delivery::lane::destination_of;
use crate::ids::range_of_prefix;

/// The maximum number of characters of a search, and of a stored text that an index holds.
pub const SEARCH_MAX_CHARS: usize = 200;

/// What a person typed into a search field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search(String);

/// A search that is longer than 200 characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("search has {0} characters; use at most {SEARCH_MAX_CHARS}")]
pub struct SearchTooLong(usize);

/// The texts from the first, inclusive, to the second, exclusive, by their bytes.
pub type TextRange = (String, String);

impl Search {
    /// A search for the trimmed text; `None` if it is empty.
    ///
    /// # Errors
    /// The text is longer than 200 characters.
    pub fn new(text: &str) -> Result<Option<Self>, SearchTooLong> {
        let text = text.trim();
        match text.chars().count() {
            0 => Ok(None),
            1..=SEARCH_MAX_CHARS => Ok(Some(Self(text.to_owned()))),
            more => Err(SearchTooLong(more)),
        }
    }

    /// The ranges of stored texts that begin with the search.
    pub fn ranges(&self) -> Vec<TextRange> {
        ranges_of(forms(&self.0))
    }

    /// The ranges of stored URLs that begin with the search, with or without their scheme.
    pub fn url_ranges(&self) -> Vec<TextRange> {
        let mut begins = forms(&self.0);
        if !self.0.contains("://") {
            begins.extend(["https://", "http://"].iter().map(|scheme| format!("{scheme}{}", self.0)));
        }
        ranges_of(begins)
    }

    /// The ranges of stored destinations (scheme, host and port) that begin with the search, which can be a whole URL.
    pub fn destination_ranges(&self) -> Vec<TextRange> {
        let urls = match self.0.contains("://") {
            true => vec![self.0.clone()],
            false => vec![format!("https://{}", self.0), format!("http://{}", self.0)],
        };
        ranges_of(urls.into_iter().map(|url| destination_of(&url).unwrap_or(url)).collect())
    }

    /// The first and the last id that begins with the search, for ids that begin with `prefix`, such as `lnk_`.
    pub fn id_range(&self, prefix: &str) -> Option<(Uuid, Uuid)> {
        range_of_prefix(self.0.strip_prefix(prefix).filter(|_| !prefix.is_empty())?)
    }

    /// The id range of a link: by its id, or by the URL that the affiliate publishes (`https://host/c/…`).
    pub fn link_range(&self, prefix: &str) -> Option<(Uuid, Uuid)> {
        let published = ["/c/", "/i/"].iter().find_map(|path| self.0.split_once(path)).map(|(_, id)| id);
        let bare = published.map(|id| id.split(['?', '#']).next().unwrap_or_default());
        bare.and_then(range_of_prefix).or_else(|| self.id_range(prefix))
    }
}

/// The forms of a text in which stored texts can begin with it, with A to Z in lower case.
fn forms(text: &str) -> Vec<String> {
    vec![text.to_owned(), text.to_lowercase(), text.to_uppercase(), with_initials(text)]
}

/// With the first letter of each word in upper case, and all other letters in lower case.
fn with_initials(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        match in_word {
            true => changed.extend(character.to_lowercase()),
            false => changed.extend(character.to_uppercase()),
        }
        in_word = character.is_alphanumeric();
    }
    changed
}

fn ranges_of(mut begins: Vec<String>) -> Vec<TextRange> {
    begins.iter_mut().for_each(|begin| begin.make_ascii_lowercase());
    begins.sort_unstable();
    begins.dedup();
    // `char::MAX` is the last character of Unicode, so this is the end of the range.
    begins.into_iter().map(|begin| (begin.clone(), format!("{begin}{}", char::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Search {
        Search::new(text).unwrap().unwrap()
    }

    /// As the databases compare.
    fn finds(ranges: &[TextRange], stored: &str) -> bool {
        let folded = stored.to_ascii_lowercase();
        ranges.iter().any(|(begin, end)| *begin <= folded && folded < *end)
    }

    #[test]
    fn a_text_is_found_by_its_beginning_in_any_case() {
        for (typed, stored, expected) in [
            ("ada", "Ada Lovelace", true),
            ("ADA L", "Ada Lovelace", true),
            ("  ada ", "Ada", true),
            ("love", "Ada Lovelace", false),
            ("ada", "Ad", false),
            ("ömer", "Ömer Özil", true),
            ("ÖMER ÖZ", "Ömer Özil", true),
            ("Ömer", "ömer", true),
            ("ömer", "ÖMER", true),
            ("o'néill", "O'Néill", true),
            ("łódź", "Łódź Media", true),
            ("50%", "50% off", true),
            ("50%", "500 off", false),
            ("a_", "ab", false),
            ("日本", "日本の会社", true),
        ] {
            assert_eq!(finds(&search(typed).ranges(), stored), expected, "{typed} in {stored}");
        }
    }

    #[test]
    fn a_url_is_found_with_and_without_its_scheme() {
        let stored = "https://Shop.example/landing?cid={click_id}";
        for (typed, expected) in
            [("https://shop.ex", true), ("shop.example/l", true), ("http://shop", false), ("example", false)]
        {
            assert_eq!(finds(&search(typed).url_ranges(), stored), expected, "{typed}");
        }
        let stored = "https://track.example:8443";
        for (typed, expected) in [
            ("track.ex", true),
            ("TRACK.example:8443", true),
            ("https://Track.example:8443/postback?x=1", true),
            ("http://track.example", false),
            ("https://", true),
        ] {
            assert_eq!(finds(&search(typed).destination_ranges(), stored), expected, "{typed}");
        }
    }

    #[test]
    fn an_object_is_found_by_the_beginning_of_its_id() {
        let all = range_of_prefix("06a5").unwrap();
        assert_eq!(search("lnk_06a5").link_range("lnk_"), Some(all));
        assert_eq!(search("https://go.example/c/06A5?sub1=x").link_range("lnk_"), Some(all));
        assert_eq!(search("aff_06a5").id_range("aff_"), Some(all));
        for other in ["06a5", "lnk_", "lnk_?", "aff_06a5"] {
            assert_eq!(search(other).link_range("lnk_"), None, "{other}");
        }
    }

    #[test]
    fn an_empty_search_is_none_and_a_long_one_is_refused() {
        assert_eq!(Search::new("  "), Ok(None));
        assert!(Search::new(&"ä".repeat(200)).is_ok());
        assert_eq!(Search::new(&"ä".repeat(201)), Err(SearchTooLong(201)));
    }
}
