//! The disk fails: nothing that was answered with 2xx is lost, no postback is sent for data that is not stored, and afterwards
//! the server works again or has ended with a sentence.
//!
//! SQLite runs on a file system that fails on demand (`postrider_tests::faulty_disk`), so the test runs on every machine.

mod postgres;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use postrider_tests::app::{Link, TestApp, click_id_in};
use postrider_tests::database::Database;
use postrider_tests::faulty_disk::{Fault, FaultyDisk};
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const CALLERS: usize = 8;

/// The data that was answered with 2xx or 302.
#[derive(Default)]
pub struct Promised {
    transactions: Mutex<BTreeSet<String>>,
    clicks: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
}

impl Promised {
    /// Sends a conversion; returns whether it was accepted.
    pub async fn conversion(&self, t: &TestApp, link: &Link, transaction: &str) -> bool {
        let body = json!({
            "referral_code": link.affiliate.referral_code, "offer_id": link.offer, "transaction_id": transaction,
            "status": "approved", "amount": "49.00", "currency": "USD",
        });
        let answer = t.admin.post("/api/v1/conversions", &body).await;
        let taken = matches!(answer.status, 200 | 201);
        if taken {
            self.transactions.lock().unwrap().insert(transaction.to_owned());
        } else {
            answer.expect_problem(503, "unavailable");
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }

    pub async fn click(&self, t: &TestApp, link: &Link) -> bool {
        let answer = t.anonymous().get(&link.path).await;
        let taken = answer.status == 302;
        if taken {
            self.clicks.lock().unwrap().insert(click_id_in(&answer));
        } else {
            assert_eq!(answer.status, 503, "{}", answer.text);
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }

    /// Conversions and clicks of concurrent callers, until `stop_at` conversions are accepted.
    pub async fn load(&self, t: &TestApp, link: &Link, stop_at: &AtomicUsize) {
        let callers = (0..CALLERS).map(async |caller| {
            let mut n = 0;
            while self.taken() < stop_at.load(Ordering::SeqCst) {
                self.conversion(t, link, &format!("{caller}-{n}")).await;
                self.click(t, link).await;
                n += 1;
            }
        });
        join_all(callers).await;
    }

    pub fn taken(&self) -> usize {
        self.transactions.lock().unwrap().len()
    }

    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// All promised data is in the database, as other connections see it, and after a restart.
    pub async fn is_kept(&self, t: &mut TestApp) {
        self.is_stored(&t.database).await;
        t.restart_with(|_| {}).await;
        t.deliver_all().await;
        self.is_stored(&t.database).await;
        let stored: BTreeSet<String> = column(&t.admin.list("/api/v1/conversions").await, "transaction_id");
        let sent = t.receiver.requests("/p");
        let sent: BTreeSet<String> = sent.iter().map(|it| it.parameter("transaction")).collect();
        assert_eq!(sent, stored, "postbacks are for what is stored, and for all of it");
        let clicks = column(&t.admin.list("/api/v1/clicks").await, "id");
        let lost: Vec<_> = self.clicks.lock().unwrap().difference(&clicks).cloned().collect();
        assert!(lost.is_empty(), "clicks are gone: {lost:?}");
        t.assert_books_balance().await;
    }

    async fn is_stored(&self, database: &Database) {
        let transactions = self.transactions.lock().unwrap().clone();
        for transaction in transactions {
            let sql = format!("SELECT count(*) FROM conversions WHERE transaction_id = '{transaction}'");
            assert_eq!(database.number(&sql).await, 1, "{transaction} was answered 2xx and is not stored");
        }
    }
}

fn column(rows: &[Value], field: &str) -> BTreeSet<String> {
    rows.iter().map(|row| postrider_tests::client::text(row, field)).collect()
}

/// A link whose approved conversions go to `/p` of the receiver.
pub async fn program(t: &TestApp) -> Link {
    t.postback("/p").save().await;
    t.any_link().await
}

pub async fn readiness(t: &TestApp, status: u16) {
    eventually("the readiness that is wanted", async || {
        (t.anonymous().get("/readyz").await.status == status).then_some(())
    })
    .await;
}

async fn on_faulty_disk() -> (TestApp, FaultyDisk) {
    let disk = FaultyDisk::new();
    let database = Database::sqlite();
    let url = disk.under(&database.url());
    (TestApp::start_with(database, |settings| settings.database_url = Some(url)).await, disk)
}

/// The disk fails for a moment while conversions arrive one by one.
async fn survives_for_a_moment(fault: Fault) {
    let (mut t, disk) = on_faulty_disk().await;
    let (link, promised) = (program(&t).await, Promised::default());
    assert!(promised.conversion(&t, &link, "before").await);
    t.deliver_all().await;
    readiness(&t, 200).await;

    disk.set(fault);
    for n in 0..6 {
        assert!(!promised.conversion(&t, &link, &format!("during-{n}")).await, "nothing can be stored");
        assert!(!promised.click(&t, &link).await, "nothing can be stored");
    }
    assert!(disk.failures() > 0, "the disk has failed");
    readiness(&t, 503).await;

    disk.set(Fault::Nothing);
    for n in 0..20 {
        assert!(promised.conversion(&t, &link, &format!("after-{n}")).await);
        assert!(promised.click(&t, &link).await);
    }
    readiness(&t, 200).await;
    promised.is_kept(&mut t).await;
}

/// The same with many concurrent callers and clicks.
async fn survives_under_load(fault: Fault) {
    let (mut t, disk) = on_faulty_disk().await;
    let (link, promised) = (program(&t).await, Promised::default());
    let stop_at = AtomicUsize::new(usize::MAX);
    let load = promised.load(&t, &link, &stop_at);
    let failing = async {
        for round in 1..=3 {
            let taken = promised.taken();
            eventually("some conversions", async || (promised.taken() >= taken + 20).then_some(())).await;
            disk.set(fault);
            eventually("some refusals", async || (promised.refused() >= round * 2 * CALLERS).then_some(())).await;
            disk.set(Fault::Nothing);
        }
        stop_at.store(promised.taken() + 40, Ordering::SeqCst);
    };
    tokio::join!(load, failing);
    readiness(&t, 200).await;
    promised.is_kept(&mut t).await;
}

macro_rules! faults {
    ($($name:ident: $fault:expr),+ $(,)?) => { $(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn for_a_moment() {
                survives_for_a_moment($fault).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn under_load() {
                survives_under_load($fault).await;
            }
        }
    )+ };
}

faults!(
    disk_full: Fault::Full,
    io_error_on_the_wal: Fault::WritingWal,
    io_error_on_commit: Fault::FlushingWal,
    read_only_remount: Fault::ReadOnly,
);

/// A failed commit closes the connection. If no new connection can be opened, the process logs the reason and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_ends_if_the_database_cannot_be_opened_again() {
    let installation = Installation::new(Database::empty_sqlite());
    let mut process = installation.start_limitable().await;
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = process.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer =
        json!({"name": "Shoes", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
    let offer = process.client.post("/api/v1/offers", &offer).await.expect(201);
    // The file is removed, and its open handle cannot grow, as when a volume is detached.
    let file = installation.database.sqlite_file();
    let elsewhere = file.with_extension("moved");
    std::fs::rename(&file, &elsewhere).expect("it is there");
    let wal = std::fs::metadata(file.with_extension("db-wal")).expect("it is served").len();
    assert!(wal > 2 * installation.log().len() as u64, "the log of the server has room");
    process.limit_file_sizes(wal);
    // The first COMMIT fails. The next conversion gets the same connection, which has to be replaced.
    let conversion = json!({
        "referral_code": affiliate["referral_code"], "offer_id": offer["id"], "transaction_id": "refused",
        "status": "approved",
    });
    let status = eventually("the process to end", async || {
        let request = process.client.request(Method::POST, "/api/v1/conversions").json(&conversion);
        if let Ok(answer) = process.client.try_send(request).await {
            assert_eq!(answer.status, 503, "{}", answer.text);
        }
        process.ended()
    })
    .await;
    assert_eq!(status.code(), Some(1));
    let log = installation.log();
    assert!(log.contains("can't be opened again after a transaction failed"), "{log}");

    std::fs::rename(&elsewhere, &file).expect("it is there");
    let process = installation.start().await;
    assert_eq!(process.client.list("/api/v1/affiliates").await.len(), 1, "what was answered 201 is there");
    assert!(process.client.list("/api/v1/conversions").await.is_empty(), "what was answered 503 is not there");
}
