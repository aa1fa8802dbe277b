//! Separate sales, the meaning of their amounts, and repetitions.

use super::*;

on_both_databases!(
    a_click_has_a_second_sale_where_each_report_is_one,
    a_sale_without_a_transaction_id_is_its_clicks_only_one_unless_configured_otherwise,
    a_networks_commission_belongs_to_the_owner_of_the_source,
    a_changed_amount_corrects_the_sale_its_money_and_its_postbacks,
);

async fn template_source(t: &TestApp, template: &str) -> Source {
    let saved = t.admin.post("/api/v1/sources", &json!({"name": template, "template": template})).await.expect(201);
    Source::of(t, &t.admin, &saved)
}

async fn a_click_has_a_second_sale_where_each_report_is_one(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = template_source(&t, "lospollos").await;
    let sale = [("click_id", click.id.as_str()), ("payout", "2.50"), ("offer", "7")];

    source.report(&sale).await;
    assert_outcome(&source.last().await, "accepted", "");
    // The network did not receive the answer and retries.
    t.advance(Duration::from_secs(600));
    assert_eq!(source.report(&sale).await.status, 200);
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    assert_eq!(conversions(&t, &click).await.len(), 1);
    // Another amount is another sale, and so is the same amount later.
    t.tick();
    source.report(&[("click_id", &click.id), ("payout", "3.00"), ("offer", "7")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    t.advance(Duration::from_secs(600));
    source.report(&sale).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &click).await.len(), 3);
    assert_eq!(t.postings().await, 3);

    // Fifty simultaneous attempts are one sale.
    t.tick();
    let once = [("click_id", click.id.as_str()), ("payout", "9.00")];
    for answer in futures::future::join_all((0..50).map(|_| source.report(&once))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(conversions(&t, &click).await.len(), 4);
}

async fn a_sale_without_a_transaction_id_is_its_clicks_only_one_unless_configured_otherwise(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    source.report(&[("sub", &click.id), ("st", "pending"), ("sum", "5")]).await;
    t.advance(Duration::from_secs(3_600));
    source.report(&[("sub", &click.id), ("st", "approved"), ("sum", "5")]).await;
    assert_eq!(only_conversion(&t, &click).await["status"], "approved");

    source.patch(json!({"settings": {"without_transaction_id": "each_report"}})).await.expect(200);
    t.tick();
    source.report(&[("sub", &click.id), ("st", "approved"), ("sum", "5")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &click).await.len(), 2);
    // A sale with a transaction id is identified by it.
    for _ in 0..2 {
        t.advance(Duration::from_secs(3_600));
        source.report(&[("sub", &click.id), ("tid", "N-1"), ("sum", "5")]).await;
    }
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    assert_eq!(conversions(&t, &click).await.len(), 3);
}

async fn a_networks_commission_belongs_to_the_owner_of_the_source(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let amounts = async |source: &Source, tid: &str| {
        source.report(&[("sub", &click.id), ("tid", tid), ("sum", "3.25")]).await;
        let all = conversions(&t, &click).await;
        let it = all.into_iter().find(|it| it["transaction_id"] == tid).expect("it was taken");
        let amount = |amount: &Value| amount.as_str().unwrap_or_default().to_owned();
        [amount(&it["payout"]["amount"]), amount(&it["revenue"]["amount"]), amount(&it["amount"])]
    };
    let mut by_default = source(&t);
    by_default.body.as_object_mut().unwrap().remove("settings");
    let operators = by_default.save().await;
    let mut by_default = source(&t).owned_by(&click.link.affiliate);
    by_default.body.as_object_mut().unwrap().remove("settings");
    let affiliates = by_default.save().await;

    assert_eq!(amounts(&operators, "A").await, ["12.50", "3.25", ""], "the affiliate earns what the offer pays");
    assert_eq!(amounts(&affiliates, "B").await, ["3.25", "", ""]);
    let shown = t.admin.get(&format!("/api/v1/sources/{}", operators.id)).await.expect(200);
    assert_eq!(shown["settings"]["commission_is"], "revenue", "what holds is shown");
    for (what, tid, wanted) in [("payout", "C", ["3.25", "", ""]), ("sale", "D", ["12.50", "", "3.25"])] {
        operators.patch(json!({"settings": {"commission_is": what}})).await.expect(200);
        assert_eq!(amounts(&operators, tid).await, wanted, "{what}");
    }
    let patched = operators.patch(json!({"settings": {"commission_is": null}})).await.expect(200);
    assert_eq!(patched["settings"]["commission_is"], "revenue");
}

async fn a_changed_amount_corrects_the_sale_its_money_and_its_postbacks(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"hold_days": 7})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let owner = click.link.affiliate.clone();
    let postback = t.postback("/p").save().await;
    let source = source(&t).save().await;
    let report = async |sum: &str| {
        t.tick();
        let answer = source.report(&[("sub", &click.id), ("tid", "N-1"), ("st", "approved"), ("sum", sum)]).await;
        // Otherwise a newer state could take the place of one that is not sent yet.
        t.deliver_all().await;
        answer
    };
    let pending = async |amount: &str| {
        assert_eq!(t.balance(&owner, "USD").await, [amount, "0.00", "0.00", "0.00", "0.00"]);
        t.assert_books_balance().await;
    };

    report("5.00").await;
    assert_outcome(&source.last().await, "accepted", "");
    pending("5.00").await;

    for (revision, sum) in [(2, "7.50"), (3, "2.00")] {
        assert_eq!(report(sum).await.status, 200);
        assert_outcome(&source.last().await, "accepted", "corrected");
        let conversion = only_conversion(&t, &click).await;
        let told = (&conversion["revision"], &conversion["status"], &conversion["payout"]["amount"]);
        assert_eq!(told, (&json!(revision), &json!("approved"), &json!(sum)));
        pending(sum).await;
    }
    // A repetition is compared with the present amounts, not with those of before.
    report("2.00").await;
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    report("7.50").await;
    assert_outcome(&source.last().await, "accepted", "corrected");
    report("2").await;
    assert_outcome(&source.last().await, "accepted", "corrected");
    pending("2.00").await;

    let sent: Vec<_> = t.receiver.requests("/p").iter().map(|it| it.parameter("payout")).collect();
    assert_eq!(sent, ["5.00", "7.50", "2.00", "7.50", "2.00"], "one postback a revision");
    let deliveries = t.deliveries(&postback).await;
    let states: Vec<_> = deliveries.iter().map(|it| text(it, "status")).collect();
    assert_eq!(states, ["success"; 5]);
    // After the hold, the corrected amount counts.
    t.advance(Duration::from_secs(8 * 86_400));
    assert_eq!(t.balance(&owner, "USD").await, ["0.00", "2.00", "0.00", "0.00", "0.00"]);
}
