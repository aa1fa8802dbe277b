//! The table of a report: its columns are links that sort it, and its rows lead to their clicks.

use domain::amounts::Currency;
use domain::reports::Group;
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::ranking::Sort;
use engine::Error;
use engine::app::App;
use engine::reports::comparison::Comparison;
use serde::Serialize;

use super::figure::{self, Cell};
use super::filter::Ask;
use super::key;
use crate::parts::list::ListUrl;
use crate::shell::format::Formats;
use crate::shell::texts::{Text, text};

#[derive(Debug, Serialize)]
pub struct Table {
    heads: Vec<Head>,
    rows: Vec<Row>,
    /// The sum of the rows that are not shown.
    rest: Option<Row>,
    totals: Row,
}

#[derive(Debug, Serialize)]
struct Head {
    name: Text,
    /// The currency of a column of money.
    unit: Option<String>,
    /// The report sorted by the column; `None` if that is not possible.
    url: Option<String>,
    /// `ascending` or `descending` if the report is sorted by it.
    sorted: Option<&'static str>,
    is_number: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    keys: Vec<KeyCell>,
    cells: Vec<MarkedCell>,
}

#[derive(Debug, Serialize)]
struct KeyCell {
    name: Text,
    /// The clicks of the row.
    url: Option<String>,
}

/// A cell that a phone shows if it is the main one.
#[derive(Debug, Serialize)]
struct MarkedCell {
    #[serde(flatten)]
    cell: Cell,
    is_main: bool,
}

/// What all rows of a table have in common.
pub struct Columns<'a> {
    pub figures: &'a [Sort],
    pub sort: Sort,
    pub currency: Option<Currency>,
    pub formats: &'a Formats,
}

impl Columns<'_> {
    fn heads(&self, groups: &[Group], url: &ListUrl) -> Vec<Head> {
        let by_key = |at: usize, group: &Group| Head {
            name: key::group_name(*group),
            unit: None,
            url: (at == 0).then(|| url.with("sort", Some(Sort::Key.as_str()))),
            sorted: match group {
                _ if at > 0 || self.sort != Sort::Key => None,
                // The newest comes first.
                Group::Time(_) => Some("descending"),
                _ => Some("ascending"),
            },
            is_number: false,
        };
        let by_figure = |figure: &Sort| Head {
            name: figure::name(*figure),
            unit: self.currency.filter(|_| figure.is_of_money()).map(|it| it.to_string()),
            url: Some(url.with("sort", Some(figure.as_str()))),
            sorted: (self.sort == *figure).then_some("descending"),
            is_number: true,
        };
        let groups = groups.iter().enumerate().map(|(at, group)| by_key(at, group));
        groups.chain(self.figures.iter().map(by_figure)).collect()
    }

    fn cells(&self, now: &Figures, before: Option<&Figures>) -> Vec<MarkedCell> {
        // A phone shows the figure by which the rows are sorted, otherwise what affiliates earn.
        let main = if self.sort == Sort::Key { Sort::Payout } else { self.sort };
        let cell = |figure: &Sort| MarkedCell {
            cell: Cell::new(*figure, now, before, self.currency, self.formats),
            is_main: *figure == main,
        };
        self.figures.iter().map(cell).collect()
    }

    /// A row of sums.
    fn sums(&self, name: Text, groups: usize, now: &Figures, before: Option<&Figures>) -> Row {
        let names = std::iter::once(name).chain(std::iter::repeat_n(crate::shell::texts::plain(""), groups - 1));
        let keys = names.map(|name| KeyCell { name, url: None }).collect();
        Row { keys, cells: self.cells(now, before) }
    }
}

impl Table {
    /// `filters` are the parameters of the report.
    pub async fn load(
        app: &App,
        url: &ListUrl,
        ask: &Ask,
        columns: &Columns<'_>,
        compared: &Comparison,
        filters: &[(String, String)],
    ) -> Result<Self, Error> {
        let groups = &ask.groups;
        let mut rows = Vec::with_capacity(compared.rows.len());
        for row in &compared.rows {
            let mut keys = Vec::with_capacity(groups.len());
            for (group, key) in groups.iter().zip(&row.keys) {
                keys.push(KeyCell { name: key::name(app, *group, key, columns.formats).await?, url: None });
            }
            keys[0].url = key::clicks_url(groups, &row.keys, &ask.period, filters);
            rows.push(Row { keys, cells: columns.cells(&row.figures, row.before.as_ref()) });
        }
        let rest = text("report.rest").count("count", compared.rest_rows as u64);
        let all = text("report.all_rows").count("count", (compared.rows.len() + compared.rest_rows) as u64);
        Ok(Self {
            heads: columns.heads(groups, url),
            rows,
            rest: (compared.rest_rows > 0).then(|| columns.sums(rest, groups.len(), &compared.rest, None)),
            totals: columns.sums(all, groups.len(), &compared.totals, compared.totals_before.as_ref()),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    #[cfg(test)]
    pub fn sample(formats: &Formats, has_rows: bool) -> Self {
        let usd = Some("USD".parse().expect("a currency"));
        let columns = Columns { figures: &figure::OF_AFFILIATES, sort: Sort::Payout, currency: usd, formats };
        let by_key = Columns { sort: Sort::Key, ..columns };
        let groups = [Group::Time(domain::reports::calendar::Unit::Day), Group::from_word("sub1").expect("a group")];
        let (now, before) = (sample_figures(3), sample_figures(2));
        let url = ListUrl::of(&"/reports".parse().expect("a path"));
        let keys = |url: Option<&str>| {
            let key = |name: &str| KeyCell { name: crate::shell::texts::plain(name), url: url.map(str::to_owned) };
            vec![key("Poland <b>"), key("mobile")]
        };
        let row = |url| Row { keys: keys(url), cells: columns.cells(&now, Some(&before)) };
        Self {
            heads: if has_rows { columns.heads(&groups, &url) } else { by_key.heads(&groups[1..], &url) },
            rows: if has_rows { vec![row(Some("/clicks")), row(None)] } else { Vec::new() },
            rest: has_rows.then(|| columns.sums(text("report.rest").count("count", 3), 2, &now, None)),
            totals: columns.sums(text("report.all_rows").count("count", 1), 2, &now, Some(&Figures::default())),
        }
    }
}

#[cfg(test)]
pub fn sample_figures(conversions: u64) -> Figures {
    use domain::reports::figures::Sums;
    use domain::reports::packed::CLICK;

    let mut figures = Figures { approved: conversions, ..Figures::default() };
    figures.flags[usize::from(CLICK)] = 40;
    let sums = Sums { payout: i128::from(conversions) * 14_700_000, ..Sums::default() };
    figures.money.insert("USD".parse().expect("a currency"), sums);
    figures
}

/// Whether the first key of a row is a text, such as a keyword, and not "none" or "others".
pub fn is_named(key: Option<&Key>) -> bool {
    matches!(key, Some(Key::Text(_) | Key::Id(_)))
}
