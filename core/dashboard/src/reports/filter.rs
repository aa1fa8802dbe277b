//! What the URL of a report asks for. The names are those of the API.

use domain::amounts::Currency;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::reports::aggregator::ReportQuery;
use domain::reports::calendar::Unit;
use domain::reports::ranking::Sort;
use domain::reports::{Dimension, Filter, Group, cut};
use engine::reports::ReportRequest;
use engine::reports::comparison::Span;
use web::errors::Problem;

use super::figure;
use super::key::group_name;
use super::period::Period;
use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl};
use crate::shell::format::Formats;
use crate::shell::texts::{Text, plain, text};
use crate::tracking::filter_of;

/// Rows that a page shows, and those that it shows if a person asks for more.
pub const ROWS: usize = 50;
const MANY_ROWS: usize = 200;

/// Dimensions by which reports can be filtered, with the keys of their names.
const DIMENSIONS: [(Dimension, &str, &str); 18] = [
    (Dimension::Country, "country", "report_group.country"),
    (Dimension::Source, "source", "report_group.source"),
    (Dimension::Keyword, "keyword", "report_group.keyword"),
    (Dimension::Page, "page", "report_group.page"),
    (Dimension::Device, "device", "report_group.device"),
    (Dimension::Browser, "browser", "report_group.browser"),
    (Dimension::Os, "os", "report_group.os"),
    (Dimension::Goal, "goal", "report_group.goal"),
    (Dimension::Sub1, "sub1", "sub_id.sub1"),
    (Dimension::Sub2, "sub2", "sub_id.sub2"),
    (Dimension::Sub3, "sub3", "sub_id.sub3"),
    (Dimension::Sub4, "sub4", "sub_id.sub4"),
    (Dimension::Sub5, "sub5", "sub_id.sub5"),
    (Dimension::Sub6, "sub6", "sub_id.sub6"),
    (Dimension::Sub7, "sub7", "sub_id.sub7"),
    (Dimension::Sub8, "sub8", "sub_id.sub8"),
    (Dimension::Sub9, "sub9", "sub_id.sub9"),
    (Dimension::Sub10, "sub10", "sub_id.sub10"),
];

/// The parameters of a report that are neither its groups nor filters.
const OTHERS: [&str; 6] = ["period", "from", "until", "compare", "sort", "currency"];

/// A report as the URL asks for it.
pub struct Ask {
    pub period: Period,
    pub groups: Vec<Group>,
    pub filter: Filter,
    pub compares: bool,
    pub sort: Sort,
    /// The figure of the chart; `None`: the page chooses.
    pub figure: Option<Sort>,
    pub currency: Option<Currency>,
    pub limit: usize,
}

impl Ask {
    /// # Errors
    /// The period or an id cannot be read.
    pub fn of(url: &ListUrl, formats: &Formats, actor: Actor) -> Result<Self, Problem> {
        let figure = |name| url.get(name).and_then(Sort::from_word).filter(|it| figures_with_key(actor).contains(it));
        let groups = groups(url, actor);
        let sort = figure("sort").unwrap_or(match groups.first() {
            Some(Group::Time(_)) => Sort::Key,
            _ => Sort::Clicks,
        });
        let value = |(dimension, name, _)| Some((dimension, cut(url.get(name)?.trim())));
        Ok(Self {
            period: Period::of(url, formats)?,
            groups,
            filter: Filter {
                affiliate_id: filter_of::<AffiliateId>(url, "affiliate_id")?,
                offer_id: filter_of::<OfferId>(url, "offer_id")?,
                link_id: filter_of::<LinkId>(url, "link_id")?,
                values: DIMENSIONS.into_iter().filter_map(value).filter(|(_, value)| !value.is_empty()).collect(),
            },
            compares: url.get("compare") != Some("none"),
            sort,
            figure: figure("figure").filter(|it| *it != Sort::Key),
            currency: filter_of::<Currency>(url, "currency")?,
            limit: if url.get("limit").is_some() { MANY_ROWS } else { ROWS },
        })
    }

    pub fn request(&self, formats: &Formats) -> ReportRequest {
        let (from, until) = self.period.span();
        let query = ReportQuery { groups: self.groups.clone(), filter: self.filter.clone(), zone: formats.zone };
        ReportRequest { query, from, until, currency: self.currency, sort: self.sort, limit: self.limit }
    }

    /// The period with which it is compared.
    pub fn before(&self) -> Option<Span> {
        self.compares.then(|| self.period.before().span())
    }

    /// The unit of the chart: that of the rows, if they are times.
    pub fn unit(&self) -> Unit {
        match self.groups.first() {
            Some(Group::Time(unit)) if *unit != Unit::Hour => *unit,
            _ => self.period.unit(),
        }
    }
}

fn figures_with_key(actor: Actor) -> Vec<Sort> {
    [Sort::Key].into_iter().chain(figure::figures(actor.is_staff()).iter().copied()).collect()
}

/// Every group, in the order of the choice. Affiliates have one affiliate.
fn all_groups(actor: Actor) -> Vec<Group> {
    let words = ["day", "week", "month", "hour", "offer", "affiliate", "link"].into_iter();
    let words =
        words.chain(DIMENSIONS.map(|(_, word, _)| word)).filter(|word| actor.is_staff() || *word != "affiliate");
    words.filter_map(Group::from_word).collect()
}

