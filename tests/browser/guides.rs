//! The guides of the systems that Postrider replaces, followed step by step: what a person clicks there is here, too.
//! The guide of AffRank is in `sources.rs`; the URLs of all guides are pasted in `connect.rs`.

use std::time::Duration;

use postrider_tests::client::text;
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use serde_json::Value;

use crate::connect::saved_id;
use crate::program::{Program, sign_in};

/// The guide of MailerRocket for affiliates: links, click log, earnings, and a postback that is verified before it is saved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_follows_the_guide_of_mailerrocket() {
    let program = Program::start().await;
    let t = &program.t;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;

    // Referral link and code are at the top of the dashboard, and a chart has clicks and conversions of 30 days.
    browser.see(".linkcard .copyrow code", "/c/").await;
    browser.see(".linkcard", &program.affiliate.referral_code).await;
    browser.see("main", "30 days").await;
    browser.see("main", "Conversion rate").await;
    // The click log: time, source, device, the external click id, and a filter by date.
    browser.click(".side a[href='/clicks']").await;
    browser.see("h1", "Clicks").await;
    browser.find("form.filters [name=from]").await;
    browser.see("#list", "newsletter").await;
    // Available, pending and lifetime.
    browser.click(".side a[href='/earnings']").await;
    for name in ["Available", "Pending", "Lifetime"] {
        browser.see("main", name).await;
    }

    // The full callback URL is pasted and split; two fixed values are added.
    t.receiver.next("/postback", [Reply::status(500)]);
    browser.click(".side a[href='/postbacks']").await;
    browser.click(".head a[href='/postbacks/new']").await;
    browser.fill("#url", &format!("{}?click_id={{click_id}}&payout={{payout}}", t.receiver.url("/postback"))).await;
    browser.click("button[value=paste]").await;
    browser.find(".params input[type=hidden][value=payout]").await;
    browser.evaluate("for (const it of document.querySelectorAll('details.more')) it.open = true").await;
    // A value is sent after a tick, under the name that the tracker expects.
    let row = "tr:has(input[type=hidden][value=plan_price])";
    browser.click(&format!("{row} input[type=checkbox]")).await;
    browser.fill(&format!("{row} td:nth-child(2) input"), "amount").await;
    browser.see("#preview .url", "amount=").await;
    browser.fill("[name='config/custom/0/name']", "source").await;
    browser.fill("[name='config/custom/0/value']", "mailerrocket").await;
    browser.see("#preview .url", "source=mailerrocket").await;

    // The verification fails, so nothing is saved, and the error is shown.
    browser.click(".savebar button[value=on]").await;
    browser.see("[role=alert]", "Nothing was saved").await;
    browser.see("#test .codeno", "500").await;
    browser.click(".savebar button[value=on]").await;
    let id = saved_id(&browser, "created").await;
    t.receiver.forget("/postback");

    // A purchase is a row of the log with the URL and the status of the answer; a failed one is sent again by hand.
    t.receiver.always("/postback", Reply::status(404));
    t.conversion(&t.click_on(&program.link, "?click_id=w8KQ2").await).transaction("MR-1").send().await;
    t.deliver_all().await;
    let log = format!("/deliveries?postback_id={id}");
    browser.open(&log).await;
    browser.see("tbody tr:first-child", "Failed").await;
    browser.see("tbody tr:first-child", "404").await;
    t.receiver.always("/postback", Reply::status(200));
    t.receiver.forget("/postback");
    browser.click("tbody tr:first-child td a").await;
    browser.see("main", "source=mailerrocket").await;
    browser.click("form[action$='/retry'] button").await;
    // The click returns before the server has the form.
    eventually("the postback to be sent again", async || {
        t.deliver_all().await;
        (!t.receiver.requests("/postback").is_empty()).then_some(())
    })
    .await;
    let sent = t.receiver.only_request("/postback");
    assert_eq!((sent.parameter("click_id").as_str(), sent.parameter("source").as_str()), ("w8KQ2", "mailerrocket"));
    browser.open(&log).await;
    browser.see("tbody tr:first-child", "Success").await;
    let refused = browser.take_console().await;
    assert!(refused.len() == 1 && refused[0].contains("422"), "only the verification failed: {refused:?}");
    browser.stop().await;
}

