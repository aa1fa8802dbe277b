//! Which sale a notification means: the goal, the numbers of several networks, ids that stand for none, and rejections.

use super::*;

on_both_databases!(
    each_goal_of_a_transaction_is_a_conversion,
    a_notification_without_a_transaction_id_means_the_goal_or_the_only_sale_of_its_click,
    two_networks_that_number_their_sales_alike_have_two_sales,
    simultaneous_notifications_of_two_goals_are_two_conversions,
    words_for_nothing_are_no_transaction_ids,
    a_rejection_that_names_no_known_sale_says_which_sales_stay_approved,
);

/// The goals, statuses and payouts of the conversions of a click.
async fn goals(t: &TestApp, click: &Click) -> Vec<(String, String, String)> {
    let found = conversions(t, click).await;
    let mut goals: Vec<_> = found
        .iter()
        .map(|it| {
            let goal = it["goal"].as_str().unwrap_or_default().to_owned();
            (goal, text(it, "status"), text(&it["payout"], "amount"))
        })
        .collect();
    goals.sort();
    goals
}

fn row(goal: &str, status: &str, payout: &str) -> (String, String, String) {
    (goal.to_owned(), status.to_owned(), payout.to_owned())
}

async fn each_goal_of_a_transaction_is_a_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let offer = json!({"goals": [
        {"name": "lead", "payout": {"fixed": "2.00"}}, {"name": "sale", "payout": {"percent": "20"}},
    ]});
    let offer = t.offer_with(offer).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let source = source(&t).settings(json!({"commission_is": "revenue"})).save().await;
    let sub = ("sub", click.id.as_str());

    source.report(&[sub, ("tid", "T-1"), ("g", "lead"), ("st", "pending"), ("sum", "3")]).await;
    // While there is one, an update needs no goal.
    source.report(&[sub, ("tid", "T-1"), ("st", "approved")]).await;
    assert_eq!(goals(&t, &click).await, [row("lead", "approved", "2.00")]);
    source.report(&[sub, ("tid", "T-1"), ("g", "sale"), ("sum", "50"), ("sale", "200")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(goals(&t, &click).await, [row("lead", "approved", "2.00"), row("sale", "approved", "40.00")]);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "42.00");

    // With several, it must name the goal, with the click id or without it.
    for query in [vec![sub, ("tid", "T-1"), ("st", "rejected")], vec![("tid", "T-1"), ("st", "rejected")]] {
        t.tick();
        assert_eq!(source.report(&query).await.status, 422);
        let entry = source.last().await;
        assert_outcome(&entry, "refused", "goal_missing");
        assert!(text(&entry, "reason").contains("lead, sale"), "{entry:#}");
    }
    t.tick();
    source.report(&[("tid", "T-1"), ("g", "lead"), ("st", "rejected")]).await;
    assert_eq!(goals(&t, &click).await, [row("lead", "rejected", "2.00"), row("sale", "approved", "40.00")]);
    t.tick();
    source.report(&[("tid", "T-1"), ("g", "upsell"), ("st", "rejected")]).await;
    assert_outcome(&source.last().await, "waiting", "conversion_not_there");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "40.00");
    t.assert_books_balance().await;
}

async fn a_notification_without_a_transaction_id_means_the_goal_or_the_only_sale_of_its_click(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("g", "lead"), ("sum", "2")]).await;
    source.report(&[sub, ("st", "rejected")]).await;
    assert_eq!(goals(&t, &click).await, [row("lead", "rejected", "2.00")], "the only one");
    source.report(&[sub, ("g", "sale"), ("sum", "5")]).await;
    t.tick();
    source.report(&[sub, ("st", "rejected")]).await;
    assert_outcome(&source.last().await, "refused", "goal_missing");
    source.report(&[sub, ("g", "sale"), ("st", "rejected")]).await;
    assert_eq!(goals(&t, &click).await, [row("lead", "rejected", "2.00"), row("sale", "rejected", "5.00")]);

    // A rejection without the id that the network told before.
    let numbered = t.click().await;
    source.report(&[("sub", &numbered.id), ("tid", "T-9"), ("sum", "7")]).await;
    source.report(&[("sub", &numbered.id), ("st", "rejected")]).await;
    assert_eq!(goals(&t, &numbered).await, [row("", "rejected", "7.00")]);
}

