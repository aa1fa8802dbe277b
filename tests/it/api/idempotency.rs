//! The same call again, also fifty times at once, counts once.

use std::collections::HashSet;

use futures::future::join_all;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(
    fifty_equal_reports_at_once_are_one_conversion,
    fifty_approvals_at_once_are_one_posting,
    a_simultaneous_approval_and_rejection_end_consistently,
    the_same_key_gets_the_same_answer,
    the_same_key_with_another_body_is_refused,
    fifty_equal_calls_with_one_key_create_one_thing,
    a_refused_call_can_be_corrected_with_the_same_key,
    a_call_that_may_have_been_stored_keeps_its_key,
    a_call_that_failed_before_it_wrote_can_be_repeated,
    nothing_is_stored_of_a_pasted_url,
);

async fn fifty_equal_reports_at_once_are_one_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postbacks = [t.postback("/a").save().await, t.postback("/b").save().await];
    let report = t.conversion(&click);

    let answers = join_all((0..50).map(|_| report.try_send())).await;
    t.deliver_all().await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let again = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, again), (1, 49));
    let bodies: HashSet<_> = answers.iter().map(|answer| &answer.text).collect();
    assert_eq!(bodies.len(), 1, "the same answer for all: {bodies:?}");
    assert_eq!(t.database.count("conversions").await, 1);
    assert_eq!(t.postings().await, 1);
    for (postback, path) in postbacks.iter().zip(["/a", "/b"]) {
        assert_eq!(t.deliveries(postback).await.len(), 1);
        t.receiver.only_request(path);
    }
}

async fn fifty_approvals_at_once_are_one_posting(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").save().await;
    let id = t.conversion(&click).status("pending").send().await;
    let before = t.postings().await;

    let answers = join_all((0..50).map(|_| t.approve(&id))).await;
    t.deliver_all().await;

    for answer in answers {
        assert_eq!(answer.expect(200)["revision"], 2);
    }
    assert_eq!(t.postings().await, before + 1);
    assert_eq!(t.deliveries(&postback).await.len(), 1);
    t.receiver.only_request("/p");
}

async fn a_simultaneous_approval_and_rejection_end_consistently(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    for _ in 0..10 {
        let id = t.conversion(&click).status("pending").send().await;
        let (approved, rejected) = tokio::join!(t.approve(&id), t.reject(&id, "fraud"));

        // The last decision holds, whichever it is.
        let (approved, rejected) = (approved.expect(200), rejected.expect(200));
        let now = t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200);
        assert_eq!(now["revision"], 3);
        assert!([approved, rejected].contains(&now), "{now}");
    }
    let approved = t.database.number("SELECT count(*) FROM conversions WHERE status = 'approved'").await;
    let owed = "SELECT count(*) FROM earnings WHERE state = 'available'";
    assert_eq!(t.database.number(owed).await, approved, "no money is left of what was rejected");
    t.assert_books_balance().await;
}

async fn the_same_key_gets_the_same_answer(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "Ann", "email": "ann@example.com"});

    let first = t.admin.post_once("/api/v1/affiliates", "key-1", &body).await;
    let second = t.admin.post_once("/api/v1/affiliates", "key-1", &body).await;
    let other_key =
        t.admin.post_once("/api/v1/affiliates", "key-2", &json!({"name": "Ben", "email": "ben@example.com"})).await;

    first.expect(201);
    assert_eq!((second.status, &second.text), (201, &first.text));
    other_key.expect(201);
    assert_eq!(t.database.count("affiliates").await, 2);

    // A key belongs to its caller and to its path.
    let affiliate = t.affiliate().await;
    let offer = t.offer().await;
    let link = json!({"offer_id": offer});
    affiliate.client.post_once("/api/v1/links", "key-1", &link).await.expect(201);
    let other = t.affiliate().await;
    other.client.post_once("/api/v1/links", "key-1", &link).await.expect(201);
    assert_eq!(t.database.count("links").await, 2);
}

