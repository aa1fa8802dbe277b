//! The list of postbacks: its filters, and what each postback did last.

use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection};

on_both_databases!(postbacks_are_filtered, a_list_shows_the_last_delivery_and_the_results_of_a_day);

async fn ids(client: &Client, query: &str) -> Vec<String> {
    client.list(&format!("/api/v1/postbacks?{query}")).await.iter().map(|it| text(it, "id")).collect()
}

async fn postbacks_are_filtered(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let program = t.postback("/program").save().await;
    let of_one = t.postback("/one").owned_by(&one).save().await;
    let of_two =
        t.postback("/two").owned_by(&two).scope(Some(&two), Some(&offer)).action("click").firing("any").save().await;
    let off = t.postback("/off").scope(None, Some(&offer)).disabled().save().await;

    let all = |wanted: &[&String]| wanted.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    for (query, wanted) in [
        (String::new(), all(&[&off, &of_two, &of_one, &program])),
        (format!("owner_affiliate_id={}", one.id), all(&[&of_one])),
        ("owner=program".into(), all(&[&off, &program])),
        ("owner=affiliates".into(), all(&[&of_two, &of_one])),
        ("scope=any".into(), all(&[&program])),
        ("scope=affiliate".into(), all(&[&of_one])),
        ("scope=offer".into(), all(&[&off])),
        ("scope=both".into(), all(&[&of_two])),
        (format!("affiliate_id={}", two.id), all(&[&of_two])),
        (format!("offer_id={offer}"), all(&[&off, &of_two])),
        ("action=click".into(), all(&[&of_two])),
        ("adapter=macro-url&status=live".into(), all(&[&of_two, &of_one, &program])),
        ("adapter=mylead".into(), all(&[])),
        ("status=off".into(), all(&[&off])),
        ("status=failing".into(), all(&[])),
        ("search=Postback%20/t&status=live".into(), all(&[&of_two])),
    ] {
        assert_eq!(ids(&t.admin, &query).await, wanted, "{query}");
    }
    assert_eq!(ids(&one.client, "").await, std::slice::from_ref(&of_one));
    assert!(ids(&one.client, &format!("owner_affiliate_id={}", two.id)).await.is_empty());
    assert!(ids(&one.client, "owner=program").await.is_empty());
    t.admin.get("/api/v1/postbacks?status=nope").await.expect_problem(400, "invalid_parameter");
}

async fn a_list_shows_the_last_delivery_and_the_results_of_a_day(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let good = t.postback("/good").save().await;
    let bad = t.postback("/bad").owned_by(&click.link.affiliate).save().await;
    let idle = t.postback("/idle").firing("rejected").save().await;
    t.receiver.always("/bad", Reply::status(400));
    t.conversion(&click).transaction("old").send().await;
    t.deliver_all().await;
    t.advance(std::time::Duration::from_secs(90_000));
    for transaction in ["a", "b"] {
        t.conversion(&t.click_on(&click.link, "").await).transaction(transaction).send().await;
        t.deliver_all().await;
    }

    let listed = t.admin.list("/api/v1/postbacks").await;
    let of = |id: &str| listed.iter().find(|it| it["id"] == id).expect("it is listed");
    let results = |id: &str| of(id)["last_24_hours"].clone();
    assert_eq!(results(&good), json!({"success": 2, "failed": 0, "capped": false}));
    assert_eq!(results(&bad), json!({"success": 0, "failed": 2, "capped": false}));
    assert_eq!(results(&idle), json!({"success": 0, "failed": 0, "capped": false}));
    assert_eq!(
        (&of(&good)["last_delivery_status"], &of(&bad)["last_delivery_status"]),
        (&json!("success"), &json!("failed"))
    );
    assert!(of(&good)["last_delivery_at"].is_string() && of(&idle)["last_delivery_at"].is_null());
    assert_eq!(of(&good)["status"], "live");

    // The breakers of the program and of an affiliate are separate, also for one host.
    let lane = format!("{} {}", t.receiver.url("").trim_end_matches('/'), click.link.affiliate.id);
    let owner = text(of(&bad), "owner_affiliate_id");
    assert_eq!(owner, click.link.affiliate.id);
    let sql = format!(
        "INSERT INTO breakers (lane, state, since, opened_at, failures, failed_probes, probe_at, reason_code, reason,
             open_notified_at, day_notified, owner_affiliate_id)
         SELECT '{lane}', 'open', 0, 0, 20, 0, 9000000000000, 'http_503', 'it failed', 0, false, owner_affiliate_id
         FROM postbacks WHERE owner_affiliate_id IS NOT NULL"
    );
    t.database.execute(&sql).await;
    assert_eq!(ids(&t.admin, "status=failing").await, std::slice::from_ref(&bad));
    assert_eq!(ids(&t.admin, "status=live").await, [idle, good]);
}

/// Every part of the query reads the end of one range of the index, so the list of busy postbacks stays quick.
#[tokio::test]
async fn the_activity_of_a_list_is_read_by_an_index() {
    let t = TestApp::start(Database::sqlite()).await;
    t.click().await;
    let sql = storage::delivery::postback_activity::sql("SELECT postback_id FROM postback_destinations");
    let sql = sql.replace("{rows}", "VALUES (x'00')").replace("{1}", "x'00'");
    let mut connection = SqliteConnection::connect(&t.database.url()).await.expect("the file");
    let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&mut connection).await;
    let plan: Vec<String> = plan.expect("a plan").iter().map(|row| row.get("detail")).collect();
    let reads: Vec<_> = plan.iter().filter(|it| it.contains("deliveries")).collect();
    assert_eq!(reads.len(), 6, "{plan:#?}");
    assert!(
        reads.iter().all(|it| it.starts_with("SEARCH deliveries USING") && it.contains("deliveries_by_postback")),
        "{plan:#?}"
    );
    assert!(!plan.iter().any(|it| it.contains("TEMP B-TREE")), "{plan:#?}");
}
