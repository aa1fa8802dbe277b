//! Test conversions: they take the way of a real conversion, are marked everywhere, count nowhere, and can be deleted.

use std::time::Duration;

use engine::pipeline::jobs::run_maintenance;
use postrider_tests::app::{Affiliate, Click, NewConversion, TestApp};
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_test_conversion_takes_the_way_of_a_real_one_and_is_marked,
    a_test_conversion_counts_nowhere,
    a_test_does_not_touch_the_real_transaction,
    a_test_conversion_attributes_no_real_one,
    lists_and_exports_leave_tests_out,
    a_test_conversion_is_deleted_with_everything_that_it_caused,
    a_test_conversion_can_be_deleted_while_its_postback_is_sent,
    old_test_conversions_are_deleted_when_nothing_of_them_waits,
    an_affiliate_tests_its_own_clicks_and_reaches_its_own_postbacks,
    the_test_of_an_affiliate_never_counts_the_click_of_another,
    affiliates_do_not_meet_in_their_tests,
    an_affiliate_tests_at_most_so_often,
);

const DAY: Duration = Duration::from_secs(86_400);

fn test<'a>(t: &'a TestApp, click: &'a Click) -> NewConversion<'a> {
    t.conversion(click).set("test", json!(true))
}

async fn try_click(client: &Client, click: &Click, body: Value) -> Answer {
    client.post(&format!("/api/v1/clicks/{}/test-conversions", click.id), &body).await
}

fn sale(transaction: &str) -> Value {
    json!({"transaction_id": transaction, "status": "approved", "amount": "49.00"})
}

async fn ids(client: &Client, path: &str) -> Vec<String> {
    client.list(&format!("/api/v1/{path}")).await.iter().map(|it| text(it, "id")).collect()
}

async fn a_test_conversion_takes_the_way_of_a_real_one_and_is_marked(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/tracker").parameters(&[("tid", "transaction_id"), ("test", "test")]).save().await;
    let crm = json!({
        "name": "CRM", "adapter": "crm-json", "firing_status": "approved",
        "config": {"url": t.receiver.url("/crm"), "body": r#"{"tid": {{json transaction_id}}, "test": {{json conversion.test}}}"#},
    });
    t.admin.post("/api/v1/postbacks", &crm).await.expect(201);
    t.receiver.forget("/crm");

    let made = test(&t, &click).transaction("T-1").try_send().await.expect(201);
    t.deliver_all().await;
    let real = t.conversion(&click).transaction("T-2").try_send().await.expect(201);
    t.deliver_all().await;

    for (made, transaction, is_test) in [(&made, "T-1", true), (&real, "T-2", false)] {
        let id = text(made, "id");
        assert_eq!((&made["test"], &made["affiliate_id"]), (&json!(is_test), &json!(click.link.affiliate.id)));
        assert_eq!(made["payout"], json!({"amount": "12.50", "currency": "USD"}), "the offer decides as usual");
        assert_eq!(t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200)["test"], is_test);
        let event = t.admin.list(&format!("/api/v1/events?conversion_id={id}")).await.pop().expect("an event");
        assert_eq!((&event["test"], event["facts"]["conversion"]["test"] == true), (&json!(is_test), is_test));
        let deliveries = t.admin.list(&format!("/api/v1/deliveries?conversion_id={id}")).await;
        let shown: Vec<_> = deliveries.iter().map(|it| (it["test"] == true, text(it, "status"))).collect();
        assert_eq!(shown, vec![(is_test, "success".to_owned()); 2]);
        let tracker = t.receiver.requests("/tracker");
        let tracker = tracker.iter().find(|it| it.parameter("tid") == transaction).expect("it was sent");
        assert_eq!(tracker.parameter("test"), if is_test { "true" } else { "" });
        let crm = t.receiver.requests("/crm");
        let payload = json!({"tid": transaction, "test": is_test});
        assert!(crm.iter().any(|it| serde_json::from_str::<Value>(&it.body).unwrap() == payload), "{crm:?}");
    }
}

