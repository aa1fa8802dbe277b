//! The former and the new value: each operation that changes an object records both.

use std::collections::BTreeSet;

use domain::people::redaction;
use engine::config::Registration;
use futures::future::join_all;
use postrider_tests::app::Affiliate;
use postrider_tests::people::token_in;
use reqwest::Method;

use super::*;

on_both_databases!(
    an_admin_sees_who_changed_a_payout_from_what_to_what,
    every_operation_that_changes_an_object_records_the_former_values,
    changes_of_secrets_people_and_accounts_are_recorded_without_values,
    an_operation_without_effect_records_no_changes,
    simultaneous_changes_are_recorded_in_sequence,
);

/// They create an object, or concern a person's own password and sessions, which are not shown to others.
const NOTHING_BEFORE: [&str; 59] = [
    "begin_second_factor",
    "change_email",
    "change_password",
    "confirm_change",
    "confirm_email",
    "confirm_second_factor",
    "create_adjustment",
    "create_affiliate",
    "create_affiliate_login_link",
    "create_api_key",
    "create_application",
    "create_conversions",
    "create_customer_login_link",
    "create_event",
    "create_exchange",
    "create_exchange_rate",
    "create_link",
    "create_offer",
    "create_own_api_key",
    "create_payout_method",
    "create_postback",
    "create_saved_view",
    "create_rejection_reason",
    "create_source",
    "create_test_conversion",
    "create_withdrawal_batch",
    "duplicate_postback",
    "end_affiliate_sessions",
    "install_adapter",
    "invite_user",
    "invite_user_again",
    "login",
    "logout",
    "check_payout_details",
    "count_replays",
    "count_retries",
    "create_retry_job",
    "estimate_postback",
    "parse_postback",
    "preview_decision",
    "preview_postback",
    "preview_postback_change",
    "prune_audit",
    "register",
    "remove_second_factor",
    "renew_recovery_codes",
    "request_withdrawal",
    "reset_password",
    "revoke_other_sessions",
    "revoke_session",
    "set_password",
    "test_postback",
    // Adapters, inbound requests and retry jobs have their own tests.
    "cancel_retry_job",
    // A deleted test leaves nothing.
    "delete_test_conversion",
    "replay_inbound_request",
    "replay_inbound_requests",
    "upgrade_adapter",
    // An existing customer is changed by it.
    "create_customer",
    "take_withdrawal_results",
];

/// Keeps account of the operations that were tried.
struct Trial<'a> {
    t: &'a TestApp,
    tried: BTreeSet<String>,
}

impl Trial<'_> {
    /// Does it as the program, and returns the former and the new value of this field in the log.
    async fn does(&mut self, operation: &str, method: Method, path: &str, body: Value, field: &str) -> (Value, Value) {
        let client = self.t.admin.clone();
        self.does_as(&client, operation, method, path, body, field).await
    }

    async fn does_as(
        &mut self,
        client: &Client,
        operation: &str,
        method: Method,
        path: &str,
        body: Value,
        field: &str,
    ) -> (Value, Value) {
        let request = client.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = client.send(request).await;
        assert!((200..300).contains(&answer.status), "{operation}: {}", answer.text);
        self.t.tick();
        self.tried.insert(operation.to_owned());
        let record = self.t.admin.get(&format!("/api/v1/audit?limit=1&operation={operation}")).await.expect(200);
        changed(&record["items"][0], field)
    }
}

fn changed(record: &Value, field: &str) -> (Value, Value) {
    let changes = record["changes"].as_array().unwrap_or_else(|| panic!("{record}"));
    let found = changes.iter().find(|it| it["field"] == field);
    let found = found.unwrap_or_else(|| panic!("{field} is not among the changes of {record}"));
    (found["from"].clone(), found["to"].clone())
}

fn pair(from: impl Into<Value>, to: impl Into<Value>) -> (Value, Value) {
    (from.into(), to.into())
}

