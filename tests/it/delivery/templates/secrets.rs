//! The secrets of every template are sealed in the database and hidden in all answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::delivery::postback::Postback;
use domain::delivery::template::{Direction, Field, Template};
use domain::program::buyer_visibility::BuyerVisibility;
use domain::timestamp::Timestamp;
use engine::delivery::plan::Plan;
use engine::delivery::secrets::Vault;
use engine::delivery::sending::Logged;
use engine::delivery::{samples, templates, wire};
use postrider_tests::app::{START_MS, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;
use url::Url;

use super::cases::{self, Adapters};

on_both_databases!(
    a_secret_of_a_template_is_nowhere_in_plain_text,
    a_secret_of_a_tracker_reaches_it_and_no_log,
    a_pasted_key_becomes_a_secret,
);

/// A value for a secret field that can be searched for: the first one that the field accepts.
fn needle(field: &Field) -> String {
    let schema = json!({"type": "string", "pattern": field.pattern});
    let pattern = jsonschema::draft202012::new(&schema).expect("a regular expression");
    let candidates = [
        "needle4711needle",
        "4711/needleneedle",
        "NEEDLE47/NEEDLE11/NEEDLE",
        "whsec_bmVlZGxlNDcxMW5lZWRsZTQ3MTFuZWVkbGU0NzEx",
    ];
    let found = candidates.into_iter().find(|candidate| pattern.is_valid(&json!(candidate)));
    found.unwrap_or_else(|| panic!("{} takes no needle; add one that fits {}", field.name, field.pattern)).to_owned()
}

fn with_secrets() -> impl Iterator<Item = &'static Template> {
    templates::all().iter().filter(|template| template.fields.iter().any(|field| field.secret))
}

/// The values in a template's case, with needles for its secrets; and the needles.
fn answers(template: &Template) -> (BTreeMap<String, String>, Vec<String>) {
    let mut answers: BTreeMap<String, String> =
        serde_json::from_value(template.case["fields"].clone()).expect("a map of texts");
    let secrets: Vec<_> = template.fields.iter().filter(|field| field.secret).collect();
    let needles: Vec<_> = secrets.iter().map(|field| needle(field)).collect();
    answers.extend(secrets.iter().zip(&needles).map(|(field, needle)| (field.name.clone(), needle.clone())));
    (answers, needles)
}

fn assert_hidden(place: &str, shown: &str, needles: &[String]) {
    for needle in needles {
        let plain = shown.replace("%2F", "/");
        assert!(!plain.contains(needle.as_str()), "{place} has {needle}: {shown}");
    }
}

#[test]
fn every_outbound_secret_is_sealed_hidden_and_sent() {
    let (host, vault, now) = (Adapters::start(), Vault::new([7; 32]), Timestamp::from_millis(START_MS));
    for template in with_secrets().filter(|it| it.direction == Direction::Outbound) {
        let (id, (answers, needles)) = (&template.id, answers(template));
        let adapter = host.of(template);
        let mut postback = postback(template, &answers, now);
        let holder = postback.id.to_string();
        vault.seal_config(adapter.schema(), &mut postback.config, &holder);
        assert_hidden(&format!("{id}: the row"), &postback.config.to_string(), &needles);
        assert_hidden(
            &format!("{id}: the answer"),
            &vault.mask_config(&postback.config, &holder).to_string(),
            &needles,
        );

        let event = samples::event_for(&postback.rule, now);
        let mut plan = Plan::new(&vault, BuyerVisibility::All, Arc::new(postback), adapter.clone()).expect("it opens");
        let event = plan.event(&event);
        assert_hidden(&format!("{id}: what the adapter sees"), &plan.binding.config, &needles);
        let context = wire::context(now, 1, false, "dlv_1".to_owned());
        let request = adapter.session().render(&context, &plan.binding, &event).expect("it renders");
        let logged = Logged::of(&request, &plan);
        let log = format!("{} {:?} {:?}", logged.url, logged.headers, logged.body);
        assert_hidden(&format!("{id}: the log"), &log, &needles);
        assert!(request.sign_with.is_empty() == log.contains("***"), "{id}: something is hidden: {log}");

        // It is sent to the address that it was entered for, and to no other.
        let reveal = |plan: &Plan| plan.reveal(&request, "dlv_1", now);
        assert_eq!(reveal(&plan).expect_err("it was entered for no address").code(), "secret_host_refused", "{id}");
        let origin = Url::parse(&request.url).expect("a URL").origin().ascii_serialization();
        let bound = Postback { secret_origins: vec![origin], ..(*plan.postback).clone() };
        plan.postback = Arc::new(bound);
        let sent = reveal(&plan).unwrap_or_else(|error| panic!("{id}: {error}"));
        let body = sent.body.map(|(_, bytes)| String::from_utf8(bytes).expect("text")).unwrap_or_default();
        let all = format!("{} {:?} {body}", sent.url, sent.headers);
        for needle in needles.iter().filter(|_| request.sign_with.is_empty()) {
            assert!(all.contains(needle.as_str()), "{id}: {needle} is not in {all}");
        }
    }
}

