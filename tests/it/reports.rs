//! Reports: their figures, filters and permissions, and equal results before and after packing.

mod histories;
mod recount;
mod retention;

use std::time::Duration;

use postrider_tests::app::{Click, Link, START_MS, TestApp, click_id_in};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    a_report_counts_the_same_raw_and_packed,
    stored_columns_of_known_versions_are_counted,
    a_conversion_counts_with_its_current_status,
    an_affiliate_sees_its_own_figures_and_no_revenue,
    self_reported_conversions_are_not_revenue,
    commissions_are_counted_for_staff_and_deducted_for_the_sub_affiliate,
    currencies_are_never_mixed,
    a_series_has_no_gaps,
    days_begin_at_midnight_of_their_zone,
    repeated_hours_are_in_chronological_order,
    the_revenue_map_shows_the_earnings_of_keywords_and_pages,
    an_impossible_report_is_refused_with_a_reason,
    rows_beyond_the_limit_are_added_up,
    a_late_click_is_counted,
    a_click_that_waited_too_long_is_refused,
);

pub const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
const QUARTER: Duration = Duration::from_secs(900);

/// A click by a browser: clients without a name count as bots.
async fn browse(t: &TestApp, link: &Link, query: &str) -> Click {
    let request = t.anonymous().request(reqwest::Method::GET, &format!("{}{query}", link.path));
    let answer = t.anonymous().send(request.header("user-agent", PHONE)).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    Click { id: click_id_in(&answer), link: link.clone() }
}

async fn report(t: &TestApp, query: &str) -> Value {
    t.admin.get(&format!("/api/v1/reports?{query}")).await.expect(200)
}

/// The figures of the row with this first key.
fn row<'a>(report: &'a Value, value: &str) -> &'a Value {
    let rows = report["rows"].as_array().expect("rows");
    let found = rows.iter().find(|row| row["keys"][0]["value"] == value);
    found.unwrap_or_else(|| panic!("no row {value:?} in {report:#}"))
}

async fn a_report_counts_the_same_raw_and_packed(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    for query in ["?sub1=red&keyword=shoes", "?sub1=red", "?sub1=blue&source=mail"] {
        browse(&t, &link, query).await;
    }
    t.click_on(&link, "?sub1=red").await; // By a program.
    t.anonymous().get(&link.impression_path).await;
    let click = browse(&t, &link, "?sub1=red&keyword=shoes").await;
    t.conversion(&click).set("revenue", json!("20.00")).send().await;

    let queries =
        ["group_by=sub1", "group_by=day,keyword", "group_by=link&sub1=red", "group_by=offer", "group_by=hour,source"];
    let mut raw = Vec::new();
    for query in queries {
        raw.push(report(&t, query).await);
    }
    let by_sub = &raw[0];
    let red = row(by_sub, "red");
    assert_eq!((&red["clicks"], &red["bot_clicks"], &red["unique_clicks"]), (&json!(3), &json!(1), &json!(1)), "{red}");
    assert_eq!((&red["conversions"], &red["approved"]), (&json!(1), &json!(1)));
    assert_eq!(red["conversion_rate"], "0.333333");
    let money = &red["money"][0];
    let amounts = ["currency", "payout", "revenue", "profit", "epc"].map(|field| text(money, field));
    assert_eq!(amounts, ["USD", "12.50", "20.00", "7.50", "4.166667"]);
    assert_eq!(row(by_sub, "blue")["clicks"], 1);
    assert_eq!(by_sub["totals"]["bot_impressions"], 1);
    assert_eq!(row(&raw[3], &link.offer)["keys"][0]["name"], "Offer 1");

    t.advance(2 * QUARTER);
    t.roll_up_reports().await;
    assert!(t.database.count("report_columns").await > 0, "it is packed");
    for (query, raw) in queries.into_iter().zip(raw) {
        assert_eq!(report(&t, query).await, raw, "{query}");
    }
}

