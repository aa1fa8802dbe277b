//! SIGKILL at every boundary. Data that was answered with 2xx survives; every event is delivered at least once; every
//! delivery is either terminal or scheduled.
//!
//! The server is the real program in a separate process; the clock is the real one, the lease six seconds.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::delivery::lane::places::FIRST_PLACES;
use futures::future::join_all;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::{Installation, Process};
use postrider_tests::receiver::{Receiver, Reply};
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    killed_after_the_commit_nothing_is_lost,
    killed_after_the_claim_it_is_claimed_again,
    killed_after_the_request_it_is_sent_again,
    killed_in_the_middle_of_a_thousand_conversions,
    killed_at_saturation_every_answered_click_is_there,
    killed_while_it_approves_and_releases_the_ledger_balances,
    an_idempotency_key_survives,
);

fn installation(db: Database) -> Installation {
    // Well above the timeout: deliveries that waited too long for their turn wait until their lease ends.
    Installation::new(db).with("POSTRIDER_LEASE_SECS", "6").with("POSTRIDER_REQUEST_TIMEOUT_MS", "1500")
}

struct Program {
    referral_code: String,
    click_path: String,
}

/// An affiliate, an offer, a link and a postback to `/p` of the receiver for approved conversions.
async fn program(client: &Client, receiver: &Receiver) -> Program {
    let affiliate =
        client.post("/api/v1/affiliates", &json!({"name": "Ann", "email": "ann@example.com"})).await.expect(201);
    let offer = json!({
        "name": "Offer", "landing_url": "https://shop.example/?cid={click_id}",
        "currency": "USD", "payout": {"fixed": "12.50"},
    });
    let offer = client.post("/api/v1/offers", &offer).await.expect(201);
    let link = json!({"affiliate_id": affiliate["id"], "offer_id": offer["id"]});
    let link = client.post("/api/v1/links", &link).await.expect(201);
    let postback = json!({
        "name": "p", "adapter": "macro-url", "action": "conversion", "firing_status": "approved", "enabled": true,
        "config": {
            "base_url": receiver.url("/p"), "method": "GET",
            "parameters": [{"name": "transaction", "macro": "transaction_id"}],
        },
    });
    client.post("/api/v1/postbacks", &postback).await.expect(201);
    receiver.forget("/p");
    let url = url::Url::parse(&text(&link, "url")).unwrap();
    Program { referral_code: text(&affiliate, "referral_code"), click_path: url.path().to_owned() }
}

fn report(program: &Program, transaction: &str) -> Value {
    json!({
        "referral_code": program.referral_code, "transaction_id": transaction,
        "status": "approved", "amount": "49.00", "currency": "USD",
    })
}

fn transactions(receiver: &Receiver) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for request in receiver.requests("/p") {
        *counts.entry(request.parameter("transaction")).or_default() += 1;
    }
    counts
}