async fn an_admin_sees_who_changed_a_payout_from_what_to_what(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let offer = t.offer_with(json!({"payout": {"fixed": "10.00"}})).await;
    let caps = json!({"limits": [{"period": "day", "conversions": 10}]});
    let body = json!({"payout": {"fixed": "12.50"}, "hold_days": 30, "caps": caps});
    person.client.patch(&format!("/api/v1/offers/{offer}"), &body).await.expect(200);
    let record = log(&t, &format!("?object={offer}")).await.remove(0);
    assert_eq!((&record["actor"], &record["operation"]), (&json!(person.id), &json!("change_offer")));
    assert_eq!(changed(&record, "payout.fixed"), pair("10.00", "12.50"));
    assert_eq!(changed(&record, "hold_days"), pair(0, 30));
    assert_eq!(changed(&record, "caps.limits.0.period"), pair(Value::Null, "day"));
    let told: Vec<_> = record["changes"].as_array().unwrap().iter().map(|it| text(it, "field")).collect();
    assert!(told.iter().all(|it| ["payout", "hold_d", "caps.l"].iter().any(|start| it.starts_with(start))), "{told:?}");
}

/// An operation that is neither tried nor in the list above fails this test, so that none is forgotten.
async fn every_operation_that_changes_an_object_records_the_former_values(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.registration = Registration::Approval).await;
    let mut trial = Trial { t: &t, tried: BTreeSet::new() };
    the_program(&mut trial).await;
    deliveries_and_sources(&mut trial).await;
    people(&mut trial).await;
    money(&mut trial).await;

    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let operations = description["paths"].as_object().expect("paths").values().flat_map(|it| it.as_object().unwrap());
    let changing: BTreeSet<_> =
        operations.filter(|(method, _)| *method != "get").map(|(_, it)| text(it, "operationId")).collect();
    let excused = NOTHING_BEFORE.map(str::to_owned);
    let untried: Vec<_> = changing.iter().filter(|it| !trial.tried.contains(*it) && !excused.contains(it)).collect();
    assert!(untried.is_empty(), "nobody knows whether these say what was before: {untried:?}");
    let gone: Vec<_> = excused.iter().filter(|it| !changing.contains(*it)).collect();
    assert!(gone.is_empty(), "in the list and nowhere else: {gone:?}");
}

