//! Nobody learns of an object of another affiliate, or of a private offer: each operation with an id answers the same for it
//! as for an object that does not exist. The operations come from the description, so a new one is tested without a change
//! here.

use std::collections::BTreeMap;

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::crawl::{operations, read_all};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::PASSWORD;
use postrider_tests::receiver::Reply;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(others_objects_look_like_missing_ones);

/// Stands for the id in a request.
const PLACE: &str = "@id@";

/// The ids of an affiliate's objects, by the name of their type in the description.
type World = BTreeMap<&'static str, String>;

/// Bodies with ids that the examples of the description do not name.
fn further_bodies(operation: &str) -> Vec<Value> {
    let (affiliate, offer) = ("aff_06a5xk2m7q8r9stvwxyz012345", "ofr_06a5xk2m7q8r9stvwxyz012345");
    let postback = |scope: Value| {
        json!({"name": "Tracker", "adapter": "macro-url", "config": {"base_url": "https://tracker.example/"},
            "scope": scope})
    };
    match operation {
        "create_postback" => vec![postback(json!({"offer_id": offer})), postback(json!({"affiliate_id": affiliate}))],
        "create_source" => vec![json!({"name": "MyLead", "template": "mylead", "affiliate_id": affiliate})],
        _ => Vec::new(),
    }
}

/// The first id in `list`.
async fn first(client: &Client, list: &str) -> String {
    text(&client.list(&format!("/api/v1/{list}")).await[0], "id")
}

/// One object of each kind, of an affiliate that promotes a private offer.
async fn world(t: &TestApp) -> (Affiliate, World) {
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let offer = t.offer_with(json!({"visibility": "private", "payout": {"fixed": "1000.00"}})).await;
    let body = json!({"affiliate_id": affiliate.id});
    let application = t.admin.post(&format!("/api/v1/offers/{offer}/applications"), &body).await.expect(201);
    let payout = json!({"affiliate_id": affiliate.id, "payout": {"fixed": "1000.00"}});
    t.admin.post(&format!("/api/v1/offers/{offer}/payout-overrides"), &payout).await.expect(200);
    let postback = t.postback("/a").owned_by(&affiliate).save().await;
    t.receiver.always("/a", Reply::status(404));
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let conversion = t.conversion(&click).send().await;
    t.tick();
    t.deliver_all().await;
    let me = &affiliate.client;
    let source = me.list("/api/v1/sources").await.remove(0);
    let path = url::Url::parse(&text(&source, "url")).expect("an absolute URL").path().to_owned();
    t.anonymous().get(&format!("{path}?sub_id=1")).await;
    // The only delivery fails, so that a retry job has something to retry.
    let failed = json!({"status": "failed"});
    let count = me.post("/api/v1/retry-jobs/count", &failed).await.expect(200);
    let job =
        me.post("/api/v1/retry-jobs", &json!({"filter": failed, "expected": count["matching"]})).await.expect(201);
    let details = json!({"method": "paypal", "details": {"email": "purse@example.org"}});
    me.send(me.request(Method::PUT, "/api/v1/payout-details").json(&details)).await.expect(200);
    let wanted = json!({"method": "paypal", "amount": "100.00", "currency": "USD"});
    let withdrawal = text(&me.post_once("/api/v1/withdrawals", "once", &wanted).await.expect(201), "id");
    t.admin.post(&format!("/api/v1/withdrawals/{withdrawal}/approve"), &json!({})).await.expect(200);
    let batch = json!({"method": "paypal", "currency": "USD"});
    let batch = t.admin.post("/api/v1/withdrawal-batches", &batch).await.expect(201);
    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.9", "valid_from": "2026-03-01T00:00:00Z"});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    let exchange = json!({"affiliate_id": affiliate.id, "amount": "10.00", "from": "USD", "to": "EUR"});
    let exchange = t.admin.post("/api/v1/exchanges", &exchange).await.expect(201);
    let customer = json!({"external_id": "user-1", "name": "Cleo", "email": "cleo@example.com"});
    let customer = t.admin.post("/api/v1/customers", &customer).await.expect(201);
    let key = json!({"name": "own", "password": PASSWORD});
    let key = person.client.post("/api/v1/auth/keys", &key).await.expect(201);
    let view = json!({"name": "Failed", "url": "/deliveries?status=failed"});
    let view = person.client.post("/api/v1/saved-views", &view).await.expect(201);
    let sessions = person.client.list("/api/v1/auth/sessions").await;
    let world = World::from([
        ("AffiliateId", affiliate.id.clone()),
        ("ApplicationId", text(&application, "id")),
        ("ClickId", click.id.clone()),
        ("ConversionId", conversion),
        ("CustomerId", text(&customer, "id")),
        ("DeliveryId", text(&t.deliveries(&postback).await[0], "id")),
        ("EarningId", first(me, "earnings").await),
        ("EventId", first(me, "events").await),
        ("ExchangeId", text(&exchange, "id")),
        ("InboundRequestId", first(me, "inbound-requests").await),
        ("KeyId", text(&key, "id")),
        ("LinkId", click.link.id.clone()),
        ("OfferId", offer.clone()),
        ("PayoutDetailsId", first(me, "payout-details").await),
        ("PayoutOverrideId", first(&t.admin, &format!("offers/{offer}/payout-overrides")).await),
        ("PostbackId", postback),
        ("RetryJobId", text(&job, "id")),
        ("SavedViewId", text(&view, "id")),
        ("SessionId", text(&sessions[0], "id")),
        ("SourceId", text(&source, "id")),
        ("UserId", person.id),
        ("WithdrawalBatchId", text(&batch, "id")),
        ("WithdrawalId", withdrawal),
    ]);
    (affiliate, world)
}

