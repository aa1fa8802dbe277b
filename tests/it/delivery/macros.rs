//! Every macro, with values of reserved characters and Unicode: they arrive unchanged, encoded once.

use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Recorded;
use reqwest::Method;
use serde_json::json;

on_both_databases!(
    every_macro_arrives_in_a_get,
    every_macro_arrives_in_a_form,
    a_macro_in_the_path_stays_in_its_segment,
    a_macro_without_a_value_is_empty,
    names_and_fixed_values_are_encoded_too,
    the_limits_of_the_guide_hold,
);

/// All characters with a meaning in a URL, a form, a header, JSON, HTML or SQL, and characters beyond the basic plane.
const NASTY: &str = "a b&c=d+e?f#g/h%41%zz\"'<>\\;:@[]{}|^`~!$(),* ü€漢😀\u{202e}";

struct World {
    click: Click,
    conversion: String,
}

/// A click and an approved conversion, with special characters in all values that other people determine.
async fn world(t: &TestApp) -> World {
    let body = json!({"name": nasty("affiliate"), "email": "a@example.com"});
    let affiliate = t.admin.post("/api/v1/affiliates", &body).await.expect(201);
    let offer = t.offer_with(json!({"name": nasty("offer")})).await;
    let body = json!({"affiliate_id": affiliate["id"], "offer_id": offer});
    let link = t.admin.post("/api/v1/links", &body).await.expect(201);

    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for n in 1..=10 {
        query.append_pair(&format!("sub{n}"), &nasty(&format!("sub{n}")));
    }
    query.append_pair("click_id", &nasty("external"));
    query.append_pair("keyword", &nasty("keyword"));
    query.append_pair("page", &nasty("page"));
    let url = url::Url::parse(&text(&link, "url")).unwrap();
    let client = t.anonymous();
    let visit = client
        .request(Method::GET, &format!("{}?{}", url.path(), query.finish()))
        .header("user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0.0.0 a&b=c")
        .header("referer", "https://blog.example/?a=1&b=%C3%BC");
    let answer = client.send(visit).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    let click = Click {
        id: postrider_tests::app::click_id_in(&answer),
        link: postrider_tests::app::Link {
            id: text(&link, "id"),
            affiliate: postrider_tests::app::Affiliate {
                id: text(&affiliate, "id"),
                referral_code: text(&affiliate, "referral_code"),
                client: client.clone(),
            },
            offer,
            path: url.path().to_owned(),
            impression_path: String::new(),
        },
    };

    // Each step has its own time.
    t.advance(Duration::from_secs(60));
    let conversion = t
        .conversion(&click)
        .status("pending")
        .transaction(&nasty("transaction"))
        .set("goal", json!(nasty("goal")))
        .set("revenue", json!("20.000001"))
        .set("customer_name", json!(nasty("customer")))
        .set("customer_email", json!("o'zoë+tag@exämple.org"))
        .set("plan_name", json!(nasty("plan")))
        .set("plan_price", json!("48.99"))
        .set("purchase_id", json!(nasty("purchase")))
        .set("purchase_date", json!("2026-03-09T10:00:00Z"))
        .send()
        .await;
    t.advance(Duration::from_secs(60));
    World { click, conversion }
}

fn nasty(what: &str) -> String {
    format!("{what} {NASTY}")
}

/// (macro, value) for the moment when the conversion is approved.
async fn expected(t: &TestApp, world: &World) -> Vec<(String, String)> {
    let link = &world.click.link;
    let events = t.admin.list(&format!("/api/v1/events?conversion_id={}", world.conversion)).await;
    let mut values: Vec<(String, String)> = (1..=10).map(|n| (format!("sub{n}"), nasty(&format!("sub{n}")))).collect();
    let table = [
        ("click_id", world.click.id.clone()),
        ("external_click_id", nasty("external")),
        ("affiliate_id", link.affiliate.id.clone()),
        ("affiliate_name", nasty("affiliate")),
        ("referral_code", link.affiliate.referral_code.clone()),
        ("offer_id", link.offer.clone()),
        ("offer_name", nasty("offer")),
        ("conversion_id", world.conversion.clone()),
        ("transaction_id", nasty("transaction")),
        ("goal", nasty("goal")),
        ("status", "approved".into()),
        ("previous_status", "pending".into()),
        ("rejection_reason", String::new()),
        ("payout", "12.50".into()),
        ("revenue", "20.000001".into()),
        ("amount", "49.00".into()),
        ("currency", "USD".into()),
        ("customer_name", nasty("customer")),
        ("customer_email", "o'zoë+tag@exämple.org".into()),
        ("plan_name", nasty("plan")),
        ("plan_price", "48.99".into()),
        ("purchase_id", nasty("purchase")),
        ("purchase_date", "2026-03-09T10:00:00Z".into()),
        ("test", String::new()),
        ("event_id", text(&events[0], "id")),
        ("action", "conversion".into()),
        ("event_name", String::new()),
        ("revision", "2".into()),
        ("event_date", "2026-03-10T12:02:00Z".into()),
        ("click_date", "2026-03-10T12:00:00Z".into()),
        ("conversion_date", "2026-03-10T12:01:00Z".into()),
        ("timestamp", "1773144120".into()),
        ("ip", "127.0.0.1".into()),
        // There is no database with the countries of addresses.
        ("country", String::new()),
        ("device", "desktop".into()),
        ("user_agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0.0.0 a&b=c".into()),
        ("referrer", "https://blog.example/?a=1&b=%C3%BC".into()),
        ("keyword", nasty("keyword")),
        ("page", nasty("page")),
    ];
    values.extend(table.map(|(token, value)| (token.to_owned(), value)));
    values
}

