//! Offers: who can promote them, what they pay, and where they lead.

use postrider_tests::app::{Affiliate, TestApp, click_id_in};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    the_most_specific_payout_applies,
    an_affiliate_sees_its_own_payout_and_no_revenue,
    an_advertiser_pays_what_was_agreed,
    an_offer_on_application_is_promoted_by_admitted_affiliates,
    a_private_offer_does_not_exist_for_others,
    a_revoked_approval_ends_the_promotion,
    a_paused_offer_leads_elsewhere_and_its_clicks_still_count,
    a_landing_page_is_chosen_by_name_link_or_weight,
    a_deep_link_leads_to_allowed_hosts_only,
    terms_that_do_not_fit_are_refused_and_change_nothing,
    terms_are_changed_one_by_one,
    an_unknown_goal_is_held_refused_or_accepted_as_the_offer_says,
);

async fn payout(t: &TestApp, affiliate: &Affiliate, offer: &str, goal: Option<&str>) -> String {
    let body = json!({"referral_code": affiliate.referral_code, "offer_id": offer, "goal": goal, "amount": "100.00",
        "transaction_id": format!("T-{}", t.unique())});
    text(&t.admin.post("/api/v1/conversions", &body).await.expect(201)["payout"], "amount")
}

async fn the_most_specific_payout_applies(db: Database) {
    let t = TestApp::start(db).await;
    let (star, other) = (t.affiliate().await, t.affiliate().await);
    let goals = json!([{"name": "lead", "payout": {"fixed": "2.00"}}, {"name": "sale", "payout": {"percent": "10"}}]);
    let offer = t.offer_with(json!({"goals": goals})).await;
    let path = format!("/api/v1/offers/{offer}/payout-overrides");
    let agree = async |goal: Option<&str>, payout: Value| {
        let body = json!({"affiliate_id": star.id, "goal": goal, "payout": payout});
        t.admin.post(&path, &body).await.expect(200)
    };
    agree(None, json!({"fixed": "20.00"})).await;
    let special = agree(Some("sale"), json!({"percent": "30"})).await;

    assert_eq!(payout(&t, &other, &offer, None).await, "12.50");
    assert_eq!(payout(&t, &other, &offer, Some("lead")).await, "2.00");
    assert_eq!(payout(&t, &other, &offer, Some("sale")).await, "10.00");
    assert_eq!(payout(&t, &other, &offer, Some("else")).await, "12.50");
    assert_eq!(payout(&t, &star, &offer, None).await, "20.00");
    assert_eq!(payout(&t, &star, &offer, Some("lead")).await, "2.00");
    assert_eq!(payout(&t, &star, &offer, Some("sale")).await, "30.00");
    assert_eq!(payout(&t, &star, &offer, Some("else")).await, "20.00");

    // A new override replaces the old one and applies to later conversions.
    let again = agree(Some("sale"), json!({"percent": "40"})).await;
    assert_eq!(again["id"], special["id"]);
    assert_eq!(payout(&t, &star, &offer, Some("sale")).await, "40.00");
    assert_eq!(t.admin.list(&path).await.len(), 2);
    let ended = t.admin.delete(&format!("/api/v1/payout-overrides/{}", text(&special, "id"))).await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    assert_eq!(payout(&t, &star, &offer, Some("sale")).await, "10.00");
}

