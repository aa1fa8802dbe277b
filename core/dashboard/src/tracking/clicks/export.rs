//! `POST /clicks/export`: the rows of the click log with the filters of its URL, as a CSV file, newest first.

use axum::extract::State;
use axum::response::Response;
use domain::money::csv;
use domain::tracking::click::Click;
use engine::app::App;
use engine::tracking::clicks;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use super::filter::ClickFilter;
use crate::form::Fields;
use crate::parts::csv_file::{PAGES_AT_MOST, ROWS_AT_MOST, ROWS_AT_ONCE, file, local, too_many};
use crate::parts::list::ListUrl;
use crate::shell::format::Formats;
use crate::shell::viewer::Viewer;
use crate::tracking::links::SUB_IDS;

/// The columns after the time and before the sub ids, and those after them.
const FIRST: [&str; 6] = ["id", "action", "offer_id", "link_id", "affiliate_id", "external_click_id"];
const LAST: [&str; 11] = [
    "parameters",
    "landing_url",
    "referrer",
    "ip",
    "user_agent",
    "country",
    "device",
    "browser",
    "os",
    "likely_bot",
    "unique",
];

/// `POST /clicks/export`
pub async fn export(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(parameters): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let ClickFilter { filter, visit, from, until } =
        ClickFilter::of(&ListUrl::of_form("/clicks", parameters), viewer.formats.zone)?;
    let _place = app.heavy.stream(actor).await?;
    let mut text = header_line(&viewer.formats);
    let (mut next, mut rows) = (None, 0);
    for _ in 0..PAGES_AT_MOST {
        let request = PageRequest::first(ROWS_AT_ONCE).after(next).within(from, until);
        let page = clicks::list(&app, actor, filter.clone(), visit.clone(), request).await?;
        rows += page.items.len();
        if rows > ROWS_AT_MOST {
            return Err(too_many("clicks"));
        }
        for click in page.items {
            push(&mut text, actor.buyers().show(click).into_inner(), &viewer.formats);
        }
        next = page.next;
        if next.is_none() {
            return Ok(file("clicks", text));
        }
    }
    Err(too_many("clicks"))
}

/// The names of the columns; that of the time names its zone.
fn header_line(formats: &Formats) -> String {
    let mut text = String::new();
    let time = format!("occurred_at ({})", formats.zone);
    csv::push_row(&mut text, std::iter::once(time.as_str()).chain(FIRST).chain(SUB_IDS).chain(LAST));
    text
}

fn push(text: &mut String, click: Click, formats: &Formats) {
    let parameters: serde_json::Map<_, _> =
        click.params.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let parameters =
        if parameters.is_empty() { String::new() } else { serde_json::Value::Object(parameters).to_string() };
    let sub_ids = SUB_IDS.map(|name| click.parameter(name).unwrap_or_default().to_owned());
    let given = Option::unwrap_or_default;
    let first = [
        local(click.occurred_at, formats),
        click.id.to_string(),
        click.action.to_string(),
        click.offer_id.to_string(),
        click.link_id.map(|id| id.to_string()).unwrap_or_default(),
        click.affiliate_id.to_string(),
        given(click.external_id),
    ];
    let last = [
        parameters,
        click.landing_url,
        given(click.referrer),
        given(click.ip),
        given(click.user_agent),
        given(click.country),
        given(click.agent.device),
        given(click.agent.browser),
        given(click.agent.os),
        click.agent.likely_bot.to_string(),
        click.unique.to_string(),
    ];
    let cells: Vec<String> = first.into_iter().chain(sub_ids).chain(last).collect();
    csv::push_row(text, cells.iter().map(String::as_str));
}

#[cfg(test)]
mod tests {
    use domain::people::preferences::Language;
    use domain::reports::zone::Zone;
    use domain::timestamp::Timestamp;

    use super::super::sample_click;
    use super::*;

    #[test]
    fn each_line_has_a_cell_for_each_column_and_the_offset_of_its_time() {
        let zone = Zone::parse("America/St_Johns").unwrap();
        let formats = Formats { language: Language::En, zone, now: Timestamp::from_millis(0) };
        let head = header_line(&formats);
        assert!(head.starts_with("occurred_at (America/St_Johns),id,"), "{head}");
        let mut line = String::new();
        push(&mut line, sample_click("", false, true), &formats);
        assert_eq!(head.matches(',').count(), line.matches(',').count(), "{line}");
        assert!(line.starts_with("1969-12-31T20:30:00.000-03:30,"), "{line}");
    }
}
