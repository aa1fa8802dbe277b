//! The postback log, a delivery, retry jobs and `/why-not`, as a browser without scripts opens them; and the filters of the
//! API that they use.

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use serde_json::json;

use super::{hidden, submit};

on_both_databases!(
    deliveries_are_found_by_answer_click_and_what_was_not_sent,
    the_log_is_filtered_by_its_url_and_saved_as_a_view,
    new_deliveries_are_announced,
    all_that_match_are_retried_after_a_confirmation,
    a_delivery_says_what_happened,
    a_page_says_why_a_postback_did_not_fire,
);

/// A postback of the affiliate whose deliveries fail with these answers, one each, and one that is never sent.
async fn failed(t: &TestApp, click: &Click, answers: &[u16]) -> String {
    let owner = &click.link.affiliate;
    let name = json!("Voluum <b>");
    let postback = t.postback("/p").owned_by(owner).set("name", name).save().await;
    for (at, answer) in answers.iter().enumerate() {
        t.receiver.always("/p", Reply::status(*answer));
        t.conversion(click).transaction(&format!("T-{at}")).send().await;
        t.tick();
        t.deliver_all().await;
    }
    postback
}

async fn ids(client: &Client, query: &str) -> Vec<String> {
    client.list(&format!("/api/v1/deliveries?{query}")).await.iter().map(|it| text(it, "id")).collect()
}

async fn deliveries_are_found_by_answer_click_and_what_was_not_sent(db: Database) {
    let t = TestApp::start(db).await;
    let (click, other) = (t.click().await, t.click().await);
    failed(&t, &click, &[404, 410, 503, 200]).await;
    assert_eq!(ids(&t.admin, "http_status=5xx").await.len(), 1);
    let gone = t.postback("/gone").delay(1, "hours").save().await;
    let conversion = t.conversion(&other).transaction("T-late").send().await;
    t.deliver_all().await;
    t.reject(&conversion, "fraud").await.expect(200);
    t.advance(std::time::Duration::from_secs(7_200));
    t.deliver_all().await;
    assert_eq!(t.only_delivery(&gone).await["status"], "cancelled");
    for (query, expected) in [
        ("http_status=404", 1),
        ("http_status=4xx", 2),
        // The one that was answered 503 was accepted at its second attempt.
        ("http_status=5xx", 0),
        ("http_status=2xx", 2),
        ("http_status=none", 0),
        ("http_status=4xx&status=success", 0),
        ("not_sent=true", 1),
        ("not_sent=true&transaction_id=T-0", 0),
        ("not_sent=false", 5),
    ] {
        assert_eq!(ids(&t.admin, query).await.len(), expected, "{query}");
    }
    for (of, query, expected) in [(&click, "", 4), (&other, "", 1), (&click, "&http_status=404", 1)] {
        assert_eq!(ids(&t.admin, &format!("click_id={}{query}", of.id)).await.len(), expected, "{query}");
    }
    for wrong in ["http_status=6xx", "http_status=busy", "click_id=x"] {
        let answer = t.admin.get(&format!("/api/v1/deliveries?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
    }
    // A job retries what such a filter finds.
    let count = t.admin.post("/api/v1/retry-jobs/count", &json!({"http_status": "4xx"})).await.expect(200);
    assert_eq!(count["matching"], 2);
    let of_click = json!({"click_id": other.id, "not_sent": true, "status": "cancelled"});
    let count = t.admin.post("/api/v1/retry-jobs/count", &of_click).await.expect(200);
    assert_eq!(count["matching"], 1);
    let job = t.admin.post("/api/v1/retry-jobs", &json!({"filter": of_click, "expected": 1})).await.expect(201);
    assert_eq!((&job["filter"]["click_id"], &job["filter"]["not_sent"]), (&json!(other.id), &json!(true)));
}

async fn the_log_is_filtered_by_its_url_and_saved_as_a_view(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = t.person_of(&click.link.affiliate.id).await.client;
    assert!(client.get("/deliveries").await.text.contains("No delivery yet"));
    let postback = failed(&t, &click, &[404, 503]).await;
    let log = client.get("/deliveries").await.text;
    for shown in ["Voluum &lt;b&gt;", "T-0", "T-1", "<span class=\"codeno\" data-k=\"bad\">404</span>", "1 attempt"] {
        assert!(log.contains(shown), "{shown}: {log}");
    }
    let filtered = format!("/deliveries?postback_id={postback}&http_status=404");
    let page = client.get(&filtered).await.text;
    assert!(page.contains("T-0") && !page.contains("T-1"), "{page}");
    assert!(client.get("/deliveries?http_status=200").await.text.contains("No delivery matches"));
    assert_eq!(client.get("/deliveries?http_status=busy").await.status, 400);
    let file = submit(&client, "/deliveries/export", &[("http_status", "404")]).await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("text/csv; charset=utf-8")), "{}", file.text);
    assert!(file.text.starts_with("created_at (UTC),id,postback_id,") && file.text.contains(",T-0,"), "{}", file.text);
    assert!(!file.text.contains(",T-1,"), "{}", file.text);
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    assert!(stranger.get(&filtered).await.text.contains("No delivery matches"), "of its own postbacks only");

    let encoded: String = url::form_urlencoded::byte_serialize(filtered.as_bytes()).collect();
    assert!(page.contains("Save this view"), "{page}");
    let form = client.get(&format!("/saved-views?url={encoded}")).await.text;
    let url = hidden(&form, "url").replace("&amp;", "&");
    assert_eq!(url, filtered);
    let saved = submit(&client, "/saved-views", &[("name", "Not <found>"), ("url", &url)]).await;
    assert_eq!((saved.status, saved.header("location")), (303, Some(filtered.as_str())), "{}", saved.text);
    let page = client.get(&filtered).await.text;
    assert!(page.contains("Not &lt;found&gt;") && !page.contains("Save this view"), "{page}");
    let again = submit(&client, "/saved-views", &[("name", "Not <found>"), ("url", &url)]).await;
    assert_eq!(again.status, 409);
    assert!(again.text.contains("id=\"name-error\"") && again.text.contains("Not &lt;found&gt;"), "{}", again.text);
    let id = text(&client.list("/api/v1/saved-views").await[0], "id");
    let renamed = submit(&client, &format!("/saved-views/{id}"), &[("name", "Gone")]).await;
    assert_eq!(renamed.header("location"), Some("/saved-views"), "{}", renamed.text);
    assert!(client.get("/deliveries").await.text.contains("Gone"));
    assert_eq!(submit(&client, &format!("/saved-views/{id}/delete"), &[]).await.status, 303);
    assert!(!client.get("/deliveries").await.text.contains("Gone"));
}

