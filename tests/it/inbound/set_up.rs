//! Configuration of a source: the effect of changes, and the shown values.

use super::*;

on_both_databases!(
    a_change_of_the_settings_touches_only_what_it_names,
    a_time_in_a_zone_follows_its_clock_changes,
    a_source_shows_what_to_paste,
    an_address_is_shown_once_and_never_stored,
    an_affiliate_reads_its_own_address_again,
    an_address_of_an_older_release_is_hashed_and_then_deleted,
    a_token_is_as_long_in_a_source_as_in_a_template,
);

async fn a_change_of_the_settings_touches_only_what_it_names(db: Database) {
    let t = TestApp::start(db).await;
    let settings = json!({
        "statuses": {"1": "approved", "Sale": "pending", "2": {"status": "rejected", "reason": "fraud"}},
        "amounts": {"unit": "minor", "currency": "EUR"},
        "guards": {"token": {"parameter": "key", "value": "open-sesame"}, "networks": ["127.0.0.1"]},
    });
    let source = source(&t).settings(settings).save().await;

    let patch = json!({
        "statuses": {"sale": "approved", "1": null, "3": "ignored"}, "amounts": {"decimal": ","},
        "guards": {"networks": []},
    });
    let patched = source.patch(json!({"settings": patch})).await.expect(200);

    let settings = &patched["settings"];
    let rejected = json!({"status": "rejected", "reason": "fraud"});
    assert_eq!(settings["statuses"], json!({"sale": "approved", "2": rejected, "3": "ignored"}));
    assert_eq!(settings["amounts"], json!({"unit": "minor", "currency": "EUR", "decimal": ","}));
    assert_eq!(settings["guards"]["token"]["parameter"], "key", "a guard that is not named stays");
    let click = t.click().await;
    assert_eq!(source.report(&[("sub", &click.id), ("key", "open-sesame")]).await.status, 200, "with its secret");
    let patched = source.patch(json!({"settings": {"guards": {"token": null}, "statuses": null}})).await.expect(200);
    assert_eq!((&patched["settings"]["guards"]["token"], &patched["settings"]["statuses"]), (&Value::Null, &json!({})));
    for (patch, path) in [
        (json!({"statuses": {"4": "aproved"}}), "/settings/statuses/4"),
        (json!({"nonsense": 1}), "/settings/nonsense"),
        (json!({"guards": {"networks": ["10.0.0"]}}), "/settings/guards/networks/0"),
    ] {
        let problem = source.patch(json!({"settings": patch})).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    let problem = source.patch(json!({"settings": {"guards": {"networks": ["10.0.0"]}}})).await;
    let problem = problem.expect_problem(422, "invalid_field");
    assert!(text(&problem, "detail").contains("such as 203.0.113.0/24"), "{problem}");
}

async fn a_time_in_a_zone_follows_its_clock_changes(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"time_zone": "europe/berlin"})).save().await;
    let shown = t.admin.get(&format!("/api/v1/sources/{}", source.id)).await.expect(200);
    assert_eq!(shown["settings"]["time_zone"], "Europe/Berlin");
    for (tid, at, wanted) in [
        ("winter", "2026-01-10 14:00:00", "2026-01-10T13:00:00.000Z"),
        ("summer", "2025-07-10 14:00:00", "2025-07-10T12:00:00.000Z"),
        ("twice", "2025-10-26 02:30:00", "2025-10-26T00:30:00.000Z"),
        ("never", "2025-03-30 02:30:00", "2025-03-30T01:30:00.000Z"),
    ] {
        source.report(&[("sub", &click.id), ("tid", tid), ("at", at)]).await;
        let found = t.admin.list(&format!("/api/v1/conversions?transaction_id={tid}")).await;
        assert_eq!(found[0]["purchase_date"], wanted, "{tid}");
    }
}

async fn a_source_shows_what_to_paste(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let first = affiliate.client.list("/api/v1/sources").await.remove(0);
    let wanted = format!("{}?sessionId={{SESSION_ID}}&amount={{COMMISSION}}", text(&first, "url"));
    assert_eq!((&first["template"], &first["paste_url"]), (&json!("affrank_inbound"), &json!(wanted)));
    // Only the user has the tokens of a network that was set up manually.
    let by_hand = source(&t).save().await;
    let by_hand = t.admin.get(&format!("/api/v1/sources/{}", by_hand.id)).await.expect(200);
    assert_eq!((&by_hand["template"], &by_hand["paste_url"]), (&Value::Null, &Value::Null));
    assert_eq!(by_hand["also_paste"], json!([]));
}

async fn a_token_is_as_long_in_a_source_as_in_a_template(db: Database) {
    let t = TestApp::start(db).await;
    let guards = |value: &str| json!({"guards": {"token": {"parameter": "key", "value": value}}});
    let mut body = source(&t).body;
    body["settings"] = guards("1234567");
    let problem = t.admin.post("/api/v1/sources", &body).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/settings/guards/token/value");
    body["settings"] = guards("12345678");
    t.admin.post("/api/v1/sources", &body).await.expect(201);
    let made = |token: &str| json!({"name": "x", "template": "maxppi", "fields": {"security_token": token}});
    t.admin.post("/api/v1/sources", &made("1234567")).await.expect_problem(422, "invalid_field");
    t.admin.post("/api/v1/sources", &made("12345678")).await.expect(201);
}

