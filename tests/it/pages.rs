//! The pages for people, as a browser without scripts sends them. `tests/browser` opens them in a browser.

mod account;
mod connect;
mod conversions;
mod deliveries;
mod money;
mod postbacks;
mod reports;
mod sources;
mod traffic;

use std::time::Duration;

use domain::people::totp;
use engine::config::Registration;
use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, token_in};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

on_both_databases!(
    a_person_signs_in_and_signs_out,
    the_second_factor_is_asked_for_in_a_second_step,
    a_forgotten_password_is_replaced_by_a_link,
    a_registration_ends_with_choosing_a_password,
    a_new_address_is_confirmed_by_a_button,
    a_form_of_another_site_is_refused,
    guessing_on_the_page_is_throttled_like_on_the_api,
    no_page_permits_foreign_code_or_reveals_its_address,
    language_zone_and_theme_are_kept_for_the_person,
    assets_are_kept_for_ever_and_compressed,
);

/// The request of a browser when a person submits a form.
async fn submit(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = client.request(Method::POST, path).header("sec-fetch-site", "same-origin");
    client.send(filled(request, fields)).await
}

fn filled(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// The path of the link in a message.
async fn link_of(t: &TestApp, email: &str, subject: &str) -> String {
    let mail = t.mail_to(email, subject).await;
    let link = mail.split_whitespace().find(|word| word.starts_with("http") && word.ends_with(&token_in(&mail)));
    url::Url::parse(link.expect("a link")).expect("an absolute URL").path().to_owned()
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}"));
    // The template engine escapes this one, too.
    rest.split('"').next().unwrap().replace("&#x3D;", "=")
}

async fn a_person_signs_in_and_signs_out(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let browser = t.anonymous();
    let home = browser.get("/").await;
    assert_eq!((home.status, home.header("location")), (303, Some("/login")));
    let asked = browser.get("/audit?operation=login").await;
    assert_eq!(asked.header("location"), Some("/login?next=%2Faudit%3Foperation%3Dlogin"));
    let part = browser.send(browser.request(Method::GET, "/audit").header("hx-request", "true")).await;
    assert_eq!((part.status, part.header("hx-redirect")), (401, Some("/login?next=%2Faudit")));
    let page = browser.get("/login").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("for=\"password\">") && !page.text.contains("/register"), "{}", page.text);

    let wrong = submit(&browser, "/login", &[("email", &person.email), ("password", "<not> the password")]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains(&person.email), "{}", wrong.text);
    assert!(!wrong.text.contains("the password\""), "a password is never sent back");
    let entered = submit(&browser, "/login", &[("email", &person.email), ("password", PASSWORD)]).await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")), "{}", entered.text);

    let client = browser.with_session_of(&entered);
    let home = client.get("/").await;
    for told in ["Grace", "Finance", "href=\"/api/docs\"", "href=\"/audit\""] {
        assert!(home.text.contains(told), "{told}: {}", home.text);
    }
    let left = submit(&client, "/logout", &[]).await;
    assert_eq!((left.status, left.header("location")), (303, Some("/login?done=logout")));
    assert_eq!(client.get("/").await.status, 303, "signed out");
    client.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    let log = t.admin.list(&format!("/api/v1/audit?user_id={}", person.id)).await;
    let operations: Vec<_> = log.iter().map(|it| text(it, "operation")).collect();
    assert_eq!(operations, ["logout", "login", "login", "set_password"]);
    // A customer without a user is addressed by the affiliate's name.
    let body = json!({"external_id": "u-1", "name": "Ann <b>&</b> Co", "email": "ann@example.com"});
    let customer = t.admin.post("/api/v1/customers", &body).await.json();
    let path = format!("/api/v1/customers/{}/login-link", text(&customer, "id"));
    let link = t.admin.post(&path, &json!({})).await.expect(201);
    let path = url::Url::parse(&text(&link, "login_url")).unwrap().path().to_owned();
    let entered = submit(&browser, &path, &[]).await;
    let home = browser.with_session_of(&entered).get(entered.header("location").unwrap()).await;
    assert!(home.text.contains("Ann &lt;b&gt;&amp;&lt;/b&gt; Co") && home.text.contains("AF"), "{}", home.text);
}

