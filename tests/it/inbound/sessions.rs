//! Sessions of trackers: they are passed through links to the network, and the returned value finds its click.

use super::*;

on_both_databases!(
    a_session_is_passed_on_and_finds_its_click,
    a_session_that_is_cut_off_matches_when_it_is_unambiguous,
    a_session_with_clicks_on_several_offers_is_ambiguous,
    a_session_is_found_under_the_name_of_its_source_and_by_its_owner,
);

const SESSION: &str = "Sess-7fQ2kLm9Xz01";

async fn a_session_is_passed_on_and_finds_its_click(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let answer = t.anonymous().get(&format!("{}?affrank_sid={SESSION}&keyword=shoes", link.path)).await;
    let landing = answer.header("location").unwrap().to_owned();
    assert!(landing.contains(&format!("affrank_sid={SESSION}")), "{landing}");
    let click = Click { id: postrider_tests::app::click_id_in(&answer), link: link.clone() };
    let source = first_source(&t, &link.affiliate).await;

    assert_eq!(source.report(&[("sessionId", SESSION), ("amount", "4.75")]).await.status, 200);

    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!(entry["flags"], json!([]));
    let conversion = only_conversion(&t, &click).await;
    assert_eq!(conversion["payout"], json!({"amount": "4.75", "currency": "USD"}));
    // A network that changes the value to upper case and sends it twice.
    t.tick();
    source.report(&[("sessionId", &SESSION.to_uppercase()), ("amount", "4.75")]).await;
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    assert_eq!(conversions(&t, &click).await.len(), 1);
    // Postrider's own click id works too.
    t.tick();
    source.report(&[("sessionId", &click.id), ("amount", "1.00")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &click).await.len(), 2);
    t.tick();
    let answer = source.report(&[("sessionId", "Sess-of-nobody-here"), ("amount", "1")]).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("carried it as affrank_sid"), "{}", answer.text);
    assert_outcome(&source.last().await, "refused", "foreign_click_id");
}

async fn a_session_that_is_cut_off_matches_when_it_is_unambiguous(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let click = t.click_on(&link, &format!("?affrank_sid={SESSION}")).await;
    t.click_on(&link, "?affrank_sid=Sess-8-another").await;
    let source = first_source(&t, &link.affiliate).await;

    source.report(&[("sessionId", &SESSION[..10]), ("amount", "4.75")]).await;

    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!((&entry["flags"], &entry["items"][0]["click_id"]), (&json!(["truncated_id"]), &json!(click.id)));
    t.tick();
    source.report(&[("sessionId", &SESSION[..9]), ("amount", "1")]).await;
    assert_outcome(&source.last().await, "refused", "foreign_click_id");
    // Another session with the same prefix.
    t.click_on(&link, &format!("?affrank_sid={}-x", &SESSION[..12])).await;
    t.tick();
    source.report(&[("sessionId", &SESSION[..12]), ("amount", "1")]).await;
    assert_outcome(&source.last().await, "refused", "click_id_ambiguous");
    t.tick();
    source.report(&[("sessionId", &SESSION[..13]), ("amount", "1")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &click).await.len(), 2);
}

async fn a_session_with_clicks_on_several_offers_is_ambiguous(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let query = format!("?affrank_sid={SESSION}");
    let first = t.click_on(&link, &query).await;
    t.tick();
    t.click_on(&link, &query).await;
    let source = first_source(&t, &link.affiliate).await;

    // The same page loaded twice is the same visitor: the first click represents the session.
    source.report(&[("sessionId", SESSION), ("amount", "4.75")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(conversions(&t, &first).await.len(), 1);

    // With a link of another offer, the purchased offer is ambiguous.
    let offer = t.any_link().await.offer;
    t.click_on(&t.link(&link.affiliate, &offer).await, &query).await;
    t.tick();
    let answer = source.report(&[("sessionId", SESSION), ("amount", "1")]).await;
    assert!(answer.text.contains("several offers"), "{}", answer.text);
    assert_outcome(&source.last().await, "refused", "click_id_ambiguous");
}

async fn a_session_is_found_under_the_name_of_its_source_and_by_its_owner(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.any_link().await, t.any_link().await);
    let firsts = first_source(&t, &mine.affiliate).await;
    firsts.patch(json!({"config": {"append": true, "parameter": "aff_sub"}})).await.expect(200);
    let operators = source(&t).settings(json!({"session_parameter": "sid"})).save().await;
    let my_click = t.click_on(&mine, "?aff_sub=mine-session-1&affrank_sid=ignored-1").await;
    let their_click = t.click_on(&other, "?sid=their-session-1").await;

    firsts.report(&[("sessionId", "ignored-1"), ("amount", "1")]).await;
    assert_outcome(&firsts.last().await, "refused", "foreign_click_id");
    t.tick();
    firsts.report(&[("sessionId", "mine-session-1"), ("amount", "1")]).await;
    assert_outcome(&firsts.last().await, "accepted", "");
    assert_eq!(only_conversion(&t, &my_click).await["self_reported"], true);
    t.tick();
    firsts.report(&[("sessionId", "their-session-1"), ("amount", "1")]).await;
    assert_outcome(&firsts.last().await, "refused", "foreign_click_id");

    operators.report(&[("sub", "their-session-1"), ("tid", "T-1"), ("sum", "1")]).await;
    assert_outcome(&operators.last().await, "accepted", "");
    assert_eq!(only_conversion(&t, &their_click).await["transaction_id"], "T-1");
}