async fn two_networks_that_number_their_sales_alike_have_two_sales(db: Database) {
    let t = TestApp::start(db).await;
    let first = t.click().await;
    let second = t.click_on(&first.link, "").await;
    let (one, two) = (source(&t).save().await, source(&t).save().await);
    one.report(&[("sub", &first.id), ("tid", "1"), ("sum", "3")]).await;

    two.report(&[("sub", &second.id), ("tid", "1"), ("sum", "4")]).await;
    assert_outcome(&two.last().await, "accepted", "");
    two.report(&[("sub", &second.id), ("tid", "1"), ("sum", "4")]).await;
    assert_outcome(&two.last().await, "duplicate", "duplicate");
    // Each network changes its own sale, also without a click id.
    two.report(&[("sub", &second.id), ("tid", "1"), ("sum", "5")]).await;
    assert_eq!(goals(&t, &first).await, [row("", "approved", "3.00")]);
    assert_eq!(goals(&t, &second).await, [row("", "approved", "5.00")]);
    one.report(&[("tid", "1"), ("st", "rejected")]).await;
    assert_eq!(goals(&t, &first).await, [row("", "rejected", "3.00")]);
    assert_eq!(goals(&t, &second).await, [row("", "approved", "5.00")]);
    assert_eq!(t.admin.list("/api/v1/conversions?transaction_id=1").await.len(), 2);

    // A third source without a click id cannot tell which is meant.
    let three = source(&t).save().await;
    assert_eq!(three.report(&[("tid", "1"), ("st", "rejected")]).await.status, 422);
    assert_outcome(&three.last().await, "refused", "conversion_ambiguous");
    let by_code = json!({"referral_code": first.link.affiliate.referral_code, "offer_id": first.link.offer,
        "transaction_id": "1", "status": "rejected", "reason": "refund"});
    t.admin.post("/api/v1/conversions", &by_code).await.expect_problem(422, "transaction_ambiguous");
    // Two sources that name the same click report the same sale.
    three.report(&[("sub", &second.id), ("tid", "1"), ("st", "rejected")]).await;
    assert_eq!(goals(&t, &second).await, [row("", "rejected", "5.00")]);
    // One network does not use a number again.
    t.tick();
    let third = t.click_on(&first.link, "").await;
    assert_eq!(one.report(&[("sub", &third.id), ("tid", "1")]).await.status, 422);
    assert_outcome(&one.last().await, "refused", "transaction_of_another_click");
    t.assert_books_balance().await;
}

async fn simultaneous_notifications_of_two_goals_are_two_conversions(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let queries: Vec<_> = (0..40)
        .map(|number| {
            let goal = ["lead", "sale"][number % 2];
            [("sub", click.id.as_str()), ("tid", "T-1"), ("g", goal), ("sum", "5")]
        })
        .collect();
    for answer in futures::future::join_all(queries.iter().map(|query| source.report(query))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(goals(&t, &click).await, [row("lead", "approved", "5.00"), row("sale", "approved", "5.00")]);
    assert_eq!(t.postings().await, 2);
}

async fn words_for_nothing_are_no_transaction_ids(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let source = source(&t).save().await;
    for word in ["null", "undefined", " None ", "NIL", "0", "-", "n/a"] {
        for _ in 0..2 {
            let click = t.click_on(&link, "").await;
            source.report(&[("sub", &click.id), ("tid", word), ("sum", "5")]).await;
            assert_eq!(goals(&t, &click).await, [row("", "approved", "5.00")], "{word}");
        }
    }
    let entry = source.last().await;
    assert_eq!(entry["flags"], json!(["left_out"]));
    assert_eq!(entry["items"][0]["notes"], json!(["transaction_id was left out: \"n/a\" stands for none"]));
    source.report(&[("sub", "null"), ("tid", "undefined")]).await;
    assert_outcome(&source.last().await, "refused", "no_click_id");

    // By the API, the id is required.
    let click = t.click_on(&link, "").await;
    let answer = t.conversion(&click).transaction("null").try_send().await;
    answer.expect_problem(422, "invalid_field");
}

async fn a_rejection_that_names_no_known_sale_says_which_sales_stay_approved(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    source.report(&[("sub", &click.id), ("tid", "sale-1"), ("sum", "5")]).await;
    let sale = text(&only_conversion(&t, &click).await, "id");
    t.tick();
    assert_eq!(source.report(&[("sub", &click.id), ("tid", "refund-1"), ("st", "rejected")]).await.status, 200);
    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!(entry["flags"], json!(["unmatched_rejection"]));
    assert!(text_of(&entry["items"][0]["notes"][0]).contains(&sale), "{entry:#}");
    // Without an approved sale there is nothing to say.
    let other = t.click().await;
    t.tick();
    source.report(&[("sub", &other.id), ("tid", "refund-2"), ("st", "rejected"), ("sum", "-5")]).await;
    assert_eq!(source.last().await["flags"], json!(["left_out"]));
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
