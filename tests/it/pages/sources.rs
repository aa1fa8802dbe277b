//! `/sources` and `/inbound-requests`.

use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

use super::{hidden, submit};

on_both_databases!(
    an_affiliate_sees_whether_anything_arrives,
    a_source_is_created_from_a_template,
    an_address_of_the_program_is_shown_once,
    unknown_words_get_meanings_and_what_waits_is_processed,
    all_requests_with_the_filters_of_the_log_are_replayed,
    settings_have_errors_at_their_fields,
    a_form_sets_the_meaning_of_notifications_and_who_may_send,
);

/// The path and the id of the first source of an affiliate.
async fn first_source(client: &Client) -> (String, String) {
    let source = client.list("/api/v1/sources").await.remove(0);
    (url::Url::parse(&text(&source, "url")).unwrap().path().to_owned(), text(&source, "id"))
}

async fn person(t: &TestApp, click: &Click) -> Client {
    t.person_of(&click.link.affiliate.id).await.client
}

async fn shows(client: &Client, path: &str, wanted: &[&str]) -> String {
    let page = client.get(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text);
    for wanted in wanted {
        assert!(page.text.contains(wanted), "{path} lacks {wanted}: {}", page.text);
    }
    page.text
}

async fn an_affiliate_sees_whether_anything_arrives(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = person(&t, &click).await;
    let (path, id) = first_source(&client).await;
    let page = format!("/sources/{id}");
    shows(&client, "/sources", &["AffRank", "Nothing yet", &page]).await;
    let places =
        ["Nothing has arrived yet.", "Set it up", "ShareASale: Account", "affrank_sid with the click id", &path];
    shows(&client, &page, &places).await;

    let wrong = t.anonymous().get(&format!("{path}?sessionId=nobody-knows-this&amount=4.75")).await;
    assert_eq!(wrong.status, 422);
    let refused =
        ["Requests arrive, but the last one was not accepted", "carried it as affrank_sid", "had no click id"];
    shows(&client, &page, &refused).await;
    t.tick();
    assert_eq!(t.anonymous().get(&format!("{path}?sessionId={}&amount=4.75", click.id)).await.status, 200);
    shows(&client, &page, &["Yes: the last request arrived", "2 requests in the last 14 days"]).await;
    shows(&client, "/sources", &["Arriving"]).await;

    let log = shows(&client, &format!("/inbound-requests?source_id={id}&outcome=accepted"), &["Accepted"]).await;
    let request = log.split("href=\"/inbound-requests/inr_").nth(1).unwrap().split('"').next().unwrap();
    let read = ["Accepted: it created", "Click id or session", &click.id, "4.75", "See the conversion", "GET /in/****"];
    shows(&client, &format!("/inbound-requests/inr_{request}"), &read).await;
    // Nobody else sees it.
    let other = t.person_of(&t.affiliate().await.id).await.client;
    for path in [&page, &format!("{page}/settings"), &format!("/inbound-requests/inr_{request}")] {
        assert_eq!(other.get(path).await.status, 404, "{path}");
    }
    assert!(!other.get("/inbound-requests").await.text.contains(request));

    // The session has ended by then.
    t.advance(Duration::from_secs(4 * 24 * 3_600));
    let client = person(&t, &click).await;
    shows(&client, &page, &["No: nothing has arrived for 4\u{a0}days", "The last accepted request arrived"]).await;
    shows(&client, "/sources", &["Silent"]).await;
}

async fn a_source_is_created_from_a_template(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    shows(&client, "/sources/new", &["Which network?", "MyLead"]).await;
    shows(&client, "/sources/new?template=maxppi", &["name=\"security_token\"", "name=\"name\""]).await;

    let short = [("template", "maxppi"), ("name", "My MaxPPI"), ("security_token", "1234567")];
    let refused = submit(&client, "/sources", &short).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for kept in ["id=\"security_token-error\"", "My MaxPPI"] {
        assert!(refused.text.contains(kept), "{kept}: {}", refused.text);
    }
    assert!(!refused.text.contains("1234567"), "a secret is not shown again");
    let fields = [("template", "maxppi"), ("name", "My MaxPPI"), ("security_token", "12345678")];
    let created = submit(&client, "/sources", &fields).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let to = created.header("location").unwrap();
    shows(&client, to, &["The source is created.", "Source My MaxPPI", "/in/", "secret token"]).await;
    let sources = client.list("/api/v1/sources").await;
    let made = sources.iter().find(|it| it["template"] == "maxppi").expect("it is listed");
    assert_eq!(sources.len(), 2);
    let record = t.admin.list("/api/v1/audit?operation=create_source").await.remove(0);
    assert!(!record.to_string().contains("12345678"), "{record:#}");
    assert_eq!(record["object"], made["id"], "{record:#}");
}

