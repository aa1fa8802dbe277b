//! Nobody grants, takes over or changes more permissions than they have, and a stolen session is not sufficient for critical changes.

use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, token_in};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_invitation_gives_no_more_than_the_inviter_has,
    a_role_changes_within_the_callers_own,
    an_affiliates_person_is_invited_through_the_affiliates_mailbox,
    a_key_that_does_more_is_not_revoked,
    a_login_link_needs_its_own_permission,
    a_key_created_by_an_admin_opens_read_only_sessions,
    payout_details_need_the_password,
    a_customer_confirms_payout_details_by_mail,
    a_key_needs_the_password_and_the_code,
    a_new_password_ends_keys_when_asked_to,
    a_changed_address_is_announced_to_the_former_one_which_still_confirms,
);

async fn key(t: &TestApp, role: &str, scopes: Value) -> Client {
    let body = json!({"name": "k", "role": role, "scopes": scopes});
    let key = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    t.admin.with_key(Some(&text(&key, "key")))
}

fn user(email: &str, role: &str) -> Value {
    json!({"email": email, "name": "X", "role": role})
}

async fn put(client: &Client, path: &str, body: &Value) -> Answer {
    client.send(client.request(Method::PUT, path).json(body)).await
}

async fn an_invitation_gives_no_more_than_the_inviter_has(db: Database) {
    let t = TestApp::start(db).await;
    let limited = key(&t, "owner", json!(["manage_users"])).await;
    for role in ["owner", "admin", "finance", "support"] {
        let refused = limited.post("/api/v1/users", &user("x@example.com", role)).await;
        refused.expect_problem(403, "forbidden");
    }
    let admin = key(&t, "admin", Value::Null).await;
    for (role, status) in [("owner", 403), ("finance", 403), ("admin", 201), ("support", 201)] {
        let answer = admin.post("/api/v1/users", &user(&format!("{role}@example.com"), role)).await;
        assert_eq!(answer.status, status, "{role}: {}", answer.text);
    }
    assert_eq!(t.database.count("users").await, 2);
}

async fn a_role_changes_within_the_callers_own(db: Database) {
    let t = TestApp::start(db).await;
    let (admin, finance, support) = (t.person("admin").await, t.person("finance").await, t.person("support").await);
    let path = |id: &str| format!("/api/v1/users/{id}");
    for (target, change) in [
        (&support, json!({"role": "finance"})),
        (&finance, json!({"role": "support"})),
        (&finance, json!({"status": "disabled"})),
        (&finance, json!({"name": "Mallory"})),
        (&admin, json!({"role": "owner"})),
    ] {
        let refused = admin.client.patch(&path(&target.id), &change).await;
        refused.expect_problem(403, "forbidden");
    }
    admin.client.patch(&path(&support.id), &json!({"role": "admin"})).await.expect(200);
    admin.client.patch(&path(&support.id), &json!({"status": "disabled"})).await.expect(200);
    let limited = key(&t, "owner", json!(["manage_users"])).await;
    limited.patch(&path(&admin.id), &json!({"status": "disabled"})).await.expect_problem(403, "forbidden");
}

async fn an_affiliates_person_is_invited_through_the_affiliates_mailbox(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await;
    let body = json!({"name": "Ada", "email": "ada@example.com"});
    let affiliate = text(&t.admin.post("/api/v1/affiliates", &body).await.expect(201), "id");
    let invited = |email: &str| json!({"email": email, "name": "Ada", "role": "affiliate", "affiliate_id": affiliate});
    let refused = admin.client.post("/api/v1/users", &invited("mallory@example.com")).await;
    let refused = refused.expect_problem(403, "forbidden");
    assert!(text(&refused, "detail").contains("request_withdrawals"), "{refused}");
    let user = admin.client.post("/api/v1/users", &invited("Ada@example.com")).await.expect(201);
    assert_eq!(user["invitation_url"], Value::Null, "the link is the affiliate's alone");
    let token = token_in(&t.mail_to("ada@example.com", "You are invited").await);
    t.set_password(&token, PASSWORD).await.expect(200);
    // Affiliates are managed by the program.
    let path = format!("/api/v1/users/{}", text(&user, "id"));
    admin.client.patch(&path, &json!({"status": "disabled"})).await.expect(200);
    // The use of a link is in the log, like the invitation.
    let log = t.admin.list(&format!("/api/v1/audit?object={}", text(&user, "id"))).await;
    let told: Vec<_> = log.iter().map(|it| (text(it, "operation"), text(it, "actor"))).collect();
    let (id, by) = (text(&user, "id"), admin.id.clone());
    assert_eq!(told, [("change_user".into(), by.clone()), ("set_password".into(), id), ("invite_user".into(), by)]);
    assert_eq!(log[1]["fields"], json!({"link": "invitation", "end_keys": false}));
}

