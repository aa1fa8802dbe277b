//! Journeys 3 and 4: offers, the link builder, and the click log.

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_builds_a_link_and_sees_its_click() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/offers").await;
    browser.click("tbody a").await;
    browser.see("h1", "Harbor Pro").await;
    browser.click(".head a[href^='/links/new']").await;
    browser.fill("#sub1", "spring letter").await;
    browser.click("main form button[type=submit]").await;
    browser.see("#built .url", "sub1=spring+letter").await;
    browser.find("#built svg.qr").await;
    browser.click("#built [data-copy]").await;
    browser.see("#live", "Copied").await;
    browser.see("#last-clicks", "No click yet").await;

    // The builder keeps its choices in the URL, and replaces only the built URL.
    let choose = "document.querySelector('#tracker').value = 'voluum'; return true";
    browser.evaluate(choose).await;
    browser.click("form[hx-target='#built'] button[type=submit]").await;
    browser.see("#built .url", "click_id={clickid}").await;
    browser.see("#built .note", "Voluum").await;
    browser.save_screens("link-builder").await;
    assert!(browser.path().await.contains("tracker=voluum"), "{}", browser.path().await);

    browser.open("/clicks?sub1=newsletter").await;
    browser.see(".chip", "newsletter").await;
    browser.find("form[action='/clicks/export'] button").await;
    browser.click("tbody a.id").await;
    browser.see("#parameters", "Parameters of the link").await;
    browser.see("main", "newsletter").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}