async fn the_program(trial: &mut Trial<'_>) {
    let t = trial.t;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"visibility": "on_application"})).await;
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    let status = trial.does("change_affiliate", Method::PATCH, &path, json!({"status": "suspended"}), "status").await;
    assert_eq!(status, pair("active", "suspended"));
    t.admin.patch(&path, &json!({"status": "active"})).await.expect(200);

    let applications = format!("/api/v1/offers/{offer}/applications");
    let application = t.admin.post(&applications, &json!({"affiliate_id": affiliate.id})).await.expect(201);
    let path = format!("/api/v1/applications/{}", text(&application, "id"));
    let refusal = json!({"reason": "no coupons"});
    let status = trial.does("refuse_application", Method::POST, &format!("{path}/refuse"), refusal, "status").await;
    assert_eq!(status, pair("approved", "refused"));
    let reason = trial.does("approve_application", Method::POST, &format!("{path}/approve"), json!({}), "reason").await;
    assert_eq!(reason, pair("no coupons", Value::Null));

    let link = t.link_with(&affiliate, &offer, json!({"coupon": "SAVE10"})).await;
    let (path, body) = (format!("/api/v1/links/{}", link.id), json!({"coupon": "SAVE20"}));
    let coupon = trial.does("change_link", Method::PATCH, &path, body, "coupons.0.code").await;
    assert_eq!(coupon, pair("SAVE10", "SAVE20"));

    let path = format!("/api/v1/offers/{offer}");
    let status = trial.does("change_offer", Method::PATCH, &path, json!({"status": "paused"}), "status").await;
    assert_eq!(status, pair("active", "paused"));
    t.admin.patch(&path, &json!({"status": "active"})).await.expect(200);
    t.offer().await;
    for (noun, path) in [
        ("affiliate", format!("/api/v1/affiliates/{}", affiliate.id)),
        ("offer", format!("/api/v1/offers/{}", t.offer().await)),
        ("link", format!("/api/v1/links/{}", link.id)),
    ] {
        let mut change = async |verb: &str| {
            let (operation, path) = (format!("{verb}_{noun}"), format!("{path}/{verb}"));
            trial.does(&operation, Method::POST, &path, json!({}), "archived_at").await
        };
        let archived = change("archive").await;
        assert!(archived.0.is_null() && archived.1.is_string(), "{archived:?}");
        assert_eq!(change("restore").await, (archived.1, Value::Null));
    }
    let payout_overrides = format!("{path}/payout-overrides");
    let agreed = |payout: &str| json!({"affiliate_id": affiliate.id, "payout": {"fixed": payout}});
    let set = trial.does("set_payout_override", Method::POST, &payout_overrides, agreed("15.00"), "payout.fixed").await;
    assert_eq!(set, pair(Value::Null, "15.00"));
    let set = trial.does("set_payout_override", Method::POST, &payout_overrides, agreed("16.00"), "payout.fixed").await;
    assert_eq!(set, pair("15.00", "16.00"));
    let payout_override = t.admin.list(&payout_overrides).await.remove(0);
    let path = format!("/api/v1/payout-overrides/{}", text(&payout_override, "id"));
    let deleted = trial.does("delete_payout_override", Method::DELETE, &path, Value::Null, "payout.fixed").await;
    assert_eq!(deleted, pair("16.00", Value::Null));

    let conversion = t.conversion(&t.click_on(&link, "").await).status("pending").send().await;
    let path = format!("/api/v1/conversions/{conversion}");
    let status = trial.does("approve_conversion", Method::POST, &format!("{path}/approve"), json!({}), "status").await;
    assert_eq!(status, pair("pending", "approved"));
    let fraud = json!({"reason": "fraud"});
    let status = trial.does("reject_conversion", Method::POST, &format!("{path}/reject"), fraud, "status").await;
    assert_eq!(status, pair("approved", "rejected"));

    let (decided, field) = (json!({"ids": [conversion]}), format!("{conversion}.status"));
    let path = "/api/v1/conversions/approve";
    let status = trial.does("approve_conversions", Method::POST, path, decided, &field).await;
    assert_eq!(status, pair("rejected", "approved"));
    let decided = json!({"ids": [conversion], "reason": "fraud"});
    let path = "/api/v1/conversions/reject";
    let status = trial.does("reject_conversions", Method::POST, path, decided, &field).await;
    assert_eq!(status, pair("approved", "rejected"));
    let (path, body) = ("/api/v1/rejection-reasons/refund", json!({"text": "Money back."}));
    let text = trial.does("change_rejection_reason", Method::PATCH, path, body, "text").await;
    assert_eq!(text, pair("The customer got the money back.", "Money back."));

    let (path, body) = ("/api/v1/settings/buyers", json!({"affiliates_see": "nothing"}));
    let seen = trial.does("set_buyer_settings", Method::PUT, path, body, "affiliates_see").await;
    assert_eq!(seen, pair("all", "nothing"));
    t.affiliates_see("all").await;

    let (path, body) = ("/api/v1/settings/conversions", json!({"one_order_per": "program"}));
    let scope = trial.does("set_conversion_settings", Method::PUT, path, body, "one_order_per").await;
    assert_eq!(scope, pair("offer", "program"));

    let tiers = json!({"tiers": ["10", "5"]});
    let tiers =
        trial.does("set_sub_affiliate_settings", Method::PUT, "/api/v1/settings/sub-affiliates", tiers, "tiers").await;
    assert_eq!(tiers, (json!([]), json!(["10", "5"])));
    t.admin
        .send(t.admin.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&json!({"tiers": []})))
        .await
        .expect(200);
}

