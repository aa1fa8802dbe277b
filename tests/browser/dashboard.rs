//! Journey 2: the dashboard of an affiliate.

use serde_json::json;

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_sees_link_balance_figures_and_conversions() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.see(".copyrow code", "/c/").await;
    browser.find(".linkcard svg.qr").await;
    browser.see(".linkcard", &program.affiliate.referral_code).await;
    browser.see(".head p", "You earn 12.50").await;
    browser.see(".big", "120.00").await;
    browser.see(".dl", "62.50").await;
    let stats = browser.text(".stats").await;
    assert!(stats.contains("21") && stats.contains("11"), "{stats}");
    browser.see("table[data-cards]", "Rejected").await;
    browser.see("table[data-cards]", "Voluum").await;
    browser.see(".items", "no payout details").await;

    // The link is copied, and the button says so.
    browser.click(".copyrow [data-copy]").await;
    browser.see("#live", "Copied").await;
    // The period is in the URL, and the currency that is chosen stays.
    browser.click(".head .seg a:first-child").await;
    browser.see(".head .seg [aria-current]", "7 days").await;
    assert_eq!(browser.path().await, "/?days=7");
    // As the keyboard does it: chromedriver aims at a point below the emulated screen.
    browser.evaluate("document.querySelector('details.more summary').click()").await;
    browser.see("details.more table", "10 Mar").await;
    // By keyboard: the first stop leads to the content.
    let focus = "document.body.focus(); return document.querySelector('.skip').getAttribute('href')";
    assert_eq!(browser.evaluate(focus).await, json!("#main"));
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.save_screens("dashboard").await;
    browser.stop().await;
}
