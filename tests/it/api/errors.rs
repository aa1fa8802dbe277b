//! Every error of the API, as its callers see it. A changed sentence shows in the diff of `snapshots/`; accept it with
//! `INSTA_UPDATE=always tests/run`.

use std::collections::BTreeSet;

use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(every_error_says_what_to_do);

/// Every code that programs may rely on. These codes are missing here, because no request provokes them: internal, unavailable,
/// invalid_body, most of adapter_…, fee_exceeds_amount. Others have tests of their own (adapters.rs, withdrawals.rs and
/// withdrawal_batches.rs among them): secret_…, idempotency_key_in_progress, offer_missing, balance_indebted,
/// payout_method_disabled, affiliate_suspended, read_only_session, batch_settled, payer_missing, wrong_file_format,
/// unreadable_results; in heavy_reading.rs: too_many_reports, took_too_long;
/// in inbound/identity.rs: transaction_ambiguous; in bounds.rs, limits.rs and connections.rs: balance_limit, share_too_large, too_many_postbacks, too_many_sources, too_many_links,
/// too_many_api_keys, too_many_tests, too_many_retries, body_timeout; in saved_views.rs: too_many_saved_views.
const CODES: &[&str] = &[
    "adapter_not_a_component",
    "adapter_too_large",
    "affiliate_indebted",
    "amount_missing",
    "amount_too_precise",
    "archived",
    "attribution_missing",
    "batch_dissolved",
    "batch_exported",
    "batch_indebted",
    "batch_under_way",
    "below_minimum",
    "body_too_large",
    "conversion_already_rejected",
    "coupon_not_active",
    "cross_site",
    "currency_not_paid",
    "default_offer",
    "delivery_not_retryable",
    "forbidden",
    "goal_missing",
    "idempotency_key_reused",
    "illegal_step",
    "insufficient_balance",
    "invalid_amount",
    "invalid_batch",
    "invalid_config",
    "invalid_cursor",
    "invalid_details",
    "invalid_field",
    "invalid_id",
    "invalid_idempotency_key",
    "invalid_json",
    "invalid_landing_url",
    "invalid_parameter",
    "invalid_rule",
    "last_owner",
    "link_used",
    "method_not_allowed",
    "needs_person",
    "not_a_click",
    "not_admitted",
    "not_found",
    "not_invited",
    "nothing_to_pay",
    "offer_ambiguous",
    "offer_mismatch",
    "outside_window",
    "password_needed",
    "payout_details_missing",
    "registration_closed",
    "sign_in_failed",
    "taken",
    "too_many_attempts",
    "transaction_of_another_click",
    "transaction_of_another_offer",
    "unauthorized",
    "unknown_adapter",
    "unknown_click",
    "unknown_coupon",
    "unknown_customer",
    "unknown_offer",
    "unknown_referral_code",
    "unsupported_media_type",
    "verification_failed",
    "weak_password",
    "wrong_password",
];

struct Gallery {
    t: TestApp,
    codes: BTreeSet<String>,
}

impl Gallery {
    /// Compares an answer with its snapshot, in which ids and ports are replaced.
    fn show(&mut self, name: &str, answer: &Answer) {
        let mut problem = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}: {}", answer.text);
        assert_eq!(problem["status"], answer.status, "{name}: {}", answer.text);
        for field in ["type", "title", "code", "detail"] {
            text(&problem, field);
        }
        self.codes.insert(text(&problem, "code"));
        if let Some(verification) = problem.get_mut("verification").and_then(Value::as_object_mut) {
            verification.remove("duration_ms").expect("it says how long it took");
        }
        let pretty = serde_json::to_string_pretty(&problem).expect("it was JSON");
        let pretty = pretty.replace(&self.t.receiver.address().to_string(), "[receiver]");
        insta::assert_snapshot!(name, format!("{} {}", answer.status, without_ids(&pretty)));
    }

    async fn post(&mut self, name: &str, path: &str, body: Value) {
        let answer = self.t.admin.post(path, &body).await;
        self.show(name, &answer);
    }

    async fn get(&mut self, name: &str, path: &str) {
        let answer = self.t.admin.get(path).await;
        self.show(name, &answer);
    }

    async fn raw(&mut self, name: &str, path: &str, content_type: &str, body: impl Into<reqwest::Body>) {
        let admin = self.t.admin.clone();
        let request = admin.request(Method::POST, path).header("content-type", content_type).body(body);
        let answer = admin.send(request).await;
        self.show(name, &answer);
    }
}

