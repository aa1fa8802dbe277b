//! The link builder: the URL of a link with sub ids and a tracker's macro for its click id. Both are parameters of the
//! published URL and not stored with the link, so the URL of the page has the choices.

use postrider_sdk::marks::is_unreplaced;
use serde::Serialize;
use url::form_urlencoded::byte_serialize;

use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::texts::{Text, plain, text};

/// A tracker that replaces a macro in the links that it opens by its own click id.
#[derive(Debug)]
pub struct Tracker {
    /// The id of its template.
    id: &'static str,
    name: &'static str,
    /// The macro, in the notation of the tracker.
    click_id: &'static str,
}

/// Trackers whose macro is documented in the instructions of their templates; a test compares them.
const TRACKERS: [Tracker; 10] = [
    Tracker { id: "binom", name: "Binom 1", click_id: "{clickid}" },
    Tracker { id: "binom_v2", name: "Binom 2", click_id: "{clickid}" },
    Tracker { id: "clickflare", name: "ClickFlare", click_id: "{cf_click_id}" },
    Tracker { id: "clickmagick_campaigns", name: "ClickMagick", click_id: "[cmc_vid]" },
    Tracker { id: "cpv_lab", name: "CPV Lab / CPV One", click_id: "{!subid!}" },
    Tracker { id: "funnelflux_pro", name: "FunnelFlux Pro", click_id: "{hit}" },
    Tracker { id: "keitaro", name: "Keitaro", click_id: "{subid}" },
    Tracker { id: "orbitra", name: "Orbitra", click_id: "{subid}" },
    Tracker { id: "redtrack", name: "RedTrack", click_id: "{clickid}" },
    Tracker { id: "voluum", name: "Voluum", click_id: "{clickid}" },
];

/// The names of sub ids, in order.
pub const SUB_IDS: [&str; 10] = ["sub1", "sub2", "sub3", "sub4", "sub5", "sub6", "sub7", "sub8", "sub9", "sub10"];
/// The keys of their names.
pub const SUB_ID_LABELS: [&str; 10] = [
    "sub_id.sub1",
    "sub_id.sub2",
    "sub_id.sub3",
    "sub_id.sub4",
    "sub_id.sub5",
    "sub_id.sub6",
    "sub_id.sub7",
    "sub_id.sub8",
    "sub_id.sub9",
    "sub_id.sub10",
];
/// Sub ids that the builder shows at once; the others are behind "more".
const SHOWN_AT_ONCE: usize = 3;

/// The choices of the builder.
#[derive(Debug, Default)]
pub struct Choices {
    tracker: Option<&'static Tracker>,
    /// Sub ids with a value: their index in [`SUB_IDS`] and the value.
    sub_ids: Vec<(usize, String)>,
}

impl Choices {
    pub fn of(url: &ListUrl) -> Self {
        let value = |(at, name): (usize, &str)| Some((at, url.get(name)?.to_owned()));
        Self {
            tracker: url.get("tracker").and_then(tracker),
            sub_ids: SUB_IDS.into_iter().enumerate().filter_map(value).collect(),
        }
    }

    /// Whether a sub id that is behind "more" has a value.
    pub fn has_more(&self) -> bool {
        self.sub_ids.iter().any(|(at, _)| *at >= SHOWN_AT_ONCE)
    }

    fn value(&self, at: usize) -> &str {
        self.sub_ids.iter().find(|(known, _)| *known == at).map_or("", |(_, value)| value)
    }

    /// The fields that are shown at once, and the others. `known` has the values of recent clicks by sub id.
    pub fn fields(&self, known: &[(String, String)]) -> (Form, Form) {
        let mut sub_ids = SUB_IDS.into_iter().zip(SUB_ID_LABELS).enumerate().map(|(at, (name, label))| {
            let mut values: Vec<String> =
                known.iter().filter(|(known, _)| known.as_str() == name).map(|(_, value)| value.clone()).collect();
            values.sort_unstable();
            values.dedup();
            Field::text(name, label).value(self.value(at)).length(None, 512).suggestions(values)
        });
        let shown: Vec<_> = sub_ids.by_ref().take(SHOWN_AT_ONCE).collect();
        let more: Vec<_> = sub_ids.collect();
        (Form::new(std::iter::once(tracker_field(self.tracker.map_or("", |it| it.id))).chain(shown)), Form::new(more))
    }
}

