//! `/templates`: the gallery of trackers, networks, ad platforms and CRMs, with a search.

use axum::http::Uri;
use domain::delivery::template::{Direction, Kind, Template};
use domain::people::permission::Permission::{ManagePostbacks, ManageSources};
use engine::delivery::templates::{self, Filter};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::{Choice, ListUrl};
use crate::shell::nav::has_page;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

/// Templates that are shown at once, and that the link for more adds.
const AT_ONCE: usize = 24;
/// The macros that a card names.
const NAMED: usize = 4;

const KINDS: [(&str, &str, Kind); 4] = [
    ("network", "template_kinds.network", Kind::Network),
    ("tracker", "template_kinds.tracker", Kind::Tracker),
    ("ad_platform", "template_kinds.ad_platform", Kind::AdPlatform),
    ("crm", "template_kinds.crm", Kind::Crm),
];
const DIRECTIONS: [(&str, &str, Direction); 2] =
    [("outbound", "templates.outbound", Direction::Outbound), ("inbound", "templates.inbound", Direction::Inbound)];

/// The first letter of a name, with one of six colours.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    letter: String,
    hue: u32,
}

impl Letter {
    pub fn of(name: &str) -> Self {
        let letter = name.chars().find(|it| it.is_alphanumeric()).map(|it| it.to_uppercase().to_string());
        Self { letter: letter.unwrap_or_default(), hue: name.chars().map(u32::from).sum::<u32>() % 6 + 1 }
    }
}

#[derive(Debug, Serialize)]
pub struct Gallery {
    search: String,
    /// The other filters, which the search keeps.
    kept: Vec<(String, String)>,
    directions: Vec<Choice>,
    kinds: Vec<Choice>,
    verified: Vec<Choice>,
    cards: Vec<Card>,
    found: u64,
    more: Option<String>,
    /// The reader may paste a URL.
    may_paste: bool,
    /// Where a pasted URL leads, if the search is one.
    pasted: Option<String>,
}

#[derive(Debug, Serialize)]
struct Card {
    letter: Letter,
    name: String,
    /// The page that sets it up; none if the reader may not.
    path: Option<String>,
    kind: Text,
    /// Names of the values that it sends or reads.
    values: String,
    is_verified: bool,
    is_outbound: bool,
    fields: u64,
}

impl Card {
    fn of(template: &Template, may_connect: impl Fn(Direction) -> bool) -> Self {
        let is_outbound = template.direction == Direction::Outbound;
        let page = if is_outbound { "/postbacks/new" } else { "/sources/new" };
        let may = has_page(page) && may_connect(template.direction);
        Self {
            letter: Letter::of(&template.name),
            name: template.name.clone(),
            path: may.then(|| format!("{page}?template={}", template.id)),
            kind: text(&format!("template_kind.{}", word_of(template.kind))),
            values: values_of(template),
            is_verified: template.verified,
            is_outbound,
            fields: template.fields.len() as u64,
        }
    }
}

fn word_of(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, _, it)| *it == kind).map_or("", |(word, ..)| word)
}

/// The names of the first values that a template sends or reads.
fn values_of(template: &Template) -> String {
    let sent = template.config["parameters"].as_array().into_iter().flatten().filter_map(|it| it["macro"].as_str());
    let read = template.config["fields"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let named = sent.filter(|it| !it.starts_with("secret.")).chain(read).take(NAMED);
    named.map(|it| it.replace('_', " ")).collect::<Vec<_>>().join(", ")
}

fn choices<'a>(
    url: &ListUrl,
    name: &str,
    all: &'a str,
    words: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Choice> {
    let url = url.without(&["shown"]);
    let chosen = url.get(name).unwrap_or_default();
    let one = |(word, key): (&str, &str)| Choice {
        url: url.with(name, Some(word).filter(|it| !it.is_empty())),
        name: text(key),
        current: word == chosen,
    };
    std::iter::once(("", all)).chain(words).map(one).collect()
}

impl Gallery {
    fn new(url: &ListUrl, may_connect: impl Fn(Direction) -> bool) -> Self {
        let search = url.get("q").unwrap_or_default();
        let of_word = |name: &str| url.get(name).unwrap_or_default().to_owned();
        let (kind, direction) = (of_word("kind"), of_word("direction"));
        let filter = Filter {
            words: Some(search.to_owned()),
            kind: KINDS.iter().find(|(word, ..)| *word == kind).map(|(_, _, it)| *it),
            direction: DIRECTIONS.iter().find(|(word, ..)| *word == direction).map(|(_, _, it)| *it),
            verified: (url.get("verified") == Some("true")).then_some(true),
        };
        let found = templates::list(&filter);
        let shown = url.get("shown").and_then(|it| it.parse().ok()).unwrap_or(AT_ONCE);
        let may_paste = may_connect(Direction::Outbound);
        let is_url = search.contains("://");
        let kept = ["kind", "direction", "verified"].into_iter();
        Self {
            search: search.to_owned(),
            kept: kept.filter_map(|name| Some((name.to_owned(), url.get(name)?.to_owned()))).collect(),
            directions: choices(url, "direction", "templates.both_ways", DIRECTIONS.iter().map(|it| (it.0, it.1))),
            kinds: choices(url, "kind", "templates.all_kinds", KINDS.iter().map(|it| (it.0, it.1))),
            verified: choices(url, "verified", "parts.all", [("true", "templates.verified_only")].into_iter()),
            cards: found.iter().take(shown).map(|it| Card::of(it, &may_connect)).collect(),
            found: found.len() as u64,
            more: (found.len() > shown).then(|| url.with("shown", Some(&(shown + AT_ONCE).to_string()))),
            may_paste,
            pasted: (may_paste && is_url).then(|| search.to_owned()),
        }
    }
}

impl Page for Gallery {
    const TEMPLATE: &'static str = "delivery/templates";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let of = |uri: &str| Self::new(&ListUrl::of(&uri.parse().expect("a path")), |_| true);
        let mut unknown = of("/templates?q=voluum");
        for card in &mut unknown.cards {
            card.path = None;
        }
        vec![
            of("/templates"),
            of("/templates?kind=crm&direction=outbound&verified=true&shown=2"),
            of("/templates?q=https://nothing.invalid/%3Cb%3E"),
            unknown,
        ]
    }
}

/// `GET /templates`
pub async fn show(viewer: Viewer, Caller(actor): Caller, uri: Uri) -> Result<Reply<Gallery>, Problem> {
    let may_connect = |direction| {
        let permission = if direction == Direction::Outbound { ManagePostbacks } else { ManageSources };
        actor.may(permission) && actor.may_change().is_ok()
    };
    let page = viewer.page(text("templates.title"), Gallery::new(&ListUrl::of(&uri), may_connect));
    let page = page.lead(text("templates.lead").count("count", templates::all().len() as u64)).wide();
    Ok(if has_page("/postbacks") { page.below("/postbacks", text("nav.postbacks")) } else { page })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_names_what_is_sent() {
        let voluum = templates::get("voluum").expect("it is in the catalogue");
        assert_eq!(values_of(voluum), "external click id, payout, transaction id, currency");
        assert_eq!(Letter::of("  voluum").letter, "V");
    }
}
