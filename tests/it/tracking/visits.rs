//! Links, codes and pixels: the visitor's experience, and the stored data of the visit.

use std::time::Duration;

use postrider_tests::app::{Click, Link, TestApp, click_id_in};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_click_leads_to_the_landing_page_with_its_macros_filled,
    a_click_stores_its_parameters,
    a_macro_value_stays_one_value,
    a_visitor_is_unique_once_per_link_and_day,
    the_user_agent_determines_device_and_bots,
    clicks_are_found_by_their_visitors,
    only_a_trusted_proxy_may_name_the_visitor,
    an_impression_is_a_pixel_and_not_a_click,
    a_referral_code_leads_to_the_default_offer,
    an_invalid_link_is_a_plain_404,
    a_link_is_not_an_open_redirect,
    an_unusual_value_affects_neither_its_click_nor_its_neighbours,
    a_value_is_kept_whole_or_the_answer_names_it,
    a_visitor_cannot_replace_a_parameter_of_the_landing_page,
    a_prefetch_is_no_click_until_the_visit_happens,
    a_macro_that_nobody_replaced_is_marked_and_no_click_id,
    a_landing_page_with_the_macros_of_another_system_is_refused,
    an_address_leads_to_its_page_with_slashes_capitals_and_punctuation,
    parameters_of_a_link_are_read_in_the_spellings_in_which_links_are_published,
    of_a_parameter_that_comes_twice_the_filled_value_counts,
    a_head_request_does_not_use_up_the_visit_of_a_person,
    a_deep_link_is_filled_like_a_landing_page,
    a_deep_link_that_is_empty_is_none_and_one_that_is_encoded_twice_is_read,
    a_landing_page_that_was_copied_from_html_gets_its_parameters,
);

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

async fn clicks(t: &TestApp, link: &Link) -> Vec<Value> {
    t.admin.list(&format!("/api/v1/clicks?link_id={}", link.id)).await
}

async fn stored(t: &TestApp, click: &Click) -> Value {
    t.admin.get(&format!("/api/v1/clicks/{}", click.id)).await.expect(200)
}

/// A visit with custom headers.
async fn visit(t: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let client = t.anonymous();
    let mut request = client.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request).await
}

async fn a_click_leads_to_the_landing_page_with_its_macros_filled(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let landing = "https://shop.example/p/{offer_id}?cid={click_id}&aff={affiliate_id}&s={sub1}&ten={sub10}&fixed=1";
    let offer = t.offer_with(json!({"landing_url": landing})).await;
    let link = t.link(&affiliate, &offer).await;

    let answer = t.anonymous().get(&format!("{}?sub1=red&sub10=last&keyword=shoes&utm_source=mail", link.path)).await;

    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let click = click_id_in(&answer);
    let location = answer.header("location").unwrap();
    let wanted = format!("https://shop.example/p/{offer}?cid={click}&aff={}&s=red&ten=last&fixed=1", affiliate.id);
    assert!(location.starts_with(&wanted), "{location}");
    let location = url::Url::parse(location).unwrap();
    let passed_on: Vec<_> = location.query_pairs().skip(5).collect();
    assert!(passed_on.contains(&("utm_source".into(), "mail".into())), "{location}");
    // The row is durable before the answer.
    assert_eq!(t.database.count("clicks").await, 1);
}

async fn a_click_stores_its_parameters(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let answer = visit(
        &t,
        &format!("{}?click_id=tracker-77&sub1=a&sub3=c&keyword=red+shoes&page=2&extra=%26", link.path),
        &[("referer", "https://blog.example/review")],
    )
    .await;
    let id = click_id_in(&answer);

    let click = t.admin.get(&format!("/api/v1/clicks/{id}")).await.expect(200);

    assert_eq!(click["id"], id);
    assert_eq!(click["action"], "click");
    assert_eq!(click["link_id"], link.id);
    assert_eq!(click["affiliate_id"], link.affiliate.id);
    assert_eq!(click["offer_id"], link.offer);
    assert_eq!(click["external_click_id"], "tracker-77");
    assert_eq!(click["sub_ids"], json!({"sub1": "a", "sub3": "c"}));
    assert_eq!(click["parameters"], json!({"keyword": "red shoes", "page": "2", "extra": "&"}));
    assert_eq!(click["referrer"], "https://blog.example/review");
    assert_eq!(click["ip"], "127.0.0.1");
    assert_eq!(click["occurred_at"], "2026-03-10T12:00:00.000Z");
    assert_eq!(clicks(&t, &link).await.len(), 1);
}

