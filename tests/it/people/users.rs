//! Users: invitations, roles, disabling, and their own keys.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, token_in};
use postrider_tests::wait::eventually;
use serde_json::json;

on_both_databases!(
    an_invitation_works_once,
    an_invitation_sent_again_replaces_the_former_one,
    an_admin_changes_the_address_of_a_person,
    an_invited_person_is_invited_at_the_new_address,
    an_address_changes_within_the_callers_permissions,
    only_an_owner_makes_owners,
    the_last_owner_stays,
    a_disabled_user_is_signed_out_immediately,
    a_key_never_exceeds_its_person,
    a_key_with_scopes_does_what_they_say,
    nobody_creates_a_key_with_more_permissions_than_their_own,
    a_keys_last_use_is_visible_and_it_expires,
    the_command_line_makes_the_first_owner,
);

async fn an_invitation_works_once(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"email": "Grace@Example.com", "name": "Grace", "role": "finance"});
    let user = t.admin.post_once("/api/v1/users", "k", &body).await.expect(201);
    assert_eq!(user["email"], "grace@example.com");
    assert_eq!(user["status"], "invited");
    let token = token_in(&text(&user, "invitation_url"));
    assert_eq!(token_in(&t.mail_to("grace@example.com", "You are invited").await), token);
    // A repeated answer does not show it again, and the tables never held it.
    let again = t.admin.post_once("/api/v1/users", "k", &body).await.expect(201);
    assert_eq!(again["invitation_url"], json!(null));
    assert!(!t.database.contains("tokens", &token).await && !t.database.contains("idempotency_keys", &token).await);
    t.admin.post("/api/v1/users", &body).await.expect_problem(409, "taken");

    t.set_password(&token, "short").await.expect_problem(422, "weak_password");
    t.set_password(&token, PASSWORD).await.expect(200);
    t.set_password(&token, "another good password").await.expect_problem(410, "link_used");
    t.set_password(&token, "short").await.expect_problem(422, "weak_password");
    let grace = t.signed_in("GRACE@example.com", PASSWORD).await;
    let me = grace.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["role"], "finance");
    assert!(me["permissions"].as_array().unwrap().contains(&json!("pay_withdrawals")));
}

async fn an_invitation_sent_again_replaces_the_former_one(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"email": "grace@example.com", "name": "Grace", "role": "finance"});
    let user = t.admin.post("/api/v1/users", &body).await.expect(201);
    let first = token_in(&text(&user, "invitation_url"));
    assert_eq!(token_in(&t.mail_to("grace@example.com", "You are invited").await), first);
    // The first link expires.
    t.advance(Duration::from_secs(8 * 86_400));
    let path = format!("/api/v1/users/{}/invite", text(&user, "id"));
    let again = t.admin.post_once(&path, "k", &json!({})).await.expect(200);
    assert_eq!((&again["id"], &again["status"]), (&user["id"], &json!("invited")));
    let second = token_in(&text(&again, "invitation_url"));
    let repeated = t.admin.post_once(&path, "k", &json!({})).await.expect(200);
    assert_eq!(repeated["invitation_url"], json!(null), "a repeated answer does not show it again");
    let third = t.admin.post(&path, &json!({})).await.expect(200);
    let third = token_in(&text(&third, "invitation_url"));
    eventually("all messages to arrive", async || {
        let found: Vec<_> = t.mails_to("grace@example.com").iter().map(|it| token_in(it)).collect();
        [&first, &second, &third].iter().all(|it| found.contains(it)).then_some(())
    })
    .await;
    for old in [&first, &second] {
        t.set_password(old, PASSWORD).await.expect_problem(410, "link_used");
    }
    let disabled = format!("/api/v1/users/{}", text(&user, "id"));
    t.admin.patch(&disabled, &json!({"status": "disabled"})).await.expect(200);
    t.admin.post(&path, &json!({})).await.expect_problem(409, "not_invited");
    t.admin.patch(&disabled, &json!({"status": "active"})).await.expect(200);
    let last = t.admin.post(&path, &json!({})).await.expect(200);
    t.set_password(&token_in(&text(&last, "invitation_url")), PASSWORD).await.expect(200);
    let refused = t.admin.post(&path, &json!({})).await.expect_problem(409, "not_invited");
    assert!(text(&refused, "detail").contains("accepted"), "{refused}");
}

