//! `/revenue-map`: which keyword earned on which page, the keywords and the pages that earn most.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::Uri;
use domain::amounts::Currency;
use domain::ids::SourceId;
use domain::people::actor::Actor;
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::ranking::{Ranked, Sort, added_up, rank};
use domain::reports::{Dimension, Group};
use engine::Error;
use engine::app::App;
use engine::inbound::sources;
use engine::inbound::visible_source::{address, paste_urls};
use engine::reports::comparison::currencies_of;
use engine::reports::{ReportRequest, report};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use super::figure;
use super::filter::{Ask, of_visits, parameters};
use super::if_computed;
use super::key;
use super::period;
use super::report::currency_choices;
use super::table::is_named;
use crate::parts::field::Field;
use crate::parts::list::{Choice, Filters, ListUrl};
use crate::parts::stat::Stat;
use crate::parts::views::Views;
use crate::shell::format::Formats;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::offer_choices;

/// Keywords and pages of the map, and rows of the tables below it.
const KEYWORDS: usize = 10;
const PAGES: usize = 5;
const TOP: usize = 10;

const KEYWORD: Group = Group::Dimension(Dimension::Keyword);
const PAGE: Group = Group::Dimension(Dimension::Page);

#[derive(Debug, Serialize)]
pub struct RevenueMap {
    views: Views,
    filters: Filters,
    is_filtered: bool,
    /// The parameters with which the export has the rows of the map.
    parameters: Vec<(String, String)>,
    may_export: bool,
    /// The same numbers as a report.
    as_table: String,
    /// `None` if the report could not be made.
    shown: Option<Shown>,
    /// Where the affiliate's own networks report to.
    postback: Option<PostbackUrl>,
    url: String,
}

/// The first source of an affiliate: the URL that is pasted into networks, and its page.
#[derive(Debug, Serialize)]
struct PostbackUrl {
    value: String,
    page: String,
}

impl PostbackUrl {
    /// `None` for staff, and if the affiliate has deleted its first source.
    async fn load(app: &App, actor: Actor) -> Result<Option<Self>, Error> {
        let Some(affiliate) = actor.confined_to() else { return Ok(None) };
        let source = match sources::get(app, actor, SourceId::first_of(affiliate)).await {
            Ok(source) => source,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let value = paste_urls(app, &source).map_or_else(|| address(app, &source), |it| it.url);
        Ok(Some(Self { value, page: format!("/sources/{}", source.source.id) }))
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    stats: Vec<Stat>,
    /// The choice of the figure of the map, and of the currency if there are several.
    figures: Vec<Choice>,
    currencies: Vec<Choice>,
    map: Map,
    keywords: Top,
    pages: Top,
    all_keywords: String,
    all_pages: String,
    is_empty: bool,
    has_keywords: bool,
}

#[derive(Debug, Serialize)]
struct Map {
    /// The figure, with its currency.
    figure: Text,
    keywords: u64,
    pages: u64,
    heads: Vec<Name>,
    rows: Vec<MapRow>,
    /// What the keywords earned that are not in the map.
    rest: Option<Text>,
}

#[derive(Debug, Serialize)]
struct MapRow {
    name: Name,
    cells: Vec<MapCell>,
    /// All other pages, and all pages.
    other: Shade,
    sum: Shade,
}

#[derive(Debug, Serialize)]
struct MapCell {
    #[serde(flatten)]
    shade: Shade,
    /// The clicks of the cell.
    url: Option<String>,
}

/// A cell of the map: 0 is nothing, 4 the most.
#[derive(Debug, Serialize)]
struct Shade {
    level: u8,
    value: String,
    detail: Text,
}

/// A keyword or a page, with its clicks.
#[derive(Debug, Serialize)]
struct Name {
    name: Text,
    url: Option<String>,
}

/// The keywords or pages that earn most, as `parts/top` shows them.
#[derive(Debug, Serialize)]
struct Top {
    caption: Text,
    /// The name of the group.
    group: Text,
    rows: Vec<TopRow>,
}

#[derive(Debug, Serialize)]
struct TopRow {
    name: Name,
    clicks: u64,
    conversions: u64,
    rate: String,
    earned: String,
    epc: String,
}

/// The figures of the map. What affiliates earn is the revenue of theirs; staff sees the program's.
fn figures_of_map(is_staff: bool) -> [Sort; 4] {
    [revenue(is_staff), Sort::Epc, Sort::Conversions, Sort::Clicks]
}

fn revenue(is_staff: bool) -> Sort {
    if is_staff { Sort::Revenue } else { Sort::Payout }
}

fn figure_name(figure: Sort) -> Text {
    match figure {
        Sort::Payout => text("report_figure.revenue"),
        figure => figure::name(figure),
    }
}

/// What was counted, and how it is shown.
struct Counted<'a> {
    cells: HashMap<Vec<Key>, Figures>,
    keywords: Ranked,
    pages: Ranked,
    before: Figures,
    figure: Sort,
    revenue: Sort,
    currency: Option<Currency>,
    ask: &'a Ask,
    filters: Vec<(String, String)>,
    formats: &'a Formats,
}

impl Counted<'_> {
    fn name(&self, group: Group, key: &Key) -> Name {
        let name = match key {
            Key::Text(value) => plain(value),
            Key::Other => text("report.others"),
            Key::None | Key::Id(_) => text("report.none"),
        };
        Name { name, url: key::clicks_url(&[group], std::slice::from_ref(key), &self.ask.period, &self.filters) }
    }