async fn deliveries_and_sources(trial: &mut Trial<'_>) {
    let t = trial.t;
    let postback = t.postback("/p").disabled().save().await;
    let path = format!("/api/v1/postbacks/{postback}");
    let body = json!({"firing_status": "any"});
    let status = trial.does("change_postback", Method::PATCH, &path, body, "firing_status").await;
    assert_eq!(status, pair("approved", "any"));
    let restore = format!("{path}/versions/1/restore");
    let status = trial.does("restore_postback_version", Method::POST, &restore, json!({}), "firing_status").await;
    assert_eq!(status, pair("any", "approved"));
    t.admin.patch(&path, &json!({"firing_status": "any"})).await.expect(200);
    let name = trial.does("archive_postback", Method::DELETE, &path, Value::Null, "firing_status").await;
    assert_eq!(name, pair("any", Value::Null));

    let (settings, body) = ("/api/v1/settings/postbacks", json!({"affiliates_need_approval": true}));
    let needed = trial.does("set_postback_settings", Method::PUT, settings, body, "affiliates_need_approval").await;
    assert_eq!(needed, pair(false, true));
    let owner = t.affiliate().await;
    let body = t.postback("/theirs").body;
    let theirs = owner.client.post("/api/v1/postbacks", &body).await.expect(201);
    let path = format!("/api/v1/postbacks/{}", text(&theirs, "id"));
    let refusal = json!({"version": 1, "reason": "not yours"});
    let state = trial.does("refuse_postback", Method::POST, &format!("{path}/refuse"), refusal, "approval").await;
    assert_eq!(state, pair("awaiting_approval", "refused"));
    let approval = json!({"version": 2});
    let state = trial.does("approve_postback", Method::POST, &format!("{path}/approve"), approval, "approval").await;
    assert_eq!(state, pair("refused", "approved"));
    let body = json!({"affiliates_need_approval": false});
    t.admin.send(t.admin.request(Method::PUT, settings).json(&body)).await.expect(200);

    let gone = t.postback("/gone").firing("approved").delay(1, "hours").save().await;
    let conversion = t.conversion(&t.click().await).send().await;
    t.deliver_all().await;
    t.reject(&conversion, "fraud").await.expect(200);
    t.advance(std::time::Duration::from_secs(7_200));
    t.deliver_all().await;
    let delivery = t.only_delivery(&gone).await;
    assert_eq!(delivery["status"], "cancelled", "{delivery}");
    let path = format!("/api/v1/deliveries/{}/retry", text(&delivery, "id"));
    let state = trial.does("retry_delivery", Method::POST, &path, json!({}), "status").await;
    assert_eq!(state, pair("cancelled", "pending"));

    let affiliate = t.affiliate().await;
    let source = affiliate.client.list("/api/v1/sources").await.remove(0);
    let path = format!("/api/v1/sources/{}", text(&source, "id"));
    let zone = json!({"settings": {"time_zone": "Europe/Berlin"}});
    let zone = trial.does("change_source", Method::PATCH, &path, zone, "settings.time_zone").await;
    assert_eq!(zone.1, "Europe/Berlin");
    let url = trial.does("rotate_source_key", Method::POST, &format!("{path}/rotate-key"), json!({}), "url").await;
    assert_eq!(url, pair("•••", "•••"), "whoever knows the address can report");
    let enabled = trial.does("archive_source", Method::DELETE, &path, Value::Null, "enabled").await;
    assert_eq!(enabled, pair(true, Value::Null));

    let adapters = t.admin.list("/api/v1/adapters").await;
    let adapter = adapters.iter().find(|it| it["id"] == "mylead").expect("a built-in adapter");
    let path = format!("/api/v1/adapters/mylead/versions/{}", text(adapter, "latest"));
    let state = trial.does("disable_adapter", Method::POST, &format!("{path}/disable"), json!({}), "status").await;
    assert_eq!(state, pair("active", "disabled"));
    let state = trial.does("enable_adapter", Method::POST, &format!("{path}/enable"), json!({}), "status").await;
    assert_eq!(state, pair("disabled", "active"));
}