/// Version 0 is what releases stored that recorded no version.
async fn stored_columns_of_known_versions_are_counted(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    browse(&t, &link, "?keyword=shoes").await;
    t.advance(2 * QUARTER);
    t.roll_up_reports().await;
    assert_eq!(t.database.number("SELECT CAST(max(version) AS bigint) FROM report_columns").await, 2);
    for version in [0, 1, 2] {
        t.database.execute(&format!("UPDATE report_columns SET version = {version}")).await;
        let report = report(&t, "group_by=keyword").await;
        assert_eq!(row(&report, "shoes")["clicks"], 1, "version {version}");
    }
    t.database.execute("UPDATE report_columns SET version = 3").await;
    let span = (domain::timestamp::Timestamp::from_millis(0), t.app().clock.now());
    let clicks = storage::reports::Subject::Clicks;
    let error = storage::reports::list_segments(t.app().db.reader(), clicks, span, &[0]).await.unwrap_err().to_string();
    assert!(error.contains("version 3, and this release reads up to version 2; upgrade this server"), "{error}");
    t.admin.get("/api/v1/reports?group_by=keyword").await.expect(503);
}

async fn a_conversion_counts_with_its_current_status(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let click = browse(&t, &link, "?keyword=shoes").await;
    let conversion = t.conversion(&click).status("pending").send().await;
    t.advance(3 * QUARTER);
    t.roll_up_reports().await;
    let counts = async || {
        let report = report(&t, "group_by=keyword").await;
        let row = row(&report, "shoes").clone();
        let status = ["pending", "approved", "rejected"].map(|field| row[field].as_i64().unwrap());
        (status, text(&row["money"][0], "payout"), text(&row["money"][0], "payout_pending"))
    };
    assert_eq!(counts().await, ([1, 0, 0], "0.00".into(), "12.50".into()));
    t.approve(&conversion).await.expect(200);
    assert_eq!(counts().await, ([0, 1, 0], "12.50".into(), "0.00".into()), "before it is packed again");
    t.advance(3 * QUARTER);
    t.roll_up_reports().await;
    assert_eq!(counts().await, ([0, 1, 0], "12.50".into(), "0.00".into()), "and after");
    t.reject(&conversion, "fraud").await.expect(200);
    let row_after = report(&t, "group_by=keyword").await;
    assert_eq!(row(&row_after, "shoes")["rejected"], 1);
    assert_eq!(row(&row_after, "shoes")["conversion_rate"], "0.00");
}

async fn an_affiliate_sees_its_own_figures_and_no_revenue(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.any_link().await, t.any_link().await);
    for link in [&mine, &other, &other] {
        let click = browse(&t, link, "").await;
        t.conversion(&click).set("revenue", json!("20.00")).send().await;
    }
    let client = &mine.affiliate.client;
    let report = client.get("/api/v1/reports?group_by=affiliate").await.expect(200);
    assert_eq!(report["rows"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(row(&report, &mine.affiliate.id)["approved"], 1);
    assert_eq!(report["totals"]["money"][0]["payout"], "12.50");
    for path in ["/api/v1/reports", "/api/v1/reports/series", "/api/v1/reports/revenue-map"] {
        let text = client.get(path).await.expect(200).to_string();
        assert!(!text.contains("revenue\"") && !text.contains("profit"), "{path}: {text}");
        client.get(&format!("{path}?affiliate_id={}", other.affiliate.id)).await.expect_problem(404, "not_found");
    }
    client.get("/api/v1/reports?group_by=offer&sort=profit").await.expect_problem(400, "invalid_parameter");
    t.anonymous().get("/api/v1/reports").await.expect_problem(401, "unauthorized");
}

async fn self_reported_conversions_are_not_revenue(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"revenue": {"fixed": "20.00"}})).await;
    let link = t.link(&t.affiliate().await, &offer).await;
    let click = browse(&t, &link, "").await;
    t.conversion(&click).send().await;
    let sources = link.affiliate.client.list("/api/v1/sources").await;
    let url = url::Url::parse(&text(&sources[0], "url")).unwrap();
    let own = t.anonymous().get(&format!("{}?sessionId={}&amount=2.00", url.path(), click.id)).await;
    assert_eq!(own.status, 200, "{}", own.text);
    let report = report(&t, "group_by=offer").await;
    let money = &row(&report, &offer)["money"][0];
    let amounts = ["payout", "self_reported", "earned", "revenue", "profit"].map(|field| text(money, field));
    assert_eq!(amounts, ["12.50", "2.00", "14.50", "20.00", "7.50"], "no advertiser pays for it");
    let conversions = t.admin.list("/api/v1/conversions").await;
    let own = conversions.iter().find(|it| it["self_reported"] == true).expect("it is recorded");
    assert_eq!(own["revenue"], json!(null));
}