/// Reserved characters in a sub id cannot add parameters to the landing page or end its query.
async fn a_macro_value_stays_one_value(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let landing = "https://shop.example/{sub2}/x?cid={click_id}&s={sub1}&end=1";
    let offer = t.offer_with(json!({"landing_url": landing})).await;
    let link = t.link(&affiliate, &offer).await;
    let nasty = "a&b=c#d?e/f%41 ü€😀";

    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("sub1", nasty).append_pair("sub2", nasty);
    let answer = t.anonymous().get(&format!("{}?{}", link.path, query.finish())).await;

    assert_eq!(answer.status, 302);
    let location = url::Url::parse(answer.header("location").unwrap()).unwrap();
    let value = |name: &str| -> Vec<String> {
        let pairs = location.query_pairs().filter(|(key, _)| key == name);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    assert_eq!(value("s"), [nasty]);
    assert_eq!(value("end"), ["1"]);
    assert_eq!(value("b"), [""; 0]);
    assert_eq!(location.path_segments().unwrap().count(), 2, "{location}");
    assert_eq!(location.fragment(), None);
}

async fn a_visitor_is_unique_once_per_link_and_day(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let other = t.link(&link.affiliate, &link.offer).await;
    let uniqueness = async |link: &Link, agent: &str| -> bool {
        let answer = visit(&t, &link.path, &[("user-agent", agent)]).await;
        let path = format!("/api/v1/clicks/{}", click_id_in(&answer));
        t.admin.get(&path).await.expect(200)["unique"].as_bool().unwrap()
    };

    assert!(uniqueness(&link, "Firefox").await);
    assert!(!uniqueness(&link, "Firefox").await, "the same visitor again");
    assert!(uniqueness(&link, "Chrome").await, "another visitor");
    assert!(uniqueness(&other, "Firefox").await, "another link");
    // The clock shows noon; the day ends at midnight UTC.
    t.advance(Duration::from_secs(12 * 3600 - 1));
    assert!(!uniqueness(&link, "Firefox").await, "still the same day");
    t.advance(Duration::from_secs(1));
    assert!(uniqueness(&link, "Firefox").await, "another day");
}

async fn the_user_agent_determines_device_and_bots(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let cases = [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
            ("mobile", "Safari", "iPhone", false),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            ("desktop", "Chrome", "Windows 10", false),
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", ("", "Googlebot", "", true)),
    ];
    for (agent, (device, browser, os, bot)) in cases {
        let answer = visit(&t, &link.path, &[("user-agent", agent)]).await;
        let path = format!("/api/v1/clicks/{}", click_id_in(&answer));
        let click = t.admin.get(&path).await.expect(200);
        assert_eq!(click["likely_bot"], bot, "{click}");
        assert_eq!(click["device"].as_str().unwrap_or_default(), device, "{click}");
        assert_eq!(click["browser"], browser, "{click}");
        assert_eq!(click["os"].as_str().unwrap_or_default(), os, "{click}");
    }
}

async fn clicks_are_found_by_their_visitors(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let agents = [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ];
    let mut ids = Vec::new();
    for agent in [agents[0], agents[0], agents[1]] {
        t.tick();
        ids.push(click_id_in(&visit(&t, &link.path, &[("user-agent", agent)]).await));
    }
    let [first, again, bot] = ids.try_into().expect("three clicks");
    let report = json!({"click_id": first, "transaction_id": "t1", "status": "approved"});
    t.admin.post("/api/v1/conversions", &report).await.expect(201);

    for (filter, wanted) in [
        ("device=mobile", vec![&again, &first]),
        ("likely_bot=true", vec![&bot]),
        ("likely_bot=false&unique=false", vec![&again]),
        ("unique=true", vec![&bot, &first]),
        ("converted=true", vec![&first]),
        ("converted=false&device=mobile", vec![&again]),
        ("country=de", vec![]),
    ] {
        let found = link.affiliate.client.list(&format!("/api/v1/clicks?{filter}")).await;
        let found: Vec<_> = found.iter().map(|it| text(it, "id")).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{filter}");
    }
}

async fn only_a_trusted_proxy_may_name_the_visitor(db: Database) {
    let mut t = TestApp::start(db).await;
    let link = t.any_link().await;
    let ip = async |t: &TestApp, forwarded: &str| -> String {
        let answer = visit(t, &link.path, &[("x-forwarded-for", forwarded)]).await;
        let path = format!("/api/v1/clicks/{}", click_id_in(&answer));
        text(&t.admin.get(&path).await.expect(200), "ip")
    };

    assert_eq!(ip(&t, "203.0.113.7").await, "127.0.0.1", "nobody is trusted by default");

    t.restart_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    assert_eq!(ip(&t, "203.0.113.7").await, "203.0.113.7");
    assert_eq!(ip(&t, "203.0.113.7, 10.1.2.3").await, "203.0.113.7", "a chain of trusted ones");
    // A visitor's own claims are to the left of the address that the proxy added.
    assert_eq!(ip(&t, "1.1.1.1, 203.0.113.7").await, "203.0.113.7", "a forged entry");
    assert_eq!(ip(&t, "nonsense").await, "127.0.0.1");
}

async fn an_impression_is_a_pixel_and_not_a_click(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;

    let answer = t.anonymous().get(&format!("{}?sub1=banner", link.impression_path)).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("image/gif"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.text.starts_with("GIF8"));
    let rows = clicks(&t, &link).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["action"], "impression");
    assert_eq!(rows[0]["sub_ids"], json!({"sub1": "banner"}));
    let none = t.admin.list("/api/v1/clicks?action=click").await;
    assert!(none.is_empty(), "{none:?}");
}

