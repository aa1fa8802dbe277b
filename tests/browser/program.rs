//! A small program with something to show on every page.

use postrider_tests::app::{Affiliate, Click, Link, TestApp, click_id_in};
use postrider_tests::database::Database;
use postrider_tests::people::{PASSWORD, Person};
use serde_json::json;
use std::time::Duration;

use crate::browser::Browser;

pub struct Program {
    pub t: TestApp,
    /// Ada's affiliate, with a link, clicks, conversions and postbacks.
    pub affiliate: Affiliate,
    pub link: Link,
    pub ada: Person,
    pub owner: Person,
}

impl Program {
    /// Conversions of five days in every status, a postback that is accepted and one that is refused, and a balance.
    pub async fn start() -> Self {
        let t = TestApp::start(Database::sqlite()).await;
        let affiliate = t.affiliate().await;
        let (ada, owner) = (t.person_of(&affiliate.id).await, t.person("owner").await);
        let offer = t.offer_with(json!({"name": "Harbor Pro", "hold_days": 14})).await;
        let link = t.link(&affiliate, &offer).await;
        t.postback("/voluum").owned_by(&affiliate).set("name", json!("Voluum")).save().await;
        for day in 0..5 {
            let clicks = day + 2;
            for at in 0..clicks {
                let query = ["?sub1=newsletter&keyword=email+tool&page=/pricing", "?sub1=newsletter"][at % 2];
                let click = visit(&t, &link, query).await;
                if at < 2 {
                    let status = ["approved", "pending"][at];
                    t.conversion(&click).status(status).send().await;
                }
            }
            t.advance(Duration::from_secs(24 * 3_600));
        }
        let click = visit(&t, &link, "").await;
        t.conversion(&click).rejected("duplicate order").send().await;
        let body = json!({"affiliate_id": affiliate.id, "amount": "120.00", "currency": "USD", "reason": "welcome"});
        t.admin.post("/api/v1/adjustments", &body).await.expect(201);
        t.deliver_all().await;
        Self { t, affiliate, link, ada, owner }
    }

    pub async fn browser(&self) -> Browser {
        Browser::start(&format!("http://{}", self.t.address())).await
    }
}

/// A click of a person; one without a browser counts as a bot.
async fn visit(t: &TestApp, link: &Link, query: &str) -> Click {
    let client = t.anonymous();
    let request = client.request(reqwest::Method::GET, &format!("{}{query}", link.path));
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let answer = client.send(request.header("user-agent", agent)).await;
    Click { id: click_id_in(&answer), link: link.clone() }
}

/// Signs in by the form.
pub async fn sign_in(browser: &Browser, person: &Person) {
    browser.open("/login").await;
    browser.fill("#email", &person.email).await;
    browser.fill("#password", PASSWORD).await;
    browser.click("form[action='/login'] button[type=submit]").await;
    browser.find(".side").await;
}