fn groups(url: &ListUrl, actor: Actor) -> Vec<Group> {
    let known = all_groups(actor);
    let of = |name| url.get(name).and_then(Group::from_word).filter(|group| known.contains(group));
    let first = of("group_by").unwrap_or(Group::Time(Unit::Day));
    [Some(first), of("then_by").filter(|group| *group != first)].into_iter().flatten().collect()
}

/// The parameters of the URL with which another page has the same period and filters.
pub fn parameters(url: &ListUrl) -> Vec<(String, String)> {
    let names = ["group_by", "then_by", "affiliate_id", "offer_id", "link_id"].into_iter();
    let names = names.chain(OTHERS).chain(DIMENSIONS.map(|(_, name, _)| name));
    names.filter_map(|name| Some((name.to_owned(), url.get(name)?.to_owned()))).collect()
}

/// The fields of a report.
pub fn fields(url: &ListUrl, ask: &Ask, actor: Actor, offers: Vec<(String, Text)>) -> Filters {
    let mut filters = ask.period.add_to(Filters::new(url), url);
    let choice = |group: Group| (group.as_str().to_owned(), group_name(group));
    let word = |at: usize| ask.groups.get(at).map(|group| group.as_str()).unwrap_or_default();
    let none = (String::new(), text("report.no_group"));
    let rows = Field::select("group_by", "report.rows", word(0), all_groups(actor).into_iter().map(choice));
    filters = filters.add(url, rows, "group_by", "report.rows", None);
    let then = std::iter::once(none).chain(all_groups(actor).into_iter().map(choice));
    let then = Field::select("then_by", "report.then", word(1), then);
    filters = filters.add(url, then, "then_by", "report.then", None);
    let against = [(String::new(), text("report.before")), ("none".to_owned(), text("report.nothing"))];
    let chosen = if ask.compares { "" } else { "none" };
    filters = filters.add(
        url,
        Field::select("compare", "report.compare", chosen, against),
        "compare",
        "report.compare",
        None,
    );
    for name in ["sort", "currency", "figure", "affiliate_id"] {
        if let Some(value) = url.get(name) {
            let shown = (name == "affiliate_id").then(|| plain(value));
            filters = filters.add(url, Field::hidden(name, value), name, "report_group.affiliate", shown);
        }
    }
    of_visits(filters, url, offers, 4)
}

/// Adds the filters of offer, link and dimensions. Fields of the first dimensions are always shown, the others when they are
/// set.
pub fn of_visits(mut filters: Filters, url: &ListUrl, offers: Vec<(String, Text)>, always: usize) -> Filters {
    let chosen = url.get("offer_id").unwrap_or_default();
    let shown = offers.iter().find(|(id, _)| id == chosen && !id.is_empty()).map(|(_, name)| name.clone());
    let offer = Field::select("offer_id", "clicks.offer", chosen, offers);
    filters = filters.add(url, offer, "offer_id", "clicks.offer", shown);
    for (at, (_, name, label)) in DIMENSIONS.into_iter().enumerate() {
        let value = url.get(name);
        if at < always || value.is_some() {
            let field = Field::text(name, label).value(value.unwrap_or_default());
            filters = filters.add(url, field, name, label, value.map(plain));
        }
    }
    match url.get("link_id") {
        Some(id) => filters.add(url, Field::hidden("link_id", id), "link_id", "clicks.link", Some(plain(id))),
        None => filters,
    }
}

#[cfg(test)]
mod tests {
    use domain::reports::zone::Zone;
    use domain::timestamp::Timestamp;

    use super::*;

    fn ask(query: &str) -> Result<Ask, Problem> {
        let now = Timestamp::parse("2026-11-30T12:00:00Z").unwrap();
        let formats = Formats { language: Default::default(), zone: Zone::default(), now };
        Ask::of(&ListUrl::of(&format!("/reports?{query}").parse().unwrap()), &formats, Actor::bootstrap())
    }

    #[test]
    fn two_groups_are_different_and_the_order_follows_the_first() {
        let groups = |query: &str| {
            let ask = ask(query).ok().unwrap();
            let groups: Vec<_> = ask.groups.iter().map(|group| group.as_str()).collect();
            (groups.join(","), ask.sort.as_str(), ask.unit().as_str())
        };
        assert_eq!(groups(""), ("day".into(), "key", "day"));
        assert_eq!(groups("group_by=country&then_by=country"), ("country".into(), "clicks", "day"));
        assert_eq!(groups("group_by=week&then_by=sub2&sort=revenue"), ("week,sub2".into(), "revenue", "week"));
        assert_eq!(groups("group_by=nonsense&period=today"), ("day".into(), "key", "day"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        assert!(ask("offer_id=1").is_err() && ask("currency=money").is_err());
        let filter = ask("keyword=%20mail%20&sub3=x").ok().unwrap().filter;
        assert_eq!(filter.values, [(Dimension::Keyword, "mail".into()), (Dimension::Sub3, "x".into())]);
    }
}
