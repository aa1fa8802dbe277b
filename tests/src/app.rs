//! The server under test, in this process, with a clock that the test moves and with builders for the usual objects. They
//! use HTTP, so that a test reads like the actions of a user.
//!
//! ```text
//! let t = TestApp::start(db).await;
//! let click = t.click().await;
//! let postback = t.postback("/p").firing("approved").save().await;
//! let conversion = t.conversion(&click).status("approved").send().await;
//! t.deliver_all().await;
//! assert_eq!(t.receiver.only_request("/p").parameter("status"), "approved");
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::config::Settings;
use serde_json::{Value, json};
use storage::clock::Clock;

use crate::client::{Answer, Client, text};
use crate::database::Database;
use crate::receiver::Receiver;
use crate::temp::TempDir;
use crate::wait::eventually;

/// 2026-03-10T12:00:00Z; the clock does not advance by itself. It is not the current date, so that code that uses the
/// system's clock fails.
pub const START_MS: i64 = 1_773_144_000_000;

const ADMIN_KEY: &str = "prk_bootstrap_key_of_the_tests";

pub struct TestApp {
    server: Option<postrider::Server>,
    settings: Settings,
    pub clock: Clock,
    /// The API as the admin.
    pub admin: Client,
    pub receiver: Receiver,
    pub database: Database,
    data_dir: TempDir,
    next: AtomicU32,
}

/// An affiliate with its own key.
#[derive(Clone, Debug)]
pub struct Affiliate {
    pub id: String,
    pub referral_code: String,
    /// The API as this affiliate.
    pub client: Client,
}

#[derive(Clone, Debug)]
pub struct Link {
    pub id: String,
    pub affiliate: Affiliate,
    pub offer: String,
    /// "/c/…"
    pub path: String,
    /// "/i/…"
    pub impression_path: String,
}

#[derive(Clone, Debug)]
pub struct Click {
    pub id: String,
    pub link: Link,
}

impl TestApp {
    /// Starts a server that may send postbacks to loopback, where the receiver is.
    pub async fn start(database: Database) -> TestApp {
        TestApp::start_with(database, |_| {}).await
    }

    /// Like [`Self::start`], for tests of installed adapters, which the real program compiles.
    pub async fn start_with_compiler(database: Database) -> TestApp {
        let program = crate::process::program().to_owned();
        TestApp::start_with(database, |settings| {
            settings.compiler_program = Some(program);
            // A cache for this test only, so that the test can detect compilations. Those of the built-in adapters take seconds.
            settings.adapter_cache_dir = None;
            crate::process::copy_built_in(&settings.adapter_cache_dir());
        })
        .await
    }

    /// Starts a server with changed settings.
    pub async fn start_with(database: Database, change: impl FnOnce(&mut Settings)) -> TestApp {
        TestApp::start_at(START_MS, database, change).await
    }

    /// The same at another time, in milliseconds since 1970.
    pub async fn start_at(now_ms: i64, database: Database, change: impl FnOnce(&mut Settings)) -> TestApp {
        crate::install_tls_provider();
        crate::panics::watch();
        crate::logs::watch();
        let data_dir = TempDir::new("data");
        let mut settings = Settings {
            listen: "127.0.0.1:0".to_owned(),
            database_url: Some(database.url()),
            data_dir: data_dir.path().to_owned(),
            admin_api_key: Some(ADMIN_KEY.to_owned()),
            adapter_cache_dir: Some(crate::process::adapter_cache()),
            egress_allow: vec!["127.0.0.1/32".parse().expect("a network")],
            ..Settings::default()
        };
        change(&mut settings);
        let clock = Clock::manual(now_ms);
        let server = launch(&settings, &clock).await;
        TestApp {
            admin: Client::new(&server.url(), Some(ADMIN_KEY)),
            server: Some(server),
            settings,
            clock,
            receiver: Receiver::start().await,
            database,
            data_dir,
            next: AtomicU32::new(0),
        }
    }