async fn the_same_key_with_another_body_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let body = |name: &str| json!({"name": name, "email": "ann@example.com"});
    t.admin.post_once("/api/v1/affiliates", "key-1", &body("Ann")).await.expect(201);

    let answer = t.admin.post_once("/api/v1/affiliates", "key-1", &body("Bob")).await;

    answer.expect_problem(409, "idempotency_key_reused");
    assert_eq!(t.database.count("affiliates").await, 1);
    for bad in ["", &"k".repeat(300)] {
        let answer = t.admin.post_once("/api/v1/affiliates", bad, &body("Cid")).await;
        answer.expect_problem(400, "invalid_idempotency_key");
    }
}

async fn fifty_equal_calls_with_one_key_create_one_thing(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "Ann", "email": "ann@example.com"});

    let answers = join_all((0..50).map(|_| t.admin.post_once("/api/v1/affiliates", "one", &body))).await;

    let mut ids = HashSet::new();
    for answer in answers {
        match answer.status {
            201 => drop(ids.insert(text(&answer.json(), "id"))),
            _ => drop(answer.expect_problem(409, "idempotency_key_in_progress")),
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(t.database.count("affiliates").await, 1);
}

/// A call that changed nothing releases its key.
async fn a_refused_call_can_be_corrected_with_the_same_key(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut body = json!({"click_id": click.id, "transaction_id": "T-1", "amount": "abc", "currency": "USD"});
    t.admin.post_once("/api/v1/conversions", "key-1", &body).await.expect_problem(422, "invalid_amount");

    body["amount"] = json!("1.00");
    t.admin.post_once("/api/v1/conversions", "key-1", &body).await.expect(201);
    assert_eq!(t.database.count("conversions").await, 1);
}

/// The database fails after the transaction began. The server cannot know whether a COMMIT whose reply was lost was
/// carried out, so it does not carry the call out again.
async fn a_call_that_may_have_been_stored_keeps_its_key(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "Ann", "email": "ann@example.com"});
    t.database.execute("ALTER TABLE affiliates RENAME TO affiliates_away").await;
    let failed = t.admin.post_once("/api/v1/affiliates", "key-1", &body).await.expect_problem(503, "unavailable");
    assert!(text(&failed, "detail").contains("may have been carried out"), "{failed}");
    t.database.execute("ALTER TABLE affiliates_away RENAME TO affiliates").await;

    let again = t.admin.post_once("/api/v1/affiliates", "key-1", &body).await;
    let again = again.expect_problem(409, "idempotency_key_in_progress");
    assert!(text(&again, "detail").contains("look whether it was carried out"), "{again}");
    assert_eq!(t.database.count("affiliates").await, 0);
    t.admin.post_once("/api/v1/affiliates", "key-2", &body).await.expect(201);
}

/// The database fails while the call only reads.
async fn a_call_that_failed_before_it_wrote_can_be_repeated(db: Database) {
    let t = TestApp::start(db).await;
    let parent = t.affiliate().await;
    let body = json!({"name": "Ann", "email": "ann@example.com", "parent_affiliate": parent.id});
    t.database.execute("ALTER TABLE affiliates RENAME TO affiliates_away").await;
    let failed = t.admin.post_once("/api/v1/affiliates", "key-1", &body).await.expect_problem(503, "unavailable");
    assert!(text(&failed, "detail").contains("nothing was changed"), "{failed}");
    t.database.execute("ALTER TABLE affiliates_away RENAME TO affiliates").await;

    t.admin.post_once("/api/v1/affiliates", "key-1", &body).await.expect(201);
    assert_eq!(t.database.count("affiliates").await, 2);
}

async fn nothing_is_stored_of_a_pasted_url(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"url": "https://t.example/p?cid={click_id}&apikey=n33dle"});
    for _ in 0..2 {
        let parsed = t.admin.post_once("/api/v1/postbacks/parse", "once", &body).await;
        parsed.expect(200);
        assert_eq!(parsed.header("idempotency-replayed"), None);
    }
    assert_eq!(t.database.count("idempotency_keys").await, 0);
}
