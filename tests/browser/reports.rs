//! Journey 12: the revenue map and reports.

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_sees_which_keyword_earned_on_which_page() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.click(".side a[href='/revenue-map']").await;
    browser.see("h1", "Revenue map").await;
    browser.see(".stats", "Revenue").await;
    browser.see(".heat", "email tool").await;
    browser.see(".heat", "pricing").await;
    browser.see("#keywords", "Top keywords").await;
    browser.see("#pages", "Top pages").await;
    browser.save_screens("revenue-map").await;
    // Another figure is another URL.
    browser.click("#list .seg a[href*='figure=epc']").await;
    browser.see("#list .seg [aria-current]", "EPC").await;
    // A cell opens its clicks.
    browser.click(".heat td a").await;
    browser.see("h1", "Clicks").await;
    browser.see(".chips", "email tool").await;
    browser.see("#list tbody", "Harbor Pro").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_follows_its_url() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.click(".side a[href='/reports']").await;
    browser.see("h1", "Reports").await;
    browser.see(".graph + *, .chart-card", "Earned").await;
    browser.save_screens("reports").await;
    // A group that is chosen applies at once, and is in the URL.
    browser.choose("#group_by", "keyword").await;
    browser.see("#list thead", "Keyword").await;
    browser.choose("#then_by", "device").await;
    browser.see("#list thead", "Device").await;
    let path = browser.path().await;
    assert!(path.contains("group_by=keyword") && path.contains("then_by=device"), "{path}");
    // The head of a column sorts by it.
    browser.click("#list thead a[href*='sort=conversions']").await;
    browser.see("#list th[aria-sort=descending]", "Conversions").await;
    browser.save_screens("reports-by-keyword").await;
    // Own dates replace the period, and a period replaces own dates.
    browser.choose("#period", "7").await;
    browser.see(".chips", "Last 7 days").await;
    browser.choose("#from", "2020-01-01").await;
    browser.see(".chips", "1 Jan 2020").await;
    browser.choose("#until", "2020-01-02").await;
    browser.see(".chips", "2 Jan 2020").await;
    browser.see("#list", "Nothing in this period").await;
    browser.choose("#period", "90").await;
    browser.see(".chips", "Last 90 days").await;
    browser.see("#list tbody", "email tool").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}
