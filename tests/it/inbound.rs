//! Notifications of networks: they become conversions, wait for missing data, or are refused with a reason.

mod activity;
mod guards;
mod identity;
mod logs;
mod payments;
mod replays;
mod reversals;
mod sales;
mod sessions;
mod set_up;
mod side_fields;
mod unusual;

use std::time::Duration;

use postrider_tests::app::{Affiliate, Click, TestApp};
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::guest::Guest;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_report_becomes_a_conversion_and_its_postback,
    query_form_and_json_are_read_alike,
    the_settings_define_the_meaning_of_words,
    amounts_come_in_every_unit_and_stay_exact,
    a_repetition_is_a_duplicate_and_answers_the_same,
    an_unknown_status_waits_and_is_processed_when_it_is_mapped,
    an_unknown_status_is_refused_if_configured,
    a_report_waits_for_its_click_and_is_given_up_after_a_day,
    a_status_without_a_click_waits_for_its_conversion,
    every_cause_of_an_unmatched_click_has_a_code,
    a_truncated_click_id_matches_when_it_is_unambiguous,
    unreplaced_macros_tests_and_empty_requests_never_become_conversions,
    guards_keep_strangers_out_and_are_logged,
    a_secret_is_masked_and_kept_when_the_mask_comes_back,
    the_secrets_of_a_source_are_sealed,
    a_disabled_adapter_makes_reports_wait,
    an_adapter_that_keeps_failing_at_reports_goes_out_of_service,
    every_affiliate_has_a_source_from_the_start,
    an_affiliates_source_is_for_its_own_clicks_and_owes_nothing,
    an_affiliate_cannot_occupy_a_transaction_id,
    the_reply_is_configurable,
    a_rotated_key_replaces_the_old_one,
    a_request_is_replayed_after_the_fix,
    an_affiliate_reads_its_own_log_without_personal_data,
    a_request_with_another_method_is_logged_and_has_no_effect,
    a_large_body_is_refused_and_logged,
    every_spelling_of_an_address_and_a_body_is_read,
    several_reports_in_one_body_are_read_together,
    a_body_that_nobody_can_read_is_refused_and_logged,
    plain_words_are_not_taken_for_macros,
    an_invalid_source_is_refused_with_a_reason,
    affrank_matches_a_session_to_its_click_with_keyword_and_page,
    affrank_adds_its_session_to_the_links_of_its_affiliate,
    an_unprocessed_request_is_processed_when_the_lease_ends,
    a_source_without_its_adapter_says_so,
);

/// A source about to be saved. Its network sends sub (Postrider's click id), tid, st, sum, cur and g.
struct NewSource<'a> {
    client: Client,
    t: &'a TestApp,
    body: Value,
}

/// A source and the network that sends to it.
#[derive(Clone)]
struct Source {
    id: String,
    path: String,
    network: Client,
    client: Client,
}

fn source(t: &TestApp) -> NewSource<'_> {
    let body = json!({
        "name": "Network",
        "adapter": "macro-url",
        "config": {
            "base_url": "https://network.example/", "method": "GET", "parameters": [], "custom": [],
            "fields": {"click_id": "sub", "transaction_id": "tid", "status": "st", "payout": "sum", "currency": "cur",
                "goal": "g", "occurred_at": "at", "revenue": "rev", "sale": "sale"},
        },
        "settings": {"commission_is": "payout"},
    });
    NewSource { client: t.admin.clone(), t, body }
}

impl NewSource<'_> {
    fn owned_by(mut self, affiliate: &Affiliate) -> Self {
        self.client = affiliate.client.clone();
        self
    }

    fn settings(mut self, settings: Value) -> Self {
        let settings = settings.as_object().expect("settings").clone();
        self.body["settings"].as_object_mut().expect("settings").extend(settings);
        self
    }

    async fn save(self) -> Source {
        let saved = self.client.post("/api/v1/sources", &self.body).await.expect(201);
        Source::of(self.t, &self.client, &saved)
    }
}

impl Source {
    fn of(t: &TestApp, client: &Client, saved: &Value) -> Source {
        let url = url::Url::parse(&text(saved, "url")).expect("an absolute URL");
        Source { id: text(saved, "id"), path: url.path().to_owned(), network: t.anonymous(), client: client.clone() }
    }

    /// The network calls with these parameters.
    async fn report(&self, parameters: &[(&str, &str)]) -> Answer {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        self.network.get(&format!("{}?{}", self.path, query.finish())).await
    }

    async fn log(&self) -> Vec<Value> {
        self.client.list(&format!("/api/v1/inbound-requests?source_id={}", self.id)).await
    }

    /// The newest entry of its log, with the full request.
    async fn last(&self) -> Value {
        let id = text(&self.log().await[0], "id");
        self.client.get(&format!("/api/v1/inbound-requests/{id}")).await.expect(200)
    }

    async fn patch(&self, changes: Value) -> Answer {
        self.client.patch(&format!("/api/v1/sources/{}", self.id), &changes).await
    }
}

#[track_caller]
fn assert_outcome(entry: &Value, outcome: &str, code: &str) {
    let code = if code.is_empty() { Value::Null } else { json!(code) };
    assert_eq!((&entry["outcome"], &entry["reason_code"]), (&json!(outcome), &code), "{entry:#}");
    if entry["reason_code"] != Value::Null {
        assert!(text(entry, "reason").len() > 20, "{entry:#}");
    }
}

async fn conversions(t: &TestApp, click: &Click) -> Vec<Value> {
    t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await
}