async fn people(trial: &mut Trial<'_>) {
    let t = trial.t;
    let person = t.person("support").await;
    let path = format!("/api/v1/users/{}", person.id);
    let role = trial.does("change_user", Method::PATCH, &path, json!({"role": "finance"}), "role").await;
    assert_eq!(role, pair("support", "finance"));
    let (me, body) = ("/api/v1/auth/me", json!({"theme": "dark"}));
    let theme = trial.does_as(&person.client, "change_me", Method::PATCH, me, body, "theme").await;
    assert_eq!(theme, pair(Value::Null, "dark"));
    let email = json!({"email": "another@example.com"});
    let email = trial.does("change_user", Method::PATCH, &path, email, "email").await;
    assert_eq!(email, pair("•••", "•••"));
    let person = t.person("support").await;

    let body = json!({"name": "Bob", "email": "bob@example.com"});
    t.anonymous().post("/api/v1/auth/register", &body).await.expect(202);
    let token = token_in(&t.mail_to("bob@example.com", "Confirm your address").await);
    t.set_password(&token, PASSWORD).await.expect(200);
    let waiting = t.admin.list("/api/v1/users?status=waiting").await.remove(0);
    let path = format!("/api/v1/users/{}/approve", text(&waiting, "id"));
    let status = trial.does("approve_user", Method::POST, &path, json!({}), "status").await;
    assert_eq!(status, pair("waiting", "active"));

    let key = t.admin.post("/api/v1/api-keys", &json!({"name": "k", "role": "support"})).await.expect(201);
    let path = format!("/api/v1/api-keys/{}", text(&key, "id"));
    let revoked = trial.does("revoke_api_key", Method::DELETE, &path, Value::Null, "revoked_at").await;
    assert!(revoked.0.is_null() && revoked.1.is_string(), "{revoked:?}");
    let key = person.client.post("/api/v1/auth/keys", &json!({"name": "own", "password": PASSWORD})).await.expect(201);
    let path = format!("/api/v1/auth/keys/{}", text(&key, "id"));
    let own =
        trial.does_as(&person.client, "revoke_own_api_key", Method::DELETE, &path, Value::Null, "revoked_at").await;
    assert!(own.0.is_null() && own.1.is_string(), "{own:?}");

    let view = json!({"name": "Failed", "url": "/deliveries?status=failed"});
    let view = person.client.post("/api/v1/saved-views", &view).await.expect(201);
    let path = format!("/api/v1/saved-views/{}", text(&view, "id"));
    let name = json!({"name": "Down"});
    let name = trial.does_as(&person.client, "rename_saved_view", Method::PATCH, &path, name, "name").await;
    assert_eq!(name, pair("•••", "•••"));
    let page = trial.does_as(&person.client, "delete_saved_view", Method::DELETE, &path, Value::Null, "page").await;
    assert_eq!(page, pair("/deliveries", Value::Null));

    let customer = |email: &str| json!({"external_id": "user-1", "name": "Cleo", "email": email});
    let made = t.admin.post("/api/v1/customers", &customer("cleo@example.com")).await.expect(201);
    let hidden = || pair("•••", "•••");
    let path = "/api/v1/customers";
    let email = trial.does("create_customer", Method::POST, path, customer("cleo@example.org"), "email").await;
    assert_eq!(email, hidden());
    let path = format!("/api/v1/customers/{}", text(&made, "id"));
    let name = trial.does("change_customer", Method::PATCH, &path, json!({"name": "Cleopatra"}), "name").await;
    assert_eq!(name, hidden());
}

async fn withdrawal(affiliate: &Affiliate) -> String {
    let wanted = json!({"method": "paypal", "amount": "100.00", "currency": "USD"});
    let answer = affiliate.client.post_once("/api/v1/withdrawals", &uuid(), &wanted).await;
    text(&answer.expect(201), "id")
}