async fn an_affiliate_sees_its_own_payout_and_no_revenue(db: Database) {
    let t = TestApp::start(db).await;
    let (star, other) = (t.affiliate().await, t.affiliate().await);
    let goals = json!([{"name": "lead", "payout": {"fixed": "2.00"}, "revenue": {"fixed": "77.77"}}, {"name": "sale"}]);
    let offer = t.offer_with(json!({"goals": goals, "revenue": {"percent": "77.77"}})).await;
    let payout_overrides = format!("/api/v1/offers/{offer}/payout-overrides");
    let body = json!({"affiliate_id": star.id, "payout": {"fixed": "20.00"}});
    t.admin.post(&payout_overrides, &body).await.expect(200);

    let path = format!("/api/v1/offers/{offer}");
    for (affiliate, own) in [(&star, "20.00"), (&other, "12.50")] {
        let seen = affiliate.client.get(&path).await.expect(200);
        assert_eq!(seen["payout"], json!({"fixed": own}));
        let paid: Vec<_> = seen["goals"].as_array().unwrap().iter().map(|goal| goal["payout"].clone()).collect();
        assert_eq!(paid, [json!({"fixed": "2.00"}), json!({"fixed": own})]);
        assert!(!seen.to_string().contains("77.77"), "revenue is not theirs to see: {seen}");
        assert_eq!(affiliate.client.list("/api/v1/offers").await, [seen]);
        affiliate.client.get(&payout_overrides).await.expect_problem(403, "forbidden");
        affiliate.client.post(&payout_overrides, &body).await.expect_problem(403, "forbidden");
    }
    let whole = t.admin.get(&path).await.expect(200);
    assert_eq!((&whole["payout"], &whole["revenue"]), (&json!({"fixed": "12.50"}), &json!({"percent": "77.77"})));
    assert_eq!(whole["goals"][0]["revenue"], json!({"fixed": "77.77"}));
}

async fn an_advertiser_pays_what_was_agreed(db: Database) {
    let t = TestApp::start(db).await;
    let goals = json!([{"name": "lead", "revenue": {"fixed": "5.00"}}]);
    let offer = t.offer_with(json!({"revenue": {"percent": "50"}, "goals": goals})).await;
    let affiliate = t.affiliate().await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let revenue = async |goal: Value, told: Value| {
        let report = t.conversion(&click).set("goal", goal).set("revenue", told);
        report.try_send().await.expect(201)["revenue"]["amount"].clone()
    };
    assert_eq!(revenue(Value::Null, Value::Null).await, "24.50");
    assert_eq!(revenue(json!("lead"), Value::Null).await, "5.00");
    assert_eq!(revenue(json!("lead"), json!("6.00")).await, "6.00", "what a report says counts");
}

async fn an_offer_on_application_is_promoted_by_admitted_affiliates(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"visibility": "on_application"})).await;
    let path = format!("/api/v1/offers/{offer}");
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!((&seen["may_promote"], &seen["application"]), (&json!(false), &Value::Null));
    let link = json!({"offer_id": offer});
    affiliate.client.post("/api/v1/links", &link).await.expect_problem(409, "not_admitted");
    let by_code = format!("/r/{}", affiliate.referral_code);
    assert_eq!(t.anonymous().get(&by_code).await.status, 404);
    let report = json!({"referral_code": affiliate.referral_code, "offer_id": offer, "transaction_id": "T"});
    t.admin.post("/api/v1/conversions", &report).await.expect_problem(422, "not_admitted");

    let body = json!({"message": "I write about mail"});
    let applications = format!("{path}/applications");
    let application = affiliate.client.post(&applications, &body).await.expect(201);
    assert_eq!(text(&application, "status"), "pending");
    assert_eq!(affiliate.client.post(&applications, &body).await.expect(201), application, "twice is once");
    affiliate.client.post("/api/v1/links", &link).await.expect_problem(409, "not_admitted");
    let approve = format!("/api/v1/applications/{}/approve", text(&application, "id"));
    affiliate.client.post(&approve, &json!({})).await.expect_problem(403, "forbidden");
    assert_eq!(t.admin.list("/api/v1/applications?status=pending").await, [application]);

    t.admin.post(&approve, &json!({})).await.expect(200);
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!((&seen["may_promote"], &seen["application"]), (&json!(true), &json!("approved")));
    affiliate.client.post("/api/v1/links", &link).await.expect(201);
    assert_eq!(t.anonymous().get(&by_code).await.status, 302);
    t.admin.post("/api/v1/conversions", &report).await.expect(201);
}