async fn only_conversion(t: &TestApp, click: &Click) -> Value {
    let mut found = conversions(t, click).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

async fn a_report_becomes_a_conversion_and_its_postback(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").save().await;
    let source = source(&t).save().await;

    let answer = source
        .report(&[
            ("sub", &click.id),
            ("tid", "N-1"),
            ("st", "approved"),
            ("sum", "3.25"),
            ("cur", "usd"),
            ("g", "lead"),
        ])
        .await;

    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"));
    let conversion = only_conversion(&t, &click).await;
    assert_eq!(conversion["transaction_id"], "N-1");
    assert_eq!(conversion["status"], "approved");
    assert_eq!(conversion["goal"], "lead");
    assert_eq!(conversion["payout"], json!({"amount": "3.25", "currency": "USD"}));
    assert_eq!((&conversion["source_id"], &conversion["self_reported"]), (&json!(source.id), &json!(false)));
    assert_eq!(t.postings().await, 1, "the money is in the books");
    t.deliver_all().await;
    let sent = t.receiver.only_request("/p");
    assert_eq!((sent.parameter("transaction"), sent.parameter("payout")), ("N-1".into(), "3.25".into()));

    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!(entry["conversion_ids"], json!([conversion["id"]]));
    assert_eq!(entry["request"]["method"], "GET");
    assert!(text(&entry["request"], "query").starts_with(&format!("sub={}&tid=N-1", click.id)), "{entry:#}");
    assert_eq!(entry["request"]["remote_ip"], "127.0.0.1");
}

async fn query_form_and_json_are_read_alike(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let post = async |body: reqwest::RequestBuilder| source.network.send(body).await.status;

    let request = source.network.request(Method::POST, &source.path);
    let form = format!("sub={}&tid=F-1&sum=1.00", click.id);
    assert_eq!(post(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await, 200);
    let request = source.network.request(Method::POST, &source.path).header("cookie", "session=secret");
    assert_eq!(post(request.json(&json!({"sub": click.id, "tid": "J-1", "sum": 1.5}))).await, 200);
    let request = source.network.request(Method::POST, &format!("{}?sub={}&tid=Q-1", source.path, click.id));
    assert_eq!(post(request.body("tid=body&sum=2")).await, 200);

    let found = conversions(&t, &click).await;
    let amounts: Vec<_> = found.iter().map(|it| (text(it, "transaction_id"), text(&it["payout"], "amount"))).collect();
    for wanted in [("F-1", "1.00"), ("J-1", "1.50"), ("Q-1", "2.00")] {
        assert!(amounts.contains(&(wanted.0.into(), wanted.1.into())), "{amounts:?}");
    }
    assert!(!source.log().await.iter().any(|entry| entry.to_string().contains("secret")), "cookies are not kept");
}

async fn the_settings_define_the_meaning_of_words(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let settings = json!({
        "statuses": {"1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "hold": "ignored"},
        "default_status": "pending", "time_zone": "+02:00",
    });
    let source = source(&t).settings(settings).save().await;
    let status = async |tid: &str, st: &str| -> (String, Value) {
        let mut parameters = vec![("sub", click.id.as_str()), ("tid", tid), ("at", "2026-03-10 14:00:00")];
        if !st.is_empty() {
            parameters.push(("st", st));
        }
        assert_eq!(source.report(&parameters).await.status, 200);
        let path = format!("/api/v1/conversions?transaction_id={tid}");
        let found = t.admin.list(&path).await;
        found.first().map_or(("none".into(), Value::Null), |it| (text(it, "status"), it["rejection_reason"].clone()))
    };

    assert_eq!(status("A", "1").await, ("approved".into(), Value::Null));
    assert_eq!(status("B", "2").await, ("rejected".into(), json!("fraud")));
    assert_eq!(status("C", "").await, ("pending".into(), Value::Null));
    assert_eq!(status("D", "HOLD").await.0, "none");
    assert_outcome(&source.last().await, "ignored", "status_ignored");
    // An update of the conversion.
    assert_eq!(status("C", "1").await.0, "approved");
    assert_eq!(status("A", "2").await.0, "rejected");
    let path = "/api/v1/conversions?transaction_id=A";
    assert_eq!(t.admin.list(path).await[0]["purchase_date"], "2026-03-10T12:00:00.000Z");
    // A rejection is final for any later notification.
    assert_eq!(source.report(&[("sub", &click.id), ("tid", "B"), ("st", "1")]).await.status, 422);
    assert_outcome(&source.last().await, "refused", "conversion_already_rejected");
    // The approval of a person stands when the network repeats the rejection.
    let rejected = text(&t.admin.list("/api/v1/conversions?transaction_id=B").await[0], "id");
    t.approve(&rejected).await.expect(200);
    assert_eq!(status("B", "2").await, ("approved".into(), Value::Null));
    assert_eq!(status("B", "1").await, ("approved".into(), Value::Null));
}

async fn amounts_come_in_every_unit_and_stay_exact(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    for (amounts, sum, currency, wanted) in [
        (json!({"unit": "minor"}), "1250", "USD", json!({"amount": "12.50", "currency": "USD"})),
        (json!({"unit": "minor"}), "12", "JPY", json!({"amount": "12.00", "currency": "JPY"})),
        (json!({"decimal": ","}), "12,5", "EUR", json!({"amount": "12.50", "currency": "EUR"})),
        (json!({"currency": "GBP"}), "0.1", "", json!({"amount": "0.10", "currency": "GBP"})),
        (json!({}), "0.1", "", json!({"amount": "0.10", "currency": "USD"})),
    ] {
        let source = source(&t).settings(json!({"amounts": amounts})).save().await;
        let tid = format!("T-{}", t.unique());
        source.report(&[("sub", &click.id), ("tid", &tid), ("sum", sum), ("cur", currency)]).await;
        let found = t.admin.list(&format!("/api/v1/conversions?transaction_id={tid}")).await;
        assert_eq!(found[0]["payout"], wanted, "{amounts} {sum}");
    }
    let source = source(&t).save().await;
    for (field, value, code) in [
        ("sum", "12,50", "invalid_amount"),
        ("rev", "-1x", "invalid_amount"),
        ("sale", "a lot", "invalid_amount"),
        ("cur", "dollars", "invalid_currency"),
    ] {
        // A currency has a meaning only with an amount.
        let amount = if field == "sum" { ("x", "") } else { ("sum", "1") };
        let answer = source.report(&[("sub", &click.id), ("tid", "bad"), amount, (field, value)]).await;
        assert_eq!(answer.status, 422, "{field}: {}", answer.text);
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        assert_outcome(&source.last().await, "refused", code);
        t.tick();
    }
    assert!(t.admin.list("/api/v1/conversions?transaction_id=bad").await.is_empty());
}

async fn a_repetition_is_a_duplicate_and_answers_the_same(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").firing("any").save().await;
    let source = source(&t).save().await;
    let pending = [("sub", click.id.as_str()), ("tid", "N-1"), ("st", "pending"), ("sum", "5")];
    let approved = [("sub", click.id.as_str()), ("tid", "N-1"), ("st", "approved"), ("sum", "5")];

    let first = source.report(&pending).await;
    let again = source.report(&pending).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    source.report(&approved).await;
    assert_outcome(&source.last().await, "accepted", "");
    // A late retry of the first one does not go back.
    assert_eq!(source.report(&pending).await.status, 200);
    assert_outcome(&source.last().await, "accepted", "status_kept");

    let conversion = only_conversion(&t, &click).await;
    assert_eq!((&conversion["status"], &conversion["revision"]), (&json!("approved"), &json!(2)));
    assert_eq!(t.postings().await, 1);
    // Without a transaction id, one click and one goal are one conversion.
    for _ in 0..2 {
        source.report(&[("sub", &click.id), ("g", "lead")]).await;
        source.report(&[("sub", &click.id), ("g", "sale")]).await;
    }
    assert_eq!(conversions(&t, &click).await.len(), 3);
    // Fifty at once are one.
    let report = [("sub", click.id.as_str()), ("tid", "N-50")];
    let many = (0..50).map(|_| source.report(&report));
    for answer in futures::future::join_all(many).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let log = source.log().await;
    let accepted = log.iter().take(50).filter(|it| it["outcome"] == "accepted").count();
    assert_eq!((accepted, conversions(&t, &click).await.len()), (1, 4));
}

async fn an_unknown_status_waits_and_is_processed_when_it_is_mapped(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;

    let answer = source.report(&[("sub", &click.id), ("tid", "N-1"), ("st", "Gold"), ("sum", "5")]).await;

    assert_eq!((answer.status, answer.text.as_str()), (200, "OK"), "as configured");
    let entry = source.last().await;
    assert_outcome(&entry, "waiting", "unknown_status");
    assert!(text(&entry, "reason").contains("\"Gold\""), "{entry:#}");
    assert_eq!((conversions(&t, &click).await.len(), t.postings().await), (0, 0), "no effect until mapped");
    // A weekend later.
    t.advance(Duration::from_secs(3 * 86_400));
    t.deliver_all().await;
    assert_outcome(&source.last().await, "waiting", "unknown_status");

    source.patch(json!({"settings": {"statuses": {"gold": "approved"}}})).await.expect(200);
    t.deliver_all().await;

    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(only_conversion(&t, &click).await["status"], "approved");
    assert_eq!(t.postings().await, 1);
}

async fn an_unknown_status_is_refused_if_configured(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"unknown_status_reply": "refuse"})).save().await;
    let answer = source.report(&[("sub", &click.id), ("st", "Gold")]).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("\"Gold\""), "{}", answer.text);
    assert_outcome(&source.last().await, "waiting", "unknown_status");
}