fn key_in(saved: &Value) -> String {
    text(saved, "url").rsplit('/').next().unwrap().to_owned()
}

async fn an_address_is_shown_once_and_never_stored(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let body = source(&t).body;
    let saved = t.admin.post_once("/api/v1/sources", "once", &body).await.expect(201);
    let key = key_in(&saved);
    assert_eq!((key.len(), &saved["url_masked"]), (32, &json!(false)));
    let made = Source::of(&t, &t.admin, &saved);
    assert_eq!(made.report(&[("sub", &click.id), ("tid", "1")]).await.status, 200);

    let path = format!("/api/v1/sources/{}", made.id);
    let again = t.admin.post_once("/api/v1/sources", "once", &body).await.expect(201);
    let support = t.person("support").await;
    let changed = t.admin.patch(&path, &json!({"name": "Another"})).await.expect(200);
    let shown = [
        again,
        changed,
        t.admin.get(&path).await.expect(200),
        t.admin.list("/api/v1/sources").await.into_iter().find(|it| it["id"] == made.id.as_str()).unwrap(),
        support.client.get(&path).await.expect(200),
    ];
    for shown in shown {
        assert_eq!(shown["url_masked"], true, "{shown}");
        assert!(text(&shown, "url").ends_with(&format!("/in/****{}", &key[28..])), "{shown}");
    }
    // Nor is it in the requests to the source.
    let came = support.client.list(&format!("/api/v1/inbound-requests?source_id={}", made.id)).await;
    assert_eq!(came[0]["request"]["path"], format!("/in/****{}", &key[28..]));
    for table in ["sources", "inbound_requests", "idempotency_keys", "audit", "audit_outcomes"] {
        assert!(!t.database.contains(table, &key).await, "{table}");
    }
}

async fn an_affiliate_reads_its_own_address_again(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let first = affiliate.client.list("/api/v1/sources").await.remove(0);
    let key = key_in(&first);
    assert_eq!((key.len(), &first["url_masked"]), (32, &json!(false)));
    assert!(!t.database.contains("sources", &key).await, "it is sealed");
    let path = format!("/api/v1/sources/{}", text(&first, "id"));
    let body = json!({"name": "k", "role": "affiliate", "affiliate_id": affiliate.id, "scopes": ["read_program"]});
    let limited = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    let limited = t.admin.with_key(Some(&text(&limited, "key")));
    for client in [&t.admin, &limited] {
        let masked = client.get(&path).await.expect(200);
        assert!(masked["url_masked"] == true && !masked.to_string().contains(&key), "{masked}");
    }
    let rotated = t.admin.post(&format!("{path}/rotate-key"), &json!({})).await.expect(200);
    assert_ne!(key_in(&rotated), key);
    assert_eq!(affiliate.client.get(&path).await.expect(200)["url"], rotated["url"]);
}

async fn an_address_of_an_older_release_is_hashed_and_then_deleted(db: Database) {
    let mut t = TestApp::start(db).await;
    let click = t.click().await;
    let affiliate = click.link.affiliate.clone();
    let key = "0123456789abcdefghjkmnpqrstvwxyz";
    let older = format!(
        "UPDATE sources SET key = '{key}', key_hash = NULL, key_hint = NULL, key_sealed = NULL, key_until = NULL"
    );
    t.database.execute(&older).await;
    let readable = async |t: &TestApp| {
        let sql = "SELECT count(*) FROM sources WHERE key LIKE '0123456789ab%' OR key LIKE 'zyxwvtsrqpnm%'";
        t.database.number(sql).await
    };
    let report = async |t: &TestApp, key: &str, amount: &str| {
        t.anonymous().get(&format!("/in/{key}?sessionId={}&amount={amount}", click.id)).await.status
    };
    // A node of the older release created it a moment ago.
    assert_eq!(report(&t, key, "1.00").await, 200);
    t.restart_with(|_| {}).await;
    assert_eq!(report(&t, key, "2.00").await, 200);
    let own = t.admin.with_key(affiliate.client.key());
    assert_eq!(key_in(&own.list("/api/v1/sources").await[0]), key, "the affiliate still reads it");
    // The older release still finds it, and can rotate it.
    assert_eq!(readable(&t).await, 1);
    let second = "zyxwvtsrqpnmkjhgfedcba9876543210";
    t.database.execute(&format!("UPDATE sources SET key = '{second}'")).await;
    assert_eq!(report(&t, key, "3.00").await, 404);
    assert_eq!(report(&t, second, "4.00").await, 200);

    t.advance(engine::inbound::source_keys::ROLL_BACK);
    engine::pipeline::jobs::run_maintenance(t.app()).await.unwrap();
    assert_eq!(readable(&t).await, 0);
    assert_eq!(report(&t, second, "5.00").await, 200);
    assert_eq!(report(&t, key, "6.00").await, 404);
}
