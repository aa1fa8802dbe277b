//! Sending: accepted answers, the schedule of retries, and the limits of hostile answers.

use std::time::{Duration, Instant};

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::{Raw, RawReceiver, Reply};
use serde_json::{Value, json};

on_both_databases!(
    a_2xx_is_success_and_others_fail_or_are_retried,
    an_attempt_is_logged_as_it_went,
    retries_follow_the_schedule_until_they_end,
    retry_after_is_honoured_within_bounds,
    a_retry_after_can_be_a_date,
    a_slow_drip_is_cut_off,
    a_silent_server_is_cut_off,
    a_huge_answer_is_read_in_part,
    a_never_ending_answer_is_read_in_part,
    a_gzip_bomb_does_not_go_off,
    an_answer_that_is_not_http_is_retried,
    a_2xx_counts_although_its_body_is_cut_off,
    an_answer_that_is_not_text_is_logged_too,
    a_closed_port_is_retried,
    a_redirect_is_not_followed,
    a_failed_delivery_can_be_retried_by_hand,
    only_failed_deliveries_can_be_retried,
    a_newer_state_supersedes_an_older_one,
    ordering_all_delivers_every_state,
    a_slow_destination_does_not_hold_up_others,
    a_postback_is_saved_only_when_its_test_was_accepted,
);

/// A setup with one postback that has failed once at its destination; the conversion's delivery.
async fn one_attempt(t: &TestApp, reply: Reply) -> Value {
    let click = t.click().await;
    let path = format!("/p{}", t.unique());
    // Only of this conversion: failures of one destination are counted together, and twenty in a row pause it.
    let postback = t.postback(&path).scope(None, Some(&click.link.offer)).save().await;
    t.receiver.always(&path, reply);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    t.only_delivery(&postback).await
}

fn attempts(delivery: &Value) -> &Vec<Value> {
    delivery["attempts"].as_array().expect("a delivery has attempts")
}

async fn a_2xx_is_success_and_others_fail_or_are_retried(db: Database) {
    let t = TestApp::start(db).await;
    let table: [(&[u16], &str, &str); 3] = [
        (&[200, 201, 202, 204, 206, 226, 299], "success", "accepted"),
        (&[300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 418, 422, 451], "failed", "refused"),
        // Last, because their retries would pause the destination while time passes.
        (&[408, 429, 500, 502, 503, 504, 520, 599], "pending", "retry"),
    ];
    for (statuses, state, outcome) in table {
        for status in statuses {
            let delivery = one_attempt(&t, Reply::status(*status)).await;
            assert_eq!(delivery["status"], state, "{status}: {delivery}");
            let attempts = attempts(&delivery);
            assert_eq!(attempts.len(), 1, "{status}: {delivery}");
            assert_eq!(attempts[0]["outcome"], outcome, "{status}");
            assert_eq!(attempts[0]["http_status"], *status, "{status}");
            if state == "failed" {
                let reason = text(&delivery, "reason");
                assert!(reason.contains(&status.to_string()), "says what was answered: {reason}");
            }
            // A terminal state never changes.
            if state != "pending" {
                t.advance(Duration::from_secs(60));
                t.deliver_all().await;
                let id = text(&delivery, "id");
                let later = t.admin.get(&format!("/api/v1/deliveries/{id}")).await.expect(200);
                assert_eq!(later["attempts"].as_array().unwrap().len(), 1, "{status}");
            }
        }
    }
}