async fn a_private_offer_does_not_exist_for_others(db: Database) {
    let t = TestApp::start(db).await;
    let (guest, other) = (t.affiliate().await, t.affiliate().await);
    let open = t.offer().await;
    let offer = t.offer_with(json!({"visibility": "private"})).await;
    let path = format!("/api/v1/offers/{offer}");
    let applications = format!("{path}/applications");
    let invited = t.admin.post(&applications, &json!({"affiliate_id": guest.id})).await.expect(201);
    assert_eq!(text(&invited, "status"), "approved", "who is invited need not be approved");

    let ids = async |affiliate: &Affiliate| {
        let mut ids: Vec<_> = affiliate.client.list("/api/v1/offers").await.iter().map(|it| text(it, "id")).collect();
        ids.sort();
        ids
    };
    let mut both = [open.clone(), offer.clone()];
    both.sort();
    assert_eq!(ids(&guest).await, both);
    assert_eq!(ids(&other).await, [open]);
    guest.client.get(&path).await.expect(200);
    guest.client.post("/api/v1/links", &json!({"offer_id": offer})).await.expect(201);
    other.client.get(&path).await.expect_problem(404, "not_found");
    other.client.post("/api/v1/links", &json!({"offer_id": offer})).await.expect_problem(404, "not_found");
    other.client.post(&applications, &json!({})).await.expect_problem(404, "not_found");
    other.client.post(&applications, &json!({"affiliate_id": guest.id})).await.expect_problem(404, "not_found");
    // A postback names the offer or another owner: the answer is the same as for one that never existed.
    let last = if offer.ends_with('0') { '1' } else { '0' };
    let unknown = format!("{}{last}", &offer[..offer.len() - 1]);
    let refused = async |field: &str, value: serde_json::Value| {
        let answer = t.postback("/p").owned_by(&other).set(field, value).try_save().await;
        text(&answer.expect_problem(404, "not_found"), "detail")
    };
    let details = [
        refused("scope", json!({"offer_id": offer})).await.replace(&offer, "…"),
        refused("scope", json!({"offer_id": unknown})).await.replace(&unknown, "…"),
    ];
    assert_eq!(details[0], details[1]);
    refused("owner_affiliate_id", json!(guest.id)).await;
    let postback = t.postback("/p").owned_by(&other).save().await;
    let path_of_postback = format!("/api/v1/postbacks/{postback}");
    let scope = json!({"scope": {"offer_id": offer}});
    other.client.patch(&path_of_postback, &scope).await.expect_problem(404, "not_found");
    t.postback("/q").owned_by(&guest).set("scope", json!({"offer_id": offer})).save().await;
    let theirs = format!("/api/v1/applications/{}", text(&invited, "id"));
    other.client.get(&theirs).await.expect_problem(404, "not_found");
    assert!(other.client.list("/api/v1/applications").await.is_empty());
    assert_eq!(t.anonymous().get(&format!("/r/{}?offer_id={offer}", other.referral_code)).await.status, 404);
    assert_eq!(t.anonymous().get(&format!("/r/{}?offer_id={offer}", guest.referral_code)).await.status, 302);
}

