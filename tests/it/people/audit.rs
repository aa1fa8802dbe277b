//! The audit log: it has every change and no secrets, and no record can be removed from it.

mod changes;

use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::PASSWORD;
use serde_json::{Value, json};

on_both_databases!(
    every_change_is_recorded_with_who_and_what,
    refused_and_repeated_requests_are_recorded_as_such,
    an_outcome_that_is_missing_is_unknown,
    it_contains_no_secrets_and_no_personal_data,
    it_only_grows,
    it_is_found_by_actor_object_and_time,
    no_request_field_with_the_name_of_a_secret_is_stored,
    a_new_password_is_not_in_it,
    exports_are_recorded,
    its_owner_prunes_it_by_age,
);

async fn log(t: &TestApp, query: &str) -> Vec<Value> {
    t.admin.list(&format!("/api/v1/audit{query}")).await
}

async fn every_change_is_recorded_with_who_and_what(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let body = json!({"name": "Ada", "email": "ada@example.com"});
    let request = person.client.request(reqwest::Method::POST, "/api/v1/affiliates").json(&body);
    let answer = person.client.send(request.header("x-request-id", "req-7")).await;
    let affiliate = text(&answer.expect(201), "id");
    assert_eq!(answer.header("x-request-id"), Some("req-7"));

    let path = format!("/api/v1/affiliates/{affiliate}");
    person.client.patch(&path, &json!({"status": "suspended"})).await.expect(200);
    let found = log(&t, &format!("?object={affiliate}")).await;
    let operations: Vec<_> = found.iter().map(|it| text(it, "operation")).collect();
    assert_eq!(operations, ["change_affiliate", "create_affiliate"]);
    let (change, made) = (&found[0], &found[1]);
    assert_eq!(change["fields"], json!({"status": "suspended"}));
    assert_eq!(made["request_id"], "req-7");
    assert_eq!((&made["http_status"], &made["outcome"]), (&json!(201), &json!("done")));
    assert_eq!(made["actor"], person.id.as_str());
    assert_eq!(made["user_id"], person.id.as_str());
    assert_eq!(made["role"], "admin");
    assert_eq!(made["address"], "127.0.0.1");
    // A change with a person's key is attributed to that person.
    let key = person.client.post("/api/v1/auth/keys", &json!({"name": "mine", "password": PASSWORD})).await.expect(201);
    let client = t.admin.with_key(Some(&text(&key, "key")));
    client.patch(&path, &json!({"status": "active"})).await.expect(200);
    let last = &log(&t, &format!("?object={affiliate}")).await[0];
    assert_eq!((&last["actor"], &last["user_id"]), (&key["id"], &json!(person.id)));
    let operations: Vec<_> = log(&t, "").await.iter().map(|it| text(it, "operation")).collect();
    assert_eq!(
        operations,
        [
            "change_affiliate",
            "create_own_api_key",
            "change_affiliate",
            "create_affiliate",
            "login",
            "set_password",
            "invite_user"
        ]
    );
}

async fn refused_and_repeated_requests_are_recorded_as_such(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "Ada", "email": "ada@example.com"});
    for _ in 0..2 {
        t.admin.post_once("/api/v1/affiliates", "once", &body).await.expect(201);
        t.tick();
    }
    t.admin.post("/api/v1/affiliates", &json!({"name": ""})).await.expect_problem(422, "invalid_field");
    // Reads are not changes, and neither are failed attempts of strangers.
    t.admin.list("/api/v1/affiliates").await;
    t.sign_in("nobody@example.com", "not the password").await.expect_problem(401, "sign_in_failed");
    let found = log(&t, "").await;
    let outcomes: Vec<_> = found.iter().map(|it| (text(it, "outcome"), it["http_status"].as_u64().unwrap())).collect();
    assert_eq!(outcomes, [("refused".into(), 422), ("repeated".into(), 201), ("done".into(), 201)]);
    // Bulk conversions are their own record.
    let click = t.click().await;
    let before = log(&t, "").await.len();
    t.conversion(&click).send().await;
    assert_eq!(log(&t, "").await.len(), before);
}

async fn an_outcome_that_is_missing_is_unknown(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    // The state after a crash between the change and the end of its record.
    t.database.execute(&t.database.without_guards("audit_outcomes")).await;
    t.database.execute("DELETE FROM audit_outcomes").await;
    let found = log(&t, "").await;
    assert_eq!(found.len(), 2, "the affiliate and its key");
    assert!(found.iter().all(|it| it["outcome"] == "unknown" && it["http_status"].is_null()), "{found:?}");
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&path, &json!({"status": "suspended"})).await.expect(200);
    assert_eq!(log(&t, "?operation=change_affiliate").await[0]["outcome"], "done");
}