async fn an_attempt_is_logged_as_it_went(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/log").method("POST").custom(&[("tag", "a b")]).save().await;
    let reply = Reply::body(200, "thank <you> ü").header("X-Tracker", "seen");
    t.receiver.always("/log", reply);

    t.conversion(&click).transaction("T-1").send().await;
    t.deliver_all().await;

    let delivery = t.only_delivery(&postback).await;
    assert_eq!(delivery["status"], "success");
    assert_eq!(delivery["postback_id"], postback);
    assert_eq!(delivery["affiliate_id"], click.link.affiliate.id);
    let [attempt] = attempts(&delivery).as_slice() else { panic!("one attempt in {delivery}") };
    assert_eq!(attempt["number"], 1);
    assert_eq!(attempt["at"], "2026-03-10T12:00:00.000Z");
    assert_eq!(attempt["method"], "POST");
    assert_eq!(attempt["url"], t.receiver.url("/log"));
    assert_eq!(attempt["http_status"], 200);
    assert_eq!(attempt["response_body"], "thank <you> ü");
    assert_eq!(attempt["truncated"], false);
    assert!(attempt["duration_ms"].is_u64(), "{attempt}");
    let body = text(attempt, "request_body");
    assert!(body.contains("transaction=T-1") && body.contains("status=approved"), "{body}");
    assert!(attempt["response_headers"].to_string().to_lowercase().contains("x-tracker"), "{attempt}");
    assert!(attempt["request_headers"].to_string().to_lowercase().contains("content-type"), "{attempt}");
    // The log has the request as it was sent.
    assert_eq!(t.receiver.only_request("/log").body, body);
}

async fn retries_follow_the_schedule_until_they_end(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").save().await;
    t.receiver.always("/p", Reply::status(503));
    t.conversion(&click).send().await;
    t.deliver_all().await;

    let schedule = [5, 30, 120, 600, 1800, 7200, 21_600, 86_400];
    for (made, wait) in schedule.into_iter().enumerate() {
        let delivery = t.only_delivery(&postback).await;
        assert_eq!(delivery["status"], "pending");
        assert_eq!(attempts(&delivery).len(), made + 1);
        // Not before the scheduled wait …
        t.advance(Duration::from_millis(wait * 1000 - 1));
        t.deliver_all().await;
        assert_eq!(t.receiver.requests("/p").len(), made + 1, "after {wait} s");
        // … and at most a tenth later.
        t.advance(Duration::from_millis(wait * 100 + 1));
        t.deliver_all().await;
        assert_eq!(t.receiver.requests("/p").len(), made + 2, "after {wait} s and its jitter");
    }

    let delivery = t.only_delivery(&postback).await;
    assert_eq!(delivery["status"], "failed");
    assert_eq!(attempts(&delivery).len(), 9);
    let reason = text(&delivery, "reason");
    assert!(reason.contains('9') && reason.contains("503"), "says how often and what: {reason}");
    t.advance(Duration::from_secs(30 * 86_400));
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/p").len(), 9);
}

/// Seconds until the delivery is due.
fn due_in(t: &TestApp, delivery: &Value) -> i64 {
    let due = domain::timestamp::Timestamp::parse(&text(delivery, "due_at")).expect("a time");
    (due.millis() - t.clock.now().millis()) / 1000
}

async fn retry_after_is_honoured_within_bounds(db: Database) {
    let t = TestApp::start(db).await;
    // (header, minimum, maximum) in seconds; the schedule alone gives 5 to 5.5.
    let table = [
        ("120", 120, 120),
        ("3600", 3600, 3600),
        // Shorter than the schedule: the schedule applies.
        ("0", 5, 5),
        ("1", 5, 5),
        // Longer than a day: a day applies.
        ("999999999", 86_400, 86_400),
        ("99999999999999999999", 5, 86_400),
        // Neither a number of seconds nor a date.
        ("-1", 5, 5),
        ("soon", 5, 5),
        ("", 5, 5),
    ];
    for status in [429, 503] {
        for (header, least, most) in table {
            let delivery = one_attempt(&t, Reply::status(status).header("Retry-After", header)).await;
            assert_eq!(delivery["status"], "pending");
            let due = due_in(&t, &delivery);
            assert!((least..=most).contains(&due), "{status}, Retry-After {header:?}: due in {due} s");
        }
    }
    // Retry-After sets the time of a retry, but does not permit one.
    let delivery = one_attempt(&t, Reply::status(404).header("Retry-After", "10")).await;
    assert_eq!(delivery["status"], "failed");
}

