//! Archived affiliates, offers and links: they take nothing new, stay for everything that refers to them, and come back.

use postrider_tests::app::{Affiliate, Link, TestApp};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_archived_link_takes_no_clicks_and_keeps_its_past,
    an_archived_offer_leads_elsewhere_and_takes_nothing_new,
    the_default_offer_is_replaced_before_it_is_archived,
    an_archived_affiliate_gets_nothing_new_and_is_paid,
    lists_have_archived_objects_only_on_request,
    an_archived_link_makes_room_for_another,
    an_affiliate_archives_only_its_own_links,
);

async fn archive(t: &TestApp, path: &str) -> Value {
    t.admin.post(&format!("{path}/archive"), &json!({})).await.expect(200)
}

async fn restore(t: &TestApp, path: &str) -> Value {
    t.admin.post(&format!("{path}/restore"), &json!({})).await.expect(200)
}

async fn visit(t: &TestApp, link: &Link) -> Answer {
    t.anonymous().get(&link.path).await
}

async fn an_archived_link_takes_no_clicks_and_keeps_its_past(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let link = &click.link;
    let path = format!("/api/v1/links/{}", link.id);
    t.tick();
    let archived = archive(&t, &path).await;
    assert_eq!((&archived["status"], &archived["archived_at"]), (&json!("active"), &archived["updated_at"]));
    t.tick();
    assert_eq!(archive(&t, &path).await, archived, "again has no effect");

    assert_eq!(visit(&t, link).await.status, 404);
    assert_eq!(t.anonymous().get(&link.impression_path).await.status, 404);
    let conversion = t.conversion(&click).try_send().await.expect(201);
    assert_eq!((&conversion["status"], &conversion["link_id"]), (&json!("approved"), &json!(link.id)));
    assert_eq!(t.admin.get(&path).await.expect(200), archived);
    assert_eq!(t.balance(&link.affiliate, "USD").await[1], "12.50");

    let restored = restore(&t, &path).await;
    assert_eq!(restored["archived_at"], Value::Null);
    t.tick();
    assert_eq!(restore(&t, &path).await, restored, "again has no effect");
    t.click_on(link, "").await;
}

async fn an_archived_offer_leads_elsewhere_and_takes_nothing_new(db: Database) {
    let t = TestApp::start(db).await;
    t.offer().await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"visibility": "on_application", "hold_days": 1})).await;
    let path = format!("/api/v1/offers/{offer}");
    let applications = format!("{path}/applications");
    let admitted = t.admin.post(&applications, &json!({"affiliate_id": affiliate.id})).await.expect(201);
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let pending = t.conversion(&click).status("pending").send().await;
    let waiting = t.affiliate().await;
    let waiting = waiting.client.post(&applications, &json!({})).await.expect(201);

    let archived = archive(&t, &path).await;
    assert_eq!(archived["may_promote"], json!(false));
    assert_eq!(visit(&t, &click.link).await.status, 404);
    let fallback = json!({"fallback_url": "https://other.example/"});
    t.admin.patch(&path, &fallback).await.expect(200);
    let answer = visit(&t, &click.link).await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://other.example/")));
    assert_eq!(t.anonymous().get(&click.link.impression_path).await.status, 404);
    assert_eq!(t.database.count("clicks").await, 1, "who is sent elsewhere did not click");

    affiliate.client.post("/api/v1/links", &json!({"offer_id": offer})).await.expect_problem(409, "archived");
    let other = t.affiliate().await;
    other.client.post("/api/v1/links", &json!({"offer_id": offer})).await.expect_problem(409, "not_admitted");
    other.client.post(&applications, &json!({})).await.expect_problem(409, "archived");
    let approve = |it: &Value| format!("/api/v1/applications/{}/approve", text(it, "id"));
    t.admin.post(&approve(&waiting), &json!({})).await.expect_problem(409, "archived");
    let refuse = format!("/api/v1/applications/{}/refuse", text(&admitted, "id"));

    // What is in flight goes on.
    t.approve(&pending).await.expect(200);
    t.conversion(&click).send().await;
    assert_eq!(t.balance(&affiliate, "USD").await[0], "25.00");
    t.advance(std::time::Duration::from_secs(86_400));
    assert_eq!(t.balance(&affiliate, "USD").await[1], "25.00");

    restore(&t, &path).await;
    t.click_on(&click.link, "").await;
    t.admin.post(&approve(&waiting), &json!({})).await.expect(200);
    t.admin.post(&refuse, &json!({"reason": "no"})).await.expect(200);
    t.assert_books_balance().await;
}