async fn it_contains_no_secrets_and_no_personal_data(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let body = json!({"name": "Needle Haystack", "email": "needle@example.com"});
    let affiliate = t.admin.post("/api/v1/affiliates", &body).await.expect(201);
    t.postback("/p?secret-in-a-url=1").disabled().save().await;
    let key = t.admin.post("/api/v1/api-keys", &json!({"name": "k", "role": "support"})).await.expect(201);
    let link = format!("/api/v1/affiliates/{}/login-link", text(&affiliate, "id"));
    let link = t.admin.post(&link, &json!({})).await.expect(201);
    let token = text(&link, "login_url").rsplit('/').next().unwrap().to_owned();
    let all = json!(log(&t, "").await).to_string();
    for secret in [PASSWORD, "Needle", "needle@", "secret-in-a-url", &person.email, &text(&key, "key"), &token] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

/// Each field of each request in the API description, with a value that can be searched for.
async fn no_request_field_with_the_name_of_a_secret_is_stored(db: Database) {
    let t = TestApp::start(db).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let person = t.person("owner").await;
    let secret = ["password", "code", "token", "new", "current", "secret", "key", "pin"];
    let mut found = Vec::new();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let body = filled(&description, schema, 0);
            let body = if body.is_object() { body } else { continue };
            let path = path.replace("{id}", "none_00000000000000000000000000");
            let method = method.to_ascii_uppercase().parse().expect("a method");
            person.client.send(person.client.request(method, &path).json(&body)).await;
            found.extend(body.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
        }
    }
    assert!(secret[..5].iter().all(|name| found.iter().any(|it| it.contains(name))), "{found:?}");
    let records = log(&t, "").await;
    assert!(records.len() > 40, "{}", records.len());
    for record in records {
        kept_of(&record["fields"], &mut |name, text| {
            let is_secret = secret.iter().any(|it| name == *it || name.contains(it));
            let harmless = ["end_keys", "reason_code", "seal_keys"].contains(&name) || !is_secret;
            assert!(harmless || !text.contains("n33dle"), "{name} is in {record}");
        });
    }
}

fn filled(description: &Value, schema: &Value, depth: u32) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        return if depth > 8 {
            Value::Null
        } else {
            filled(description, &description["components"]["schemas"][name], depth + 1)
        };
    }
    for all in ["oneOf", "anyOf", "allOf"] {
        if let Some(kinds) = schema[all].as_array() {
            let kinds = kinds.iter().map(|it| filled(description, it, depth + 1));
            return kinds.max_by_key(|it| it.to_string().len()).unwrap_or_default();
        }
    }
    if let Some(fields) = schema["properties"].as_object() {
        return fields.iter().map(|(name, it)| (name.clone(), filled(description, it, depth + 1))).collect();
    }
    match schema["items"].is_null() {
        true => json!("n33dle"),
        false => json!([filled(description, &schema["items"], depth + 1)]),
    }
}

fn kept_of(value: &Value, look: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                look(name, &value.to_string());
                kept_of(value, look);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| kept_of(it, look)),
        _ => {}
    }
}

async fn a_new_password_is_not_in_it(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let path = "/api/v1/auth/password";
    let body = json!({"current": PASSWORD, "new": "an entirely new one"});
    person.client.post(path, &body).await.expect(204);
    // A password that was refused because of a typing error is a password too.
    let body = json!({"current": "an entirely new one", "nwe": "another entirely new one"});
    assert_eq!(person.client.post(path, &body).await.status, 422);
    let found = log(&t, "?operation=change_password").await;
    assert_eq!(found[1]["fields"], json!({"current": "•••", "new": "•••"}));
    assert_eq!(found[0]["fields"], json!({"current": "•••", "nwe": "•••"}));
    assert!(!t.database.contains("audit", "entirely new").await);
}

async fn it_only_grows(db: Database) {
    let t = TestApp::start(db).await;
    t.affiliate().await;
    let before = log(&t, "").await;
    assert!(!before.is_empty());
    for statement in [
        "UPDATE audit SET role = 'nobody'",
        "DELETE FROM audit",
        "UPDATE audit_outcomes SET outcome = 'refused'",
        "DELETE FROM audit_outcomes",
    ] {
        assert!(!t.database.try_execute(statement).await, "{statement}");
    }
    assert_eq!(log(&t, "").await, before);
}

