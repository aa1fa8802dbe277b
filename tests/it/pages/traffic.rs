//! Offers, links and the click log of an affiliate.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

use super::submit;

on_both_databases!(
    an_affiliate_creates_and_changes_a_link,
    a_link_of_another_affiliate_is_not_found,
    an_affiliate_applies_for_an_offer,
    the_click_log_is_filtered_and_exported_as_it_is_shown,
);

async fn an_affiliate_creates_and_changes_a_link(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    let nothing = client.get("/links").await;
    assert!(nothing.text.contains("No link yet") && nothing.text.contains("href=\"/links/new\""), "{}", nothing.text);
    assert!(client.get("/links/new").await.text.contains("no offer that you may promote"));
    let offer = t.offer_with(json!({"name": "Harbor <b>", "deep_link_hosts": ["shop.example"]})).await;

    let foreign = [("offer_id", offer.as_str()), ("deep_url", "https://evil.example/"), ("sub1", "news letter")];
    let refused = submit(&client, "/links", &foreign).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for kept in ["id=\"deep_url-error\"", "it allows shop.example", "news letter", "Harbor &lt;b&gt;"] {
        assert!(refused.text.contains(kept), "{kept}: {}", refused.text);
    }
    let fields = [
        ("offer_id", offer.as_str()),
        ("deep_url", "https://shop.example/product/1"),
        ("tracker", "voluum"),
        ("sub1", "news letter"),
    ];
    let created = submit(&client, "/links", &fields).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let location = created.header("location").unwrap().to_owned();
    assert!(location.contains("done=created&tracker=voluum&sub1=news+letter"), "{location}");
    let page = client.get(&location).await;
    for shown in ["The link is created.", "{clickid}", "sub1&#x3D;news+letter", "https://shop.example/product/1"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    // A macro in a QR code would stay a macro; without a tracker there is a code.
    let path = location.split('?').next().unwrap();
    assert!(!page.text.contains("class=\"qr\"") && client.get(path).await.text.contains("class=\"qr\""));

    let id = path.strip_prefix("/links/").unwrap();
    let link = client.get(&format!("/api/v1/links/{id}")).await.expect(200);
    let visited = url::Url::parse(&text(&link, "url")).unwrap().path().to_owned();
    assert_eq!(t.anonymous().get(&visited).await.status, 302);
    assert!(client.get("/links?search=https://shop.example/prod").await.text.contains(id));
    let paused = submit(&client, &format!("{path}/status"), &[("status", "paused")]).await;
    assert_eq!(paused.header("location"), Some(format!("{path}?done=paused").as_str()), "{}", paused.text);
    assert_eq!(t.anonymous().get(&visited).await.status, 404);
    submit(&client, &format!("{path}/status"), &[("status", "active")]).await;
    assert_eq!(t.anonymous().get(&visited).await.status, 302);
    let wrong = submit(&client, path, &[("deep_url", ""), ("landing_page", "nowhere")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("id=\"landing_page-error\""), "{}", wrong.text);
    assert_eq!(submit(&client, path, &[("deep_url", ""), ("landing_page", "")]).await.status, 303);
    assert_eq!(submit(&client, &format!("{path}/archive"), &[]).await.status, 303);
    assert!(client.get("/links").await.text.contains("No link yet"));
    assert!(client.get("/links?archived=true").await.text.contains(id));
    assert!(client.get(path).await.text.contains(&format!("action=\"{path}/restore\"")));
    assert_eq!(submit(&client, &format!("{path}/restore"), &[]).await.status, 303);
    assert_eq!(t.anonymous().get(&visited).await.status, 302);

    let log = t.admin.list(&format!("/api/v1/audit?object={id}")).await;
    let operations: Vec<_> = log.iter().map(|it| text(it, "operation")).collect();
    let wanted =
        ["restore_link", "archive_link", "change_link", "change_link", "change_link", "change_link", "create_link"];
    assert_eq!(operations, wanted);
    let change = json!([{"field": "deep_url", "from": "https://shop.example/product/1", "to": null}]);
    assert_eq!(log[2]["changes"], change);
}

async fn a_link_of_another_affiliate_is_not_found(db: Database) {
    let t = TestApp::start(db).await;
    let other = t.any_link().await;
    let click = t.click_on(&other, "?sub1=secret").await;
    let client = t.person_of(&t.affiliate().await.id).await.client;
    for path in [format!("/links/{}", other.id), format!("/clicks/{}", click.id)] {
        assert_eq!(client.get(&path).await.status, 404, "{path}");
    }
    for path in ["/links".to_owned(), "/clicks".to_owned(), format!("/clicks?link_id={}", other.id)] {
        let page = client.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("secret") && !page.text.contains(&click.id), "{path}: {}", page.text);
    }
    let path = format!("/links/{}/archive", other.id);
    assert_eq!(submit(&client, &path, &[]).await.status, 404);
    let file = submit(&client, "/clicks/export", &[("link_id", &other.id)]).await;
    assert_eq!((file.status, file.text.lines().count()), (200, 1), "{}", file.text);
    t.admin.get(&format!("/api/v1/links/{}", other.id)).await.expect(200);
}

async fn an_affiliate_applies_for_an_offer(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    let offer = t
        .offer_with(json!({
            "name": "Harbor Pro", "visibility": "on_application", "hold_days": 14,
            "caps": {"limits": [{"per": "affiliate", "period": "day", "conversions": 20}]},
        }))
        .await;
    t.offer_with(json!({"name": "Hidden", "visibility": "private"})).await;
    let list = client.get("/offers").await;
    assert!(list.text.contains("Harbor Pro") && list.text.contains("On application"), "{}", list.text);
    assert!(!list.text.contains("Hidden"), "a private offer is not listed");
    assert!(client.get("/offers?search=nothing").await.text.contains("No offer matches the search"));

    let path = format!("/offers/{offer}");
    let page = client.get(&path).await;
    for shown in ["for each conversion", "Held for 14 days", "At most 20 conversions a day", "Apply for this offer"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let long = "x".repeat(2_001);
    let refused = submit(&client, &format!("{path}/apply"), &[("message", &long)]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("id=\"message-error\""), "{}", refused.text);
    let sent = submit(&client, &format!("{path}/apply"), &[("message", "my blog")]).await;
    assert_eq!(sent.header("location"), Some(format!("{path}?done=applied").as_str()), "{}", sent.text);
    let page = client.get(&format!("{path}?done=applied")).await;
    assert!(page.text.contains("Your application is sent.") && !page.text.contains("Apply for this"), "{}", page.text);
    let applications = t.admin.list(&format!("/api/v1/applications?affiliate_id={}", affiliate.id)).await;
    assert_eq!(text(&applications[0], "message"), "my blog");

    let decide = format!("/api/v1/applications/{}", text(&applications[0], "id"));
    t.admin.post(&format!("{decide}/refuse"), &json!({"reason": "no coupon sites"})).await.expect(200);
    let page = client.get(&path).await;
    assert!(page.text.contains("Reason: no coupon sites") && !page.text.contains("/links/new"), "{}", page.text);
    t.admin.post(&format!("{decide}/approve"), &json!({})).await.expect(200);
    let page = client.get(&path).await;
    assert!(page.text.contains(&format!("/links/new?offer_id={offer}")), "{}", page.text);
}

async fn the_click_log_is_filtered_and_exported_as_it_is_shown(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    assert!(client.get("/clicks").await.text.contains("No click yet"));
    let offer = t.offer_with(json!({"name": "Harbor Pro"})).await;
    let link = t.link(&affiliate, &offer).await;
    let bought = t.click_on(&link, "?click_id=T-1&sub1=newsletter&keyword=shoes").await;
    let literal = t.click_on(&link, "?click_id={clickid}&sub1=blog").await;
    t.conversion(&bought).status("approved").send().await;

    let all = client.get("/clicks").await;
    assert!(all.text.contains("not replaced") && all.text.contains("1 click on this page"), "{}", all.text);
    let today = t.clock.now().to_string()[..10].to_owned();
    for (query, shown) in [
        ("sub1=newsletter", [true, false]),
        ("converted=yes", [true, false]),
        ("converted=no", [false, true]),
        ("external_click_id=T-1", [true, false]),
        ("unique=yes", [true, false]),
        (format!("link_id={}&action=click", link.id).as_str(), [true, true]),
        (format!("from={today}&until={today}").as_str(), [true, true]),
        ("until=2001-01-01", [false, false]),
        ("country=XX", [false, false]),
    ] {
        let page = client.get(&format!("/clicks?{query}")).await;
        assert_eq!([&bought, &literal].map(|click| page.text.contains(&click.id)), shown, "{query}: {}", page.text);
        let fields: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let file = submit(&client, "/clicks/export", &fields).await;
        assert_eq!((file.status, file.header("content-type")), (200, Some("text/csv; charset=utf-8")), "{query}");
        assert_eq!([&bought, &literal].map(|click| file.text.contains(&click.id)), shown, "{query}: {}", file.text);
    }
    assert_eq!(client.get("/clicks?from=soon").await.status, 400);
    let log = t.admin.list("/api/v1/audit?operation=export").await;
    assert!(!log.is_empty(), "an export is recorded");

    let page = client.get(&format!("/clicks/{}", bought.id)).await;
    for shown in ["keyword", "shoes", "T-1", "https://shop.example/landing", "Approved", "Harbor Pro"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let page = client.get(&format!("/clicks/{}", literal.id)).await;
    assert!(page.text.contains("A macro was not replaced") && page.text.contains("No conversion yet"), "{}", page.text);
}