fn tracker(id: &str) -> Option<&'static Tracker> {
    TRACKERS.iter().find(|tracker| tracker.id == id)
}

/// The choice of a tracker.
pub fn tracker_field(chosen: &str) -> Field {
    let none = (String::new(), text("links.no_tracker"));
    let trackers = TRACKERS.iter().map(|it| (it.id.to_owned(), plain(it.name)));
    Field::select("tracker", "links.tracker", chosen, std::iter::once(none).chain(trackers)).help("links.tracker_help")
}

/// A finished URL, in parts that the page colours.
#[derive(Debug, Serialize)]
pub struct BuiltUrl {
    url: String,
    scheme: String,
    host: String,
    path: String,
    parameters: Vec<Parameter>,
    /// A macro must be replaced before somebody opens the URL.
    has_macro: bool,
    /// What to do with the URL.
    advice: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Parameter {
    separator: char,
    name: &'static str,
    value: String,
    /// The number of its colour.
    mark: usize,
}

impl BuiltUrl {
    /// The URL of a link with the choices.
    pub fn new(link_url: &str, choices: &Choices) -> Self {
        let of_tracker = choices.tracker.map(|it| ("click_id", it.click_id.to_owned(), 1));
        // A macro of a tracker stays as it is, or the tracker would not recognize it.
        let written = |value: &str| match is_unreplaced(value) {
            true => value.to_owned(),
            false => byte_serialize(value.as_bytes()).collect(),
        };
        let of_sub_ids = choices.sub_ids.iter().map(|(at, value)| (SUB_IDS[*at], written(value), at % 5 + 2));
        let pairs = of_tracker.into_iter().chain(of_sub_ids).enumerate();
        let parameters: Vec<_> = pairs
            .map(|(at, (name, value, mark))| Parameter {
                separator: if at == 0 { '?' } else { '&' },
                name,
                value,
                mark,
            })
            .collect();
        let query: String = parameters.iter().map(|it| format!("{}{}={}", it.separator, it.name, it.value)).collect();
        let (scheme, rest) = link_url.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_macro = parameters.iter().any(|it| is_unreplaced(&it.value));
        let advice = match choices.tracker {
            Some(it) => Some(text("links.paste_into").with("tracker", it.name).with("macro", it.click_id)),
            None => has_macro.then(|| text("links.has_macro")),
        };
        Self {
            url: format!("{link_url}{query}"),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            parameters,
            has_macro,
            advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::delivery::templates;

    use super::*;

    fn built(query: &str) -> BuiltUrl {
        let url = ListUrl::of(&format!("/links/lnk_1?{query}").parse().unwrap());
        BuiltUrl::new("https://go.example/c/06a5", &Choices::of(&url))
    }

    #[test]
    fn the_macro_of_each_tracker_is_that_of_its_template() {
        for tracker in &TRACKERS {
            let instructions = &templates::get(tracker.id).unwrap().instructions;
            let wanted = format!("Add click_id={} to the link", tracker.click_id);
            assert!(instructions.iter().any(|it| it.starts_with(&wanted)), "{}: {instructions:?}", tracker.id);
        }
    }

    #[test]
    fn a_url_has_the_macro_as_it_is_and_values_encoded() {
        for (query, wanted, has_macro) in [
            ("", "https://go.example/c/06a5", false),
            ("tracker=voluum", "https://go.example/c/06a5?click_id={clickid}", true),
            ("tracker=unknown", "https://go.example/c/06a5", false),
            ("sub1=a+b%26c&sub2=", "https://go.example/c/06a5?sub1=a+b%26c", false),
            (
                "tracker=clickmagick_campaigns&sub10={campaign}&sub2=x",
                "https://go.example/c/06a5?click_id=[cmc_vid]&sub2=x&sub10={campaign}",
                true,
            ),
        ] {
            let built = built(query);
            assert_eq!((built.url.as_str(), built.has_macro), (wanted, has_macro), "{query}");
            assert_eq!(built.advice.is_some(), has_macro, "{query}");
        }
        let built = built("sub1=a");
        assert_eq!(
            (built.scheme.as_str(), built.host.as_str(), built.path.as_str()),
            ("https", "go.example", "/c/06a5")
        );
    }
}