    fn value(&self, figures: &Figures) -> i128 {
        figure::value(self.figure, figures, self.currency).unwrap_or(0)
    }

    fn shade(&self, figures: &Figures, most: i128) -> Shade {
        let value = self.value(figures);
        let level = if value <= 0 || most <= 0 { 0 } else { u8::try_from((4 * value + most - 1) / most).unwrap_or(4) };
        let detail = match self.figure {
            _ if figures.clicks() == 0 && figures.conversions() == 0 => text("revenue_map.no_click"),
            _ if figures.pending + figures.approved == 0 => text("revenue_map.no_sale"),
            Sort::Epc => text("revenue_map.sales").count("count", figures.pending + figures.approved),
            _ if self.currency.is_none() => text("revenue_map.clicks").count("count", figures.clicks()),
            _ => {
                let epc = figure::value(Sort::Epc, figures, self.currency);
                text("revenue_map.epc").with("epc", figure::shown(Sort::Epc, epc, self.formats))
            }
        };
        let value = if value == 0 { "–".to_owned() } else { figure::shown(self.figure, Some(value), self.formats) };
        Shade { level: level.min(4), value, detail }
    }

    fn map(&self) -> Map {
        let keywords: Vec<_> = self.keywords.rows.iter().take(KEYWORDS).collect();
        let pages: Vec<_> = self.pages.rows.iter().take(PAGES).filter_map(|(keys, _)| keys.first()).collect();
        let nothing = Figures::default();
        let cell = |keyword: &Key, page: &Key| self.cells.get(&vec![keyword.clone(), page.clone()]).unwrap_or(&nothing);
        let values = keywords.iter().filter_map(|(keys, _)| keys.first());
        let values = values.flat_map(|keyword| pages.iter().map(move |page| (keyword, *page)));
        let most = values.map(|(keyword, page)| self.value(cell(keyword, page))).max().unwrap_or(0);
        let row = |(keys, sum): &&(Vec<Key>, Figures)| {
            let keyword = &keys[0];
            MapRow {
                name: self.name(KEYWORD, keyword),
                cells: pages.iter().map(|page| self.cell(keyword, page, cell(keyword, page), most)).collect(),
                other: self.shade(&self.others(keyword, &pages), most),
                sum: self.shade(sum, 0),
            }
        };
        let rest = self.keywords.rows.get(KEYWORDS..).unwrap_or_default();
        let figure = figure_name(self.figure);
        Map {
            figure: match self.currency.filter(|_| self.figure.is_of_money()) {
                Some(currency) => text("report.in_currency").inner("figure", figure).with("currency", currency.code()),
                None => figure,
            },
            keywords: keywords.len() as u64,
            pages: pages.len() as u64,
            heads: pages.iter().map(|page| self.name(PAGE, page)).collect(),
            rows: keywords.iter().map(row).collect(),
            rest: (!rest.is_empty()).then(|| self.rest(rest)),
        }
    }