async fn the_default_offer_is_replaced_before_it_is_archived(db: Database) {
    let t = TestApp::start(db).await;
    let (first, second) = (t.offer().await, t.offer().await);
    let path = |offer: &str| format!("/api/v1/offers/{offer}");
    let refused = t.admin.post(&format!("{}/archive", path(&first)), &json!({})).await;
    refused.expect_problem(409, "default_offer");
    t.admin.patch(&path(&second), &json!({"default": true})).await.expect(200);
    archive(&t, &path(&first)).await;
    t.admin.patch(&path(&first), &json!({"default": true})).await.expect_problem(409, "archived");
    restore(&t, &path(&first)).await;
    t.admin.patch(&path(&first), &json!({"default": true})).await.expect(200);
}

async fn an_archived_affiliate_gets_nothing_new_and_is_paid(db: Database) {
    let t = TestApp::start(db).await;
    let settings = t.admin.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&json!({"tiers": ["10"]}));
    t.admin.send(settings).await.expect(200);
    let (affiliate, sub) = (t.affiliate().await, t.affiliate().await);
    let parent = json!({"parent_affiliate": affiliate.id});
    t.admin.patch(&format!("/api/v1/affiliates/{}", sub.id), &parent).await.expect(200);
    let offer = t.offer_with(json!({"payout": {"fixed": "100.00"}})).await;
    let restricted = t.offer_with(json!({"visibility": "on_application"})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let pending = t.conversion(&click).status("pending").send().await;
    let sub_click = t.click_on(&t.link(&sub, &offer).await, "").await;
    let applications = format!("/api/v1/offers/{restricted}/applications");
    let application = affiliate.client.post(&applications, &json!({})).await.expect(201);

    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    let archived = archive(&t, &path).await;
    assert_eq!(archived["status"], "active");
    assert_eq!(visit(&t, &click.link).await.status, 404);
    assert_eq!(t.anonymous().get(&format!("/r/{}", affiliate.referral_code)).await.status, 404);
    affiliate.client.post("/api/v1/links", &json!({"offer_id": offer})).await.expect_problem(409, "archived");
    let approve = format!("/api/v1/applications/{}/approve", text(&application, "id"));
    t.admin.post(&approve, &json!({})).await.expect_problem(409, "archived");
    let invited = json!({"affiliate_id": affiliate.id});
    let third = t.offer_with(json!({"visibility": "private"})).await;
    let invitation = t.admin.post(&format!("/api/v1/offers/{third}/applications"), &invited).await;
    invitation.expect_problem(409, "archived");

    // It sees itself and its past, and its money is paid.
    assert_eq!(affiliate.client.list("/api/v1/affiliates").await, [archived]);
    t.approve(&pending).await.expect(200);
    assert_eq!(t.balance(&affiliate, "USD").await[1], "100.00");
    t.conversion(&sub_click).send().await;
    assert_eq!(t.balance(&affiliate, "USD").await[1], "100.00", "no more commissions");
    let details = json!({"method": "paypal", "details": {"email": "ada@example.org"}});
    let set = affiliate.client.request(Method::PUT, "/api/v1/payout-details").json(&details);
    affiliate.client.send(set).await.expect(200);
    let wanted = json!({"method": "paypal", "amount": "100.00", "currency": "USD"});
    let withdrawal = affiliate.client.post("/api/v1/withdrawals", &wanted).await.expect(201);
    let withdrawal = format!("/api/v1/withdrawals/{}", text(&withdrawal, "id"));
    t.admin.post(&format!("{withdrawal}/approve"), &json!({})).await.expect(200);
    let paid = t.admin.post(&format!("{withdrawal}/pay"), &json!({"reference": "TX-1"})).await.expect(200);
    assert_eq!(paid["status"], "paid");

    restore(&t, &path).await;
    t.click_on(&click.link, "").await;
    t.admin.post(&approve, &json!({})).await.expect(200);
    t.assert_books_balance().await;
}