async fn a_referral_code_leads_to_the_default_offer(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let first = t.offer().await;
    let second = t.offer_with(json!({"landing_url": "https://second.example/?cid={click_id}"})).await;
    let visit = async |path: String| {
        let answer = t.anonymous().get(&path).await;
        assert_eq!(answer.status, 302, "{path}: {}", answer.text);
        let click = t.admin.get(&format!("/api/v1/clicks/{}", click_id_in(&answer))).await.expect(200);
        assert_eq!(click["affiliate_id"], affiliate.id);
        text(&click, "offer_id")
    };

    let code = &affiliate.referral_code;
    assert!(code.starts_with("AF") && code.len() >= 7, "{code}");
    assert_eq!(visit(format!("/r/{code}")).await, first, "the first offer is the default");
    assert_eq!(visit(format!("/r/{}", code.to_lowercase())).await, first, "codes have no case");
    assert_eq!(visit(format!("/r/{code}?offer_id={second}")).await, second);

    t.admin.patch(&format!("/api/v1/offers/{second}"), &json!({"default": true})).await.expect(200);
    assert_eq!(visit(format!("/r/{code}")).await, second, "there is one default");
}

async fn an_invalid_link_is_a_plain_404(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let affiliate = &link.affiliate;
    let nowhere = async |path: &str| {
        let answer = t.anonymous().get(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{path}");
        assert_eq!(answer.header("location"), None, "{path}");
    };

    nowhere("/c/00000000000000000000000000").await;
    nowhere("/c/nonsense").await;
    nowhere("/i/00000000000000000000000000").await;
    nowhere("/r/AF00000").await;
    nowhere(&format!("/r/{}?offer_id=ofr_00000000000000000000000000", affiliate.referral_code)).await;
    // The address does not come back as markup.
    let answer = t.anonymous().get("/c/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text.contains("<script"), "{}", answer.text);

    let link_path = format!("/api/v1/links/{}", link.id);
    t.admin.patch(&link_path, &json!({"status": "paused"})).await.expect(200);
    nowhere(&link.path).await;
    t.admin.patch(&link_path, &json!({"status": "active"})).await.expect(200);
    t.click_on(&link, "").await;

    let affiliate_path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&affiliate_path, &json!({"status": "suspended"})).await.expect(200);
    nowhere(&link.path).await;
    nowhere(&format!("/r/{}", affiliate.referral_code)).await;
    assert_eq!(t.database.count("clicks").await, 1, "only the one that led somewhere");
}

async fn a_link_is_not_an_open_redirect(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let landing = "https://shop.example/{sub1}?cid={click_id}";
    let offer = t.offer_with(json!({"landing_url": landing})).await;
    let link = t.link(&affiliate, &offer).await;

    for attempt in [
        "?url=https://evil.example/",
        "?redirect=https://evil.example/&landing_url=https://evil.example/",
        "?sub1=//evil.example/",
        "?sub1=@evil.example/",
        "?sub1=..%2F..%2F%2Fevil.example",
        "?sub1=%0d%0aLocation:%20https://evil.example/",
        "?sub1=%5C%5Cevil.example",
    ] {
        let answer = t.anonymous().get(&format!("{}{attempt}", link.path)).await;
        assert_eq!(answer.status, 302, "{attempt}");
        let location = url::Url::parse(answer.header("location").unwrap()).unwrap();
        assert_eq!(location.host_str(), Some("shop.example"), "{attempt}: {location}");
        assert_eq!(location.scheme(), "https", "{attempt}: {location}");
        assert_eq!(location.username(), "", "{attempt}: {location}");
    }

    for landing in [
        "https://{sub1}/",
        "https://{sub1}.example/",
        "{sub1}",
        "https://shop.example:{sub1}/",
        "https://user:{sub1}@shop.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "//shop.example/",
        "/landing",
        "",
    ] {
        let body = json!({"name": "x", "landing_url": landing, "currency": "USD", "payout": {"fixed": "1"}});
        let answer = t.admin.post("/api/v1/offers", &body).await;
        assert_eq!(answer.status, 422, "{landing:?}: {}", answer.text);
    }
}

/// Clicks are committed in groups: one visitor's data must not affect the group.
async fn an_unusual_value_affects_neither_its_click_nor_its_neighbours(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let long = format!("?sub1={}", "x".repeat(6000));
    let queries =
        ["?sub1=a%00b", "?sub1=%ff%fe", "?%00=%00", "?sub1=%", "?sub1=%F0%9F", "?&&=&=&", "?sub1=a&sub1=b", &long];
    let strange = futures::future::join_all(queries.iter().map(|query| t.click_on(&link, query)));
    let plain = futures::future::join_all((0..20).map(|_| t.click_on(&link, "?sub1=plain")));
    let (strange, plain) = tokio::join!(strange, plain);

    assert_eq!(t.database.count("clicks").await, (strange.len() + plain.len()) as i64);
    for click in &strange {
        stored(&t, click).await;
    }
    let headers = [("user-agent", b"\xff\xfe latin \xe9".as_slice()), ("referer", b"http://\xe9.example/".as_slice())];
    let client = t.anonymous();
    let mut request = client.request(Method::GET, &link.path);
    for (name, value) in headers {
        request = request.header(name, reqwest::header::HeaderValue::from_bytes(value).unwrap());
    }
    let answer = client.send(request).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
}

async fn a_value_is_kept_whole_or_the_answer_names_it(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"deep_link_hosts": ["shop.example"]})).await;
    let link = t.link(&affiliate, &offer).await;
    // Every character differs, so that no compression hides the length from the index of the database.
    let id: String = (0..2_048_u32).map(|at| char::from(b'!' + (at * 7919 % 89) as u8)).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let answer = t.anonymous().get(&format!("{}?click_id={encoded}&fbclid={encoded}", link.path)).await;
    assert_eq!((answer.status, answer.header("postrider-left-out")), (302, None));
    let location = url::Url::parse(answer.header("location").unwrap()).unwrap();
    assert!(location.query_pairs().any(|(name, value)| name == "fbclid" && value == id));
    let click = t.admin.get(&format!("/api/v1/clicks/{}", click_id_in(&answer))).await.expect(200);
    assert_eq!(click["external_click_id"], id);

    let answer = t.anonymous().get(&format!("{}?click_id={}&sub1=a", link.path, "k".repeat(2_049))).await;
    let left_out = answer.header("postrider-left-out");
    assert_eq!((answer.status, left_out), (302, Some("click_id has 2049 bytes, at most 2048 are kept")));
    let click = t.admin.get(&format!("/api/v1/clicks/{}", click_id_in(&answer))).await.expect(200);
    assert_eq!((&click["external_click_id"], &click["sub_ids"]), (&Value::Null, &json!({"sub1": "a"})));

    let page = format!("https://shop.example/search?filter={}&page=2", "a".repeat(4_000));
    let deep: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    let answer = t.anonymous().get(&format!("{}?url={deep}", link.path)).await;
    assert!(answer.header("location").unwrap().starts_with(&page), "a deep link leads to its page");
}

