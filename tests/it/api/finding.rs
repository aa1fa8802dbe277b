//! Lists find objects by period, by the beginning of a text, and by the fields of what happened. No filter finds what
//! the caller may not see.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::ids::ClickId;
use domain::timestamp::Timestamp;
use engine::pipeline::jobs::run_maintenance;
use postrider_tests::app::{Affiliate, Click, START_MS, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

on_both_databases!(
    a_list_of_what_happened_takes_a_period,
    an_impossible_period_is_refused_with_a_reason,
    a_search_finds_what_begins_with_the_text,
    a_search_takes_wildcards_literally_and_letters_in_any_case,
    a_search_is_paged_and_combined_with_other_filters,
    clicks_are_found_by_the_ids_of_trackers,
    a_rare_click_is_found_among_many,
    conversions_are_found_by_customer_and_email_hash,
    staff_finds_a_transaction_of_every_source,
    deliveries_are_found_by_affiliate_offer_transaction_and_reason,
    an_affiliate_finds_nothing_of_others,
    an_attribute_that_is_too_long_is_refused
);

const DAY: Duration = Duration::from_secs(86_400);

/// The lists of what happened.
const HAPPENED: [&str; 13] = [
    "clicks",
    "conversions",
    "events",
    "deliveries",
    "inbound-requests",
    "earnings",
    "adjustments",
    "exchanges",
    "exchange-rates",
    "applications",
    "audit",
    "withdrawals",
    "withdrawal-batches",
];

/// The ids of a list, in its order.
async fn ids(client: &Client, path: &str) -> Vec<String> {
    client.list(&format!("/api/v1/{path}")).await.iter().map(|it| text(it, "id")).collect()
}

/// A sale that the affiliate's own source reports.
async fn self_report(t: &TestApp, click: &Click, transaction: &str) {
    let sources = click.link.affiliate.client.list("/api/v1/sources").await;
    let url = url::Url::parse(&text(sources.last().expect("a source"), "url")).expect("an absolute URL");
    let query = format!("sessionId={}&amount=2.00&transaction_id={transaction}", click.id);
    let answer = t.anonymous().get(&format!("{}?{query}", url.path())).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Something for every list but those of withdrawals.
async fn happen(t: &TestApp) {
    let click = t.click().await;
    t.conversion(&click).send().await;
    self_report(t, &click, "own-1").await;
    let id = &click.link.affiliate.id;
    let credit = json!({"affiliate_id": id, "amount": "10.00", "currency": "USD", "reason": "by hand"});
    t.admin.post("/api/v1/adjustments", &credit).await.expect(201);
    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.9", "valid_from": t.clock.now().to_string()});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    let exchange = json!({"affiliate_id": id, "amount": "4.00", "from": "USD", "to": "EUR"});
    t.admin.post("/api/v1/exchanges", &exchange).await.expect(201);
    let offer = t.offer_with(json!({"visibility": "private"})).await;
    let path = format!("/api/v1/offers/{offer}/applications");
    t.admin.post(&path, &json!({"affiliate_id": id})).await.expect(201);
    t.deliver_all().await;
}

/// The clock starts at noon on 10 March; the second half happens a day later, on 11 March in UTC and on the 12th on
/// Kiritimati.
async fn a_list_of_what_happened_takes_a_period(db: Database) {
    let t = TestApp::start(db).await;
    t.postback("/p").firing("any").save().await;
    happen(&t).await;
    t.advance(DAY);
    happen(&t).await;
    for list in HAPPENED.iter().filter(|list| !list.starts_with("withdrawal")) {
        let all = ids(&t.admin, list).await;
        let later = ids(&t.admin, &format!("{list}?from=2026-03-11")).await;
        let earlier = ids(&t.admin, &format!("{list}?until=2026-03-11")).await;
        assert!(!later.is_empty() && !earlier.is_empty(), "{list}: {later:?}, {earlier:?}");
        assert_eq!([later.clone(), earlier.clone()].concat(), all, "{list}: each is in one of both");
        for (period, expected) in [
            ("from=2026-03-11&until=2026-03-12", &later),
            ("from=2026-03-11T12:00:00Z", &later),
            ("from=2026-03-11T13:00:00%2B01:00", &later),
            ("until=2026-03-11T12:00:00Z", &earlier),
            ("from=2026-03-12&time_zone=Pacific/Kiritimati", &later),
            ("from=2026-03-10&until=2026-03-11&time_zone=UTC", &earlier),
            ("from=2026-03-11T12:00:01Z", &Vec::new()),
        ] {
            assert_eq!(&ids(&t.admin, &format!("{list}?{period}")).await, expected, "{list}?{period}");
        }
        let path = format!("/api/v1/{list}?from=2026-03-11&until=2026-03-12&limit=1");
        let first = t.admin.get(&path).await.expect(200);
        assert_eq!(text(&first["items"][0], "id"), later[0], "{list}");
        if let Some(cursor) = first["next"].as_str() {
            let second = t.admin.get(&format!("{path}&cursor={cursor}")).await.expect(200);
            assert_eq!(text(&second["items"][0], "id"), later[1], "{list}");
        }
    }
}

async fn an_impossible_period_is_refused_with_a_reason(db: Database) {
    let t = TestApp::start(db).await;
    for list in HAPPENED.iter().copied().chain(["reports", "exports/clicks", "statement?currency=USD"]) {
        let glue = if list.contains('?') { '&' } else { '?' };
        for period in ["from=soon", "until=20.11.2026", "from=2026-03-02&until=2026-03-02", "time_zone=Mars/Base"] {
            let answer = t.admin.get(&format!("/api/v1/{list}{glue}{period}")).await;
            answer.expect_problem(400, "invalid_parameter");
        }
    }
}

/// The names that a search finds, sorted.
async fn found(client: &Client, list: &str, search: &str) -> Vec<String> {
    let search: String = url::form_urlencoded::byte_serialize(search.as_bytes()).collect();
    let found = client.list(&format!("/api/v1/{list}?search={search}")).await;
    let mut names: Vec<_> =
        found.iter().map(|it| it["name"].as_str().unwrap_or(&it["id"].to_string()).to_owned()).collect();
    names.sort_unstable();
    names
}

async fn a_search_finds_what_begins_with_the_text(db: Database) {
    let t = TestApp::start(db).await;
    for (name, email) in [("Ada Media", "sales@ada.example"), ("Adam", "adam@example.com"), ("Bob", "bob@example.com")]
    {
        let affiliate = t.admin.post("/api/v1/affiliates", &json!({"name": name, "email": email})).await.expect(201);
        let (id, code) = (text(&affiliate, "id"), text(&affiliate, "referral_code"));
        for own in [email, &id, &id[..id.len() - 1], &code.to_lowercase()] {
            assert_eq!(found(&t.admin, "affiliates", own).await, [name], "{own}");
        }
    }
    assert_eq!(found(&t.admin, "affiliates", "ada").await, ["Ada Media", "Adam"]);
    assert_eq!(found(&t.admin, "affiliates", " ADA M ").await, ["Ada Media"]);
    assert!(found(&t.admin, "affiliates", "media").await.is_empty(), "only the beginning counts");
    assert_eq!(found(&t.admin, "affiliates", "").await.len(), 3, "an empty search finds all");

    t.offer_with(json!({"name": "Shoes", "landing_url": "https://shoes.example/sale?cid={click_id}"})).await;
    t.offer_with(json!({"name": "Boots", "landing_url": "https://boots.example/?cid={click_id}"})).await;
    for search in ["sho", "https://SHOES.example/s", "shoes.example"] {
        assert_eq!(found(&t.admin, "offers", search).await, ["Shoes"], "{search}");
    }

    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"deep_link_hosts": ["shop.example"]})).await;
    let page = json!({"coupons": [{"code": "SUMMER"}, {"code": "AUTUMN"}], "deep_url": "https://shop.example/a/b"});
    let link = t.link_with(&affiliate, &offer, page).await;
    t.link(&affiliate, &offer).await;
    let url = text(&t.admin.get(&format!("/api/v1/links/{}", link.id)).await.expect(200), "url");
    for search in ["summ", "Autumn", "shop.example/a", &url, &format!("{url}?sub1=x"), &link.id] {
        assert_eq!(
            ids(&t.admin, &format!("links?search={}", search.replace('?', "%3F"))).await,
            std::slice::from_ref(&link.id),
            "{search}"
        );
    }

    t.postback("/p").set("name", json!("Tracker")).save().await;
    t.postback("/other").set("name", json!("Other")).disabled().save().await;
    t.conversion(&t.click_on(&link, "").await).send().await;
    t.deliver_all().await;
    for search in ["track", &t.receiver.url("/any/path")] {
        assert_eq!(found(&t.admin, "postbacks", search).await, ["Tracker"], "{search}");
    }

    let person = t.person("finance").await;
    for search in ["gra", &person.email, &person.id] {
        assert_eq!(found(&t.admin, "users", search).await, ["Grace"], "{search}");
    }
    let source = json!({"name": "Network", "adapter": "affrank", "config": {"append": false}});
    t.admin.post("/api/v1/sources", &source).await.expect(201);
    assert_eq!(found(&t.admin, "sources", "netw").await, ["Network"]);
    let customer = json!({"external_id": "C-1", "name": "Carla", "email": "carla@example.com"});
    t.admin.post("/api/v1/customers", &customer).await.expect(201);
    for search in ["c-1", "carl", "CARLA@"] {
        assert_eq!(t.admin.list(&format!("/api/v1/customers?search={search}")).await.len(), 1, "{search}");
    }
    for list in ["affiliates", "offers", "links", "postbacks", "users", "sources", "customers"] {
        let path = format!("/api/v1/{list}?search={}", "x".repeat(201));
        t.admin.get(&path).await.expect_problem(400, "invalid_parameter");
    }
}