async fn an_address_of_the_program_is_shown_once(db: Database) {
    let t = TestApp::start(db).await;
    let owner = t.person("owner").await.client;
    let created = submit(&owner, "/sources", &[("template", "mylead"), ("name", "MyLead")]).await;
    assert!(created.text.contains("shown only this once"), "{}", created.text);
    let source = t.admin.list("/api/v1/sources").await.into_iter().find(|it| it["name"] == "MyLead").unwrap();
    let page = format!("/sources/{}", text(&source, "id"));
    let key = |page: &str| page.split("/in/").nth(1).unwrap().split(['?', '"', '&', '\'']).next().unwrap().to_owned();
    let first = key(&created.text);
    assert_eq!(first.len(), 32, "{first}");
    let record = t.admin.list("/api/v1/audit?operation=create_source").await.remove(0);
    assert_eq!(record["object"], source["id"], "{record:#}");
    let shown = shows(&owner, &page, &["The secret part of the address is masked."]).await;
    assert!(!shown.contains(&first));

    let rotated = submit(&owner, &format!("{page}/rotate-key"), &[]).await;
    let second = key(&rotated.text);
    assert!(second != first && rotated.text.contains("shown only this once"), "{}", rotated.text);
    assert_eq!(t.anonymous().get(&format!("/in/{first}")).await.status, 404);
    assert_eq!(t.anonymous().get(&format!("/in/{second}")).await.status, 200);
    let record = t.admin.list("/api/v1/audit?operation=rotate_source_key").await.remove(0);
    assert_eq!(record["changes"][0]["field"], "url", "{record:#}");
    assert_eq!(submit(&owner, &format!("{page}/archive"), &[]).await.status, 303);
    assert_eq!(owner.get(&page).await.status, 404);
}

async fn unknown_words_get_meanings_and_what_waits_is_processed(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = person(&t, &click).await;
    let (path, id) = first_source(&client).await;
    for (tid, word) in [("1", "pre_paid"), ("2", "silver")] {
        let query = format!("sessionId={}&amount=2&transaction_id={tid}&status={word}", click.id);
        assert_eq!(t.anonymous().get(&format!("{path}?{query}")).await.status, 200);
        t.tick();
    }
    let page = format!("/sources/{id}");
    shows(&client, &page, &["Words without a meaning", "2 notifications wait", "Meaning of silver"]).await;

    let wrong = [("word", "silver"), ("meaning", "paid"), ("reason", "")];
    assert_eq!(submit(&client, &format!("{page}/words"), &wrong).await.status, 422);
    let words = [
        ("word", "pre_paid"),
        ("meaning", "approved"),
        ("reason", ""),
        ("word", "silver"),
        ("meaning", "rejected"),
        ("reason", "fraud"),
    ];
    let saved = submit(&client, &format!("{page}/words"), &words).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    t.deliver_all().await;
    let after = shows(&client, saved.header("location").unwrap(), &["The meanings are saved."]).await;
    assert!(!after.contains("Words without a meaning") && after.contains("value=\"fraud\""), "{after}");
    let conversions = t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await;
    let statuses: Vec<_> =
        conversions.iter().map(|it| (it["status"].clone(), it["rejection_reason"].clone())).collect();
    assert!(statuses.contains(&(json!("approved"), Value::Null)), "{statuses:?}");
    assert!(statuses.contains(&(json!("rejected"), json!("fraud"))), "{statuses:?}");
}

async fn all_requests_with_the_filters_of_the_log_are_replayed(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = person(&t, &click).await;
    let (path, id) = first_source(&client).await;
    for amount in ["1,50", "2,50"] {
        t.anonymous().get(&format!("{path}?sessionId={}&amount={amount}", click.id)).await;
        t.tick();
    }
    let filters = format!("source_id={id}&reason_code=invalid_amount");
    let log = shows(&client, &format!("/inbound-requests?{filters}"), &["Replay all that match"]).await;
    assert!(log.contains("/inbound-requests/replay?source_id"), "{log}");
    let confirm =
        shows(&client, &format!("/inbound-requests/replay?{filters}"), &["2 requests match.", "Replay 2"]).await;
    assert_eq!((hidden(&confirm, "expected"), hidden(&confirm, "source_id")), ("2".to_owned(), id.clone()));

    let settings = format!("/sources/{id}/settings");
    let saved = submit(&client, &settings, &settings_of("AffRank", ",")).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let until = hidden(&confirm, "until");
    let fields =
        [("source_id", id.as_str()), ("reason_code", "invalid_amount"), ("until", until.as_str()), ("expected", "2")];
    let replayed = submit(&client, "/inbound-requests/replay", &fields).await;
    assert_eq!(replayed.status, 303, "{}", replayed.text);
    shows(&client, replayed.header("location").unwrap(), &["The requests are processed again."]).await;
    t.deliver_all().await;
    assert_eq!(t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await.len(), 2);
    let again = submit(&client, "/inbound-requests/replay", &fields).await;
    assert_eq!(again.status, 422, "{}", again.text);
    assert!(again.text.contains("nothing to replay"), "{}", again.text);

    // One by one.
    t.anonymous().get(&format!("{path}?sessionId=unknown-session&amount=1")).await;
    let request = client.list("/api/v1/inbound-requests?outcome=refused").await.remove(0);
    let request = format!("/inbound-requests/{}", text(&request, "id"));
    let replayed = submit(&client, &format!("{request}/replay"), &[]).await;
    assert_eq!(replayed.header("location"), Some(format!("{request}?done=replayed").as_str()), "{}", replayed.text);
    shows(&client, &request, &["Refused: no conversion was made of it.", "carried it as affrank_sid"]).await;
}