async fn an_admin_changes_the_address_of_a_person(db: Database) {
    let t = TestApp::start(db).await;
    let (admin, person, other) = (t.person("admin").await, t.person("support").await, t.person("support").await);
    let key = person.client.post("/api/v1/auth/keys", &json!({"name": "mine", "password": PASSWORD})).await.expect(201);
    t.anonymous().post("/api/v1/auth/reset", &json!({"email": person.email})).await.expect(202);
    let reset = token_in(&t.mail_to(&person.email, "Choose a new password").await);
    let own_change = json!({"email": "own@example.com", "password": PASSWORD});
    person.client.post("/api/v1/auth/email", &own_change).await.expect(202);
    let own_change = token_in(&t.mail_to("own@example.com", "Confirm your new address").await);

    let path = format!("/api/v1/users/{}", person.id);
    let taken = json!({"email": other.email.to_uppercase()});
    admin.client.patch(&path, &taken).await.expect_problem(409, "taken");
    admin.client.patch(&path, &json!({"email": "nonsense"})).await.expect_problem(422, "invalid_field");
    person.client.get("/api/v1/auth/me").await.expect(200);
    let changed = admin.client.patch(&path, &json!({"email": "New@Example.com"})).await.expect(200);
    assert_eq!((&changed["email"], &changed["status"]), (&json!("new@example.com"), &json!("active")));

    t.mail_to(&person.email, "Your address was changed").await;
    person.client.get("/api/v1/auth/me").await.expect_problem(401, "unauthorized");
    t.sign_in(&person.email, PASSWORD).await.expect_problem(401, "sign_in_failed");
    t.set_password(&reset, "another good password").await.expect_problem(410, "link_used");
    let confirm = t.anonymous().post("/api/v1/auth/confirm-email", &json!({"token": own_change})).await;
    confirm.expect_problem(410, "link_used");
    t.admin.with_key(Some(&text(&key, "key"))).get("/api/v1/offers").await.expect(200);
    t.sign_in("new@example.com", PASSWORD).await.expect(200);

    // Another field, and the same address in another case, change nothing about it.
    let session = t.signed_in("new@example.com", PASSWORD).await;
    admin.client.patch(&path, &json!({"email": "NEW@example.com", "name": "Grace H."})).await.expect(200);
    session.get("/api/v1/auth/me").await.expect(200);
}

async fn an_invited_person_is_invited_at_the_new_address(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"email": "typo@example.com", "name": "Grace", "role": "finance"});
    let user = t.admin.post("/api/v1/users", &body).await.expect(201);
    let stale = token_in(&text(&user, "invitation_url"));
    let path = format!("/api/v1/users/{}", text(&user, "id"));
    t.admin.patch(&path, &json!({"email": "grace@example.com"})).await.expect(200);
    let link = token_in(&t.mail_to("grace@example.com", "You are invited").await);
    t.set_password(&stale, PASSWORD).await.expect_problem(410, "link_used");
    t.set_password(&link, PASSWORD).await.expect(200);
    t.sign_in("grace@example.com", PASSWORD).await.expect(200);
    let told: Vec<_> = t.mails_to("typo@example.com");
    assert!(told.iter().all(|it| it.contains("Subject: You are invited")), "a stranger hears no more: {told:?}");
}

