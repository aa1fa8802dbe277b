//! Signing in: the messages to each person, the limits on attempts, and the lifetime of sessions.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, token_in};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_session_begins_and_ends,
    a_session_id_from_before_the_sign_in_is_invalid,
    sessions_end_idle_old_or_revoked,
    no_answer_reveals_whether_an_address_is_known,
    the_work_done_does_not_reveal_it_either,
    a_known_browser_is_not_locked_out_by_strangers,
    a_known_browser_gets_no_more_guesses_than_others,
    a_link_from_the_mailbox_makes_a_browser_known,
    guessing_at_an_account_is_throttled_and_a_restart_does_not_help,
    simultaneous_guesses_all_count,
    guessing_at_many_accounts_is_throttled_by_address,
    behind_an_unlisted_proxy_nobody_locks_out_everybody,
    behind_an_unlisted_proxy_that_names_no_visitors_the_account_is_counted,
    a_cookie_is_not_enough_for_a_change_from_elsewhere,
    registration_is_open_or_closed_or_by_approval,
    a_password_is_reset_by_mail,
    a_changed_password_signs_out_elsewhere,
    an_address_is_changed_when_the_new_one_confirms,
);

async fn a_session_begins_and_ends(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let answer = t.sign_in(&person.email, PASSWORD).await;
    let me = answer.expect(200);
    assert_eq!(me["role"], "support");
    assert_eq!(me["permissions"], json!(["read_program", "read_money", "read_reports", "read_buyers"]));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"), "{set}");
    let secret = answer.cookie().split_once('=').unwrap().1.to_owned();
    assert_eq!(secret.len(), 64, "256 bits");
    assert!(!t.database.contains("sessions", &secret).await, "only a hash is kept");

    let client = t.anonymous().with_session_of(&answer);
    client.get("/api/v1/offers").await.expect(200);
    client.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
}

async fn a_session_id_from_before_the_sign_in_is_invalid(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    // Neither a forged session id nor a live one is kept.
    let login = async |cookie: &str| {
        let request = t.anonymous().request(Method::POST, "/api/v1/auth/login");
        let body = json!({"email": person.email, "password": PASSWORD});
        let request = request.header("cookie", cookie).header("sec-fetch-site", "same-origin").json(&body);
        t.admin.send(request).await
    };
    let chosen = format!("postrider_session={}", "ab".repeat(32));
    let first = login(&chosen).await;
    assert_ne!(first.cookie(), chosen);
    let request = t.anonymous().request(Method::GET, "/api/v1/offers").header("cookie", &chosen);
    t.admin.send(request).await.expect_problem(401, "unauthorized");
    let second = login(&first.cookie()).await;
    assert_ne!(second.cookie(), first.cookie());
    t.anonymous().with_session_of(&first).get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    t.anonymous().with_session_of(&second).get("/api/v1/offers").await.expect(200);
}

async fn sessions_end_idle_old_or_revoked(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let other = t.signed_in(&person.email, PASSWORD).await;
    let sessions = other.list("/api/v1/auth/sessions").await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.iter().filter(|it| it["current"] == true).count(), 1);
    let first = sessions.iter().find(|it| it["current"] == false).unwrap();
    let path = format!("/api/v1/auth/sessions/{}", text(first, "id"));
    // Sessions of another person do not exist.
    let stranger = t.person("support").await;
    stranger.client.delete(&path).await.expect_problem(404, "not_found");
    other.delete(&path).await.expect(204);
    person.client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    other.get("/api/v1/offers").await.expect(200);

    // With use every eleven hours it lasts for a week.
    for _ in 0..15 {
        t.advance(Duration::from_secs(11 * 3_600));
        other.get("/api/v1/offers").await.expect(200);
        let seen = t.clock.now().to_string();
        postrider_tests::wait::eventually("the use to be noted", async || {
            let list = other.list("/api/v1/auth/sessions").await;
            (list[0]["last_seen_at"] == seen.as_str()).then_some(())
        })
        .await;
    }
    t.advance(Duration::from_secs(4 * 3_600));
    other.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    // Without use, for half a day.
    let idle = t.signed_in(&person.email, PASSWORD).await;
    t.advance(Duration::from_secs(12 * 3_600));
    idle.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
}

