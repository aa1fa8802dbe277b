//! Clicks under load: the number of rows equals the number of 302 answers, for simultaneous and random arrivals.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use postrider_tests::app::{TestApp, click_id_in};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use rand::{Rng, SeedableRng};

on_both_databases!(at_saturation_every_redirect_has_its_row, at_random_arrivals_every_redirect_has_its_row);

const CALLERS: usize = 64;
const CLICKS: usize = 4000;

async fn at_saturation_every_redirect_has_its_row(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let left = AtomicUsize::new(CLICKS);

    let callers = (0..CALLERS).map(|_| async {
        let client = t.anonymous();
        let mut answered = Vec::new();
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            let answer = client.get(&format!("{}?sub1=s", link.path)).await;
            assert_eq!(answer.status, 302, "{}", answer.text);
            answered.push(click_id_in(&answer));
        }
        answered
    });
    let answered: Vec<String> = join_all(callers).await.concat();

    every_one_is_stored(&t, answered, CLICKS).await;
}

async fn at_random_arrivals_every_redirect_has_its_row(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let count = 600;

    // Half of the arrivals come alone, the others in bursts; the seed makes a failure repeatable.
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut at_ms = 0;
    let arrivals: Vec<u64> = (0..count)
        .map(|_| {
            at_ms += if random.random_bool(0.5) { random.random_range(1..8) } else { 0 };
            at_ms
        })
        .collect();
    let start = tokio::time::Instant::now();
    let visits = arrivals.into_iter().map(|at_ms| {
        let (client, link) = (t.anonymous(), &link);
        async move {
            tokio::time::sleep_until(start + Duration::from_millis(at_ms)).await;
            let answer = client.get(&link.path).await;
            assert_eq!(answer.status, 302, "{}", answer.text);
            click_id_in(&answer)
        }
    });
    let answered = join_all(visits).await;

    every_one_is_stored(&t, answered, count).await;
}

/// The rows are exactly the answered clicks, without waiting.
async fn every_one_is_stored(t: &TestApp, answered: Vec<String>, count: usize) {
    assert_eq!(t.database.count("clicks").await, count as i64);
    let answered: HashSet<String> = answered.into_iter().collect();
    assert_eq!(answered.len(), count, "every click has an id of its own");
    let stored: HashSet<String> = t.admin.list("/api/v1/clicks").await.iter().map(|click| text(click, "id")).collect();
    assert_eq!(stored, answered);
}