async fn commissions_are_counted_for_staff_and_deducted_for_the_sub_affiliate(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"revenue": {"fixed": "20.00"}})).await;
    let (recruit, parent) = (t.affiliate().await, t.affiliate().await);
    let recruited = json!({"parent_affiliate": parent.referral_code});
    t.admin.patch(&format!("/api/v1/affiliates/{}", recruit.id), &recruited).await.expect(200);
    let link = t.link(&recruit, &offer).await;
    for (keyword, paid_from) in [("shoes", "program"), ("socks", "sub_affiliate")] {
        let settings = json!({"tiers": ["10"], "paid_from": paid_from});
        let request = t.admin.request(reqwest::Method::PUT, "/api/v1/settings/sub-affiliates").json(&settings);
        t.admin.send(request).await.expect(200);
        let click = browse(&t, &link, &format!("?keyword={keyword}")).await;
        t.conversion(&click).send().await;
    }
    let amounts = async |keyword: &str| {
        let report = report(&t, "group_by=keyword&sort=commissions&currency=USD").await;
        let money = &row(&report, keyword)["money"][0];
        ["payout", "deducted", "earned", "epc", "revenue", "commissions", "profit"].map(|field| text(money, field))
    };
    let on_top = ["12.50", "0.00", "12.50", "12.50", "20.00", "1.25", "6.25"];
    let deducted = ["12.50", "1.25", "11.25", "11.25", "20.00", "1.25", "7.50"];
    assert_eq!((amounts("shoes").await, amounts("socks").await), (on_top.map(Into::into), deducted.map(Into::into)));
    let own = recruit.client.get("/api/v1/reports?group_by=keyword").await.expect(200);
    let total = &own["totals"]["money"][0];
    assert_eq!(text(total, "earned"), t.balance(&recruit, "USD").await[1], "a recruit sees what it gets");
    assert_eq!(total.get("commissions"), None);
    let staff = t.person("owner").await.client;
    let page = staff.get("/reports?group_by=keyword").await;
    assert!(page.text.contains("Commissions") && page.text.contains("2.50"), "{}", page.text);
    t.advance(2 * QUARTER);
    t.roll_up_reports().await;
    assert_eq!((amounts("shoes").await, amounts("socks").await), (on_top.map(Into::into), deducted.map(Into::into)));
}

async fn currencies_are_never_mixed(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    for currency in ["USD", "EUR"] {
        let offer = t.offer_with(json!({"currency": currency})).await;
        let link = t.link(&affiliate, &offer).await;
        let click = browse(&t, &link, "").await;
        t.conversion(&click).set("currency", json!(currency)).send().await;
    }
    let both = report(&t, "group_by=affiliate").await;
    let money = row(&both, &affiliate.id)["money"].clone();
    let amounts: Vec<_> =
        money.as_array().unwrap().iter().map(|it| (text(it, "currency"), text(it, "payout"))).collect();
    assert_eq!(amounts, [("EUR".into(), "12.50".into()), ("USD".into(), "12.50".into())]);
    let euros = report(&t, "group_by=offer&currency=EUR&sort=payout").await;
    assert_eq!(euros["totals"]["money"].as_array().unwrap().len(), 1);
    t.admin.get("/api/v1/reports?group_by=offer&sort=payout").await.expect_problem(422, "invalid_field");
}