async fn a_revoked_approval_ends_the_promotion(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"visibility": "on_application"})).await;
    let body = json!({"affiliate_id": affiliate.id});
    let application = t.admin.post(&format!("/api/v1/offers/{offer}/applications"), &body).await.expect(201);
    let link = t.link(&affiliate, &offer).await;
    let click = t.click_on(&link, "").await;

    let refuse = format!("/api/v1/applications/{}/refuse", text(&application, "id"));
    t.admin.post(&refuse, &json!({})).await.expect_problem(422, "invalid_field");
    let refused = t.admin.post(&refuse, &json!({"reason": "no coupon sites"})).await.expect(200);
    assert_eq!((text(&refused, "status"), text(&refused, "reason")), ("refused".into(), "no coupon sites".into()));
    assert_eq!(t.anonymous().get(&link.path).await.status, 404);
    let path = format!("/api/v1/links/{}", link.id);
    affiliate.client.patch(&path, &json!({"status": "active"})).await.expect_problem(409, "not_admitted");
    // Earlier clicks still count.
    t.conversion(&click).send().await;

    t.admin.post(&refuse.replace("refuse", "approve"), &json!({})).await.expect(200);
    affiliate.client.patch(&path, &json!({"status": "active"})).await.expect(200);
    t.click_on(&link, "").await;
}

async fn a_paused_offer_leads_elsewhere_and_its_clicks_still_count(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer().await;
    let path = format!("/api/v1/offers/{offer}");
    let link = t.link(&affiliate, &offer).await;
    let click = t.click_on(&link, "").await;

    t.admin.patch(&path, &json!({"status": "paused"})).await.expect(200);
    assert_eq!(t.anonymous().get(&link.path).await.status, 404);
    let elsewhere = "https://other.example/?aff={affiliate_id}";
    t.admin.patch(&path, &json!({"fallback_url": elsewhere})).await.expect(200);
    let answer = t.anonymous().get(&link.path).await;
    let wanted = format!("https://other.example/?aff={}", affiliate.id);
    assert_eq!((answer.status, answer.header("location")), (302, Some(wanted.as_str())));
    let by_code = t.anonymous().get(&format!("/r/{}", affiliate.referral_code)).await;
    assert_eq!(by_code.header("location"), Some(wanted.as_str()));
    assert_eq!(t.anonymous().get(&link.impression_path).await.status, 404);
    assert_eq!(t.database.count("clicks").await, 1, "who is sent elsewhere did not click");

    t.conversion(&click).send().await;
    let back = t.admin.patch(&path, &json!({"status": "active", "fallback_url": null})).await.expect(200);
    assert_eq!(back["fallback_url"], Value::Null);
    t.click_on(&link, "").await;
}

async fn a_landing_page_is_chosen_by_name_link_or_weight(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let page = |name: &str, weight: u32| json!({"name": name, "url": format!("https://shop.example/{name}?cid={{click_id}}"), "weight": weight});
    let offer = t.offer_with(json!({"landing_pages": [page("spring", 0), page("video", 0)]})).await;
    let link = t.link(&affiliate, &offer).await;
    let lands = async |path: &str| {
        let answer = t.anonymous().get(path).await;
        click_id_in(&answer);
        url::Url::parse(answer.header("location").unwrap()).unwrap().path().to_owned()
    };
    assert_eq!(lands(&link.path).await, "/landing");
    assert_eq!(lands(&format!("{}?lp=video", link.path)).await, "/video");
    assert_eq!(lands(&format!("{}?lp=nonsense", link.path)).await, "/landing");
    assert_eq!(lands(&format!("/r/{}?lp=spring", affiliate.referral_code)).await, "/spring");

    let spring = t.link_with(&affiliate, &offer, json!({"landing_page": "spring"})).await;
    assert_eq!(lands(&spring.path).await, "/spring");
    assert_eq!(lands(&format!("{}?lp=video", spring.path)).await, "/video");
    let unknown = json!({"affiliate_id": affiliate.id, "offer_id": offer, "landing_page": "nonsense"});
    t.admin.post("/api/v1/links", &unknown).await.expect_problem(422, "invalid_field");

    // With weights, visitors are distributed over the pages, and each visitor always gets the same one.
    let path = format!("/api/v1/offers/{offer}");
    t.admin.patch(&path, &json!({"landing_pages": [page("spring", 1), page("video", 1)]})).await.expect(200);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for visitor in 0..40 {
        let client = t.anonymous();
        let mut pages = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let request = client.request(reqwest::Method::GET, &link.path).header("user-agent", format!("v{visitor}"));
            let answer = client.send(request).await;
            pages.insert(url::Url::parse(answer.header("location").unwrap()).unwrap().path().to_owned());
        }
        assert_eq!(pages.len(), 1, "the same visitor, the same page");
        *seen.entry(pages.pop_first().unwrap()).or_default() += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["/spring", "/video"], "{seen:?}");
}