/// The guide of Integr8 for staff: scope, macros, firing status, rejection reasons and delay, and a postback to a CRM.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_follow_the_guide_of_integr8() {
    let program = Program::start().await;
    let t = &program.t;
    let click = t.click_on(&program.link, "?click_id=w8KQ2").await;
    let browser = program.browser().await;
    sign_in(&browser, &program.owner).await;

    browser.click(".side a[href='/postbacks']").await;
    browser.click(".head a[href='/postbacks/new']").await;
    browser
        .fill(
            "#url",
            &format!("{}?clickid={{external_transaction_id}}&status={{status}}", t.receiver.url("/publisher")),
        )
        .await;
    browser.click("button[value=paste]").await;
    browser.click("a[href*='adapter=integr8']").await;
    browser.see("h2#source-title", "Integr8").await;
    for kind in ["Click", "Conversion", "Event"] {
        browser.see("#rule", kind).await;
    }
    browser.fill("#name", "Publisher's tracker").await;
    // One offer and one publisher, who is found by the beginning of the name.
    browser.choose("#offer", &program.link.offer).await;
    let affiliate = t.admin.get(&format!("/api/v1/affiliates/{}", program.affiliate.id)).await.expect(200);
    browser.fill("#affiliate", &text(&affiliate, "name")[..3]).await;
    let code = format!("#affiliate-list option[value='{}']", program.affiliate.referral_code);
    browser.find(&code).await;
    browser.fill("#affiliate", &program.affiliate.referral_code).await;
    browser.click(".seg label:has([value=rejected])").await;
    browser.click("label:has([name=reason][value=fraud])").await;
    // The minimum of the delay is two minutes.
    browser.fill("#delay", "30").await;
    browser.choose("#unit", "seconds").await;
    browser.click(".savebar button[value=on]").await;
    browser.see("main", "at least").await;
    browser.fill("#delay", "2").await;
    browser.choose("#unit", "minutes").await;
    browser.see("#sentence", "2 minutes").await;
    browser.save_screens("editor-integr8").await;
    browser.click(".savebar button[value=on]").await;
    let id = saved_id(&browser, "created").await;
    t.receiver.forget("/publisher");

    // Of two rejections only the chosen reason fires, and only after the delay.
    t.tick();
    t.conversion(&click).transaction("I-1").rejected("duplicate").send().await;
    t.conversion(&click).transaction("I-2").rejected("fraud").send().await;
    t.deliver_all().await;
    assert!(t.receiver.requests("/publisher").is_empty());
    t.advance(Duration::from_secs(121));
    t.deliver_all().await;
    let sent = t.receiver.only_request("/publisher");
    assert_eq!((sent.parameter("clickid").as_str(), sent.parameter("status").as_str()), ("w8KQ2", "rejected"));
    // The logs show it.
    browser.open(&format!("/deliveries?postback_id={id}")).await;
    browser.see("tbody tr:first-child", "I-2").await;
    browser.see("tbody tr:first-child", "200").await;

    // The same data goes to a CRM, for any offer and publisher.
    browser.open("/postbacks/new").await;
    browser.click("a[href='/postbacks/new?adapter=crm-json']").await;
    browser.fill("#name", "CRM").await;
    browser.fill("[name='config/url']", &t.receiver.url("/crm")).await;
    browser.fill("[name='config/body']", r#"{"email": "{{customer_email}}", "order": "{{transaction_id}}"}"#).await;
    browser.see("#preview .pre", "\"order\":").await;
    browser.save_screens("editor-crm").await;
    browser.click(".savebar button[value=on]").await;
    let id = saved_id(&browser, "created").await;
    let saved = t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!(text(&saved, "firing_status"), "any");
    t.receiver.forget("/crm");
    t.tick();
    t.conversion(&click).transaction("I-3").send().await;
    t.deliver_all().await;
    let body: Value = serde_json::from_str(&t.receiver.only_request("/crm").body).expect("JSON");
    assert!(body.to_string().contains("I-3"), "{body}");
    let refused = browser.take_console().await;
    assert!(refused.len() == 1 && refused[0].contains("422"), "only the delay was refused: {refused:?}");
    browser.stop().await;
}
