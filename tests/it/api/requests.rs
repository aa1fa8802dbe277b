//! Nothing in a request is ignored, and a change touches only what it names.

use std::collections::HashSet;

use futures::future::join_all;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_unknown_parameter_is_named_with_the_one_that_was_meant,
    a_list_is_not_taken_for_an_object,
    an_unknown_field_is_refused_at_every_depth,
    an_operation_without_a_body_refuses_one,
    a_change_of_an_offer_touches_only_what_it_names,
    a_change_of_a_postback_keeps_the_rest_of_scope_and_configuration,
    fields_of_a_template_can_be_changed,
    null_clears_or_is_refused,
    null_is_refused_where_the_description_says_so,
    a_field_that_never_changes_is_refused,
    simultaneous_changes_of_different_fields_all_stay,
);

/// The operations of the description: method, path with ids, and operation.
fn operations(description: &Value) -> Vec<(Method, String, Value)> {
    let mut found = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            found.push((method, path.collect::<Vec<_>>().join("/"), operation.clone()));
        }
    }
    found
}

async fn an_unknown_parameter_is_named_with_the_one_that_was_meant(db: Database) {
    let t = TestApp::start(db).await;
    for (query, sentence) in [
        ("conversions?stauts=approved", "there is no parameter \"stauts\"; did you mean status?"),
        ("reports?group_by=offer&form=2030-01-01", "there is no parameter \"form\"; did you mean from?"),
        ("offers?nonsense=1", "there is no parameter \"nonsense\"; use limit, cursor, search, archived"),
        ("payout-methods?x", "there is no parameter \"x\"; this operation has none, so remove it"),
    ] {
        let problem = t.admin.get(&format!("/api/v1/{query}")).await.expect_problem(400, "invalid_parameter");
        assert_eq!(text(&problem, "detail"), sentence);
    }
    // Only reports have groups, and only series have an interval.
    for query in ["reports/series?group_by=affiliate", "reports/revenue-map?interval=month", "reports?interval=month"] {
        t.admin.get(&format!("/api/v1/{query}")).await.expect_problem(400, "invalid_parameter");
    }
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    for (method, path, _) in operations(&description) {
        let request = t.admin.request(method.clone(), &format!("{path}?nosuchparameter=1"));
        let answer = t.admin.send(request.json(&json!({}))).await;
        assert_eq!(answer.expect_problem(400, "invalid_parameter")["status"], 400, "{method} {path}");
    }
}

async fn a_list_is_not_taken_for_an_object(db: Database) {
    let t = TestApp::start(db).await;
    for (path, body, pointer) in [
        ("affiliates", json!(["Eve", "eve@example.com", null]), ""),
        (
            "offers",
            json!({"name": "Pro", "landing_url": "https://shop.example/", "currency": "USD", "payout": ["1"]}),
            "/payout",
        ),
        (
            "offers",
            json!({"name": "Pro", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"},
                "caps": {"limits": [["offer", null, null, "day", 5]]}}),
            "/caps/limits/0",
        ),
        (
            "sources",
            json!({"name": "S", "template": "mylead", "settings": {"default_status": ["rejected", "x"]}}),
            "/settings/default_status",
        ),
    ] {
        let problem = t.admin.post(&format!("/api/v1/{path}"), &body).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], pointer, "{problem}");
        let sentence = text(&problem["errors"][0], "message");
        assert!(!sentence.contains("struct") && sentence.contains("not a list"), "{sentence}");
    }
    // The bodies of all operations, also those that can be absent.
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    for (method, path, operation) in operations(&description) {
        let has_json = operation["requestBody"]["content"].get("application/json").is_some();
        if !has_json || path == "/api/v1/conversions" || path.contains("/auth/") {
            continue;
        }
        for body in [json!([]), json!([null]), json!(["x", "y"])] {
            let answer = t.admin.send(t.admin.request(method.clone(), &path).json(&body)).await;
            // An id in the path can be refused first.
            assert!(matches!(answer.status, 400 | 403 | 404 | 422), "{method} {path}: {}", answer.text);
        }
    }
}