async fn a_deep_link_leads_to_allowed_hosts_only(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let hosts = json!(["shop.example", "*.shops.example"]);
    let offer = t.offer_with(json!({"deep_link_hosts": hosts})).await;
    let link = t.link(&affiliate, &offer).await;
    let follow = async |path: &str, url: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("url", url).finish();
        t.anonymous().get(&format!("{path}?{query}")).await
    };
    for (url, wanted) in [
        ("https://shop.example/product/1", "https://shop.example/product/1?cid="),
        ("https://shop.example/p?color=red#top", "https://shop.example/p?color=red&cid="),
        ("http://de.shops.example/", "http://de.shops.example/?cid="),
        ("https://shop.example/p?cid=forged", "https://shop.example/p?cid=0"),
    ] {
        for path in [&link.path, &format!("/r/{}", affiliate.referral_code)] {
            let answer = follow(path, url).await;
            assert_eq!(answer.status, 302, "{url}");
            let location = answer.header("location").unwrap();
            assert!(location.starts_with(wanted), "{location}");
            let click = click_id_in(&answer);
            let stored = t.admin.get(&format!("/api/v1/clicks/{click}")).await.expect(200);
            assert_eq!(text(&stored, "landing_url"), location);
        }
    }
    let clicks = t.database.count("clicks").await;
    for url in [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shops.example/",
        "https://user@shop.example/",
        "https://shop.example@evil.example/",
        "https://shop.example:8443/",
        "https://evil.example\\@shop.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "/product/1",
        "http%3A%2F%2Fevil.example%2F",
    ] {
        let answer = follow(&link.path, url).await;
        assert_eq!((answer.status, answer.header("location")), (404, None), "{url}");
    }
    assert_eq!(t.database.count("clicks").await, clicks, "who is led nowhere did not click");

    // A link with its own landing page.
    let deep = |url: &str| json!({"affiliate_id": affiliate.id, "offer_id": offer, "deep_url": url});
    affiliate.client.post("/api/v1/links", &deep("https://evil.example/")).await.expect_problem(422, "invalid_field");
    let own = t.link_with(&affiliate, &offer, json!({"deep_url": "https://shop.example/product/7"})).await;
    let landing = async || t.anonymous().get(&own.path).await.header("location").unwrap().to_owned();
    assert!(landing().await.starts_with("https://shop.example/product/7?cid="));
    // If the link's page is no longer allowed, it leads to the offer's own page.
    t.admin
        .patch(&format!("/api/v1/offers/{offer}"), &json!({"deep_link_hosts": ["de.shop.example"]}))
        .await
        .expect(200);
    assert!(landing().await.starts_with("https://shop.example/landing?cid="));
}

