//! Refunds with ids of their own, sales that several parameters identify, and rejections that are taken back.

use super::*;

on_both_databases!(
    a_refund_with_an_id_of_its_own_takes_back_the_sale_that_it_names,
    a_refund_with_a_prefix_takes_back_the_sale_behind_it,
    a_negative_amount_lowers_the_sale_that_it_names,
    several_parameters_identify_a_sale,
    a_rejection_is_taken_back_where_the_source_allows_it,
    a_reopened_conversion_counts_for_its_cap,
    a_reopened_conversion_needs_room_for_its_corrected_payout,
);

async fn a_refund_with_an_id_of_its_own_takes_back_the_sale_that_it_names(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"reversal_parameter": "parent"})).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "7001"), ("sum", "5"), ("parent", "6000")]).await;
    assert_eq!(only_conversion(&t, &click).await["transaction_id"], "7001", "only a rejection names another sale");
    source.report(&[sub, ("tid", "7002"), ("st", "refunded"), ("sum", "-5"), ("parent", "7001")]).await;
    let it = only_conversion(&t, &click).await;
    assert_eq!((&it["status"], &it["rejection_reason"]), (&json!("rejected"), &json!("refund")));
    // Without a click id, too; and a rejection that names no other sale means its own.
    for (sale, tid, parent) in [("8001", "8002", "8001"), ("9001", "9001", "")] {
        let click = t.click().await;
        source.report(&[("sub", &click.id), ("tid", sale), ("sum", "5")]).await;
        source.report(&[("tid", tid), ("st", "chargeback"), ("parent", parent)]).await;
        assert_eq!(only_conversion(&t, &click).await["status"], "rejected", "{parent}");
    }
}

async fn a_refund_with_a_prefix_takes_back_the_sale_behind_it(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"reversal_prefix": "r-"})).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "r-381f"), ("sum", "5")]).await;
    assert_eq!(only_conversion(&t, &click).await["transaction_id"], "r-381f", "only a reversal has a prefix");
    source.report(&[sub, ("tid", "R-r-381f"), ("sum", "-5"), ("st", "chargeback")]).await;
    assert_eq!(only_conversion(&t, &click).await["status"], "rejected");
    source.patch(json!({"settings": {"reversal_prefix": " "}})).await.expect_problem(422, "invalid_field");
}

async fn a_negative_amount_lowers_the_sale_that_it_names(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"reversal_parameter": "parent"})).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "7001"), ("sum", "5")]).await;
    t.tick();
    source.report(&[sub, ("tid", "7002"), ("sum", "-2"), ("parent", "7001")]).await;
    let it = only_conversion(&t, &click).await;
    assert_eq!((&it["status"], &it["payout"]["amount"]), (&json!("approved"), &json!("3.00")));
}

async fn several_parameters_identify_a_sale(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let parameters = json!({"transaction_id_parameters": ["order", "instalment"]});
    let source = source(&t).settings(parameters).save().await;
    let sub = ("sub", click.id.as_str());
    for instalment in ["1", "2", "2", ""] {
        t.tick();
        source.report(&[sub, ("order", "7"), ("instalment", instalment), ("sum", "5")]).await;
    }
    let mut ids: Vec<_> = conversions(&t, &click).await.iter().map(|it| text(it, "transaction_id")).collect();
    ids.sort();
    assert_eq!(ids, ["7", "7-1", "7-2"]);
    t.tick();
    assert_eq!(source.report(&[sub, ("order", "null"), ("instalment", "3")]).await.status, 422);
    assert_outcome(&source.last().await, "refused", "no_transaction_id");
    let wrong = json!({"settings": {"transaction_id_parameters": ["a", "b", "c", "d", "e", "f"]}});
    source.patch(wrong).await.expect_problem(422, "invalid_field");
}

async fn a_rejection_is_taken_back_where_the_source_allows_it(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let sub = ("sub", click.id.as_str());
    let report = async |status: &str| {
        t.tick();
        source.report(&[sub, ("tid", "T-1"), ("sum", "5"), ("st", status)]).await;
        (text(&only_conversion(&t, &click).await, "status"), t.balance(&click.link.affiliate, "USD").await[1].clone())
    };
    let (approved, rejected) = (("approved".to_owned(), "5.00".to_owned()), ("rejected".to_owned(), "0.00".to_owned()));
    report("approved").await;
    assert_eq!(report("trash").await, rejected);
    assert_eq!(report("approved").await, rejected, "final");
    assert_outcome(&source.last().await, "refused", "conversion_already_rejected");

    source.patch(json!({"settings": {"rejections": "reversible"}})).await.expect(200);
    assert_eq!(report("paid").await, approved);
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(report("trash").await, rejected);
    assert_eq!(report("hold").await, rejected);
    assert_eq!(report("confirmed").await, approved);
    // Without a click id, and as often as the network likes.
    source.report(&[("tid", "T-1"), ("st", "declined")]).await;
    source.report(&[("tid", "T-1"), ("st", "approved")]).await;
    assert_eq!(report("approved").await, approved);
    // What a person rejected stays.
    t.reject(&text(&only_conversion(&t, &click).await, "id"), "fraud").await.expect(200);
    assert_eq!(report("approved").await, rejected);
    assert_outcome(&source.last().await, "refused", "conversion_already_rejected");
    t.assert_books_balance().await;
}

async fn a_reopened_conversion_counts_for_its_cap(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "conversions": 1}], "over": "reject"});
    let offer = t.offer_with(json!({"caps": caps})).await;
    let link = t.link(&t.affiliate().await, &offer).await;
    let source = source(&t).settings(json!({"rejections": "reversible"})).save().await;
    let (first, second) = (t.click_on(&link, "").await, t.click_on(&link, "").await);
    // Recorded as rejected, so the cap has room; reopened, it takes that room.
    source.report(&[("sub", &first.id), ("tid", "T-1"), ("sum", "5"), ("st", "rejected")]).await;
    t.tick();
    source.report(&[("sub", &first.id), ("tid", "T-1"), ("sum", "5"), ("st", "approved")]).await;
    assert_eq!(only_conversion(&t, &first).await["status"], "approved");
    source.report(&[("sub", &second.id), ("tid", "T-2"), ("sum", "5")]).await;
    let it = only_conversion(&t, &second).await;
    assert_eq!((&it["status"], &it["rejection_reason"]), (&json!("rejected"), &json!("over cap")));
}

async fn a_reopened_conversion_needs_room_for_its_corrected_payout(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "payout": "100.00"}]});
    let offer = t.offer_with(json!({"caps": caps})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let source = source(&t).settings(json!({"rejections": "reversible"})).save().await;
    let report = async |sum: &str, status: &str| {
        t.tick();
        source.report(&[("sub", &click.id), ("tid", "T-1"), ("sum", sum), ("st", status)]).await;
        let it = only_conversion(&t, &click).await;
        (text(&it, "status"), text(&it["payout"], "amount"))
    };
    assert_eq!(report("50", "rejected").await, ("rejected".into(), "50.00".into()));
    assert_eq!(report("100.01", "approved").await, ("rejected".into(), "50.00".into()), "it has no room");
    assert_outcome(&source.last().await, "refused", "conversion_already_rejected");
    assert_eq!(report("100", "approved").await, ("approved".into(), "100.00".into()));
    t.assert_books_balance().await;
}
