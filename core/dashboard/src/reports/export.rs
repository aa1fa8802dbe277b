//! `POST /reports/export`: all rows of a report with the columns that its page shows, as a CSV file.

use axum::extract::State;
use axum::response::Response;
use domain::money::csv::{self, Cell};
use domain::reports::Group;
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::ranking::Sort;
use engine::Error;
use engine::app::App;
use engine::reports::comparison::{Comparison, compare};
use web::auth::Caller;
use web::errors::Problem;

use super::filter::Ask;
use super::{figure, key, period};
use crate::form::Fields;
use crate::parts::csv_file::file;
use crate::parts::list::ListUrl;
use crate::shell::format::Formats;
use crate::shell::viewer::Viewer;

/// `POST /reports/export`
pub async fn export(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(parameters): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let url = period::settled(&ListUrl::of_form("/reports", parameters));
    let ask = Ask { limit: usize::MAX, ..Ask::of(&url, &viewer.formats, actor)? };
    let compared = compare(&app, actor, ask.request(&viewer.formats), ask.unit(), ask.before()).await?;
    let figures = figure::shown_figures(actor.is_staff(), &compared.totals);
    let text = lines(&app, &viewer.formats, &ask.groups, &figures, &compared).await?;
    Ok(file("report", text))
}

async fn lines(
    app: &App,
    formats: &Formats,
    groups: &[Group],
    figures: &[Sort],
    compared: &Comparison,
) -> Result<String, Error> {
    let mut text = head(formats, groups, figures, compared);
    for row in &compared.rows {
        let mut names = Vec::with_capacity(groups.len());
        for (group, key) in groups.iter().zip(&row.keys) {
            names.push(name(app, *group, key, formats).await?);
        }
        push(&mut text, &names, figures, compared, &row.figures, row.before.as_ref());
    }
    Ok(text)
}

/// Times are written as the API writes them, everything else by its name.
async fn name(app: &App, group: Group, key: &Key, formats: &Formats) -> Result<String, Error> {
    Ok(match (group, key) {
        (_, Key::None) => String::new(),
        (Group::Time(_), Key::Text(label)) => label.clone(),
        (Group::Link, Key::Id(id)) => domain::ids::LinkId(*id).to_string(),
        _ => key::name(app, group, key, formats).await?.say(formats),
    })
}

/// The names of the columns: a time names its zone, money its currency.
fn head(formats: &Formats, groups: &[Group], figures: &[Sort], compared: &Comparison) -> String {
    let group = |group: &Group| match group {
        Group::Time(unit) => format!("{unit} ({})", formats.zone),
        group => group.as_str().to_owned(),
    };
    let figure = |figure: &Sort| match compared.currency.filter(|_| figure.is_of_money()) {
        Some(currency) => format!("{figure} ({currency})"),
        None => figure.to_string(),
    };
    let before = figures.iter().filter(|_| compared.totals_before.is_some());
    let before = before.map(|it| format!("{} before", figure(it)));
    let names: Vec<String> = groups.iter().map(group).chain(figures.iter().map(figure)).chain(before).collect();
    let mut text = String::new();
    csv::push_row(&mut text, names.iter().map(String::as_str));
    text
}

fn push(
    text: &mut String,
    names: &[String],
    figures: &[Sort],
    compared: &Comparison,
    now: &Figures,
    before: Option<&Figures>,
) {
    let values = |of: &Figures| -> Vec<String> {
        let value = |figure: &Sort| figure::in_file(*figure, figure::value(*figure, of, compared.currency));
        figures.iter().map(value).collect()
    };
    let numbers: Vec<String> = [Some(now), before].into_iter().flatten().flat_map(values).collect();
    let names = names.iter().map(|name| Cell::Text(name));
    csv::push_cells(text, names.chain(numbers.iter().map(|number| Cell::Number(number))));
}

#[cfg(test)]
mod tests {
    use domain::reports::calendar::Unit;
    use domain::timestamp::Timestamp;

    use super::super::table::sample_figures;
    use super::*;

    #[test]
    fn each_line_has_a_cell_for_each_column() {
        let formats =
            Formats { language: Default::default(), zone: Default::default(), now: Timestamp::from_millis(0) };
        let groups = [Group::Time(Unit::Day), Group::Offer];
        let compared = Comparison {
            currency: Some("USD".parse().unwrap()),
            totals_before: Some(Figures::default()),
            ..Comparison::default()
        };
        let figures = figure::figures(false);
        let head = head(&formats, &groups, figures, &compared);
        assert!(head.starts_with("day (UTC),offer,clicks,unique_clicks,conversions,"), "{head}");
        assert!(head.contains("payout (USD),epc (USD),clicks before,"), "{head}");
        let mut line = String::new();
        let names = ["2026-11-30".to_owned(), "=Pro".to_owned()];
        push(&mut line, &names, figures, &compared, &sample_figures(3), Some(&Figures::default()));
        assert_eq!(line, "2026-11-30,\"'=Pro\",40,0,3,0.075,44.10,1.1025,0,0,0,,0.00,\r\n");
        assert_eq!(head.matches(',').count(), line.matches(',').count());
    }
}