async fn a_search_takes_wildcards_literally_and_letters_in_any_case(db: Database) {
    let t = TestApp::start(db).await;
    for name in ["50% off", "500 off", "a_b", "axb", "Ömer Özil", "ŁÓDŹ Media", "back\\slash", "it's"] {
        t.offer_with(json!({"name": name})).await;
    }
    for (search, expected) in [
        ("50%", vec!["50% off"]),
        ("A_", vec!["a_b"]),
        ("ömer ö", vec!["Ömer Özil"]),
        ("ÖMER", vec!["Ömer Özil"]),
        ("łódź", vec!["ŁÓDŹ Media"]),
        ("back\\", vec!["back\\slash"]),
        ("IT'S", vec!["it's"]),
        ("%", vec![]),
        ("*", vec![]),
    ] {
        assert_eq!(found(&t.admin, "offers", search).await, expected, "{search}");
    }
}

async fn a_search_is_paged_and_combined_with_other_filters(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, other, offer) = (t.affiliate().await, t.affiliate().await, t.offer().await);
    let mut own = Vec::new();
    for n in 0..5 {
        t.tick();
        own.push(t.link_with(&affiliate, &offer, json!({"coupon": format!("SAVE{n}")})).await.id);
        t.link_with(&other, &offer, json!({"coupon": format!("SAVE1{n}")})).await;
    }
    own.reverse();
    let path = format!("links?search=save&affiliate_id={}", affiliate.id);
    assert_eq!(ids(&t.admin, &path).await, own);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = t.admin.get(&format!("/api/v1/{path}&limit=2{cursor}")).await.expect(200);
        paged.extend(page["items"].as_array().expect("a list").iter().map(|it| text(it, "id")));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, own);
}