    fn cell(&self, keyword: &Key, page: &Key, figures: &Figures, most: i128) -> MapCell {
        let keys = [keyword.clone(), page.clone()];
        let url = key::clicks_url(&[KEYWORD, PAGE], &keys, &self.ask.period, &self.filters);
        MapCell { shade: self.shade(figures, most), url: url.filter(|_| figures.clicks() > 0) }
    }

    /// The figures of a keyword on the pages that have no column.
    fn others(&self, keyword: &Key, pages: &[&Key]) -> Figures {
        let mut sum = Figures::default();
        let of_keyword = self.cells.iter().filter(|(keys, _)| keys[0] == *keyword && !pages.contains(&&keys[1]));
        of_keyword.for_each(|(_, figures)| sum.add(figures));
        sum
    }

    fn rest(&self, rows: &[(Vec<Key>, Figures)]) -> Text {
        let mut sum = Figures::default();
        rows.iter().for_each(|(_, figures)| sum.add(figures));
        let value = figure::shown(self.figure, Some(self.value(&sum)), self.formats);
        let rest = text("revenue_map.rest").count("count", rows.len() as u64);
        rest.inner("figure", figure_name(self.figure)).with("value", value)
    }

    fn top(&self, group: Group, ranked: &Ranked, caption: &str) -> Top {
        let shown =
            |figure, of: &Figures| figure::shown(figure, figure::value(figure, of, self.currency), self.formats);
        let row = |(keys, figures): &(Vec<Key>, Figures)| TopRow {
            name: self.name(group, &keys[0]),
            clicks: figures.clicks(),
            conversions: figures.conversions(),
            rate: shown(Sort::ConversionRate, figures),
            earned: shown(self.revenue, figures),
            epc: shown(Sort::Epc, figures),
        };
        let rows = ranked.rows.iter().take(TOP).map(row).collect();
        Top { caption: text(caption), group: key::group_name(group), rows }
    }

    fn stats(&self) -> Vec<Stat> {
        let (formats, totals) = (self.formats, &self.keywords.totals);
        let of = |figure, it: &Figures| figure::value(figure, it, self.currency);
        let shown = |figure, it: &Figures| figure::shown(figure, of(figure, it), formats);
        let unit = |figure: Sort| self.currency.filter(|_| figure.is_of_money()).map(|it| it.to_string());
        let stat = |figure: Sort, detail: Text| Stat {
            name: figure_name(figure),
            value: shown(figure, totals),
            unit: unit(figure),
            change: figure::change(of(figure, &self.before), of(figure, totals), formats),
            detail: Some(detail),
        };
        let from = |figure| text("home.from").with("before", shown(figure, &self.before));
        let of_clicks = text("revenue_map.of_clicks").count("count", totals.clicks());
        let of_clicks = of_clicks.with("rate", shown(Sort::ConversionRate, totals));
        let named = self.keywords.rows.iter().filter(|(keys, _)| is_named(keys.first()));
        let named: Vec<_> = named.map(|(_, figures)| of(self.revenue, figures).unwrap_or(0)).collect();
        let earning = named.iter().filter(|value| **value > 0).count();
        vec![
            stat(self.revenue, from(self.revenue)),
            stat(Sort::Epc, from(Sort::Epc)),
            stat(Sort::Conversions, of_clicks),
            Stat {
                name: text("revenue_map.earning_keywords"),
                value: formats.number(earning as u64),
                unit: Some(text("revenue_map.of_all").count("count", named.len() as u64).say(formats)),
                change: None,
                detail: Some(self.concentration(named)),
            },
        ]
    }

    /// How many keywords earn most of the revenue.
    fn concentration(&self, mut values: Vec<i128>) -> Text {
        values.sort_unstable_by_key(|value| std::cmp::Reverse(*value));
        let all: i128 = values.iter().sum();
        let mut sum = 0;
        let most = values.iter().take_while(|value| {
            let is_needed = 10 * sum < 8 * all;
            sum += **value;
            is_needed
        });
        text("revenue_map.earn_most").count("count", most.count() as u64)
    }
}