    /// Starts another node on the same PostgreSQL, with the same keys and the same clock. Returns it and its API as the admin.
    pub async fn start_beside(&self, change: impl FnOnce(&mut Settings)) -> (postrider::Server, Client) {
        let mut settings = self.settings.clone();
        change(&mut settings);
        let server = launch(&settings, &self.clock).await;
        let admin = Client::new(&server.url(), Some(ADMIN_KEY));
        (server, admin)
    }

    /// Stops the server and starts it again on the same data, at the same time of its clock.
    pub async fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        let server = self.server.take().expect("it runs");
        server.stop().await;
        change(&mut self.settings);
        let server = launch(&self.settings, &self.clock).await;
        self.admin = Client::new(&server.url(), Some(ADMIN_KEY));
        self.server = Some(server);
    }

    /// Like [`Self::restart_with`], for a start that can be refused. In that case there is no server until the next attempt.
    pub async fn try_restart(&mut self, change: impl FnOnce(&mut Settings)) -> anyhow::Result<()> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        change(&mut self.settings);
        let server = postrider::Server::start(self.settings.clone(), self.clock.clone()).await?;
        self.admin = Client::new(&server.url(), Some(ADMIN_KEY));
        self.server = Some(server);
        Ok(())
    }

    /// Starts another server on the same database, with the same keys and the same clock. Only PostgreSQL allows two.
    pub async fn another_node(&self) -> postrider::Server {
        launch(&self.settings, &self.clock).await
    }

    /// Stops the server as SIGTERM does.
    pub async fn stop(&mut self) {
        self.server.take().expect("it runs").stop().await;
    }

    /// The settings for another server on the same database.
    pub fn settings_of_another_node(&self) -> Settings {
        self.settings.clone()
    }

    /// The API of another server as the admin.
    pub fn admin_of(&self, server: &postrider::Server) -> Client {
        Client::new(&server.url(), Some(ADMIN_KEY))
    }

    pub fn address(&self) -> SocketAddr {
        self.server().address()
    }

    pub fn data_dir(&self) -> &std::path::Path {
        self.data_dir.path()
    }

    /// The API without a key.
    pub fn anonymous(&self) -> Client {
        self.admin.with_key(None)
    }

    /// Moves the clock.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// Moves the clock by a millisecond, so that ids and lists are in chronological order.
    pub fn tick(&self) {
        self.clock.advance(Duration::from_millis(1));
    }

    /// Waits until no event is pending and no delivery is due at the clock's time. Whether a delivery meets an older state of
    /// its conversion in flight, and is due a second later, is chance; the clock is moved for such deliveries.
    pub async fn deliver_all(&self) {
        loop {
            eventually("the pipeline to be idle", async || {
                let idle = self.server().app().is_idle().await;
                idle.expect("the database answers").then_some(())
            })
            .await;
            let soon = self.clock.now().plus(Duration::from_secs(1)).millis();
            let waiting = format!(
                "SELECT count(*) FROM deliveries WHERE state = 'pending' AND reason_code = 'waits_for_older'
                     AND waiting_for IS NULL AND due_at <= {soon}"
            );
            if self.database.number(&waiting).await == 0 {
                return;
            }
            self.advance(Duration::from_secs(1));
        }
    }

    /// Rolls up for reports all rows that are settled at the clock's time.
    pub async fn roll_up_reports(&self) {
        // Reports wait for this time, because rows may still be committed.
        let settled = self.clock.now().minus(Duration::from_secs(75));
        let settled = domain::reports::calendar::quarter(settled);
        eventually("reports to be packed", async || {
            self.roll_up_once().await;
            let until = engine::reports::rolled_up_until(self.server().app()).await;
            (until.expect("the database answers") >= settled).then_some(())
        })
        .await;
    }

    /// Rolls up settled rows, if they can be determined now.
    pub async fn roll_up_once(&self) {
        engine::reports::roll_up(self.server().app()).await.expect("the database answers");
    }

    /// The parts of the running server, for data without a public URL.
    pub fn app(&self) -> &engine::app::App {
        self.server().app()
    }

    fn server(&self) -> &postrider::Server {
        self.server.as_ref().expect("it runs")
    }

    /// A number that this test has not used yet.
    pub fn unique(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    // Objects, with defaults.

    /// Creates an affiliate with an API key.
    pub async fn affiliate(&self) -> Affiliate {
        let n = self.unique();
        let body = json!({"name": format!("Affiliate {n}"), "email": format!("affiliate-{n}@example.com")});
        let affiliate = self.admin.post("/api/v1/affiliates", &body).await.expect(201);
        let id = text(&affiliate, "id");
        let body = json!({"name": "test", "role": "affiliate", "affiliate_id": id});
        let key = self.admin.post("/api/v1/api-keys", &body).await.expect(201);
        Affiliate {
            referral_code: text(&affiliate, "referral_code"),
            client: self.admin.with_key(Some(&text(&key, "key"))),
            id,
        }
    }

    /// An offer that pays 12.50 USD and whose landing page receives the click id as `cid`.
    pub async fn offer(&self) -> String {
        self.offer_with(json!({})).await
    }

    /// Like [`Self::offer`], with some fields changed.
    pub async fn offer_with(&self, changes: Value) -> String {
        let mut body = json!({
            "name": format!("Offer {}", self.unique()),
            "landing_url": "https://shop.example/landing?cid={click_id}",
            "currency": "USD",
            "payout": {"fixed": "12.50"},
        });
        merge(&mut body, changes);
        text(&self.admin.post("/api/v1/offers", &body).await.expect(201), "id")
    }

    /// Creates a link of an affiliate to an offer.
    pub async fn link(&self, affiliate: &Affiliate, offer: &str) -> Link {
        self.link_with(affiliate, offer, json!({})).await
    }

    /// Like [`Self::link`], with some fields changed.
    pub async fn link_with(&self, affiliate: &Affiliate, offer: &str, changes: Value) -> Link {
        let mut body = json!({"affiliate_id": affiliate.id, "offer_id": offer});
        merge(&mut body, changes);
        let link = self.admin.post("/api/v1/links", &body).await.expect(201);
        let path_of = |field: &str| {
            let url = text(&link, field);
            url::Url::parse(&url).expect("an absolute URL").path().to_owned()
        };
        Link {
            id: text(&link, "id"),
            affiliate: affiliate.clone(),
            offer: offer.to_owned(),
            path: path_of("url"),
            impression_path: path_of("impression_url"),
        }
    }

    /// A link of a new affiliate to a new offer.
    pub async fn any_link(&self) -> Link {
        let affiliate = self.affiliate().await;
        let offer = self.offer().await;
        self.link(&affiliate, &offer).await
    }

    /// A click on a link of a new affiliate to a new offer.
    pub async fn click(&self) -> Click {
        self.click_on(&self.any_link().await, "").await
    }

    /// A click with a query ("" or "?sub1=a"), through the public edge.
    pub async fn click_on(&self, link: &Link, query: &str) -> Click {
        let answer = self.anonymous().get(&format!("{}{query}", link.path)).await;
        assert_eq!(answer.status, 302, "{}", answer.text);
        Click { id: click_id_in(&answer), link: link.clone() }
    }

    /// A conversion of a click, with a new transaction id.
    pub fn conversion<'a>(&'a self, click: &'a Click) -> NewConversion<'a> {
        NewConversion {
            t: self,
            body: json!({
                "click_id": click.id,
                "transaction_id": format!("order-{}", self.unique()),
                "status": "approved",
                "amount": "49.00",
                "currency": "USD",
            }),
        }
    }

    /// A postback to a path of the receiver, for approved conversions of all affiliates.
    pub fn postback<'a>(&'a self, path: &'a str) -> NewPostback<'a> {
        NewPostback {
            t: self,
            path,
            client: self.admin.clone(),
            body: json!({
                "name": format!("Postback {path}"),
                "adapter": "macro-url",
                "config": {
                    "base_url": self.receiver.url(path),
                    "method": "GET",
                    "parameters": [
                        {"name": "click", "macro": "click_id"},
                        {"name": "transaction", "macro": "transaction_id"},
                        {"name": "status", "macro": "status"},
                        {"name": "payout", "macro": "payout"},
                    ],
                    "custom": [],
                },
                "action": "conversion",
                "scope": {"affiliate_id": null, "offer_id": null},
                "firing_status": "approved",
                "rejection_reasons": [],
                "delay": null,
                "enabled": true,
            }),
        }
    }

    /// Uploads a component.
    pub async fn install(&self, wasm: Vec<u8>) -> Answer {
        let request = self.admin.request(reqwest::Method::POST, "/api/v1/adapters");
        self.admin.send(request.header("content-type", "application/wasm").body(wasm)).await
    }

    /// Approves a conversion.
    pub async fn approve(&self, conversion: &str) -> Answer {
        self.admin.post(&format!("/api/v1/conversions/{conversion}/approve"), &json!({})).await
    }

    /// Rejects a conversion.
    pub async fn reject(&self, conversion: &str, reason: &str) -> Answer {
        let path = format!("/api/v1/conversions/{conversion}/reject");
        self.admin.post(&path, &json!({"reason": reason})).await
    }

    /// Sets what affiliates see of buyers: nothing, masked or all.
    pub async fn affiliates_see(&self, visibility: &str) {
        let request = self.admin.request(reqwest::Method::PUT, "/api/v1/settings/buyers");
        self.admin.send(request.json(&json!({"affiliates_see": visibility}))).await.expect(200);
    }

    /// How often one order may count: once per "offer" or per "program".
    pub async fn count_orders_per(&self, scope: &str) {
        let request = self.admin.request(reqwest::Method::PUT, "/api/v1/settings/conversions");
        let settings = self.admin.send(request.json(&json!({"one_order_per": scope}))).await.expect(200);
        assert_eq!(settings["one_order_per"], scope);
    }

    // Queries.

    /// The deliveries of a postback, oldest first.
    pub async fn deliveries(&self, postback: &str) -> Vec<Value> {
        let path = format!("/api/v1/deliveries?postback_id={postback}");
        let mut items = self.admin.list(&path).await;
        items.reverse();
        items
    }

    /// The one delivery of a postback.
    pub async fn only_delivery(&self, postback: &str) -> Value {
        let mut items = self.deliveries(postback).await;
        assert_eq!(items.len(), 1, "{items:#?}");
        let id = text(&items.remove(0), "id");
        self.admin.get(&format!("/api/v1/deliveries/{id}")).await.expect(200)
    }

    /// The number of postings, except for releases, which happen automatically.
    pub async fn postings(&self) -> i64 {
        self.database.number("SELECT count(*) FROM postings WHERE kind <> 'released'").await
    }

    /// A balance in a currency, when nothing is due: pending, available, withdrawing, paid and debt.
    pub async fn balance(&self, affiliate: &Affiliate, currency: &str) -> [String; 5] {
        self.deliver_all().await;
        let balances = self.admin.list(&format!("/api/v1/balances?affiliate_id={}", affiliate.id)).await;
        let found = balances.into_iter().find(|balance| balance["currency"] == currency);
        ["pending", "available", "withdrawing", "paid", "debt"]
            .map(|field| found.as_ref().map_or_else(|| "0.00".to_owned(), |balance| text(balance, field)))
    }

    /// Checks the ledger: postings add up to zero, and the stored balances are the sums of the entries.
    pub async fn assert_books_balance(&self) {
        self.database.assert_books_balance().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        crate::logs::print_if_failed();
        crate::panics::assert_none(&crate::panics::seen_here());
    }
}