async fn new_deliveries_are_announced(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = t.person_of(&click.link.affiliate.id).await.client;
    failed(&t, &click, &[200]).await;
    let first = ids(&click.link.affiliate.client, "").await.remove(0);
    let ask = format!("/deliveries?status=success&after={first}");
    assert_eq!(client.get(&ask).await.status, 204);
    for at in 0..2 {
        t.conversion(&click).transaction(&format!("N-{at}")).send().await;
        t.tick();
    }
    t.deliver_all().await;
    let news = client.get(&ask).await;
    assert_eq!(news.status, 200);
    assert!(
        news.text.contains("Show 2 new") && news.text.contains("href=\"/deliveries?status&#x3D;success\""),
        "{}",
        news.text
    );
    assert!(!news.text.contains("N-0"), "rows come when they are asked for: {}", news.text);
    assert_eq!(client.get(&format!("/deliveries?status=failed&after={first}")).await.status, 204);
}

async fn all_that_match_are_retried_after_a_confirmation(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = t.person_of(&click.link.affiliate.id).await.client;
    let postback = failed(&t, &click, &[404, 404, 410]).await;
    let log = client.get("/deliveries?http_status=404").await.text;
    assert!(log.contains("/retry-jobs/new?http_status&#x3D;404&amp;status&#x3D;failed"), "{log}");
    assert!(!client.get("/deliveries?status=success").await.text.contains("/retry-jobs/new"));
    let confirm = client.get("/retry-jobs/new?http_status=404&status=failed").await.text;
    assert!(confirm.contains("Retry 2 deliveries that failed?"), "{confirm}");
    let (counted_at, expected) = (hidden(&confirm, "counted_at"), hidden(&confirm, "expected"));
    let fields = |expected| {
        [("http_status", "404"), ("status", "failed"), ("counted_at", counted_at.as_str()), ("expected", expected)]
    };
    // More match than were confirmed.
    let refused = submit(&client, "/retry-jobs", &fields("1")).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("role=\"alert\"") && refused.text.contains("Retry 2 deliveries"), "{}", refused.text);
    t.receiver.always("/p", Reply::status(200));
    let created = submit(&client, "/retry-jobs", &fields(&expected)).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let job = created.header("location").expect("the job").to_owned();
    eventually("the job to end", async || {
        let page = client.get(&job).await.text;
        page.contains("Done: 2 of 2 retried").then_some(())
    })
    .await;
    let ended = client.get(&format!("{job}?while=running")).await;
    assert_eq!(ended.header("hx-refresh"), Some("true"), "the page learns that the job ended");
    t.deliver_all().await;
    let accepted = t.deliveries(&postback).await.iter().filter(|it| it["status"] == "success").count();
    assert_eq!(accepted, 2);
    assert!(client.get("/retry-jobs").await.text.contains(&job));
    let refused = submit(&client, &format!("{job}/cancel"), &[]).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(client.get("/retry-jobs/new?http_status=404").await.text.contains("Nothing to retry"));
    assert_eq!(client.get("/retry-jobs/new?status=success").await.status, 400);
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    assert_eq!(stranger.get(&job).await.status, 404);
    assert_eq!(t.person("finance").await.client.get("/retry-jobs/new").await.status, 403);
    let record = &t.admin.list("/api/v1/audit?operation=create_retry_job").await[0];
    assert_eq!(record["object"], job.trim_start_matches("/retry-jobs/"), "{record}");
}