async fn it_is_found_by_actor_object_and_time(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    t.tick();
    let from = t.clock.now().to_string();
    for n in 0..3 {
        let body = json!({"name": "A", "email": format!("a{n}@example.com")});
        person.client.post("/api/v1/affiliates", &body).await.expect(201);
        t.tick();
    }
    assert_eq!(log(&t, &format!("?from={from}")).await.len(), 3);
    assert_eq!(log(&t, &format!("?until={from}")).await.len(), 3, "invited, password, login");
    assert_eq!(log(&t, &format!("?user_id={}&operation=create_affiliate", person.id)).await.len(), 3);
    assert_eq!(log(&t, "?actor=bootstrap").await.len(), 1);
    let page = t.admin.get("/api/v1/audit?limit=2").await.expect(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = t.admin.get(&format!("/api/v1/audit?limit=200&cursor={}", text(&page, "next"))).await.expect(200);
    assert_eq!(next["items"].as_array().unwrap().len(), 4);
}

async fn exports_are_recorded(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.conversion(&click).set("customer_email", json!("grace@example.com")).send().await;
    let person = t.person("finance").await;
    let exported = person.client.get("/api/v1/exports/conversions?format=jsonl&from=2026-03-01").await;
    assert!(exported.status == 200 && exported.text.contains("grace@example.com"), "{}", exported.text);
    person.client.get("/api/v1/exports/nothing").await.expect_problem(404, "not_found");
    person.client.get("/api/v1/withdrawal-batches/nonsense/export").await.expect_problem(400, "invalid_id");
    let found = log(&t, &format!("?actor={}", person.id)).await;
    let told: Vec<_> =
        found.iter().map(|it| (text(it, "operation"), it["object"].clone(), text(it, "outcome"))).collect();
    let told = |operation: &str, object: &str, outcome: &str| {
        let wanted = (operation.to_owned(), json!(object), outcome.to_owned());
        assert!(told.contains(&wanted), "{wanted:?} is not in {told:?}");
    };
    told("export", "conversions", "done");
    told("export", "nothing", "refused");
    told("export_withdrawal_batch", "nonsense", "refused");
    let record = found.iter().find(|it| it["object"] == "conversions").unwrap();
    assert_eq!(record["fields"], json!({"format": "jsonl", "from": "2026-03-01"}));
}

async fn its_owner_prunes_it_by_age(db: Database) {
    let t = TestApp::start(db).await;
    for _ in 0..3 {
        t.affiliate().await;
    }
    let old = t.database.count("audit").await;
    t.advance(std::time::Duration::from_secs(40 * 86_400));
    t.affiliate().await;
    let prune = "/api/v1/audit/prune";
    let admin = t.admin.post("/api/v1/api-keys", &json!({"name": "k", "role": "admin"})).await.expect(201);
    let admin = t.admin.with_key(Some(&text(&admin, "key")));
    admin.post(prune, &json!({"older_than_days": 30})).await.expect_problem(403, "forbidden");
    t.admin.post(prune, &json!({"older_than_days": 29})).await.expect_problem(422, "invalid_field");
    assert_eq!(t.database.count("audit_prunings").await, 0);

    let pruned = t.admin.post(prune, &json!({"older_than_days": 30})).await.expect(200);
    assert_eq!(pruned, json!({"pruned": old, "older_than": "2026-03-20T12:00:00.000Z", "more": false}));
    let left = log(&t, "").await;
    assert!(left.iter().all(|it| text(it, "at").starts_with("2026-04-19")), "{left:?}");
    let record = left.iter().find(|it| it["operation"] == "prune_audit" && it["outcome"] == "done").unwrap();
    assert_eq!(record["fields"], json!({"older_than_days": 30}));
    assert_eq!(record["changes"][0], json!({"field": "pruned", "from": null, "to": old}));
    // Records that no pruning covers remain, and a pruning cannot be revoked.
    for statement in [
        "DELETE FROM audit",
        "DELETE FROM audit_outcomes",
        "UPDATE audit SET role = 'nobody'",
        "UPDATE audit_prunings SET older_than = 9000000000000",
        "DELETE FROM audit_prunings",
    ] {
        assert!(!t.database.try_execute(statement).await, "{statement}");
    }
    assert_eq!(log(&t, "").await, left);
}