async fn ids(client: &postrider_tests::client::Client, path: &str) -> Vec<String> {
    client.list(path).await.iter().map(|it| text(it, "id")).collect()
}

async fn lists_have_archived_objects_only_on_request(db: Database) {
    let t = TestApp::start(db).await;
    let affiliates: [Affiliate; 2] = [t.affiliate().await, t.affiliate().await];
    t.offer().await;
    let offers = [t.offer().await, t.offer().await];
    let links = [t.link(&affiliates[0], &offers[0]).await, t.link(&affiliates[0], &offers[1]).await];
    let cases = [
        ("affiliates", affiliates[0].id.clone(), affiliates[1].id.clone()),
        ("offers", offers[0].clone(), offers[1].clone()),
        ("links", links[0].id.clone(), links[1].id.clone()),
    ];
    for (list, archived, in_use) in &cases {
        archive(&t, &format!("/api/v1/{list}/{archived}")).await;
        for (query, wanted) in [
            ("", [false, true]),
            ("?archived=false", [false, true]),
            ("?archived=true", [true, false]),
            ("?archived=any", [true, true]),
        ] {
            let found = ids(&t.admin, &format!("/api/v1/{list}{query}")).await;
            assert_eq!([found.contains(archived), found.contains(in_use)], wanted, "{list}{query}: {found:?}");
        }
        let path = format!("/api/v1/{list}?search={archived}");
        assert_eq!(ids(&t.admin, &path).await, [""; 0], "{list}");
        assert_eq!(ids(&t.admin, &format!("{path}&archived=any")).await, [archived.as_str()], "{list}");
        t.admin.get(&format!("/api/v1/{list}?archived=yes")).await.expect_problem(400, "invalid_parameter");
        t.admin.get(&format!("/api/v1/{list}/{archived}")).await.expect(200);
    }
    assert!(!ids(&affiliates[1].client, "/api/v1/offers").await.contains(&offers[0]));
    assert!(ids(&affiliates[1].client, "/api/v1/offers?archived=true").await.contains(&offers[0]));
}

async fn an_archived_link_makes_room_for_another(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.links_per_affiliate = 1).await;
    let (affiliate, offer) = (t.affiliate().await, t.offer().await);
    let create = async || affiliate.client.post("/api/v1/links", &json!({"offer_id": offer})).await;
    let first = text(&create().await.expect(201), "id");
    create().await.expect_problem(409, "too_many_links");
    let path = |verb: &str| format!("/api/v1/links/{first}/{verb}");
    affiliate.client.post(&path("archive"), &json!({})).await.expect(200);
    create().await.expect(201);
    affiliate.client.post(&path("restore"), &json!({})).await.expect_problem(409, "too_many_links");
    t.admin.post(&path("restore"), &json!({})).await.expect(200);
}

async fn an_affiliate_archives_only_its_own_links(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.any_link().await, t.any_link().await);
    let client = &mine.affiliate.client;
    for verb in ["archive", "restore"] {
        let path = |link: &Link| format!("/api/v1/links/{}/{verb}", link.id);
        client.post(&path(&other), &json!({})).await.expect_problem(404, "not_found");
        client.post(&path(&mine), &json!({})).await.expect(200);
        for path in ["affiliates", "offers"].map(|it| format!("/api/v1/{it}")) {
            let id = if path.ends_with("offers") { &mine.offer } else { &mine.affiliate.id };
            client.post(&format!("{path}/{id}/{verb}"), &json!({})).await.expect_problem(403, "forbidden");
        }
    }
}