/// An id of the same type that no object has.
fn missing(id: &str) -> String {
    format!("{}zzzzzzzz", &id[..id.len() - 8])
}

/// A request with an id, to be sent with the id of an object and with a missing one.
struct Probe<'a> {
    operation: &'a str,
    method: Method,
    /// Path, query and body, with [`PLACE`] for the id.
    path: String,
    body: Value,
    id: &'a str,
}

impl Probe<'_> {
    async fn send(&self, client: &Client, id: &str) -> Answer {
        let request = client.request(self.method.clone(), &self.path.replace(PLACE, id));
        let request = match &self.body {
            Value::Null => request,
            Value::String(csv) => request.header("content-type", "text/csv").body(csv.replace(PLACE, id)),
            body => request.header("content-type", "application/json").body(body.to_string().replace(PLACE, id)),
        };
        client.send(request).await
    }

    /// The answers are the same, and name nothing else of the other affiliate.
    async fn looks_missing(&self, client: &Client, who: &str, secrets: &[String]) {
        let name = format!("{who} {} {} {}", self.operation, self.path, self.body);
        let missing = missing(self.id);
        let (theirs, none) = (self.send(client, self.id).await, self.send(client, &missing).await);
        assert!(theirs.status < 500, "{name}: {}", theirs.text);
        assert_eq!(theirs.status, none.status, "{name}: {} {}", theirs.text, none.text);
        assert_eq!(theirs.text.replace(self.id, "ID"), none.text.replace(&missing, "ID"), "{name}");
        let names_object = self.path.contains(&format!("/{PLACE}"));
        let is_refused = (400..500).contains(&theirs.status);
        assert!(!names_object || is_refused, "{name} has an effect: {} {}", theirs.status, theirs.text);
        for secret in secrets.iter().filter(|it| *it != self.id) {
            assert!(!theirs.text.contains(secret), "{name} names {secret}: {}", theirs.text);
        }
    }
}

/// The ids of the caller's own objects.
struct Own {
    affiliate: String,
    postback: String,
}