async fn a_visitor_cannot_replace_a_parameter_of_the_landing_page(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let landing = "https://shop.example/?cid={click_id}&ref=us";
    let offer = t.offer_with(json!({"landing_url": landing, "source_parameters": false})).await;
    let link = t.link(&affiliate, &offer).await;
    for query in ["cid=forged", "CID=x&c%69d=forged&Ref=them", "cid[]=forged&ref%5B0%5D=them"] {
        let answer = t.anonymous().get(&format!("{}?{query}&utm=x", link.path)).await;
        let wanted = format!("https://shop.example/?cid={}&ref=us&utm=x", click_id_in(&answer));
        assert_eq!(answer.header("location"), Some(wanted.as_str()), "{query}");
    }
}

async fn a_prefetch_is_no_click_until_the_visit_happens(db: Database) {
    let t = TestApp::start(db).await;
    for header in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("x-purpose", "preview"),
    ] {
        let link = t.any_link().await;
        let answer = visit(&t, &link.path, &[header]).await;
        assert_eq!(
            (answer.status, answer.header("location"), answer.header("cache-control")),
            (503, None, Some("no-store"))
        );
        assert!(clicks(&t, &link).await.is_empty(), "{header:?}");
        visit(&t, &link.path, &[("user-agent", BROWSER)]).await;
        let rows = clicks(&t, &link).await;
        assert_eq!((rows.len(), &rows[0]["unique"], &rows[0]["likely_bot"]), (1, &json!(true), &json!(false)));
    }
}