async fn a_report_waits_for_its_click_and_is_given_up_after_a_day(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    // A click of this moment that is not stored.
    let mut unseen = click.id.clone();
    let last = if unseen.ends_with('0') { "1" } else { "0" };
    unseen.replace_range(25.., last);

    assert_eq!(source.report(&[("sub", &unseen), ("tid", "N-1")]).await.status, 200);

    let entry = source.last().await;
    assert_outcome(&entry, "waiting", "click_not_there");
    assert_eq!(entry["due_at"], "2026-03-10T12:00:02.000Z");
    t.advance(Duration::from_secs(2));
    t.deliver_all().await;
    let entry = source.last().await;
    assert_eq!((&entry["tries"], &entry["due_at"]), (&json!(2), &json!("2026-03-10T12:00:06.000Z")), "{entry:#}");

    // The click is stored now.
    t.database.execute(&clone_click(&t, &click.id, &unseen)).await;
    t.advance(Duration::from_secs(4));
    t.deliver_all().await;
    assert_outcome(&source.last().await, "accepted", "");

    unseen.replace_range(24.., if click.id.ends_with("zz") { "00" } else { "zz" });
    source.report(&[("sub", &unseen), ("tid", "N-2")]).await;
    t.advance(Duration::from_secs(86_400));
    t.deliver_all().await;
    let entry = source.last().await;
    assert_outcome(&entry, "failed", "given_up");
    assert!(text(&entry, "reason").contains("24 hours") && text(&entry, "reason").contains("there is no click"));
}

/// A copy of the click with another id.
fn clone_click(t: &TestApp, from: &str, to: &str) -> String {
    let columns = "action, link_id, affiliate_id, offer_id, occurred_at, external_id, sub_ids, params, landing_url, \
         referrer, ip, user_agent, device, browser, os, likely_bot, visitor, is_unique";
    let literal = |id: &str| {
        let uuid = domain::ids::decode(id).expect("an id");
        if t.database.is_sqlite() { format!("x'{}'", uuid.simple()) } else { format!("'{uuid}'") }
    };
    format!(
        "INSERT INTO clicks (id, {columns}) SELECT {}, {columns} FROM clicks WHERE id = {}",
        literal(to),
        literal(from)
    )
}

async fn a_status_without_a_click_waits_for_its_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;

    source.report(&[("tid", "N-1"), ("st", "approved")]).await;
    assert_outcome(&source.last().await, "waiting", "conversion_not_there");
    t.tick();
    source.report(&[("sub", &click.id), ("tid", "N-1"), ("st", "pending"), ("sum", "5")]).await;
    assert_eq!(only_conversion(&t, &click).await["status"], "pending");

    t.advance(Duration::from_secs(2));
    t.deliver_all().await;

    let conversion = only_conversion(&t, &click).await;
    assert_eq!((&conversion["status"], &conversion["payout"]["amount"]), (&json!("approved"), &json!("5.00")));
    for entry in source.log().await {
        assert_outcome(&entry, "accepted", "");
    }
}

async fn every_cause_of_an_unmatched_click_has_a_code(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = mine.link.affiliate.clone();
    let source = source(&t).owned_by(&me).save().await;
    t.anonymous().get(&mine.link.impression_path).await;
    let impression = t.admin.list("/api/v1/clicks?action=impression").await.remove(0);
    let nine: String = mine.id.chars().take(9).collect();
    let causes = [
        (None, "refused", "no_click_id"),
        (Some(""), "refused", "no_click_id"),
        (Some("{SESSION_ID}"), "refused", "unreplaced_macro"),
        (Some("abc123"), "refused", "foreign_click_id"),
        (Some("48151623"), "refused", "foreign_click_id"),
        (Some(nine.as_str()), "refused", "click_id_too_short"),
        (Some(other.id.as_str()), "refused", "click_of_another_affiliate"),
        (Some(impression["id"].as_str().unwrap()), "refused", "not_a_click"),
    ];
    for (value, outcome, code) in causes {
        let mut parameters = vec![("sum", "5.00")];
        parameters.extend(value.map(|value| ("sub", value)));
        let answer = source.report(&parameters).await;
        assert_eq!(answer.status, 422, "{code}: {}", answer.text);
        let entry = source.last().await;
        assert_outcome(&entry, outcome, code);
        assert_eq!(json!(answer.text), entry["reason"], "the network reads the same sentence");
        t.tick();
    }
    assert_eq!(t.database.count("conversions").await, 0);
}

