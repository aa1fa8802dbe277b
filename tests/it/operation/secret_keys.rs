//! The keys that seal secrets: the server does not start without the keys of its database, and they can be changed while it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::people::totp;
use engine::delivery::secrets::Vault;
use engine::delivery::secrets::{rotation, server_keys};
use postrider_tests::app::{Affiliate, Click, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, Person};
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::json;
use storage::Database as Storage;
use storage::base::database::PoolLimits;
use storage::delivery::sealed_columns;

on_both_databases!(
    the_server_does_not_start_without_the_key_of_its_database,
    a_database_from_before_canaries_gets_one_from_the_right_key_only,
    everything_is_sealed_again_while_the_server_runs,
    an_interrupted_rotation_continues,
    a_stopped_server_does_not_keep_a_key_for_long,
    the_command_rotates_beside_a_server,
);

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn name_of(byte: u8) -> String {
    Vault::new([byte; 32]).key_ids().next().expect("it has one").to_string()
}

/// A postback to `/p` that sends a secret, for approved conversions.
async fn secret_postback(t: &TestApp) -> String {
    let config = json!({
        "base_url": t.receiver.url("/p"), "method": "GET", "custom": [], "secrets": {"key": "postback-secret-1"},
        "parameters": [{"name": "key", "macro": "secret.key"}, {"name": "transaction", "macro": "transaction_id"}],
    });
    t.postback("/p").set("config", config).save().await
}

async fn the_server_does_not_start_without_the_key_of_its_database(db: Database) {
    let mut t = TestApp::start(db).await;
    let postback = secret_postback(&t).await;
    let click = t.click().await;
    let (file, gone) = (t.data_dir().join("secret-key"), t.data_dir().join("secret-key.gone"));
    std::fs::rename(&file, &gone).unwrap();

    let refused = t.try_restart(|_| {}).await.expect_err("the key is gone").to_string();
    let needed: i64 = t.database.number("SELECT count(*) FROM secret_keys").await;
    assert_eq!(needed, 1);
    assert!(refused.contains("this database holds secrets that are sealed with the key"), "{refused}");
    assert!(refused.contains(file.to_str().unwrap()) && refused.contains("secrets forget"), "{refused}");
    assert!(!file.exists(), "no other key is made in its place");

    let another = t.try_restart(|settings| settings.secret_key = Some(hex(9))).await.expect_err("it is another");
    assert_eq!(another.to_string(), refused);

    std::fs::rename(&gone, &file).unwrap();
    t.try_restart(|settings| settings.secret_key = None).await.expect("it is the right one");
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.only_delivery(&postback).await["status"], "success");
    assert_eq!(t.receiver.only_request("/p").parameter("key"), "postback-secret-1");
}