async fn a_series_has_no_gaps(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    browse(&t, &link, "").await;
    t.advance(Duration::from_secs(3 * 86_400));
    let click = browse(&t, &link, "").await;
    t.conversion(&click).send().await;
    let series = t.admin.get("/api/v1/reports/series").await.expect(200);
    let points = series["points"].as_array().unwrap();
    assert_eq!(points.len(), 30);
    let of =
        |index: usize| (text(&points[index], "at"), points[index]["clicks"].clone(), points[index]["approved"].clone());
    assert_eq!(of(29), ("2026-03-13".into(), json!(1), json!(1)));
    assert_eq!(of(28), ("2026-03-12".into(), json!(0), json!(0)));
    assert_eq!(of(26), ("2026-03-10".into(), json!(1), json!(0)));
    assert_eq!(series["totals"]["clicks"], 2);
    let weeks = t.admin.get("/api/v1/reports/series?interval=week&from=2026-03-01&until=2026-03-16").await.expect(200);
    let labels: Vec<_> = weeks["points"].as_array().unwrap().iter().map(|it| text(it, "at")).collect();
    assert_eq!(labels, ["2026-02-23", "2026-03-02", "2026-03-09"]);
}

/// It is noon in UTC, quarter to six in the evening in Kathmandu.
async fn days_begin_at_midnight_of_their_zone(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    t.advance(Duration::from_secs(6 * 3_600 + 14 * 60));
    browse(&t, &link, "").await;
    t.advance(Duration::from_secs(60));
    browse(&t, &link, "?x=1").await;
    for packed in [false, true] {
        if packed {
            t.advance(2 * QUARTER);
            t.roll_up_reports().await;
        }
        let days = report(&t, "group_by=day&time_zone=Asia/Kathmandu").await;
        assert_eq!(row(&days, "2026-03-10")["clicks"], 1, "{days:#}");
        assert_eq!(row(&days, "2026-03-11")["clicks"], 1);
        let one = report(&t, "group_by=hour&time_zone=Asia/Kathmandu&from=2026-03-11&until=2026-03-12").await;
        assert_eq!(one["rows"].as_array().unwrap().len(), 1);
        assert_eq!(row(&one, "2026-03-11T00:00+05:45")["clicks"], 1);
    }
}

/// On 25 October, Berlin's clocks show two o'clock twice.
async fn repeated_hours_are_in_chronological_order(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    // 00:30 in UTC, 229 days after the clock's start at noon; then an hour later, and one more.
    t.advance(Duration::from_secs(228 * 86_400 + 45_000));
    for _ in 0..3 {
        browse(&t, &link, "").await;
        t.advance(Duration::from_secs(3_600));
    }
    let report = report(&t, "group_by=hour&time_zone=Europe/Berlin&from=2026-10-25&until=2026-10-26").await;
    let rows = report["rows"].as_array().unwrap();
    let hours: Vec<_> = rows.iter().map(|row| text(&row["keys"][0], "value")).collect();
    assert_eq!(hours, ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]);
}

async fn the_revenue_map_shows_the_earnings_of_keywords_and_pages(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let shoes = browse(&t, &link, "?keyword=red+shoes&page=/a").await;
    browse(&t, &link, "?keyword=red+shoes&page=/b").await;
    let boots = browse(&t, &link, "?keyword=boots&page=/a").await;
    t.conversion(&shoes).set("payout", json!("30.00")).send().await;
    t.conversion(&boots).set("payout", json!("8.00")).send().await;
    // The affiliate's own network sends to its own source.
    let sources = link.affiliate.client.list("/api/v1/sources").await;
    let url = url::Url::parse(&text(&sources[0], "url")).unwrap();
    let own = t.anonymous().get(&format!("{}?sessionId={}&amount=2.00", url.path(), shoes.id)).await;
    assert_eq!(own.status, 200, "{}", own.text);

    let map = link.affiliate.client.get("/api/v1/reports/revenue-map?currency=USD").await.expect(200);
    let top: Vec<_> = map["keywords"].as_array().unwrap().iter().map(|row| text(&row["keys"][0], "value")).collect();
    assert_eq!(top, ["red shoes", "boots"], "top earning first");
    let shoes = &map["keywords"][0];
    assert_eq!((&shoes["money"][0]["earned"], &shoes["money"][0]["epc"]), (&json!("32.00"), &json!("16.00")));
    assert_eq!(shoes["money"][0]["payout"], "30.00", "the program owes nothing for what affiliates report themselves");
    assert_eq!(shoes["conversion_rate"], "1.00");
    assert_eq!(map["pages"][0]["keys"][0]["value"], "/a");
    assert_eq!(map["pages"][0]["money"][0]["earned"], "40.00");
    assert_eq!(map["totals"]["money"][0]["earned"], "40.00");
}

