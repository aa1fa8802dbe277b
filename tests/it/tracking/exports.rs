//! Exports: all rows of a period in one order, for callers with permission.

use std::io::Read;
use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    an_export_has_every_row_in_one_order,
    a_spreadsheet_runs_no_formula,
    an_affiliate_exports_its_own_with_buyers_masked,
    a_key_without_the_permission_sees_no_buyers,
    an_export_is_compressed_for_those_who_ask,
    an_impossible_export_is_refused_with_a_reason,
);

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// More than one page.
async fn an_export_has_every_row_in_one_order(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let mut clicks = Vec::new();
    for number in 0..1_203 {
        if number % 400 == 0 {
            t.advance(Duration::from_secs(86_400));
        }
        clicks.push(t.click_on(&link, "?sub1=x").await.id);
    }
    let answer = t.admin.get("/api/v1/exports/clicks?format=jsonl").await;
    assert_eq!(answer.header("content-type"), Some("application/jsonl; charset=utf-8"));
    let ids: Vec<String> = lines(&answer.text).iter().map(|line| text(line, "id")).collect();
    // Within one millisecond the ids determine the order, and servers of other tests draw some of them.
    clicks.sort_unstable();
    assert_eq!(ids, clicks, "oldest first, each once");
    let csv = t.admin.get("/api/v1/exports/clicks").await;
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"clicks.csv\""));
    assert_eq!(csv.text.matches("\r\n").count(), 1 + clicks.len());
    assert!(csv.text.starts_with("id,action,occurred_at,link_id,affiliate_id,offer_id,external_click_id,sub1,sub2,"));
    let day = t.admin.get("/api/v1/exports/clicks?format=jsonl&from=2026-03-12&until=2026-03-13").await;
    assert_eq!(lines(&day.text).len(), 400);
    let one = t.admin.get("/api/v1/exports/events").await;
    assert_eq!(one.text.lines().count(), 1, "a head also without rows");
}

async fn a_spreadsheet_runs_no_formula(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click_on(&t.any_link().await, "?sub1=%3DHYPERLINK(%22http%3A%2F%2Fx%22)&sub2=a%2Cb%22c").await;
    t.conversion(&click).set("customer_name", json!("@SUM(A1:A9)")).send().await;
    let clicks = t.admin.get("/api/v1/exports/clicks?format=csv").await.text;
    assert!(clicks.contains(r#","'=HYPERLINK(""http://x"")","a,b""c","#), "{clicks}");
    let conversions = t.admin.get("/api/v1/exports/conversions").await.text;
    assert!(conversions.contains(",\"'@SUM(A1:A9)\","), "{conversions}");
    // Nor one that separates by semicolons, for which a quotation mark within a line is an ordinary character.
    let name = json!("Grace;=HYPERLINK(1)");
    t.conversion(&click).set("customer_name", name).send().await;
    let conversions = t.admin.get("/api/v1/exports/conversions").await.text;
    assert!(conversions.contains(",\"Grace;'=HYPERLINK(1)\","), "{conversions}");
}

async fn a_key_without_the_permission_sees_no_buyers(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").parameters(&[("mail", "customer_email")]).save().await;
    let conversion = t.conversion(&click).set("customer_email", json!("grace.hopper@example.com"));
    conversion.set("customer_name", json!("Grace Hopper")).set("customer_id", json!("C-4711")).send().await;
    t.deliver_all().await;
    let reads = json!(["read_reports", "read_program"]);
    for (scopes, sees) in [(reads, false), (json!(["read_reports", "read_program", "read_buyers"]), true)] {
        let key = json!({"name": "k", "role": "owner", "scopes": scopes});
        let key = t.admin.post("/api/v1/api-keys", &key).await.expect(201);
        let client = t.admin.with_key(Some(&text(&key, "key")));
        for path in [
            "exports/conversions?format=csv",
            "exports/events?format=jsonl",
            "exports/deliveries",
            "conversions",
            "events",
            "deliveries",
        ] {
            let shown = client.get(&format!("/api/v1/{path}")).await;
            assert_eq!(shown.status, 200, "{path}: {}", shown.text);
            assert_eq!(shown.text.contains("grace.hopper"), sees, "{path}: {}", shown.text);
            assert!(sees || !shown.text.contains("Grace Hopper"), "{path}: {}", shown.text);
        }
    }
}

async fn an_affiliate_exports_its_own_with_buyers_masked(db: Database) {
    let t = TestApp::start(db).await;
    t.affiliates_see("masked").await;
    let (mine, other) = (t.click().await, t.click().await);
    t.postback("/p").owned_by(&mine.link.affiliate).parameters(&[("mail", "customer_email")]).save().await;
    for click in [&mine, &other] {
        let conversion = t.conversion(click).set("customer_email", json!("grace.hopper@example.com"));
        conversion.set("customer_name", json!("Grace Hopper")).set("revenue", json!("77.31")).send().await;
    }
    t.deliver_all().await;
    let client = &mine.link.affiliate.client;
    for subject in ["clicks", "conversions", "events", "deliveries"] {
        for format in ["csv", "jsonl"] {
            let path = format!("/api/v1/exports/{subject}?format={format}");
            let export = client.get(&path).await;
            assert_eq!(export.status, 200, "{}", export.text);
            assert!(
                !export.text.contains("grace.hopper") && !export.text.contains("Hopper"),
                "{path}: {}",
                export.text
            );
            assert!(!export.text.contains("77.31"), "{path}: {}", export.text);
            assert!(!export.text.contains(&other.link.affiliate.id), "{path}: {}", export.text);
            let head = usize::from(format == "csv");
            assert_eq!(export.text.lines().count(), 1 + head, "{path}: {}", export.text);
        }
    }
    let all = t.admin.get("/api/v1/exports/conversions?format=jsonl").await;
    assert!(all.text.contains("grace.hopper@example.com") && all.text.contains("77.31"));
    let path = format!("/api/v1/exports/clicks?affiliate_id={}", other.link.affiliate.id);
    client.get(&path).await.expect_problem(404, "not_found");
    t.anonymous().get("/api/v1/exports/clicks").await.expect_problem(401, "unauthorized");
}

async fn an_export_is_compressed_for_those_who_ask(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    for _ in 0..30 {
        t.click_on(&link, "").await;
    }
    let plain = t.admin.get("/api/v1/exports/clicks").await.text;
    let request = t.admin.request(reqwest::Method::GET, "/api/v1/exports/clicks");
    let response = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.unwrap();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert!(packed.len() < plain.len() / 4);
}

async fn an_impossible_export_is_refused_with_a_reason(db: Database) {
    let t = TestApp::start(db).await;
    t.admin.get("/api/v1/exports/secrets").await.expect_problem(404, "not_found");
    let link = t.any_link().await;
    for query in ["format=xlsx", "from=soon", "from=2026-03-02&until=2026-03-01", "time_zone=Mars/Base"] {
        t.admin.get(&format!("/api/v1/exports/clicks?{query}")).await.expect_problem(400, "invalid_parameter");
    }
    let path = format!("/api/v1/exports/deliveries?offer_id={}", link.offer);
    t.admin.get(&path).await.expect_problem(400, "invalid_parameter");
}