async fn the_second_factor_is_asked_for_in_a_second_step(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("finance").await;
    let second = "/api/v1/auth/second-factor";
    let begun = person.client.post(second, &json!({"password": PASSWORD})).await.expect(200);
    let secret = totp::decode(&text(&begun, "secret")).unwrap();
    let code = || totp::code(&secret, t.clock.now().millis() / 30_000);
    person.client.post(&format!("{second}/confirm"), &json!({"code": code()})).await.expect(200);
    t.advance(Duration::from_secs(30));

    let browser = t.anonymous();
    let first = submit(&browser, "/login", &[("email", &person.email), ("password", PASSWORD)]).await;
    assert_eq!((first.status, first.header("set-cookie")), (200, None), "{}", first.text);
    assert!(!first.text.contains(PASSWORD), "the password is in no page");
    let ticket = hidden(&first.text, "ticket");
    let with = |code: &str, ticket: &str| {
        [("email", person.email.clone()), ("ticket", ticket.to_owned()), ("code", code.to_owned())]
    };
    let send = async |fields: [(&'static str, String); 3]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        submit(&browser, "/login", &fields).await
    };
    let wrong = send(with("000000", &ticket)).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("The code is wrong") && hidden(&wrong.text, "ticket") == ticket, "{}", wrong.text);
    // A forged ticket, or another account's ticket, is not valid.
    let other = t.person("finance").await;
    assert_eq!(send(with(&code(), "AAAA")).await.status, 401);
    let stolen = [("email", other.email.clone()), ("ticket", ticket.clone()), ("code", code())];
    assert_eq!(send(stolen).await.status, 401);
    let entered = send(with(&code(), &ticket)).await;
    assert_eq!(entered.status, 303, "{}", entered.text);
    browser.with_session_of(&entered).get("/api/v1/offers").await.expect(200);
    // Five minutes later it has expired.
    t.advance(Duration::from_secs(300));
    let late = send(with(&code(), &ticket)).await;
    assert_eq!(late.status, 401);
    assert!(late.text.contains("name=\"password\""), "it begins again: {}", late.text);
}

async fn a_forgotten_password_is_replaced_by_a_link(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let browser = t.anonymous();
    assert_eq!(browser.get("/forgot-password").await.status, 200);
    assert_eq!(submit(&browser, "/forgot-password", &[("email", "nonsense")]).await.status, 422);
    let known = submit(&browser, "/forgot-password", &[("email", &person.email)]).await;
    let unknown = submit(&browser, "/forgot-password", &[("email", "nobody@example.com")]).await;
    assert_eq!((known.status, &known.text), (200, &unknown.text), "the page tells nobody");

    let path = link_of(&t, &person.email, "Choose a new password").await;
    for _ in 0..2 {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200, "looking does not use it up");
        assert!(page.text.contains("autocomplete=\"new-password\"") && page.text.contains(&person.email));
    }
    let weak = submit(&browser, &path, &[("password", "aaaaaaaaaaaa")]).await;
    assert_eq!(weak.status, 422);
    assert!(weak.text.contains("id=\"password-error\"") && weak.text.contains("Is too easy to guess"), "{}", weak.text);
    let set = submit(&browser, &path, &[("password", "another good password")]).await;
    assert_eq!((set.status, set.header("location")), (303, Some("/login?done=password")), "{}", set.text);
    assert!(browser.get("/login?done=password").await.text.contains("Your password is set"));
    for used in [browser.get(&path).await, submit(&browser, &path, &[("password", "a third good password")]).await] {
        assert_eq!(used.status, 410);
        assert!(used.text.contains("href=\"/forgot-password\""), "{}", used.text);
    }
    assert_eq!(browser.get("/set-password/made-up").await.status, 410);
    t.sign_in(&person.email, "another good password").await.expect(200);
}

