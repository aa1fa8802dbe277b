//! Saved views: tabs over a list. Each is a link to the list with filters; a person adds tabs by saving filters under a name.

use domain::people::saved_view::{Place, SavedView};
use engine::Error;
use engine::app::App;
use engine::people::saved_views;
use serde::Serialize;
use storage::base::page::PageRequest;

use super::list::ListUrl;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

/// The most saved views of one page that are shown.
const SHOWN: u64 = 50;

/// The tabs over a list, as `parts/views` shows them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Views {
    tabs: Vec<Tab>,
    /// The page that saves the present filters; `None` if a tab has them.
    save: Option<String>,
    /// The page that renames and deletes views of this page, if there are any.
    manage: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Tab {
    url: String,
    name: Text,
    current: bool,
    is_saved: bool,
}

impl Views {
    /// The built-in views, as key of the text and query, and those that the person saved. Customers, who come by a login
    /// link, have only the built-in ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn load(app: &App, viewer: &Viewer, url: &ListUrl, built_in: &[(&str, &str)]) -> Result<Self, Error> {
        let person = viewer.person.as_ref();
        let saved = match person.and_then(|it| it.user.as_ref()) {
            Some(user) => saved_views::list(app, user.id, Some(url.path()), PageRequest::first(SHOWN)).await?.items,
            None => Vec::new(),
        };
        let may_save = person.is_some_and(|it| it.user.is_some() && it.actor.may_change().is_ok());
        Ok(Self::new(url, built_in, saved, may_save))
    }

    pub fn new(url: &ListUrl, built_in: &[(&str, &str)], mut saved: Vec<SavedView>, may_save: bool) -> Self {
        let shown = Place::read(&url.first_page()).ok();
        let is_current = |place: &Place| shown.as_ref().is_some_and(|shown| shown.is_same(place));
        let built_in = built_in.iter().map(|(key, query)| {
            let place = Place { page: url.path().to_owned(), query: (*query).to_owned() };
            Tab { url: place.url(), name: text(key), current: is_current(&place), is_saved: false }
        });
        saved.sort_by_key(|it| it.id);
        let own = saved.iter().map(|it| Tab {
            url: it.place.url(),
            name: plain(&it.name),
            current: is_current(&it.place),
            is_saved: true,
        });
        let tabs: Vec<_> = built_in.chain(own).collect();
        let is_new = shown.as_ref().is_some_and(|it| !it.query.is_empty()) && !tabs.iter().any(|tab| tab.current);
        let page_of = |name: &str, value: &str| {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
            format!("/saved-views?{query}")
        };
        Self {
            save: shown.filter(|_| is_new && may_save).map(|it| page_of("url", &it.url())),
            manage: (!saved.is_empty()).then(|| page_of("page", url.path())),
            tabs,
        }
    }

    /// Samples that together render every part of the template.
    #[cfg(test)]
    pub fn samples(url: &ListUrl) -> [Self; 2] {
        use domain::ids::{SavedViewId, UserId};
        use domain::timestamp::Timestamp;

        let at = Timestamp::from_millis(0);
        let saved = SavedView {
            id: SavedViewId::new(at),
            user_id: UserId::new(at),
            name: "Voluum <b>".into(),
            place: Place { page: url.path().to_owned(), query: "status=failed".into() },
            created_at: at,
        };
        [Self::default(), Self::new(url, &[("parts.all", "")], vec![saved], true)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(url: &str) -> Views {
        Views::samples(&ListUrl::of(&url.parse().unwrap()))[1].clone()
    }

    #[test]
    fn the_view_with_the_filters_of_the_page_is_marked() {
        let current = |url: &str| views(url).tabs.iter().map(|tab| tab.current).collect::<Vec<_>>();
        assert_eq!(current("/deliveries"), [true, false]);
        assert_eq!(current("/deliveries?status=failed&cursor=1"), [false, true]);
        assert_eq!(current("/deliveries?status=failed&days=7"), [false, false]);
    }

    #[test]
    fn filters_that_no_view_has_can_be_saved() {
        assert_eq!(views("/deliveries").save, None);
        assert_eq!(views("/deliveries?status=failed").save, None);
        assert_eq!(views("/deliveries?days=7").save.as_deref(), Some("/saved-views?url=%2Fdeliveries%3Fdays%3D7"));
    }
}