/// The requests of an operation that name an object of the world.
fn probes<'a>((path, method, operation): &'a (String, String, Value), world: &'a World, own: &Own) -> Vec<Probe<'a>> {
    let name = operation["operationId"].as_str().expect("an id");
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    let example = operation["requestBody"]["content"]
        .as_object()
        .and_then(|content| content.values().next())
        .map_or(Value::Null, |content| content["example"].clone());
    // Ids of the example name the caller itself, and otherwise nothing.
    let quiet = example.to_string().replace("aff_06a5xk2m7q8r9stvwxyz012345", &own.affiliate);
    let quiet: Value = serde_json::from_str(&quiet).expect("JSON");
    let mut probes = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let schema = parameter["schema"]["$ref"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let path = match parameter["in"].as_str() {
            _ if !schema.ends_with("Id") => continue,
            Some("path") => path.replace("{id}", PLACE),
            Some("query") if !path.contains('{') => {
                let currency = if path.ends_with("/statement") { "&currency=USD" } else { "" };
                format!("{path}?{}={PLACE}{currency}", text(parameter, "name"))
            }
            // Only operations of postbacks have an id in the path and one in the query.
            Some("query") if path.contains("/postbacks/{id}/") => {
                format!("{}?{}={PLACE}", path.replace("{id}", &own.postback), text(parameter, "name"))
            }
            Some("query") if path.ends_with("{subject}") => {
                let path = path.replace("{subject}", "conversions");
                format!("{path}?{}={PLACE}", text(parameter, "name"))
            }
            _ => panic!("{name} has a parameter that this test does not know: {parameter}"),
        };
        let id = world.get(schema).unwrap_or_else(|| panic!("{name}: this test has no {schema}"));
        probes.push(Probe { operation: name, method: method.clone(), path, body: quiet.clone(), id });
    }
    if path.contains('{') {
        return probes;
    }
    for body in std::iter::once(example).chain(further_bodies(name)) {
        let body = body.to_string();
        for (prefix, schema) in
            [("aff_", "AffiliateId"), ("ofr_", "OfferId"), ("wdr_", "WithdrawalId"), ("pbk_", "PostbackId")]
        {
            let written = format!("{prefix}06a5xk2m7q8r9stvwxyz012345");
            if body.contains(&written) {
                let body = body.replacen(&written, PLACE, 1).replace("aff_06a5xk2m7q8r9stvwxyz012345", &own.affiliate);
                let body = serde_json::from_str(&body).expect("JSON");
                let (path, id) = (path.clone(), &world[schema]);
                probes.push(Probe { operation: name, method: method.clone(), path, body, id });
            }
        }
    }
    probes
}

async fn others_objects_look_like_missing_ones(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, world) = world(&t).await;
    let stranger = t.affiliate().await;
    let person = t.person_of(&stranger.id).await;
    let own = Own { affiliate: stranger.id.clone(), postback: t.postback("/own").owned_by(&stranger).save().await };
    let operations = operations(&t.anonymous()).await;
    let mut secrets: Vec<String> = world.values().cloned().collect();
    let described = t.admin.get(&format!("/api/v1/affiliates/{}", owner.id)).await.expect(200);
    secrets.extend([text(&described, "email"), text(&described, "name"), "purse@example.org".to_owned()]);
    let objects = async |client: &Client| {
        let mut read = read_all(client).await;
        read.retain(|it| {
            it.path.matches('/').count() == 4 && !it.path.contains("/settings/") && !it.path.contains("/reports")
        });
        read.into_iter().map(|it| (it.path, it.answer.text)).collect::<Vec<_>>()
    };
    let before = objects(&owner.client).await;
    assert!(before.len() >= 15, "{before:#?}");

    let nobody = t.anonymous();
    let callers = [
        ("another affiliate", &stranger.client),
        ("a person of another affiliate", &person.client),
        ("nobody", &nobody),
    ];
    let mut sent = 0;
    for operation in &operations {
        for probe in probes(operation, &world, &own) {
            for (who, client) in callers {
                probe.looks_missing(client, who, &secrets).await;
                sent += 1;
            }
        }
    }
    assert!(sent >= 3 * 100, "only {sent} requests have an id");
    for client in [&stranger.client, &person.client] {
        for read in read_all(client).await {
            for secret in &secrets {
                assert!(!read.answer.text.contains(secret), "{} names {secret}: {}", read.path, read.answer.text);
            }
        }
    }
    assert_eq!(objects(&owner.client).await, before, "nothing changed");
}