async fn launch(settings: &Settings, clock: &Clock) -> postrider::Server {
    postrider::Server::start(settings.clone(), clock.clone()).await.expect("the server starts")
}

/// The click id that the landing page of [`TestApp::offer`] receives.
pub fn click_id_in(answer: &Answer) -> String {
    let location = answer.header("location").expect("a redirect has a location");
    let location = url::Url::parse(location).expect("an absolute URL");
    let cid = location.query_pairs().find(|(name, _)| name == "cid");
    cid.expect("the landing page gets the click id").1.into_owned()
}

/// Replaces the fields of `changes` in `body`.
fn merge(body: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        body[name] = value;
    }
}

/// A conversion that the admin will send.
#[derive(Clone)]
pub struct NewConversion<'a> {
    t: &'a TestApp,
    pub body: Value,
}

impl NewConversion<'_> {
    pub fn transaction(self, id: &str) -> Self {
        self.set("transaction_id", json!(id))
    }

    pub fn status(self, status: &str) -> Self {
        self.set("status", json!(status))
    }

    pub fn rejected(self, reason: &str) -> Self {
        self.status("rejected").set("reason", json!(reason))
    }

    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }

    /// Sends the conversion and returns any answer.
    pub async fn try_send(&self) -> Answer {
        self.t.admin.post("/api/v1/conversions", &self.body).await
    }

    /// Sends the conversion for the first time; returns its id.
    pub async fn send(&self) -> String {
        text(&self.try_send().await.expect(201), "id")
    }
}