async fn an_unknown_field_is_refused_at_every_depth(db: Database) {
    let t = TestApp::start(db).await;
    let offer = format!("/api/v1/offers/{}", t.offer().await);
    for (patch, pointer) in [
        (json!({"nmae": "Pro"}), "/nmae"),
        (json!({"nmae": null}), "/nmae"),
        (json!({"caps": {"ovr": "hold"}}), "/caps/ovr"),
        (json!({"attribution": {"windw_days": null}}), "/attribution/windw_days"),
        (json!({"goals": [{"name": "trial", "pay": {"fixed": "1"}}]}), "/goals/0/pay"),
        (json!({"payout": {"fixd": "1"}}), "/payout/fixd"),
    ] {
        let problem = t.admin.patch(&offer, &patch).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], pointer, "{problem}");
    }
    let problem = t.admin.patch(&offer, &json!({"nmae": "Pro"})).await.expect_problem(422, "invalid_field");
    assert!(text(&problem, "detail").contains("did you mean name?"), "{problem}");
}

async fn an_operation_without_a_body_refuses_one(db: Database) {
    let t = TestApp::start(db).await;
    let id = t.conversion(&t.click().await).status("pending").send().await;
    let path = format!("/api/v1/conversions/{id}/approve");
    let problem = t.admin.post(&path, &json!({"payout": "100.00"})).await.expect_problem(422, "invalid_field");
    assert!(text(&problem, "detail").contains("takes no body"), "{problem}");
    assert_eq!(t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200)["status"], "pending");
    t.admin.post(&path, &json!({})).await.expect(200);
}

async fn a_change_of_an_offer_touches_only_what_it_names(db: Database) {
    let t = TestApp::start(db).await;
    let terms = json!({
        "attribution": {"window_days": 30, "self_referral": "allow"}, "hold_days": 5, "revenue": {"percent": "50"},
        "caps": {"limits": [{"per": "offer", "period": "day", "conversions": 50}], "time_zone": "Europe/Berlin"},
        "goals": [{"name": "trial"}], "fallback_url": "https://shop.example/f", "deep_link_hosts": ["shop.example"],
    });
    let path = format!("/api/v1/offers/{}", t.offer_with(terms).await);
    let mut wanted = t.admin.get(&path).await.expect(200);
    for (patch, pointer, value) in [
        (json!({"attribution": {"click": "last"}}), "/attribution/click", json!("last")),
        (json!({"caps": {"over": "hold"}}), "/caps/over", json!("hold")),
        (json!({"attribution": {"window_days": null}}), "/attribution/window_days", json!(null)),
        (json!({"payout": {"percent": "30"}}), "/payout", json!({"percent": "30"})),
        (json!({"payout": {"percent": null, "fixed": "7.00"}}), "/payout", json!({"fixed": "7.00"})),
        (json!({"name": "Other"}), "/name", json!("Other")),
    ] {
        let changed = t.admin.patch(&path, &patch).await.expect(200);
        *wanted.pointer_mut(pointer).unwrap() = value;
        wanted["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, wanted, "{patch}");
    }
    assert_eq!(t.admin.get(&path).await.expect(200), wanted);
}

async fn a_change_of_a_postback_keeps_the_rest_of_scope_and_configuration(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, offer) = (t.affiliate().await, t.offer().await);
    let id = t.postback("/p").scope(Some(&affiliate), None).custom(&[("a", "1")]).delay(5, "minutes").save().await;
    let path = format!("/api/v1/postbacks/{id}");
    let before = t.admin.get(&path).await.expect(200);

    let changed = t.admin.patch(&path, &json!({"scope": {"offer_id": offer}})).await.expect(200);
    assert_eq!(changed["scope"], json!({"affiliate_id": affiliate.id, "offer_id": offer}));
    let changed = t.admin.patch(&path, &json!({"scope": {"affiliate_id": null}})).await.expect(200);
    assert_eq!(changed["scope"], json!({"affiliate_id": null, "offer_id": offer}));
    let changed = t.admin.patch(&path, &json!({"delay": {"value": 7}})).await.expect(200);
    assert_eq!(changed["delay"], json!({"value": 7, "unit": "minutes"}));

    let moved = t.receiver.url("/moved");
    let changed = t.admin.patch(&path, &json!({"config": {"base_url": moved}})).await.expect(200);
    let mut config = before["config"].clone();
    config["base_url"] = json!(moved);
    assert_eq!(changed["config"], config);
    assert_eq!(t.admin.patch(&path, &json!({"delay": null})).await.expect(200)["delay"], json!(null));
}

