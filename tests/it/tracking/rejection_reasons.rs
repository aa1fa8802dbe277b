//! The catalogue of rejection reasons, and decisions about many conversions.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(
    conversions_are_rejected_with_reasons_of_the_catalogue,
    a_retired_reason_stays_where_it_is_used,
    many_conversions_are_decided_at_once,
);

const REASONS: &str = "/api/v1/rejection-reasons";

async fn conversions_are_rejected_with_reasons_of_the_catalogue(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let id = t.conversion(&click).status("pending").send().await;
    let problem = t.reject(&id, "frad").await.expect_problem(422, "unknown_rejection_reason");
    assert_eq!(problem["errors"][0]["path"], "/reason");
    assert!(text(&problem, "detail").contains("did you mean fraud?"), "{problem}");
    let note = json!({"reason": "Invalid lead", "note": " No such street. "});
    let rejected = t.admin.post(&format!("/api/v1/conversions/{id}/reject"), &note).await.expect(200);
    assert_eq!(rejected["rejection_reason"], "invalid_lead");
    assert_eq!(rejected["rejection_note"], "No such street.");
    assert!(t.approve(&id).await.expect(200)["rejection_note"].is_null());

    // A report keeps its own words.
    let reported = t.conversion(&click).transaction("T-2").rejected("declined by bank").send().await;
    let reported = t.admin.get(&format!("/api/v1/conversions/{reported}")).await.expect(200);
    assert_eq!(reported["rejection_reason"], "declined by bank");

    let new = json!({"code": "late_payment", "text": "The customer paid too late."});
    t.admin.post(REASONS, &new).await.expect(201);
    t.admin.post(REASONS, &new).await.expect_problem(409, "taken");
    for (code, text) in [("Late payment", "x"), ("ok", ""), ("", "x")] {
        t.admin.post(REASONS, &json!({"code": code, "text": text})).await.expect_problem(422, "invalid_field");
    }
    t.reject(&id, "late_payment").await.expect(200);
    // Affiliates read the texts.
    let listed = click.link.affiliate.client.get(REASONS).await.expect(200);
    let listed = listed["items"].as_array().expect("items");
    assert!(listed.iter().any(|it| it["text"] == "The customer paid too late."), "{listed:?}");
}

async fn a_retired_reason_stays_where_it_is_used(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let first = t.conversion(&click).status("pending").send().await;
    t.reject(&first, "fraud").await.expect(200);
    let path = format!("{REASONS}/fraud");
    let retired = t.admin.patch(&path, &json!({"retired": true})).await.expect(200);
    assert!(retired["retired_at"].is_string() && retired["text"] == "The sale shows signs of fraud.", "{retired}");
    let second = t.conversion(&click).transaction("T-2").status("pending").send().await;
    t.reject(&second, "fraud").await.expect_problem(422, "retired_rejection_reason");
    let kept = t.admin.get(&format!("/api/v1/conversions/{first}")).await.expect(200);
    assert_eq!(kept["rejection_reason"], "fraud");
    t.postback("/p").firing("rejected").reasons(&["fraud", "any other word"]).save().await;
    let offered = t.admin.patch(&path, &json!({"retired": false, "text": "Fraud."})).await.expect(200);
    assert!(offered["retired_at"].is_null() && offered["text"] == "Fraud.", "{offered}");
    t.reject(&second, "fraud").await.expect(200);
    t.admin.patch(&format!("{REASONS}/nothing"), &json!({"text": "x"})).await.expect_problem(404, "not_found");
}

async fn many_conversions_are_decided_at_once(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"payout": {"fixed": "12.50"}})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let mut ids = Vec::new();
    for at in 0..3 {
        ids.push(t.conversion(&click).transaction(&format!("T-{at}")).status("pending").send().await);
    }
    let conversions = "/api/v1/conversions";
    let preview = async |decision: &str| {
        let body = json!({"ids": ids, "decision": decision});
        t.admin.post(&format!("{conversions}/preview-decision"), &body).await.expect(200)
    };
    let sum = |amount: &str| json!([{"currency": "USD", "amount": amount}]);
    assert_eq!(preview("approve").await, json!({"changing": 3, "unchanged": 0, "payouts": sum("37.50")}));
    assert_eq!(preview("reject").await, json!({"changing": 3, "unchanged": 0, "payouts": []}));
    let unknown = "cnv_06a5xk2m7q8r9stvwxyz012345";
    let body = json!({"ids": [ids[0], ids[1], unknown]});
    let answer = t.admin.post(&format!("{conversions}/approve"), &body).await.expect(200);
    assert_eq!(answer["done"], 2);
    let codes: Vec<_> = answer["items"].as_array().expect("items").iter().map(|it| it["code"].clone()).collect();
    assert_eq!(codes, [json!(null), json!(null), json!("not_found")]);
    assert_eq!(preview("reject").await, json!({"changing": 3, "unchanged": 0, "payouts": sum("25.00")}));

    let body = json!({"ids": ids, "reason": "fruad"});
    let reject = format!("{conversions}/reject");
    t.admin.post(&reject, &body).await.expect_problem(422, "unknown_rejection_reason");
    t.admin.post(&reject, &json!({"ids": [], "reason": "fraud"})).await.expect_problem(422, "invalid_field");
    let body = json!({"ids": ids, "reason": "fraud", "note": "Same card."});
    let answer = t.admin.post(&reject, &body).await.expect(200);
    assert_eq!(answer["done"], 3, "{answer}");
    let found = affiliate.client.list(conversions).await;
    assert!(found.iter().all(|it| it["rejection_reason"] == "fraud" && it["rejection_note"] == "Same card."));
    assert_eq!(preview("reject").await["changing"], 0);
    t.assert_books_balance().await;
}
