//! `postrider demo`: the first thing that a new user tries must work.

use postrider_tests::client::{Answer, Client};
use postrider_tests::database::Database;
use postrider_tests::process::Installation;
use reqwest::Method;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_ends_well() {
    let installation = Installation::new(Database::empty_sqlite());
    // The demo chooses its own database and its own egress rules.
    let own = ["DATABASE_URL", "POSTRIDER_EGRESS_ALLOW", "POSTRIDER_ADMIN_API_KEY"];

    let status = installation.run(&["demo", "--once"], &own).await;

    let log = installation.log();
    assert!(status.success(), "{status}:\n{log}");
    for word in ["approved", "rejected", "click"] {
        assert!(log.contains(word), "the table tells of {word}:\n{log}");
    }
}

/// The path of the newest link of a role.
fn link_of(log: &str, role: &str) -> String {
    let line = log.lines().rfind(|line| line.trim_start().starts_with(role)).expect("a link of each role");
    let link = line.split_whitespace().last().expect("a link");
    url::Url::parse(link).expect("an absolute URL").path().to_owned()
}

/// The button of the page that a preview gets.
async fn enter(client: &Client, path: &str) -> Answer {
    client.send(client.request(Method::POST, path).header("sec-fetch-site", "same-origin")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_has_a_past_that_each_role_opens_by_a_link() {
    let database = Database::empty_sqlite();
    let folder = database.sqlite_file().parent().expect("a file is in a folder").to_owned();
    let installation = Installation::new(Database::empty_sqlite());
    let mut demo = installation.start_demo(&folder).await;
    let log = installation.log();
    assert!(log.contains("arrived as expected"), "{log}");
    let anonymous = demo.client.with_key(None);

    let (affiliate, admin) = (link_of(&log, "Affiliate"), link_of(&log, "Admin"));
    for (link, pages) in [
        (
            &affiliate,
            &["/", "/offers", "/links", "/clicks", "/conversions", "/earnings", "/statement", "/withdrawals"][..],
        ),
        (&admin, &["/", "/offers", "/conversions", "/withdrawals", "/audit"]),
    ] {
        assert_eq!(anonymous.get(link).await.status, 200, "looking at a link does not use it up");
        let entered = enter(&anonymous, link).await;
        assert_eq!((entered.status, entered.header("location")), (303, Some("/")), "{}", entered.text);
        assert_eq!(enter(&anonymous, link).await.status, 410, "a link works once");
        let person = anonymous.with_session_of(&entered);
        for page in pages {
            let answer = person.get(page).await;
            assert_eq!(answer.status, 200, "{page}: {}", answer.text);
            assert!(*page == "/" || answer.text.contains("<tbody>"), "{page} has rows: {}", answer.text);
        }
    }

    demo.terminate();
    assert!(demo.wait().await.success());
    database.assert_books_balance().await;
    for (table, column, values) in [
        ("conversions", "status", &["pending", "approved", "rejected"][..]),
        ("deliveries", "state", &["success", "failed", "pending", "cancelled"]),
        ("withdrawals", "status", &["requested", "approved", "paid", "refused", "cancelled", "failed", "returned"]),
        ("inbound_requests", "outcome", &["accepted", "duplicate", "refused", "waiting"]),
        ("applications", "status", &["pending", "approved", "refused"]),
        ("earnings", "state", &["pending", "available"]),
    ] {
        for value in values {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = '{value}'");
            assert!(database.number(&sql).await > 0, "{table} has {column} {value}");
        }
    }
    assert!(database.count("clicks").await > 7_000, "a past of ninety days");
    let days = "SELECT (max(occurred_at) - min(occurred_at)) / 86400000 FROM clicks";
    assert_eq!(database.number(days).await, 89);

    let counted = async || (database.count("clicks").await, database.count("conversions").await);
    let before = counted().await;
    let demo = installation.start_demo(&folder).await;
    assert_eq!(counted().await, before, "the second start adds nothing");
    let again = link_of(&installation.log(), "Affiliate");
    assert_ne!(again, affiliate);
    assert_eq!(enter(&demo.client.with_key(None), &again).await.status, 303);
}