async fn fields_of_a_template_can_be_changed(db: Database) {
    let t = TestApp::start(db).await;
    let fields = json!({"key": "first-secret-0001", "account_id": "123", "event": "purchase"});
    let body = json!({"name": "AC", "template": "activecampaign_event", "fields": fields, "enabled": false});
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    let path = format!("/api/v1/postbacks/{}", text(&saved, "id"));

    let changed = t.admin.patch(&path, &json!({"fields": {"event": "trial"}})).await.expect(200);
    let mut config = saved["config"].clone();
    config["custom"][1]["value"] = json!("trial");
    assert_eq!((&changed["config"], &changed["template"]), (&config, &json!("activecampaign_event")));
    assert_eq!(changed["config"]["secrets"]["key"], "••••0001", "the secret stays");

    let problem =
        t.admin.patch(&path, &json!({"fields": {"evnt": "trial"}})).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/fields/evnt");
    let both = json!({"fields": {"event": "x"}, "config": {}});
    t.admin.patch(&path, &both).await.expect_problem(422, "invalid_field");
    let plain = format!("/api/v1/postbacks/{}", t.postback("/p").save().await);
    let problem = t.admin.patch(&plain, &json!({"fields": {"event": "x"}})).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/fields");

    let body = json!({"name": "CPAlead", "template": "cpalead", "fields": {"password": "first-password"}});
    let source = format!("/api/v1/sources/{}", text(&t.admin.post("/api/v1/sources", &body).await.expect(201), "id"));
    let click = t.click().await;
    t.admin.patch(&source, &json!({"fields": {"password": "second-password"}, "name": "New"})).await.expect(200);
    let shown = t.admin.get(&source).await.expect(200);
    assert_eq!((&shown["name"], &shown["settings"]["default_status"]), (&json!("New"), &json!("approved")));
    assert!(!shown.to_string().contains("second-password"), "{shown} after {}", click.id);
}

async fn null_clears_or_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let terms = json!({
        "goals": [{"name": "trial"}], "fallback_url": "https://shop.example/f", "deep_link_hosts": ["shop.example"],
        "caps": {"limits": [{"per": "offer", "period": "day", "conversions": 50}], "over": "hold"},
        "visibility": "private",
    });
    let offer = format!("/api/v1/offers/{}", t.offer_with(terms).await);
    for (field, cleared) in [
        ("fallback_url", json!(null)),
        ("goals", json!([])),
        ("deep_link_hosts", json!([])),
        ("caps", json!({"limits": [], "over": "reject", "time_zone": "UTC", "keep_rejected": false})),
    ] {
        assert_eq!(t.admin.patch(&offer, &json!({field: null})).await.expect(200)[field], cleared);
    }
    let postback = format!("/api/v1/postbacks/{}", t.postback("/p").save().await);
    let link = format!("/api/v1/links/{}", t.any_link().await.id);
    let affiliate = format!("/api/v1/affiliates/{}", t.affiliate().await.id);
    for (path, patch, pointer) in [
        (&offer, json!({"name": null}), "/name"),
        (&offer, json!({"visibility": null}), "/visibility"),
        (&offer, json!({"hold_days": null}), "/hold_days"),
        (&offer, json!({"payout": null}), "/payout"),
        (&offer, json!({"default": null}), "/default"),
        (&offer, json!({"caps": {"over": null}}), "/caps/over"),
        (&postback, json!({"enabled": null}), "/enabled"),
        (&postback, json!({"firing_status": null}), "/firing_status"),
        (&postback, json!({"config": null}), "/config"),
        (&link, json!({"status": null}), "/status"),
        (&link, json!({"offer_id": null}), "/offer_id"),
        (&affiliate, json!({"email": null}), "/email"),
        (&"/api/v1/payout-methods/paypal".to_owned(), json!({"file": null}), "/file"),
    ] {
        let before = t.admin.get(path).await.expect(200);
        let problem = t.admin.patch(path, &patch).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], pointer, "{patch}: {problem}");
        assert_eq!(t.admin.get(path).await.expect(200), before);
    }
    for body in [json!(null), json!([]), json!("x"), json!(5)] {
        t.admin.patch(&offer, &body).await.expect_problem(422, "invalid_field");
    }
}

