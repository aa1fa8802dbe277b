//! SIGKILL while people change objects and sign in: after the restart, the audit log has every change.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::json;

on_both_databases!(killed_at_any_moment_no_change_is_missing_in_the_log);

const AFFILIATES: usize = 120;
const CALLERS: usize = 6;

async fn killed_at_any_moment_no_change_is_missing_in_the_log(db: Database) {
    let installation = Installation::new(db);
    let mut process = installation.start().await;
    let mut next = 0;
    for kill_at in [7, 19, 31] {
        let answered = AtomicUsize::new(0);
        let client = process.client.clone();
        let part = AFFILIATES / 3;
        let callers = (0..CALLERS).map(|caller| change_things(&client, &answered, next + caller..next + part));
        let killing = async {
            eventually("enough changes", async || (answered.load(Ordering::Relaxed) >= kill_at).then_some(())).await;
            process.kill_9();
        };
        tokio::join!(join_all(callers), killing);
        next += part;
        process = installation.start().await;
        everything_is_in_the_log(&process.client, &installation.database).await;
    }
}

/// Creates an affiliate, suspends it, and signs it in by a link, until the server is killed.
async fn change_things(client: &Client, answered: &AtomicUsize, numbers: std::ops::Range<usize>) {
    for number in numbers.step_by(CALLERS) {
        let body = json!({"name": "Ann", "email": format!("ann-{number}@example.com")});
        let request = client.request(Method::POST, "/api/v1/affiliates").json(&body);
        let Ok(made) = client.try_send(request).await else { return };
        let path = format!("/api/v1/affiliates/{}", text(&made.expect(201), "id"));
        let request = client.request(Method::POST, &format!("{path}/login-link")).json(&json!({}));
        let Ok(link) = client.try_send(request).await else { return };
        let link = url::Url::parse(&text(&link.expect(201), "login_url")).expect("an absolute URL");
        let Ok(entered) = client.try_send(client.request(Method::POST, link.path())).await else { return };
        assert_eq!(entered.status, 303, "{}", entered.text);
        let request = client.request(Method::PATCH, &path).json(&json!({"status": "suspended"}));
        let Ok(changed) = client.try_send(request).await else { return };
        changed.expect(200);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

async fn everything_is_in_the_log(client: &Client, database: &Database) {
    let affiliates = client.list("/api/v1/affiliates").await;
    let log = client.list("/api/v1/audit").await;
    let of = |operation: &str| log.iter().filter(move |it| it["operation"] == operation).collect::<Vec<_>>();
    let (made, changed, entered) = (of("create_affiliate"), of("change_affiliate"), of("sign_in_by_link"));
    // The object of an unknown outcome is not recorded, but the log has the request.
    let unnamed = affiliates.iter().filter(|it| !made.iter().any(|record| record["object"] == it["id"])).count();
    let unknown = made.iter().filter(|record| record["outcome"] == "unknown").count();
    assert!(unnamed <= unknown, "{unnamed} affiliates without a record, {unknown} records without an outcome");
    for affiliate in affiliates.iter().filter(|it| it["status"] == "suspended") {
        assert!(changed.iter().any(|record| record["object"] == affiliate["id"]), "{affiliate} is not in the log");
    }
    assert_eq!(database.count("sessions").await, entered.len() as i64, "a session and its record are one");
    assert!(entered.iter().all(|record| record["outcome"] == "done"));
}
