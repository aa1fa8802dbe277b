//! Explanations: why an event was sent to a postback, or why not. They must say what the pipeline did.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use postrider_tests::app::{Click, Link, NewPostback, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::program;
use postrider_tests::receiver::Reply;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

on_both_databases!(
    explanations_say_what_the_pipeline_did,
    the_configuration_of_that_time_is_explained,
    a_configuration_that_is_not_stored_is_said_to_be_unknown,
    a_click_without_an_event_is_explained,
    a_delivery_that_waits_fails_or_is_cancelled_is_explained,
    an_affiliate_asks_about_its_own_postbacks_and_events,
    secrets_and_buyers_are_masked_in_explanations,
    the_command_shows_an_explanation,
);

async fn explain(client: &Client, postback: &str, subject: &str) -> Vec<Value> {
    let found = client.get(&format!("/api/v1/postbacks/{postback}/explanations?{subject}")).await.expect(200);
    found["items"].as_array().expect("a list").clone()
}

async fn explain_event(t: &TestApp, postback: &str, event: &str) -> Value {
    let mut items = explain(&t.admin, postback, &format!("event_id={event}")).await;
    assert_eq!(items.len(), 1, "{items:#?}");
    items.remove(0)
}

/// The checks with this result.
fn names(explanation: &Value, result: &str) -> Vec<String> {
    let checks = explanation["checks"].as_array().expect("checks");
    checks.iter().filter(|it| it["result"] == result).map(|it| text(it, "name")).collect()
}

/// Random rules of four adapters and random events, with postbacks that are created and changed in between.
async fn explanations_say_what_the_pipeline_did(db: Database) {
    let t = TestApp::start(db).await;
    let mut random = StdRng::seed_from_u64(12);
    let affiliates = [t.affiliate().await, t.affiliate().await];
    let offers = [t.offer().await, t.offer().await];
    let mut links = Vec::new();
    for affiliate in &affiliates {
        for offer in &offers {
            links.push(t.link(affiliate, offer).await);
        }
    }
    let paths: Vec<_> = (0..24).map(|n| format!("/p{n}")).collect();
    let mut postbacks: Vec<String> = Vec::new();
    let mut traffic = Traffic { t: &t, links: &links, clicks: Vec::new(), conversions: Vec::new() };
    for (n, path) in paths.iter().enumerate() {
        // A third of them is created between the events.
        if n >= 16 {
            for _ in 0..3 {
                traffic.step(&mut random).await;
            }
            t.deliver_all().await;
            change(&t, postbacks.choose(&mut random).expect("there are some"), &mut random).await;
        }
        postbacks.push(random_postback(&t, path, &links, &mut random).save().await);
        t.tick();
    }
    for _ in 0..30 {
        traffic.step(&mut random).await;
    }
    t.deliver_all().await;
    for _ in 0..4 {
        change(&t, postbacks.choose(&mut random).expect("there are some"), &mut random).await;
    }

    let events = t.admin.list("/api/v1/events").await;
    let mut deliveries = BTreeMap::new();
    for delivery in t.admin.list("/api/v1/deliveries").await {
        deliveries.insert((text(&delivery, "event_id"), text(&delivery, "postback_id")), delivery);
    }
    let mut failed = BTreeSet::new();
    for postback in &postbacks {
        for event in &events {
            let event = text(event, "id");
            let explanation = explain_event(&t, postback, &event).await;
            let delivery = deliveries.get(&(event, postback.clone()));
            let by_adapter = ["value_missing", "adapter_skipped"];
            let fired = delivery.is_some_and(|it| !by_adapter.iter().any(|code| it["reason_code"] == *code));
            assert_eq!(explanation["fires"], fired, "{explanation:#}\n{delivery:#?}");
            let outcome = delivery.map_or(json!("not_fired"), |it| it["status"].clone());
            assert_eq!(explanation["outcome"], outcome, "{explanation:#}");
            assert_eq!(explanation["delivery_id"], delivery.map_or(Value::Null, |it| it["id"].clone()));
            assert_ne!(explanation["configuration"], "changed_since", "{explanation:#}");
            failed.extend(names(&explanation, "failed"));
        }
    }
    // The random choices cover every check.
    for name in ["enabled", "affiliate", "offer", "action", "status", "rejection_reason", "adapter", "required_value"] {
        assert!(failed.contains(name), "no {name} among {failed:?}");
    }
}