async fn a_delivery_says_what_happened(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = t.person_of(&click.link.affiliate.id).await.client;
    let postback = failed(&t, &click, &[404]).await;
    let delivery = t.only_delivery(&postback).await;
    let path = format!("/deliveries/{}", text(&delivery, "id"));
    let page = client.get(&path).await.text;
    for shown in [
        "Voluum &lt;b&gt; did not accept the only attempt",
        "data-k=\"bad\">404</span>",
        "curl",
        "The postback is enabled",
        "Retry now",
        "/why-not?postback_id=",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    t.receiver.always("/p", Reply::status(200));
    let retried = submit(&client, &format!("{path}/retry"), &[]).await;
    assert_eq!(retried.header("location"), Some(path.as_str()), "{}", retried.text);
    t.deliver_all().await;
    let page = client.get(&path).await.text;
    assert!(page.contains("accepted it after 2 attempts") && !page.contains("Retry now"), "{page}");
    assert!(
        client.get(&format!("{path}?attempt=1")).await.text.contains("aria-current=\"page\" hx-get=\"/deliveries/")
    );
    let news = client.get(&format!("{path}?seen=1")).await;
    assert_eq!(news.header("hx-refresh"), Some("true"));
    let refused = submit(&client, &format!("{path}/retry"), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("role=\"alert\""), "{}", refused.text);
    let record = &t.admin.list("/api/v1/audit?operation=retry_delivery").await[1];
    let change = json!({"field": "status", "from": "failed", "to": "pending"});
    assert!(record["changes"].as_array().expect("changes").contains(&change), "{record}");
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    assert_eq!(stranger.get(&path).await.status, 404);
}

async fn a_page_says_why_a_postback_did_not_fire(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let owner = &click.link.affiliate;
    let client = t.person_of(&owner.id).await.client;
    let postback = t.postback("/p").owned_by(owner).firing("approved").set("name", json!("Voluum")).save().await;
    let other = t.postback("/q").owned_by(owner).firing("any").set("name", json!("Keitaro")).save().await;
    let conversion = t.conversion(&click).transaction("T-1").status("pending").send().await;
    t.deliver_all().await;
    let empty = client.get("/why-not").await;
    assert!(empty.status == 200 && empty.text.contains("Choose a postback"), "{}", empty.text);
    for subject in [format!("conversion_id={conversion}"), "subject=T-1".into(), format!("subject={conversion}")] {
        let page = client.get(&format!("/why-not?postback_id={postback}&{subject}")).await.text;
        for shown in ["It did not fire", "Status of the conversion", "To make it fire", "Keitaro", "Success"] {
            assert!(page.contains(shown), "{subject} {shown}: {page}");
        }
    }
    let fired = client.get(&format!("/why-not?postback_id={other}&conversion_id={conversion}")).await.text;
    assert!(fired.contains("Open the delivery"), "{fired}");
    let of_click = client.get(&format!("/why-not?postback_id={postback}&click_id={}", click.id)).await.text;
    assert!(of_click.contains("Kind of event"), "{of_click}");
    let unknown = client.get(&format!("/why-not?postback_id={postback}&subject=nothing")).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains("id=\"subject-error\"") && unknown.text.contains("nothing"), "{}", unknown.text);
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    assert_eq!(stranger.get(&format!("/why-not?postback_id={postback}&conversion_id={conversion}")).await.status, 404);
    let page = client.get(&format!("/conversions/{conversion}")).await.text;
    assert!(page.contains(&format!("/why-not?conversion_id={conversion}")), "{page}");
}