async fn null_is_refused_where_the_description_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let source = json!({"name": "CPAlead", "template": "cpalead", "fields": {"password": "first-password"}});
    let source = t.admin.post("/api/v1/sources", &source).await.expect(201);
    let customer = json!({"external_id": "user-1", "name": "Ada", "email": "ada@example.com"});
    let customer = t.admin.post("/api/v1/customers", &customer).await.expect(201);
    let user = json!({"name": "Grace", "email": "grace@example.com", "role": "support"});
    let user = t.admin.post("/api/v1/users", &user).await.expect(201);
    let mut wrong = Vec::new();
    for (kind, id) in [
        ("affiliates", t.affiliate().await.id.clone()),
        ("customers", text(&customer, "id")),
        ("links", t.any_link().await.id.clone()),
        ("offers", t.offer().await),
        ("payout-methods", "paypal".to_owned()),
        ("postbacks", t.postback("/p").save().await),
        ("sources", text(&source, "id")),
        ("users", text(&user, "id")),
    ] {
        let operation = &description["paths"][format!("/api/v1/{kind}/{{id}}")]["patch"];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        for (pointer, patch, is_described) in nulls(&description, schema) {
            let answer = t.admin.patch(&format!("/api/v1/{kind}/{id}"), &patch).await;
            let problem = answer.json();
            let mut paths = problem["errors"].as_array().into_iter().flatten().filter_map(|it| it["path"].as_str());
            // A field of a group that is not there yet is refused with its group.
            let is_refused = paths.any(|path| pointer == path || (is_described && pointer.starts_with(path)));
            if is_refused != is_described {
                wrong.push(format!("{kind} {pointer}: {}", answer.text));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// For each field of a patch its pointer, a patch in which it is null, and whether null is described as refused.
fn nulls(description: &Value, schema: &Value) -> Vec<(String, Value, bool)> {
    let of_reference = |schema: &Value| {
        let pointer = schema["$ref"].as_str().map(|it| it.trim_start_matches('#').to_owned());
        pointer.and_then(|it| description.pointer(&it).cloned()).unwrap_or_else(|| schema.clone())
    };
    let options = |schema: &Value| schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let mut found = Vec::new();
    for schema in options(&of_reference(schema)).iter().map(of_reference) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            // The description of an optional id is beside its reference.
            let described = std::iter::once(field.clone()).chain(options(field));
            let text = described.into_iter().find_map(|it| it["description"].as_str().map(str::to_owned));
            let text = text.unwrap_or_default().replace('\n', " ");
            // Null can be the present value of a field that never changes.
            if !text.contains("cannot be changed") {
                found.push((format!("/{name}"), json!({name: null}), text.contains("It cannot be null")));
            }
            found.extend(nulls(description, field).into_iter().map(|(pointer, patch, is_described)| {
                (format!("/{name}{pointer}"), json!({name: patch}), is_described)
            }));
        }
    }
    found
}

async fn a_field_that_never_changes_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let (link, other) = (t.any_link().await, t.offer().await);
    let postback = format!("/api/v1/postbacks/{}", t.postback("/p").save().await);
    for (path, patch, pointer) in [
        (format!("/api/v1/offers/{other}"), json!({"currency": "EUR"}), "/currency"),
        (format!("/api/v1/links/{}", link.id), json!({"offer_id": other}), "/offer_id"),
        (postback.clone(), json!({"adapter": "crm-json"}), "/adapter"),
        (postback, json!({"owner_affiliate_id": link.affiliate.id}), "/owner_affiliate_id"),
        ("/api/v1/payout-methods/paypal".to_owned(), json!({"id": "other"}), "/id"),
    ] {
        let problem = t.admin.patch(&path, &patch).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], pointer, "{problem}");
        assert!(text(&problem, "detail").contains("cannot be changed"), "{problem}");
    }
    // The present value is no change.
    t.admin.patch(&format!("/api/v1/offers/{other}"), &json!({"currency": "USD"})).await.expect(200);
}

/// Also within the same millisecond: the clock of the test stands still.
async fn simultaneous_changes_of_different_fields_all_stay(db: Database) {
    let t = TestApp::start(db).await;
    let offer = format!("/api/v1/offers/{}", t.offer().await);
    let postback = format!("/api/v1/postbacks/{}", t.postback("/p").save().await);
    for (path, patches) in [
        (
            &offer,
            [
                json!({"caps": {"over": "hold"}}),
                json!({"caps": {"time_zone": "Europe/Berlin"}}),
                json!({"name": "New"}),
            ],
        ),
        (&postback, [json!({"firing_status": "approved"}), json!({"ordering": "all"}), json!({"name": "New"})]),
    ] {
        let answers = join_all(patches.iter().map(|patch| t.admin.patch(path, patch))).await;
        let statuses: HashSet<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, HashSet::from([200]), "{:?}", answers.iter().map(|it| &it.text).collect::<Vec<_>>());
        let now = t.admin.get(path).await.expect(200);
        assert_eq!(now["name"], "New");
        match path == &offer {
            true => {
                let caps = json!({"limits": [], "over": "hold", "time_zone": "Europe/Berlin", "keep_rejected": false});
                assert_eq!(now["caps"], caps);
            }
            false => assert_eq!((&now["firing_status"], &now["ordering"]), (&json!("approved"), &json!("all"))),
        }
    }
}