async fn a_macro_that_nobody_replaced_is_marked_and_no_click_id(db: Database) {
    let t = TestApp::start(db).await;
    let parameters = json!([{"name": "cid", "macro": "external_click_id", "required": true}]);
    let config = json!({"base_url": t.receiver.url("/p"), "parameters": parameters});
    let postback = t.postback("/p").set("config", config).save().await;
    let link = t.any_link().await;
    let click = t.click_on(&link, "?click_id=%7Bclickid%7D&sub1=%5Bsub1%5D&sub2=Sale+%5BEU%5D").await;
    let shown = stored(&t, &click).await;
    assert_eq!(shown["external_click_id"], "{clickid}");
    assert_eq!(shown["unreplaced_macros"], json!(["click_id", "sub1"]));
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let delivery = t.only_delivery(&postback).await;
    assert_eq!(
        (&delivery["status"], &delivery["reason_code"]),
        (&json!("cancelled"), &json!("value_missing")),
        "{delivery}"
    );
}

async fn a_landing_page_with_the_macros_of_another_system_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    for mark in [
        "%7Bclick_id%7D",
        "[click_id]",
        "${click_id}",
        "%click_id%",
        "%257Bclick_id%257D",
        "__CLICK_ID__",
        "{{x}}",
        "##X##",
    ] {
        let landing = format!("https://shop.example/?cid={mark}");
        let body = json!({"name": mark, "landing_url": landing, "currency": "USD", "payout": {"fixed": "1"}});
        let problem = t.admin.post("/api/v1/offers", &body).await.expect_problem(422, "invalid_landing_url");
        assert_eq!(problem["errors"][0]["path"], "/landing_url", "{mark}");
    }
}