/// Waits until each transaction has arrived, then until every delivery is terminal, and checks the ledger.
async fn all_delivered(process: &Process, installation: &Installation, receiver: &Receiver, wanted: &[String]) {
    eventually("every transaction to arrive", async || {
        let arrived = transactions(receiver);
        wanted.iter().all(|transaction| arrived.contains_key(transaction)).then_some(())
    })
    .await;
    eventually("every delivery to be terminal", async || {
        let pending = process.client.get("/api/v1/deliveries?status=pending&limit=1").await.expect(200);
        pending["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let deliveries = process.client.list("/api/v1/deliveries").await;
    assert_eq!(deliveries.len(), wanted.len(), "one delivery per conversion");
    for delivery in &deliveries {
        assert_eq!(delivery["status"], "success", "{delivery}");
    }
    let database = &installation.database;
    let count = wanted.len() as i64;
    assert_eq!(database.count("conversions").await, count);
    let earned = "SELECT count(*) FROM postings WHERE kind = 'earned'";
    assert_eq!(database.number(earned).await, count, "money once each");
    database.assert_books_balance().await;
    assert_eq!(database.count("events").await, count);
}

async fn killed_after_the_commit_nothing_is_lost(db: Database) {
    let installation = installation(db);
    let receiver = Receiver::start().await;
    // Without workers, an answered conversion is committed but not routed when the process is killed.
    let web = installation.start_with(&[("POSTRIDER_ROLE", "web")]).await;
    let program = program(&web.client, &receiver).await;
    let wanted: Vec<String> = (0..100).map(|n| format!("T-{n}")).collect();
    let reports = wanted.iter().map(|transaction| async {
        web.client.post("/api/v1/conversions", &report(&program, transaction)).await.expect(201)
    });
    join_all(reports).await;
    web.kill_9();
    assert!(receiver.requests("/p").is_empty());

    let process = installation.start().await;
    all_delivered(&process, &installation, &receiver, &wanted).await;
}

async fn killed_after_the_claim_it_is_claimed_again(db: Database) {
    let installation = installation(db).with("POSTRIDER_SEND_CONCURRENCY", "4");
    let receiver = Receiver::start().await;
    let process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    // The first four wait for their answers, so the other claimed deliveries were never sent.
    receiver.always("/p", Reply::Held);
    let wanted: Vec<String> = (0..40).map(|n| format!("T-{n}")).collect();
    let batch: Vec<_> = wanted.iter().map(|transaction| report(&program, transaction)).collect();
    process.client.post("/api/v1/conversions", &json!(batch)).await.expect(200);
    receiver.wait_for("/p", 1).await;
    process.kill_9();
    let before = transactions(&receiver);
    assert!(before.len() < wanted.len(), "some were not sent yet: {}", before.len());

    receiver.release();
    let process = installation.start().await;
    all_delivered(&process, &installation, &receiver, &wanted).await;
}

async fn killed_after_the_request_it_is_sent_again(db: Database) {
    // Nothing may time out before the kill, even on a slow machine.
    let installation =
        Installation::new(db).with("POSTRIDER_LEASE_SECS", "21").with("POSTRIDER_REQUEST_TIMEOUT_MS", "20000");
    let receiver = Receiver::start().await;
    let process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    receiver.always("/p", Reply::Held);
    let wanted: Vec<String> = (0..20).map(|n| format!("T-{n}")).collect();
    let batch: Vec<_> = wanted.iter().map(|transaction| report(&program, transaction)).collect();
    process.client.post("/api/v1/conversions", &json!(batch)).await.expect(200);
    // The requests fill the places of a new destination, and the sender is killed before any is answered.
    eventually("all places to be taken", async || (transactions(&receiver).len() == FIRST_PLACES).then_some(())).await;
    process.kill_9();
    let before = transactions(&receiver);
    assert_eq!(before.len(), FIRST_PLACES, "no more than these can be sent twice");

    receiver.release();
    let process = installation.start().await;
    eventually("every request to be sent again", async || {
        let now = transactions(&receiver);
        before.iter().all(|(transaction, count)| now[transaction] > *count).then_some(())
    })
    .await;
    all_delivered(&process, &installation, &receiver, &wanted).await;
}

async fn killed_in_the_middle_of_a_thousand_conversions(db: Database) {
    const CONVERSIONS: usize = 1000;
    const CALLERS: usize = 16;
    let installation = installation(db);
    let receiver = Receiver::start().await;
    let mut process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    let answered = AtomicUsize::new(0);
    let wanted: Vec<String> = (0..CONVERSIONS).map(|n| format!("T-{n}")).collect();
    let mut open: HashSet<&String> = wanted.iter().collect();
    let mut promised = HashSet::new();

    // A third each time; the last part runs to its end.
    for kill_at in [CONVERSIONS / 4, CONVERSIONS / 2, 3 * CONVERSIONS / 4, usize::MAX] {
        let client = process.client.clone();
        let mut callers = Vec::new();
        for part in open.iter().copied().collect::<Vec<_>>().chunks(open.len().div_ceil(CALLERS).max(1)) {
            callers.push(report_all(&client, &program, &answered, part.to_vec()));
        }
        let reporting = join_all(callers);
        let killing = async {
            if kill_at == usize::MAX {
                return Some(process);
            }
            eventually("enough conversions", async || (answered.load(Ordering::Relaxed) >= kill_at).then_some(()))
                .await;
            process.kill_9();
            None
        };
        let (accepted, survivor) = tokio::join!(reporting, killing);
        promised.extend(accepted.concat());
        open.retain(|transaction| !promised.contains(transaction));
        process = match survivor {
            Some(process) => process,
            None => installation.start().await,
        };
    }

    assert!(open.is_empty(), "the caller repeats what was not answered: {open:?}");
    assert_eq!(promised.len(), CONVERSIONS);
    all_delivered(&process, &installation, &receiver, &wanted).await;
}

/// Sends each until the server is killed; returns those that were answered with 2xx.
async fn report_all<'a>(
    client: &Client,
    program: &Program,
    answered: &AtomicUsize,
    transactions: Vec<&'a String>,
) -> Vec<&'a String> {
    let mut accepted = Vec::new();
    for transaction in transactions {
        let request = client.request(Method::POST, "/api/v1/conversions").json(&report(program, transaction));
        let Ok(answer) = client.try_send(request).await else { break };
        // 200: the server committed it and was killed before it could answer.
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        answered.fetch_add(1, Ordering::Relaxed);
        accepted.push(transaction);
    }
    accepted
}

async fn killed_at_saturation_every_answered_click_is_there(db: Database) {
    let installation = installation(db);
    let receiver = Receiver::start().await;
    let process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    let answered = AtomicUsize::new(0);
    let client = process.client.clone();
    let callers = (0..32).map(|_| async {
        let mut ids = Vec::new();
        loop {
            let request = client.request(Method::GET, &program.click_path);
            let Ok(answer) = client.try_send(request).await else { return ids };
            assert_eq!(answer.status, 302, "{}", answer.text);
            ids.push(postrider_tests::app::click_id_in(&answer));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    let killing = async {
        eventually("a thousand clicks", async || (answered.load(Ordering::Relaxed) >= 1000).then_some(())).await;
        process.kill_9();
    };
    let (ids, ()) = tokio::join!(join_all(callers), killing);

    let process = installation.start().await;
    let stored: HashSet<String> =
        process.client.list("/api/v1/clicks").await.iter().map(|click| text(click, "id")).collect();
    let ids = ids.concat();
    assert!(ids.len() >= 1000);
    let lost: Vec<_> = ids.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} answered clicks are gone", lost.len(), ids.len());
}

/// Several kills during approvals, releases (there is no hold) and reversals.
async fn killed_while_it_approves_and_releases_the_ledger_balances(db: Database) {
    const CONVERSIONS: usize = 400;
    let installation = installation(db);
    let receiver = Receiver::start().await;
    let mut process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    let wanted: Vec<String> = (0..CONVERSIONS).map(|n| format!("T-{n}")).collect();
    for kill_at in [50, 150, 250, usize::MAX] {
        let done = AtomicUsize::new(0);
        let client = process.client.clone();
        let callers = wanted.chunks(CONVERSIONS / 8).map(async |part| {
            for (n, transaction) in part.iter().enumerate() {
                for rejected in [false, true].into_iter().take(1 + n % 2) {
                    let mut report = report(&program, transaction);
                    if rejected {
                        report["status"] = json!("rejected");
                        report["reason"] = json!("refund");
                    }
                    let request = client.request(Method::POST, "/api/v1/conversions").json(&report);
                    let Ok(answer) = client.try_send(request).await else { return };
                    // 409: it was rejected before the process was killed.
                    assert!(matches!(answer.status, 200 | 201 | 409), "{}", answer.text);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let killing = async {
            if kill_at == usize::MAX {
                return Some(process);
            }
            eventually("enough changes", async || (done.load(Ordering::Relaxed) >= kill_at).then_some(())).await;
            process.kill_9();
            None
        };
        let (_, survivor) = tokio::join!(join_all(callers), killing);
        installation.database.assert_books_balance().await;
        process = match survivor {
            Some(process) => process,
            None => installation.start().await,
        };
    }
    let database = &installation.database;
    eventually("every hold to end", async || {
        (database.number("SELECT count(*) FROM earnings WHERE state = 'pending'").await == 0).then_some(())
    })
    .await;
    database.assert_books_balance().await;
    let available = format!("SELECT count(*) FROM balances WHERE available = {}", 12_500_000 * CONVERSIONS / 2);
    assert_eq!(database.number(&available).await, 1, "every second one was taken back");
    drop(process);
}

async fn an_idempotency_key_survives(db: Database) {
    let installation = installation(db);
    let receiver = Receiver::start().await;
    let process = installation.start().await;
    let program = program(&process.client, &receiver).await;
    let first = process.client.post_once("/api/v1/conversions", "key-1", &report(&program, "T-1")).await;
    first.expect(201);
    process.kill_9();

    let process = installation.start().await;
    let again = process.client.post_once("/api/v1/conversions", "key-1", &report(&program, "T-1")).await;
    assert_eq!((again.status, again.text), (201, first.text));
    all_delivered(&process, &installation, &receiver, &["T-1".to_owned()]).await;
}
