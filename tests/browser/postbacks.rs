//! Journeys 7 and 13: the list of postbacks, versions, and approval by staff.

use postrider_tests::client::text;
use reqwest::Method;
use serde_json::json;

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_reads_and_rolls_back_a_postback() {
    let program = Program::start().await;
    let postback = program.affiliate.client.list("/api/v1/postbacks").await.remove(0);
    let path = format!("/postbacks/{}", text(&postback, "id"));
    let rule = json!({"firing_status": "any", "delay": {"value": 2, "unit": "minutes"}});
    program.affiliate.client.patch(&format!("/api/v1{path}"), &rule).await.expect(200);
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/postbacks").await;
    browser.see("tbody", "after 2 minutes").await;
    browser.save_screens("postbacks").await;
    browser.click("tbody a").await;
    browser.see(".answer", "It is live.").await;
    browser.see(".sentence", "recorded or changes").await;
    browser.click(&format!("form[action='{path}/test'] button")).await;
    browser.see("#test", "Accepted in").await;
    browser.save_screens("postback").await;

    browser.click(&format!("a[href='{path}/versions']")).await;
    browser.see(".tl", "firing_status").await;
    browser.save_screens("postback-versions").await;
    browser.click(&format!("a[href='{path}/versions/1']")).await;
    browser.see("main", "What restoring it changes").await;
    browser.save_screens("postback-version").await;
    browser.click(&format!("form[action='{path}/versions/1/restore'] button")).await;
    browser.see(".sentence", "approved").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_examine_a_postback_before_it_sends_anything() {
    let program = Program::start().await;
    let t = &program.t;
    let request = t.admin.request(Method::PUT, "/api/v1/settings/postbacks");
    t.admin.send(request.json(&json!({"affiliates_need_approval": true}))).await.expect(200);
    let mut names = Vec::new();
    for name in ["First tracker", "Second tracker"] {
        let mut body = t.postback("/new").body;
        body["name"] = json!(name);
        names.push(text(&program.affiliate.client.post("/api/v1/postbacks", &body).await.expect(201), "id"));
    }
    let browser = program.browser().await;
    sign_in(&browser, &program.owner).await;
    browser.open("/postbacks").await;
    browser.click("a[href='/postbacks?status=awaiting_approval']").await;
    browser.see("tbody", "Awaiting approval").await;
    browser.save_screens("postbacks-awaiting").await;
    browser.click(&format!("form[action='/postbacks/{}/approve'] button", names[0])).await;
    browser.see("main", "The postback is approved.").await;
    browser.open(&format!("/postbacks/{}", names[1])).await;
    browser.see(".answer", "It awaits your approval.").await;
    browser.save_screens("postback-awaiting").await;
    browser.fill("#reason", "This address is not yours").await;
    browser.click(&format!("form[action='/postbacks/{}/refuse'] button", names[1])).await;
    browser.see(".answer", "This address is not yours").await;
    browser.open("/settings/postbacks").await;
    browser.save_screens("postback-settings").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}