async fn no_answer_reveals_whether_an_address_is_known(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.registration = engine::config::Registration::Open).await;
    let person = t.person("support").await;
    let wrong = t.sign_in(&person.email, "not the password").await;
    let unknown = t.sign_in("nobody@example.com", "not the password").await;
    wrong.expect_problem(401, "sign_in_failed");
    assert_eq!(wrong.text, unknown.text);

    for path in ["/api/v1/auth/register", "/api/v1/auth/reset"] {
        let ask = async |email: &str| {
            let mut body = json!({"email": email});
            if path.ends_with("register") {
                body["name"] = json!("Eve");
            }
            t.anonymous().post(path, &body).await
        };
        let (known, unknown) = (ask(&person.email).await, ask("nobody@example.com").await);
        known.expect(202);
        assert_eq!(known.text, unknown.text, "{path}");
        assert_eq!(known.status, unknown.status, "{path}");
    }
    // The mailbox gets a message, and no other.
    t.mail_to(&person.email, "You have an account already").await;
    t.mail_to(&person.email, "Choose a new password").await;
    t.mail_to("nobody@example.com", "Confirm your address").await;
    assert_eq!(t.mails_to("nobody@example.com").len(), 1);
}

/// Hashing takes most of the time. The test counts hashes, because the time would depend on the machine.
async fn the_work_done_does_not_reveal_it_either(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.registration = engine::config::Registration::Open).await;
    let (person, disabled) = (t.person("support").await, t.person("support").await);
    let path = format!("/api/v1/users/{}", disabled.id);
    t.admin.patch(&path, &json!({"status": "disabled"})).await.expect(200);
    let invited = json!({"email": "invited@example.com", "name": "Grace", "role": "support"});
    t.admin.post("/api/v1/users", &invited).await.expect(201);
    let hashes = || t.app().passwords.runs();
    let long = "x".repeat(5_000);
    for email in [person.email.as_str(), "nobody@example.com", &disabled.email, "invited@example.com", "no address"] {
        for password in ["not the password", "", &long] {
            let before = hashes();
            t.sign_in(email, password).await.expect_problem(401, "sign_in_failed");
            assert_eq!(hashes() - before, 1, "{email} with {} characters", password.len());
        }
    }
    // A request for a message stores only this request before the answer.
    for path in ["/api/v1/auth/register", "/api/v1/auth/reset"] {
        for email in [person.email.as_str(), "nobody@example.com", &disabled.email] {
            let before = hashes();
            let mut body = json!({"email": email});
            if path.ends_with("register") {
                body["name"] = json!("Eve");
            }
            let answer = t.anonymous().post(path, &body).await;
            assert_eq!((answer.status, hashes() - before), (202, 0), "{path} {email}");
            let headers: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
            assert!(!headers.iter().any(|name| name == "set-cookie"), "{headers:?}");
        }
    }
}