impl Shown {
    async fn load(app: &App, actor: Actor, formats: &Formats, url: &ListUrl, ask: &Ask) -> Result<Self, Error> {
        let mut request = ReportRequest { currency: None, sort: Sort::Key, limit: usize::MAX, ..ask.request(formats) };
        request.query.groups = vec![KEYWORD, PAGE];
        let (from, until) = ask.period.before().span();
        let mut before = ReportRequest { from, until, ..request.clone() };
        before.query.groups = vec![Group::Offer];
        let (cells, before) = futures::try_join!(report(app, actor, request), report(app, actor, before))?;
        let currencies = currencies_of([&cells.totals]);
        let currency = ask.currency.or(currencies.first().copied());
        let revenue = revenue(actor.is_staff());
        let known = figures_of_map(actor.is_staff());
        let default = if currency.is_some() { revenue } else { Sort::Clicks };
        let figure = ask.figure.filter(|figure| known.contains(figure)).unwrap_or(default);
        let by = |at, group| rank(added_up(&cells.rows, at), &[group], (figure, currency), usize::MAX);
        let (keywords, pages) = (by(0, KEYWORD), by(1, PAGE));
        let counted = Counted {
            cells: cells.rows.into_iter().collect(),
            keywords,
            pages,
            before: before.totals,
            figure,
            revenue,
            currency,
            ask,
            filters: parameters(url),
            formats,
        };
        let choice = |it: Sort| Choice {
            url: url.with("figure", Some(it.as_str())),
            name: figure_name(it),
            current: it == figure,
        };
        Ok(Self::new(&counted, known.map(choice).into(), currency_choices(url, &currencies, currency), url))
    }

    fn new(counted: &Counted<'_>, figures: Vec<Choice>, currencies: Vec<Choice>, url: &ListUrl) -> Self {
        let all = |groups: [&str; 2]| as_report(url, groups, counted.figure);
        Self {
            stats: counted.stats(),
            figures,
            currencies,
            map: counted.map(),
            keywords: counted.top(KEYWORD, &counted.keywords, "revenue_map.top_keywords"),
            pages: counted.top(PAGE, &counted.pages, "revenue_map.top_pages"),
            all_keywords: all(["keyword", ""]),
            all_pages: all(["page", ""]),
            is_empty: counted.keywords.totals == Figures::default(),
            has_keywords: counted.keywords.rows.iter().any(|(keys, _)| is_named(keys.first())),
        }
    }
}

/// A report with the period and the filters of the map.
fn as_report(url: &ListUrl, [first, second]: [&str; 2], sort: Sort) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let kept =
        parameters(url).into_iter().filter(|(name, _)| !matches!(name.as_str(), "group_by" | "then_by" | "sort"));
    query.extend_pairs(kept).append_pair("group_by", first);
    if !second.is_empty() {
        query.append_pair("then_by", second);
    }
    format!("/reports?{}", query.append_pair("sort", sort.as_str()).finish())
}

impl RevenueMap {
    fn new(url: &ListUrl, ask: &Ask, offers: Vec<(String, Text)>, may_export: bool, shown: Option<Shown>) -> Self {
        let mut filters = ask.period.add_to(Filters::new(url).with_views(), url);
        for name in ["figure", "currency"] {
            if let Some(value) = url.get(name) {
                filters = filters.add(url, Field::hidden(name, value), name, "home.currency", None);
            }
        }
        // The country and the source have fields of their own.
        let filters = of_visits(filters, url, offers, 2);
        let mut parameters = parameters(url);
        parameters.retain(|(name, _)| !matches!(name.as_str(), "group_by" | "then_by" | "sort" | "compare"));
        let more = [("group_by", "keyword"), ("then_by", "page"), ("compare", "none")];
        parameters.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let sort = ask.figure.unwrap_or(Sort::Payout);
        Self {
            views: Views::default(),
            is_filtered: filters.any_set(),
            filters,
            parameters,
            may_export,
            as_table: as_report(url, ["keyword", "page"], sort),
            shown,
            postback: None,
            url: url.with("cursor", None),
        }
    }
}