async fn a_database_from_before_canaries_gets_one_from_the_right_key_only(db: Database) {
    let mut t = TestApp::start_with(db, |settings| settings.secret_key = Some(hex(1))).await;
    // A database without sealed data accepts any key.
    t.database.execute("DELETE FROM secret_keys").await;
    t.try_restart(|settings| settings.secret_key = Some(hex(2))).await.expect("nothing is sealed yet");
    secret_postback(&t).await;

    t.database.execute("DELETE FROM secret_keys").await;
    let refused = t.try_restart(|settings| settings.secret_key = Some(hex(1))).await.expect_err("it is another");
    assert!(refused.to_string().contains("this database holds secrets that are sealed with the key"), "{refused}");
    assert_eq!(t.database.count("secret_keys").await, 0);
    let refused = t.try_restart(|settings| settings.secret_key = None).await.expect_err("there is none");
    assert!(refused.to_string().contains("secret-key"), "{refused}");

    t.try_restart(|settings| settings.secret_key = Some(hex(2))).await.expect("it opens what is there");
    let known = |byte| format!("SELECT count(*) FROM secret_keys WHERE id = '{}'", name_of(byte));
    assert_eq!(t.database.number(&known(2)).await, 1);

    // The key is lost before its canary was created.
    t.stop().await;
    t.database.execute("DELETE FROM secret_keys").await;
    let refused = t.try_restart(|settings| settings.secret_key = Some(hex(3))).await.expect_err("it is another");
    assert!(refused.to_string().contains("secrets forget unnamed"), "{refused}");
    let storage = Storage::open(&t.database.url(), PoolLimits::for_command()).await.expect("it opens");
    assert!(server_keys::forget(&storage, "unnamed", t.clock.now()).await.expect("the database answers"));
    storage.close().await;
    t.try_restart(|_| {}).await.expect("what the lost key sealed is given up");
    assert_eq!(t.database.number(&known(3)).await, 1);
    // From here on keys have names.
    let app = t.app();
    assert!(!server_keys::forget(&app.db, "unnamed", t.clock.now()).await.expect("the database answers"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_key_file_is_not_a_key() {
    let mut t = TestApp::start(Database::sqlite()).await;
    std::fs::write(t.data_dir().join("secret-key"), "\n").unwrap();
    // Also if another key could replace it.
    for previous in [Vec::new(), vec![hex(9)]] {
        let refused =
            t.try_restart(|settings| settings.previous_secret_keys = previous).await.expect_err("it is empty");
        assert!(refused.to_string().contains("secret-key is empty"), "{refused}");
    }
}

/// Two servers: one has the new key, the other still seals with the old one.
async fn with_another_that_seals_with_the_first_key() -> (TestApp, postrider::Server, Client) {
    let mut t = with_first_key(Database::postgres().await).await;
    secret_postback(&t).await;
    with_both_keys(&mut t).await;
    let (other, client) = t
        .start_beside(|settings| {
            settings.secret_key = Some(hex(1));
            settings.previous_secret_keys = vec![hex(2)];
        })
        .await;
    (t, other, client)
}

fn postback_with_secret(name: &str) -> serde_json::Value {
    json!({
        "name": name, "adapter": "macro-url", "action": "conversion", "enabled": false,
        "config": {
            "base_url": "https://tracker.example/p", "method": "GET", "secrets": {"key": "postback-secret-1"},
            "parameters": [{"name": "key", "macro": "secret.key"}],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_retired_while_another_server_seals_with_it() {
    let (mut t, other, client) = with_another_that_seals_with_the_first_key().await;
    let rotated = rotate(&t).await;
    assert!(!rotated.complete && rotated.retired.is_empty(), "{rotated:?}");
    assert_eq!(rotated.in_use, [name_of(1)].into());
    client.post("/api/v1/postbacks", &postback_with_secret("late")).await.expect(201);
    let refused = t.try_restart(|settings| settings.previous_secret_keys.clear()).await.expect_err("it is needed");
    assert!(refused.to_string().contains(&name_of(1)), "{refused}");

    other.stop().await;
    with_both_keys_again(&mut t).await;
    let rotated = rotate(&t).await;
    assert!(rotated.complete, "{rotated:?}");
    assert_eq!(rotated.retired, [name_of(1)]);
    assert!(sealed_with(&t, 1).await.is_empty());
}

/// After a refused start.
async fn with_both_keys_again(t: &mut TestApp) {
    t.try_restart(|settings| settings.previous_secret_keys = vec![hex(1)]).await.expect("all keys are there");
}

/// The server was suspended for so long that it counted as stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_resumes_with_a_retired_key_makes_it_required_again() {
    let (mut t, other, client) = with_another_that_seals_with_the_first_key().await;
    t.database.execute(&format!("DELETE FROM servers WHERE key_id = '{}'", name_of(1))).await;
    assert_eq!(rotate(&t).await.retired, [name_of(1)]);
    client.post("/api/v1/postbacks", &postback_with_secret("late")).await.expect(201);
    let app = other.app();
    server_keys::save_in_use(&app.db, &app.vault, app.server_id, app.clock.now()).await.expect("the database answers");
    let refused = t.try_restart(|settings| settings.previous_secret_keys.clear()).await.expect_err("it is needed");
    assert!(refused.to_string().contains(&name_of(1)), "{refused}");
    other.stop().await;
}

async fn a_stopped_server_does_not_keep_a_key_for_long(db: Database) {
    let mut t = with_first_key(db).await;
    with_both_keys(&mut t).await;
    // The server crashed a moment ago.
    let now = t.clock.now().millis();
    let row = format!("INSERT INTO servers (id, key_id, seen_at) VALUES (1, '{}', {now})", name_of(1));
    t.database.execute(&row).await;
    assert!(!rotate(&t).await.complete);
    t.advance(server_keys::PRESENT_FOR + Duration::from_millis(1));
    assert_eq!(rotate(&t).await.retired, [name_of(1)]);
}

/// One of every kind of sealed data.
struct Sealed {
    postback: String,
    click: Click,
    source_path: String,
    affiliate: Affiliate,
    batch: String,
    person: Person,
    totp: String,
    recovery: String,
    other: Person,
    pending: String,
}

async fn seal_everything(t: &TestApp) -> Sealed {
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"payout": {"fixed": "100.00"}})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let body = json!({"affiliate_id": affiliate.id, "method": "paypal", "details": {"email": "ada@example.org"}});
    t.admin.send(t.admin.request(Method::PUT, "/api/v1/payout-details").json(&body)).await.expect(200);
    let body = json!({"method": "paypal", "amount": "50.00", "currency": "USD"});
    let withdrawal = text(&affiliate.client.post("/api/v1/withdrawals", &body).await.expect(201), "id");
    t.admin.post(&format!("/api/v1/withdrawals/{withdrawal}/approve"), &json!({})).await.expect(200);
    let batch = json!({"method": "paypal", "currency": "USD"});
    let batch = text(&t.admin.post("/api/v1/withdrawal-batches", &batch).await.expect(201), "id");

    let body = json!({
        "name": "Network", "adapter": "macro-url",
        "config": {"base_url": "https://network.example/", "method": "GET", "custom": [],
            "secrets": {"key": "source-secret-2"}, "parameters": [{"name": "key", "macro": "secret.key"}],
            "fields": {"click_id": "sub", "transaction_id": "tid"}},
        "settings": {"guards": {"token": {"parameter": "key", "value": "guard-secret-3"}}},
    });
    let source = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let source_path = url::Url::parse(&text(&source, "url")).expect("an absolute URL").path().to_owned();

    let (person, other) = (t.person("finance").await, t.person("finance").await);
    let begin = async |person: &Person| {
        let begun = person.client.post("/api/v1/auth/second-factor", &json!({"password": PASSWORD})).await;
        text(&begun.expect(200), "secret")
    };
    let (totp, pending) = (begin(&person).await, begin(&other).await);
    let confirm = json!({"code": code(t, &totp)});
    let confirmed = person.client.post("/api/v1/auth/second-factor/confirm", &confirm).await.expect(200);
    let recovery = confirmed["recovery_codes"][0].as_str().expect("a code").to_owned();
    let asked = json!({"email": person.email});
    t.anonymous().post("/api/v1/auth/reset", &asked).await.expect(202);
    let postback = secret_postback(t).await;
    Sealed { postback, click, source_path, affiliate, batch, person, totp, recovery, other, pending }
}

fn code(t: &TestApp, secret: &str) -> String {
    totp::code(&totp::decode(secret).unwrap(), t.clock.now().millis() / 30_000)
}

impl Sealed {
    /// All of it is still usable.
    async fn works(&self, t: &TestApp) {
        t.conversion(&self.click).transaction("afterwards").send().await;
        t.deliver_all().await;
        let sent = t.receiver.requests("/p");
        let sent = sent.iter().find(|it| it.parameter("transaction") == "afterwards").expect("it was sent");
        assert_eq!(sent.parameter("key"), "postback-secret-1", "{}", self.postback);
        let report = async |key: &str| {
            let path = format!("{}?sub={}&tid=reported&key={key}", self.source_path, self.click.id);
            t.anonymous().get(&path).await.status
        };
        assert_eq!((report("wrong-secret").await, report("guard-secret-3").await), (401, 200));
        let file = t.admin.get(&format!("/api/v1/withdrawal-batches/{}/export", self.batch)).await;
        assert!(file.text.contains("ada@example.org"), "{}", file.text);
        let body = json!({"affiliate_id": self.affiliate.id, "method": "paypal", "amount": "20.00", "currency": "USD"});
        t.admin.post("/api/v1/withdrawals", &body).await.expect(201);
        t.advance(Duration::from_secs(60));
        for code in [code(t, &self.totp), self.recovery.clone()] {
            let body = json!({"email": self.person.email, "password": PASSWORD, "code": code});
            t.anonymous().post("/api/v1/auth/login", &body).await.expect(200);
        }
        let body = json!({"code": code(t, &self.pending)});
        let other = t.signed_in(&self.other.email, PASSWORD).await;
        other.post("/api/v1/auth/second-factor/confirm", &body).await.expect(200);
        t.mail_to(&self.person.email, "").await;
    }
}

/// The columns of all tables with a text sealed by this key.
async fn sealed_with(t: &TestApp, byte: u8) -> BTreeSet<(String, String)> {
    let mark = Vault::new([byte; 32]).key_ids().next().expect("it has one").mark();
    let mut found = BTreeSet::new();
    for (table, column) in t.database.text_columns().await {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} LIKE '%{mark}%'");
        if t.database.number(&sql).await > 0 {
            found.insert((table, column));
        }
    }
    found
}

/// All columns in `sealed_columns`, and the canary of the key itself.
fn every_sealed_column() -> BTreeSet<(String, String)> {
    let named = sealed_columns::ALL.map(|it| (it.table.to_owned(), it.column.to_owned()));
    named.into_iter().chain([("secret_keys".to_owned(), "canary".to_owned())]).collect()
}

/// A server with the first key, whose messages stay unsent.
async fn with_first_key(db: Database) -> TestApp {
    TestApp::start_with(db, |settings| {
        settings.secret_key = Some(hex(1));
        settings.smtp_url = Some("smtp://127.0.0.1:1".to_owned());
    })
    .await
}

async fn with_both_keys(t: &mut TestApp) {
    t.restart_with(|settings| {
        settings.secret_key = Some(hex(2));
        settings.previous_secret_keys = vec![hex(1)];
    })
    .await;
}

async fn rotate(t: &TestApp) -> rotation::Rotated {
    let app = t.app();
    rotation::rotate(&app.db, &app.vault, &app.clock).await.expect("the database answers")
}

async fn everything_is_sealed_again_while_the_server_runs(db: Database) {
    let mut t = with_first_key(db).await;
    let sealed = seal_everything(&t).await;
    assert_eq!(sealed_with(&t, 1).await, every_sealed_column(), "each column, and no other");
    with_both_keys(&mut t).await;

    // A user reads a postback before, and saves it afterwards: the old seal does not come back.
    let path = format!("/api/v1/postbacks/{}", sealed.postback);
    let shown = t.admin.get(&path).await.expect(200);
    let saving = async {
        for n in 0..20 {
            let answer = t.admin.patch(&path, &json!({"name": format!("p{n}"), "config": shown["config"]})).await;
            assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
        }
    };
    let (rotated, ()) = tokio::join!(rotate(&t), saving);
    assert!(rotated.complete && rotated.unreadable.is_empty(), "{rotated:?}");
    assert_eq!(rotated.retired, [name_of(1)]);
    let tables: BTreeSet<_> = rotated.resealed.keys().copied().collect();
    assert_eq!(tables, ["mails", "payout_details", "postbacks", "sources", "users", "withdrawals"].into());
    assert!(sealed_with(&t, 1).await.is_empty());
    let again = rotate(&t).await;
    assert_eq!(again.resealed.values().sum::<usize>(), 0, "{again:?}");

    // A start with the old key among the previous ones does not make it required again.
    t.restart_with(|_| {}).await;
    t.restart_with(|settings| {
        settings.previous_secret_keys.clear();
        settings.smtp_url = None;
    })
    .await;
    sealed.works(&t).await;
    let refused = t.try_restart(|settings| settings.secret_key = Some(hex(1))).await.expect_err("it is the old one");
    assert!(refused.to_string().contains(&name_of(2)), "{refused}");
}

async fn an_interrupted_rotation_continues(db: Database) {
    let mut t = with_first_key(db).await;
    let sealed = seal_everything(&t).await;
    for _ in 0..120 {
        t.affiliate().await;
    }
    let body =
        |affiliate: &str| json!({"affiliate_id": affiliate, "method": "paypal", "details": {"email": "a@b.example"}});
    for affiliate in t.admin.list("/api/v1/affiliates").await {
        let request = t.admin.request(Method::PUT, "/api/v1/payout-details").json(&body(&text(&affiliate, "id")));
        t.admin.send(request).await.expect(200);
    }
    with_both_keys(&mut t).await;

    let (db, vault, clock) = (t.app().db.clone(), t.app().vault.clone(), t.app().clock.clone());
    let running = tokio::spawn(async move { rotation::rotate(&db, &vault, &clock).await });
    let postbacks = ("postbacks".to_owned(), "config".to_owned());
    eventually("some values to be sealed again", async || sealed_with(&t, 2).await.contains(&postbacks).then_some(()))
        .await;
    running.abort();
    let _ = running.await;

    let rotated = rotate(&t).await;
    assert!(rotated.complete, "{rotated:?}");
    assert!(sealed_with(&t, 1).await.is_empty());
    t.restart_with(|settings| {
        settings.previous_secret_keys.clear();
        settings.smtp_url = None;
    })
    .await;
    sealed.works(&t).await;
}

async fn the_command_rotates_beside_a_server(db: Database) {
    let installation = Installation::new(db);
    let mut first = installation.start_with(&[("POSTRIDER_SECRET_KEY", &hex(1))]).await;
    first.client.post("/api/v1/postbacks", &postback_with_secret("p")).await.expect(201);
    let keys = [("POSTRIDER_SECRET_KEY", hex(2)), ("POSTRIDER_PREVIOUS_SECRET_KEYS", hex(1))];
    let run = async |arguments: &[&str], keys: &[(&str, String)]| installation.output(arguments, keys).await;
    // The server could not open values sealed with this key.
    let (done, told) = run(&["secrets", "rotate"], &keys).await;
    assert!(!done && told.contains("no server has used the secret key"), "{told}");
    first.terminate();
    first.wait().await;

    let both = installation
        .start_with(&[("POSTRIDER_SECRET_KEY", &hex(2)), ("POSTRIDER_PREVIOUS_SECRET_KEYS", &hex(1))])
        .await;
    let (done, told) = run(&["secrets", "rotate"], &keys).await;
    assert!(done && told.contains(&format!("Sealed 1 values again with the key {}", name_of(2))), "{told}");
    assert!(told.contains("postbacks: 1") && told.contains(&name_of(1)), "{told}");
    let (done, told) = run(&["secrets", "rotate"], &keys[..1]).await;
    assert!(done && told.contains("Sealed 0 values"), "{told}");

    // A lost key.
    drop(both);
    let (done, told) = run(&["serve"], &[("POSTRIDER_SECRET_KEY", hex(3))]).await;
    assert!(!done && told.contains(&name_of(2)), "{told}");
    let (done, told) = run(&["secrets", "forget", "0123"], &[]).await;
    assert!(!done && told.contains(&name_of(2)), "{told}");
    assert!(run(&["secrets", "forget", &name_of(2)], &[]).await.0);
    let _server = installation.start_with(&[("POSTRIDER_SECRET_KEY", &hex(3))]).await;
    // Its values cannot be sealed again, so it is not retired.
    let (_, told) = run(&["secrets", "rotate"], &[("POSTRIDER_SECRET_KEY", hex(3))]).await;
    assert!(told.contains("enter its secrets again") && !told.contains("Nothing is sealed"), "{told}");
}