/// QR codes are in capitals, content systems add a slash, and messengers take the end of a sentence as part of a link.
async fn an_address_leads_to_its_page_with_slashes_capitals_and_punctuation(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let id = link.path.trim_start_matches("/c/");
    let code = &link.affiliate.referral_code;
    let spellings = [
        format!("/c/{id}/"),
        format!("/c/{id}/?sub1=x"),
        format!("//c/{id}"),
        format!("/c//{id}"),
        link.path.to_uppercase(),
        format!("/c/{id}."),
        format!("/c/{id}),"),
        format!("/c/{id}%22"),
        format!("/c/{id}%E2%80%9D"),
        format!("/c/{id}/)"),
        format!("/R/{code}"),
        format!("//r/{code}/"),
        format!("/r/{code}."),
    ];
    for path in &spellings {
        let answer = t.anonymous().get(path).await;
        assert_eq!(answer.status, 302, "{path}: {}", answer.text);
    }
    assert_eq!(t.database.count("clicks").await, spellings.len() as i64);
    for path in [format!("/I/{}", id.to_uppercase()), format!("/i/{id}/"), format!("//i/{id}.")] {
        assert_eq!(t.anonymous().get(&path).await.header("content-type"), Some("image/gif"), "{path}");
    }
    let appended = t.anonymous().get(&format!("/c/{id}&click_id=trk-1&sub1=a")).await;
    let click = t.admin.get(&format!("/api/v1/clicks/{}", click_id_in(&appended))).await.expect(200);
    assert_eq!((&click["external_click_id"], &click["sub_ids"]), (&json!("trk-1"), &json!({"sub1": "a"})));
    for other in [format!("/c/{id}/x"), format!("/c/x/{id}"), "/c/.".to_owned(), "/API/v1/offers".to_owned()] {
        assert_eq!(t.anonymous().get(&other).await.status, 404, "{other}");
    }
}

async fn parameters_of_a_link_are_read_in_the_spellings_in_which_links_are_published(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    for query in [
        "utm=mail&amp;click_id=trk-1&amp;sub1=a",
        "utm=mail&amp;amp;click_id=trk-1&amp;amp;sub1=a",
        "sub1=a?click_id=trk-1&utm=mail",
        "?click_id=trk-1&sub1=a&utm=mail",
    ] {
        let answer = t.anonymous().get(&format!("{}?{query}", link.path)).await;
        let location = url::Url::parse(answer.header("location").unwrap()).unwrap();
        let passed_on = location.query_pairs().filter(|(name, _)| name.contains("amp") || name == "utm");
        assert_eq!(passed_on.collect::<Vec<_>>(), [("utm".into(), "mail".into())], "{query}: {location}");
        let click = t.admin.get(&format!("/api/v1/clicks/{}", click_id_in(&answer))).await.expect(200);
        assert_eq!(click["external_click_id"], "trk-1", "{query}");
        assert_eq!(click["sub_ids"], json!({"sub1": "a"}), "{query}");
        assert_eq!(click["parameters"], json!({"utm": "mail"}), "{query}");
    }
}

async fn of_a_parameter_that_comes_twice_the_filled_value_counts(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let landing = "https://shop.example/?cid={click_id}&s={sub1}";
    let offer = t.offer_with(json!({"landing_url": landing, "source_parameters": false})).await;
    let link = t.link(&affiliate, &offer).await;
    let query = "click_id=%7Bvalue%7D&click_id=trk-9&sub1=&sub1=red&tag=a&tag=b";
    let answer = t.anonymous().get(&format!("{}?{query}", link.path)).await;
    let id = click_id_in(&answer);
    let wanted = format!("https://shop.example/?cid={id}&s=red&tag=a&tag=b");
    assert_eq!(answer.header("location"), Some(wanted.as_str()));
    let click = t.admin.get(&format!("/api/v1/clicks/{id}")).await.expect(200);
    assert_eq!((&click["external_click_id"], &click["sub_ids"]), (&json!("trk-9"), &json!({"sub1": "red"})));
    assert_eq!(click["unreplaced_macros"], json!([]));
}

async fn a_head_request_does_not_use_up_the_visit_of_a_person(db: Database) {
    let t = TestApp::start(db).await;
    let affiliates = [t.affiliate().await, t.affiliate().await];
    let offer = t.offer_with(json!({"attribution": {"click": "first", "window_days": 30}})).await;
    let [scanned, visited] = [t.link(&affiliates[0], &offer).await, t.link(&affiliates[1], &offer).await];
    let head = async |link: &Link| {
        let client = t.anonymous();
        let answer = client.send(client.request(Method::HEAD, &link.path).header("user-agent", BROWSER)).await;
        assert_eq!(answer.status, 302);
        t.tick();
    };
    head(&scanned).await;
    head(&visited).await;
    let click = click_id_in(&visit(&t, &visited.path, &[("user-agent", BROWSER)]).await);
    let rows = clicks(&t, &visited).await;
    let seen: Vec<_> = rows.iter().map(|row| (&row["likely_bot"], &row["unique"])).collect();
    assert_eq!(seen, [(&json!(false), &json!(true)), (&json!(true), &json!(true))]);
    // The first click of the person is not that of the scanner.
    let report = json!({"click_id": click, "transaction_id": "t1", "status": "approved"});
    let conversion = t.admin.post("/api/v1/conversions", &report).await.expect(201);
    assert_eq!(text(&conversion, "affiliate_id"), affiliates[1].id, "{conversion:#}");
}

