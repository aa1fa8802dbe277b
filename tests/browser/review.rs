//! Journey 13: staff reject conversions with a reason of the catalogue, and the affiliate reads it.

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_reject_three_conversions_and_the_affiliate_reads_why() {
    let program = Program::start().await;
    let browser = program.browser().await;
    // Days have passed since the people signed in.
    sign_in(&browser, &program.owner).await;
    browser.open("/rejection-reasons").await;
    browser.see("table[data-cards]", "The sale shows signs of fraud.").await;
    browser.see("#unlisted", "Not in the catalogue").await;
    browser.save_screens("rejection-reasons").await;
    browser.click("a[href='/rejection-reasons/fraud']").await;
    browser.save_screens("rejection-reason").await;

    browser.open("/conversions?status=pending").await;
    for row in 1..=3 {
        browser.click(&format!("#list tbody tr:nth-child({row}) input[name=id]")).await;
    }
    browser.save_screens("conversions-review").await;
    browser.click(".bulk button[value=reject]").await;
    browser.see("h1", "Reject 3 conversions").await;
    browser.click("input[name=reason][value=fraud]").await;
    browser.fill("#note", "Three orders from the same card.").await;
    browser.save_screens("conversions-decide").await;
    browser.click(".decide button").await;
    browser.see(".toast-box", "3 conversions are rejected.").await;
    browser.see("#list", "The sale shows signs of fraud.").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());

    // Approving one after all, without scripts.
    browser.disable_scripts().await;
    // The newest one was reported with words of its own.
    browser.click("#list tbody tr:nth-child(2) a").await;
    browser.see(".note[data-k=bad]", "Rejected: The sale shows signs of fraud.").await;
    browser.click(".head a[href*='decision=approve']").await;
    browser.see(".decide", "is earned").await;
    browser.click(".decide button").await;
    browser.see(".title", "Approved").await;
    browser.stop().await;

    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/conversions?status=rejected").await;
    browser.see("#list", "The sale shows signs of fraud.").await;
    browser.click("#list tbody a").await;
    browser.see(".note[data-k=bad]", "Rejected: ").await;
    browser.save_screens("conversion-rejected").await;
    browser.stop().await;
}
