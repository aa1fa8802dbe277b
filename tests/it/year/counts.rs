//! Recounts reports, row by row from the exports of clicks and conversions.

use std::collections::BTreeMap;

use postrider_tests::client::{Client, text};
use serde_json::Value;

use super::amounts::{half_up, micros, micros_of};
use super::calendar::{day_label, label, local_day, millis, start_of_hour};
use super::files::{self, Row};
use super::life::Year;
use super::visits;

/// payout, payout_pending, self_reported, revenue, deducted, commissions.
type Sums = [i128; 6];

/// The places of what only staff sees.
const OF_STAFF: [usize; 2] = [3, 5];

/// What a conversion has earned by the books: the affiliate, and its parent affiliates.
type Earned = BTreeMap<String, [i128; 2]>;

#[derive(Clone, Default, PartialEq, Debug)]
struct Figures {
    /// impressions, clicks, unique_clicks, bot_impressions, bot_clicks, pending, approved, rejected, self_reported.
    counts: [i128; 9],
    money: BTreeMap<String, Sums>,
}

const COUNTS: [&str; 9] = [
    "impressions",
    "clicks",
    "unique_clicks",
    "bot_impressions",
    "bot_clicks",
    "pending",
    "approved",
    "rejected",
    "self_reported",
];

type Counted = BTreeMap<Vec<Option<String>>, Figures>;

impl Figures {
    fn add(&mut self, other: &Figures) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum += more;
        }
        for (currency, sums) in &other.money {
            let mine = self.money.entry(currency.clone()).or_default();
            for (sum, more) in mine.iter_mut().zip(sums) {
                *sum += more;
            }
        }
    }

    fn add_visit(&mut self, visit: &Row) {
        let is_unique = visit["unique"] == "true";
        match (visit["action"].as_str(), visit["likely_bot"].as_str()) {
            ("impression", "false") => self.counts[0] += 1,
            ("click", "false") => {
                self.counts[1] += 1;
                self.counts[2] += i128::from(is_unique);
            }
            ("impression", _) => self.counts[3] += 1,
            _ => self.counts[4] += 1,
        }
    }

    fn add_conversion(&mut self, row: &Row, earned: &Earned) {
        let own = row["self_reported"] == "true";
        let status = ["pending", "approved", "rejected"].iter().position(|it| *it == row["status"]).expect("a status");
        self.counts[5 + status] += 1;
        self.counts[8] += i128::from(own);
        let place = match (status, own) {
            (1, false) => Some(0),
            (0, false) => Some(1),
            (1, true) => Some(2),
            _ => None,
        };
        if let Some(place) = place {
            self.money.entry(row["payout_currency"].clone()).or_default()[place] += micros(&row["payout_amount"]);
        }
        if place == Some(0) {
            let [own, commissions] = earned.get(&row["id"]).copied().unwrap_or_default();
            let sums = self.money.entry(row["payout_currency"].clone()).or_default();
            sums[4] += micros(&row["payout_amount"]) - own;
            sums[5] += commissions;
        }
        // Self-reported conversions are not revenue of the program.
        if status == 1 && !own && !row["revenue_amount"].is_empty() {
            self.money.entry(row["revenue_currency"].clone()).or_default()[3] += micros(&row["revenue_amount"]);
        }
    }

    /// The API's figures, after a check of its own sums and rates.
    fn told(row: &Value, to_staff: bool) -> Figures {
        let number = |field: &str| i128::from(row[field].as_u64().unwrap_or_else(|| panic!("no {field} in {row:#}")));
        let mut it = Figures { counts: COUNTS.map(number), ..Figures::default() };
        let [_, clicks, _, _, _, pending, approved, rejected, _] = it.counts;
        assert_eq!(number("conversions"), pending + approved + rejected, "{row:#}");
        let rate = (clicks > 0).then(|| half_up((pending + approved) * 1_000_000, clicks));
        assert_eq!(row["conversion_rate"].as_str().map(micros), rate, "{row:#}");
        for money in row["money"].as_array().expect("money") {
            let fields = ["payout", "payout_pending", "self_reported", "revenue", "deducted", "commissions"];
            let sums = fields.map(|field| micros_of(&money[field]));
            let earned = sums[0] - sums[4] + sums[2];
            assert_eq!(micros_of(&money["earned"]), earned, "{row:#}");
            let epc = (clicks > 0).then(|| half_up(earned, clicks));
            assert_eq!(money["epc"].as_str().map(micros), epc, "{row:#}");
            if to_staff {
                assert_eq!(micros_of(&money["profit"]), sums[3] - (sums[0] - sums[4]) - sums[5], "{row:#}");
            } else {
                let of_staff = ["profit", "revenue", "commissions"].map(|field| money.get(field));
                assert_eq!(of_staff, [None; 3], "{row:#}");
            }
            if sums != [0; 6] {
                it.money.insert(text(money, "currency"), sums);
            }
        }
        it
    }
}

