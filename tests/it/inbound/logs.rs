//! The log of a source: data besides the outcome.

use postrider_tests::guest::{LOG_A_LINE, LOGGED};

use super::*;

on_both_databases!(
    the_log_of_an_adapter_is_shown_with_the_request,
    the_log_of_a_failing_adapter_is_shown_too,
    every_unreplaced_macro_is_named,
);

async fn the_log_of_an_adapter_is_shown_with_the_request(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let owner = &click.link.affiliate;
    let guards = json!({"token": {"parameter": "key", "value": "open-sesame"}});
    let source = source(&t).owned_by(owner).settings(json!({"guards": guards})).save().await;

    source.report(&[("sub", &click.id), ("key", "open-sesame"), ("g", "{goal_of_open-sesame}")]).await;

    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    let log = entry["adapter_log"].as_array().expect("lines");
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0]["level"], "warn");
    let line = text(&log[0], "message");
    assert!(line.starts_with("'g' has the value {goal_of_"), "{line}");
    assert!(!line.contains("open-sesame"), "a token is nowhere shown: {line}");
    assert_eq!(source.log().await[0]["adapter_log"], entry["adapter_log"], "in the list as well");

    // The log of the last read is kept; a request that is not read has none.
    t.tick();
    source.report(&[("sub", &click.id), ("key", "open-sesame"), ("tid", "2")]).await;
    assert_eq!(source.last().await["adapter_log"], json!([]));
    t.tick();
    source.report(&[("sub", &click.id), ("g", "{goal}")]).await;
    assert_eq!(source.last().await["adapter_log"], json!([]));
}

async fn the_log_of_a_failing_adapter_is_shown_too(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    let parse = format!("{LOG_A_LINE} unreachable").leak();
    t.install(Guest { inbound: true, parse, ..Guest::default() }.component()).await.expect(201);
    let saved = t.admin.post("/api/v1/sources", &guest_source(&t, "a-long-enough-secret")).await.expect(201);
    let source = Source::of(&t, &t.admin, &saved);

    source.report(&[("sub", &click.id)]).await;

    let entry = source.last().await;
    assert_outcome(&entry, "failed", "adapter_trap");
    assert_eq!(entry["adapter_log"], json!([{"level": "info", "message": LOGGED}]));
}

async fn every_unreplaced_macro_is_named(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;

    source.report(&[("sub", "{sub1}"), ("tid", "T-1"), ("st", "##STATUS##"), ("sum", "[payout]"), ("g", "{g}")]).await;

    let entry = source.last().await;
    assert_outcome(&entry, "refused", "unreplaced_macro");
    let reason = text(&entry, "reason");
    for named in ["'sub' is {sub1}", "'st' is ##STATUS##", "'sum' is [payout]", "'g' is {g}"] {
        assert!(reason.contains(named), "{named} is not in: {reason}");
    }
    assert!(!reason.contains("tid"), "{reason}");
}
