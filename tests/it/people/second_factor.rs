//! The second factor: codes and recovery codes are valid once, and no operation bypasses them.

use std::time::Duration;

use domain::people::totp;
use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, Person};
use serde_json::json;

on_both_databases!(
    a_code_opens_once,
    a_recovery_code_opens_once,
    codes_cannot_be_guessed,
    it_is_removed_with_both_factors,
    recovery_codes_are_renewed_with_both_factors,
    a_right_password_does_not_help_to_guess_the_code,
    a_new_password_needs_the_code,
    its_changes_are_announced_by_mail,
);

const PATH: &str = "/api/v1/auth/second-factor";

struct App {
    secret: String,
    recovery: Vec<String>,
}

impl App {
    fn code(&self, t: &TestApp) -> String {
        totp::code(&totp::decode(&self.secret).unwrap(), t.clock.now().millis() / 30_000)
    }
}

async fn enrolled(t: &TestApp, person: &Person) -> App {
    person.client.post(PATH, &json!({"password": "wrong"})).await.expect_problem(422, "wrong_password");
    let begun = person.client.post(PATH, &json!({"password": PASSWORD})).await.expect(200);
    assert!(text(&begun, "uri").contains(&text(&begun, "secret")));
    // It is active only after its first code.
    t.sign_in(&person.email, PASSWORD).await.expect(200);
    let mut app = App { secret: text(&begun, "secret"), recovery: Vec::new() };
    let confirm = format!("{PATH}/confirm");
    person.client.post(&confirm, &json!({"code": "000000"})).await.expect_problem(422, "wrong_code");
    let confirmed = person.client.post(&confirm, &json!({"code": app.code(t)})).await.expect(200);
    app.recovery =
        confirmed["recovery_codes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().into()).collect();
    assert!(!t.database.contains("users", &app.secret).await, "it is sealed");
    for code in &app.recovery {
        assert!(!t.database.contains("recovery_codes", code).await, "only hashes are kept");
    }
    app
}

async fn sign_in(t: &TestApp, person: &Person, code: &str) -> Answer {
    let body = json!({"email": person.email, "password": PASSWORD, "code": code});
    t.anonymous().post("/api/v1/auth/login", &body).await
}

async fn a_code_opens_once(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    t.sign_in(&person.email, PASSWORD).await.expect_problem(401, "second_factor_needed");
    // The code that confirmed it is used too.
    sign_in(&t, &person, &app.code(&t)).await.expect_problem(401, "sign_in_failed");
    t.advance(Duration::from_secs(30));
    let code = app.code(&t);
    let both = tokio::join!(sign_in(&t, &person, &code), sign_in(&t, &person, &code));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "{} {}", both.0.text, both.1.text);
    sign_in(&t, &person, &code).await.expect_problem(401, "sign_in_failed");
    t.advance(Duration::from_secs(30));
    // So is the previous code, although it is still valid in time.
    sign_in(&t, &person, &code).await.expect_problem(401, "sign_in_failed");
    sign_in(&t, &person, &app.code(&t)).await.expect(200);
}

async fn a_recovery_code_opens_once(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    assert_eq!(app.recovery.len(), 10);
    sign_in(&t, &person, &app.recovery[0].to_uppercase()).await.expect(200);
    sign_in(&t, &person, &app.recovery[0]).await.expect_problem(401, "sign_in_failed");
    sign_in(&t, &person, &app.recovery[1]).await.expect(200);
    // Codes of another person are invalid.
    let other = t.person("finance").await;
    enrolled(&t, &other).await;
    sign_in(&t, &other, &app.recovery[2]).await.expect_problem(401, "sign_in_failed");
}

async fn codes_cannot_be_guessed(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    t.advance(Duration::from_secs(60));
    let mut refused = 0;
    for n in 0..10 {
        let answer = sign_in(&t, &person, &format!("{n:06}")).await;
        refused += u32::from(answer.status == 429);
    }
    assert!(refused >= 5, "{refused}");
    sign_in(&t, &person, &app.code(&t)).await.expect_problem(429, "too_many_attempts");
}

