//! Databases of an older release, kept as files: this release opens them, keeps their data and finishes their work.
//!
//! The files in `upgrade/` were written by the program before its tables were renamed (19 migrations): two affiliates,
//! one of them the other's parent, a payout override, five clicks, six conversions, a withdrawal, a postback with
//! deliveries that its destination refused, a source with two requests. Adapters without postbacks were removed.

use std::io::Read;

use flate2::read::GzDecoder;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(a_database_of_an_older_release_continues);

const SQLITE: &[u8] = include_bytes!("upgrade/before_0_1.sqlite.gz");
const POSTGRES: &[u8] = include_bytes!("upgrade/before_0_1.postgres.sql.gz");

/// Half an hour after the files were written.
const LATER_MS: i64 = 1_795_926_600_000;

/// The key that sealed the secrets in the files.
const SECRET_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

async fn older(db: Database) -> Database {
    let db = db.without_schema().await;
    let mut content = Vec::new();
    let packed = if db.is_sqlite() { SQLITE } else { POSTGRES };
    GzDecoder::new(packed).read_to_end(&mut content).expect("the file is complete");
    if db.is_sqlite() {
        std::fs::write(db.sqlite_file(), content).expect("the folder takes a file");
    } else {
        db.run_script(&String::from_utf8(content).expect("SQL is text")).await;
    }
    // The state of a request whose server ended before it had processed it.
    db.execute(
        "UPDATE inbound_requests SET outcome = 'waiting', code = 'not_judged', items = '[]', tries = 0, due_at = 1,
         lease_until = 2, claim = 7, settled_at = NULL WHERE outcome = 'accepted'",
    )
    .await;
    db
}

async fn a_database_of_an_older_release_continues(db: Database) {
    let db = older(db).await;
    let t = TestApp::start_at(LATER_MS, db, |settings| settings.secret_key = Some(SECRET_KEY.to_owned())).await;
    let list = async |path: &str| t.admin.list(&format!("/api/v1/{path}")).await;

    let affiliates = list("affiliates").await;
    let by_name = |name: &str| text(affiliates.iter().find(|it| it["name"] == name).expect("it is kept"), "id");
    let (ada, grace) = (by_name("Ada"), by_name("Grace"));
    let sub_affiliates = list(&format!("sub-affiliates?parent_affiliate_id={ada}")).await;
    assert_eq!(sub_affiliates.len(), 1, "{sub_affiliates:?}");
    let offer = text(&list("offers").await[0], "id");
    let overrides = list(&format!("offers/{offer}/payout-overrides")).await;
    assert_eq!(overrides[0]["affiliate_id"], json!(grace));
    let settings = t.admin.get("/api/v1/settings/sub-affiliates").await.expect(200);
    assert_eq!(settings["paid_from"], "sub_affiliate");

    // Their old destination is gone, so they are tried again later.
    t.deliver_all().await;
    // The postback moves to a destination that answers, and what it owes arrives there with its sealed values.
    let postback = text(&list("postbacks").await[0], "id");
    let config = json!({"base_url": t.receiver.url("/t"), "method": "GET",
        "parameters": [{"name": "transaction", "macro": "transaction_id"}], "custom": [{"name": "key", "value": "k"}]});
    let path = format!("/api/v1/postbacks/{postback}");
    t.admin.patch(&path, &json!({"config": config})).await.expect(200);
    t.receiver.forget("/t");
    t.advance(std::time::Duration::from_secs(3_600));
    t.deliver_all().await;
    let delivered: Vec<_> = t.receiver.requests("/t").iter().map(|it| it.parameter("transaction")).collect();
    assert!(delivered.iter().any(|it| it == "order-5"), "{delivered:?}");
    for delivery in list("deliveries").await {
        assert_eq!(delivery["status"], "success", "{delivery}");
    }
    // The waiting request names a conversion that exists, so it changes nothing.
    for request in list("inbound-requests").await {
        assert_ne!(request["outcome"], "waiting", "{request}");
    }

    assert_eq!(list("conversions").await.len(), 6);
    let balances = list("balances").await;
    let available = |affiliate: &str| {
        let balance = balances.iter().find(|it| it["affiliate_id"] == affiliate).expect("it earned something");
        (text(balance, "available"), text(balance, "withdrawing"))
    };
    assert_eq!(available(&ada), ("42.00".to_owned(), "0.00".to_owned()));
    assert_eq!(available(&grace), ("95.00".to_owned(), "55.00".to_owned()));
    let withdrawal = text(&list("withdrawals").await[0], "id");
    t.admin.post(&format!("/api/v1/withdrawals/{withdrawal}/approve"), &json!({})).await.expect(200);
    t.assert_books_balance().await;

    t.roll_up_reports().await;
    let report = t.admin.get("/api/v1/reports?group_by=offer").await.expect(200);
    assert_eq!((&report["totals"]["clicks"], &report["totals"]["approved"]), (&json!(5), &json!(4)), "{report}");
}