async fn clicks_are_found_by_the_ids_of_trackers(db: Database) {
    let t = TestApp::start(db).await;
    let (link, other) = (t.any_link().await, t.any_link().await);
    let one = t.click_on(&link, "?click_id=TR-1&sub1=red&sub2=a%22b").await.id;
    t.tick();
    let two = t.click_on(&link, "?click_id=TR-2&sub1=red&sub2=red%25").await.id;
    t.tick();
    let three = t.click_on(&other, "?click_id=TR-1&sub3=red&x=%5B%22sub1%22%2C%22red%22%5D").await.id;
    for (filter, expected) in [
        ("external_click_id=TR-1", vec![&three, &one]),
        ("external_click_id=tr-1", vec![]),
        ("sub1=red", vec![&two, &one]),
        ("sub1=RED", vec![]),
        ("sub1=re", vec![]),
        ("sub1=red&sub2=a%22b", vec![&one]),
        ("sub2=red%25", vec![&two]),
        ("sub2=%25", vec![]),
        ("sub3=red", vec![&three]),
        (&format!("external_click_id=TR-1&link_id={}", link.id), vec![&one]),
        (&format!("sub1=red&offer_id={}", link.offer), vec![&two, &one]),
        (&format!("link_id={}&affiliate_id={}", link.id, other.affiliate.id), vec![]),
        ("action=impression", vec![]),
    ] {
        let found = ids(&t.admin, &format!("clicks?{filter}")).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

/// A page examines at most 20,000 clicks. It is empty then, and its cursor finds the click.
async fn a_rare_click_is_found_among_many(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let rare = t.click_on(&link, "?sub1=rare").await.id;
    t.tick();
    let common = t.click_on(&link, "?sub1=common").await.id;
    let model = storage::tracking::clicks::find(t.app().db.reader(), common.parse::<ClickId>().expect("an id"));
    let model = model.await.expect("the database answers").expect("the click");
    let at = Timestamp::from_millis(START_MS + 1);
    for _ in 0..10 {
        let clicks: Vec<_> = (0..2_000)
            .map(|_| {
                let mut click = model.clone();
                click.id = ClickId::new(at);
                click
            })
            .collect();
        storage::tracking::clicks::insert_alone(&t.app().db, &clicks).await.expect("the database answers");
    }
    let first = t.admin.get("/api/v1/clicks?sub1=rare").await.expect(200);
    assert_eq!((first["items"].as_array().map(Vec::len), first["next"].is_string()), (Some(0), true), "{first}");
    for path in ["clicks?sub1=rare".into(), format!("clicks?sub1=rare&affiliate_id={}", link.affiliate.id)] {
        assert_eq!(ids(&t.admin, &path).await, std::slice::from_ref(&rare), "{path}");
    }
    let all: BTreeSet<String> = ids(&t.admin, &format!("clicks?offer_id={}", link.offer)).await.into_iter().collect();
    assert_eq!(all.len(), 20_002, "each click is on one page");
    assert!(ids(&t.admin, "clicks?sub1=unknown").await.is_empty());
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn conversions_are_found_by_customer_and_email_hash(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let of = |customer: &str, email: &str| {
        t.conversion(&click).set("customer_id", json!(customer)).set("customer_email", json!(email))
    };
    let ada = of("C-1", "Ada@Example.com").send().await;
    t.tick();
    let again = of("C-1", "ada@example.com").status("pending").send().await;
    t.tick();
    of("C-2", "bob@example.com").send().await;
    t.conversion(&click).send().await;
    let hash = format!("conversions?customer_email_sha256={}", sha256("ada@example.com"));
    for (path, expected) in [
        ("conversions?customer_id=C-1", vec![&again, &ada]),
        ("conversions?customer_id=c-1", vec![]),
        ("conversions?customer_id=C-1&status=approved", vec![&ada]),
        (&hash, vec![&again, &ada]),
        (&format!("{hash}&customer_id=C-1&status=pending"), vec![&again]),
        (&format!("{hash}&customer_id=C-2"), vec![]),
    ] {
        assert_eq!(ids(&t.admin, path).await.iter().collect::<Vec<_>>(), expected, "{path}");
    }
    for wrong in ["ada@example.com", "", "00"] {
        let answer = t.admin.get(&format!("/api/v1/conversions?customer_email_sha256={wrong}")).await;
        if wrong.is_empty() {
            answer.expect(200);
        } else {
            answer.expect_problem(400, "invalid_parameter");
        }
    }
    // An affiliate that does not see its buyers cannot try out guesses.
    let own = &click.link.affiliate.client;
    assert_eq!(own.list("/api/v1/conversions?customer_id=C-1").await.len(), 2);
    t.affiliates_see("masked").await;
    for filter in ["customer_id=C-1", &hash["conversions?".len()..]] {
        let answer = own.get(&format!("/api/v1/conversions?{filter}")).await;
        answer.expect_problem(403, "forbidden");
    }
    // An earlier release inserts no key.
    t.database.execute("UPDATE conversions SET customer_email_key = NULL").await;
    assert!(ids(&t.admin, &hash).await.is_empty());
    run_maintenance(t.app()).await.expect("the database answers");
    assert_eq!(ids(&t.admin, &hash).await, [again, ada]);
}

async fn staff_finds_a_transaction_of_every_source(db: Database) {
    let t = TestApp::start(db).await;
    t.postback("/p").firing("any").save().await;
    let (one, other) = (t.click().await, t.click().await);
    let reported = t.conversion(&one).transaction("T-1").send().await;
    t.conversion(&one).transaction("T-10").send().await;
    t.tick();
    self_report(&t, &one, "T-1").await;
    t.tick();
    self_report(&t, &other, "T-1").await;
    t.deliver_all().await;
    let found = t.admin.list("/api/v1/conversions?transaction_id=T-1").await;
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.iter().all(|it| it["transaction_id"] == "T-1"), "{found:#?}");
    let path = format!("conversions?transaction_id=T-1&affiliate_id={}", one.link.affiliate.id);
    assert_eq!(ids(&t.admin, &path).await.len(), 2);
    assert_eq!(ids(&one.link.affiliate.client, "conversions?transaction_id=T-1").await.len(), 2);
    assert_eq!(ids(&other.link.affiliate.client, "conversions?transaction_id=T-1").await.len(), 1);
    let deliveries = t.admin.list("/api/v1/deliveries?transaction_id=T-1").await;
    assert!(deliveries.iter().any(|it| it["conversion_id"] == json!(reported)), "{deliveries:#?}");
    assert!(ids(&t.admin, "deliveries?transaction_id=T").await.is_empty());
}

async fn deliveries_are_found_by_affiliate_offer_transaction_and_reason(db: Database) {
    let t = TestApp::start(db).await;
    t.postback("/p").firing("any").save().await;
    let (one, other) = (t.click().await, t.click().await);
    t.conversion(&one).transaction("T-1").send().await;
    t.tick();
    t.conversion(&other).transaction("T-2").send().await;
    t.deliver_all().await;
    let refusing = t.postback("/refusing").firing("any").scope(Some(&other.link.affiliate), None).save().await;
    t.deliver_all().await;
    t.receiver.always("/refusing", Reply::status(400));
    t.tick();
    t.conversion(&other).transaction("T-3").send().await;
    t.deliver_all().await;
    let of = |it: &Click| (it.link.affiliate.id.clone(), it.link.offer.clone());
    let ((affiliate, offer), (_, other_offer)) = (of(&one), of(&other));
    let failed = t.only_delivery(&refusing).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let (code, reason) = (text(&failed, "reason_code"), text(&failed, "reason"));
    let part: String = url::form_urlencoded::byte_serialize(reason[3..12].to_uppercase().as_bytes()).collect();
    for (filter, expected) in [
        (format!("affiliate_id={affiliate}"), 1),
        (format!("offer_id={offer}"), 1),
        (format!("offer_id={other_offer}"), 3),
        ("transaction_id=T-1".into(), 1),
        (format!("transaction_id=T-1&offer_id={other_offer}"), 0),
        (format!("reason_code={code}"), 1),
        ("reason_code=unknown".into(), 0),
        (format!("reason={part}"), 1),
        (format!("reason={part}&transaction_id=T-2"), 0),
        ("reason=%25".into(), 0),
    ] {
        let found = ids(&t.admin, &format!("deliveries?{filter}")).await;
        assert_eq!(found.len(), expected, "{filter}");
    }
}

/// Every filter with values of another affiliate finds nothing.
async fn an_affiliate_finds_nothing_of_others(db: Database) {
    let t = TestApp::start(db).await;
    let private = t.offer_with(json!({"name": "Secret", "visibility": "private"})).await;
    let offer = t.offer_with(json!({"name": "Open"})).await;
    let owner = t.affiliate().await;
    let link = t.link_with(&owner, &offer, json!({"coupon": "OWNED"})).await;
    let click = t.click_on(&link, "?click_id=TR-1&sub1=red").await;
    t.postback("/p").set("name", json!("Owned")).firing("any").owned_by(&owner).save().await;
    t.conversion(&click).transaction("T-1").send().await;
    self_report(&t, &click, "T-2").await;
    t.deliver_all().await;
    let profile = t.admin.get(&format!("/api/v1/affiliates/{}", owner.id)).await.expect(200);
    let (name, code) = (text(&profile, "name"), text(&profile, "referral_code"));
    let stranger: Affiliate = t.affiliate().await;
    for (filter, is_owners) in [
        (format!("affiliates?search={}", name.replace(' ', "%20")), true),
        (format!("affiliates?search={code}"), true),
        (format!("affiliates?search={}", owner.id), true),
        ("offers?search=secret".to_owned(), false),
        (format!("offers?search={private}"), false),
        ("links?search=owned".to_owned(), true),
        (format!("links?search={}", link.id), true),
        (format!("links?search=owned&affiliate_id={}", owner.id), true),
        ("postbacks?search=owned".to_owned(), true),
        (format!("sources?search=aff&affiliate_id={}", owner.id), true),
        ("clicks?external_click_id=TR-1".to_owned(), true),
        ("clicks?sub1=red".to_owned(), true),
        (format!("clicks?link_id={}", link.id), true),
        ("conversions?transaction_id=T-1".to_owned(), true),
        ("conversions?transaction_id=T-2".to_owned(), true),
        (format!("conversions?click_id={}", click.id), true),
        (format!("conversions?affiliate_id={}", owner.id), true),
        (format!("events?offer_id={offer}"), true),
        ("deliveries?transaction_id=T-1".to_owned(), true),
        (format!("deliveries?affiliate_id={}", owner.id), true),
        (format!("deliveries?offer_id={offer}"), true),
        ("inbound-requests?from=2026-01-01".to_owned(), true),
        ("inbound-requests?transaction_id=T-2".to_owned(), true),
        ("earnings?from=2026-01-01".to_owned(), true),
    ] {
        assert!(ids(&stranger.client, &filter).await.is_empty(), "{filter}");
        assert_eq!(!ids(&owner.client, &filter).await.is_empty(), is_owners, "{filter}");
    }
    for list in ["users?search=a", "customers?search=a", "audit?from=2026-01-01"] {
        owner.client.get(&format!("/api/v1/{list}")).await.expect_problem(403, "forbidden");
    }
}

async fn an_attribute_that_is_too_long_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let conversion = t.conversion(&t.click().await).send().await;
    let event = |value: String| json!({"conversion_id": conversion, "name": "level", "attributes": {"level": value}});
    let problem = t.admin.post("/api/v1/events", &event("ä".repeat(501))).await.expect_problem(422, "invalid_field");
    let shown: &Value = &problem["errors"][0];
    assert_eq!((&shown["path"], problem.to_string().contains("501")), (&json!("/attributes/level"), true), "{problem}");
    t.admin.post("/api/v1/events", &event("ä".repeat(500))).await.expect(201);
}
