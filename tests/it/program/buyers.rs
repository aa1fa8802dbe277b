//! What affiliates see of buyers: one setting for answers, exports, logs and what their own postbacks get. The crawl reads
//! each operation of the description, so a new operation is tested without a change here.

use postrider_tests::app::{Affiliate, Link, TestApp, click_id_in};
use postrider_tests::client::text;
use postrider_tests::crawl::read_all;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use reqwest::Method;
use serde_json::json;

on_both_databases!(one_setting_decides_what_affiliates_get_of_buyers, staff_without_the_permission_see_masks);

const EMAIL: &str = "zoe.buyer@example.org";
const NAME: &str = "Zoe Buyerova";
const CUSTOMER: &str = "CUST-4711";
const ADDRESS: &str = "203.0.113.77";
const AGENT: &str = "Needle-Browser/7.3";

/// Parts of the values that are the same in every encoding, in lower case.
const WHOLE: [&str; 5] = ["zoe.buyer", "buyerova", "cust-4711", "203.0.113.77", "needle-browser"];
/// What `masked` leaves of them.
const MASKED: [&str; 3] = ["z***", "203.0.113.0", "needle-browser"];

/// An affiliate with each thing that can hold the data of a buyer.
struct Scene<'a> {
    t: &'a TestApp,
    link: Link,
    source: String,
}

