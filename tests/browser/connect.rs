//! Journey 6: a tracker is connected from a template, from a pasted URL, by keyboard only, and on a phone.

use postrider_tests::client::text;
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use serde_json::json;

use crate::browser::{Browser, LOOKS};
use crate::program::{Program, sign_in};

const KEY: &str = "a1b2c3d4e5";
const PATH: &str = "/a1b2c3d4e5/postback";

/// The address of the receiver, as the domain of a tracker.
fn domain(program: &Program) -> String {
    program.t.receiver.url("").trim_end_matches('/').to_owned()
}

/// The id of the postback, when its page says that it was created or saved.
pub async fn saved_id(browser: &Browser, done: &str) -> String {
    let what = format!("a postback to be {done}");
    let is_done = async || {
        let path = browser.path().await;
        path.contains(&format!("done={done}")).then_some(path)
    };
    let path = eventually(&what, is_done).await;
    let id = path.split(['/', '?']).find(|part| part.starts_with("pbk_"));
    id.unwrap_or_else(|| panic!("{path} is no page of a postback")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_connects_a_tracker_from_its_template() {
    let program = Program::start().await;
    let offer = program.t.offer_with(json!({"name": "Second"})).await;
    let link = program.t.link(&program.affiliate, &offer).await;
    let click = program.t.click_on(&link, "?click_id=w8KQ2").await;
    program.t.conversion(&click).transaction("HM-76").send().await;
    program.t.deliver_all().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/templates").await;
    browser.see("h1", "Connect a tracker or network").await;
    browser.save_screens("templates").await;
    browser.fill("#q", "docs.keitaro.io").await;
    browser.see("#list", "Keitaro").await;
    browser.click("#list a[href*='template=keitaro']").await;
    browser.see("h1", "Connect Keitaro").await;
    browser.see("#preview", "Tracking domain is missing").await;
    browser.fill("[name='fields/tracking_domain']", &domain(&program)).await;
    browser.fill("[name='fields/postback_key']", KEY).await;
    browser.see("#preview .pill", "Would fire").await;
    let shown = browser.see("#preview .url", "subid=test-click").await;
    assert!(!shown.contains(KEY), "the key is hidden: {shown}");
    // A real event, and the rule read back.
    browser.evaluate("const it = document.querySelector('#event'); it.value = it.options[1].value; it.dispatchEvent(new Event('input', {bubbles: true}))").await;
    browser.see("#preview .url", "tid=HM-76").await;
    browser.click(".seg label:has([value=approved])").await;
    browser.see("#sentence", "is approved").await;
    browser.see("#estimate", "Would have fired").await;
    browser.click("button[value=test]").await;
    browser.see("#test", "Accepted").await;
    browser.save_screens("editor-template").await;
    browser.click(".savebar button[value=on]").await;
    let id = saved_id(&browser, "created").await;
    let saved = program.t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!((text(&saved, "firing_status").as_str(), &saved["enabled"]), ("approved", &json!(true)));

    // A conversion fires it.
    program.t.receiver.forget(PATH);
    program.t.tick();
    program.t.conversion(&click).transaction("HM-77").send().await;
    program.t.deliver_all().await;
    let sent = program.t.receiver.only_request(PATH);
    assert_eq!((sent.parameter("subid").as_str(), sent.parameter("tid").as_str()), ("w8KQ2", "HM-77"));
    assert_eq!(sent.parameter("status"), "sale");

    // The editor of the saved postback keeps the key.
    browser.open(&format!("/postbacks/{id}/edit")).await;
    browser.see("h1", "Edit postback").await;
    browser.see("#preview .pill", "Would fire").await;
    browser.save_screens("editor-saved").await;
    browser.fill("#name", "Keitaro 2").await;
    browser.click(".savebar button[value=on]").await;
    saved_id(&browser, "saved").await;
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_urls_of_the_guides_are_read_and_recognised() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/postbacks/new").await;
    browser.save_screens("new-postback").await;
    // The URL of MailerRocket's guide.
    let url = format!(
        "{}?event=sale&click_id={{click_id}}&payout={{payout}}&name={{customer_name}}&email={{customer_email}}\
         &plan_name={{plan_name}}&plan_price={{plan_price}}&purchase_date={{purchase_date}}&purchase_id={{purchase_id}}&s={{plan_nam}}&key=s3cr3tk3y",
        program.t.receiver.url("/postback")
    );
    browser.fill("#url", &url).await;
    browser.click("button[value=paste]").await;
    browser.see("h2#source-title", "Macro").await;
    browser.see("main", "Did you mean plan_name").await;
    browser.see("main", "looks like a secret").await;
    browser.see(".params", "Choose a value").await;
    browser.save_screens("editor-pasted").await;
    // The unknown value is chosen, and a value is named by ticking it.
    browser.evaluate("for (const it of document.querySelectorAll('.params select')) { it.value = 'sub1'; it.dispatchEvent(new Event('input', {bubbles: true})) }").await;
    browser.see("#preview .pill", "Would fire").await;
    browser.see("#preview .url", "plan_name=").await;
    browser.click(".savebar button[value=on]").await;
    saved_id(&browser, "created").await;
    let sent = program.t.receiver.only_request("/postback");
    assert_eq!((sent.parameter("event").as_str(), sent.parameter("payout").as_str()), ("sale", "12.50"));
    assert_eq!((sent.parameter("key").as_str(), sent.parameter("s").as_str()), ("s3cr3tk3y", "test-sub1"));

    // Integr8's and MyLead's own words are offered their adapters.
    let integr8 = format!("{}?clickid={{external_transaction_id}}&status={{status}}", program.t.receiver.url("/i8"));
    browser.open("/postbacks/new").await;
    browser.fill("#url", &integr8).await;
    browser.click("button[value=paste]").await;
    browser.see("main", "in the words of Integr8").await;
    let mylead = format!(
        "{}?subID=[transaction_id]&program=[program_id]&name=[program_name]&status=[status]&payout=[payout]",
        program.t.receiver.url("/ml")
    );
    browser.open("/postbacks/new").await;
    browser.fill("#url", &mylead).await;
    browser.click("button[value=paste]").await;
    browser.see("main", "in the words of MyLead").await;
    browser.click("a[href*='adapter=mylead']").await;
    browser.see("h2#source-title", "MyLead").await;
    browser.see("#preview .url", "payout=1250").await;
    browser.fill("#name", "MyLead's words").await;
    browser.click(".savebar button[value=on]").await;
    saved_id(&browser, "created").await;
    assert_eq!(program.t.receiver.only_request("/ml").parameter("payout"), "1250", "in pennies");
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_postback_shows_the_answer_and_can_be_saved_as_unverified() {
    let program = Program::start().await;
    program.t.receiver.always("/no", Reply::body(403, "Forbidden: unknown key"));
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.show(LOOKS[2]).await;
    browser.open("/postbacks/new?adapter=macro-url").await;
    browser.fill("#name", "Refusing").await;
    browser.fill("[name='config/base_url']", &program.t.receiver.url("/no")).await;
    browser.click(".savebar button[value=on]").await;
    browser.see("[role=alert]", "Nothing was saved").await;
    browser.see("#test", "Forbidden: unknown key").await;
    browser.see("#test .codeno", "403").await;
    browser.save_screens("editor-refused").await;
    browser.show(LOOKS[2]).await;
    browser.click(".savebar button[value=unverified]").await;
    let path = format!("/api/v1/postbacks/{}", saved_id(&browser, "created").await);
    assert_eq!(program.t.admin.get(&path).await.expect(200)["verified_at"], json!(null));
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_is_connected_with_the_keyboard_only() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;
    browser.open("/templates").await;
    browser.tab_to("#q").await;
    browser.insert("keitaro").await;
    browser.see("#list", "Keitaro").await;
    browser.tab_to("#list a[href*='template=keitaro']").await;
    browser.press("Enter").await;
    browser.see("h1", "Connect Keitaro").await;
    browser.tab_to("[name='fields/tracking_domain']").await;
    browser.insert(&domain(&program)).await;
    browser.tab_to("[name='fields/postback_key']").await;
    browser.insert(KEY).await;
    browser.see("#preview .pill", "Would fire").await;
    browser.tab_to("button[value=test]").await;
    browser.press("Enter").await;
    browser.see("#test", "Accepted").await;
    browser.tab_to(".savebar button[value=on]").await;
    browser.press("Enter").await;
    saved_id(&browser, "created").await;
    browser.stop().await;
}