impl Page for RevenueMap {
    const TEMPLATE: &'static str = "reports/revenue_map";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::table::sample_figures;
        use domain::timestamp::Timestamp;

        let now = Timestamp::parse("2026-11-30T12:00:00Z").expect("a time");
        let formats = Formats { language: Default::default(), zone: Default::default(), now };
        let sample = |query: &str, rows: u64, is_shown: bool| {
            let url = ListUrl::of(&format!("/revenue-map?{query}").parse().expect("a path"));
            let ask = Ask::of(&url, &formats, Actor::bootstrap()).expect("it can be read");
            let key = |word: &str, at: u64| if at == 0 { Key::None } else { Key::Text(format!("{word} <b> {at:02}")) };
            let of = |word: &'static str| {
                let rows = (0..rows).map(|at| (vec![key(word, at)], sample_figures(at))).collect();
                rank(rows, &[KEYWORD], (Sort::Payout, Some("USD".parse().expect("a currency"))), usize::MAX)
            };
            let cells = (0..rows).map(|at| (vec![key("mail", at), key("page", at)], sample_figures(at))).collect();
            let counted = Counted {
                cells,
                keywords: of("mail"),
                pages: of("page"),
                before: sample_figures(1),
                figure: ask.figure.unwrap_or(Sort::Payout),
                revenue: Sort::Payout,
                currency: Some("USD".parse().expect("a currency")),
                ask: &ask,
                filters: parameters(&url),
                formats: &formats,
            };
            let choice = |current| Choice { url: "/revenue-map?figure=epc".into(), name: plain("EPC"), current };
            let choices = || vec![choice(true), choice(false)];
            let shown = is_shown.then(|| Shown::new(&counted, choices(), choices(), &url));
            let page = Self::new(&url, &ask, vec![(String::new(), text("links.all_offers"))], is_shown, shown);
            let [none, views] = Views::samples(&url);
            let postback = PostbackUrl { value: "https://x.example/in/1?a={b}".into(), page: "/sources/src_1".into() };
            Self { views: if query.is_empty() { none } else { views }, postback: is_shown.then_some(postback), ..page }
        };
        vec![
            sample("", 20, true),
            sample("figure=epc&currency=USD&source=%3Cb%3E", 3, true),
            sample("period=7", 0, true),
            sample("", 1, true),
            sample("", 0, false),
        ]
    }
}

/// `GET /revenue-map`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<RevenueMap>, Problem> {
    let url = period::settled(&ListUrl::of(&uri));
    let ask = Ask::of(&url, &viewer.formats, actor)?;
    let shown = if_computed(Shown::load(&app, actor, &viewer.formats, &url, &ask).await)?;
    let page = RevenueMap::new(&url, &ask, offer_choices(&app, actor).await?, actor.may_change().is_ok(), shown);
    let views = Views::load(&app, &viewer, &url, &[("parts.all", "")]).await?;
    let page = RevenueMap { views, postback: PostbackUrl::load(&app, actor).await?, ..page };
    let lead = text(if actor.is_staff() { "revenue_map.lead_staff" } else { "revenue_map.lead" });
    Ok(viewer.page(text("nav.revenue_map"), page).lead(lead).wide())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_names_the_most_and_the_rest() {
        let page = RevenueMap::samples().remove(0);
        let shown = page.shown.expect("it is shown");
        assert_eq!((shown.map.rows.len(), shown.map.heads.len()), (KEYWORDS, PAGES));
        let first = &shown.map.rows[0];
        assert_eq!((first.cells[0].shade.level, first.cells[1].shade.level), (4, 0));
        assert!(
            first.cells[0].url.as_ref().is_some_and(|url| url.contains("keyword=mail") && url.contains("page=page"))
        );
        assert_eq!(shown.keywords.rows.len(), TOP);
        assert!(shown.map.rest.is_some());
    }
}