async fn a_test_conversion_counts_nowhere(db: Database) {
    let t = TestApp::start(db).await;
    let tiers = json!({"tiers": ["10"], "paid_from": "program"});
    t.admin.send(t.admin.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&tiers)).await.expect(200);
    let (parent, affiliate) = (t.affiliate().await, t.affiliate().await);
    let below = json!({"parent_affiliate": parent.id});
    t.admin.patch(&format!("/api/v1/affiliates/{}", affiliate.id), &below).await.expect(200);
    let caps = json!({"limits": [{"per": "offer", "period": "total", "conversions": 1}], "over": "reject"});
    let offer = t.offer_with(json!({"caps": caps, "revenue": {"fixed": "20.00"}})).await;
    let link = t.link(&affiliate, &offer).await;
    let click = t.click_on(&link, "").await;
    // Tests are in no report before the first roll-up, when an old click leaves, and after it.
    t.advance(DAY);
    let made = test(&t, &click).status("pending").send().await;
    t.approve(&made).await.expect(200);
    test(&t, &click).send().await;
    let counted = async || {
        let report = t.admin.get("/api/v1/reports?group_by=offer&from=2026-03-01").await.expect(200);
        let counts = ["pending", "approved", "rejected"].map(|field| report["totals"][field].as_i64().unwrap());
        (counts, report["totals"]["money"].clone())
    };
    let nothing = counted().await;
    assert_eq!(nothing, ([0, 0, 0], json!([])));
    t.advance(Duration::from_secs(3 * 3_600));
    t.roll_up_reports().await;
    assert_eq!(counted().await, nothing);
    run_maintenance(t.app()).await.expect("every step succeeds");
    assert_eq!(counted().await, nothing, "the comparison with the raw rows finds no difference");

    for affiliate in [&affiliate, &parent] {
        assert_eq!(t.balance(affiliate, "USD").await, ["0.00"; 5]);
    }
    t.reject(&made, "fraud").await.expect(200);
    assert_eq!((t.postings().await, t.database.count("earnings").await), (0, 0));
    assert_eq!(t.database.count("cap_counters").await, 0);

    // The only place of the cap is left for a real sale.
    let real = t.conversion(&click).try_send().await.expect(201);
    assert_eq!(real["status"], "approved");
    assert_eq!(t.balance(&affiliate, "USD").await[1], "12.50");
    assert_eq!(counted().await.0, [0, 1, 0]);
    t.assert_books_balance().await;
}

async fn a_test_does_not_touch_the_real_transaction(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let tried = test(&t, &click).transaction("X").status("pending").send().await;
    let real = t.conversion(&click).transaction("X").status("pending").send().await;

    let again = test(&t, &click).transaction("X").status("approved").try_send().await.expect(200);
    assert_eq!((text(&again, "id"), &again["status"]), (tried.clone(), &json!("approved")));
    let read = async |id: &str| t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200);
    assert_eq!(read(&real).await["status"], "pending");
    let rejected = t.conversion(&click).transaction("X").rejected("fraud").try_send().await.expect(200);
    assert_eq!((text(&rejected, "id"), &rejected["test"]), (real, &json!(false)));
    assert_eq!(
        (&read(&tried).await["status"], &read(&tried).await["transaction_id"]),
        (&json!("approved"), &json!("X"))
    );

    // In one array, too, and by the notification of a network.
    let [one, other] =
        [true, false].map(|is_test| t.conversion(&click).transaction("Y").set("test", json!(is_test)).body);
    let results = t.admin.post("/api/v1/conversions", &json!([one, other])).await.expect(200);
    let statuses = [0, 1].map(|index| results["items"][index]["http_status"].clone());
    assert_eq!(statuses, [201, 201], "{results}");
    test(&t, &click).transaction("Z").status("pending").send().await;
    let source = json!({"name": "S", "adapter": "macro-url",
        "config": {"fields": {"transaction_id": "tid", "status": "st"}}, "settings": {"statuses": {"1": "approved"}}});
    let source = t.admin.post("/api/v1/sources", &source).await.expect(201);
    let url = url::Url::parse(&text(&source, "url")).expect("an absolute URL");
    t.anonymous().get(&format!("{}?tid=Z&st=1", url.path())).await;
    let requests = t.admin.list("/api/v1/inbound-requests").await;
    assert_eq!(requests[0]["reason_code"], "conversion_not_there", "{requests:?}");
}