async fn an_impossible_report_is_refused_with_a_reason(db: Database) {
    let t = TestApp::start(db).await;
    for query in [
        "group_by=colour",
        "group_by=day,offer,link",
        "group_by=day,day",
        "time_zone=Mars/Base",
        "from=yesterday",
        "from=2026-03-02&until=2026-03-02",
        "from=2026-03-02T10:07:00Z",
        "from=2001-01-01",
        "sort=luck",
        "limit=0",
        "currency=dollars",
    ] {
        let problem = t.admin.get(&format!("/api/v1/reports?{query}")).await;
        problem.expect_problem(400, "invalid_parameter");
    }
    t.admin.get("/api/v1/reports/series?interval=minute").await.expect_problem(400, "invalid_parameter");
}

async fn rows_beyond_the_limit_are_added_up(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    for (value, clicks) in [("a", 3), ("b", 2), ("c", 1), ("d", 1)] {
        for _ in 0..clicks {
            browse(&t, &link, &format!("?sub3={value}")).await;
        }
    }
    let top = report(&t, "group_by=sub3&limit=2").await;
    let rows: Vec<_> = top["rows"].as_array().unwrap().iter().map(|row| text(&row["keys"][0], "value")).collect();
    assert_eq!(rows, ["a", "b"]);
    assert_eq!(
        (&top["rest"]["rows"], &top["rest"]["clicks"], &top["totals"]["clicks"]),
        (&json!(2), &json!(2), &json!(7))
    );
}

/// A node with a wrong clock creates an id of a time that is already packed.
async fn a_late_click_is_counted(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    browse(&t, &link, "").await;
    t.advance(4 * QUARTER);
    t.roll_up_reports().await;
    for (after_ms, wanted) in [(1, 2), (30 * 60_000, 3)] {
        late_click(&t, START_MS + after_ms).await;
        // Maintenance compares too, whenever the clock moves; the first one packs the quarter again.
        engine::reports::verify(t.app()).await.expect("the database answers");
        let totals = report(&t, "group_by=day").await["totals"].clone();
        assert_eq!(totals["clicks"], wanted, "{totals}");
        let repaired = engine::reports::verify(t.app()).await.expect("the database answers");
        assert_eq!(repaired, 0, "once is enough");
    }
}

/// A row as another node with its own clock would have stored it.
async fn late_click(t: &TestApp, at_ms: i64) {
    let id = format!("{at_ms:012x}70008000000000000001");
    let id = if t.database.is_sqlite() { format!("x'{id}'") } else { format!("'{id}'::uuid") };
    t.database
        .execute(&format!(
            "INSERT INTO clicks (id, action, link_id, affiliate_id, offer_id, occurred_at, sub_ids, params, landing_url,
                 likely_bot, visitor, is_unique)
             SELECT {id}, action, link_id, affiliate_id, offer_id, occurred_at, sub_ids, params, landing_url,
                 likely_bot, visitor, is_unique FROM clicks LIMIT 1"
        ))
        .await;
}

/// A moment counts as settled only because of this rule: no click older than half a minute is stored.
async fn a_click_that_waited_too_long_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let app = t.app();
    let mut click = storage::tracking::clicks::find(app.db.reader(), t.click_on(&link, "").await.id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    t.advance(Duration::from_secs(31));
    click.id = domain::ids::ClickId::new(click.occurred_at);
    let answer = app.clicks.submit(&0, click).await.expect("the writer runs");
    assert!(answer.is_err(), "it is refused");
    assert_eq!(t.database.count("clicks").await, 1);
}
