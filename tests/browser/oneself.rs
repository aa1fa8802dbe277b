//! Journey 14: password, sessions, a key that works, and the messages one wants.

use postrider_tests::people::PASSWORD;

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_looks_after_the_own_account() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/account").await;
    browser.see(".items", "Second factor").await;
    browser.save_screens("account").await;

    // Another session, which ends with the password.
    let other = program.t.signed_in(&program.ada.email, PASSWORD).await;
    browser.click("a[href='/account/sessions']").await;
    browser.see("table[data-cards]", "This one").await;
    browser.save_screens("account-sessions").await;
    browser.open("/account/password").await;
    let new = "seven purple elephants dance";
    browser.fill("#password", "not my password").await;
    browser.fill("#new", new).await;
    browser.click("main form button[type=submit]").await;
    browser.see("#password-error", "wrong").await;
    browser.save_screens("account-password").await;
    // The browser notes the answer 422 to the form, and nothing else.
    let noted = browser.take_console().await;
    assert!(noted.iter().all(|it| it.contains("422")), "{noted:?}");
    browser.fill("#password", PASSWORD).await;
    browser.fill("#new", new).await;
    browser.click("main form button[type=submit]").await;
    browser.see(".toast-box", "The password is changed").await;
    other.get("/api/v1/auth/me").await.expect_problem(401, "unauthorized");

    // A key that may only see what its person chose.
    browser.open("/account/keys").await;
    browser.see(".empty-box", "No API key yet").await;
    browser.click("a[href='/account/keys/new']").await;
    browser.fill("#name", "my sheet").await;
    browser.click("input[name=limited][value=yes]").await;
    browser.click("input[name=scope][value=read_program]").await;
    browser.fill("#password", new).await;
    browser.save_screens("account-new-key").await;
    browser.click("form[action='/account/keys'] footer button").await;
    let secret = browser.see(".copyrow code", "prk_").await;
    browser.save_screens("account-created-key").await;
    let key = program.t.anonymous().with_key(Some(secret.trim()));
    key.get("/api/v1/conversions").await.expect(200);
    key.get("/api/v1/balances").await.expect_problem(403, "forbidden");
    browser.open("/account/keys").await;
    browser.see("table[data-cards]", "my sheet").await;
    browser.save_screens("account-keys").await;
    browser.click("form[action$='/revoke'] button").await;
    browser.see("table[data-cards]", "Revoked").await;
    key.get("/api/v1/conversions").await.expect_problem(401, "unauthorized");

    browser.open("/account/notifications").await;
    browser.save_screens("account-notifications").await;
    // Without scripts, too.
    browser.disable_scripts().await;
    browser.open("/account/notifications").await;
    browser.click("input[name=weekly_summary]").await;
    browser.click("form footer button").await;
    browser.find("input[name=weekly_summary]:checked").await;
    browser.find("input[name=withdrawals]:checked").await;
    browser.stop().await;
}
