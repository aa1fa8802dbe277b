//! `/reports`: any two groups, their figures against the period before, and a chart, all from one URL.

use axum::extract::State;
use axum::http::Uri;
use domain::people::actor::Actor;
use domain::reports::Group;
use domain::reports::ranking::Sort;
use engine::Error;
use engine::app::App;
use engine::reports::comparison::{Comparison, compare};
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use super::chart::{Axis, Chart};
use super::figure;
use super::filter::{self, Ask};
use super::if_computed;
use super::period;
use super::table::{Columns, Table};
use crate::parts::list::{Choice, Filters, ListUrl};
use crate::parts::stat::Stat;
use crate::parts::views::Views;
use crate::shell::format::Formats;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::offer_choices;

/// The views that everybody has: the text, and the query.
const VIEWS: [(&str, &str); 4] = [
    ("report_view.day", ""),
    ("report_view.offer", "group_by=offer"),
    ("report_view.country", "group_by=country"),
    ("report_view.source", "group_by=source"),
];

#[derive(Debug, Serialize)]
pub struct Report {
    views: Views,
    filters: Filters,
    is_filtered: bool,
    /// The parameters with which the export has the same rows.
    parameters: Vec<(String, String)>,
    may_export: bool,
    /// `None` if the report could not be made.
    shown: Option<Shown>,
    /// The same page, to try again.
    url: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    period: Text,
    /// The period with which it is compared.
    before: Option<Text>,
    stats: Vec<Stat>,
    /// The choice of the figure of the chart, and of the currency if there are several.
    figures: Vec<Choice>,
    currencies: Vec<Choice>,
    /// `None` for a single point in time.
    chart: Option<Chart>,
    table: Table,
    is_empty: bool,
    /// The same report with more rows.
    more: Option<String>,
    meanings: Vec<Meaning>,
}

/// What a figure counts.
#[derive(Debug, Serialize)]
struct Meaning {
    name: Text,
    meaning: Text,
}

/// The figures above the chart: the counts and rates, and money.
fn headlines(is_staff: bool) -> [Sort; 4] {
    [Sort::Clicks, Sort::Conversions, if is_staff { Sort::Revenue } else { Sort::Payout }, Sort::Epc]
}

fn stats(formats: &Formats, compared: &Comparison, figures: &[Sort]) -> Vec<Stat> {
    let (now, before) = (&compared.totals, compared.totals_before.as_ref());
    let stat = |figure: &Sort| figure::stat(*figure, now, before, compared.currency, formats);
    figures.iter().map(stat).collect()
}

/// Links that choose the currency, if there are several.
pub fn currency_choices(
    url: &ListUrl,
    compared: &[domain::amounts::Currency],
    chosen: Option<domain::amounts::Currency>,
) -> Vec<Choice> {
    let choice = |it: &domain::amounts::Currency| Choice {
        url: url.with("currency", Some(it.code())),
        name: plain(it.code()),
        current: Some(*it) == chosen,
    };
    if compared.len() > 1 { compared.iter().map(choice).collect() } else { Vec::new() }
}

impl Shown {
    async fn load(app: &App, actor: Actor, formats: &Formats, url: &ListUrl, ask: &Ask) -> Result<Self, Error> {
        let compared = compare(app, actor, ask.request(formats), ask.unit(), ask.before()).await?;
        let currency = compared.currency;
        let figures = figure::shown_figures(actor.is_staff(), &compared.totals);
        let drawn = ask.figure.unwrap_or(match currency {
            Some(_) => Sort::Payout,
            None => Sort::Clicks,
        });
        let axis = Axis { figure: drawn, currency, unit: ask.unit(), span: ask.period.span(), formats };
        let chart = axis.chart(app, ask.groups[0], &compared).await?;
        let columns = Columns { figures: &figures, sort: ask.sort, currency, formats };
        let parameters = filter::parameters(url);
        let table = Table::load(app, url, ask, &columns, &compared, &parameters).await?;
        let choice = |figure: &Sort| Choice {
            url: url.with("figure", Some(figure.as_str())),
            name: figure::name(*figure),
            current: *figure == drawn,
        };
        Ok(Self {
            period: ask.period.name(),
            before: ask.compares.then(|| ask.period.before().name()),
            stats: stats(formats, &compared, &headlines(actor.is_staff())),
            figures: figures.iter().map(choice).collect(),
            currencies: currency_choices(url, &compared.currencies, currency),
            chart,
            is_empty: table.is_empty(),
            table,
            more: (compared.rest_rows > 0 && ask.limit == filter::ROWS).then(|| url.with("limit", Some("200"))),
            meanings: meanings(&figures),
        })
    }
}