/// A postback with a random rule, of one of three adapters.
fn random_postback<'a>(t: &'a TestApp, path: &'a str, links: &[Link], random: &mut StdRng) -> NewPostback<'a> {
    let link = links.choose(random).expect("there are links");
    let affiliate = random.random_bool(0.3).then_some(&link.affiliate);
    let offer = random.random_bool(0.3).then_some(link.offer.as_str());
    let mut postback = t.postback(path).scope(affiliate, offer);
    match random.random_range(0..4) {
        0 => {
            let trigger = *["any", "pending", "accepted", "available", "rejected"].choose(random).expect("a word");
            let url = format!("{}?t=[transaction_id]", t.receiver.url(path));
            let action = *["conversion", "event"].choose(random).expect("a word");
            postback.body["adapter"] = json!("mylead");
            postback.body["config"] = json!({"url": url, "trigger": trigger});
            postback = postback.action(action).firing("any");
        }
        1 => {
            postback.body["adapter"] = json!("integr8");
            postback.body["config"] = json!({"url": t.receiver.url(path)});
            postback = random_rule(postback, random);
        }
        2 => {
            postback.body["config"]["parameters"] = json!([{"name": "sub", "macro": "sub1", "required": true}]);
            postback = random_rule(postback, random);
        }
        _ => postback = random_rule(postback, random),
    }
    if random.random_bool(0.1) { postback.disabled() } else { postback }
}

fn random_rule<'a>(postback: NewPostback<'a>, random: &mut StdRng) -> NewPostback<'a> {
    let action = *["conversion", "conversion", "conversion", "click", "event"].choose(random).expect("a word");
    let firing = *["any", "pending", "approved", "rejected"].choose(random).expect("a word");
    let mut postback = postback.action(action).firing(firing);
    if firing == "rejected" && random.random_bool(0.5) {
        postback = postback.reasons(&["fraud"]);
    }
    if random.random_bool(0.3) { postback.delay(2, "minutes") } else { postback }
}

/// Changes a postback in a way that every adapter accepts.
async fn change(t: &TestApp, postback: &str, random: &mut StdRng) {
    t.tick();
    let change = match random.random_range(0..3) {
        0 => json!({"enabled": random.random_bool(0.5)}),
        1 => json!({"scope": {"affiliate_id": null, "offer_id": null}}),
        _ => json!({"delay": {"value": 3, "unit": "minutes"}}),
    };
    t.admin.patch(&format!("/api/v1/postbacks/{postback}"), &change).await.expect(200);
    t.tick();
}

/// Random clicks, conversions and events.
struct Traffic<'a> {
    t: &'a TestApp,
    links: &'a [Link],
    clicks: Vec<Click>,
    conversions: Vec<String>,
}

impl Traffic<'_> {
    async fn step(&mut self, random: &mut StdRng) {
        let t = self.t;
        t.tick();
        match random.random_range(0..6) {
            0 | 1 if !self.clicks.is_empty() => {
                let click = self.clicks.choose(random).expect("there are some");
                let report = t.conversion(click);
                let report = match random.random_range(0..4) {
                    0 => report.status("pending"),
                    1 => report.status("approved"),
                    2 => report.rejected("fraud"),
                    _ => report.rejected("refund"),
                };
                self.conversions.push(report.send().await);
            }
            // A status that cannot be left any more changes nothing.
            2 if !self.conversions.is_empty() => {
                let conversion = self.conversions.choose(random).expect("there are some").clone();
                let answer = match random.random_bool(0.5) {
                    true => t.approve(&conversion).await,
                    false => t.reject(&conversion, "fraud").await,
                };
                assert!(answer.status < 500, "{}", answer.text);
            }
            3 if !self.conversions.is_empty() => {
                let conversion = self.conversions.choose(random).expect("there are some");
                let name = *["available_to_pay", "renewal"].choose(random).expect("a name");
                t.admin.post("/api/v1/events", &json!({"conversion_id": conversion, "name": name})).await.expect(201);
            }
            _ => {
                let link = self.links.choose(random).expect("there are links");
                let query = if random.random_bool(0.5) { "?sub1=a" } else { "" };
                self.clicks.push(t.click_on(link, query).await);
            }
        }
    }
}

