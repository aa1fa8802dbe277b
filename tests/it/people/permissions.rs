//! Who can do what: each operation of the API, called by each role over HTTP. An operation that is not in
//! the table here fails the test, so none is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    each_role_may_do_what_the_table_says,
    each_scope_opens_its_operations_only,
    a_session_may_do_what_its_role_may,
    a_suspended_affiliate_reads_and_changes_nothing,
    a_session_that_staff_opened_reads_and_changes_nothing,
    sessions_end_with_the_access_of_their_opener,
    staff_end_the_sessions_of_an_affiliate,
);

/// A second copy, written by hand: an error in the program's own table shows here.
const ROLES: [(&str, &[&str]); 20] = [
    ("read_program", &["owner", "admin", "finance", "support", "affiliate"]),
    ("manage_offers", &["owner", "admin"]),
    ("manage_affiliates", &["owner", "admin"]),
    ("manage_links", &["owner", "admin", "affiliate"]),
    ("manage_conversions", &["owner", "admin"]),
    ("manage_postbacks", &["owner", "admin", "affiliate"]),
    ("manage_sources", &["owner", "admin", "affiliate"]),
    ("manage_adapters", &["owner", "admin"]),
    ("manage_keys", &["owner", "admin"]),
    ("manage_users", &["owner", "admin"]),
    ("read_money", &["owner", "admin", "finance", "support", "affiliate"]),
    ("manage_money", &["owner", "admin", "finance"]),
    ("request_withdrawals", &["owner", "finance", "affiliate"]),
    ("pay_withdrawals", &["owner", "finance"]),
    ("read_reports", &["owner", "admin", "finance", "support", "affiliate"]),
    ("read_audit", &["owner", "admin", "finance"]),
    ("manage_settings", &["owner", "admin"]),
    ("open_sessions", &["owner", "admin"]),
    ("read_buyers", &["owner", "admin", "finance", "support"]),
    ("prune_audit", &["owner"]),
];

/// The permission of each operation; "anybody" needs no credentials, "caller" any key or session.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("anybody", &["register", "set_password", "reset_password", "login", "confirm_email", "confirm_change"]),
    (
        "caller",
        &[
            "logout",
            "get_me",
            "change_me",
            "change_password",
            "change_email",
            "list_sessions",
            "revoke_session",
            "revoke_other_sessions",
            "begin_second_factor",
            "confirm_second_factor",
            "remove_second_factor",
            "renew_recovery_codes",
            "create_own_api_key",
            "list_own_api_keys",
            "revoke_own_api_key",
            "create_saved_view",
            "list_saved_views",
            "rename_saved_view",
            "delete_saved_view",
        ],
    ),
    (
        "read_program",
        &[
            "list_affiliates",
            "get_affiliate",
            "list_offers",
            "get_offer",
            "list_links",
            "get_link",
            "list_clicks",
            "get_click",
            "list_conversions",
            "get_conversion",
            "list_events",
            "get_event",
            "list_postbacks",
            "get_postback",
            "list_postback_versions",
            "get_postback_settings",
            "list_templates",
            "get_template",
            "list_adapters",
            "get_adapter",
            "list_deliveries",
            "explain_postback",
            "list_retry_jobs",
            "get_retry_job",
            "get_delivery",
            "list_destinations",
            "list_sources",
            "get_source",
            "get_source_activity",
            "list_inbound_requests",
            "get_inbound_request",
            "list_applications",
            "get_application",
            "get_buyer_settings",
            "get_conversion_settings",
            "list_rejection_reasons",
        ],
    ),
    (
        "manage_offers",
        &[
            "restore_offer",
            "archive_offer",
            "create_offer",
            "change_offer",
            "delete_payout_override",
            "list_payout_overrides",
            "set_payout_override",
        ],
    ),
    (
        "manage_affiliates",
        &[
            "restore_affiliate",
            "archive_affiliate",
            "create_affiliate",
            "change_affiliate",
            "end_affiliate_sessions",
            "create_customer",
            "list_customers",
            "get_customer",
            "change_customer",
            "approve_user",
            "approve_application",
            "refuse_application",
            "approve_postback",
            "refuse_postback",
        ],
    ),
    ("manage_links", &["restore_link", "archive_link", "create_link", "change_link", "create_application"]),
    (
        "manage_conversions",
        &[
            "create_conversions",
            "approve_conversion",
            "reject_conversion",
            "approve_conversions",
            "reject_conversions",
            "preview_decision",
            "delete_test_conversion",
            "create_event",
        ],
    ),
    (
        "manage_postbacks",
        &[
            "create_postback",
            "parse_postback",
            "preview_postback",
            "preview_postback_change",
            "estimate_postback",
            "count_retries",
            "create_retry_job",
            "cancel_retry_job",
            "change_postback",
            "archive_postback",
            "duplicate_postback",
            "restore_postback_version",
            "test_postback",
            "create_test_conversion",
            "retry_delivery",
        ],
    ),
    (
        "manage_sources",
        &[
            "create_source",
            "change_source",
            "archive_source",
            "rotate_source_key",
            "replay_inbound_request",
            "replay_inbound_requests",
            "count_replays",
        ],
    ),
    ("manage_adapters", &["install_adapter", "disable_adapter", "enable_adapter", "upgrade_adapter"]),
    ("manage_keys", &["create_api_key", "list_api_keys", "revoke_api_key"]),
    ("manage_users", &["invite_user_again", "invite_user", "list_users", "get_user", "change_user"]),
    ("read_audit", &["list_audit"]),
    (
        "read_money",
        &[
            "list_adjustments",
            "list_balances",
            "list_earnings",
            "get_earning",
            "list_exchange_rates",
            "list_exchanges",
            "get_exchange",
            "list_sub_affiliates",
            "list_payout_details",
            "list_payout_methods",
            "get_payout_method",
            "get_sub_affiliate_settings",
            "get_withdrawal_settings",
            "get_statement",
            "list_withdrawals",
            "get_withdrawal",
        ],
    ),
    (
        "manage_money",
        &[
            "create_adjustment",
            "create_exchange_rate",
            "create_exchange",
            "create_payout_method",
            "change_payout_method",
            "set_sub_affiliate_settings",
            "set_withdrawal_settings",
        ],
    ),
    (
        "request_withdrawals",
        &[
            "check_payout_details",
            "set_payout_details",
            "remove_payout_details",
            "request_withdrawal",
            "cancel_withdrawal",
        ],
    ),
    (
        "pay_withdrawals",
        &[
            "list_withdrawal_batches",
            "create_withdrawal_batch",
            "get_withdrawal_batch",
            "export_withdrawal_batch",
            "take_withdrawal_results",
            "approve_withdrawals",
            "approve_withdrawal",
            "fail_withdrawal",
            "pay_withdrawal",
            "refuse_withdrawal",
            "return_withdrawal",
            "dissolve_withdrawal_batch",
        ],
    ),
    ("read_reports", &["export", "get_report", "get_revenue_map", "get_series"]),
    (
        "manage_settings",
        &[
            "list_warnings",
            "set_buyer_settings",
            "set_conversion_settings",
            "set_postback_settings",
            "create_rejection_reason",
            "change_rejection_reason",
        ],
    ),
    ("open_sessions", &["create_customer_login_link", "create_affiliate_login_link"]),
    ("read_buyers", &[]),
    ("prune_audit", &["prune_audit"]),
];