fn postback(template: &Template, answers: &BTreeMap<String, String>, now: Timestamp) -> Postback {
    let (adapter, config) = templates::postback_of(&template.id, answers).expect("the answers fit");
    Postback { adapter, ..cases::postback(template, "0.1.0".to_owned(), config, now) }
}

/// Saved without test requests, which would be sent to the real networks.
async fn a_secret_of_a_template_is_nowhere_in_plain_text(db: Database) {
    let t = TestApp::start(db).await;
    let mut all = Vec::new();
    for template in with_secrets() {
        let (answers, needles) = answers(template);
        let mut body = json!({"name": template.id, "template": template.id, "fields": answers});
        let path = match template.direction {
            Direction::Outbound => "/api/v1/postbacks",
            Direction::Inbound => "/api/v1/sources",
        };
        if template.direction == Direction::Outbound {
            body["enabled"] = json!(false);
        }
        let saved = t.admin.post(path, &body).await.expect(201);
        let read = t.admin.get(&format!("{path}/{}", text(&saved, "id"))).await.expect(200);
        for shown in [saved, read] {
            assert_hidden(&template.id, &shown.to_string(), &needles);
        }
        all.extend(needles);
    }
    assert!(all.len() > 25, "there are templates with secrets");
    for path in ["/api/v1/postbacks", "/api/v1/sources"] {
        assert_hidden(path, &json!(t.admin.list(path).await).to_string(), &all);
    }
    all.sort_unstable();
    all.dedup();
    for needle in &all {
        for table in ["postbacks", "sources", "idempotency_keys"] {
            assert!(!t.database.contains(table, needle).await, "{table} has {needle}");
        }
    }
}

async fn a_secret_of_a_tracker_reaches_it_and_no_log(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let click = t.click_on(&link, "?click_id=tracker-1").await;
    let fields = json!({"tracking_domain": t.receiver.url(""), "postback_key": "needle4711"});
    let body = json!({"name": "Keitaro", "template": "keitaro", "fields": fields, "firing_status": "approved"});
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    let id = text(&saved, "id");
    assert_eq!(saved["config"]["base_url"], t.receiver.url("/{secret.postback_key}/postback"));
    assert_eq!(saved["config"]["secrets"], json!({"postback_key": "••••"}));
    t.receiver.forget("/needle4711/postback");
    t.conversion(&click).send().await;
    t.deliver_all().await;

    let received = t.receiver.only_request("/needle4711/postback");
    assert_eq!(received.parameter("subid"), "tracker-1");
    let delivery = t.only_delivery(&id).await;
    assert_eq!(delivery["status"], "success", "{delivery}");
    let logged = text(&delivery["attempts"][0], "url");
    assert!(logged.starts_with(&t.receiver.url("/***/postback?subid=tracker-1")), "{logged}");
    for table in ["postbacks", "deliveries", "attempts"] {
        assert!(!t.database.contains(table, "needle4711").await, "{table}");
    }
    let verified = t.admin.post(&format!("/api/v1/postbacks/{id}/test"), &json!({})).await.expect(200);
    assert_hidden("the test", &verified.to_string(), &["needle4711".to_owned()]);
}

async fn a_pasted_key_becomes_a_secret(db: Database) {
    let t = TestApp::start(db).await;
    let url = t.receiver.url("/pb?cid={clickid}&key=needle4711&event=sale#top");
    let parse = async |seal: bool| {
        let body = json!({"url": url, "seal_keys": seal});
        t.admin.post("/api/v1/postbacks/parse", &body).await.expect(200)
    };
    let fixed = |name: &str, value: &str| json!({"name": name, "value": value});
    assert_eq!(parse(false).await["custom"], json!([fixed("key", "needle4711"), fixed("event", "sale")]));
    let mut config = parse(true).await;
    assert_eq!(config["custom"], json!([fixed("event", "sale")]));
    assert_eq!(config["secrets"], json!({"key": "needle4711"}));
    let parameters = json!([{"name": "cid", "macro": "external_click_id"}, {"name": "key", "macro": "secret.key"}]);
    assert_eq!(config["parameters"], parameters);

    for field in ["unknown", "notes", "networks"] {
        config.as_object_mut().unwrap().remove(field);
    }
    t.postback("/pb").set("config", config).save().await;
    let click = t.click().await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/pb").parameter("key"), "needle4711");
    for table in ["postbacks", "attempts"] {
        assert!(!t.database.contains(table, "needle4711").await, "{table}");
    }
}