fn uuid() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("once-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn money(trial: &mut Trial<'_>) {
    let t = trial.t;
    let minimums = json!({"minimums": {"USD": "20.00"}});
    let minimum =
        trial.does("set_withdrawal_settings", Method::PUT, "/api/v1/settings/withdrawals", minimums, "minimums.USD");
    assert_eq!(minimum.await, pair(Value::Null, "20.00"));
    let enabled = json!({"processing_time": "2 days"});
    let time =
        trial.does("change_payout_method", Method::PATCH, "/api/v1/payout-methods/paypal", enabled, "processing_time");
    assert_eq!(time.await.1, "2 days");

    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"payout": {"fixed": "1000.00"}})).await;
    t.conversion(&t.click_on(&t.link(&affiliate, &offer).await, "").await).send().await;
    t.deliver_all().await;
    let details = |email: &str| json!({"method": "paypal", "details": {"email": email}});
    let path = "/api/v1/payout-details";
    let client = affiliate.client.clone();
    for email in ["one@example.org", "two@example.org"] {
        let set =
            trial.does_as(&client, "set_payout_details", Method::PUT, path, details(email), "details.email").await;
        assert_eq!(set.1, "•••");
    }
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(withdrawal(&affiliate).await);
    }
    let step = |id: &str, verb: &str| format!("/api/v1/withdrawals/{id}/{verb}");
    let reason = || json!({"reason": "no"});
    let mut status = async |operation: &str, path: String, body: Value| {
        trial.does(operation, Method::POST, &path, body, "status").await
    };
    let refused = status("refuse_withdrawal", step(&ids[0], "refuse"), reason()).await;
    assert_eq!(refused, pair("requested", "refused"));
    let cancelled = status("cancel_withdrawal", step(&ids[1], "cancel"), json!({})).await;
    assert_eq!(cancelled, pair("requested", "cancelled"));
    let approved = status("approve_withdrawal", step(&ids[2], "approve"), json!({})).await;
    assert_eq!(approved, pair("requested", "approved"));
    let paid = status("pay_withdrawal", step(&ids[2], "pay"), json!({"reference": "TX-1"})).await;
    assert_eq!(paid, pair("approved", "paid"));
    let returned = status("return_withdrawal", step(&ids[2], "return"), reason()).await;
    assert_eq!(returned, pair("paid", "returned"));
    status("approve_withdrawal", step(&ids[3], "approve"), json!({})).await;
    let failed = status("fail_withdrawal", step(&ids[3], "fail"), reason()).await;
    assert_eq!(failed, pair("approved", "failed"));

    let (many, field) = (json!({"ids": [ids[4], ids[5]]}), format!("{}.status", ids[5]));
    let path = "/api/v1/withdrawals/approve";
    let approved = trial.does("approve_withdrawals", Method::POST, path, many, &field).await;
    assert_eq!(approved, pair("requested", "approved"));
    let batches = "/api/v1/withdrawal-batches";
    let batch = t.admin.post(batches, &json!({"method": "paypal", "currency": "USD"})).await.expect(201);
    let path = format!("{batches}/{}/dissolve", text(&batch, "id"));
    let dissolved = trial.does("dissolve_withdrawal_batch", Method::POST, &path, json!({}), "dissolved_at").await;
    assert!(dissolved.0.is_null() && dissolved.1.is_string(), "{dissolved:?}");
    let batch = t.admin.post(batches, &json!({"method": "paypal", "currency": "USD"})).await.expect(201);
    let csv = format!("id,status,reference\n{},paid,TX-2\n", ids[5]);
    let request = t.admin.request(Method::POST, &format!("{batches}/{}/results", text(&batch, "id")));
    t.admin.send(request.header("content-type", "text/csv").body(csv)).await.expect(200);
    let record = log(t, "?operation=take_withdrawal_results").await.remove(0);
    assert_eq!(changed(&record, &field), pair("approved", "paid"));

    let saved = affiliate.client.list("/api/v1/payout-details").await.remove(0);
    let path = format!("/api/v1/payout-details/{}", text(&saved, "id"));
    let removed = trial.does("remove_payout_details", Method::DELETE, &path, Value::Null, "method").await;
    assert_eq!(removed, pair("paypal", Value::Null));
}

async fn changes_of_secrets_people_and_accounts_are_recorded_without_values(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&path, &json!({"name": "Needle Two", "email": "needle@example.com"})).await.expect(200);
    let details = |iban: &str| json!({"method": "sepa", "details": {"account_holder": "Needle Three", "iban": iban}});
    for iban in ["DE89370400440532013000", "DE02120300000000202051"] {
        let request = affiliate.client.request(Method::PUT, "/api/v1/payout-details").json(&details(iban));
        affiliate.client.send(request).await.expect(200);
        t.tick();
    }
    let secret = |secret: &str| json!({"config": {"base_url": "https://tracker.example/p?t={secret.token}", "secrets": {"token": secret}}});
    let mut body = json!({"name": "P", "adapter": "macro-url", "enabled": false});
    body["config"] = secret("needle-one")["config"].clone();
    let postback = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    let path = format!("/api/v1/postbacks/{}", text(&postback, "id"));
    t.admin.patch(&path, &secret("needle-two")).await.expect(200);
    let source = affiliate.client.list("/api/v1/sources").await.remove(0);
    let path = format!("/api/v1/sources/{}", text(&source, "id"));
    for token in ["needle-three", "needle-four"] {
        let guards = json!({"settings": {"guards": {"token": {"parameter": "key", "value": token}}}});
        t.admin.patch(&path, &guards).await.expect(200);
        t.tick();
    }
    let rotated = t.admin.post(&format!("{path}/rotate-key"), &json!({})).await.expect(200);

    let hidden = pair("•••", "•••");
    for (operation, field) in [
        ("change_affiliate", "email"),
        ("change_affiliate", "name"),
        ("set_payout_details", "details.iban"),
        ("change_postback", "config.secrets.token"),
        ("change_source", "settings.guards.token.value"),
        ("rotate_source_key", "url"),
    ] {
        let record = log(&t, &format!("?operation={operation}")).await.remove(0);
        assert_eq!(changed(&record, field), hidden, "{operation} {field}");
    }
    let all = json!(log(&t, "").await).to_string().to_lowercase();
    let key = text(&rotated, "url").rsplit('/').next().unwrap().to_lowercase();
    for secret in ["needle", "de8937", "013000", "202051", &key] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