/// The exports of one moment.
pub struct Recount {
    visits: BTreeMap<String, Row>,
    conversions: Vec<Row>,
    earned: Earned,
    to_staff: bool,
}

/// A query: groups, a filter ("" for none), first and last day in a zone.
struct Question<'a> {
    groups: &'a [&'a str],
    filter: Option<(&'a str, String)>,
    days: (i64, i64),
    zone: &'a str,
}

impl Recount {
    pub async fn of(client: &Client, to_staff: bool) -> Recount {
        let visits = files::export(client, "clicks").await.into_iter().map(|it| (it["id"].clone(), it)).collect();
        let mut earned = Earned::new();
        for earning in client.list("/api/v1/earnings").await {
            let Some(conversion) = earning["conversion_id"].as_str() else { continue };
            let place = usize::from(earning["kind"] == "commission");
            earned.entry(conversion.to_owned()).or_default()[place] += micros_of(&earning["left"]);
        }
        Recount { visits, conversions: files::export(client, "conversions").await, earned, to_staff }
    }

    /// The value of a visit or a conversion for a group. Reports trim values and cut them at 100 characters.
    fn key(&self, group: &str, row: &Row, visit: Option<&Row>, zone: &str) -> Option<String> {
        let own = |column: &str| row.get(column).filter(|it| !it.is_empty()).cloned();
        let cut = |text: &str| Some(text.trim().chars().take(100).collect::<String>()).filter(|it| !it.is_empty());
        let parameter = |name: &str| {
            let all: Value = serde_json::from_str(&visit?["parameters"]).expect("parameters are JSON");
            cut(all[name].as_str()?)
        };
        let referrer = || visit.map(|it| it["referrer"].as_str())?.split_once("://").map(|(_, rest)| rest.to_owned());
        let host = |address: &str| cut(address.split(['/', ':']).next()?);
        match group {
            "hour" | "day" | "week" | "month" => {
                let at = row.get("occurred_at").unwrap_or_else(|| &row["created_at"]);
                Some(label(group, zone, millis(at)))
            }
            "affiliate" | "offer" | "link" => own(&format!("{group}_id")),
            "goal" => own("goal"),
            "keyword" => parameter("keyword").or_else(|| parameter("utm_term")),
            "source" => {
                let of_referrer = || host(&referrer()?);
                parameter("source").or_else(|| parameter("utm_source")).or_else(of_referrer)
            }
            "page" => parameter("page").or_else(|| {
                let address = referrer()?;
                let path = address.find('/').map_or("", |slash| &address[slash..]);
                let path = path.split(['?', '#']).next().unwrap_or_default();
                cut(&format!("{}{path}", host(&address)?))
            }),
            of_visit => cut(&visit?[of_visit]),
        }
    }

    fn count(&self, asked: &Question) -> Counted {
        let mut counted = Counted::new();
        let conversions = self.conversions.iter().map(|it| (it, self.visits.get(&it["click_id"]), true));
        for (row, visit, is_conversion) in self.visits.values().map(|it| (it, Some(it), false)).chain(conversions) {
            let at = millis(row.get("occurred_at").unwrap_or_else(|| &row["created_at"]));
            let day = local_day(asked.zone, at);
            let wanted = asked.filter.as_ref().is_none_or(|(group, value)| {
                let any_goal = *group == "goal" && !is_conversion;
                any_goal || self.key(group, row, visit, asked.zone).as_ref() == Some(value)
            });
            if day < asked.days.0 || day > asked.days.1 || !wanted {
                continue;
            }
            let keys = asked.groups.iter().map(|group| self.key(group, row, visit, asked.zone)).collect();
            let figures = counted.entry(keys).or_default();
            if is_conversion { figures.add_conversion(row, &self.earned) } else { figures.add_visit(row) }
        }
        for figures in counted.values_mut() {
            if !self.to_staff {
                figures.money.values_mut().for_each(|sums| OF_STAFF.iter().for_each(|place| sums[*place] = 0));
            }
            figures.money.retain(|_, sums| *sums != [0; 6]);
        }
        counted
    }