async fn the_configuration_of_that_time_is_explained(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").firing("rejected").save().await;
    let path = format!("/api/v1/postbacks/{postback}");
    t.tick();
    let first = t.conversion(&click).send().await;
    t.deliver_all().await;
    t.tick();
    t.admin.patch(&path, &json!({"firing_status": "approved"})).await.expect(200);
    t.tick();
    let second = t.conversion(&click).send().await;
    t.deliver_all().await;
    t.tick();
    t.admin.delete(&path).await.expect(204);
    t.tick();
    let third = t.conversion(&click).send().await;
    t.deliver_all().await;

    let mut answers = Vec::new();
    for conversion in [&first, &second, &third] {
        let items = explain(&t.admin, &postback, &format!("conversion_id={conversion}")).await;
        assert_eq!(items.len(), 1, "{items:#?}");
        assert_eq!(items[0]["configuration"], "known", "{items:#?}");
        answers.push((text(&items[0], "summary"), names(&items[0], "failed"), items[0]["changes"].clone()));
    }
    let change = "set firing_status to approved or any, or wait until the conversion is rejected";
    assert_eq!(
        answers,
        [
            (
                "It did not fire: fires on rejected, the conversion is approved.".to_owned(),
                vec!["status".to_owned()],
                json!([change])
            ),
            ("It fired, and the destination accepted the request.".to_owned(), vec![], json!([])),
            (
                "It did not fire: the postback was deleted.".to_owned(),
                vec!["enabled".to_owned()],
                json!(["create the postback again"])
            ),
        ]
    );

    // A postback that did not exist yet.
    t.tick();
    let later = t.postback("/later").save().await;
    let items = explain(&t.admin, &later, &format!("conversion_id={second}")).await;
    assert_eq!((&items[0]["configuration"], &items[0]["fires"]), (&json!("not_created"), &json!(false)));
}

/// Earlier releases stored no former configurations.
async fn a_configuration_that_is_not_stored_is_said_to_be_unknown(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").firing("rejected").save().await;
    t.tick();
    let conversion = t.conversion(&click).send().await;
    t.deliver_all().await;
    t.tick();
    let change = json!({"firing_status": "approved"});
    t.admin.patch(&format!("/api/v1/postbacks/{postback}"), &change).await.expect(200);
    t.database.execute("DELETE FROM postback_versions").await;

    let items = explain(&t.admin, &postback, &format!("conversion_id={conversion}")).await;
    assert_eq!(items[0]["configuration"], "changed_since");
    assert_eq!((&items[0]["fires"], &items[0]["outcome"]), (&json!(true), &json!("not_fired")));
    assert!(text(&items[0], "summary").contains("its former configuration is not stored"), "{items:#?}");
}

async fn a_click_without_an_event_is_explained(db: Database) {
    let t = TestApp::start(db).await;
    let postback = t.postback("/p").action("conversion").save().await;
    t.tick();
    let click = t.click().await;
    let items = explain(&t.admin, &postback, &format!("click_id={}", click.id)).await;
    assert_eq!(items.len(), 1, "{items:#?}");
    assert_eq!(items[0]["event_id"], Value::Null);
    assert_eq!(text(&items[0], "summary"), "It did not fire: fires on conversion, this is click.");
    assert_eq!(names(&items[0], "failed"), ["action"]);

    let clicks = t.postback("/clicks").action("click").firing("any").save().await;
    t.tick();
    let click = t.click().await;
    t.deliver_all().await;
    let items = explain(&t.admin, &clicks, &format!("click_id={}", click.id)).await;
    assert!(items[0]["event_id"].is_string(), "{items:#?}");
    assert_eq!((&items[0]["outcome"], &items[0]["fires"]), (&json!("success"), &json!(true)));
}

async fn a_delivery_that_waits_fails_or_is_cancelled_is_explained(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let waits = t.postback("/waits").delay(2, "minutes").save().await;
    let fails = t.postback("/fails").save().await;
    t.receiver.always("/fails", Reply::status(404));
    t.tick();
    let conversion = t.conversion(&click).send().await;
    t.deliver_all().await;
    let of = async |postback: &str| explain(&t.admin, postback, &format!("conversion_id={conversion}")).await.remove(0);

    let waiting = of(&waits).await;
    assert_eq!((&waiting["outcome"], &waiting["fires"]), (&json!("pending"), &json!(true)));
    assert!(names(&waiting, "not_reached").contains(&"delay".to_owned()), "{waiting:#}");
    let failed = of(&fails).await;
    assert_eq!(failed["outcome"], "failed");
    assert!(text(&failed, "summary").contains("404"), "{failed:#}");
    let delivery = text(&failed, "delivery_id");
    assert_eq!(failed["changes"], json!([format!("correct the cause, then retry the delivery {delivery}")]));

    t.tick();
    t.reject(&conversion, "fraud").await.expect(200);
    t.advance(Duration::from_secs(120));
    t.deliver_all().await;
    let items = explain(&t.admin, &waits, &format!("conversion_id={conversion}")).await;
    let outcomes: Vec<_> = items.iter().map(|it| text(it, "outcome")).collect();
    assert_eq!(outcomes, ["not_fired", "cancelled"], "the newest first: {items:#?}");
    assert!(text(&items[1], "summary").contains("rejected during delay"), "{items:#?}");
}