async fn a_retry_after_can_be_a_date(db: Database) {
    let t = TestApp::start(db).await;
    // The clock shows Tue, 10 Mar 2026 12:00:00 GMT.
    for (header, wanted) in [
        ("Tue, 10 Mar 2026 12:10:00 GMT", 600),
        ("Tue, 10 Mar 2026 11:00:00 GMT", 5),
        ("Fri, 10 Mar 2028 12:00:00 GMT", 86_400),
    ] {
        let delivery = one_attempt(&t, Reply::status(503).header("Retry-After", header)).await;
        assert_eq!(due_in(&t, &delivery), wanted, "{header}");
    }
}

/// Longer than a good answer takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(4);

async fn impatient(db: Database) -> TestApp {
    TestApp::start_with(db, |settings| settings.request_timeout_ms = TIMEOUT.as_millis() as u64).await
}

/// One deadline for connection, headers and body: headers that arrive in time do not extend it, and their status counts.
async fn a_slow_drip_is_cut_off(db: Database) {
    let t = impatient(db).await;
    let interval = Duration::from_millis(50);
    let started = Instant::now();
    let delivery = one_attempt(&t, Reply::SlowDrip { interval }).await;

    assert_eq!(delivery["status"], "success", "its status counts: {delivery}");
    assert_eq!(attempts(&delivery)[0]["truncated"], true);
    assert!(started.elapsed() < TIMEOUT * 20, "{:?}", started.elapsed());
    // The connection is closed: nothing reads the drops any more.
    let taken = t.receiver.bytes_taken();
    assert!(taken > 0);
    closed_soon(&t).await;
}

/// The receiver notices that the connection is closed: its counter stops.
async fn closed_soon(t: &TestApp) {
    let mut last = (t.receiver.bytes_taken(), Instant::now());
    postrider_tests::wait::eventually("the connection to be closed", async || {
        let now = t.receiver.bytes_taken();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(500)).then_some(())
    })
    .await;
}

fn timed_out(delivery: &Value) {
    assert_eq!(delivery["status"], "pending", "{delivery}");
    let attempt = &attempts(delivery)[0];
    assert_eq!(attempt["outcome"], "retry", "{attempt}");
    let error = text(attempt, "error");
    assert!(error.contains(&format!("{} ms", TIMEOUT.as_millis())), "says how long it waited: {error}");
    let duration = Duration::from_millis(attempt["duration_ms"].as_u64().unwrap());
    assert!((TIMEOUT - Duration::from_millis(100)..TIMEOUT * 7).contains(&duration), "{attempt}");
}

async fn a_silent_server_is_cut_off(db: Database) {
    let t = impatient(db).await;
    let silent = RawReceiver::start(Raw::Silence).await;
    let postback = saved_to(&t, &silent).await;
    let delivery = fired(&t, &postback).await;
    timed_out(&delivery);
    assert_eq!(silent.connections(), 2, "the test request and one attempt");
}

/// A postback to a server that answers only its test request.
async fn saved_to(t: &TestApp, server: &RawReceiver) -> String {
    t.postback("/raw").to(&server.url("/raw")).save().await
}

/// Sends a conversion for it; returns the delivery after one attempt.
async fn fired(t: &TestApp, postback: &str) -> Value {
    let click = t.click().await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    t.only_delivery(postback).await
}

const HUGE: usize = 64 << 20;

fn kept_in_part(delivery: &Value, first: char) {
    assert_eq!(delivery["status"], "success", "{delivery}");
    let attempt = &attempts(delivery)[0];
    assert_eq!(attempt["truncated"], true);
    let body = text(attempt, "response_body");
    assert_eq!(body.len(), 16 << 10);
    assert!(body.chars().all(|c| c == first));
}

async fn a_huge_answer_is_read_in_part(db: Database) {
    let t = TestApp::start(db).await;
    let delivery = one_attempt(&t, Reply::body(200, vec![b'h'; HUGE])).await;
    kept_in_part(&delivery, 'h');
}