/// Sends every macro by `method`; returns the request with the expected values.
async fn send_all(t: &TestApp, method: &str) -> (Recorded, Vec<(String, String)>) {
    let world = world(t).await;
    let tokens: Vec<String> = expected(t, &world).await.into_iter().map(|(token, _)| token).collect();
    let parameters: Vec<(&str, &str)> = tokens.iter().map(|token| (token.as_str(), token.as_str())).collect();
    t.postback("/p").method(method).parameters(&parameters).save().await;

    t.approve(&world.conversion).await.expect(200);
    t.deliver_all().await;

    (t.receiver.only_request("/p"), expected(t, &world).await)
}

async fn every_macro_arrives_in_a_get(db: Database) {
    let t = TestApp::start(db).await;
    let (request, expected) = send_all(&t, "GET").await;

    assert_eq!(request.method, "GET");
    assert_eq!(request.body, "");
    assert_eq!(request.parameters(), expected);
    encoded_once(&request.query);
}

async fn every_macro_arrives_in_a_form(db: Database) {
    let t = TestApp::start(db).await;
    let (request, expected) = send_all(&t, "POST").await;

    assert_eq!(request.method, "POST");
    assert_eq!(request.query, "");
    let content_type = request.headers["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/x-www-form-urlencoded"), "{content_type}");
    assert_eq!(request.form(), expected);
    encoded_once(&request.body);
}

/// Only characters without a special meaning are unencoded, and a percent sign of a value is `%25`, not `%2525`.
fn encoded_once(pairs: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%=&+".contains(c);
    assert!(pairs.chars().all(plain), "{pairs}");
    assert!(pairs.contains("%2541"), "%41 arrives as these three characters: {pairs}");
    assert!(!pairs.contains("%2525"), "{pairs}");
}

async fn a_macro_in_the_path_stays_in_its_segment(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    t.postback("/x").to(&t.receiver.url("/track/{sub1}/end?keep=1")).parameters(&[("s", "sub1")]).save().await;
    let sent_before = t.receiver.all_requests().len();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("sub1", "../a b/?c=d#e");
    let click = t.click_on(&link, &format!("?{}", query.finish())).await;

    t.conversion(&click).send().await;
    t.deliver_all().await;

    let request = t.receiver.all_requests()[sent_before..][0].clone();
    assert_eq!(request.path, "/track/..%2Fa%20b%2F%3Fc%3Dd%23e/end");
    assert_eq!(request.parameter("keep"), "1");
    assert_eq!(request.parameter("s"), "../a b/?c=d#e");
}

async fn a_macro_without_a_value_is_empty(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    t.offer().await;
    let tokens = ["click_id", "external_click_id", "sub1", "goal", "customer_email", "rejection_reason", "country"];
    let parameters: Vec<_> = tokens.iter().map(|token| (*token, *token)).collect();
    t.postback("/p").parameters(&parameters).save().await;

    // A lead by a code: no click, no buyer.
    let body = json!({"referral_code": affiliate.referral_code, "transaction_id": "T-1", "status": "approved"});
    t.admin.post("/api/v1/conversions", &body).await.expect(201);
    t.deliver_all().await;

    let request = t.receiver.only_request("/p");
    let wanted: Vec<_> = tokens.iter().map(|token| ((*token).to_owned(), String::new())).collect();
    assert_eq!(request.parameters(), wanted, "{}", request.query);
}

async fn names_and_fixed_values_are_encoded_too(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p")
        .to(&t.receiver.url("/p?own=1&enc=%26"))
        .parameters(&[("st&tus[ü]", "status")])
        .custom(&[("source", "post rider & co"), ("event", "{status}"), ("empty", "")])
        .save()
        .await;

    t.conversion(&click).send().await;
    t.deliver_all().await;

    let request = t.receiver.only_request("/p");
    let wanted = [
        ("own", "1"),
        ("enc", "&"),
        ("st&tus[ü]", "approved"),
        ("source", "post rider & co"),
        // "These values are fixed strings (not macros)."
        ("event", "{status}"),
        ("empty", ""),
    ];
    let got = request.parameters();
    let got: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(got, wanted, "{}", request.query);
}

/// Up to 20 custom pairs with keys and values of at most 100 characters.
async fn the_limits_of_the_guide_hold(db: Database) {
    let t = TestApp::start(db).await;
    let names: Vec<String> = (0..21).map(|n| format!("k{n}")).collect();
    let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    t.postback("/twenty").custom(&pairs[..20]).save().await;
    t.postback("/21").custom(&pairs).try_save().await.expect_problem(422, "invalid_config");

    // Characters, not bytes.
    let (hundred, more) = ("ü".repeat(100), "ü".repeat(101));
    t.postback("/hundred").custom(&[(&hundred, &hundred)]).save().await;
    t.postback("/p").custom(&[(&more, "v")]).try_save().await.expect_problem(422, "invalid_config");
    t.postback("/p").custom(&[("k", &more)]).try_save().await.expect_problem(422, "invalid_config");
    t.postback("/p").custom(&[("", "v")]).try_save().await.expect_problem(422, "invalid_config");

    for parameters in [vec![("x", "no_such_macro")], vec![("", "status")], vec![("x", "status"), ("x", "payout")]] {
        let answer = t.postback("/p").parameters(&parameters).try_save().await;
        let problem = answer.expect_problem(422, "invalid_config");
        let path = text(&problem["errors"][0], "path");
        assert!(path.contains("parameters"), "names the field: {problem}");
    }
    t.postback("/p").method("DELETE").try_save().await.expect_problem(422, "invalid_config");
    assert!(t.receiver.requests("/p").is_empty(), "nothing is sent for what could not be saved");
}