async fn terms_that_do_not_fit_are_refused_and_change_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer().await;
    let path = format!("/api/v1/offers/{offer}");
    let before = t.admin.get(&path).await.expect(200);
    for (terms, field) in [
        (json!({"goals": [{"name": "a"}, {"name": "a"}]}), "/goals/1/name"),
        (json!({"goals": [{"name": "a", "pay": {"fixed": "1"}}]}), "/goals/0/pay"),
        (json!({"goals": [{"name": "a", "payout": {"percent": "101"}}]}), "/goals/0/payout/percent"),
        (json!({"goals": [{"name": "a", "payout": {"fixed": 1}}]}), "/goals/0/payout/fixed"),
        (json!({"revenue": {"percent": "101"}}), "/revenue/percent"),
        (json!({"fallback_url": "javascript:alert(1)"}), "/fallback_url"),
        (json!({"landing_pages": [{"name": "a", "url": "https://{sub1}/"}]}), "/landing_pages/0/url"),
        (json!({"deep_link_hosts": ["*.com"]}), "/deep_link_hosts/0"),
        (json!({"attribution": {"window_days": 0}}), "/attribution/window_days"),
        (json!({"attribution": {"click": "best"}}), "/attribution/click"),
        (json!({"caps": {"limits": [{"period": "day"}]}}), "/caps/limits/0"),
        (json!({"caps": {"limits": [{"period": "week", "conversions": 1}]}}), "/caps/limits/0/period"),
        (json!({"caps": {"time_zone": "Mars"}}), "/caps/time_zone"),
    ] {
        let answer = t.admin.patch(&path, &terms).await;
        assert_eq!(answer.status, 422, "{terms}: {}", answer.text);
        let issue = &answer.json()["errors"][0];
        assert!(text(issue, "path").starts_with(field), "{terms}: {}", answer.text);
    }
    assert_eq!(t.admin.get(&path).await.expect(200), before);
}

async fn terms_are_changed_one_by_one(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"goals": [{"name": "lead"}], "revenue": {"fixed": "30"}})).await;
    let path = format!("/api/v1/offers/{offer}");
    let caps = json!({"limits": [{"per": "offer", "period": "day", "conversions": 5, "payout": null}], "over": "hold",
        "time_zone": "+01:00", "keep_rejected": true});
    let changed = t.admin.patch(&path, &json!({"caps": caps, "visibility": "private"})).await.expect(200);
    assert_eq!(changed["caps"], caps);
    assert_eq!(changed["goals"][0]["name"], "lead");
    assert_eq!(changed["revenue"], json!({"fixed": "30.00"}));
    assert_eq!(t.admin.get(&path).await.expect(200), changed);
    let changed = t.admin.patch(&path, &json!({"revenue": null, "goals": []})).await.expect(200);
    assert_eq!((&changed["revenue"], &changed["goals"], &changed["caps"]), (&Value::Null, &json!([]), &caps));
}

async fn an_unknown_goal_is_held_refused_or_accepted_as_the_offer_says(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"goals": [{"name": "trial"}, {"name": "sale"}]})).await;
    let path = format!("/api/v1/offers/{offer}");
    assert_eq!(t.admin.get(&path).await.expect(200)["unknown_goal"], "hold");
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let report =
        |goal: &str, id: &str| t.conversion(&click).transaction(id).set("goal", json!(goal)).status("approved");

    let known = report("trial", "T-1").try_send().await.expect(201);
    assert_eq!((&known["status"], &known["attribution"]), (&json!("approved"), &json!(null)));
    let held = report("trail", "T-2").try_send().await.expect(201);
    assert_eq!((&held["status"], &held["attribution"]["ruling"]), (&json!("pending"), &json!("unknown_goal")));
    // Reporting it again does not approve it; a person does.
    assert_eq!(report("trail", "T-2").try_send().await.expect(200)["status"], "pending");
    assert_eq!(t.approve(&text(&held, "id")).await.expect(200)["status"], "approved");

    t.admin.patch(&path, &json!({"unknown_goal": "refuse"})).await.expect(200);
    let refused = report("trail", "T-3").try_send().await.expect_problem(422, "unknown_goal");
    assert!(text(&refused, "detail").contains("its goals are: trial, sale"), "{refused}");
    t.admin.patch(&path, &json!({"unknown_goal": "accept"})).await.expect(200);
    assert_eq!(report("trail", "T-4").try_send().await.expect(201)["status"], "approved");
    t.admin.patch(&path, &json!({"unknown_goal": "refuse", "goals": []})).await.expect(200);
    assert_eq!(report("trail", "T-5").try_send().await.expect(201)["status"], "approved", "the offer lists no goals");
}