async fn a_key_that_does_more_is_not_revoked(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await;
    let made = async |body: Value| text(&t.admin.post("/api/v1/api-keys", &body).await.expect(201), "id");
    let affiliate = t.affiliate().await;
    for (body, status) in [
        (json!({"name": "k", "role": "owner"}), 403),
        (json!({"name": "k", "role": "finance"}), 403),
        (json!({"name": "k", "role": "owner", "scopes": ["read_program"]}), 204),
        (json!({"name": "k", "role": "support"}), 204),
        (json!({"name": "k", "role": "affiliate", "affiliate_id": affiliate.id}), 204),
    ] {
        let path = format!("/api/v1/api-keys/{}", made(body.clone()).await);
        assert_eq!(admin.client.delete(&path).await.status, status, "{body}");
    }
    // A key for an affiliate has the affiliate's permissions, of which an admin has only some.
    let body = |scopes: Value| json!({"name": "k", "role": "affiliate", "affiliate_id": affiliate.id, "scopes": scopes, "password": PASSWORD});
    admin.client.post("/api/v1/api-keys", &body(Value::Null)).await.expect_problem(403, "forbidden");
    admin.client.post("/api/v1/api-keys", &body(json!(["read_reports", "manage_links"]))).await.expect(201);
}

async fn open(t: &TestApp, link: &Value) -> Client {
    let url = url::Url::parse(&text(link, "login_url")).expect("an absolute URL");
    let browser = t.anonymous();
    let pressed = browser.request(Method::POST, url.path()).header("sec-fetch-site", "same-origin");
    browser.with_session_of(&browser.send(pressed).await)
}

async fn customer(t: &TestApp) -> (String, String) {
    let body = json!({"external_id": "u-1", "name": "Ada", "email": "ada@example.com"});
    let made = t.admin.post("/api/v1/customers", &body).await.expect(201);
    (format!("/api/v1/customers/{}/login-link", text(&made, "id")), text(&made, "affiliate_id"))
}

async fn a_login_link_needs_its_own_permission(db: Database) {
    let t = TestApp::start(db).await;
    let (path, affiliate) = customer(&t).await;
    let manages = key(&t, "admin", json!(["manage_affiliates"])).await;
    manages.post(&path, &json!({})).await.expect_problem(403, "forbidden");
    let of_affiliate = format!("/api/v1/affiliates/{affiliate}/login-link");
    manages.post(&of_affiliate, &json!({})).await.expect_problem(403, "forbidden");
    let backend = key(&t, "admin", json!(["open_sessions"])).await;
    for path in [&path, &of_affiliate] {
        let link = backend.post(path, &json!({})).await.expect(201);
        assert_eq!(link["access"], "full");
        let session = open(&t, &link).await;
        let me = session.get("/api/v1/auth/me").await.expect(200);
        assert_eq!((&me["read_only"], &me["read_only_because"]), (&json!(false), &Value::Null));
        let offer = t.offer().await;
        let body = json!({"affiliate_id": affiliate, "offer_id": offer});
        session.post("/api/v1/links", &body).await.expect(201);
    }
}

async fn a_key_created_by_an_admin_opens_read_only_sessions(db: Database) {
    let t = TestApp::start(db).await;
    let (path, _) = customer(&t).await;
    let admin = t.person("admin").await;
    let body = json!({"name": "k", "role": "admin", "password": PASSWORD});
    let made = admin.client.post("/api/v1/api-keys", &body).await.expect(201);
    let made = t.admin.with_key(Some(&text(&made, "key")));
    let link = made.post(&path, &json!({})).await.expect(201);
    assert_eq!(link["access"], "read_only", "an admin may not withdraw, nor may who it vouches for");
    // Nor does a key created with this key.
    let second = made.post("/api/v1/api-keys", &json!({"name": "k", "role": "admin"})).await.expect(201);
    let second = t.admin.with_key(Some(&text(&second, "key")));
    assert_eq!(second.post(&path, &json!({})).await.expect(201)["access"], "read_only");
}

const DETAILS: &str = "/api/v1/payout-details";

fn details(email: &str) -> Value {
    json!({"method": "paypal", "details": {"email": email}})
}

