//! Lists: filters that are part of the URL, and pages by cursor. A link of a list keeps what it does not change.

use axum::http::Uri;
use domain::reports::calendar::last_days;
use domain::timestamp::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::field::Field;
use crate::shell::format::Formats;
use crate::shell::texts::{Text, text};

/// The name of the parameter with the cursor.
const CURSOR: &str = "cursor";

/// The path and the parameters of a list.
#[derive(Clone, Debug)]
pub struct ListUrl {
    path: String,
    parameters: Vec<(String, String)>,
}

impl ListUrl {
    /// Parameters without a value are left out: a form sends them, too.
    pub fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self::of_form(uri.path(), pairs.into_owned())
    }

    /// The list whose filters are the fields of a form.
    pub fn of_form(path: &str, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let parameters = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { path: path.to_owned(), parameters }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL of the first page with the same filters.
    pub fn first_page(&self) -> String {
        self.with(CURSOR, None)
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The list without these parameters.
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = self.parameters.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self { path: self.path.clone(), parameters: kept.cloned().collect() }
    }

    /// The URL with another value of a parameter, or without it. Other filters lead to another first page.
    pub fn with(&self, name: &str, value: Option<&str>) -> String {
        let kept = self.parameters.iter().filter(|(known, _)| known != name && known != CURSOR);
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let query = kept.chain(value.map(|value| (name, value)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    /// The URL of the same page of the list with another value of a parameter, or without it.
    pub fn on_this_page(&self, name: &str, value: Option<&str>) -> String {
        let changed = self.without(&[name]);
        let kept = changed.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query = kept.chain(value.map(|value| (name, value)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }
}

/// One of a few exclusive choices, as links.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub url: String,
    pub name: Text,
    pub current: bool,
}

/// The filters of a list, as `parts/filters` shows them. Without a script a button applies them.
#[derive(Clone, Debug, Serialize)]
pub struct Filters {
    path: String,
    fields: Vec<Field>,
    chips: Vec<Chip>,
    /// The page has `parts/views`, which change with the filters.
    has_views: bool,
}

/// A filter that is set, with the URL of the list without it.
#[derive(Clone, Debug, Serialize)]
struct Chip {
    name: Text,
    value: Text,
    remove: String,
}

impl Filters {
    pub fn new(url: &ListUrl) -> Self {
        Self { path: url.path.clone(), fields: Vec::new(), chips: Vec::new(), has_views: false }
    }

    /// Adds a field, and a chip if the filter is set: its name and the shown value.
    pub fn add(mut self, url: &ListUrl, field: Field, name: &'static str, label: &str, shown: Option<Text>) -> Self {
        self.fields.push(field);
        self.chips.extend(shown.map(|value| Chip { name: text(label), value, remove: url.with(name, None) }));
        self
    }

    /// The filters of a page with `parts/views`.
    pub fn with_views(self) -> Self {
        Self { has_views: true, ..self }
    }

    pub fn any_set(&self) -> bool {
        !self.chips.is_empty()
    }
}

/// The days that the filter `days` of a list offers.
const DAYS: [u32; 4] = [1, 7, 30, 90];

/// The filter for the last days of a list.
#[derive(Clone, Copy, Debug)]
pub struct LastDays(Option<u32>);

impl LastDays {
    pub fn of(url: &ListUrl) -> Self {
        Self(url.get("days").and_then(|days| days.parse().ok()).filter(|days| DAYS.contains(days)))
    }

    /// The beginning of the period, in the zone of the reader.
    pub fn begin(self, formats: &Formats) -> Option<Timestamp> {
        self.0.map(|days| last_days(days, formats.now, formats.zone).0)
    }

    fn name(days: u32) -> Text {
        if days == 1 { text("parts.today") } else { text("parts.last_days").count("count", days.into()) }
    }

    /// Adds the field and its chip.
    pub fn add_to(self, filters: Filters, url: &ListUrl) -> Filters {
        let choices = DAYS.into_iter().map(|days| (days.to_string(), Self::name(days)));
        let choices = [(String::new(), text("parts.any_time"))].into_iter().chain(choices);
        let chosen = self.0.map(|days| days.to_string()).unwrap_or_default();
        let field = Field::select("days", "parts.period", &chosen, choices);
        filters.add(url, field, "days", "parts.period", self.0.map(Self::name))
    }
}

/// A choice among words of the URL, with "all" in front.
pub fn choice_filter(
    filters: Filters,
    url: &ListUrl,
    name: &'static str,
    label: &str,
    choices: impl IntoIterator<Item = (String, Text)>,
) -> Filters {
    let choices: Vec<_> = [(String::new(), text("parts.all"))].into_iter().chain(choices).collect();
    let chosen = url.get(name).and_then(|word| choices.iter().find(|(known, _)| known == word)).cloned();
    let value = chosen.as_ref().map(|(word, _)| word.as_str()).unwrap_or_default();
    let field = Field::select(name, label, value, choices);
    filters.add(url, field, name, label, chosen.map(|(_, name)| name))
}

/// The links to the other pages of a list, as `parts/pager` shows them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pager {
    older: Option<String>,
    newest: Option<String>,
}

impl Pager {
    /// `next` is the cursor of the next page.
    pub fn new(url: &ListUrl, next: Option<Uuid>) -> Self {
        Self {
            older: next.map(|cursor| url.with(CURSOR, Some(&cursor.to_string()))),
            newest: url.get(CURSOR).map(|_| url.with(CURSOR, None)),
        }
    }
}

/// The cursor of a list's URL; `None` for the first page, also if it is not valid.
pub fn cursor(url: &ListUrl) -> Option<Uuid> {
    url.get(CURSOR)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_can_be_longer_than_a_uri() {
        let long = "x".repeat(70_000);
        let fields = [("status", "failed"), ("empty", ""), ("reason", long.as_str())];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = ListUrl::of_form("/deliveries", fields);
        assert_eq!((url.path(), url.get("status"), url.get("empty")), ("/deliveries", Some("failed"), None));
        assert_eq!(url.get("reason"), Some(long.as_str()));
    }

    #[test]
    fn links_of_a_list_keep_its_filters() {
        let url = ListUrl::of(&"/audit?operation=login&user_id=&q=a%26b&cursor=1".parse().unwrap());
        assert_eq!(url.get("operation"), Some("login"));
        assert_eq!(url.get("user_id"), None);
        assert_eq!(url.with("operation", None), "/audit?q=a%26b");
        assert_eq!(url.with("operation", Some("logout")), "/audit?q=a%26b&operation=logout");
        let pager = Pager::new(&url, Some(Uuid::nil()));
        assert_eq!(
            pager.older.as_deref(),
            Some("/audit?operation=login&q=a%26b&cursor=00000000-0000-0000-0000-000000000000")
        );
        assert_eq!(pager.newest.as_deref(), Some("/audit?operation=login&q=a%26b"));
    }
}