    fn rows(&self, rows: &Value) -> Counted {
        let rows = rows.as_array().expect("rows").iter().map(|row| {
            let keys = row["keys"].as_array().expect("keys").iter();
            assert!(keys.clone().all(|key| key.get("other").is_none()), "every value is told apart: {row:#}");
            (keys.map(|key| key["value"].as_str().map(str::to_owned)).collect(), Figures::told(row, self.to_staff))
        });
        rows.collect()
    }

    async fn compare(&self, client: &Client, asked: &Question<'_>, what: &str) {
        let wanted = self.count(asked);
        let query = asked.query();
        let report = client.get(&format!("/api/v1/reports?limit=10000&{query}")).await.expect(200);
        let rows = self.rows(&report["rows"]);
        assert_eq!(rows.len(), report["rows"].as_array().expect("rows").len(), "no row twice, {what}, {query}");
        for (keys, figures) in &wanted {
            assert_eq!(rows.get(keys), Some(figures), "{keys:?}, {what}, {query}");
        }
        assert_eq!(rows.len(), wanted.len(), "{what}, {query}");
        let totals = total(&wanted);
        assert_eq!(Figures::told(&report["totals"], self.to_staff), totals, "the totals, {what}, {query}");
        if asked.groups == ["hour"] {
            let label = |row: &Value| text(&row["keys"][0], "value");
            let starts = report["rows"].as_array().expect("rows").iter().map(|row| start_of_hour(&label(row)));
            assert!(starts.is_sorted(), "hours in the order of time, {what}, {query}");
        }
        // The first rows and the rest add up to the same total.
        let few = client.get(&format!("/api/v1/reports?limit=3&{query}")).await.expect(200);
        let mut sum = total(&self.rows(&few["rows"]));
        sum.add(&Figures::told(&few["rest"], self.to_staff));
        assert_eq!(sum, totals, "three rows and the rest, {what}, {query}");
        assert_eq!(few["rest"]["rows"], wanted.len().saturating_sub(3), "{what}, {query}");
    }

    async fn compare_series(&self, client: &Client, zone: &str, now: i64, what: &str) {
        let today = local_day(zone, now);
        let asked = Question { groups: &["day"], filter: None, days: (today - 29, today), zone };
        let mut counted = self.count(&asked);
        let series = client.get(&format!("/api/v1/reports/series?time_zone={zone}")).await.expect(200);
        assert_eq!(Figures::told(&series["totals"], self.to_staff), total(&counted), "{what}");
        let points = series["points"].as_array().expect("points");
        assert_eq!(points.len(), 30, "{what}");
        for (point, day) in points.iter().zip(today - 29..) {
            assert_eq!(point["at"], day_label(day), "{what}");
            let wanted = counted.remove(&vec![Some(day_label(day))]).unwrap_or_default();
            assert_eq!(Figures::told(point, self.to_staff), wanted, "{what}, {day}");
        }
    }

    async fn compare_revenue_map(&self, client: &Client, days: (i64, i64), what: &str) {
        for currency in ["USD", "JPY"] {
            let span = format!("from={}&until={}", day_label(days.0), day_label(days.1 + 1));
            let path = format!("/api/v1/reports/revenue-map?limit=1000&currency={currency}&{span}");
            let map = client.get(&path).await.expect(200);
            for (group, field) in [("keyword", "keywords"), ("page", "pages")] {
                let asked = Question { groups: &[group], filter: None, days, zone: "UTC" };
                let mut wanted = self.count(&asked);
                wanted.values_mut().for_each(|it| it.money.retain(|known, _| known == currency));
                assert_eq!(self.rows(&map[field]), wanted, "{what}, {field}");
                assert_eq!(Figures::told(&map["totals"], self.to_staff), total(&wanted), "{what}");
                let earned = |row: &Value| micros_of(&row["money"][0]["earned"]);
                let earned: Vec<_> = map[field].as_array().expect("rows").iter().map(earned).collect();
                assert!(earned.is_sorted_by(|above, below| above >= below), "top earning first: {earned:?}");
            }
        }
    }
}