async fn payout_details_need_the_password(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    put(&person.client, DETAILS, &details("me@example.com")).await.expect_problem(403, "password_needed");
    let mut body = details("me@example.com");
    body["password"] = json!("not the password");
    put(&person.client, DETAILS, &body).await.expect_problem(422, "wrong_password");
    assert_eq!(person.client.list(DETAILS).await.len(), 0);
    body["password"] = json!(PASSWORD);
    let saved = put(&person.client, DETAILS, &body).await.expect(200);
    t.mail_to(&person.email, "Your payout details were changed").await;
    let log = json!(t.admin.list("/api/v1/audit?operation=set_payout_details").await).to_string();
    assert!(!log.contains(PASSWORD) && !log.contains("me@example"), "{log}");

    let path = format!("{DETAILS}/{}", text(&saved, "id"));
    person.client.delete(&path).await.expect_problem(403, "password_needed");
    let request = person.client.request(Method::DELETE, &path).json(&json!({"password": PASSWORD}));
    person.client.send(request).await.expect(204);
    // A key is limited by its permissions, and the affiliate gets a message.
    put(&affiliate.client, DETAILS, &details("key@example.com")).await.expect(200);
    let own = t.admin.get(&format!("/api/v1/affiliates/{}", affiliate.id)).await.expect(200);
    t.mail_to(&text(&own, "email"), "Your payout details were changed").await;
}

async fn a_customer_confirms_payout_details_by_mail(db: Database) {
    let t = TestApp::start(db).await;
    let (path, affiliate) = customer(&t).await;
    let session = open(&t, &t.admin.post(&path, &json!({})).await.expect(201)).await;
    put(&session, DETAILS, &json!({"method": "paypal", "details": {}})).await.expect_problem(422, "invalid_details");
    put(&session, DETAILS, &details("payee@example.org")).await.expect(202);
    assert_eq!(session.list(DETAILS).await.len(), 0, "nothing is changed yet");
    let token = token_in(&t.mail_to("ada@example.com", "Confirm your payout details").await);
    assert!(!t.database.contains("tokens", "payee@example.org").await, "they are sealed");

    let browser = t.anonymous();
    let page = browser.get(&format!("/confirm-change/{token}")).await;
    assert!(page.status == 200 && page.text.contains("be paid by"), "{}", page.text);
    assert!(!page.text.contains("payee@example.org"), "masked: {}", page.text);
    assert_eq!(session.list(DETAILS).await.len(), 0, "looking changes nothing");
    let elsewhere = browser.request(Method::POST, &format!("/confirm-change/{token}"));
    assert_eq!(browser.send(elsewhere.header("origin", "https://evil.example").body("")).await.status, 403);
    let pressed = browser.request(Method::POST, &format!("/confirm-change/{token}"));
    let pressed = pressed.header("content-type", "application/x-www-form-urlencoded");
    let done = browser.send(pressed.header("sec-fetch-site", "same-origin").body("")).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let saved = session.list(DETAILS).await;
    assert_eq!((saved.len(), &saved[0]["method"]), (1, &json!("paypal")));
    t.mail_to("ada@example.com", "Your payout details were changed").await;
    let again = json!({"token": token});
    browser.post("/api/v1/auth/confirm-change", &again).await.expect_problem(410, "link_used");
    let log = t.admin.list("/api/v1/audit?operation=confirm_payout_details").await;
    assert_eq!((&log[0]["actor"], &log[0]["object"]), (&json!(affiliate), &saved[0]["id"]));

    // Removing them is confirmed in the same way. Messages of one moment have no order: the last link is the valid one.
    session.delete(&format!("{DETAILS}/{}", text(&saved[0], "id"))).await.expect(202);
    let second = postrider_tests::wait::eventually("the second link", async || {
        let mails = t.mails_to("ada@example.com");
        let links = mails.iter().filter(|it| it.contains("Subject: Confirm your payout details"));
        links.map(|it| token_in(it)).find(|it| *it != token)
    })
    .await;
    browser.post("/api/v1/auth/confirm-change", &json!({"token": second})).await.expect(204);
    assert_eq!(session.list(DETAILS).await.len(), 0);
    // Customers have no keys of their own.
    session.post("/api/v1/auth/keys", &json!({"name": "k"})).await.expect_problem(403, "needs_person");
}