/// A postback that will be saved.
#[derive(Clone)]
pub struct NewPostback<'a> {
    t: &'a TestApp,
    path: &'a str,
    client: Client,
    pub body: Value,
}

impl NewPostback<'_> {
    /// The affiliate saves the postback and owns it.
    pub fn owned_by(mut self, affiliate: &Affiliate) -> Self {
        self.client = affiliate.client.clone();
        self
    }

    pub fn firing(self, status: &str) -> Self {
        self.set("firing_status", json!(status))
    }

    pub fn reasons(self, reasons: &[&str]) -> Self {
        self.set("rejection_reasons", json!(reasons))
    }

    pub fn scope(self, affiliate: Option<&Affiliate>, offer: Option<&str>) -> Self {
        let affiliate = affiliate.map(|affiliate| &affiliate.id);
        self.set("scope", json!({"affiliate_id": affiliate, "offer_id": offer}))
    }

    pub fn action(self, action: &str) -> Self {
        self.set("action", json!(action))
    }

    pub fn delay(self, value: u64, unit: &str) -> Self {
        self.set("delay", json!({"value": value, "unit": unit}))
    }

    pub fn method(mut self, method: &str) -> Self {
        self.body["config"]["method"] = json!(method);
        self
    }

    /// Sends to another host than the receiver.
    pub fn to(mut self, base_url: &str) -> Self {
        self.body["config"]["base_url"] = json!(base_url);
        self
    }

    /// The tracker's name and the macro of each parameter, in place of the default ones.
    pub fn parameters(mut self, parameters: &[(&str, &str)]) -> Self {
        let parameters = parameters.iter().map(|(name, token)| json!({"name": name, "macro": token}));
        self.body["config"]["parameters"] = parameters.collect();
        self
    }

    pub fn custom(mut self, custom: &[(&str, &str)]) -> Self {
        let custom = custom.iter().map(|(name, value)| json!({"name": name, "value": value}));
        self.body["config"]["custom"] = custom.collect();
        self
    }

    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }

    /// The postback is saved disabled, without a test request.
    pub fn disabled(self) -> Self {
        self.set("enabled", json!(false))
    }

    /// Saves the postback and returns any answer.
    pub async fn try_save(&self) -> Answer {
        self.client.post("/api/v1/postbacks", &self.body).await
    }

    /// Saves the postback, deletes the test request from the receiver, and returns the postback's id.
    pub async fn save(&self) -> String {
        let postback = self.try_save().await.expect(201);
        self.t.receiver.forget(self.path);
        text(&postback, "id")
    }
}