async fn an_address_changes_within_the_callers_permissions(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, admin) = (t.person("owner").await, t.person("admin").await);
    let affiliate = t.affiliate().await;
    let ada = t.person_of(&affiliate.id).await;
    let path = |id: &str| format!("/api/v1/users/{id}");
    let email = |address: &str| json!({"email": address});
    for person in [&owner, &ada] {
        let refused = admin.client.patch(&path(&person.id), &email("mallory@example.com")).await;
        refused.expect_problem(403, "forbidden");
    }
    let own = admin.client.patch(&path(&admin.id), &email("mallory@example.com")).await;
    own.expect_problem(422, "invalid_field");
    admin.client.patch(&path(&ada.id), &json!({"name": "Ada"})).await.expect(200);
    // The affiliate's own mailbox gets nothing that it does not have already.
    let mailbox = text(&t.admin.get(&format!("/api/v1/affiliates/{}", affiliate.id)).await.expect(200), "email");
    admin.client.patch(&path(&ada.id), &email(&mailbox)).await.expect(200);
    owner.client.patch(&path(&ada.id), &email("ada@example.com")).await.expect(200);
    let limited = json!({"name": "k", "role": "owner", "scopes": ["manage_users"]});
    let limited = t.admin.post("/api/v1/api-keys", &limited).await.expect(201);
    let limited = t.admin.with_key(Some(&text(&limited, "key")));
    limited.patch(&path(&admin.id), &email("mallory@example.com")).await.expect_problem(403, "forbidden");
}

async fn only_an_owner_makes_owners(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, admin) = (t.person("owner").await, t.person("admin").await);
    let body = json!({"email": "x@example.com", "name": "X", "role": "owner"});
    admin.client.post("/api/v1/users", &body).await.expect_problem(403, "forbidden");
    let path = format!("/api/v1/users/{}", owner.id);
    admin.client.patch(&path, &json!({"status": "disabled"})).await.expect_problem(403, "forbidden");
    let own = format!("/api/v1/users/{}", admin.id);
    admin.client.patch(&own, &json!({"role": "owner"})).await.expect_problem(403, "forbidden");
    owner.client.patch(&own, &json!({"role": "owner"})).await.expect(200);
    let me = admin.client.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["role"], "owner", "at once");
}

async fn the_last_owner_stays(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.person("owner").await, t.person("owner").await);
    let demote = |id: &str| (format!("/api/v1/users/{id}"), json!({"role": "admin"}));
    let (first, second) = (demote(&one.id), demote(&two.id));
    // Both at once: one of them is second.
    let (a, b) = tokio::join!(t.admin.patch(&first.0, &first.1), t.admin.patch(&second.0, &second.1));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", a.text, b.text);
    let last = if a.status == 409 { &one } else { &two };
    let path = format!("/api/v1/users/{}", last.id);
    t.admin.patch(&path, &json!({"status": "disabled"})).await.expect_problem(409, "last_owner");
}

async fn a_disabled_user_is_signed_out_immediately(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let key = person.client.post("/api/v1/auth/keys", &json!({"name": "mine", "password": PASSWORD})).await.expect(201);
    let key = t.admin.with_key(Some(&text(&key, "key")));
    key.get("/api/v1/offers").await.expect(200);

    let path = format!("/api/v1/users/{}", person.id);
    t.admin.patch(&path, &json!({"status": "disabled"})).await.expect(200);
    key.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    person.client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    t.sign_in(&person.email, PASSWORD).await.expect_problem(403, "user_disabled");

    t.admin.patch(&path, &json!({"status": "active"})).await.expect(200);
    key.get("/api/v1/offers").await.expect(200);
    person.client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    t.sign_in(&person.email, PASSWORD).await.expect(200);
}

async fn a_key_never_exceeds_its_person(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let key = person.client.post("/api/v1/auth/keys", &json!({"name": "mine", "password": PASSWORD})).await.expect(201);
    let client = t.admin.with_key(Some(&text(&key, "key")));
    client.get("/api/v1/users").await.expect(200);
    let path = format!("/api/v1/users/{}", person.id);
    t.admin.patch(&path, &json!({"role": "support"})).await.expect(200);
    client.get("/api/v1/users").await.expect_problem(403, "forbidden");
    client.get("/api/v1/offers").await.expect(200);
    // A key cannot create keys or change its account.
    client.post("/api/v1/auth/keys", &json!({"name": "more"})).await.expect_problem(403, "needs_person");
    let body = json!({"current": PASSWORD, "new": "another good password"});
    client.post("/api/v1/auth/password", &body).await.expect_problem(403, "needs_person");
    // Only the person's own keys are listed.
    let other = t.person("admin").await;
    assert_eq!(person.client.list("/api/v1/auth/keys").await.len(), 1);
    assert_eq!(other.client.list("/api/v1/auth/keys").await.len(), 0);
    let path = format!("/api/v1/auth/keys/{}", text(&key, "id"));
    other.client.delete(&path).await.expect_problem(404, "not_found");
    person.client.delete(&path).await.expect(204);
    client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
}

