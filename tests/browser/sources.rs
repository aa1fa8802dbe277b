//! Journey 10: the AffRank guide, followed step by step by an affiliate.

use postrider_tests::client::text;

use crate::program::{Program, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_follows_the_guide_of_affrank() {
    let program = Program::start().await;
    let t = &program.t;
    let browser = program.browser().await;
    sign_in(&browser, &program.ada).await;

    // Step 1: the postback URL is there from the start.
    browser.click(".side a[href='/sources']").await;
    browser.see("tbody", "AffRank").await;
    browser.see("tbody .st", "Nothing yet").await;
    browser.click("tbody a").await;
    browser.see(".answer", "Nothing has arrived yet.").await;
    let url = browser.text(".copyrow code").await;
    assert!(url.ends_with("?sessionId={SESSION_ID}&amount={COMMISSION}"), "{url}");
    browser.click(".copyrow [data-copy]").await;
    browser.see("#live", "Copied").await;

    // Step 2: where to paste it, by network.
    for place in [
        "ShareASale: Account → Merchant Terms → Postback URL",
        "CJ Affiliate: Account → Web Services → Tracking Tag",
        "Impact: Settings → Tracking → Postback URLs",
        "Rakuten: Dashboard → Links → Postback Settings",
        "ClickBank: Account Settings → My Site → Advanced Tools",
    ] {
        browser.see("main", place).await;
    }
    browser.save_screens("source-new").await;
    let source = browser.path().await;

    // Step 3: the session is appended to the affiliate URL by itself.
    let link = text(&program.affiliate.client.list("/api/v1/links").await[0], "url");
    let path = url::Url::parse(&link).unwrap().path().to_owned();
    let visited = t.anonymous().get(&format!("{path}?keyword=red+shoes&page=%2Freviews")).await;
    let landing = url::Url::parse(visited.header("location").unwrap()).unwrap();
    let sessions: Vec<_> = landing.query_pairs().filter(|(name, _)| name == "affrank_sid").collect();
    assert_eq!(sessions.len(), 1, "{landing}");
    let session = sessions[0].1.to_string();

    // The network returns another value: the page says what is wrong.
    let called = async |session: &str| {
        let filled = url.replace("{SESSION_ID}", session).replace("{COMMISSION}", "4.75");
        let filled = url::Url::parse(&filled).unwrap();
        t.anonymous().get(&format!("{}?{}", filled.path(), filled.query().unwrap_or_default())).await.status
    };
    assert_eq!(called("not-a-session-of-mine").await, 422);
    browser.open(&source).await;
    browser.see(".answer", "the last one was not accepted").await;
    browser.see(".answer", "carried it as affrank_sid").await;
    browser.save_screens("source-refused").await;
    browser.click(".answer a").await;
    browser.see(".answer", "Refused: no conversion was made of it.").await;
    browser.see("table", "not-a-session-of-mine").await;
    browser.save_screens("request-refused").await;

    // "Paste the postback URL directly into a browser with real values: if it returns 200, the URL is correct."
    t.tick();
    assert_eq!(called(&session).await, 200);
    browser.open(&source).await;
    browser.see(".answer", "Yes: the last request arrived").await;
    browser.see("aside dl", "Accepted").await;
    browser.save_screens("source-arriving").await;

    // The revenue is there, with its keyword and page.
    browser.click(".tabbar a[href^='/inbound-requests']").await;
    browser.see("tbody", "Accepted").await;
    browser.save_screens("inbound-requests").await;
    browser.click("tbody tr:first-child a[href^='/inbound-requests/']").await;
    browser.see(".answer", "Accepted: it created or changed a conversion.").await;
    browser.see("table", &session).await;
    browser.save_screens("request-accepted").await;
    browser.click(".answer a[href^='/conversions/']").await;
    browser.see("main", "4.75").await;
    let map = program.affiliate.client.get("/api/v1/reports/revenue-map?currency=USD").await.expect(200);
    let keyword = map["keywords"].as_array().unwrap().iter().find(|it| it["keys"][0]["value"] == "red shoes");
    assert!(keyword.is_some_and(|it| it.to_string().contains("4.75")), "{map:#}");

    // A word that nobody has explained yet.
    let filled =
        url.replace("{SESSION_ID}", &session).replace("{COMMISSION}", "2.00") + "&status=pre_paid&transaction_id=T-2";
    let filled = url::Url::parse(&filled).unwrap();
    t.anonymous().get(&format!("{}?{}", filled.path(), filled.query().unwrap_or_default())).await;
    browser.open(&source).await;
    browser.see(".word", "pre_paid").await;
    browser.save_screens("source-words").await;
    browser.evaluate("document.querySelector('.word select').value = 'approved'; return true").await;
    browser.click("form[action$='/words'] button[type=submit]").await;
    browser.see(".toast-box, .messages", "The meanings are saved.").await;
    t.deliver_all().await;

    // It can be switched off.
    browser.click(".tabbar a[href$='/settings']").await;
    browser.save_screens("source-settings").await;
    browser.click("#append").await;
    browser.click("main form button[type=submit]").await;
    browser.see(".toast-box, .messages", "The settings are saved.").await;
    let visited = t.anonymous().get(&path).await;
    assert!(!visited.header("location").unwrap().contains("affrank_sid"));
    assert_eq!(browser.take_console().await, Vec::<String>::new());
    browser.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_create_a_source_without_scripts() {
    let program = Program::start().await;
    let browser = program.browser().await;
    sign_in(&browser, &program.owner).await;
    browser.disable_scripts().await;
    browser.open("/sources/new?template=mylead").await;
    browser.see("main", "MyLead").await;
    browser.fill("#name", "MyLead Europe").await;
    browser.click("form[action='/sources'] button[type=submit]").await;
    browser.see("main", "shown only this once").await;
    browser.see(".copyrow code", "[transaction_id]").await;
    browser.stop().await;
}