async fn a_never_ending_answer_is_read_in_part(db: Database) {
    let t = TestApp::start(db).await;
    let delivery = one_attempt(&t, Reply::NeverEnding).await;
    kept_in_part(&delivery, 'x');
    closed_soon(&t).await;
    // The size of the sockets' buffers, and no more.
    let taken = t.receiver.bytes_taken();
    assert!(taken < 16 << 20, "{taken} bytes were taken");
}

async fn a_gzip_bomb_does_not_go_off(db: Database) {
    let t = TestApp::start(db).await;
    let delivery = one_attempt(&t, Reply::gzip_bomb(4 * HUGE)).await;
    assert_eq!(delivery["status"], "success", "{delivery}");
    let attempt = &attempts(&delivery)[0];
    assert_eq!(attempt["truncated"], true);
    let kept = attempt["response_body"].as_str().unwrap_or_default();
    assert!(kept.len() <= 6 * (16 << 10), "{} bytes are kept", kept.len());
    // A decompressed answer is read like any other.
    let gzip = {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all("thänks".as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let delivery = one_attempt(&t, Reply::body(200, gzip).header("Content-Encoding", "gzip")).await;
    assert_eq!(attempts(&delivery)[0]["response_body"], "thänks");
}

async fn an_answer_that_is_not_http_is_retried(db: Database) {
    let t = impatient(db).await;
    let mut postbacks = Vec::new();
    for raw in [
        Raw::Close,
        Raw::Send(b"SSH-2.0-OpenSSH_9.2\r\n"),
        Raw::Send(b"HTTP/1.1 999999 What\r\n\r\n"),
        Raw::Send(b"\x16\x03\x01\x00\x00garbage\x00\xff\xfe"),
    ] {
        let server = RawReceiver::start(raw).await;
        postbacks.push((raw, saved_to(&t, &server).await, server));
    }

    let click = t.click().await;
    t.conversion(&click).send().await;
    t.deliver_all().await;

    for (raw, postback, _server) in &postbacks {
        let delivery = t.only_delivery(postback).await;
        assert_eq!(delivery["status"], "pending", "{raw:?}: {delivery}");
        let attempt = &attempts(&delivery)[0];
        assert_eq!(attempt["outcome"], "retry", "{raw:?}: {attempt}");
        assert!(text(attempt, "error").len() > 20, "{raw:?}: a sentence: {attempt}");
    }
}

/// The destination has counted the sale: a repetition would count it again. Only a configuration that judges by the body
/// needs the body.
async fn a_2xx_counts_although_its_body_is_cut_off(db: Database) {
    let t = impatient(db).await;
    let mut postbacks = Vec::new();
    for raw in [
        Raw::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        Raw::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ] {
        for (judges, wanted) in [(false, "success"), (true, "pending")] {
            let server = RawReceiver::start(raw).await;
            let mut config = json!({"base_url": server.url("/raw"), "parameters": []});
            if judges {
                config["success"] = json!({"text": "OK"});
            }
            postbacks.push((raw, wanted, t.postback("/raw").set("config", config).save().await, server));
        }
    }
    let click = t.click().await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    for (raw, wanted, postback, _server) in &postbacks {
        let delivery = t.only_delivery(postback).await;
        assert_eq!(delivery["status"], *wanted, "{raw:?}: {delivery}");
        let attempt = &attempts(&delivery)[0];
        assert_eq!((&attempt["http_status"], &attempt["truncated"]), (&json!(200), &json!(true)), "{attempt}");
    }
}

async fn an_answer_that_is_not_text_is_logged_too(db: Database) {
    let t = TestApp::start(db).await;
    for body in [&b"nul \x00 byte"[..], b"\xff\xfe\xfd", b"\xe2\x82", b"\x1b[31mred"] {
        let delivery = one_attempt(&t, Reply::body(200, body)).await;
        assert_eq!(delivery["status"], "success", "{body:?}: {delivery}");
        assert!(attempts(&delivery)[0]["response_body"].is_string(), "{body:?}: {delivery}");
    }
    // The stored part may end within a character.
    let delivery = one_attempt(&t, Reply::body(200, "€".repeat(10_000))).await;
    let kept = text(&attempts(&delivery)[0], "response_body");
    assert!(kept.trim_end_matches('\u{fffd}').chars().all(|c| c == '€'), "cut between characters");
}

async fn a_closed_port_is_retried(db: Database) {
    let t = TestApp::start(db).await;
    let mut server = RawReceiver::start(Raw::Close).await;
    let postback = saved_to(&t, &server).await;
    server.close().await;
    let delivery = fired(&t, &postback).await;
    assert_eq!(delivery["status"], "pending", "{delivery}");
    let attempt = &attempts(&delivery)[0];
    assert_eq!((&attempt["outcome"], &attempt["http_status"]), (&json!("retry"), &Value::Null));
    assert!(text(attempt, "error").contains("127.0.0.1"), "{attempt}");
}

async fn a_redirect_is_not_followed(db: Database) {
    let t = TestApp::start(db).await;
    for status in [301, 302, 303, 307, 308] {
        let reply = Reply::status(status).header("Location", t.receiver.url("/elsewhere"));
        let delivery = one_attempt(&t, reply).await;
        assert_eq!(delivery["status"], "failed", "{status}: {delivery}");
        assert!(t.receiver.requests("/elsewhere").is_empty(), "{status}");
    }
}

async fn a_failed_delivery_can_be_retried_by_hand(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").save().await;
    t.receiver.always("/p", Reply::status(404));
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let failed = t.only_delivery(&postback).await;
    assert_eq!(failed["status"], "failed");
    let retry = format!("/api/v1/deliveries/{}/retry", text(&failed, "id"));

    // Still failing, now with a temporary error: the schedule starts from the beginning.
    t.receiver.always("/p", Reply::status(503));
    let answer = t.admin.post(&retry, &json!({})).await.expect(202);
    assert_eq!(answer["status"], "pending");
    let numbers: Vec<_> = attempts(&answer).iter().map(|it| it["number"].as_u64()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "each attempt once: {answer}");
    t.deliver_all().await;
    let again = t.only_delivery(&postback).await;
    assert_eq!((&again["status"], attempts(&again).len()), (&json!("pending"), 2));
    assert_eq!(due_in(&t, &again), 5);

    t.receiver.always("/p", Reply::status(200));
    t.advance(Duration::from_secs(6));
    t.deliver_all().await;
    let done = t.only_delivery(&postback).await;
    assert_eq!(done["status"], "success");
    let statuses: Vec<_> = attempts(&done).iter().map(|attempt| attempt["http_status"].clone()).collect();
    assert_eq!(statuses, [404, 503, 200], "the log keeps all of them");
    let urls: std::collections::HashSet<_> = attempts(&done).iter().map(|a| text(a, "url")).collect();
    assert_eq!(urls.len(), 1, "the same URL again");
}

async fn only_failed_deliveries_can_be_retried(db: Database) {
    let t = TestApp::start(db).await;
    let retry = async |delivery: &Value| {
        let path = format!("/api/v1/deliveries/{}/retry", text(delivery, "id"));
        t.admin.post(&path, &json!({})).await
    };
    let success = one_attempt(&t, Reply::status(200)).await;
    retry(&success).await.expect_problem(409, "delivery_not_retryable");
    t.deliver_all().await;
    assert_eq!(t.receiver.all_requests().iter().filter(|r| r.query.contains("transaction=order")).count(), 1);

    // A delivery that waits for a place is simply due now.
    let waiting = one_attempt(&t, Reply::status(503)).await;
    assert_eq!(due_in(&t, &retry(&waiting).await.expect(202)), 0);
    t.deliver_all().await;
    let path = format!("/api/v1/deliveries/{}", text(&waiting, "id"));
    assert_eq!(attempts(&t.admin.get(&path).await.expect(200)).len(), 2);

    let nothing = t.admin.post("/api/v1/deliveries/dlv_00000000000000000000000000/retry", &json!({})).await;
    nothing.expect_problem(404, "not_found");
}

async fn a_newer_state_supersedes_an_older_one(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").firing("any").save().await;
    t.receiver.always("/p", Reply::status(503));
    let id = t.conversion(&click).send().await;
    t.tick();
    let other = t.conversion(&click).send().await;
    t.deliver_all().await;

    t.tick();
    t.receiver.always("/p", Reply::status(200));
    t.receiver.forget("/p");
    t.reject(&id, "fraud").await.expect(200);
    t.deliver_all().await;
    t.advance(Duration::from_secs(3600));
    t.deliver_all().await;

    let sent: Vec<_> = t
        .receiver
        .requests("/p")
        .iter()
        .map(|request| (request.parameter("transaction"), request.parameter("status")))
        .collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0].1, "rejected", "the truth first, and nothing undoes it: {sent:?}");
    assert_eq!(sent[1].1, "approved", "another conversion's retry is its own: {sent:?}");
    let states: Vec<_> = t
        .deliveries(&postback)
        .await
        .iter()
        .map(|delivery| (delivery["conversion_id"] == json!(other), delivery["status"].clone()))
        .collect();
    assert_eq!(states, [(false, json!("superseded")), (true, json!("success")), (false, json!("success"))]);
    let superseded = &t.deliveries(&postback).await[0];
    assert!(text(superseded, "reason").len() > 20, "{superseded}");
}