async fn a_key_with_scopes_does_what_they_say(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "CI", "role": "admin", "scopes": ["read_program", "manage_links"]});
    let key = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    let client = t.admin.with_key(Some(&text(&key, "key")));
    client.get("/api/v1/offers").await.expect(200);
    let offer = json!({"name": "x", "landing_url": "https://x.example/", "currency": "USD", "payout": {"fixed": "1"}});
    let refused = client.post("/api/v1/offers", &offer).await.expect_problem(403, "forbidden");
    assert!(text(&refused, "detail").contains("manage_offers"), "{refused}");
    let bad = json!({"name": "CI", "role": "support", "scopes": ["manage_offers"]});
    t.admin.post("/api/v1/api-keys", &bad).await.expect_problem(422, "invalid_field");
}

async fn nobody_creates_a_key_with_more_permissions_than_their_own(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await;
    for (role, status) in [("owner", 403), ("finance", 403), ("support", 201), ("admin", 201)] {
        let body = json!({"name": "k", "role": role, "password": PASSWORD});
        let answer = admin.client.post("/api/v1/api-keys", &body).await;
        assert_eq!(answer.status, status, "{role}: {}", answer.text);
    }
    let scoped = json!({"name": "k", "role": "admin", "scopes": ["manage_keys"]});
    let scoped = t.admin.post("/api/v1/api-keys", &scoped).await.expect(201);
    let scoped = t.admin.with_key(Some(&text(&scoped, "key")));
    let more = json!({"name": "k", "role": "admin"});
    scoped.post("/api/v1/api-keys", &more).await.expect_problem(403, "forbidden");
    let affiliate = t.affiliate().await;
    let theirs = json!({"name": "k", "role": "affiliate", "affiliate_id": affiliate.id});
    scoped.post("/api/v1/api-keys", &theirs).await.expect_problem(403, "forbidden");
}

async fn a_keys_last_use_is_visible_and_it_expires(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "CI", "role": "support", "expires_at": "2026-03-10T13:00:00Z"});
    let key = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    assert_eq!(key["last_used_at"], json!(null));
    let client = t.admin.with_key(Some(&text(&key, "key")));
    t.advance(Duration::from_secs(60));
    client.get("/api/v1/offers").await.expect(200);
    let used = async |wanted: &str| {
        postrider_tests::wait::eventually("the use to be noted", async || {
            let keys = t.admin.list("/api/v1/api-keys").await;
            (keys[0]["last_used_at"] == wanted).then_some(())
        })
        .await;
    };
    used("2026-03-10T12:01:00.000Z").await;
    t.advance(Duration::from_secs(59));
    client.get("/api/v1/offers").await.expect(200);
    t.advance(Duration::from_secs(1));
    client.get("/api/v1/offers").await.expect(200);
    used("2026-03-10T12:02:00.000Z").await;
    t.advance(Duration::from_secs(3_600));
    client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    let late = json!({"name": "CI", "role": "support", "expires_at": "2026-03-10T12:00:00Z"});
    t.admin.post("/api/v1/api-keys", &late).await.expect_problem(422, "invalid_field");
}

async fn the_command_line_makes_the_first_owner(db: Database) {
    let installation = postrider_tests::process::Installation::new(db);
    // Beside the running server, with the same database.
    let server = installation.start().await;
    let status = installation.run(&["user", "create", "--email", "ann@example.com", "--role", "owner"], &[]).await;
    assert!(status.success(), "{}", installation.log());
    let body = json!({"token": token_in(&installation.log()), "password": PASSWORD});
    let anonymous = server.client.with_key(None);
    anonymous.post("/api/v1/auth/set-password", &body).await.expect(200);
    let login = anonymous.post("/api/v1/auth/login", &json!({"email": "ann@example.com", "password": PASSWORD})).await;
    assert_eq!(login.expect(200)["role"], "owner");
    let log = server.client.get("/api/v1/audit?actor=command%20line").await.expect(200);
    assert_eq!(log["items"][0]["operation"], "create_user", "{log}");
}