async fn a_truncated_click_id_matches_when_it_is_unambiguous(db: Database) {
    let t = TestApp::start(db).await;
    let mine = t.click().await;
    let me = mine.link.affiliate.clone();
    let source = source(&t).owned_by(&me).save().await;
    // Of the same millisecond, but of another affiliate.
    t.click().await;
    let ten: String = mine.id.chars().take(10).collect();

    source.report(&[("sub", &ten.to_uppercase()), ("tid", "N-1"), ("sum", "5")]).await;

    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!(entry["flags"], json!(["truncated_id"]));
    assert_eq!(only_conversion(&t, &mine).await["transaction_id"], "N-1");
    // The whole id in any case is an exact match.
    t.tick();
    source.report(&[("sub", &mine.id.to_uppercase()), ("tid", "N-2")]).await;
    assert_eq!(source.last().await["flags"], json!([]));
    // A second click of that millisecond makes the prefix ambiguous, and a longer prefix is unambiguous again.
    let end = if mine.id[23..].starts_with('z') { "000" } else { "zzz" };
    t.database.execute(&clone_click(&t, &mine.id, &format!("{}{end}", &mine.id[..23]))).await;
    t.tick();
    source.report(&[("sub", &ten), ("tid", "N-3")]).await;
    assert_outcome(&source.last().await, "refused", "click_id_ambiguous");
    t.tick();
    source.report(&[("sub", &mine.id[..25]), ("tid", "N-4")]).await;
    assert_outcome(&source.last().await, "accepted", "");
}

async fn unreplaced_macros_tests_and_empty_requests_never_become_conversions(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let id = click.id.as_str();
    for (parameters, outcome, code, status) in [
        (vec![], "ignored", "empty_request", 200),
        (vec![("test", "1")], "ignored", "test_ping", 200),
        (vec![("sub", "test"), ("sum", "1")], "ignored", "test_ping", 200),
        (vec![("sub", "TEST-123")], "ignored", "test_ping", 200),
        (vec![("sub", "{sub1}")], "refused", "unreplaced_macro", 422),
        (vec![("sub", "#s2#")], "refused", "unreplaced_macro", 422),
        (vec![("sub", id), ("tid", "{tid}")], "refused", "unreplaced_macro", 422),
        (vec![("sub", "{sub1}"), ("st", "{status}"), ("sum", "[payout]")], "refused", "unreplaced_macro", 422),
    ] {
        let answer = source.report(&parameters).await;
        assert_eq!(answer.status, status, "{parameters:?}: {}", answer.text);
        assert_outcome(&source.last().await, outcome, code);
        t.tick();
    }
    assert_eq!(t.database.count("conversions").await, 0);
}

async fn guards_keep_strangers_out_and_are_logged(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let guarded = async |guards: Value| source(&t).settings(json!({"guards": guards})).save().await;
    let id = click.id.as_str();

    let source = guarded(json!({"token": {"parameter": "key", "value": "open-sesame"}})).await;
    for (parameters, status, code) in [
        (vec![("sub", id)], 401, "token_missing"),
        (vec![("sub", id), ("key", "open-sesam")], 401, "token_wrong"),
        (vec![("sub", id), ("key", "open-sesame")], 200, ""),
    ] {
        let answer = source.report(&parameters).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        let entry = source.last().await;
        assert_outcome(&entry, if status == 200 { "accepted" } else { "refused" }, code);
        assert!(!entry.to_string().contains("open-sesame"), "{entry:#}");
        t.tick();
    }

    let source = guarded(json!({"networks": ["198.51.100.0/24"]})).await;
    assert_eq!(source.report(&[("sub", id)]).await.status, 403);
    assert_outcome(&source.last().await, "refused", "network_not_allowed");
    source.patch(json!({"settings": {"guards": {"networks": ["127.0.0.0/8", "::1/128"]}}})).await.expect(200);
    assert_eq!(source.report(&[("sub", id), ("tid", "n")]).await.status, 200);

    let source =
        guarded(json!({"hmac": {"header": "X-Signature", "secret": "hmac-secret", "algorithm": "sha256"}})).await;
    assert_eq!(source.report(&[("sub", id)]).await.status, 401);
    assert_outcome(&source.last().await, "refused", "signature_missing");
    let body = "sub=06a5xk2m7q8r9stvwxyz012345&tid=h";
    let signed = async |signature: &str| {
        let request = source.network.request(Method::POST, &source.path).header("x-signature", signature);
        source.network.send(request.body(body)).await.status
    };
    assert_eq!(signed("sha256=00").await, 401);
    // printf '%s' "$body" | openssl dgst -sha256 -hmac hmac-secret
    assert_ne!(signed(HMAC_OF_BODY).await, 401);
}

const HMAC_OF_BODY: &str = "b77c0b86d5184de81357cc56c8bba2b2af075b1a3bbfb70d9461612b40e4800b";

async fn a_secret_is_masked_and_kept_when_the_mask_comes_back(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let guards = json!({"token": {"parameter": "key", "value": "open-sesame"}});
    let source = source(&t).settings(json!({"guards": guards})).save().await;
    let path = format!("/api/v1/sources/{}", source.id);

    let shown = t.admin.get(&path).await.expect(200);
    assert_eq!(shown["settings"]["guards"]["token"]["value"], "••••••••");
    let settings = shown["settings"].clone();
    let patched = source.patch(json!({"name": "renamed", "settings": settings})).await.expect(200);
    assert_eq!((&patched["name"], &patched["settings"]), (&json!("renamed"), &settings));
    let report = [("sub", click.id.as_str()), ("key", "open-sesame")];
    assert_eq!(source.report(&report).await.status, 200, "the secret is still the old one");

    let guards = json!({"hmac": {"header": "X-S", "secret": "••••••••"}});
    let answer = source.patch(json!({"settings": {"guards": guards}})).await;
    let problem = answer.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/settings/guards/hmac/secret");
}