impl Question<'_> {
    fn query(&self) -> String {
        let Question { groups, filter, days, zone } = self;
        let filter = filter.as_ref().map(|(group, value)| {
            let name =
                if ["affiliate", "offer", "link"].contains(group) { format!("{group}_id") } else { (*group).into() };
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("&{name}={value}")
        });
        let (from, until) = (day_label(days.0), day_label(days.1 + 1));
        format!(
            "group_by={}&from={from}&until={until}&time_zone={zone}{}",
            groups.join(","),
            filter.unwrap_or_default()
        )
    }
}

fn total(counted: &Counted) -> Figures {
    let mut sum = Figures::default();
    counted.values().for_each(|it| sum.add(it));
    sum
}

/// Some of the queries, at the current time.
pub async fn glance(year: &Year, what: &str) {
    let admin = &year.t.admin;
    let recount = Recount::of(admin, true).await;
    recount.compare_series(admin, "Europe/Berlin", year.now(), what).await;
    let today = local_day("UTC", year.now());
    for groups in [&["day"][..], &["offer", "keyword"]] {
        recount.compare(admin, &Question { groups, filter: None, days: (today - 60, today), zone: "UTC" }, what).await;
    }
}

/// Every query, over the whole year.
pub async fn recount(year: &Year, what: &str) {
    let admin = &year.t.admin;
    let recount = Recount::of(admin, true).await;
    visits::are_exported(&recount.visits, year);
    let days = (local_day("UTC", postrider_tests::app::START_MS) - 1, local_day("UTC", year.now()) + 1);
    let groups: [&[&str]; 22] = [
        &["day"],
        &["week"],
        &["month"],
        &["offer"],
        &["affiliate"],
        &["link"],
        &["sub1"],
        &["sub2"],
        &["sub10"],
        &["device"],
        &["browser"],
        &["os"],
        &["keyword"],
        &["source"],
        &["page"],
        &["goal"],
        &["country"],
        &["day", "offer"],
        &["affiliate", "keyword"],
        &["month", "sub1"],
        &["device", "link"],
        &["goal", "source"],
    ];
    for groups in groups {
        for zone in ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"] {
            let is_of_time = groups.iter().any(|group| ["day", "week", "month"].contains(group));
            if zone == "UTC" || is_of_time {
                recount.compare(admin, &Question { groups, filter: None, days, zone }, what).await;
            }
        }
    }
    let affiliate = &year.program.affiliates[1];
    for (group, value) in [
        ("affiliate", affiliate.id.as_str()),
        ("offer", &year.program.offers[1].id),
        ("keyword", "Schuhe für Ä"),
        ("sub2", "=1+1"),
        ("device", "mobile"),
        ("goal", "trial"),
    ] {
        let asked =
            Question { groups: &["month", "source"], filter: Some((group, value.into())), days, zone: "Europe/Berlin" };
        recount.compare(admin, &asked, what).await;
    }
    for (zone, month, day) in [("Europe/Berlin", 3, 29), ("Europe/Berlin", 10, 25), ("America/New_York", 11, 1)] {
        let day = super::calendar::days(2026, month, day);
        let asked = Question { groups: &["hour"], filter: None, days: (day, day), zone };
        recount.compare(admin, &asked, what).await;
    }
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        recount.compare_series(admin, zone, year.now(), what).await;
    }
    recount.compare_revenue_map(admin, days, what).await;

    let own = Recount::of(&affiliate.client, false).await;
    assert!(own.visits.values().chain(&own.conversions).all(|it| it["affiliate_id"] == affiliate.id));
    for groups in [&["day"][..], &["offer", "sub1"], &["keyword"]] {
        let asked = Question { groups, filter: None, days, zone: "Europe/Berlin" };
        own.compare(&affiliate.client, &asked, what).await;
    }
    own.compare_series(&affiliate.client, "Europe/Berlin", year.now(), what).await;
    own.compare_revenue_map(&affiliate.client, days, what).await;
}
