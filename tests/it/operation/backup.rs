//! A copy of a SQLite database in use, checked and restored.

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

/// Runs a command to its end; returns whether it succeeded, and its output.
async fn run(installation: &Installation, arguments: &[&str]) -> (bool, String) {
    installation.output(arguments, &[]).await
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
async fn a_backup_can_be_restored() {
    // With a fixed public URL, answers do not depend on the port of a run.
    let installation = Installation::new(Database::sqlite()).with("POSTRIDER_PUBLIC_URL", "https://postrider.example");
    let file = installation.data_dir().join("copy.db");
    let name = file.to_str().expect("it is UTF-8");
    let mut process = installation.start().await;
    let (code, link) = program(&process.client).await;
    for n in 0..20 {
        process.client.post("/api/v1/conversions", &report(&code, &format!("T-{n}"))).await.expect(201);
        assert_eq!(process.client.get(&link).await.status, 302);
    }
    // The server has done all automatic work, such as releases.
    eventually("every hold to end", async || {
        let pending = "SELECT count(*) FROM earnings WHERE state = 'pending'";
        (installation.database.number(pending).await == 0).then_some(())
    })
    .await;
    let before = everything(&process.client).await;

    let told = done(run(&installation, &["backup", name]).await);
    assert!(told.contains("checked the copy") && told.contains("secret-key"), "{told}");
    assert_eq!(mode_of(&file) & 0o077, 0, "it is for its owner only");
    assert_eq!(beside(&file), Vec::<String>::new(), "it is one file");
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

/// Other files whose names start with the name of this file.
fn beside(file: &Path) -> Vec<String> {
    let own = file.file_name().expect("it has a name").to_str().expect("it is UTF-8");
    let all = std::fs::read_dir(file.parent().expect("it is in a folder")).expect("it is there");
    let mut names: Vec<_> = all.map(|it| it.unwrap().file_name().into_string().expect("it is UTF-8")).collect();
    names.retain(|it| it.starts_with(own) && it != own);
    names.sort();
    names
}

fn mode_of(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).expect("it is there").permissions().mode()
}

/// It has everything that was answered before the backup began, and it is the state of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_the_state_of_one_moment() {
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
async fn a_file_that_is_not_a_backup_is_refused() {
    let installation = Installation::new(Database::sqlite());
    drop(installation.start().await);
    let dir = installation.data_dir();
    let good = dir.join("good.db");
    done(run(&installation, &["backup", good.to_str().unwrap()]).await);

    // Changes some bytes in the middle.
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

    // A database from which a later release has removed something.
    let newer = dir.join("newer.db");
    std::fs::copy(&good, &newer).unwrap();
    change(&newer, "UPDATE schema_compatibility SET oldest_level = 999, oldest_release = '9.8.7'").await;
    refused(restore(&newer).await, "it needs release 9.8.7 (schema level 999) or a later one");
    let kept = installation.database.sqlite_file().with_extension("db.before-restore");
    assert!(!kept.exists(), "what is there was not touched");
    installation.start().await;
}

async fn change(file: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

/// After a rollback, the copy is of a database that a newer release has expanded; this release runs on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_a_newer_release_expanded_is_backed_up_and_restored() {
    let installation = Installation::new(Database::sqlite());
    let row = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_01_01_000999_later', 1)";
    installation.database.execute(row).await;
    let process = installation.start().await;
    let copy = installation.data_dir().join("copy.db");
    let name = copy.to_str().unwrap();
    done(run(&installation, &["backup", name]).await);
    drop(process);
    done(run(&installation, &["restore", "--replace", name]).await);
    installation.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_command_accepts_the_database_itself() {
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    program(&process.client).await;
    let (file, dir) = (installation.database.sqlite_file(), installation.data_dir());
    let (symlink, hard_link) = (dir.join("symlink.db"), dir.join("hard-link.db"));
    std::os::unix::fs::symlink(&file, &symlink).unwrap();
    // The folder may be on another file system.
    let linked = std::fs::hard_link(&file, &hard_link).is_ok();
    let around = file.parent().unwrap().join("..").join(file.parent().unwrap().file_name().unwrap());
    let mut names = vec![file.clone(), symlink, around.join("postrider.db")];
    names.extend(["-wal", "-shm", "-journal", ".lock"].map(|it| file.with_extension(format!("db{it}"))));
    names.extend(linked.then_some(hard_link));
    for name in names {
        let name = name.to_str().expect("it is UTF-8");
        refused(run(&installation, &["backup", "--replace", name]).await, "belongs to the database itself");
        refused(run(&installation, &["restore", "--replace", name]).await, "belongs to the database itself");
    }
    drop(process);
    let process = installation.start().await;
    assert_eq!(process.client.list("/api/v1/affiliates").await.len(), 1);
}

/// The state after a kill, or of a copied data folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_only_in_the_wal_of_a_backup_is_restored() {
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    program(&process.client).await;
    let before = everything(&process.client).await;
    process.kill_9();
    let (file, folder) = (installation.database.sqlite_file(), installation.data_dir().join("copied"));
    std::fs::create_dir(&folder).unwrap();
    let copy = folder.join("postrider.db");
    std::fs::copy(&file, &copy).unwrap();
    std::fs::copy(file.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
    let sizes = || [copy.clone(), copy.with_extension("db-wal")].map(|it| std::fs::metadata(it).unwrap().len());
    let copied = sizes();
    assert!(copied[1] > 0, "the WAL has something");

    // The database that is replaced has other affiliates.
    let process = installation.start().await;
    let affiliate = json!({"name": "Bob", "email": "bob@example.com"});
    process.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let later = everything(&process.client).await;
    process.kill_9();
    done(run(&installation, &["restore", "--replace", copy.to_str().unwrap()]).await);
    assert_eq!(sizes(), copied, "the backup is as it was");
    assert!(!beside(&file).iter().any(|it| it.contains("restoring")), "{:?}", beside(&file));
    assert_same(&everything(&installation.start().await.client).await, &before);

    // And back again, from the file that was kept.
    let kept = file.with_extension("db.before-restore");
    done(run(&installation, &["restore", "--replace", kept.to_str().unwrap()]).await);
    assert_same(&everything(&installation.start().await.client).await, &later);
}

/// URLs in answers depend on the port of a run.
#[track_caller]
fn assert_same(found: &[Vec<Value>], wanted: &[Vec<Value>]) {
    let ids = |all: &[Vec<Value>]| {
        let lists = all.iter().map(|list| list.iter().map(|it| text(it, "id")).collect::<Vec<_>>());
        lists.collect::<Vec<_>>()
    };
    assert_eq!(ids(found), ids(wanted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_restore_does_not_lead_to_an_empty_database() {
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    program(&process.client).await;
    let copy = installation.data_dir().join("copy.db");
    let name = copy.to_str().unwrap();
    done(run(&installation, &["backup", name]).await);
    process.kill_9();
    // The old database is set aside, and the new one is not in place yet.
    let file = installation.database.sqlite_file();
    std::fs::copy(&copy, file.with_extension("db.restoring")).unwrap();
    std::fs::rename(&file, file.with_extension("db.before-restore")).unwrap();
    let wal = std::fs::metadata(file.with_extension("db-wal")).unwrap().len();

    refused(run(&installation, &["serve"]).await, "a restore was interrupted");
    assert!(!file.exists());
    done(run(&installation, &["restore", name]).await);
    let kept_wal = file.with_extension("db.before-restore-wal");
    assert_eq!(std::fs::metadata(kept_wal).unwrap().len(), wal, "the old database keeps its WAL");
    assert_eq!(installation.start().await.client.list("/api/v1/affiliates").await.len(), 1);
}

/// Only root can change the owner of a file, so only root can run this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_restored_by_root_belongs_to_the_user_of_the_server() {
    use std::os::unix::fs::{MetadataExt, chown};
    const NOBODY: u32 = 65_534;
    let installation = Installation::new(Database::sqlite());
    drop(installation.start().await);
    let copy = installation.data_dir().join("copy.db");
    let name = copy.to_str().unwrap();
    done(run(&installation, &["backup", name]).await);
    let file = installation.database.sqlite_file();
    if std::fs::metadata(&file).unwrap().uid() != 0 {
        return;
    }
    let owner = |file: &Path| std::fs::metadata(file).unwrap().uid();
    let lock = file.with_extension("db.lock");
    chown(&file, Some(NOBODY), None).unwrap();
    done(run(&installation, &["restore", "--replace", name]).await);
    assert_eq!((owner(&file), owner(&lock)), (NOBODY, NOBODY), "of the old file");

    for file in [&file, &lock] {
        std::fs::remove_file(file).unwrap();
    }
    chown(file.parent().unwrap(), Some(NOBODY), None).unwrap();
    done(run(&installation, &["restore", name]).await);
    assert_eq!((owner(&file), owner(&lock)), (NOBODY, NOBODY), "of the folder");
    assert_eq!(mode_of(&file) & 0o077, 0, "it is for its owner only");
}

/// A backup reads for a long time, so the WAL grows. After the backup the WAL is emptied without blocking the writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_is_emptied_after_a_long_read() {
    use storage::base::sqlite::checkpoints::WAL_BYTES;
    let installation = Installation::new(Database::sqlite());
    let process = installation.start().await;
    let (code, _) = program(&process.client).await;
    let file = installation.database.sqlite_file();
    let wal_bytes = || std::fs::metadata(file.with_extension("db-wal")).unwrap().len();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).pragma("wal_autocheckpoint", "0");
    let mut reading = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM affiliates").execute(&mut reading).await.unwrap();
    let mut writing =
        sqlx::ConnectOptions::connect(&options.busy_timeout(postrider_tests::wait::DEADLINE)).await.unwrap();
    let table = "CREATE TABLE of_the_test AS SELECT zeroblob(30000000) AS it";
    sqlx::raw_sql(table).execute(&mut writing).await.unwrap();
    assert!(wal_bytes() > WAL_BYTES);
    process.client.post("/api/v1/conversions", &report(&code, "meanwhile")).await.expect(201);
    assert!(wal_bytes() > WAL_BYTES, "the read needs it");

    sqlx::raw_sql("COMMIT").execute(&mut reading).await.unwrap();
    eventually("the WAL to become small", async || {
        // The next write starts the WAL from the front.
        process.client.post("/api/v1/conversions", &report(&code, "afterwards")).await;
        (wal_bytes() <= WAL_BYTES).then_some(())
    })
    .await;
    // The other connections are still open, so the WAL was not emptied by closing the last one.
    sqlx::Connection::close(writing).await.unwrap();
    sqlx::Connection::close(reading).await.unwrap();
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
async fn for_postgresql_both_commands_name_the_alternative() {
    let installation = Installation::new(Database::postgres().await);
    refused(run(&installation, &["backup", "copy.db"]).await, "pg_dump");
    refused(run(&installation, &["restore", "copy.db"]).await, "pg_restore");
}
