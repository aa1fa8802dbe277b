//! Whether notifications arrive at a source: counts, and status words without a meaning.

use super::*;

on_both_databases!(a_source_counts_what_arrived, unknown_words_are_listed_until_they_are_mapped);

async fn activity(client: &Client, source: &Source) -> Value {
    client.get(&format!("/api/v1/sources/{}/activity", source.id)).await.expect(200)
}

async fn a_source_counts_what_arrived(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).owned_by(&click.link.affiliate).save().await;
    let nothing = activity(&source.client, &source).await;
    assert_eq!((&nothing["last_received_at"], &nothing["counts"]), (&Value::Null, &json!([])));

    source.report(&[("sub", &click.id), ("tid", "N-1"), ("sum", "1")]).await;
    source.report(&[("sub", &click.id), ("tid", "N-1"), ("sum", "1")]).await;
    source.report(&[("sub", &click.id), ("tid", "N-2"), ("sum", "1,5")]).await;
    t.advance(Duration::from_secs(3_600));
    source.report(&[("sub", &click.id), ("tid", "N-3"), ("sum", "2,5")]).await;

    let found = activity(&source.client, &source).await;
    let last = &source.log().await[0]["received_at"];
    assert_eq!(&found["last_received_at"], last);
    let counts: Vec<_> = found["counts"].as_array().unwrap().iter().collect();
    let wanted = json!({"outcome": "refused", "reason_code": "invalid_amount", "count": 2, "last_received_at": last});
    assert_eq!((counts.len(), counts[0]), (3, &wanted), "{found:#}");
    assert_eq!(found["capped"], false);
    assert_ne!(&found["last_accepted_at"], last);
    // Of the last 14 days only; the last request is known for longer.
    t.advance(Duration::from_secs(15 * 24 * 3_600));
    let later = activity(&source.client, &source).await;
    assert_eq!((&later["counts"], &later["last_received_at"]), (&json!([]), last));
    assert_eq!(later["last_accepted_at"], Value::Null);

    let path = format!("/api/v1/sources/{}/activity", source.id);
    t.affiliate().await.client.get(&path).await.expect_problem(404, "not_found");
    t.admin.get(&path).await.expect(200);
}

async fn unknown_words_are_listed_until_they_are_mapped(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    for (tid, word) in [("1", "Gold"), ("2", "gold"), ("3", "silver")] {
        source.report(&[("sub", &click.id), ("tid", tid), ("st", word)]).await;
        t.tick();
    }
    let words = async || {
        let found = activity(&t.admin, &source).await;
        let words = found["unknown_statuses"].as_array().unwrap().iter();
        words.map(|it| (text(it, "status"), it["count"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(words().await, [("gold".to_owned(), 2), ("silver".to_owned(), 1)]);

    source.patch(json!({"settings": {"statuses": {"gold": "approved"}}})).await.expect(200);
    t.deliver_all().await;
    assert_eq!(words().await, [("silver".to_owned(), 1)]);
    assert_eq!(conversions(&t, &click).await.len(), 2);
}