/// A source of the adapter "guest", which traps on every notification.
fn guest_source(t: &TestApp, key: &str) -> Value {
    json!({"name": "Guest", "adapter": "guest", "config": {"key": key, "url": t.receiver.url("/")}})
}

async fn the_secrets_of_a_source_are_sealed(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    t.install(Guest { inbound: true, ..Guest::default() }.component()).await.expect(201);
    let secrets = ["configured-needle-1", "token-needle-2", "hmac-needle-3"];
    let mut body = guest_source(&t, secrets[0]);
    body["settings"] = json!({"guards": {
        "token": {"parameter": "key", "value": secrets[1]},
        "hmac": {"header": "X-S", "secret": secrets[2]},
    }});
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let source = Source::of(&t, &t.admin, &saved);
    let config = saved["config"].clone();
    assert_eq!(config["key"], "••••le-1");

    let patched = source.patch(json!({"config": config, "settings": saved["settings"]})).await.expect(200);
    assert_eq!((&patched["config"], &patched["settings"]), (&config, &saved["settings"]));
    let listed = t.admin.list("/api/v1/sources").await;
    assert_eq!(listed[0]["config"], config);
    assert!(t.database.contains("sources", "$sealed").await, "we look in the right place");
    for secret in secrets {
        assert!(!t.database.contains("sources", secret).await, "{secret}");
    }

    let mut lost = config;
    lost["key"] = json!("••••abcd");
    let problem = source.patch(json!({"config": lost})).await.expect_problem(422, "invalid_config");
    assert_eq!(problem["errors"][0]["path"], "/config/key");
    body["config"]["key"] = json!({"$sealed": "x"});
    t.admin.post("/api/v1/sources", &body).await.expect_problem(422, "invalid_config");
    let guards = json!({"token": {"parameter": "key", "value": "$sealed:x"}});
    let problem = source.patch(json!({"settings": {"guards": guards}})).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/settings/guards/token/value");
}

async fn a_disabled_adapter_makes_reports_wait(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let saved = t.admin.get(&format!("/api/v1/sources/{}", source.id)).await.expect(200);
    let version = format!("/api/v1/adapters/macro-url/versions/{}", text(&saved, "adapter_version"));
    t.admin.post(&format!("{version}/disable"), &json!({})).await.expect(200);

    assert_eq!(source.report(&[("sub", &click.id), ("tid", "N-1")]).await.status, 200);

    assert_outcome(&source.last().await, "waiting", "adapter_disabled");
    t.advance(Duration::from_secs(2 * 86_400));
    t.deliver_all().await;
    assert_outcome(&source.last().await, "waiting", "adapter_disabled");
    t.admin.post(&format!("{version}/enable"), &json!({})).await.expect(200);
    t.advance(Duration::from_secs(900));
    t.deliver_all().await;
    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(only_conversion(&t, &click).await["transaction_id"], "N-1");
}

async fn an_adapter_that_keeps_failing_at_reports_goes_out_of_service(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest { inbound: true, ..Guest::default() }.component()).await.expect(201);
    let saved = t.admin.post("/api/v1/sources", &guest_source(&t, "a-long-enough-secret")).await.expect(201);
    let source = Source::of(&t, &t.admin, &saved);
    for _ in 0..10 {
        source.report(&[("sub", &click.id)]).await;
        assert_outcome(&source.last().await, "failed", "adapter_trap");
        t.tick();
    }

    assert_eq!(source.report(&[("sub", &click.id)]).await.status, 200);

    assert_outcome(&source.last().await, "waiting", "adapter_out_of_service");
    let adapter = t.admin.get("/api/v1/adapters/guest").await.expect(200);
    assert_eq!(adapter["versions"][0]["status"], "out_of_service", "{adapter}");
}

async fn every_affiliate_has_a_source_from_the_start(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let sources = affiliate.client.list("/api/v1/sources").await;
    assert_eq!(sources.len(), 1, "{sources:#?}");
    let first = &sources[0];
    assert_eq!((&first["adapter"], &first["config"]), (&json!("affrank"), &json!({"append": true})));
    assert_eq!((&first["affiliate_id"], &first["decorates_clicks"]), (&json!(affiliate.id), &json!(true)));
    let url = text(first, "url");
    assert!(url.contains("/in/") && url.rsplit('/').next().unwrap().len() == 32, "{url}");

    // Affiliates created before sources existed get theirs when sources are listed.
    t.database.execute("DELETE FROM sources").await;
    let by_admin = t.admin.list(&format!("/api/v1/sources?affiliate_id={}", affiliate.id)).await;
    assert_eq!(by_admin.len(), 1);
    assert_eq!(
        (&by_admin[0]["url_masked"], &by_admin[0]["paste_url"].as_str().unwrap().contains("****")),
        (&json!(true), &true)
    );
    let own = affiliate.client.list("/api/v1/sources").await;
    assert_eq!((&own[0]["id"], &own[0]["url_masked"]), (&by_admin[0]["id"], &json!(false)));
    // A deleted one is not created again.
    let path = format!("/api/v1/sources/{}", text(&by_admin[0], "id"));
    assert_eq!(affiliate.client.delete(&path).await.status, 204);
    assert!(affiliate.client.list("/api/v1/sources").await.is_empty());
    affiliate.client.get(&path).await.expect_problem(404, "not_found");
}

async fn an_affiliates_source_is_for_its_own_clicks_and_owes_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let (me, them) = (&mine.link.affiliate, &other.link.affiliate);
    let source = source(&t).owned_by(me).save().await;

    source.report(&[("sub", &mine.id), ("tid", "N-1"), ("sum", "1000.00")]).await;

    let conversion = only_conversion(&t, &mine).await;
    assert_eq!((&conversion["status"], &conversion["self_reported"]), (&json!("approved"), &json!(true)));
    assert_eq!(conversion["payout"]["amount"], "1000.00");
    assert_eq!(t.postings().await, 0, "whoever knows an address can't credit themselves");
    let found = me.client.list("/api/v1/conversions?transaction_id=N-1").await;
    assert_eq!(found[0]["id"], conversion["id"]);

    // Other affiliates' sources do not exist for an affiliate.
    them.client.get(&format!("/api/v1/sources/{}", source.id)).await.expect_problem(404, "not_found");
    let changes = json!({"enabled": false});
    them.client.patch(&format!("/api/v1/sources/{}", source.id), &changes).await.expect_problem(404, "not_found");
    assert!(them.client.list(&format!("/api/v1/inbound-requests?source_id={}", source.id)).await.is_empty());
    let mut body = self::source(&t).body;
    body["affiliate_id"] = json!(me.id);
    them.client.post("/api/v1/sources", &body).await.expect_problem(404, "not_found");
}

