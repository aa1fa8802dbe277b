//! The filters of the click log, as they stand in its URL. The names are those of the API.

use domain::ids::{LinkId, OfferId};
use domain::reports::zone::Zone;
use domain::reports::{Dimension, Values, cut};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::stored_text;
use storage::tracking::clicks::{Filter, VisitFilter};
use web::errors::Problem;

use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl};
use crate::parts::period::{Period, invalid};
use crate::shell::texts::{Text, plain, text};
use crate::tracking::filter_of;
use crate::tracking::links::{SUB_ID_LABELS, SUB_IDS};

/// Sub ids whose fields are always shown; the others appear when they are set.
const ALWAYS_SHOWN: usize = 2;

/// What the URL asks for.
pub(super) struct ClickFilter {
    pub filter: Filter,
    pub visit: VisitFilter,
    /// Inclusive.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
}

impl ClickFilter {
    /// Dates are days in `zone`; the last day is included.
    pub fn of(url: &ListUrl, zone: Zone) -> Result<Self, Problem> {
        let given = |name| url.get(name).map(str::to_owned);
        let Period { from, until } = Period::of(url, zone)?;
        let sub_ids = SUB_IDS.into_iter().filter_map(|name| Some((name, given(name)?))).collect();
        Ok(Self {
            filter: Filter {
                affiliate_id: None,
                offer_id: filter_of::<OfferId>(url, "offer_id")?,
                link_id: filter_of::<LinkId>(url, "link_id")?,
                action: action(url)?,
                external_id: given("external_click_id"),
                sub_ids,
            },
            visit: VisitFilter {
                country: given("country").map(|country| country.trim().to_uppercase()),
                device: given("device"),
                likely_bot: yes_or_no(url, "bot")?,
                unique: yes_or_no(url, "unique")?,
                converted: yes_or_no(url, "converted")?,
                values: values(url),
            },
            from,
            until,
        })
    }
}

/// The values by which reports group. They have no field of their own: the links of reports set them.
const DIMENSIONS: [(Dimension, &str, &str); 5] = [
    (Dimension::Keyword, "keyword", "report_group.keyword"),
    (Dimension::Page, "page", "report_group.page"),
    (Dimension::Source, "source", "report_group.source"),
    (Dimension::Browser, "browser", "report_group.browser"),
    (Dimension::Os, "os", "report_group.os"),
];

fn values(url: &ListUrl) -> Values {
    let value = |(dimension, name, _)| Some((dimension, cut(&stored_text(url.get(name)?.trim()))));
    DIMENSIONS.into_iter().filter_map(value).filter(|(_, value)| !value.is_empty()).collect()
}

fn action(url: &ListUrl) -> Result<Option<Action>, Problem> {
    let Some(word) = url.get("action") else { return Ok(None) };
    Action::from_word(word).map(Some).ok_or_else(|| invalid("action", "is neither click nor impression"))
}

fn yes_or_no(url: &ListUrl, name: &str) -> Result<Option<bool>, Problem> {
    match url.get(name) {
        None => Ok(None),
        Some("yes") => Ok(Some(true)),
        Some("no") => Ok(Some(false)),
        Some(_) => Err(invalid(name, "is neither yes nor no")),
    }
}

/// The fields and chips of the filters.
pub(super) fn fields(url: &ListUrl, offers: Vec<(String, Text)>) -> Filters {
    let mut filters = Period::add_to(Filters::new(url), url);
    let any = || (String::new(), text("clicks.any"));
    let word = |word: &str, key: &str| (word.to_owned(), text(key));
    let answers = || vec![any(), word("yes", "clicks.yes"), word("no", "clicks.no")];
    let devices = ["desktop", "mobile", "tablet", "appliance"].map(|it| word(it, &format!("device.{it}")));
    let choices = [
        ("offer_id", "clicks.offer", offers),
        (
            "action",
            "clicks.action",
            vec![any(), word("click", "clicks.click"), word("impression", "clicks.impression")],
        ),
        ("device", "clicks.device", std::iter::once(any()).chain(devices).collect()),
        ("bot", "clicks.bot", answers()),
        ("unique", "clicks.unique", answers()),
        ("converted", "clicks.converted", answers()),
    ];
    for (name, label, choices) in choices {
        let chosen = url.get(name).unwrap_or_default();
        let shown =
            choices.iter().find(|(value, _)| value == chosen && !chosen.is_empty()).map(|(_, name)| name.clone());
        filters = filters.add(url, Field::select(name, label, chosen, choices), name, label, shown);
    }
    for (name, label) in [("country", "clicks.country"), ("external_click_id", "clicks.external_id")] {
        let field = Field::text(name, label).value(url.get(name).unwrap_or_default());
        filters = filters.add(url, field, name, label, url.get(name).map(plain));
    }
    for (at, (name, label)) in SUB_IDS.into_iter().zip(SUB_ID_LABELS).enumerate() {
        let value = url.get(name);
        if at < ALWAYS_SHOWN || value.is_some() {
            let field = Field::text(name, label).value(value.unwrap_or_default());
            filters = filters.add(url, field, name, label, value.map(plain));
        }
    }
    for (_, name, label) in DIMENSIONS {
        if let Some(value) = url.get(name) {
            filters = filters.add(url, Field::text(name, label).value(value), name, label, Some(plain(value)));
        }
    }
    match url.get("link_id") {
        // A link is chosen on its own page.
        Some(id) => filters.add(url, Field::hidden("link_id", id), "link_id", "clicks.link", Some(plain(id))),
        None => filters,
    }
}

/// The parameters that are filters, with their values.
pub(super) fn parameters(url: &ListUrl) -> Vec<(String, String)> {
    let known = ["from", "until", "offer_id", "link_id", "action", "external_click_id"];
    let of_visit = ["country", "device", "bot", "unique", "converted"];
    let names = known.into_iter().chain(of_visit).chain(SUB_IDS);
    let names = names.chain(DIMENSIONS.map(|(_, name, _)| name));
    names.filter_map(|name| Some((name.to_owned(), url.get(name)?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<ClickFilter, Problem> {
        ClickFilter::of(
            &ListUrl::of(&format!("/clicks?{query}").parse().unwrap()),
            Zone::parse("Europe/Berlin").unwrap(),
        )
    }

    #[test]
    fn the_last_day_is_included_and_days_are_local() {
        let filter = read("from=2026-11-01&until=2026-11-01&country=de&bot=no&sub10=x").ok().unwrap();
        let shown = |time: Option<Timestamp>| time.unwrap().to_string();
        assert_eq!(shown(filter.from), "2026-10-31T23:00:00.000Z");
        assert_eq!(shown(filter.until), "2026-11-01T23:00:00.000Z");
        assert_eq!((filter.visit.country.as_deref(), filter.visit.likely_bot), (Some("DE"), Some(false)));
        assert_eq!(filter.filter.sub_ids, [("sub10", "x".to_owned())]);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        for query in
            ["from=soon", "until=9999-12-31", "from=2026-11-02&until=2026-11-01", "bot=maybe", "action=x", "link_id=1"]
        {
            assert!(read(query).is_err(), "{query}");
        }
    }
}
