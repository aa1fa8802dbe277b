//! Journeys 5 and 11: conversions with their timeline, and a withdrawal by keyboard.

use postrider_tests::people::PASSWORD;
use reqwest::Method;
use serde_json::json;

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_follows_a_conversion_to_its_postback() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.click(".side a[href='/conversions']").await;
    browser.see("h1", "Conversions").await;
    browser.see("table[data-cards]", "Voluum").await;
    // A filter applies at once, and stays in the URL.
    browser.choose("#status", "rejected").await;
    browser.see(".chips", "Rejected").await;
    browser.see("#list", "duplicate order").await;
    browser.open("/conversions?status=approved").await;
    browser.click("#list tbody a").await;
    browser.see(".title", "Approved").await;
    browser.see(".tl", "Click on the link").await;
    browser.see(".tl", "Voluum accepted it").await;
    browser.see(".tl", "becomes available").await;
    browser.see(".tl .mini", "Attempt 1").await;
    browser.save_screens("conversion").await;
    browser.click("a[href='/statement']").await;
    browser.see("h1", "Statement").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_requests_a_withdrawal() {
    let program = Program::start().await;
    let client = &program.affiliate.client;
    let body = json!({"method": "paypal", "details": {"email": "ada@example.org"}});
    let request = client.request(Method::PUT, "/api/v1/payout-details").json(&body);
    client.send(request).await.expect(200);
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.click(".side a[href='/withdrawals']").await;
    browser.see(".totals", "117.60").await;
    browser.save_screens("withdrawals").await;
    // Without scripts the button calculates; Enter in the amount does the same and sends nothing.
    browser.disable_scripts().await;
    browser.open("/withdrawals?currency=USD").await;
    browser.fill("#amount", "4").await;
    browser.click("button[formmethod=get]").await;
    browser.see("#amount-error", "more to the minimum").await;
    browser.fill("#amount", "100").await;
    browser.click("button[formmethod=get]").await;
    browser.see(".totals", "98.00").await;
    browser.click("#request footer button").await;
    browser.see("h1", "Withdrawal of").await;
    browser.see(".progress-line", "Requested").await;
    // axe needs scripts.
    browser.save_screen("withdrawal").await;
    browser.click("form[action$='/cancel'] button").await;
    browser.see(".title", "Cancelled").await;
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_is_paid_by_keyboard_alone() {
    let program = Program::start().await;
    let browser = program.browser().await;
    browser.open("/login").await;
    browser.tab_to("#email").await;
    browser.insert(&program.ada.email).await;
    browser.tab_to("#password").await;
    browser.insert(PASSWORD).await;
    browser.press("Enter").await;
    browser.find(".side").await;
    browser.tab_to(".side a[href='/withdrawals']").await;
    browser.press("Enter").await;
    browser.see("h1", "Withdrawals").await;
    browser.see("main", "Where should the money go?").await;
    browser.tab_to("main a[href='/payout-details']").await;
    browser.press("Enter").await;
    browser.see("h1", "Payout details").await;
    browser.save_screens("payout-details").await;
    browser.tab_to("a[href*='method=paypal']").await;
    browser.press("Enter").await;
    browser.see("#change-title", "PayPal").await;
    // What is typed is checked before it is sent.
    browser.tab_to("[name='details/email']").await;
    browser.insert("ada@").await;
    browser.see("#checked", "not a valid e-mail address").await;
    browser.save_screens("payout-details-checked").await;
    browser.tab_to("[name='details/email']").await;
    browser.insert("example.org").await;
    browser.see("#checked", "can be used").await;
    browser.tab_to("#change [name='password']").await;
    browser.insert("wrong").await;
    browser.press("Enter").await;
    browser.see("#password-error", "password is wrong").await;
    let refused = browser.take_console().await;
    assert!(refused.len() == 1 && refused[0].contains("422"), "{refused:?}");
    // What was typed stays, and the field with the error has the focus.
    browser.insert(PASSWORD).await;
    browser.press("Enter").await;
    browser.see(".items", "a***@example.org").await;
    browser.save_screens("payout-details-stored").await;
    browser.tab_to("main a[href='/withdrawals']").await;
    browser.press("Enter").await;
    browser.tab_to("#amount").await;
    browser.insert("100").await;
    browser.see(".totals", "98.00").await;
    browser.tab_to("#request footer button").await;
    browser.press("Enter").await;
    browser.see("h1", "Withdrawal of").await;
    browser.see(".progress-line", "Requested").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}