async fn an_affiliate_cannot_occupy_a_transaction_id(db: Database) {
    let t = TestApp::start(db).await;
    let mine = t.click().await;
    let offer = mine.link.offer.clone();
    let rival = t.affiliate().await;
    let rivals = t.click_on(&t.link(&rival, &offer).await, "").await;
    let source = source(&t).owned_by(&rival).save().await;

    // The rival guesses the next order and sends it as its own, then rejects an existing one.
    source.report(&[("sub", &rivals.id), ("tid", "order-7"), ("sum", "1")]).await;
    t.conversion(&mine).transaction("order-7").send().await;
    source.report(&[("sub", &rivals.id), ("tid", "order-7"), ("st", "rejected")]).await;
    source.report(&[("tid", "order-7"), ("st", "rejected")]).await;

    assert_eq!(only_conversion(&t, &mine).await["status"], "approved");
    assert_eq!(only_conversion(&t, &rivals).await["status"], "rejected");
    assert_eq!(t.postings().await, 1);
}

async fn the_reply_is_configurable(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let settings = json!({"reply": {"status": 202, "body": "{\"ok\":true}"}});
    let source = source(&t).settings(settings).save().await;
    let answer = source.report(&[("sub", &click.id)]).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, "{\"ok\":true}"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    source.patch(json!({"settings": {"reply": null}})).await.expect(200);
    assert_eq!(source.report(&[("sub", &click.id), ("tid", "2")]).await.text, "OK");
    source.patch(json!({"enabled": false})).await.expect(200);
    assert_eq!(source.report(&[("sub", &click.id), ("tid", "3")]).await.status, 403);
    assert_outcome(&source.last().await, "refused", "source_disabled");
}

async fn a_rotated_key_replaces_the_old_one(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let rotated = t.admin.post(&format!("/api/v1/sources/{}/rotate-key", source.id), &json!({})).await.expect(200);
    let renewed = Source::of(&t, &t.admin, &rotated);
    assert_ne!(renewed.path, source.path);
    assert_eq!(source.report(&[("sub", &click.id)]).await.status, 404);
    assert_eq!(renewed.report(&[("sub", &click.id)]).await.status, 200);
    assert_eq!(t.anonymous().get("/in/").await.status, 404);
    assert_eq!(t.anonymous().get("/in/nothing").await.status, 404);
}

async fn a_request_is_replayed_after_the_fix(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    source.report(&[("sub", &click.id), ("tid", "N-1"), ("sum", "12,50")]).await;
    let entry = source.last().await;
    assert_outcome(&entry, "refused", "invalid_amount");
    let replay = format!("/api/v1/inbound-requests/{}/replay", text(&entry, "id"));
    let again = t.admin.post(&replay, &json!({})).await.expect(200);
    assert_outcome(&again, "refused", "invalid_amount");

    source.patch(json!({"settings": {"amounts": {"decimal": ","}}})).await.expect(200);
    let replayed = t.admin.post(&replay, &json!({})).await.expect(200);

    assert_outcome(&replayed, "accepted", "");
    let record = t.admin.list("/api/v1/audit?operation=replay_inbound_request").await.remove(0);
    assert_eq!(record["changes"][0], json!({"field": "outcome", "from": "refused", "to": "accepted"}));
    assert_eq!(only_conversion(&t, &click).await["payout"]["amount"], "12.50");
    let once_more = t.admin.post(&replay, &json!({})).await.expect(200);
    assert_outcome(&once_more, "accepted", "");
    assert_eq!(once_more["tries"], replayed["tries"], "there was nothing to judge");
    // A changed code: the list can be filtered by it.
    assert_eq!(t.admin.list("/api/v1/inbound-requests?outcome=accepted").await.len(), 1);
    assert!(t.admin.list("/api/v1/inbound-requests?reason_code=invalid_amount").await.is_empty());
}

async fn an_affiliate_reads_its_own_log_without_personal_data(db: Database) {
    let t = TestApp::start(db).await;
    t.affiliates_see("masked").await;
    let click = t.click().await;
    let me = &click.link.affiliate;
    let source = source(&t).owned_by(me).save().await;
    source.report(&[("sub", &click.id), ("email", "ada@example.com"), ("note", "for bob@example.com")]).await;

    let id = text(&source.last().await, "id");
    let path = format!("/api/v1/inbound-requests/{id}");
    let (mine, admins) = (me.client.get(&path).await.expect(200), t.admin.get(&path).await.expect(200));

    assert!(text(&admins["request"], "query").contains("ada%40example.com"));
    assert!(!mine.to_string().contains("ada%40") && !mine.to_string().contains("example.com"), "{mine:#}");
    assert_eq!(t.affiliate().await.client.get(&path).await.status, 404);
}

async fn a_request_with_another_method_is_logged_and_has_no_effect(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let path = format!("{}?sub={}", source.path, click.id);
    let head = async |path: &str| t.anonymous().send(t.anonymous().request(Method::HEAD, path)).await.status;
    assert_eq!((head(&path).await, head("/in/nothing").await), (200, 404));
    assert_outcome(&source.last().await, "ignored", "head_request");
    let put = t.anonymous().send(t.anonymous().request(Method::PUT, &path)).await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, POST")));
    assert_outcome(&source.last().await, "refused", "method_not_allowed");
}

