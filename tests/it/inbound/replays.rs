//! Replays of all requests that match a filter.

use super::*;

on_both_databases!(
    all_requests_of_a_kind_are_replayed_after_the_fix,
    nobody_replays_the_requests_of_another,
    an_affiliate_replays_at_its_own_pace,
    requests_are_found_by_their_transaction,
);

const COUNT: &str = "/api/v1/inbound-requests/replay/count";
const REPLAY: &str = "/api/v1/inbound-requests/replay";

async fn all_requests_of_a_kind_are_replayed_after_the_fix(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    for tid in ["1", "2", "3"] {
        source.report(&[("sub", &click.id), ("tid", tid), ("sum", "12,50")]).await;
        t.tick();
    }
    source.report(&[("sub", &click.id), ("tid", "4"), ("sum", "1")]).await;
    source.report(&[("sub", "not-a-click"), ("tid", "5")]).await;
    t.tick();
    let filter = json!({"source_id": source.id, "reason_code": "invalid_amount"});
    let counted = t.admin.post(COUNT, &filter).await.expect(200);
    assert_eq!((&counted["matching"], &counted["capped"]), (&json!(3), &json!(false)));
    let body = |expected: u32| json!({"filter": filter, "expected": expected});
    t.admin.post(REPLAY, &body(2)).await.expect_problem(409, "retry_count_changed");
    let nothing = json!({"filter": {"source_id": source.id, "outcome": "accepted"}, "expected": 9});
    t.admin.post(REPLAY, &nothing).await.expect_problem(422, "retry_nothing_matches");

    source.patch(json!({"settings": {"amounts": {"decimal": ","}}})).await.expect(200);
    assert_eq!(t.admin.post(REPLAY, &body(3)).await.expect(200), json!({"replayed": 3}));
    t.deliver_all().await;

    assert_eq!(conversions(&t, &click).await.len(), 4);
    let refused = t.admin.list("/api/v1/inbound-requests?outcome=refused").await;
    assert_eq!(refused.len(), 1, "the other cause is still there: {refused:#?}");
    // Everything matches: what was accepted is not processed again.
    let counted = t.admin.post(COUNT, &json!({})).await.expect(200);
    assert_eq!(counted["matching"], 1);
    let record = t.admin.list("/api/v1/audit?operation=replay_inbound_requests").await.remove(0);
    assert_eq!(record["outcome"], "done", "{record:#}");
}

async fn nobody_replays_the_requests_of_another(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.affiliate().await, t.affiliate().await);
    let (mine, other) = (source(&t).owned_by(&mine).save().await, source(&t).owned_by(&other).save().await);
    for source in [&mine, &other] {
        source.report(&[("sub", "not-a-click"), ("tid", "1")]).await;
    }
    t.tick();
    let count =
        async |client: &Client, filter: Value| client.post(COUNT, &filter).await.expect(200)["matching"].clone();
    assert_eq!(count(&mine.client, json!({})).await, 1);
    assert_eq!(count(&mine.client, json!({"source_id": other.id})).await, 0);
    assert_eq!(count(&t.admin, json!({})).await, 2);

    let all = json!({"filter": {}, "expected": 10});
    assert_eq!(mine.client.post(REPLAY, &all).await.expect(200)["replayed"], 1);
    t.deliver_all().await;
    let (mine, other) = (mine.last().await, other.last().await);
    assert_outcome(&mine, "refused", "foreign_click_id");
    assert_eq!((&mine["tries"], &other["tries"]), (&json!(2), &json!(1)));
}

async fn an_affiliate_replays_at_its_own_pace(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.retries_per_minute = 2).await;
    let affiliate = t.affiliate().await;
    let source = source(&t).owned_by(&affiliate).save().await;
    for tid in ["1", "2", "3"] {
        source.report(&[("sub", "not-a-click"), ("tid", tid)]).await;
        t.tick();
    }
    let all = json!({"filter": {}, "expected": 3});
    assert_eq!(source.client.post(REPLAY, &all).await.expect(200)["replayed"], 3);
    let tries = async || {
        let log = source.log().await;
        log.iter().map(|it| it["tries"].as_u64().unwrap()).sum::<u64>()
    };
    t.deliver_all().await;
    assert_eq!(tries().await, 3 + 2, "two in a minute");
    t.advance(Duration::from_secs(60));
    t.deliver_all().await;
    assert_eq!(tries().await, 3 + 3);
}

async fn requests_are_found_by_their_transaction(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    source.report(&[("sub", &click.id), ("tid", "N-1%_\"x"), ("sum", "1")]).await;
    source.report(&[("sub", &click.id), ("tid", "N-2"), ("sum", "1")]).await;
    let found = async |id: &str| {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        t.admin.list(&format!("/api/v1/inbound-requests?transaction_id={id}")).await.len()
    };
    assert_eq!((found("N-1%_\"x").await, found("N-2").await, found("N-").await, found("%").await), (1, 1, 0, 0));
}