async fn a_test_conversion_attributes_no_real_one(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    test(&t, &click).set("customer_id", json!("C-1")).send().await;
    let later = json!({"customer_id": "C-1", "transaction_id": "T-2", "offer_id": click.link.offer});
    t.admin.post("/api/v1/conversions", &later).await.expect_problem(422, "unknown_customer");

    // But a test finds what a real conversion would find.
    t.conversion(&click).set("customer_id", json!("C-1")).send().await;
    let mut later = later;
    later["test"] = json!(true);
    let made = t.admin.post("/api/v1/conversions", &later).await.expect(201);
    assert_eq!((&made["attributed_by"], &made["click_id"]), (&json!("customer"), &json!(click.id)));
}

async fn lists_and_exports_leave_tests_out(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").save().await;
    let tried = test(&t, &click).transaction("T-1").send().await;
    t.tick();
    let real = t.conversion(&click).transaction("T-1").send().await;
    t.deliver_all().await;
    let own = &click.link.affiliate.client;
    for client in [&t.admin, own] {
        for (query, expected) in [
            ("", vec![&real]),
            ("&test=false", vec![&real]),
            ("&test=true", vec![&tried]),
            ("&test=any", vec![&real, &tried]),
        ] {
            let found = ids(client, &format!("conversions?transaction_id=T-1{query}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
            let events = client.list(&format!("/api/v1/events?action=conversion{query}")).await;
            let of: Vec<_> = events.iter().map(|it| text(it, "conversion_id")).collect();
            assert_eq!(of.iter().collect::<Vec<_>>(), expected, "{query}");
            for subject in ["conversions", "events"] {
                let export = client.get(&format!("/api/v1/exports/{subject}?format=jsonl{query}")).await;
                assert_eq!(export.text.lines().count(), expected.len(), "{subject} {query}: {}", export.text);
                assert_eq!(export.text.contains(&tried), expected.contains(&&tried), "{subject} {query}");
            }
        }
    }
    assert_eq!(ids(&t.admin, &format!("events?conversion_id={tried}")).await.len(), 1, "the caller knows it");
    for (query, expected) in [("", 2), ("test=any", 2), ("test=true", 1), ("test=false", 1), ("transaction_id=T-1", 2)]
    {
        assert_eq!(ids(&t.admin, &format!("deliveries?{query}")).await.len(), expected, "{query}");
        if !query.contains("transaction_id") {
            let export = t.admin.get(&format!("/api/v1/exports/deliveries?format=jsonl&{query}")).await;
            assert_eq!(export.text.lines().count(), expected, "{query}: {}", export.text);
        }
    }
    t.admin.get("/api/v1/conversions?test=maybe").await.expect_problem(400, "invalid_parameter");
    t.admin.get("/api/v1/exports/clicks?test=true").await.expect_problem(400, "invalid_parameter");
    let csv = t.admin.get("/api/v1/exports/conversions?test=true").await.text;
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().expect("names"), lines.next().expect("a row"));
    let column = names.iter().position(|name| *name == "test").expect("a column");
    assert_eq!(values[column], "true", "{csv}");
}

async fn a_test_conversion_is_deleted_with_everything_that_it_caused(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").firing("any").save().await;
    let real = t.conversion(&click).send().await;
    t.deliver_all().await;
    let rows = async || {
        let mut counts = Vec::new();
        for table in ["conversions", "events", "pending_events", "deliveries", "attempts", "report_visits"] {
            counts.push(t.database.count(table).await);
        }
        counts
    };
    let before = rows().await;
    let tried = test(&t, &click).status("pending").send().await;
    let path = format!("/api/v1/conversions/{tried}");
    let renewal = json!({"conversion_id": tried, "name": "renewal"});
    t.admin.post("/api/v1/events", &renewal).await.expect(201);
    t.approve(&tried).await.expect(200);
    t.deliver_all().await;
    assert_ne!(rows().await, before);

    click.link.affiliate.client.delete(&path).await.expect_problem(403, "forbidden");
    t.admin.delete(&path).await.expect(204);

    assert_eq!(rows().await, before);
    t.admin.get(&path).await.expect_problem(404, "not_found");
    t.admin.delete(&path).await.expect_problem(404, "not_found");
    t.admin.post("/api/v1/events", &renewal).await.expect_problem(404, "not_found");
    let problem = t.admin.delete(&format!("/api/v1/conversions/{real}")).await;
    let problem = problem.expect_problem(409, "not_a_test_conversion");
    assert!(text(&problem, "detail").contains("reject it"), "{problem}");
    assert_eq!(rows().await, before);
    let audit = t.admin.list("/api/v1/audit").await;
    let deletions = audit.iter().filter(|it| it["operation"] == "delete_test_conversion" && it["outcome"] == "done");
    assert_eq!(deletions.map(|it| text(it, "object")).collect::<Vec<_>>(), [tried]);
}

async fn a_test_conversion_can_be_deleted_while_its_postback_is_sent(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/slow").save().await;
    t.receiver.always("/slow", Reply::Held);
    let tried = test(&t, &click).send().await;
    t.receiver.wait_for("/slow", 1).await;

    t.admin.delete(&format!("/api/v1/conversions/{tried}")).await.expect(204);
    t.receiver.release();
    t.receiver.always("/slow", Reply::status(200));
    t.conversion(&click).send().await;
    t.deliver_all().await;

    assert_eq!(t.database.count("deliveries").await, 1, "the real one");
    let lost = "SELECT count(*) FROM attempts WHERE delivery_id NOT IN (SELECT id FROM deliveries)";
    assert_eq!(t.database.number(lost).await, 0);
}

async fn old_test_conversions_are_deleted_when_nothing_of_them_waits(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/now").save().await;
    t.postback("/later").firing("pending").delay(200, "hours").save().await;
    let sent = test(&t, &click).send().await;
    let waits = test(&t, &click).status("pending").send().await;
    let real = t.conversion(&click).send().await;
    t.deliver_all().await;
    let left = async || {
        run_maintenance(t.app()).await.expect("every step succeeds");
        let mut left = ids(&t.admin, "conversions?test=any").await;
        left.sort();
        left
    };
    t.advance(6 * DAY);
    assert_eq!(left().await.len(), 3);
    let changed = test(&t, &click).send().await;
    t.deliver_all().await;
    t.advance(DAY + Duration::from_secs(1));
    let mut expected = vec![waits.clone(), real.clone(), changed];
    expected.sort();
    assert_eq!(left().await, expected, "{sent} is gone; a delivery of another one waits for its delay");

    t.advance(2 * DAY);
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/later").len(), 1);
    assert!(!left().await.contains(&waits), "nothing of it waits any more");
    t.advance(8 * DAY);
    assert_eq!(left().await, [real], "a real one stays for ever");
}

async fn an_affiliate_tests_its_own_clicks_and_reaches_its_own_postbacks(db: Database) {
    let t = TestApp::start(db).await;
    let (click, other) = (t.click().await, t.click().await);
    let affiliate: &Affiliate = &click.link.affiliate;
    t.postback("/own").owned_by(affiliate).firing("any").parameters(&[("s", "status"), ("t", "test")]).save().await;
    t.postback("/program").firing("any").save().await;

    let made = try_click(&affiliate.client, &click, sale("test-1")).await.expect(201);
    assert_eq!(
        (&made["test"], &made["status"], &made["affiliate_id"]),
        (&json!(true), &json!("approved"), &json!(affiliate.id))
    );
    let again = json!({"transaction_id": "test-1", "status": "rejected", "reason": "fraud"});
    let again = try_click(&affiliate.client, &click, again).await.expect(200);
    assert_eq!((&again["id"], &again["revision"]), (&made["id"], &json!(2)));
    try_click(&affiliate.client, &other, sale("test-2")).await.expect_problem(404, "not_found");
    let unknown = json!({"transaction_id": "test-3", "payout": "900.00"});
    try_click(&affiliate.client, &click, unknown).await.expect_problem(422, "invalid_field");
    let body = json!({"click_id": click.id, "transaction_id": "T-1", "test": true});
    affiliate.client.post("/api/v1/conversions", &body).await.expect_problem(403, "forbidden");
    t.deliver_all().await;

    let own = t.receiver.requests("/own");
    let last = own.last().expect("its own postback is sent");
    assert_eq!((last.parameter("s"), last.parameter("t")), ("rejected".to_owned(), "true".to_owned()));
    assert!(t.receiver.requests("/program").is_empty(), "the program is not reached");
    assert_eq!(t.balance(affiliate, "USD").await, ["0.00"; 5]);

    // Staff test any click, and reach everybody.
    try_click(&t.admin, &click, sale("test-1")).await.expect(201);
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/program").len(), 1);
    t.tick();
    let impression = t.anonymous().get(&click.link.impression_path).await;
    assert_eq!(impression.status, 200);
    let impression = Click { id: ids(&t.admin, "clicks?action=impression").await.remove(0), link: click.link.clone() };
    try_click(&affiliate.client, &impression, sale("test-4")).await.expect_problem(422, "not_a_click");
}

async fn the_test_of_an_affiliate_never_counts_the_click_of_another(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"attribution": {"click": "first"}})).await;
    let (first, second) = (t.link(&t.affiliate().await, &offer).await, t.link(&t.affiliate().await, &offer).await);
    let earlier = t.click_on(&first, "").await;
    t.tick();
    let later = t.click_on(&second, "").await;
    t.tick();

    let by_program = test(&t, &later).try_send().await.expect(201);
    assert_eq!(by_program["click_id"], json!(earlier.id), "the offer counts first clicks");
    let own = try_click(&second.affiliate.client, &later, sale("test-1")).await.expect(201);
    assert_eq!((&own["click_id"], &own["affiliate_id"]), (&json!(later.id), &json!(second.affiliate.id)));
}

async fn affiliates_do_not_meet_in_their_tests(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer().await;
    let mut tests = Vec::new();
    for _ in 0..2 {
        let link = t.link(&t.affiliate().await, &offer).await;
        let click = t.click_on(&link, "").await;
        tests.push(try_click(&link.affiliate.client, &click, sale("test-1")).await.expect(201));
        let found = ids(&link.affiliate.client, "conversions?test=true&transaction_id=test-1").await;
        assert_eq!(found, [text(&tests[tests.len() - 1], "id")]);
    }
    assert_ne!(tests[0]["id"], tests[1]["id"]);
    assert_eq!(ids(&t.admin, "conversions?test=true&transaction_id=test-1").await.len(), 2);
}

async fn an_affiliate_tests_at_most_so_often(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.tests_per_minute = 2).await;
    let click = t.click().await;
    let client = &click.link.affiliate.client;
    for transaction in ["test-1", "test-2"] {
        try_click(client, &click, sale(transaction)).await.expect(201);
    }
    try_click(client, &click, sale("test-3")).await.expect_problem(429, "too_many_tests");
}