/// One notification in a spelling: suffix of the path, query, content type, encoding and body.
fn spellings(click: &str) -> Vec<(&'static str, String, &'static str, &'static str, Vec<u8>)> {
    let tid = format!("T-{click}");
    let form = format!("sub={click}&tid={tid}&sum=3.50");
    let json = json!({"sub": click, "tid": tid, "sum": "3.50"}).to_string();
    let part =
        |name: &str, value: &str| format!("--x9\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = format!("{}{}{}--x9--\r\n", part("sub", click), part("tid", &tid), part("sum", "3.50"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, json.as_bytes()).expect("memory");
    let utf16 = "\u{feff}".encode_utf16().chain(json.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let amp = form.replace('&', "&amp;");
    vec![
        ("/", form.clone(), "", "", vec![]),
        ("", amp.clone(), "", "", vec![]),
        ("", format!("?{form}"), "", "", vec![]),
        ("", format!("x=1?{form}&&"), "", "", vec![]),
        ("/", String::new(), "application/x-www-form-urlencoded", "", form.clone().into_bytes()),
        ("", String::new(), "application/x-www-form-urlencoded", "", amp.into_bytes()),
        ("", String::new(), "application/json", "", form.into_bytes()),
        ("", String::new(), "application/x-www-form-urlencoded", "", json.clone().into_bytes()),
        ("", String::new(), "application/json", "", format!("\u{feff}{json}").into_bytes()),
        ("", String::new(), "application/json", "", format!("[{json}]").into_bytes()),
        ("", String::new(), "application/json", "gzip", gzip.finish().expect("memory")),
        ("", String::new(), "application/json; charset=utf-16", "", utf16),
        ("", String::new(), "multipart/form-data; boundary=x9", "", parts.into_bytes()),
    ]
}

async fn every_spelling_of_an_address_and_a_body_is_read(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    for index in 0..spellings("").len() {
        let click = t.click().await;
        let (suffix, query, kind, encoding, body) = spellings(&click.id).swap_remove(index);
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let path = format!("{}{suffix}?{query}", source.path);
        let mut request = source.network.request(method, &path).header("content-type", kind);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let answer = source.network.send(request.body(body)).await;
        assert_eq!(answer.status, 200, "{index}: {}", answer.text);
        let found = t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await;
        let read: Vec<_> = found.iter().map(|it| (text(it, "transaction_id"), text(&it["payout"], "amount"))).collect();
        assert_eq!(read, [(format!("T-{}", click.id), "3.50".to_owned())], "{index}");
    }
}

async fn several_reports_in_one_body_are_read_together(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    let clicks = [t.click().await, t.click().await];
    let send = async |body: Value| {
        let request = source.network.request(Method::POST, &source.path).header("content-type", "application/json");
        source.network.send(request.body(body.to_string())).await
    };
    let report = |click: &str, tid: &str| json!({"sub": click, "tid": tid, "sum": "1"});
    let answer = send(json!([report(&clicks[0].id, "A"), report(&clicks[1].id, "B")])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(source.last().await["items"].as_array().map(Vec::len), Some(2));
    // One that cannot be read refuses all of them, so that none is lost in silence.
    let answer = send(json!([report(&clicks[0].id, "C"), report("{sub1}", "D")])).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("report 2 of 2"), "{}", answer.text);
    assert_outcome(&source.last().await, "refused", "unreplaced_macro");
}

async fn a_body_that_nobody_can_read_is_refused_and_logged(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    for (kind, encoding, body) in [
        ("application/json", "br", b"\x8b\x02\x80".as_slice()),
        ("application/json", "gzip", b"\x1f\x8bnothing"),
        ("application/xml", "", b"<a/>"),
        ("application/json", "", b"{"),
        ("multipart/form-data", "", b"--x"),
    ] {
        let mut request = source.network.request(Method::POST, &source.path).header("content-type", kind);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let answer = source.network.send(request.body(body)).await;
        assert_eq!(answer.status, 422, "{kind} {encoding}: {}", answer.text);
        assert_outcome(&source.last().await, "refused", "unreadable_body");
        t.tick();
    }
}

async fn plain_words_are_not_taken_for_macros(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    for (field, key, value) in [
        ("g", "goal", "Sale [EU]"),
        ("g", "goal", "Plan <Gold>"),
        ("g", "goal", "commission"),
        ("tid", "transaction_id", "[A]-100"),
    ] {
        let click = t.click().await;
        let mut parameters = vec![("sub", click.id.as_str()), ("sum", "1"), (field, value)];
        if field != "tid" {
            parameters.push(("tid", &click.id));
        }
        assert_eq!(source.report(&parameters).await.status, 200, "{value}");
        let found = t.admin.list(&format!("/api/v1/conversions?click_id={}", click.id)).await;
        assert_eq!(found[0][key], value);
    }
    for value in ["{goal}", "[=XID1=]", "xxCLICKIDxx", "%257Bsub1%257D", "[sub1][sub1]", "“{x}”", "SESSION_ID"] {
        assert_eq!(source.report(&[("sub", value), ("tid", "M"), ("sum", "1")]).await.status, 422, "{value}");
        assert_outcome(&source.last().await, "refused", "unreplaced_macro");
        t.tick();
    }
}

async fn a_large_body_is_refused_and_logged(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let body = format!("sub={}&x={}", click.id, "y".repeat(70_000));
    let answer = source.network.send(source.network.request(Method::POST, &source.path).body(body)).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    let entry = source.last().await;
    assert_outcome(&entry, "refused", "body_too_large");
    assert_eq!(text(&entry["request"], "body").len(), 65_536);
    assert_eq!(entry["request"]["truncated"], true);
    // Bytes that are not text are stored without causing errors.
    let request = source.network.request(Method::POST, &format!("{}?sub={}", source.path, click.id));
    assert_eq!(source.network.send(request.body(vec![0, 255, 254, 0])).await.status, 200);
}

async fn an_invalid_source_is_refused_with_a_reason(db: Database) {
    let t = TestApp::start(db).await;
    let create = async |field: &str, value: Value| {
        let mut body = source(&t).body;
        body[field] = value;
        t.admin.post("/api/v1/sources", &body).await
    };
    create("adapter", json!("nope")).await.expect_problem(422, "unknown_adapter");
    create("name", json!("")).await.expect_problem(422, "invalid_field");
    for (settings, path) in [
        (json!({"statuses": {"1": "aproved"}}), "/settings/statuses/1"),
        (json!({"time_zone": "Mars"}), "/settings/time_zone"),
        (json!({"amounts": {"unit": "cents"}}), "/settings/amounts/unit"),
        (json!({"guards": {"networks": ["10.0.0"]}}), "/settings/guards/networks/0"),
        (json!({"session_parameter": ""}), "/settings/session_parameter"),
        (json!({"reply": {"status": 500, "body": ""}}), "/settings/reply/status"),
        (json!({"nonsense": 1}), "/settings/nonsense"),
    ] {
        let problem = create("settings", settings).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    let answer = create("config", json!({"base_url": 7})).await;
    answer.expect_problem(422, "invalid_config");
    assert_eq!(t.admin.list("/api/v1/sources").await.len(), 0);
}

/// The source that an affiliate has from the start.
async fn first_source(t: &TestApp, affiliate: &Affiliate) -> Source {
    let saved = affiliate.client.list("/api/v1/sources").await.remove(0);
    Source::of(t, &affiliate.client, &saved)
}

async fn affrank_matches_a_session_to_its_click_with_keyword_and_page(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click_on(&t.any_link().await, "?keyword=red+shoes&page=%2Freviews").await;
    let source = first_source(&t, &click.link.affiliate).await;

    let answer = source.report(&[("sessionId", &click.id), ("amount", "4.75")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // The same session, changed to upper case by a network.
    source.report(&[("sessionId", &click.id.to_uppercase()), ("amount", "4.75")]).await;

    let conversion = only_conversion(&t, &click).await;
    assert_eq!(conversion["payout"], json!({"amount": "4.75", "currency": "USD"}));
    assert_eq!(conversion["status"], "approved");
    let stored = t.admin.get(&format!("/api/v1/clicks/{}", click.id)).await.expect(200);
    assert_eq!(stored["parameters"], json!({"keyword": "red shoes", "page": "/reviews"}));
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    // A value that was never a session.
    t.tick();
    assert_eq!(source.report(&[("sessionId", "{SESSION_ID}"), ("amount", "{COMMISSION}")]).await.status, 422);
    assert_outcome(&source.last().await, "refused", "unreplaced_macro");
}

async fn affrank_adds_its_session_to_the_links_of_its_affiliate(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.any_link().await, t.any_link().await);
    let source = first_source(&t, &mine.affiliate).await;
    let sessions = async |link: &postrider_tests::app::Link, query: &str| -> (String, Vec<String>) {
        let answer = t.anonymous().get(&format!("{}{query}", link.path)).await;
        let location = url::Url::parse(answer.header("location").unwrap()).unwrap();
        let sessions = location.query_pairs().filter(|(name, _)| name == "affrank_sid" || name == "s id");
        let sessions = sessions.map(|(_, value)| value.into_owned()).collect();
        (postrider_tests::app::click_id_in(&answer), sessions)
    };
    let (click, found) = sessions(&mine, "?keyword=a").await;
    assert_eq!(found, [click.as_str()], "from the start");
    let stored = t.admin.get(&format!("/api/v1/clicks/{click}")).await.expect(200);
    assert!(text(&stored, "landing_url").ends_with(&format!("affrank_sid={click}")), "{stored}");
    assert_eq!(sessions(&mine, "?affrank_sid=own").await.1, ["own"], "a name that is there already is not repeated");
    assert_eq!(sessions(&mine, "?affrank%5Fsid=own").await.1, ["own"]);
    // Other settings leave it as it is.
    source.patch(json!({"name": "My AffRank", "settings": {"statuses": {"1": "approved"}}})).await.expect(200);
    assert_eq!(sessions(&mine, "").await.1.len(), 1);

    let patched = source.patch(json!({"config": {"append": false}})).await.expect(200);
    assert_eq!(patched["decorates_clicks"], false);
    assert_eq!(sessions(&mine, "").await.1, [""; 0]);
    assert_eq!(sessions(&other, "").await.1.len(), 1, "another affiliate's");
    let patched = source.patch(json!({"config": {"append": true}})).await.expect(200);
    assert_eq!(patched["decorates_clicks"], true);
    let (click, found) = sessions(&mine, "").await;
    assert_eq!(found, [click], "once, although it is configured");
    source.patch(json!({"config": {"append": true, "parameter": "sid"}})).await.expect(200);
    assert_eq!(sessions(&mine, "").await.1, [""; 0]);
    source.patch(json!({"config": {"append": true}, "enabled": false})).await.expect(200);
    assert_eq!(sessions(&mine, "").await.1, [""; 0]);
    // An offer whose landing page refuses unknown parameters.
    let offer = format!("/api/v1/offers/{}", other.offer);
    assert_eq!(t.admin.get(&offer).await.expect(200)["source_parameters"], true);
    t.admin.patch(&offer, &json!({"source_parameters": false})).await.expect(200);
    assert_eq!(sessions(&other, "").await.1, [""; 0]);
    t.admin.patch(&offer, &json!({"source_parameters": true})).await.expect(200);
    assert_eq!(sessions(&other, "").await.1.len(), 1);
    // A deleted source adds nothing.
    let others = first_source(&t, &other.affiliate).await;
    assert_eq!(others.client.delete(&format!("/api/v1/sources/{}", others.id)).await.status, 204);
    assert_eq!(sessions(&other, "").await.1, [""; 0]);
}

/// A request is stored before it is processed, so if the process crashes, the worker processes it.
async fn an_unprocessed_request_is_processed_when_the_lease_ends(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).settings(json!({"amounts": {"decimal": ","}})).save().await;
    source.report(&[("sub", &click.id), ("tid", "N-1"), ("sum", "1.5")]).await;
    source.patch(json!({"settings": {"amounts": {"decimal": "."}}})).await.expect(200);
    // The state while it was being processed.
    let now = postrider_tests::app::START_MS;
    let sql = format!(
        "UPDATE inbound_requests SET outcome = 'waiting', code = 'not_processed', items = '[]', tries = 0,
         due_at = {now}, lease_until = {}, claim = 7, settled_at = NULL",
        now + 60_000
    );
    t.database.execute(&sql).await;

    t.advance(Duration::from_secs(60));
    t.deliver_all().await;

    assert_outcome(&source.last().await, "accepted", "");
    assert_eq!(only_conversion(&t, &click).await["payout"]["amount"], "1.50");
}

async fn a_source_without_its_adapter_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    t.database.execute("UPDATE sources SET adapter = 'gone'").await;
    let answer = source.report(&[("sub", &click.id)]).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.text.contains("\"gone\""), "{}", answer.text);
    assert_outcome(&source.last().await, "failed", "adapter_missing");
}
