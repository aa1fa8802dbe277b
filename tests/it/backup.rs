//! A copy of a SQLite database that is served, checked, and put back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

const LISTS: [&str; 8] =
    ["affiliates", "offers", "links", "clicks", "conversions", "postbacks", "earnings", "deliveries"];

/// Runs a command to its end: whether it succeeded and what it said.
async fn run(installation: &Installation, arguments: &[&str]) -> (bool, String) {
    let mut command = installation.command(arguments);
    command.env("POSTRIDER_LISTEN", "127.0.0.1:0");
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("postrider runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[track_caller]
fn refused((done, told): (bool, String), reason: &str) {
    assert!(!done && told.contains(reason), "{told}");
}

#[track_caller]
fn done((done, told): (bool, String)) -> String {
    assert!(done, "{told}");
    told
}

/// An affiliate with an offer, a link, and a postback that holds a secret.
async fn program(client: &Client) -> (String, String) {
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer =
        json!({"name": "O", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
    let offer = client.post("/api/v1/offers", &offer).await.expect(201);
    let link = json!({"affiliate_id": affiliate["id"], "offer_id": offer["id"]});
    let link = client.post("/api/v1/links", &link).await.expect(201);
    let postback = json!({
        "name": "p", "adapter": "macro-url", "action": "conversion", "enabled": false,
        "config": {
            "base_url": "https://tracker.example/p", "method": "GET", "secrets": {"key": "postback-secret-1"},
            "parameters": [{"name": "key", "macro": "secret.key"}],
        },
    });
    client.post("/api/v1/postbacks", &postback).await.expect(201);
    let path = url::Url::parse(&text(&link, "url")).expect("an absolute URL").path().to_owned();
    (text(&affiliate, "referral_code"), path)
}

fn report(code: &str, transaction: &str) -> Value {
    json!({"referral_code": code, "transaction_id": transaction, "status": "approved", "amount": "5.00", "currency": "USD"})
}

async fn everything(client: &Client) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for list in LISTS {
        all.push(client.list(&format!("/api/v1/{list}")).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_backed_up_comes_back() {
    // URLs in answers do not depend on the port of a run.
    let installation = Installation::new(Database::sqlite()).with("POSTRIDER_PUBLIC_URL", "https://postrider.example");
    let file = installation.data_dir().join("copy.db");
    let name = file.to_str().expect("it is UTF-8");
    let mut process = installation.start().await;
    let (code, link) = program(&process.client).await;
    for n in 0..20 {
        process.client.post("/api/v1/conversions", &report(&code, &format!("T-{n}"))).await.expect(201);
        assert_eq!(process.client.get(&link).await.status, 302);
    }
    // What a release is due to do by itself is done.
    eventually("every hold to end", async || {
        let pending = "SELECT count(*) FROM earnings WHERE state = 'pending'";
        (installation.database.number(pending).await == 0).then_some(())
    })
    .await;
    let before = everything(&process.client).await;

    let told = done(run(&installation, &["backup", name]).await);
    assert!(told.contains("checked the copy") && told.contains("secret-key"), "{told}");
    assert_eq!(mode_of(&file) & 0o077, 0, "it is for its owner only");
    assert!(!Path::new(&format!("{name}.partial")).exists());
    refused(run(&installation, &["backup", name]).await, "--replace");
    done(run(&installation, &["backup", "--replace", name]).await);
    refused(run(&installation, &["restore", name]).await, "another Postrider uses this database");

    process.client.post("/api/v1/conversions", &report(&code, "later")).await.expect(201);
    process.terminate();
    process.wait().await;
    refused(run(&installation, &["restore", name]).await, "--replace");
    let told = done(run(&installation, &["restore", "--replace", name]).await);
    assert!(told.contains("before-restore") && told.contains("key that it needs is here"), "{told}");

    let process = installation.start().await;
    assert_eq!(everything(&process.client).await, before);
    installation.database.assert_books_balance().await;
    process.client.post("/api/v1/conversions", &report(&code, "afterwards")).await.expect(201);
}

fn mode_of(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).expect("it is there").permissions().mode()
}

/// Everything that was answered before the backup began is in it, and it is one moment of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment() {
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    let (code, link) = program(&process.client).await;
    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let callers = (0..8).map(|caller| {
        let (client, code, link, answered, stop) = (&process.client, &code, &link, &answered, &stop);
        async move {
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                client.post("/api/v1/conversions", &report(code, &format!("{caller}-{n}"))).await.expect(201);
                assert_eq!(client.get(link).await.status, 302);
                answered.fetch_add(1, Ordering::SeqCst);
                n += 1;
            }
        }
    });
    let backing_up = async {
        let mut copies = Vec::new();
        for n in 0..3 {
            let wanted = answered.load(Ordering::SeqCst) + 50;
            eventually("some answers", async || (answered.load(Ordering::SeqCst) >= wanted).then_some(())).await;
            let (file, before) = (installation.data_dir().join(format!("{n}.db")), answered.load(Ordering::SeqCst));
            done(run(&installation, &["backup", file.to_str().expect("it is UTF-8")]).await);
            copies.push((file, before));
        }
        stop.store(true, Ordering::SeqCst);
        copies
    };
    let (_, copies) = tokio::join!(join_all(callers), backing_up);

    for (file, before) in copies {
        let elsewhere = Installation::new(Database::empty_sqlite());
        std::fs::copy(installation.data_dir().join("secret-key"), elsewhere.data_dir().join("secret-key")).unwrap();
        done(run(&elsewhere, &["restore", file.to_str().expect("it is UTF-8")]).await);
        assert!(elsewhere.database.count("conversions").await >= before as i64);
        elsewhere.database.assert_books_balance().await;
        let owed = "SELECT count(*) FROM conversions c WHERE NOT EXISTS
            (SELECT 1 FROM events e WHERE e.conversion_id = c.id)";
        assert_eq!(elsewhere.database.number(owed).await, 0, "a conversion comes with its event");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_backup_is_refused() {
    let installation = Installation::new(Database::sqlite());
    drop(installation.start().await);
    let dir = installation.data_dir();
    let good = dir.join("good.db");
    done(run(&installation, &["backup", good.to_str().unwrap()]).await);

    // Some bytes in the middle are others.
    let mut bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 6000].fill(0x5a);
    let (damaged, other, text) = (dir.join("damaged.db"), dir.join("other.db"), dir.join("text.db"));
    std::fs::write(&damaged, bytes).unwrap();
    std::fs::write(&text, "no database".repeat(1000)).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&other).create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("CREATE TABLE notes (id integer)").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let restore = async |file: &Path| run(&installation, &["restore", "--replace", file.to_str().unwrap()]).await;
    refused(restore(&damaged).await, "damaged.db");
    refused(restore(&text).await, "text.db");
    refused(restore(&other).await, "not a database of Postrider");
    refused(restore(&dir.join("missing.db")).await, "missing.db");

    // One that has seen a release to come.
    let newer = sqlx::sqlite::SqliteConnectOptions::new().filename(&good);
    let mut connection = sqlx::ConnectOptions::connect(&newer).await.unwrap();
    let row = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_01_01_000001_later', 1)";
    sqlx::query(row).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    refused(restore(&good).await, "newer release");
    let kept = installation.database.sqlite_file().with_extension("db.before-restore");
    assert!(!kept.exists(), "what is there was not touched");
    installation.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_without_the_secret_key_says_so() {
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    program(&process.client).await;
    let file = installation.data_dir().join("copy.db");
    let name = file.to_str().unwrap();
    done(run(&installation, &["backup", name]).await);
    let elsewhere = Installation::new(Database::empty_sqlite());
    let told = done(run(&elsewhere, &["restore", name]).await);
    assert!(told.contains("which is not here"), "{told}");
    refused(run(&elsewhere, &["serve"]).await, "this database holds secrets that are sealed with the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_postgresql_both_say_what_to_use() {
    let installation = Installation::new(Database::postgres().await);
    refused(run(&installation, &["backup", "copy.db"]).await, "pg_dump");
    refused(run(&installation, &["restore", "copy.db"]).await, "pg_restore");
}