struct Operation {
    id: String,
    method: Method,
    path: String,
    needs: &'static str,
}

/// Every operation that the server describes, with its entry in the table; both must be equal.
async fn operations(t: &TestApp) -> Vec<Operation> {
    let table: BTreeMap<&str, &'static str> =
        OPERATIONS.iter().flat_map(|(needs, ids)| ids.iter().map(|id| (*id, *needs))).collect();
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let mut found = Vec::new();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let id = text(operation, "operationId");
            let needs = *table.get(id.as_str()).unwrap_or_else(|| panic!("{id} is not in the table of this test"));
            assert_eq!(described(operation), needs, "{id} in the description");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            found.push(Operation { id, method, path: path.clone(), needs });
        }
    }
    let known: BTreeSet<_> = found.iter().map(|it| it.id.as_str()).collect();
    let gone: Vec<_> = table.keys().filter(|id| !known.contains(*id)).collect();
    assert!(gone.is_empty(), "in the table and nowhere else: {gone:?}");
    found
}

/// The permission in the description of an operation.
fn described(operation: &Value) -> String {
    let requirements = operation["security"].as_array().unwrap_or_else(|| panic!("{operation} does not say who may"));
    match requirements.iter().find_map(|it| it["api_key"].as_array()).map(Vec::as_slice) {
        None if requirements.iter().all(|it| it["session"].is_null()) => "anybody".to_owned(),
        // Operations for people have the session alone.
        None | Some([]) => "caller".to_owned(),
        Some(scopes) => scopes.iter().map(|it| it.as_str().expect("a word")).collect::<Vec<_>>().join("+"),
    }
}

/// Sends an invalid body to an object that does not exist: an allowed caller gets another error, and nothing changes.
async fn is_forbidden(client: &Client, operation: &Operation) -> bool {
    refusal(client, operation).await.as_deref() == Some("forbidden")
}