fn meanings(figures: &[Sort]) -> Vec<Meaning> {
    figures.iter().map(|it| Meaning { name: figure::name(*it), meaning: figure::meaning(*it) }).collect()
}

impl Page for Report {
    const TEMPLATE: &'static str = "reports/report";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::timestamp::Timestamp;

        let now = Timestamp::parse("2026-11-30T12:00:00Z").expect("a time");
        let formats = Formats { language: Default::default(), zone: Default::default(), now };
        let compared = Comparison {
            currency: Some("USD".parse().expect("a currency")),
            totals: super::table::sample_figures(3),
            totals_before: Some(super::table::sample_figures(2)),
            ..Comparison::default()
        };
        let choice = |current| Choice { url: "/reports?figure=clicks".into(), name: plain("Clicks"), current };
        let shown = |is_full: bool| Shown {
            period: text("report.span").day("from", now).day("until", now),
            before: is_full.then(|| Text::of_day(now)),
            stats: stats(&formats, &compared, &headlines(!is_full)),
            figures: vec![choice(true), choice(false)],
            currencies: if is_full { vec![choice(true), choice(false)] } else { Vec::new() },
            chart: is_full.then(|| Axis::sample(&formats)),
            table: Table::sample(&formats, is_full),
            is_empty: !is_full,
            more: is_full.then(|| "/reports?limit=200".into()),
            meanings: meanings(figure::figures(is_full)),
        };
        let sample = |query: &str, shown| {
            let url = ListUrl::of(&format!("/reports?{query}").parse().expect("a path"));
            let ask = Ask::of(&url, &formats, Actor::bootstrap()).expect("it can be read");
            let offers = vec![(String::new(), text("links.all_offers"))];
            let [none, views] = Views::samples(&url);
            let views = if query.is_empty() { none } else { views };
            Self::new(&url, views, filter::fields(&url, &ask, Actor::bootstrap(), offers), true, shown)
        };
        let query = "period=7&group_by=country&then_by=month&compare=none&sort=clicks&currency=USD&figure=epc&keyword=%3Cb%3E\
            &sub3=x&link_id=lnk_06a5xk2m7q8r9stvwxyz012345&affiliate_id=aff_06a5xk2m7q8r9stvwxyz012345";
        vec![
            sample("", Some(shown(true))),
            sample("from=2026-11-01&until=2026-11-02", Some(shown(false))),
            sample(query, Some(shown(false))),
            Self { may_export: false, ..sample("", None) },
        ]
    }
}

impl Report {
    fn new(url: &ListUrl, views: Views, filters: Filters, may_export: bool, shown: Option<Shown>) -> Self {
        Self {
            views,
            is_filtered: filters.any_set(),
            filters: filters.with_views(),
            parameters: filter::parameters(url),
            may_export,
            shown,
            url: url.with("cursor", None),
        }
    }
}

/// `GET /reports`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Report>, Problem> {
    let url = period::settled(&ListUrl::of(&uri));
    let ask = Ask::of(&url, &viewer.formats, actor)?;
    let shown = if_computed(Shown::load(&app, actor, &viewer.formats, &url, &ask).await)?;
    let filters = filter::fields(&url, &ask, actor, offer_choices(&app, actor).await?);
    let views = Views::load(&app, &viewer, &url, &VIEWS).await?;
    let page = Report::new(&url, views, filters, actor.may_change().is_ok(), shown);
    let by_time = matches!(ask.groups[0], Group::Time(_));
    let lead = text(if by_time { "report.lead" } else { "report.lead_groups" });
    Ok(viewer.page(text("nav.reports"), page).lead(lead).wide())
}
