//! Reports, the revenue map and their export.

use postrider_tests::app::{Affiliate, Click, Link, TestApp, click_id_in};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::json;

use super::submit;

on_both_databases!(
    a_report_is_compared_and_exported_as_it_is_shown,
    two_currencies_are_never_added,
    the_revenue_map_leads_to_its_clicks,
    reports_of_others_are_not_shown,
);

/// The click of a person; one without a browser counts as a bot.
async fn visit(t: &TestApp, link: &Link, query: &str) -> Click {
    let client = t.anonymous();
    let request = client.request(Method::GET, &format!("{}{query}", link.path));
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let answer = client.send(request.header("user-agent", agent)).await;
    Click { id: click_id_in(&answer), link: link.clone() }
}

struct Program {
    t: TestApp,
    client: Client,
    affiliate: Affiliate,
    link: Link,
}

/// An affiliate with three clicks with keywords, two of which have a sale.
async fn program(db: Database) -> Program {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"name": "Harbor Pro", "payout": {"fixed": "14.70"}})).await;
    let link = t.link(&affiliate, &offer).await;
    for (keyword, sales) in [("email+tool", 1), ("email+tool", 0), ("=sum", 1)] {
        let click = visit(&t, &link, &format!("?keyword={keyword}&page=/pricing")).await;
        for _ in 0..sales {
            t.conversion(&click).send().await;
        }
    }
    let client = t.person_of(&affiliate.id).await.client;
    Program { t, client, affiliate, link }
}

async fn a_report_is_compared_and_exported_as_it_is_shown(db: Database) {
    // The server lives as long as its test.
    let Program { t: _t, client, .. } = program(db).await;
    let page = client.get("/reports?group_by=keyword&sort=payout").await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in ["email tool", "29.40", "aria-sort=\"descending\"", "Sum of 2 rows"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let fields = [("group_by", "keyword"), ("sort", "clicks"), ("period", "7")];
    let file = submit(&client, "/reports/export", &fields).await;
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<_> = file.text.lines().collect();
    assert_eq!(
        lines,
        [
            "keyword,clicks,unique_clicks,conversions,conversion_rate,payout (USD),epc (USD),clicks before,\
             unique_clicks before,conversions before,conversion_rate before,payout (USD) before,epc (USD) before",
            "email tool,2,1,1,0.50,14.70,7.35,0,0,0,,0.00,",
            "\"'=sum\",1,0,1,1.00,14.70,14.70,0,0,0,,0.00,",
        ]
    );
    // A time names its zone, and without a comparison there are no columns for it.
    let file = submit(&client, "/reports/export", &[("compare", "none"), ("then_by", "offer")]).await;
    assert!(file.text.starts_with("day (UTC),offer,clicks,"), "{}", file.text);
    assert!(!file.text.contains("before") && file.text.contains(",Harbor Pro,3,"), "{}", file.text);
    // What a form sends twice about the period is settled by what the page showed.
    let dates = "from=2020-01-01&until=2020-01-02";
    let empty = client.get(&format!("/reports?{dates}&period=7&shown=period")).await;
    assert!(empty.text.contains("Nothing in this period"), "{}", empty.text);
    let full = client.get(&format!("/reports?{dates}&period=7&shown=own")).await;
    assert!(full.text.contains("Sum of 1 row"), "{}", full.text);
    for wrong in [
        "from=soon",
        "from=2026-02-02&until=2026-02-01",
        "from=2001-01-01&until=2026-01-01",
        "offer_id=1",
        "currency=x",
    ] {
        assert_eq!(client.get(&format!("/reports?{wrong}")).await.status, 400, "{wrong}");
    }
}

async fn two_currencies_are_never_added(db: Database) {
    let Program { t, client, affiliate, .. } = program(db).await;
    let offer = t.offer_with(json!({"name": "Euro", "currency": "EUR", "payout": {"fixed": "5.00"}})).await;
    let click = visit(&t, &t.link(&affiliate, &offer).await, "?keyword=euro").await;
    t.conversion(&click).set("currency", json!("EUR")).send().await;
    for path in ["/reports?group_by=keyword", "/revenue-map?x=1"] {
        let euros = client.get(path).await;
        assert!(euros.text.contains("5.00") && !euros.text.contains("29.40"), "{}", euros.text);
        let dollars = client.get(&format!("{path}&currency=USD")).await;
        assert!(dollars.text.contains("29.40") && !dollars.text.contains("34.40"), "{}", dollars.text);
    }
}

async fn the_revenue_map_leads_to_its_clicks(db: Database) {
    let Program { t, client, link, .. } = program(db).await;
    visit(&t, &link, "?keyword=email+tools").await;
    let page = client.get("/revenue-map").await;
    for shown in ["Keywords × pages", "/pricing", "email tool", "29.40", "Top keywords", "Top pages", "EPC 7.35"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let (_, rest) = page.text.split_once("data-q=\"4\"><a href=\"").expect("a cell with a link");
    let path = rest.split('"').next().unwrap().replace("&#x3D;", "=").replace("&amp;", "&");
    assert!(path.contains("keyword=email+tool") || path.contains("keyword=%3Dsum"), "{path}");
    let clicks = client.get("/clicks?keyword=email+tool&page=/pricing").await;
    assert_eq!(clicks.text.matches("class=\"id\" href=\"/clicks/").count(), 2, "{}", clicks.text);
    assert_eq!(client.get(&path).await.status, 200);
    let file = submit(&client, "/clicks/export", &[("keyword", "email tool")]).await;
    assert_eq!(file.text.lines().count(), 3, "{}", file.text);
    let nothing = client.get("/clicks?keyword=email").await;
    assert!(nothing.text.contains("No click matches these filters"), "{}", nothing.text);
}

async fn reports_of_others_are_not_shown(db: Database) {
    let Program { t, affiliate, .. } = program(db).await;
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    for path in ["/reports?group_by=keyword", "/revenue-map"] {
        let page = stranger.get(path).await;
        assert!(page.status == 200 && !page.text.contains("email tool"), "{}", page.text);
    }
    assert_eq!(stranger.get(&format!("/reports?affiliate_id={}", affiliate.id)).await.status, 404);
    let file = submit(&stranger, "/reports/export", &[("group_by", "keyword")]).await;
    assert_eq!(file.text.lines().count(), 1, "{}", file.text);
    // Staff sees all, with revenue and profit.
    let owner = t.person("owner").await;
    let page = owner.client.get("/reports?group_by=affiliate").await;
    assert!(page.text.contains("Profit") && page.text.contains("29.40"), "{}", page.text);
    let log = t.admin.list("/api/v1/audit?operation=export").await;
    assert!(log.iter().any(|it| text(it, "outcome") == "done"), "{log:?}");
}