/// Puts `[id]` for every run of 26 characters of Crockford's base32 that starts with a digit, as ids of this century do.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| {
        word.len() == 26 && word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    };
    let mut out = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match is_id(word) {
            // The examples in messages remain: they are part of the sentence.
            true if word.chars().all(|c| c == '0') || word == "06a5xk2m7q8r9stvwxyz012345" => out.push_str(piece),
            true => out.push_str(&piece.replacen(word, "[id]", 1)),
            false => out.push_str(piece),
        }
    }
    out
}

async fn every_error_says_what_to_do(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let affiliate = click.link.affiliate.clone();
    let conversion = t.conversion(&click).transaction("T-1").send().await;
    t.reject(&conversion, "fraud").await.expect(200);
    let approved = t.conversion(&click).transaction("T-2").send().await;
    let report = json!({"click_id": click.id, "transaction_id": "T-9", "amount": "1.00", "currency": "USD"});
    let with = |field: &str, value: Value| {
        let mut body = report.clone();
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = report.clone();
        body.as_object_mut().expect("an object").remove(field);
        body
    };
    let nothing = "00000000000000000000000000";
    let conversions = "/api/v1/conversions";
    let mut g = Gallery { t, codes: BTreeSet::new() };

    // Authentication.
    let answer = g.t.anonymous().get(conversions).await;
    g.show("unauthorized_without_key", &answer);
    let answer = g.t.admin.with_key(Some("prk_wrong")).get(conversions).await;
    g.show("unauthorized_wrong_key", &answer);
    let answer = affiliate.client.post("/api/v1/offers", &json!({"name": "x"})).await;
    g.show("forbidden_for_affiliates", &answer);

    // Paths.
    g.get("not_found_path", "/api/v1/nothing").await;
    g.get("not_found_conversion", &format!("{conversions}/cnv_{nothing}")).await;
    g.get("not_found_delivery", &format!("/api/v1/deliveries/dlv_{nothing}")).await;
    let answer = g.t.admin.delete(conversions).await;
    g.show("method_not_allowed", &answer);

    // Formats.
    g.raw("invalid_json_syntax", conversions, "application/json", "{\"click_id\": ").await;
    g.raw("invalid_json_nothing", conversions, "application/json", "").await;
    g.raw("invalid_json_not_utf8", conversions, "application/json", &b"{\"goal\": \"\xff\"}"[..]).await;
    g.raw("invalid_json_nul", conversions, "application/json", "{\"goal\": \"a\\u0000b\"}").await;
    g.raw("invalid_field_twice", conversions, "application/json", "{\"goal\": \"a\", \"goal\": \"b\"}").await;
    g.raw("unsupported_media_type", conversions, "text/plain", "{}").await;
    g.raw("body_too_large", conversions, "application/json", vec![b' '; (4 << 20) + 1]).await;
    g.get("invalid_id", &format!("{conversions}/cnv_nonsense")).await;
    g.get("invalid_id_of_another_kind", &format!("{conversions}/{}", click.link.offer)).await;
    g.get("invalid_parameter_id", &format!("{conversions}?affiliate_id=nonsense")).await;
    g.get("invalid_cursor", &format!("{conversions}?cursor=nonsense")).await;
    g.get("invalid_parameter_limit", &format!("{conversions}?limit=1000")).await;
    g.get("invalid_parameter_status", &format!("{conversions}?status=approvd")).await;
    let answer = g.t.admin.post_once(conversions, &"k".repeat(300), &report).await;
    g.show("invalid_idempotency_key", &answer);

    // Conversions.
    g.post("invalid_field_missing", conversions, without("transaction_id")).await;
    g.post("invalid_field_unknown", conversions, with("clik_id", json!("x"))).await;
    g.post("invalid_field_wrong_type", conversions, with("goal", json!(7))).await;
    g.post("invalid_field_status", conversions, with("status", json!("aproved"))).await;
    g.post("invalid_field_no_reason", conversions, with("status", json!("rejected"))).await;
    g.post("invalid_field_currency", conversions, with("currency", json!("dollars"))).await;
    g.post("invalid_field_date", conversions, with("purchase_date", json!("yesterday"))).await;
    g.post("invalid_field_too_long", conversions, with("transaction_id", json!("x".repeat(10_000)))).await;
    g.post("invalid_amount_word", conversions, with("amount", json!("abc"))).await;
    g.post("invalid_amount_negative", conversions, with("amount", json!("-50"))).await;
    g.post("invalid_amount_exponent", conversions, with("amount", json!("1e9"))).await;
    g.post("invalid_amount_nine_decimals", conversions, with("amount", json!("1.123456789"))).await;
    g.post("invalid_amount_number", conversions, with("amount", json!(49.5))).await;
    g.post("invalid_amount_too_large", conversions, with("amount", json!("99999999999999"))).await;
    g.post("unknown_click", conversions, with("click_id", json!(nothing))).await;
    let mut by_code = without("click_id");
    g.post("attribution_missing", conversions, by_code.clone()).await;
    by_code["referral_code"] = json!("AF00000");
    g.post("unknown_referral_code", conversions, by_code.clone()).await;
    by_code["referral_code"] = json!(affiliate.referral_code);
    by_code["offer_id"] = json!(format!("ofr_{nothing}"));
    g.post("unknown_offer", conversions, by_code.clone()).await;
    by_code["offer_id"] = json!(g.t.offer_with(json!({"payout": {"percent": "30"}})).await);
    by_code["amount"] = Value::Null;
    g.post("amount_missing", conversions, by_code).await;
    g.t.anonymous().get(&click.link.impression_path).await;
    let impression = g.t.admin.list("/api/v1/clicks?action=impression").await.remove(0);
    g.post("not_a_click", conversions, with("click_id", impression["id"].clone())).await;
    let mut by_coupon = without("click_id");
    by_coupon["coupon"] = json!("GONE");
    g.post("unknown_coupon", conversions, by_coupon).await;
    let mut by_customer = without("click_id");
    by_customer["customer_id"] = json!("C-1");
    g.post("unknown_customer", conversions, by_customer).await;
    let terms = json!({"attribution": {"window_days": 1}, "visibility": "on_application"});
    let narrow = g.t.offer_with(terms).await;
    let mut by_code = without("click_id");
    by_code["referral_code"] = json!(affiliate.referral_code);
    by_code["offer_id"] = json!(narrow);
    g.post("not_admitted_by_code", conversions, by_code).await;
    let link = json!({"affiliate_id": affiliate.id, "offer_id": narrow});
    g.post("not_admitted_link", "/api/v1/links", link).await;
    let invitation = json!({"affiliate_id": affiliate.id});
    g.t.admin.post(&format!("/api/v1/offers/{narrow}/applications"), &invitation).await.expect(201);
    let spring = json!({"coupons": [{"code": "OLD", "ends_at": "2026-01-01T00:00:00Z"}]});
    let link = g.t.link_with(&affiliate, &narrow, spring).await;
    let early = g.t.click_on(&link, "").await;
    let mut by_coupon = without("click_id");
    by_coupon["coupon"] = json!("old");
    g.post("coupon_not_active", conversions, by_coupon).await;
    g.t.advance(std::time::Duration::from_secs(2 * 86_400));
    g.post("outside_window", conversions, with("click_id", json!(early.id))).await;
    g.post("invalid_field_deep_url", "/api/v1/links", {
        let url = "https://shop.example/p/1";
        json!({"affiliate_id": affiliate.id, "offer_id": click.link.offer, "deep_url": url})
    })
    .await;
    let other = g.t.click().await;
    for of in [&click, &other] {
        g.t.conversion(of).transaction("T-OF-TWO").status("pending").send().await;
    }
    let mut by_id = without("click_id");
    by_id["transaction_id"] = json!("T-OF-TWO");
    g.post("offer_ambiguous", conversions, by_id).await;
    g.post("offer_mismatch", conversions, with("offer_id", json!(format!("ofr_{nothing}")))).await;
    g.post("invalid_batch_too_many", conversions, json!(vec![report.clone(); 1001])).await;
    g.post("invalid_batch_empty", conversions, json!([])).await;

    // Actions that are no longer possible.
    let mut again = report.clone();
    (again["transaction_id"], again["status"]) = (json!("T-1"), json!("approved"));
    g.post("illegal_approval", conversions, again).await;
    g.post("illegal_other_reason", &format!("{conversions}/{conversion}/reject"), json!({"reason": "other"})).await;
    let mut mixed_up = with("click_id", json!(g.t.click_on(&click.link, "").await.id));
    mixed_up["transaction_id"] = json!("T-2");
    g.post("transaction_of_another_click", conversions, mixed_up).await;
    g.t.count_orders_per("program").await;
    let mut of_another_offer = with("click_id", json!(other.id));
    of_another_offer["transaction_id"] = json!("T-2");
    g.post("transaction_of_another_offer", conversions, of_another_offer).await;
    g.t.count_orders_per("offer").await;
    for goal in ["lead", "sale"] {
        let mut of_goal = report.clone();
        (of_goal["transaction_id"], of_goal["goal"]) = (json!("T-7"), json!(goal));
        g.t.admin.post(conversions, &of_goal).await.expect(201);
    }
    g.post("goal_missing", conversions, with("transaction_id", json!("T-7"))).await;
    g.post("invalid_field_reject_without_reason", &format!("{conversions}/{approved}/reject"), json!({})).await;

    // The program.
    g.post("default_offer", &format!("/api/v1/offers/{}/archive", click.link.offer), json!({})).await;
    let unused = g.t.offer().await;
    g.t.admin.post(&format!("/api/v1/offers/{unused}/archive"), &json!({})).await.expect(200);
    g.post("archived", "/api/v1/links", json!({"affiliate_id": affiliate.id, "offer_id": unused})).await;
    let link = json!({"affiliate_id": format!("aff_{nothing}"), "offer_id": click.link.offer});
    g.post("not_found_affiliate_of_a_link", "/api/v1/links", link).await;
    let offer = |changes: Value| {
        let mut body =
            json!({"name": "x", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
        for (field, value) in changes.as_object().expect("an object") {
            body[field] = value.clone();
        }
        body
    };
    g.post("invalid_landing_url_scheme", "/api/v1/offers", offer(json!({"landing_url": "javascript:alert(1)"}))).await;
    g.post(
        "invalid_landing_url_macro_in_host",
        "/api/v1/offers",
        offer(json!({"landing_url": "https://{sub1}.example/"})),
    )
    .await;
    g.post("invalid_field_payout", "/api/v1/offers", offer(json!({"payout": {"fixed": "1", "percent": "1"}}))).await;
    g.post("invalid_field_email", "/api/v1/affiliates", json!({"name": "x", "email": "nonsense"})).await;
    let coupon = json!({"affiliate_id": affiliate.id, "offer_id": click.link.offer, "coupon": "SPRING"});
    g.t.admin.post("/api/v1/links", &coupon).await.expect(201);
    g.post("taken_coupon", "/api/v1/links", coupon).await;

    // Postbacks.
    let postback = |g: &Gallery, changes: &[(&str, Value)]| {
        let mut body = g.t.postback("/p").body;
        for (field, value) in changes {
            body[field] = value.clone();
        }
        body
    };
    let postbacks = "/api/v1/postbacks";
    let body = postback(&g, &[("firing_status", json!("approved")), ("rejection_reasons", json!(["fraud"]))]);
    g.post("invalid_rule_reasons", postbacks, body).await;
    let body = postback(&g, &[("delay", json!({"value": 100_000, "unit": "hours"}))]);
    g.post("invalid_rule_delay", postbacks, body).await;
    let body = postback(&g, &[("adapter", json!("no-such-adapter"))]);
    g.post("unknown_adapter", postbacks, body).await;
    g.raw("adapter_not_a_component", "/api/v1/adapters", "application/wasm", "(component)").await;
    g.raw("adapter_too_large", "/api/v1/adapters", "application/wasm", vec![0; (4 << 20) + 1]).await;
    let body = postback(&g, &[("config", json!({"base_url": "https://t.example/", "x": {"$sealed": ""}}))]);
    g.post("invalid_config_sealed", postbacks, body).await;
    let config = json!({"base_url": "ftp://x", "method": "PUT", "parameters": [{"name": "", "macro": "nope"}]});
    let body = postback(&g, &[("config", config)]);
    g.post("invalid_config", postbacks, body).await;
    g.t.receiver.always("/p", Reply::body(404, "no such campaign"));
    let body = postback(&g, &[]);
    g.post("verification_failed_status", postbacks, body).await;
    let inside = json!({"base_url": "http://10.0.0.1/", "method": "GET", "parameters": [], "custom": []});
    let body = postback(&g, &[("config", inside)]);
    g.post("verification_failed_inside_address", postbacks, body).await;
    g.post("invalid_field_parse", "/api/v1/postbacks/parse", json!({"url": "nonsense"})).await;
    let template = |id: &str, fields: Value| json!({"name": "Tracker", "template": id, "fields": fields});
    g.post("invalid_field_template_unknown", postbacks, template("no-such-template", json!({}))).await;
    g.post("invalid_field_template_inbound", postbacks, template("awin", json!({}))).await;
    g.post("invalid_field_template_fields", postbacks, template("voluum", json!({"domain": "track.example.com"})))
        .await;
    g.post("invalid_field_template_value", postbacks, template("voluum", json!({"tracking_domain": "my tracker"})))
        .await;

    // Sources.
    let source = |changes: Value| {
        let mut body = json!({"name": "x", "adapter": "macro-url", "config": {"base_url": "https://n.example/",
            "method": "GET", "parameters": [], "custom": [], "fields": {"click_id": "sub"}}});
        for (field, value) in changes.as_object().expect("an object") {
            body[field] = value.clone();
        }
        body
    };
    let sources = "/api/v1/sources";
    g.get("not_found_source", &format!("{sources}/src_{nothing}")).await;
    g.get("not_found_inbound_request", &format!("/api/v1/inbound-requests/inr_{nothing}")).await;
    g.get("invalid_parameter_outcome", "/api/v1/inbound-requests?outcome=lost").await;
    g.post("unknown_adapter_of_a_source", sources, source(json!({"adapter": "no-such-adapter"}))).await;
    g.post("invalid_config_of_a_source", sources, source(json!({"config": {"base_url": 7}}))).await;
    let settings = json!({"statuses": {"1": "aproved"}});
    g.post("invalid_field_status_of_a_source", sources, source(json!({"settings": settings}))).await;
    g.post("invalid_field_time_zone", sources, source(json!({"settings": {"time_zone": "Mars"}}))).await;
    let settings =
        json!({"guards": {"token": {"parameter": "", "value": "abc"}}, "reply": {"status": 404, "body": ""}});
    g.post("invalid_field_settings_of_a_source", sources, source(json!({"settings": settings}))).await;

    // Withdrawals. What T-2 earned is available: 12.50 USD.
    g.t.deliver_all().await;
    let withdrawals = "/api/v1/withdrawals";
    let ask = |method: &str, amount: &str, currency: &str| json!({"affiliate_id": affiliate.id, "method": method, "amount": amount, "currency": currency});
    g.post("payout_details_missing", withdrawals, ask("paypal", "12.00", "USD")).await;
    let wrong = json!({"affiliate_id": affiliate.id, "method": "sepa", "details": {"iban": "DE89370400440532013001"}});
    let answer = g.t.admin.send(g.t.admin.request(Method::PUT, "/api/v1/payout-details").json(&wrong)).await;
    g.show("invalid_details", &answer);
    let right =
        json!({"affiliate_id": affiliate.id, "method": "paypal", "details": {"email": "affiliate@example.com"}});
    g.t.admin.send(g.t.admin.request(Method::PUT, "/api/v1/payout-details").json(&right)).await.expect(200);
    g.post("insufficient_balance", withdrawals, ask("paypal", "12.51", "USD")).await;
    g.post("insufficient_balance_of_nothing", withdrawals, ask("paypal", "all", "EUR")).await;
    g.post("below_minimum", withdrawals, ask("paypal", "9.99", "USD")).await;
    g.post("amount_too_precise", withdrawals, ask("paypal", "12.001", "USD")).await;
    g.post("currency_not_paid", withdrawals, ask("sepa", "12.00", "USD")).await;
    g.post("invalid_field_method", withdrawals, ask("cash", "12.00", "USD")).await;
    let made = g.t.admin.post(withdrawals, &ask("paypal", "12.00", "USD")).await.expect(201);
    let path = format!("{withdrawals}/{}", text(&made, "id"));
    g.post("illegal_step", &format!("{path}/pay"), json!({"reference": "X"})).await;
    g.post("nothing_to_pay", "/api/v1/withdrawal-batches", json!({"method": "paypal", "currency": "USD"})).await;

    let take_away = async |g: &Gallery, amount: &str| {
        let body = json!({"affiliate_id": affiliate.id, "amount": amount, "currency": "USD", "reason": "mistake"});
        g.t.admin.post("/api/v1/adjustments", &body).await.expect(201);
    };
    let (approve, accepted) = (format!("{path}/approve"), json!({"despite_debt": true}));
    take_away(&g, "-5.00").await;
    g.post("affiliate_indebted", &approve, json!({})).await;
    g.t.admin.post(&approve, &accepted).await.expect(200);
    let batches = "/api/v1/withdrawal-batches";
    let make_batch = async |g: &Gallery| {
        let made = g.t.admin.post(batches, &json!({"method": "paypal", "currency": "USD"})).await.expect(201);
        format!("{batches}/{}", text(&made, "id"))
    };
    let batch = make_batch(&g).await;
    assert_eq!(g.t.admin.get(&format!("{batch}/export")).await.status, 200);
    g.post("batch_exported", &format!("{batch}/dissolve"), json!({})).await;
    take_away(&g, "-1.00").await;
    g.get("batch_indebted", &format!("{batch}/export")).await;
    g.t.admin.post(&format!("{batch}/dissolve"), &json!({"never_sent": true})).await.expect(200);
    g.get("batch_dissolved", &format!("{batch}/export")).await;
    g.t.admin.post(&approve, &accepted).await.expect(200);
    let batch = make_batch(&g).await;
    g.t.admin.post(&format!("{path}/pay"), &json!({"reference": "TX"})).await.expect(200);
    g.post("batch_under_way", &format!("{batch}/dissolve"), json!({})).await;

    // Deliveries and keys.
    g.t.receiver.always("/p", Reply::status(200));
    let saved = g.t.postback("/p").save().await;
    g.t.conversion(&click).transaction("T-3").send().await;
    g.t.deliver_all().await;
    let delivery = text(&g.t.only_delivery(&saved).await, "id");
    g.post("delivery_not_retryable", &format!("/api/v1/deliveries/{delivery}/retry"), json!({})).await;
    let ann = json!({"name": "Ann", "email": "ann@example.com"});
    g.t.admin.post_once("/api/v1/affiliates", "key-1", &ann).await.expect(201);
    let answer =
        g.t.admin.post_once("/api/v1/affiliates", "key-1", &json!({"name": "Bob", "email": "b@example.com"})).await;
    g.show("idempotency_key_reused", &answer);
    g.post("invalid_field_key_role", "/api/v1/api-keys", json!({"name": "x", "role": "root"})).await;

    // People.
    let person = g.t.person("owner").await;
    let login = "/api/v1/auth/login";
    let wrong = json!({"email": person.email, "password": "not the password"});
    g.post("registration_closed", "/api/v1/auth/register", ann.clone()).await;
    g.post("link_used", "/api/v1/auth/set-password", json!({"token": "x", "password": "seven purple elephants"})).await;
    g.post("needs_person", "/api/v1/auth/keys", json!({"name": "x"})).await;
    let answer = person.client.post("/api/v1/auth/keys", &json!({"name": "x"})).await;
    g.show("password_needed", &answer);
    let change = json!({"current": "not the password", "new": "another good password"});
    let answer = person.client.post("/api/v1/auth/password", &change).await;
    g.show("wrong_password", &answer);
    let change = json!({"current": postrider_tests::people::PASSWORD, "new": "password1234"});
    let answer = person.client.post("/api/v1/auth/password", &change).await;
    g.show("weak_password", &answer);
    let path = format!("/api/v1/users/{}", person.id);
    let answer = g.t.admin.patch(&path, &json!({"status": "disabled"})).await;
    g.show("last_owner", &answer);
    g.post("not_invited", &format!("{path}/invite"), json!({})).await;
    let answer = person.client.patch(&path, &json!({"email": "new@example.com"})).await;
    g.show("invalid_field_own_address", &answer);
    let forged = g.t.anonymous().request(Method::POST, login).header("origin", "https://evil.example").json(&wrong);
    let answer = g.t.admin.send(forged).await;
    g.show("cross_site", &answer);
    let anonymous = g.t.anonymous();
    let answer = anonymous.post(login, &wrong).await;
    g.show("sign_in_failed", &answer);
    for _ in 0..4 {
        anonymous.post(login, &wrong).await.expect_problem(401, "sign_in_failed");
    }
    let answer = anonymous.post(login, &wrong).await;
    g.show("too_many_attempts", &answer);

    let shown: Vec<&str> = g.codes.iter().map(String::as_str).collect();
    assert_eq!(shown, CODES, "every code has a picture, and every picture a code that is known");
}