async fn a_deep_link_is_filled_like_a_landing_page(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"deep_link_hosts": ["shop.example"], "source_parameters": false})).await;
    let page = "https://shop.example/p/{sub1}?by={affiliate_id}&subid={click_id}";
    let named = t.link(&affiliate, &offer).await;
    let own = t.link_with(&affiliate, &offer, json!({"deep_url": page})).await;
    let shown = t.admin.get(&format!("/api/v1/links/{}", own.id)).await.expect(200);
    assert_eq!(shown["deep_url"], page);
    let deep: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    for path in [format!("{}?sub1=a/b&url={deep}", named.path), format!("{}?sub1=a/b", own.path)] {
        let answer = t.anonymous().get(&path).await;
        let id = click_id_in(&answer);
        let wanted = format!("https://shop.example/p/a%2Fb?by={}&subid={id}&cid={id}", affiliate.id);
        assert_eq!(answer.header("location"), Some(wanted.as_str()), "{path}");
    }
    for foreign in ["[click_id]", "${click_id}", "%7Bclick_id%7D", "{keyword}"] {
        let page = format!("https://shop.example/p?x={foreign}");
        let body = json!({"affiliate_id": affiliate.id, "offer_id": offer, "deep_url": page});
        let problem = t.admin.post("/api/v1/links", &body).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], "/deep_url", "{foreign}");
    }
}

async fn a_deep_link_that_is_empty_is_none_and_one_that_is_encoded_twice_is_read(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"deep_link_hosts": ["shop.example"], "source_parameters": false})).await;
    let link = t.link(&affiliate, &offer).await;
    let default = t.anonymous().get(&link.path).await;
    let default = default.header("location").unwrap().split_once("cid=").unwrap().0.to_owned();
    for (query, wanted) in [
        ("url=", default.as_str()),
        ("url=%20", default.as_str()),
        ("url=%7Bdeeplink%7D", default.as_str()),
        ("url=https%253A%252F%252Fshop.example%252Fp%253Fa%253D1%2526b%253D2", "https://shop.example/p?a=1&b=2&"),
        ("url=https%3A%2F%2Fshop.example%2Fp%3Fa%3D1%26amp%3Bb%3D2", "https://shop.example/p?a=1&b=2&"),
    ] {
        let answer = t.anonymous().get(&format!("{}?{query}", link.path)).await;
        let location = answer.header("location").unwrap_or_default();
        assert_eq!(location, format!("{wanted}cid={}", click_id_in(&answer)), "{query}");
    }
}

async fn a_landing_page_that_was_copied_from_html_gets_its_parameters(db: Database) {
    let t = TestApp::start(db).await;
    for amp in ["&amp;", "&#038;", "&#38;"] {
        let landing = |cid: &str| format!("https://shop.example/p?a=1{amp}cid={cid}");
        let wanted = |cid: &str| format!("https://shop.example/p?a=1&cid={cid}");
        let macros = landing("{click_id}");
        let pages = json!([{"name": "copied", "url": macros, "weight": 0}]);
        let offer = t.offer_with(json!({"landing_url": macros, "landing_pages": pages, "fallback_url": macros})).await;
        let shown = t.admin.get(&format!("/api/v1/offers/{offer}")).await.expect(200);
        for field in ["/landing_url", "/fallback_url", "/landing_pages/0/url"] {
            assert_eq!(shown.pointer(field), Some(&json!(wanted("{click_id}"))), "{field}");
        }
        let link = t.link(&t.affiliate().await, &offer).await;
        let answer = t.anonymous().get(&link.path).await;
        assert!(answer.header("location").unwrap().starts_with(&wanted(&click_id_in(&answer))), "{amp}");
    }
}