async fn an_operation_without_effect_records_no_changes(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer().await;
    let path = format!("/api/v1/offers/{offer}");
    t.admin.patch(&path, &json!({"hold_days": 0})).await.expect(200);
    t.tick();
    t.admin.patch(&path, &json!({"hold_days": 9999})).await.expect_problem(422, "invalid_field");
    t.tick();
    let payout_overrides = format!("{path}/payout-overrides");
    let body = json!({"affiliate_id": t.affiliate().await.id, "payout": {"fixed": "1.00"}});
    for _ in 0..2 {
        t.admin.post_once(&payout_overrides, "agreed", &body).await.expect(200);
        t.tick();
    }
    let told = |records: Vec<Value>| {
        records.iter().map(|it| (text(it, "outcome"), it["changes"].as_array().unwrap().is_empty())).collect::<Vec<_>>()
    };
    let offers = told(log(&t, "?operation=change_offer").await);
    assert_eq!(offers, [("refused".to_owned(), true), ("done".to_owned(), true)]);
    let agreed = told(log(&t, "?operation=set_payout_override").await);
    assert_eq!(agreed, [("repeated".to_owned(), true), ("done".to_owned(), false)]);
}

async fn simultaneous_changes_are_recorded_in_sequence(db: Database) {
    let t = TestApp::start(db).await;
    let path = format!("/api/v1/offers/{}", t.offer().await);
    join_all((1..=12).map(|days| {
        let (admin, path) = (t.admin.clone(), path.clone());
        async move { admin.patch(&path, &json!({"hold_days": days})).await.expect(200) }
    }))
    .await;
    let mut steps: Vec<_> =
        log(&t, "?operation=change_offer").await.iter().map(|it| changed(it, "hold_days")).collect();
    let mut days = json!(0);
    while let Some(next) = steps.iter().position(|(from, _)| *from == days) {
        days = steps.swap_remove(next).1;
    }
    assert!(steps.is_empty(), "they do not follow from each other: {steps:?}");
    assert_eq!(t.admin.get(&path).await.expect(200)["hold_days"], days);
}

/// The fields whose values the audit log hides: secrets, people, ids and words of others, and free text.
const HIDDEN: [&str; 44] = [
    "algorithm",
    "attributes",
    "bic",
    "body",
    "characters",
    "click_id",
    "code",
    "config",
    "current",
    "customer_email",
    "customer_id",
    "customer_name",
    "details",
    "each",
    "encryption",
    "fields",
    "guards",
    "hash",
    "header",
    "hmac",
    "iban",
    "networks",
    "new",
    "note",
    "parameter",
    "password",
    "plan_name",
    "plan_price",
    "purchase_date",
    "purchase_id",
    "referral_code",
    "schema",
    "scheme",
    "seal_keys",
    "secret",
    "send",
    "signed",
    "test_click_id",
    "text",
    "timestamp_header",
    "token",
    "tolerance_secs",
    "transaction_id",
    "without_empty",
];

#[test]
fn each_field_of_a_request_is_shown_or_hidden_on_purpose() {
    let description = web::router::describe();
    let mut fields = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().expect("there are paths") {
        for (method, operation) in operations.as_object().expect("a path has operations") {
            if method == "get" && !path.contains("/exports/") {
                continue;
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            fields.extend(parameters.filter(|it| it["in"] == "query").map(|it| text(it, "name")));
            for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(serde_json::Map::values)
            {
                collect_fields(&description, &content["schema"], &mut BTreeSet::new(), &mut fields);
            }
        }
    }
    let hidden: BTreeSet<_> = fields.iter().map(String::as_str).filter(|it| !redaction::is_shown(it)).collect();
    assert_eq!(hidden, BTreeSet::from(HIDDEN));
}

/// The names of all fields of a schema, also of the schemas to which it refers.
fn collect_fields(description: &Value, schema: &Value, seen: &mut BTreeSet<String>, fields: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        if seen.insert(name.to_owned()) {
            collect_fields(description, &description["components"]["schemas"][name], seen, fields);
        }
        return;
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone());
        collect_fields(description, field, seen, fields);
    }
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|it| schema[it].as_array().into_iter().flatten());
    for part in parts.chain([&schema["items"], &schema["additionalProperties"]]).filter(|it| it.is_object()) {
        collect_fields(description, part, seen, fields);
    }
}