/// The cookie that identifies a known browser.
fn device_of(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let set = set.filter(|value| value.starts_with("postrider_device=")).collect::<Vec<_>>();
    let [set] = set.as_slice() else { panic!("one cookie of the device: {set:?}") };
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Max-Age=34560000"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

async fn sign_in_with(t: &TestApp, device: &str, email: &str, password: &str) -> Answer {
    let request = t.anonymous().request(Method::POST, "/api/v1/auth/login").header("cookie", device);
    t.admin.send(request.json(&json!({"email": email, "password": password}))).await
}

async fn a_known_browser_is_not_locked_out_by_strangers(db: Database) {
    let t = TestApp::start(db).await;
    let (person, other) = (t.person("owner").await, t.person("owner").await);
    let known = device_of(&t.sign_in(&person.email, PASSWORD).await);
    // The cookie alone gives no access.
    let request = t.anonymous().request(Method::GET, "/api/v1/offers").header("cookie", &known);
    t.admin.send(request).await.expect_problem(401, "unauthorized");
    // A stranger guesses, from the same network too, until both have to wait for long.
    for _ in 0..14 {
        t.sign_in(&person.email, "not the password").await;
        t.advance(Duration::from_secs(900));
    }
    for n in 0..40 {
        t.sign_in(&format!("victim-{n}@example.com"), "not the password").await;
    }
    t.sign_in(&person.email, "not the password").await;
    t.sign_in(&person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    let entered = sign_in_with(&t, &known, &person.email.to_uppercase(), PASSWORD).await;
    entered.expect(200);
    assert_eq!(device_of(&entered), known, "it stays the same browser");
    // The owner's sign-in does not help the stranger.
    t.sign_in(&person.email, "not the password").await.expect_problem(429, "too_many_attempts");
    // Another account's cookie and a forged one do not count.
    for _ in 0..5 {
        sign_in_with(&t, &known, &other.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    sign_in_with(&t, &known, &other.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    let (nonce, signature) = known.split_at(known.len() - 64);
    let forged = format!("{nonce}{}", signature.chars().rev().collect::<String>());
    for wrong in [forged.as_str(), "postrider_device=", "postrider_device=x", nonce] {
        sign_in_with(&t, wrong, &person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    }
}

async fn a_known_browser_gets_no_more_guesses_than_others(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let known = device_of(&t.sign_in(&person.email, PASSWORD).await);
    for _ in 0..5 {
        let guess = sign_in_with(&t, &known, &person.email, "not the password").await;
        guess.expect_problem(401, "sign_in_failed");
    }
    sign_in_with(&t, &known, &person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    t.sign_in(&person.email, PASSWORD).await.expect(200);
}

async fn a_link_from_the_mailbox_makes_a_browser_known(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    for _ in 0..5 {
        t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    t.sign_in(&person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    t.anonymous().post("/api/v1/auth/reset", &json!({"email": person.email})).await.expect(202);
    let token = token_in(&t.mail_to(&person.email, "Choose a new password").await);
    let set = t.set_password(&token, "another good password").await;
    sign_in_with(&t, &device_of(&set), &person.email, "another good password").await.expect(200);
}

async fn guessing_at_an_account_is_throttled_and_a_restart_does_not_help(db: Database) {
    let mut t = TestApp::start(db).await;
    let person = t.person("support").await;
    for _ in 0..5 {
        t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    let refused = t.sign_in(&person.email, PASSWORD).await;
    refused.expect_problem(429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), Some("2"));
    t.restart_with(|_| {}).await;
    t.sign_in(&person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    // Another account is not affected.
    let other = t.person("support").await;
    t.sign_in(&other.email, PASSWORD).await.expect(200);
    // The owner of the account gets in again, and the count is reset.
    t.advance(Duration::from_secs(2));
    t.sign_in(&person.email, PASSWORD).await.expect(200);
    for _ in 0..5 {
        t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    t.advance(Duration::from_secs(2));
    t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    let refused = t.sign_in(&person.email, PASSWORD).await;
    assert_eq!(refused.header("retry-after"), Some("4"), "each wait is twice the one before");
}

async fn simultaneous_guesses_all_count(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let guesses = (0..20).map(|_| t.sign_in(&person.email, "not the password"));
    let answers = futures::future::join_all(guesses).await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(tried, 5, "the others had to wait");
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 15);
}

/// From a public address, with or without a listed proxy, depending on the settings.
async fn sign_in_from(t: &TestApp, address: &str, email: &str, password: &str) -> Answer {
    let request = t.anonymous().request(Method::POST, "/api/v1/auth/login").header("x-forwarded-for", address);
    t.admin.send(request.json(&json!({"email": email, "password": password}))).await
}

async fn behind_an_unlisted_proxy_that_names_no_visitors_the_account_is_counted(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("owner").await;
    for n in 0..120 {
        let answer = t.sign_in(&format!("victim-{n}@example.com"), "not the password").await;
        answer.expect_problem(401, "sign_in_failed");
    }
    t.sign_in(&person.email, PASSWORD).await.expect(200);
    let noticed = t.admin.get("/api/v1/warnings").await.expect(200)["items"].clone();
    assert_eq!((&noticed[0]["code"], &noticed[0]["times"]), (&json!("unlisted_proxy"), &json!(117)), "{noticed}");
    assert!(text(&noticed[0], "message").contains("127.0.0.1"), "{noticed}");
    // The account itself is still protected.
    for _ in 0..5 {
        t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    t.sign_in(&person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
}

async fn guessing_at_many_accounts_is_throttled_by_address(db: Database) {
    let trusted = vec!["127.0.0.1/32".parse().unwrap()];
    let t = TestApp::start_with(db, |settings| settings.trusted_proxies = trusted).await;
    let person = t.person("support").await;
    let sign_in = async |email: &str, password: &str| sign_in_from(&t, "198.51.100.1", email, password).await;
    let mut tried = 0;
    for n in 0..40 {
        let answer = sign_in(&format!("victim-{n}@example.com"), "not the password").await;
        if answer.status == 429 {
            break;
        }
        tried += 1;
    }
    assert!((25..=31).contains(&tried), "{tried}");
    sign_in(&person.email, PASSWORD).await.expect_problem(429, "too_many_attempts");
    t.advance(Duration::from_secs(2));
    sign_in(&person.email, PASSWORD).await.expect(200);
    // A sign-in to the own account does not permit more guesses.
    sign_in("victim-99@example.com", "not the password").await.expect_problem(401, "sign_in_failed");
    sign_in("victim-98@example.com", "not the password").await.expect_problem(429, "too_many_attempts");
    sign_in_from(&t, "198.51.100.2", &person.email, PASSWORD).await.expect(200);
}

async fn behind_an_unlisted_proxy_nobody_locks_out_everybody(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("owner").await;
    let warnings = async || t.admin.get("/api/v1/warnings").await.expect(200)["items"].clone();
    assert_eq!(warnings().await, json!([]));
    let sign_in = async |forwarded: (&str, &str), email: &str, password: &str| {
        let request = t.anonymous().request(Method::POST, "/api/v1/auth/login").header(forwarded.0, forwarded.1);
        let body = json!({"email": email, "password": password});
        t.admin.send(request.header("sec-fetch-site", "same-origin").json(&body)).await
    };
    let stranger = ("x-forwarded-for", "192.0.2.66, 198.51.100.1");
    for n in 0..40 {
        let answer = sign_in(stranger, &format!("victim-{n}@example.com"), "not the password").await;
        answer.expect_problem(401, "sign_in_failed");
    }
    for other in [("x-forwarded-for", "198.51.100.2"), ("forwarded", "for=198.51.100.2"), stranger] {
        sign_in(other, &person.email, PASSWORD).await.expect(200);
    }

    // One address named by the proxy counts as one, whatever addresses were claimed before it.
    for n in 40..100 {
        let claimed = format!("192.0.2.{n}, 198.51.100.1");
        sign_in(("x-forwarded-for", &claimed), &format!("victim-{n}@example.com"), "not the password").await;
    }
    sign_in(stranger, "victim-100@example.com", "not the password").await.expect_problem(429, "too_many_attempts");
    sign_in(("x-forwarded-for", "198.51.100.2"), &person.email, PASSWORD).await.expect(200);
    // And an account has one count.
    for _ in 0..5 {
        sign_in(("x-forwarded-for", "198.51.100.3"), "one@example.com", "not the password").await;
    }
    let guessed = sign_in(("x-forwarded-for", "198.51.100.4"), "one@example.com", "not the password").await;
    guessed.expect_problem(429, "too_many_attempts");

    let noticed = warnings().await;
    assert_eq!(noticed.as_array().unwrap().len(), 1, "{noticed}");
    assert_eq!(noticed[0]["code"], "unlisted_proxy");
    assert!(text(&noticed[0], "message").contains("127.0.0.1"), "{noticed}");
    let page = person.client.get("/").await;
    assert!(page.text.contains("TRUSTED_PROXIES"), "{}", page.text);
    t.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(warnings().await, json!([]), "nobody speaks of what did not happen for a day");
}

async fn a_cookie_is_not_enough_for_a_change_from_elsewhere(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let cookie = person.client.cookie().to_owned();
    let send = async |headers: &[(&str, &str)]| {
        let body = json!({"name": "A", "email": "a@example.com"});
        let mut request = t.anonymous().request(Method::POST, "/api/v1/affiliates").header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        t.admin.send(request.json(&body)).await
    };
    for elsewhere in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "https://evil.example"), ("referer", "http://127.0.0.1/")],
    ] {
        send(elsewhere).await.expect_problem(403, "cross_site");
    }
    assert_eq!(t.database.count("affiliates").await, 0);
    send(&[("sec-fetch-site", "same-origin")]).await.expect(201);
    let ours = format!("http://{}", t.address());
    send(&[("origin", &ours)]).await.expect(201);
    // Reads are not changes, and a page of another site cannot read the answer.
    let read = t.anonymous().request(Method::GET, "/api/v1/offers").header("cookie", &cookie);
    t.admin.send(read).await.expect(200);
    // Nor can another site sign in anybody.
    let login = t.anonymous().request(Method::POST, "/api/v1/auth/login").header("origin", "https://evil.example");
    let login = login.json(&json!({"email": person.email, "password": PASSWORD}));
    t.admin.send(login).await.expect_problem(403, "cross_site");
}

async fn registration_is_open_or_closed_or_by_approval(db: Database) {
    use engine::config::Registration;
    let mut t = TestApp::start(db).await;
    let body = json!({"name": "Ada", "email": "Ada@example.com"});
    t.anonymous().post("/api/v1/auth/register", &body).await.expect_problem(403, "registration_closed");

    t.restart_with(|settings| settings.registration = Registration::Open).await;
    t.anonymous().post("/api/v1/auth/register", &body).await.expect(202);
    let token = token_in(&t.mail_to("ada@example.com", "Confirm your address").await);
    assert_eq!(t.database.count("users").await, 0, "there is no account before the address is confirmed");
    let set = t.set_password(&token, PASSWORD).await.expect(200);
    assert_eq!(set["status"], "active");
    let ada = t.signed_in("ada@example.com", PASSWORD).await;
    let me = ada.get("/api/v1/auth/me").await.expect(200);
    let own = ada.list("/api/v1/affiliates").await;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["id"], me["affiliate_id"]);
    assert!(text(&own[0], "referral_code").starts_with("AF"));

    t.restart_with(|settings| settings.registration = Registration::Approval).await;
    let body = json!({"name": "Bob", "email": "bob@example.com"});
    t.anonymous().post("/api/v1/auth/register", &body).await.expect(202);
    let token = token_in(&t.mail_to("bob@example.com", "Confirm your address").await);
    assert_eq!(t.set_password(&token, PASSWORD).await.expect(200)["status"], "waiting");
    t.sign_in("bob@example.com", PASSWORD).await.expect_problem(403, "waiting_for_approval");
    let waiting = t.admin.list("/api/v1/users?status=waiting").await;
    assert_eq!(waiting.len(), 1);
    let path = format!("/api/v1/users/{}/approve", text(&waiting[0], "id"));
    let approved = t.admin.post(&path, &json!({})).await.expect(200);
    assert_eq!(t.admin.post(&path, &json!({})).await.expect(200), approved, "approving twice changes nothing");
    t.mail_to("bob@example.com", "Your registration was approved").await;
    t.signed_in("bob@example.com", PASSWORD).await;
    assert_eq!(t.database.count("affiliates").await, 2);
}

async fn a_password_is_reset_by_mail(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let body = json!({"email": person.email});
    t.anonymous().post("/api/v1/auth/reset", &body).await.expect(202);
    let token = token_in(&t.mail_to(&person.email, "Choose a new password").await);
    t.set_password(&token, "another good password").await.expect(200);
    t.set_password(&token, "a third good password").await.expect_problem(410, "link_used");
    person.client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    t.sign_in(&person.email, PASSWORD).await.expect_problem(401, "sign_in_failed");
    t.sign_in(&person.email, "another good password").await.expect(200);
    t.mail_to(&person.email, "Your password was changed").await;
    // An hour later the link has expired.
    t.advance(Duration::from_secs(3_600));
    t.anonymous().post("/api/v1/auth/reset", &body).await.expect(202);
    let token = postrider_tests::wait::eventually("another message", async || {
        let mails = t.mails_to(&person.email);
        mails
            .iter()
            .filter(|it| it.contains("Subject: Choose a new password"))
            .map(|it| token_in(it))
            .find(|it| *it != token)
    })
    .await;
    t.advance(Duration::from_secs(3_600));
    t.set_password(&token, "a third good password").await.expect_problem(410, "link_used");
}

async fn a_changed_password_signs_out_elsewhere(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let elsewhere = t.signed_in(&person.email, PASSWORD).await;
    let change = |current: &str, new: &str| json!({"current": current, "new": new});
    let path = "/api/v1/auth/password";
    person.client.post(path, &change("wrong", "another good password")).await.expect_problem(422, "wrong_password");
    person.client.post(path, &change(PASSWORD, "aaaaaaaaaaaa")).await.expect_problem(422, "weak_password");
    person.client.post(path, &change(PASSWORD, "another good password")).await.expect(204);
    person.client.get("/api/v1/offers").await.expect(200);
    elsewhere.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    t.sign_in(&person.email, "another good password").await.expect(200);
}

async fn an_address_is_changed_when_the_new_one_confirms(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let body = json!({"email": "New@example.com", "password": PASSWORD});
    person.client.post("/api/v1/auth/email", &body).await.expect(202);
    let token = token_in(&t.mail_to("new@example.com", "Confirm your new address").await);
    t.sign_in("new@example.com", PASSWORD).await.expect_problem(401, "sign_in_failed");
    let confirm = async |token: &str| t.anonymous().post("/api/v1/auth/confirm-email", &json!({"token": token})).await;
    confirm(&token).await.expect(204);
    confirm(&token).await.expect_problem(410, "link_used");
    t.mail_to(&person.email, "Your address was changed").await;
    t.sign_in(&person.email, PASSWORD).await.expect_problem(401, "sign_in_failed");
    let me: Value = t.sign_in("new@example.com", PASSWORD).await.expect(200);
    assert_eq!(me["email"], "new@example.com");
}