/// The code of a refusal.
async fn refusal(client: &Client, operation: &Operation) -> Option<String> {
    let mut path = operation.path.clone();
    while let Some(start) = path.find('{') {
        let end = path.find('}').expect("a parameter is closed");
        path.replace_range(start..=end, "nonsense");
    }
    let answer = client.send(client.request(operation.method.clone(), &path).json(&json!({"nonsense": 1}))).await;
    assert_ne!(answer.status, 401, "{}: {}", operation.id, answer.text);
    assert!(answer.status < 500, "{}: {}", operation.id, answer.text);
    (answer.status == 403).then(|| text(&answer.json(), "code"))
}

/// Reads are permitted; all other operations except signing out are refused with this code.
async fn reads_only(client: &Client, operations: &[Operation], code: &str) {
    for operation in operations.iter().filter(|it| it.needs != "anybody" && it.id != "logout") {
        let refused = refusal(client, operation).await;
        if operation.method == Method::GET {
            assert_ne!(refused.as_deref(), Some(code), "{}", operation.id);
        } else {
            assert_eq!(refused.as_deref(), Some(code), "{}", operation.id);
        }
    }
    for path in ["affiliates", "links", "clicks", "conversions", "balances", "payout-details", "withdrawals", "sources"]
    {
        client.get(&format!("/api/v1/{path}")).await.expect(200);
    }
    let me = client.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["read_only"], true, "{me}");
}

fn roles_with(needs: &str) -> &'static [&'static str] {
    let everybody = &["owner", "admin", "finance", "support", "affiliate"];
    ROLES.iter().find(|(permission, _)| *permission == needs).map_or(everybody, |(_, roles)| roles)
}

async fn key(t: &TestApp, role: &str, scopes: Option<&[&str]>) -> Client {
    let mut body = json!({"name": "k", "role": role, "scopes": scopes});
    if role == "affiliate" {
        body["affiliate_id"] = json!(t.affiliate().await.id);
    }
    let key = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    t.admin.with_key(Some(&text(&key, "key")))
}

async fn each_role_may_do_what_the_table_says(db: Database) {
    let t = TestApp::start(db).await;
    let operations = operations(&t).await;
    let mut cells = 0;
    for role in ["owner", "admin", "finance", "support", "affiliate"] {
        let client = key(&t, role, None).await;
        for operation in &operations {
            let may = roles_with(operation.needs).contains(&role);
            assert_eq!(is_forbidden(&client, operation).await, !may, "{role} {}", operation.id);
            cells += 1;
        }
    }
    assert_eq!(cells, 5 * operations.len());
    let stranger = t.anonymous();
    for operation in operations.iter().filter(|it| it.needs != "anybody") {
        let path = operation.path.replace(['{', '}'], "");
        let answer = stranger.send(stranger.request(operation.method.clone(), &path).json(&json!({}))).await;
        answer.expect_problem(401, "unauthorized");
    }
}

async fn each_scope_opens_its_operations_only(db: Database) {
    let t = TestApp::start(db).await;
    let operations = operations(&t).await;
    for (scope, _) in ROLES {
        let client = key(&t, "owner", Some(&[scope])).await;
        for operation in &operations {
            let may = [scope, "anybody", "caller"].contains(&operation.needs);
            assert_eq!(is_forbidden(&client, operation).await, !may, "{scope} {}", operation.id);
        }
    }
}

async fn a_session_may_do_what_its_role_may(db: Database) {
    let t = TestApp::start(db).await;
    let operations = operations(&t).await;
    let affiliate = t.affiliate().await;
    for (role, person) in [("support", t.person("support").await), ("affiliate", t.person_of(&affiliate.id).await)] {
        for operation in operations.iter().filter(|it| !["anybody", "caller"].contains(&it.needs)) {
            let may = roles_with(operation.needs).contains(&role);
            assert_eq!(is_forbidden(&person.client, operation).await, !may, "{role} {}", operation.id);
        }
    }
}

async fn a_suspended_affiliate_reads_and_changes_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let operations = operations(&t).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    person.client.get("/api/v1/links").await.expect(200);
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&path, &json!({"status": "suspended"})).await.expect(200);
    let later = t.signed_in(&person.email, postrider_tests::people::PASSWORD).await;
    for client in [&affiliate.client, &person.client, &later] {
        reads_only(client, &operations, "affiliate_suspended").await;
    }
    let me = later.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["read_only_because"], "suspended");
    let answered = t.sign_in(&person.email, postrider_tests::people::PASSWORD).await.expect(200);
    assert_eq!(answered, me, "signing in says so at once");
    let page = later.get("/").await;
    assert!(page.text.contains("This affiliate is suspended"), "{}", page.text);
    t.admin.patch(&path, &json!({"status": "active"})).await.expect(200);
    assert_eq!(refusal(&affiliate.client, find(&operations, "create_link")).await, None);
    assert_eq!(affiliate.client.get("/api/v1/auth/me").await.expect(200)["read_only"], false);
}