impl<'a> Scene<'a> {
    async fn of(t: &'a TestApp) -> Scene<'a> {
        let link = t.any_link().await;
        let values = [("email", "customer_email"), ("name", "customer_name"), ("ip", "ip"), ("agent", "user_agent")];
        let own = |path| t.postback(path).owned_by(&link.affiliate).parameters(&values);
        t.postback("/program").parameters(&values).save().await;
        own("/own").save().await;
        own("/own-body").method("POST").save().await;
        own("/own-event").action("event").firing("any").save().await;
        own("/own-click").action("click").firing("any").parameters(&values[2..]).save().await;
        own("/refusing").save().await;
        let repeated = format!("unknown customer {NAME} <{EMAIL}> at {ADDRESS} with {AGENT}");
        t.receiver.always("/refusing", Reply::body(400, repeated).header("x-customer", EMAIL));
        let source = link.affiliate.client.list("/api/v1/sources").await.remove(0);
        let source = url::Url::parse(&text(&source, "url")).expect("an absolute URL").path().to_owned();
        Scene { t, link, source }
    }

    fn affiliate(&self) -> &Affiliate {
        &self.link.affiliate
    }

    /// The buyer clicks, buys and comes back, and the affiliate's network reports the buyer.
    async fn happens(&self) {
        let t = self.t;
        t.tick();
        let visitor = t.anonymous();
        let click = visitor.request(Method::GET, &self.link.path).header("x-forwarded-for", ADDRESS);
        let click = click_id_in(&visitor.send(click.header("user-agent", AGENT)).await);
        let body = json!({
            "click_id": click, "transaction_id": format!("order-{}", t.unique()), "status": "approved", "amount": "49.00",
            "currency": "USD", "customer_id": CUSTOMER, "customer_name": NAME, "customer_email": EMAIL,
        });
        let conversion = text(&t.admin.post("/api/v1/conversions", &body).await.expect(201), "id");
        let attributes = json!({"contact_email": EMAIL, "customer_id": CUSTOMER, "level": "gold"});
        let event = json!({"conversion_id": conversion, "name": "renewal", "attributes": attributes});
        t.admin.post("/api/v1/events", &event).await.expect(201);
        let report = "sub_id=1&email=zoe.buyer%40example.org&customer_name=Zoe+Buyerova&customer_id=CUST-4711";
        visitor.get(&format!("{}?{report}&ip={ADDRESS}", self.source)).await;
        t.deliver_all().await;
    }

    /// All that the affiliate can read, in lower case, with its place.
    async fn read(&self) -> Vec<(String, String)> {
        let read = read_all(&self.affiliate().client).await;
        read.into_iter().map(|it| (it.path, it.answer.text.to_lowercase())).collect()
    }

    /// What its trackers received since the last call, in lower case and decoded.
    fn received(&self) -> Vec<(String, String)> {
        let mut received = Vec::new();
        for path in ["/own", "/own-body", "/own-event", "/own-click", "/refusing"] {
            let requests = self.t.receiver.requests(path);
            assert!(!requests.is_empty(), "{path} received nothing");
            for request in requests {
                let sent =
                    format!("{:?} {:?} {} {:?}", request.parameters(), request.form(), request.body, request.headers);
                received.push((path.to_owned(), sent.to_lowercase()));
            }
            self.t.receiver.forget(path);
        }
        received
    }
}

fn are_absent(values: &[&str], texts: &[(String, String)], visibility: &str) {
    for (place, text) in texts {
        for value in values {
            assert!(!text.contains(value), "{visibility}: {place} shows {value}: {text}");
        }
    }
}

fn are_present(values: &[&str], texts: &[(String, String)], visibility: &str) {
    for value in values {
        assert!(texts.iter().any(|(_, text)| text.contains(value)), "{visibility}: {value} is nowhere in {texts:#?}");
    }
}

async fn one_setting_decides_what_affiliates_get_of_buyers(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    let scene = Scene::of(&t).await;
    let client = &scene.affiliate().client;
    assert_eq!(client.get("/api/v1/settings/buyers").await.expect(200), json!({"affiliates_see": "all"}));

    // In this order, because what was stored while more was visible must be hidden as well.
    for visibility in ["all", "masked", "nothing"] {
        t.affiliates_see(visibility).await;
        scene.happens().await;
        let (read, received) = (scene.read().await, scene.received());
        let search = client.get(&format!("/api/v1/conversions?customer_id={CUSTOMER}")).await;
        match visibility {
            "all" => {
                are_present(&WHOLE, &read, visibility);
                are_present(&["zoe.buyer", "buyerova", ADDRESS, "needle-browser"], &received, visibility);
                assert_eq!(search.expect(200)["items"].as_array().map(Vec::len), Some(1));
            }
            "masked" => {
                let hidden = &WHOLE[..4];
                for texts in [&read, &received] {
                    are_absent(hidden, texts, visibility);
                    are_present(&MASKED, texts, visibility);
                }
                search.expect_problem(403, "forbidden");
            }
            _ => {
                for texts in [&read, &received] {
                    are_absent(&WHOLE, texts, visibility);
                    are_absent(&MASKED, texts, visibility);
                    are_absent(&["z%2a%2a%2a"], texts, visibility);
                }
                search.expect_problem(403, "forbidden");
            }
        }
        // The program's own postbacks and its people get all.
        let program = t.receiver.requests("/program").pop().expect("a request");
        let sent = ["email", "name", "ip", "agent"].map(|name| program.parameter(name));
        assert_eq!(sent, [EMAIL, NAME, ADDRESS, AGENT].map(str::to_owned), "{visibility}");
        let admins = t.admin.get("/api/v1/exports/conversions?format=jsonl").await.text;
        assert!(admins.contains(EMAIL) && admins.contains(CUSTOMER), "{admins}");
    }
    t.affiliates_see("all").await;
    are_present(&WHOLE, &scene.read().await, "all again");
    let wrong = t.admin.request(Method::PUT, "/api/v1/settings/buyers").json(&json!({"affiliates_see": "some"}));
    t.admin.send(wrong).await.expect_problem(422, "invalid_field");
}

async fn staff_without_the_permission_see_masks(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    let scene = Scene::of(&t).await;
    scene.happens().await;
    let key = json!({"name": "k", "role": "owner", "scopes": ["read_program", "read_reports", "read_money"]});
    let key = t.admin.post("/api/v1/api-keys", &key).await.expect(201);
    let read = read_all(&t.admin.with_key(Some(&text(&key, "key")))).await;
    let read: Vec<_> = read.into_iter().map(|it| (it.path, it.answer.text.to_lowercase())).collect();
    are_absent(&WHOLE[..4], &read, "without read_buyers");
    are_present(&MASKED, &read, "without read_buyers");
}