async fn a_registration_ends_with_choosing_a_password(db: Database) {
    let mut t = TestApp::start(db).await;
    assert_eq!(t.anonymous().get("/register").await.status, 403);
    let ada = [("name", "Ada"), ("email", "Ada@example.com")];
    assert_eq!(submit(&t.anonymous(), "/register", &ada).await.status, 403);
    t.restart_with(|settings| settings.registration = Registration::Approval).await;
    let browser = t.anonymous();
    assert!(browser.get("/login").await.text.contains("href=\"/register\""));
    assert_eq!(browser.get("/register").await.status, 200);
    let nameless = submit(&browser, "/register", &[("name", " "), ("email", "ada@example.com")]).await;
    assert_eq!(nameless.status, 422);
    assert!(nameless.text.contains("id=\"name-error\"") && nameless.text.contains("Must have 1"), "{}", nameless.text);
    assert_eq!(submit(&browser, "/register", &ada).await.status, 200);
    let path = link_of(&t, "ada@example.com", "Confirm your address").await;
    let waiting = submit(&browser, &path, &[("password", PASSWORD)]).await;
    assert_eq!(waiting.status, 200);
    assert!(waiting.text.contains("waits for an approval"), "{}", waiting.text);
    let refused = submit(&browser, "/login", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(refused.status, 403);
}

async fn a_new_address_is_confirmed_by_a_button(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let body = json!({"email": "new@example.com", "password": PASSWORD});
    person.client.post("/api/v1/auth/email", &body).await.expect(202);
    let path = link_of(&t, "new@example.com", "Confirm your new address").await;
    let browser = t.anonymous();
    assert!(browser.get(&path).await.text.contains("new@example.com"));
    t.sign_in("new@example.com", PASSWORD).await.expect_problem(401, "sign_in_failed");
    let confirmed = submit(&browser, &path, &[]).await;
    assert_eq!(confirmed.header("location"), Some("/login?done=email"), "{}", confirmed.text);
    assert_eq!(browser.get(&path).await.status, 410);
    t.sign_in("new@example.com", PASSWORD).await.expect(200);
}

async fn a_form_of_another_site_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let fields = [("email", person.email.as_str()), ("password", PASSWORD)];
    for path in ["/login", "/logout", "/forgot-password", "/register", "/set-password/x", "/confirm-email/x"] {
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let request = t.anonymous().request(Method::POST, path).header("cookie", person.client.cookie());
            let answer = t.admin.send(filled(request.header(name, value), &fields)).await;
            assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{path}: {}", answer.text);
        }
    }
    // A program that has a cookie and no site cannot sign out anybody either.
    let request = t.anonymous().request(Method::POST, "/logout").header("cookie", person.client.cookie());
    t.admin.send(filled(request, &fields)).await;
    person.client.get("/api/v1/offers").await.expect(200);
    let nul = submit(&t.anonymous(), "/login", &[("email", "a\0@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(nul.status, 400, "{}", nul.text);
}

async fn guessing_on_the_page_is_throttled_like_on_the_api(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    for _ in 0..3 {
        let guess = [("email", person.email.as_str()), ("password", "not the password")];
        assert_eq!(submit(&t.anonymous(), "/login", &guess).await.status, 401);
    }
    for _ in 0..2 {
        t.sign_in(&person.email, "not the password").await.expect_problem(401, "sign_in_failed");
    }
    let refused = submit(&t.anonymous(), "/login", &[("email", &person.email), ("password", PASSWORD)]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    assert!(refused.text.contains("Too many attempts; try again in 2 seconds."), "{}", refused.text);
}

async fn no_page_permits_foreign_code_or_reveals_its_address(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.registration = Registration::Open).await;
    let person = t.person("owner").await;
    let anonymous =
        ["/login", "/forgot-password", "/register", "/set-password/x", "/confirm-email/x", "/login/x", "/x"];
    let signed_in = ["/", "/account", "/account/second-factor", "/audit", "/nowhere"];
    let pages = anonymous.map(|path| (t.anonymous(), path)).into_iter();
    for (client, path) in pages.chain(signed_in.map(|path| (person.client.clone(), path))) {
        let page = client.get(path).await;
        let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
            form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
        assert_eq!(page.header("content-security-policy"), Some(policy), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!page.text.contains("<script>") && page.text.contains("<h1>"), "{path}: {}", page.text);
    }
}

async fn language_zone_and_theme_are_kept_for_the_person(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("support").await;
    let browser = t.anonymous();
    let german = async |path: &str| {
        let request = browser.request(Method::GET, path).header("accept-language", "de-AT, en;q=0.5");
        browser.send(request).await
    };
    let page = german("/login").await;
    assert!(page.text.contains("<html lang=\"de\"") && page.text.contains("Passwort"), "{}", page.text);
    // The first sign-in keeps what the browser says.
    let fields = [("email", person.email.as_str()), ("password", PASSWORD), ("next", "/account")];
    let request = browser.request(Method::POST, "/login").header("sec-fetch-site", "same-origin");
    let request = request.header("accept-language", "de").header("cookie", "postrider_zone=Europe/Vienna");
    let entered = browser.send(filled(request, &fields)).await;
    assert_eq!((entered.status, entered.header("location")), (303, Some("/account")), "{}", entered.text);
    let client = browser.with_session_of(&entered);
    let me = client.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (&me["language"], &me["time_zone"], &me["theme"]),
        (&json!("de"), &json!("Europe/Vienna"), &json!(null))
    );
    // A later one does not change what is chosen.
    let changed = json!({"language": "en", "theme": "dark"});
    let me = client.patch("/api/v1/auth/me", &changed).await.expect(200);
    assert_eq!((&me["language"], &me["name"]), (&json!("en"), &json!("Grace")));
    let page = client.get("/account").await;
    assert!(
        page.text.contains("<html lang=\"en\" class=\"dark\"") && page.text.contains("value=\"Europe/Vienna\""),
        "{}",
        page.text
    );

    let form = [("name", "Grace H"), ("language", "de"), ("time_zone", "Asia/Kolkata"), ("theme", "light")];
    let saved = submit(&client, "/account", &form).await;
    assert_eq!((saved.status, saved.header("location")), (303, Some("/account?done=saved")), "{}", saved.text);
    let log = t.admin.list("/api/v1/audit?operation=change_me").await;
    let changes = log[0]["changes"].as_array().expect("changes");
    assert!(changes.contains(&json!({"field": "theme", "from": "dark", "to": "light"})), "{changes:?}");
    let page = client.get("/account").await;
    assert!(page.text.contains("value=\"Asia/Kolkata\"") && page.text.contains("Ihr Konto"), "{}", page.text);
    let wrong = [("name", "Grace"), ("language", "de"), ("time_zone", "Mars/Base"), ("theme", "light")];
    let refused = submit(&client, "/account", &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("id=\"time_zone-error\"") && refused.text.contains("Mars/Base"), "{}", refused.text);
    client.patch("/api/v1/auth/me", &json!({"time_zone": "Mars/Base"})).await.expect_problem(422, "invalid_field");
    let me = client.patch("/api/v1/auth/me", &json!({"language": null})).await.expect(200);
    assert_eq!((&me["language"], &me["time_zone"]), (&json!(null), &json!("Asia/Kolkata")));
    // Without a session the choice is the browser's.
    let kept = browser.get("/display?language=de&theme=dark").await;
    let cookies: Vec<_> = kept.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!((kept.status, cookies.len()), (303, 2), "{cookies:?}");
    let request =
        browser.request(Method::GET, "/login").header("cookie", "postrider_language=de; postrider_theme=dark");
    assert!(browser.send(request).await.text.contains("<html lang=\"de\" class=\"dark\""));
}

async fn assets_are_kept_for_ever_and_compressed(db: Database) {
    let t = TestApp::start(db).await;
    let page = t.anonymous().get("/login").await.text;
    let paths: Vec<_> =
        page.split('"').filter(|it| it.starts_with("/assets/")).map(|it| it.split('#').next().unwrap()).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        for (accepted, encoding) in [("gzip, br", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
            let client = t.anonymous();
            let answer = client.send(client.request(Method::GET, path).header("accept-encoding", accepted)).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{path}");
            assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        }
    }
    assert_eq!(t.anonymous().get("/assets/style-0000000000000000.css").await.status, 404);
}