async fn ordering_all_delivers_every_state(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").firing("any").set("ordering", json!("all")).save().await;
    t.receiver.always("/p", Reply::status(503));
    let id = t.conversion(&click).send().await;
    t.deliver_all().await;
    t.reject(&id, "fraud").await.expect(200);
    t.deliver_all().await;

    t.receiver.always("/p", Reply::status(200));
    t.receiver.forget("/p");
    t.advance(Duration::from_secs(60));
    t.deliver_all().await;
    t.advance(Duration::from_secs(60));
    t.deliver_all().await;

    let sent: Vec<_> = t.receiver.requests("/p").iter().map(|request| request.parameter("status")).collect();
    assert_eq!(sent, ["approved", "rejected"], "every state, in its order");
    for delivery in t.deliveries(&postback).await {
        assert_eq!(delivery["status"], "success", "{delivery}");
    }
}

async fn a_slow_destination_does_not_hold_up_others(db: Database) {
    // On a busy machine the requests must not time out: the destination would be paused.
    let t = TestApp::start_with(db, |settings| {
        (settings.request_timeout_ms, settings.lease_secs) = (120_000, 300);
    })
    .await;
    let click = t.click().await;
    t.postback("/slow").save().await;
    t.postback("/fast").save().await;
    t.receiver.always("/slow", Reply::Held);
    for _ in 0..50 {
        t.conversion(&click).send().await;
    }

    // All fifty have arrived there while none is answered here.
    t.receiver.wait_for("/fast", 50).await;
    t.receiver.wait_for("/slow", 1).await;
    t.receiver.release();
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/slow").len(), 50);
}

async fn a_postback_is_saved_only_when_its_test_was_accepted(db: Database) {
    let t = TestApp::start(db).await;
    for status in [302, 400, 404, 429, 500] {
        t.receiver.always("/p", Reply::body(status, "no such campaign"));
        let answer = t.postback("/p").try_save().await;
        let problem = answer.expect_problem(422, "verification_failed");
        assert_eq!(problem["verification"]["http_status"], status);
        assert_eq!(problem["verification"]["body"], "no such campaign");
        assert!(text(&problem["verification"], "url").starts_with(&t.receiver.url("/p")));
    }
    assert_eq!(t.receiver.requests("/p").len(), 5, "one request each, no retry");
    assert_eq!(t.database.count("postbacks").await, 0);

    t.receiver.always("/p", Reply::status(201));
    t.receiver.forget("/p");
    let saved = t.postback("/p").try_save().await.expect(201);
    assert_eq!(saved["verified_at"], "2026-03-10T12:00:00.000Z");
    let test = t.receiver.only_request("/p");
    for name in ["click", "transaction", "status", "payout"] {
        assert_ne!(test.parameter(name), "", "sample values, not empty ones");
    }
    // A test is not a delivery.
    assert!(t.deliveries(&text(&saved, "id")).await.is_empty());
}