async fn a_session_that_staff_opened_reads_and_changes_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let operations = operations(&t).await;
    let (affiliate, admin) = (t.affiliate().await, t.person("admin").await);
    let path = format!("/api/v1/affiliates/{}/login-link", affiliate.id);
    let link = admin.client.post(&path, &json!({})).await.expect(201);
    assert_eq!(link["access"], "read_only");
    let path = url::Url::parse(&text(&link, "login_url")).expect("an absolute URL").path().to_owned();
    let browser = t.anonymous();
    let request = browser.request(Method::POST, &path).header("sec-fetch-site", "same-origin");
    let looking = browser.with_session_of(&browser.send(request).await);
    reads_only(&looking, &operations, "read_only_session").await;
    let me = looking.get("/api/v1/auth/me").await.expect(200);
    assert_eq!((&me["read_only_because"], &me["affiliate_id"]), (&json!("opened_by_staff"), &json!(affiliate.id)));
    let page = looking.get("/").await;
    assert!(page.text.contains("This session is read-only"), "{}", page.text);
    let source = looking.list("/api/v1/sources").await.remove(0);
    assert_eq!(source["url_masked"], true, "whoever knows an address can report");
    let log = t.admin.list("/api/v1/audit?operation=sign_in_by_link").await;
    assert_eq!(log[0]["fields"], json!({"opened_by": admin.id, "read_only": true}));
    looking.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    looking.get("/api/v1/links").await.expect_problem(401, "unauthorized");
}

/// A login link for an affiliate, created by staff.
async fn link_of(opener: &Client, affiliate: &str) -> String {
    let link = opener.post(&format!("/api/v1/affiliates/{affiliate}/login-link"), &json!({})).await.expect(201);
    url::Url::parse(&text(&link, "login_url")).expect("an absolute URL").path().to_owned()
}

async fn follow(t: &TestApp, path: &str) -> Answer {
    let browser = t.anonymous();
    browser.send(browser.request(Method::POST, path).header("sec-fetch-site", "same-origin")).await
}

async fn sessions_end_with_the_access_of_their_opener(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    // The last owner can't be demoted.
    t.person("owner").await;
    let (disabled, demoted) = (t.person("admin").await, t.person("owner").await);
    let key = t.admin.post("/api/v1/api-keys", &json!({"name": "backend", "role": "owner"})).await.expect(201);
    let backend = t.admin.with_key(Some(&text(&key, "key")));
    let change = |id: &str, body: Value| (format!("/api/v1/users/{id}"), body);
    let ends = [
        (&disabled.client, Some(change(&disabled.id, json!({"status": "disabled"})))),
        (&demoted.client, Some(change(&demoted.id, json!({"role": "support"})))),
        (&backend, None),
    ];
    let bootstrap = t.anonymous().with_session_of(&follow(&t, &link_of(&t.admin, &affiliate.id).await).await);
    for (opener, end) in ends {
        let session = t.anonymous().with_session_of(&follow(&t, &link_of(opener, &affiliate.id).await).await);
        session.get("/api/v1/links").await.expect(200);
        let unused = link_of(opener, &affiliate.id).await;
        match &end {
            Some((path, body)) => drop(t.admin.patch(path, body).await.expect(200)),
            None => drop(t.admin.delete(&format!("/api/v1/api-keys/{}", text(&key, "id"))).await.expect(204)),
        }
        session.get("/api/v1/links").await.expect_problem(401, "unauthorized");
        assert_eq!(follow(&t, &unused).await.status, 410, "{end:?}");
    }
    bootstrap.get("/api/v1/links").await.expect(200);
}

async fn staff_end_the_sessions_of_an_affiliate(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, other) = (t.affiliate().await, t.affiliate().await);
    let (person, stranger) = (t.person_of(&affiliate.id).await, t.person_of(&other.id).await);
    let customer = t.anonymous().with_session_of(&follow(&t, &link_of(&t.admin, &affiliate.id).await).await);
    let unused = link_of(&t.admin, &affiliate.id).await;
    let path = format!("/api/v1/affiliates/{}/sessions", affiliate.id);
    person.client.delete(&path).await.expect_problem(403, "forbidden");
    assert_eq!(t.admin.delete(&path).await.expect(200), json!({"ended": 2}));
    for ended in [&customer, &person.client] {
        ended.get("/api/v1/links").await.expect_problem(401, "unauthorized");
    }
    assert_eq!(follow(&t, &unused).await.status, 410);
    stranger.client.get("/api/v1/links").await.expect(200);
    t.signed_in(&person.email, postrider_tests::people::PASSWORD).await;
}

fn find<'a>(operations: &'a [Operation], id: &str) -> &'a Operation {
    operations.iter().find(|it| it.id == id).expect("an operation")
}
