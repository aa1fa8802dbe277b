//! Journeys 8 and 9: the postback log, all that match retried, and why a postback did not fire.

use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use serde_json::json;

use crate::program::{Program, sign_in};

/// A postback whose destination refuses everything, and three deliveries that failed.
async fn failing() -> Program {
    let program = Program::start().await;
    let t = &program.t;
    t.postback("/keitaro").owned_by(&program.affiliate).set("name", json!("Keitaro")).save().await;
    t.receiver.always("/keitaro", Reply::status(404));
    send(&program, 3).await;
    program
}

/// Conversions, whose deliveries are settled afterwards.
async fn send(program: &Program, count: usize) {
    let t = &program.t;
    let link = &t.admin.list(&format!("/api/v1/links?affiliate_id={}", program.affiliate.id)).await[0];
    let path = url::Url::parse(link["url"].as_str().expect("a URL")).expect("an absolute URL").path().to_owned();
    for _ in 0..count {
        let answer = t.anonymous().get(&path).await;
        let body = json!({"click_id": postrider_tests::app::click_id_in(&answer), "status": "approved",
            "transaction_id": format!("K-{}", t.unique()), "amount": "10.00", "currency": "USD"});
        t.admin.post("/api/v1/conversions", &json!([body])).await.expect(200);
        t.tick();
    }
    t.deliver_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_retries_all_that_match() {
    let program = failing().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.click(".side a[href='/deliveries']").await;
    browser.see("h1", "Postback log").await;
    browser.see("table[data-cards]", "Keitaro").await;
    browser.save_screens("deliveries").await;
    browser.open("/deliveries?http_status=404&status=failed").await;
    browser.see(".chips", "404").await;
    // The destination is mended; by keyboard alone from here.
    program.t.receiver.always("/keitaro", Reply::status(200));
    browser.tab_to(".bulk a").await;
    browser.press("Enter").await;
    browser.see("h2", "Retry 3 deliveries that failed?").await;
    browser.save_screens("retry-all").await;
    browser.tab_to("form[action='/retry-jobs'] button").await;
    browser.press("Enter").await;
    browser.see("#progress", "Done: 3 of 3 retried").await;
    browser.save_screens("retry-job").await;
    program.t.deliver_all().await;
    browser.open("/deliveries?http_status=404").await;
    browser.see("#list", "No delivery matches these filters").await;
    browser.open("/retry-jobs").await;
    browser.see("table[data-cards]", "3 / 3").await;
    browser.save_screens("retry-jobs").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_deliveries_are_announced_and_rows_do_not_move() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/deliveries").await;
    let rows = browser.evaluate("return document.querySelectorAll('tbody tr').length").await;
    send(&program, 1).await;
    eventually("the new delivery", async || {
        let shown = browser.evaluate("return document.querySelector('#new-rows').textContent").await;
        (shown == "Show 1 new").then_some(())
    })
    .await;
    assert_eq!(browser.evaluate("return document.querySelectorAll('tbody tr').length").await, rows);
    browser.save_screen("deliveries-new").await;
    browser.click("a.newrows").await;
    browser.see("tbody tr:first-child", "K-").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_saves_a_view() {
    let program = failing().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/deliveries").await;
    // A filter applies at once, and the views follow it.
    browser.choose("#status", "failed").await;
    browser.see(".chips", "Failed").await;
    browser.see("#views [aria-current]", "Failed").await;
    browser.fill("#reason", "404").await;
    browser.evaluate("document.querySelector('form.filters').requestSubmit()").await;
    browser.see(".chips", "404").await;
    browser.click("#views a[href^='/saved-views?url=']").await;
    browser.save_screens("save-view").await;
    browser.fill("#name", "Keitaro is down").await;
    browser.click("form[action='/saved-views'] button").await;
    browser.see("#views [aria-current]", "Keitaro is down").await;
    browser.see(".chips", "404").await;
    browser.click("#views a[href^='/saved-views?page=']").await;
    browser.see(".items", "Keitaro is down").await;
    browser.save_screens("saved-views").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_learns_what_happened_and_why_not() {
    let program = failing().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/deliveries?status=failed").await;
    browser.click("#list tbody td a").await;
    browser.see(".answer", "Keitaro did not accept the only attempt").await;
    browser.see(".check", "The postback is enabled").await;
    browser.see(".rr", "404").await;
    browser.save_screens("delivery").await;
    // Without a script, too.
    browser.click(".answer a").await;
    browser.see("h1", "Why did it not fire?").await;
    browser.see(".answer", "").await;
    browser.save_screens("why-not").await;
    browser.open("/conversions?status=pending").await;
    browser.click("#list tbody a").await;
    browser.click("a[href^='/why-not']").await;
    let choose = "const it = document.querySelector('#postback_id'); it.selectedIndex = it.options.length - 1;";
    browser.evaluate(choose).await;
    browser.click(".pick button").await;
    browser.see(".answer", "fires on approved").await;
    browser.see("main aside", "To make it fire").await;
    browser.save_screens("why-not-status").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}