async fn recovery_codes_are_renewed_with_both_factors(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let path = format!("{PATH}/recovery-codes");
    let renew = async |password: &str, code: &str| {
        person.client.post(&path, &json!({"password": password, "code": code})).await
    };
    renew(PASSWORD, "000000").await.expect_problem(409, "no_second_factor");
    let app = enrolled(&t, &person).await;
    t.advance(Duration::from_secs(30));
    renew("wrong", &app.code(&t)).await.expect_problem(422, "wrong_password");
    renew(PASSWORD, "000000").await.expect_problem(422, "wrong_code");
    // The app is lost: a recovery code works.
    let renewed = renew(PASSWORD, &app.recovery[0]).await.expect(200);
    let codes: Vec<_> = renewed["recovery_codes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| !app.recovery.iter().any(|old| old == code)));
    sign_in(&t, &person, &app.recovery[1]).await.expect_problem(401, "sign_in_failed");
    sign_in(&t, &person, codes[0]).await.expect(200);
    let log = t.admin.list("/api/v1/audit?operation=renew_recovery_codes").await;
    assert!(!json!(log).to_string().contains(codes[1]));
    assert_eq!(log[0]["outcome"], "done");
    let key = person
        .client
        .post("/api/v1/auth/keys", &json!({"name": "mine", "password": PASSWORD, "code": codes[2]}))
        .await
        .expect(201);
    let key = t.admin.with_key(Some(&text(&key, "key")));
    let body = json!({"password": PASSWORD, "code": codes[1]});
    key.post(&path, &body).await.expect_problem(403, "needs_person");
}

async fn a_right_password_does_not_help_to_guess_the_code(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    t.advance(Duration::from_secs(3_600));
    let path = format!("{PATH}/recovery-codes");
    // An operation that needs only the password does not reset the count between two guesses.
    for _ in 0..5 {
        let body = json!({"password": PASSWORD, "code": "000000"});
        person.client.post(&path, &body).await.expect_problem(422, "wrong_code");
        person.client.post(PATH, &json!({"password": PASSWORD})).await.expect_problem(409, "has_second_factor");
    }
    let body = json!({"current": PASSWORD, "new": "another good password"});
    person.client.post("/api/v1/auth/password", &body).await.expect_problem(429, "too_many_attempts");
    let body = json!({"password": PASSWORD, "code": app.code(&t)});
    person.client.post(&path, &body).await.expect_problem(429, "too_many_attempts");
}

async fn a_new_password_needs_the_code(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    let path = "/api/v1/auth/password";
    let change = async |new: &str, code: &str| {
        let body = json!({"current": PASSWORD, "new": new, "code": code});
        person.client.post(path, &body).await
    };
    let body = json!({"current": PASSWORD, "new": "another good password"});
    person.client.post(path, &body).await.expect_problem(401, "second_factor_needed");
    change("another good password", "000000").await.expect_problem(422, "wrong_code");
    // An invalid new password does not use up a code.
    change("aaaaaaaaaaaa", &app.recovery[0]).await.expect_problem(422, "weak_password");
    change("another good password", &app.recovery[0]).await.expect(204);
}

async fn its_changes_are_announced_by_mail(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    t.mail_to(&person.email, "Your second factor is on").await;
    let body = json!({"password": PASSWORD, "code": app.recovery[0]});
    let renewed = person.client.post(&format!("{PATH}/recovery-codes"), &body).await.expect(200);
    t.mail_to(&person.email, "Your recovery codes were renewed").await;
    let body = json!({"password": PASSWORD, "code": renewed["recovery_codes"][0]});
    person.client.send(person.client.request(reqwest::Method::DELETE, PATH).json(&body)).await.expect(204);
    t.mail_to(&person.email, "Your second factor is off").await;
}

async fn it_is_removed_with_both_factors(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let app = enrolled(&t, &person).await;
    t.advance(Duration::from_secs(30));
    person.client.post(PATH, &json!({"password": PASSWORD})).await.expect_problem(409, "has_second_factor");
    let remove = async |password: &str, code: &str| {
        let request = person.client.request(reqwest::Method::DELETE, PATH);
        person.client.send(request.json(&json!({"password": password, "code": code}))).await
    };
    remove("wrong", &app.code(&t)).await.expect_problem(422, "wrong_password");
    remove(PASSWORD, "000000").await.expect_problem(422, "wrong_code");
    remove(PASSWORD, &app.code(&t)).await.expect(204);
    t.sign_in(&person.email, PASSWORD).await.expect(200);
}