fn settings_of<'a>(name: &'a str, decimal: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("enabled", "yes"),
        ("append", "yes"),
        ("parameter", "affrank_sid"),
        ("commission_is", "payout"),
        ("unit", "major"),
        ("decimal", decimal),
        ("currency", ""),
        ("time_zone", "UTC"),
        ("networks", ""),
    ]
}

async fn a_form_sets_the_meaning_of_notifications_and_who_may_send(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = person(&t, &click).await;
    let (_, id) = first_source(&client).await;
    let path = format!("/sources/{id}/settings");
    let with = |more: &[(&'static str, &'static str)]| [settings_of("AffRank", "."), more.to_vec()].concat();
    let saved = submit(
        &client,
        &path,
        &with(&[
            ("repeated_transaction_id", "new_payment"),
            ("transaction_id_parameters", "order, item"),
            ("date_order", "day_first"),
            ("reply_status", ""),
            ("reply_body", "1"),
            ("token_parameter", "key"),
            ("token_value", "open-sesame"),
            ("signature", "hash"),
            ("signature_in", "parameter"),
            ("signature_name", "sig"),
            ("signature_secret", "s3cret-word"),
            ("signature_algorithm", "md5"),
            ("signature_text", "{sessionId}{secret}"),
        ]),
    )
    .await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let stored = async || client.get(&format!("/api/v1/sources/{id}")).await.expect(200)["settings"].clone();
    let first = stored().await;
    assert_eq!(first["repeated_transaction_id"], "new_payment");
    assert_eq!(first["transaction_id_parameters"], json!(["order", "item"]));
    assert_eq!((&first["date_order"], &first["reply"]), (&json!("day_first"), &json!({"status": 200, "body": "1"})));
    let hash = json!({"parameter": "sig", "secret": "••••••••", "algorithm": "md5", "text": "{sessionId}{secret}"});
    assert_eq!(first["guards"]["hash"], hash);
    let page = shows(&client, &path, &["Who may send", "value=\"sig\"", "{sessionId}{secret}"]).await;
    assert!(!page.contains("s3cret-word") && !page.contains("open-sesame") && !page.contains("••••"), "{page}");

    // What the form leaves out stays, also the secrets.
    assert_eq!(submit(&client, &path, &with(&[("token_parameter", "key"), ("token_value", "")])).await.status, 303);
    assert_eq!(stored().await, first);

    let wrong = [
        ("signature", "hash"),
        ("signature_in", "parameter"),
        ("signature_name", "sig"),
        ("signature_algorithm", "md5"),
        ("signature_text", "{sessionId}"),
        ("reply_status", "500"),
        ("reply_body", ""),
    ];
    let refused = submit(&client, &path, &with(&wrong)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for shown in ["id=\"signature_text-error\"", "id=\"reply_status-error\""] {
        assert!(refused.text.contains(shown), "{shown}: {}", refused.text);
    }
}

async fn settings_have_errors_at_their_fields(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let client = person(&t, &click).await;
    let (_, id) = first_source(&client).await;
    let path = format!("/sources/{id}/settings");
    shows(&client, &path, &["Add the session to landing page URLs", "value=\"affrank_sid\""]).await;

    let mut wrong = settings_of("My AffRank", ".");
    wrong.retain(|(name, _)| !["currency", "networks", "parameter"].contains(name));
    let wrong_values = [("currency", "dollars"), ("networks", "10.0.0"), ("parameter", "affrank_sid")];
    let refused = submit(&client, &path, &[wrong, wrong_values.into()].concat()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for shown in ["id=\"currency-error\"", "id=\"networks-error\"", "value=\"10.0.0\"", "My AffRank"] {
        assert!(refused.text.contains(shown), "{shown}: {}", refused.text);
    }
    // Without the mark, nothing is appended any more.
    let mut off = settings_of("My AffRank", ".");
    off.retain(|(name, _)| *name != "append");
    assert_eq!(submit(&client, &path, &off).await.status, 303);
    let source = client.get(&format!("/api/v1/sources/{id}")).await.expect(200);
    assert_eq!((&source["decorates_clicks"], &source["name"]), (&json!(false), &json!("My AffRank")));
    assert_eq!(source["config"]["append"], false);
    let landing = t.anonymous().get(&click.link.path).await.header("location").unwrap().to_owned();
    assert!(!landing.contains("affrank_sid"), "{landing}");
}
