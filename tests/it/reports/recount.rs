//! The same counts calculated differently: row by row from exports, in simple sums.

use std::collections::BTreeMap;

use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use serde_json::Value;

/// Every click and impression ever recorded, by id: they remain here after their retention.
pub type Visits = BTreeMap<String, Value>;

/// impressions, clicks, unique, bot impressions, bot clicks, pending, approved, rejected, payout, pending payout, revenue.
pub type Counts = [i128; 11];

pub type Rows = BTreeMap<Vec<Option<String>>, Counts>;

pub async fn export(t: &TestApp, subject: &str) -> Vec<Value> {
    let answer = t.admin.get(&format!("/api/v1/exports/{subject}?format=jsonl")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn micros(amount: &Value) -> i128 {
    let Some(text) = amount.as_str() else { return 0 };
    let (whole, fraction) = text.split_once('.').expect("two decimals at least");
    whole.parse::<i128>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i128>().unwrap()
}

/// The value of this visit's row for a group; `at` is the time of the row itself.
fn key(group: &str, row: &Value, visit: Option<&Value>, at: Timestamp, zone: Zone) -> Option<String> {
    let own = |field: &str| row[field].as_str().map(str::to_owned);
    let of_visit = |path: &str| visit?.pointer(path)?.as_str().map(str::to_owned);
    match group {
        "day" => Some(zone.from_utc(at).date().to_string()),
        "month" => Some(zone.from_utc(at).date().to_string()[..7].to_owned()),
        "affiliate" => own("affiliate_id"),
        "offer" => own("offer_id"),
        "link" => own("link_id"),
        "goal" => own("goal"),
        "device" | "browser" | "os" => of_visit(&format!("/{group}")),
        "keyword" | "page" | "source" => of_visit(&format!("/parameters/{group}")),
        sub => of_visit(&format!("/sub_ids/{sub}")),
    }
}

pub fn recount(visits: &Visits, conversions: &[Value], groups: &[&str], zone: Zone, keyword: Option<&str>) -> Rows {
    let mut rows = Rows::new();
    let admits = |visit: Option<&Value>| {
        keyword.is_none() || visit.and_then(|visit| visit["parameters"]["keyword"].as_str()) == keyword
    };
    for visit in visits.values().filter(|visit| admits(Some(visit))) {
        let at = Timestamp::parse(&text(visit, "occurred_at")).unwrap();
        // A click has no goal.
        let key = groups.iter().map(|group| key(group, visit, Some(visit), at, zone)).collect();
        let counts: &mut Counts = rows.entry(key).or_default();
        match (visit["action"] == "click", visit["likely_bot"] == true) {
            (false, false) => counts[0] += 1,
            (true, false) => {
                counts[1] += 1;
                counts[2] += i128::from(visit["unique"] == true);
            }
            (false, true) => counts[3] += 1,
            (true, true) => counts[4] += 1,
        }
    }
    for conversion in conversions {
        let visit = conversion["click_id"].as_str().map(|id| &visits[id]);
        if !admits(visit) {
            continue;
        }
        let at = Timestamp::parse(&text(conversion, "created_at")).unwrap();
        let key = groups.iter().map(|group| key(group, conversion, visit, at, zone)).collect();
        let counts = rows.entry(key).or_default();
        let payout = micros(&conversion["payout"]["amount"]);
        match conversion["status"].as_str().unwrap() {
            "pending" => {
                counts[5] += 1;
                counts[9] += payout;
            }
            "approved" => {
                counts[6] += 1;
                counts[8] += payout;
                counts[10] += micros(&conversion["revenue"]["amount"]);
            }
            _ => counts[7] += 1,
        }
    }
    rows
}

/// The API's answer to the same query.
pub async fn reported(t: &TestApp, groups: &[&str], zone: Zone, keyword: Option<&str>, span: &str) -> Rows {
    let zone = zone.to_string().replace('+', "%2B");
    let keyword = keyword.map(|it| format!("&keyword={it}")).unwrap_or_default();
    let path = format!("/api/v1/reports?limit=10000&{span}&group_by={}&time_zone={zone}{keyword}", groups.join(","));
    let report = t.admin.get(&path).await.expect(200);
    assert_eq!(report["rest"]["rows"], 0);
    let row = |row: &Value| {
        let keys = row["keys"].as_array().unwrap().iter().map(|key| key["value"].as_str().map(str::to_owned)).collect();
        let number = |field: &str| i128::from(row[field].as_i64().unwrap());
        let money = &row["money"][0];
        let counts = [
            number("impressions"),
            number("clicks"),
            number("unique_clicks"),
            number("bot_impressions"),
            number("bot_clicks"),
            number("pending"),
            number("approved"),
            number("rejected"),
            micros(&money["payout"]),
            micros(&money["payout_pending"]),
            micros(&money["revenue"]),
        ];
        (keys, counts)
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}
