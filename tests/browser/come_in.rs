//! Journey 1: coming in. Registration, login link, second factor.

use domain::people::totp;
use engine::config::Registration;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::people::{PASSWORD, token_in};
use serde_json::json;

use crate::browser::Browser;
use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_registers_and_sees_the_first_steps() {
    let t = TestApp::start_with(Database::sqlite(), |settings| settings.registration = Registration::Open).await;
    let browser = Browser::start(&format!("http://{}", t.address())).await;
    browser.set_zone("America/New_York").await;
    browser.open("/login").await;
    browser.click("a[href='/register']").await;
    browser.fill("#name", "Ada Lovelace").await;
    browser.fill("#email", "ada@example.com").await;
    browser.click("form button[type=submit]").await;
    browser.see("h1", "Check your e-mail").await;

    let mail = t.mail_to("ada@example.com", "Confirm your address").await;
    browser.open(&format!("/set-password/{}", token_in(&mail))).await;
    browser.fill("#password", "aaaaaaaaaaaa").await;
    browser.click("form button[type=submit]").await;
    browser.see("#password-error", "too easy to guess").await;
    // The browser notes the answer 422 to the form, and nothing else.
    let noted = browser.take_console().await;
    assert!(noted.iter().all(|it| it.contains("422")), "{noted:?}");
    browser.save_screens("register-weak-password").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("form button[type=submit]").await;
    browser.see(".toast-box", "Your password is set").await;

    browser.fill("#email", "ada@example.com").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.see("h1", "Ada Lovelace").await;
    browser.see("#first-steps", "0 of 4").await;
    // The zone of the browser is kept for the person.
    browser.see(".zone", "New York").await;
    browser.save_screens("first-sign-in").await;
    let offer = t.offer_with(json!({"name": "Harbor Pro", "default": true})).await;
    assert!(!offer.is_empty());
    // The step ticks itself: nobody loads the page again.
    browser.see("#first-steps", "1 of 4").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_open_an_affiliate_by_a_login_link() {
    let program = Program::start().await;
    let browser = program.browser().await;
    // Days have passed since the owner signed in.
    let owner = program.t.signed_in(&program.owner.email, PASSWORD).await;
    let path = format!("/api/v1/affiliates/{}/login-link", program.affiliate.id);
    let link = owner.post(&path, &json!({})).await.expect(201);
    let url = text(&link, "login_url");
    let (_, path) = url.split_once("/login/").expect("a login link");
    browser.open(&format!("/login/{path}")).await;
    browser.see(".note", "read-only").await;
    browser.click(".who-menu summary").await;
    browser.see(".who-menu .menu-box", "Close this session").await;
    browser.click(".who-menu .menu-box button").await;
    browser.see("h1", "Sign in").await;
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_set_up_by_a_qr_code_and_asked_for() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/account").await;
    browser.click("a[href='/account/second-factor']").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("main form button[type=submit]").await;
    browser.find(".qr-big svg.qr[role=img]").await;
    browser.save_screens("second-factor-setup").await;
    let secret = browser.text(".copyrow code").await;
    let secret = totp::decode(&secret).expect("base32");
    let code = || totp::code(&secret, program.t.clock.now().millis() / 30_000);
    browser.fill("#code", "000000").await;
    browser.click("main form button[type=submit]").await;
    browser.see("#code-error", "wrong").await;
    browser.fill("#code", &code()).await;
    browser.click("main form button[type=submit]").await;
    browser.see("h1", "recovery codes").await;
    browser.save_screens("recovery-codes").await;

    program.t.advance(std::time::Duration::from_secs(30));
    browser.click(".who-menu summary").await;
    browser.click(".who-menu form button").await;
    browser.see(".toast-box", "signed out").await;
    // Without scripts, and back to the page that was asked for.
    browser.disable_scripts().await;
    browser.open("/account?done=saved").await;
    browser.fill("#email", &program.ada.email).await;
    browser.fill("#password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.fill("#code", &code()).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.see("h1", "Your account").await;
    assert_eq!(browser.path().await, "/account?done=saved");
    browser.stop().await;
}