async fn a_key_needs_the_password_and_the_code(db: Database) {
    let t = TestApp::start(db).await;
    let owner = t.person("owner").await;
    for (path, body) in [
        ("/api/v1/auth/keys", json!({"name": "mine"})),
        ("/api/v1/api-keys", json!({"name": "program", "role": "support"})),
    ] {
        owner.client.post(path, &body).await.expect_problem(403, "password_needed");
        let mut wrong = body.clone();
        wrong["password"] = json!("not the password");
        owner.client.post(path, &wrong).await.expect_problem(422, "wrong_password");
        let mut right = body;
        right["password"] = json!(PASSWORD);
        owner.client.post(path, &right).await.expect(201);
    }
    t.mail_to(&owner.email, "A new API key was created").await;
    let begun = owner.client.post("/api/v1/auth/second-factor", &json!({"password": PASSWORD})).await.expect(200);
    let secret = domain::people::totp::decode(&text(&begun, "secret")).expect("base32");
    let code = |step: i64| domain::people::totp::code(&secret, step);
    let step = t.clock.now().millis() / 30_000;
    let confirm = json!({"code": code(step)});
    owner.client.post("/api/v1/auth/second-factor/confirm", &confirm).await.expect(200);
    let mut body = json!({"name": "mine", "password": PASSWORD});
    owner.client.post("/api/v1/auth/keys", &body).await.expect_problem(401, "second_factor_needed");
    body["code"] = json!(code(step));
    owner.client.post("/api/v1/auth/keys", &body).await.expect_problem(422, "wrong_code");
    body["code"] = json!(code(step + 1));
    owner.client.post("/api/v1/auth/keys", &body).await.expect(201);
}

async fn a_new_password_ends_keys_when_asked_to(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let made = async |password: &str| {
        let body = json!({"name": "mine", "password": password});
        let key = person.client.post("/api/v1/auth/keys", &body).await.expect(201);
        t.admin.with_key(Some(&text(&key, "key")))
    };
    let key = made(PASSWORD).await;
    let second = "another good password";
    let body = json!({"current": PASSWORD, "new": second});
    person.client.post("/api/v1/auth/password", &body).await.expect(204);
    key.get("/api/v1/offers").await.expect(200);
    let body = json!({"current": second, "new": PASSWORD, "end_keys": true});
    person.client.post("/api/v1/auth/password", &body).await.expect(204);
    key.get("/api/v1/offers").await.expect_problem(401, "unauthorized");

    // The page for a forgotten password has the same option.
    let key = made(PASSWORD).await;
    t.anonymous().post("/api/v1/auth/reset", &json!({"email": person.email})).await.expect(202);
    let token = token_in(&t.mail_to(&person.email, "Choose a new password").await);
    let path = format!("/set-password/{token}");
    assert!(t.anonymous().get(&path).await.text.contains("name=\"end_keys\""));
    let browser = t.anonymous();
    let form = browser.request(Method::POST, &path).header("sec-fetch-site", "same-origin");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let done = browser.send(form.body("password=one+more+good+password&end_keys=yes")).await;
    assert_eq!(done.status, 303, "{}", done.text);
    key.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
}

async fn a_changed_address_is_announced_to_the_former_one_which_still_confirms(db: Database) {
    let t = TestApp::start(db).await;
    let (_, affiliate) = customer(&t).await;
    let body = json!({"external_id": "u-1", "name": "Ada", "email": "second@example.com"});
    t.admin.post("/api/v1/customers", &body).await.expect(200);
    t.mail_to("ada@example.com", "Your address was changed").await;
    let path = format!("/api/v1/affiliates/{affiliate}");
    t.admin.patch(&path, &json!({"email": "third@example.com"})).await.expect(200);
    t.mail_to("second@example.com", "Your address was changed").await;
    // Permission to change addresses and open sessions does not include changing payout details.
    let link = format!("/api/v1/affiliates/{affiliate}/login-link");
    let session = open(&t, &t.admin.post(&link, &json!({})).await.expect(201)).await;
    put(&session, DETAILS, &details("thief@example.org")).await.expect(202);
    t.mail_to("ada@example.com", "Confirm your payout details").await;
    let admin = key(&t, "admin", Value::Null).await;
    let mut person = user("third@example.com", "affiliate");
    person["affiliate_id"] = json!(affiliate);
    admin.post("/api/v1/users", &person).await.expect_problem(403, "forbidden");

    t.advance(domain::program::affiliate::FORMER_CONFIRMS);
    let session = open(&t, &t.admin.post(&link, &json!({})).await.expect(201)).await;
    put(&session, DETAILS, &details("payee@example.org")).await.expect(202);
    t.mail_to("third@example.com", "Confirm your payout details").await;
}