async fn an_affiliate_asks_about_its_own_postbacks_and_events(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    let own = t.postback("/own").owned_by(me).save().await;
    let others = t.postback("/other").owned_by(&other.link.affiliate).save().await;
    let of_program = t.postback("/program").save().await;
    t.tick();
    let (own_conversion, foreign) = (t.conversion(&mine).send().await, t.conversion(&other).send().await);
    t.deliver_all().await;
    let ask = async |postback: &str, subject: &str| {
        me.client.get(&format!("/api/v1/postbacks/{postback}/explanations?{subject}")).await
    };

    let found = ask(&own, &format!("conversion_id={own_conversion}")).await.expect(200);
    assert_eq!(found["items"][0]["outcome"], "success");
    for postback in [&others, &of_program] {
        ask(postback, &format!("conversion_id={own_conversion}")).await.expect_problem(404, "not_found");
    }
    ask(&own, &format!("conversion_id={foreign}")).await.expect_problem(404, "not_found");
    ask(&own, &format!("click_id={}", other.id)).await.expect_problem(404, "not_found");
    let event = &t.admin.list(&format!("/api/v1/events?conversion_id={foreign}")).await[0];
    ask(&own, &format!("event_id={}", text(event, "id"))).await.expect_problem(404, "not_found");
    let wrong = ["", "&", "event_id=evt_x", "conversion_id=cnv_00000000000000000000000001&click_id=x"];
    for subject in wrong {
        ask(&own, subject).await.expect_problem(400, "invalid_parameter");
    }
}

async fn secrets_and_buyers_are_masked_in_explanations(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut postback = t.postback("/p").owned_by(&click.link.affiliate).firing("any");
    postback.body["config"]["parameters"] = json!([
        {"name": "sub", "macro": "sub1", "required": true},
        {"name": "token", "macro": "secret.token"},
    ]);
    postback.body["config"]["secrets"] = json!({"token": "very-secret-token"});
    let id = postback.save().await;
    t.tick();
    let report = t.conversion(&click).set("customer_email", json!("ada@example.com"));
    let conversion = report.send().await;
    t.deliver_all().await;
    t.tick();
    t.admin.patch(&format!("/api/v1/postbacks/{id}"), &json!({"firing_status": "pending"})).await.expect(200);

    for client in [&t.admin, &click.link.affiliate.client] {
        let items = explain(client, &id, &format!("conversion_id={conversion}")).await;
        assert_eq!(names(&items[0], "failed"), ["required_value", "outcome"], "{items:#?}");
        let shown = json!(items).to_string();
        assert!(!shown.contains("very-secret-token") && !shown.contains("ada@example.com"), "{shown}");
    }
    // The former configuration has no secrets either.
    assert!(!t.database.contains("postback_versions", "very-secret-token").await);
    let sealed = "SELECT count(*) FROM postback_versions WHERE config LIKE '%$sealed%'";
    assert_eq!(t.database.number(sealed).await, 0);
}

async fn the_command_shows_an_explanation(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").owned_by(&click.link.affiliate).firing("rejected").save().await;
    t.tick();
    let conversion = t.conversion(&click).send().await;
    t.deliver_all().await;
    let event = text(&t.admin.list("/api/v1/events").await[0], "id");
    let url = format!("http://{}", t.address());
    let key = click.link.affiliate.client.key().expect("it has a key").to_owned();
    let run = async |subject: &str| {
        let arguments = ["explain", &postback, subject, "--url", &url, "--key", &key];
        let mut command = tokio::process::Command::new(program());
        let output = command.args(arguments).stdin(Stdio::null()).output().await.expect("the program runs");
        (output.status.success(), [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat())
    };

    for subject in [&event, &conversion] {
        let (succeeded, shown) = run(subject).await;
        assert!(succeeded, "{shown}");
        for line in [
            "  It did not fire: fires on rejected, the conversion is approved.",
            "  failed       status            fires on rejected, the conversion is approved",
            "  To change this: set firing_status to approved or any, or wait until the conversion is rejected",
        ] {
            assert!(shown.lines().any(|it| it == line), "{line}\n{shown}");
        }
    }
    let (succeeded, shown) = run(&click.id).await;
    assert!(succeeded && shown.contains("no event, click at"), "{shown}");
    let (succeeded, shown) = run("cnv_00000000000000000000000001").await;
    assert!(!succeeded && shown.contains("there is no conversion"), "{shown}");
}
