//! The names of a report's rows, and the clicks behind them.

use chrono::NaiveDate;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::reports::calendar::{Unit, start_of_day, start_of_hour};
use domain::reports::keys::Key;
use domain::reports::zone::Zone;
use domain::reports::{Dimension, Group};
use domain::timestamp::Timestamp;
use domain::tracking::link::Link;
use engine::Error;
use engine::app::App;

use super::period::Period;
use crate::shell::format::Formats;
use crate::shell::texts::{Text, plain, text};

/// The name of a group, such as a column.
pub fn group_name(group: Group) -> Text {
    match group {
        Group::Dimension(dimension) if dimension <= Dimension::Sub10 => text(&format!("sub_id.{dimension}")),
        group => text(&format!("report_group.{}", group.as_str())),
    }
}

/// The name of a row in one of its groups.
pub async fn name(app: &App, group: Group, key: &Key, formats: &Formats) -> Result<Text, Error> {
    Ok(match (group, key) {
        (_, Key::None) => text("report.none"),
        (_, Key::Other) => text("report.others"),
        (Group::Time(unit), Key::Text(label)) => time_name(unit, label, formats),
        (_, Key::Text(value)) => plain(value),
        (Group::Offer, Key::Id(id)) => {
            let id = OfferId(*id);
            plain(app.catalog.offer(id).await?.map_or_else(|| id.to_string(), |it| it.name.clone()))
        }
        (Group::Affiliate, Key::Id(id)) => {
            let id = AffiliateId(*id);
            plain(app.catalog.affiliate(id).await?.map_or_else(|| id.to_string(), |it| it.name.clone()))
        }
        (_, Key::Id(id)) => {
            let id = LinkId(*id);
            plain(app.catalog.link(id).await?.map_or_else(|| id.to_string(), |it| link_name(&it)))
        }
    })
}

/// Where a link leads, or its id.
fn link_name(link: &Link) -> String {
    link.deep_url.clone().or_else(|| link.landing_page.clone()).unwrap_or_else(|| link.id.to_string())
}

/// The moment at which a unit of time begins.
pub fn begin(unit: Unit, label: &str, zone: Zone) -> Option<Timestamp> {
    let day = |text: &str| Some(start_of_day(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?, zone));
    match unit {
        Unit::Hour => start_of_hour(label),
        Unit::Day | Unit::Week => day(label),
        Unit::Month => day(&format!("{label}-01")),
    }
}

/// The name of a unit of time.
pub fn time_name(unit: Unit, label: &str, formats: &Formats) -> Text {
    let Some(at) = begin(unit, label, formats.zone) else { return plain(label) };
    match unit {
        Unit::Hour => plain(formats.moment(at)),
        Unit::Day => plain(formats.weekday(at)),
        Unit::Week => text("report.week_of").day("day", at),
        Unit::Month => plain(formats.month(at)),
    }
}

/// The short name of a unit of time below a chart.
pub fn short_name(unit: Unit, label: &str, formats: &Formats) -> Text {
    match (unit, begin(unit, label, formats.zone)) {
        (Unit::Day | Unit::Week, Some(at)) => Text::of_day(at),
        _ => time_name(unit, label, formats),
    }
}

/// The click log with the clicks of a row; `None` if it cannot show them. `filters` are those of the report.
pub fn clicks_url(groups: &[Group], keys: &[Key], period: &Period, filters: &[(String, String)]) -> Option<String> {
    let [mut from, mut until] = period.parameters().map(|(_, day)| day);
    let mut own = Vec::new();
    for (group, key) in groups.iter().zip(keys) {
        match (group, key) {
            (Group::Time(unit), Key::Text(label)) => (from, until) = days_of(*unit, label, (from, until))?,
            (Group::Offer, Key::Id(id)) => own.push(("offer_id", OfferId(*id).to_string())),
            (Group::Link, Key::Id(id)) => own.push(("link_id", LinkId(*id).to_string())),
            (Group::Dimension(Dimension::Goal), _) => return None,
            (Group::Dimension(dimension), Key::Text(value)) => own.push((dimension.as_str(), value.clone())),
            _ => return None,
        }
    }
    let kept = filters.iter().filter(|(name, _)| is_of_clicks(name) && own.iter().all(|(known, _)| known != name));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("from", &from)
        .append_pair("until", &until)
        .append_pair("action", "click")
        .append_pair("bot", "no");
    query.extend_pairs(kept).extend_pairs(own);
    Some(format!("/clicks?{}", query.finish()))
}

/// Whether a filter of reports is one of the click log, too.
fn is_of_clicks(name: &str) -> bool {
    let is_dimension = Dimension::from_word(name).is_some_and(|dimension| dimension != Dimension::Goal);
    is_dimension || matches!(name, "offer_id" | "link_id")
}

/// The days of a unit of time within the period.
fn days_of(unit: Unit, label: &str, (from, until): (String, String)) -> Option<(String, String)> {
    let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let first = match unit {
        Unit::Hour => label.get(..10)?.to_owned(),
        Unit::Day | Unit::Week => label.to_owned(),
        Unit::Month => format!("{label}-01"),
    };
    let day = date(&first)?;
    let last = match unit {
        Unit::Hour | Unit::Day => day,
        Unit::Week => day.checked_add_days(chrono::Days::new(6))?,
        Unit::Month => day.checked_add_months(chrono::Months::new(1))?.pred_opt()?,
    };
    // Dates of this form have the order of their texts.
    Some((first.max(from), last.to_string().min(until)))
}

#[cfg(test)]
mod tests {
    use crate::parts::list::ListUrl;

    use super::*;

    #[test]
    fn a_row_leads_to_its_clicks_with_the_filters_of_the_report() {
        let now = Timestamp::parse("2026-11-30T12:00:00Z").unwrap();
        let formats = Formats { language: Default::default(), zone: Zone::default(), now };
        let period = Period::of(&ListUrl::of(&"/reports".parse().unwrap()), &formats).ok().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let filters = [pair("country", "DE"), pair("keyword", "old"), pair("goal", "sale"), pair("currency", "USD")];
        let of = |groups: &[Group], keys: &[Key]| clicks_url(groups, keys, &period, &filters);
        let (keyword, week) = (Group::Dimension(Dimension::Keyword), Group::Time(Unit::Week));
        let mail = Key::Text("e mail".into());
        assert_eq!(
            of(&[keyword, week], &[mail.clone(), Key::Text("2026-11-30".into())]).as_deref(),
            Some("/clicks?from=2026-11-30&until=2026-11-30&action=click&bot=no&country=DE&keyword=e+mail")
        );
        assert_eq!(of(&[keyword], &[Key::None]), None);
        assert_eq!(of(&[Group::Affiliate], &[mail]), None);
        let name = |unit, label: &str| time_name(unit, label, &formats).say(&formats);
        assert_eq!(name(Unit::Month, "2026-11"), "Nov 2026");
        assert_eq!(name(Unit::Week, "2026-11-23"), "Week of 23 Nov");
        assert_eq!(name(Unit::Hour, "2026-11-23T14:00+00:00"), "23 Nov, 14:00");
    }
}
