//! `/withdrawals`, `/earnings` and `/statement`.

use std::time::Duration;

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, Person};
use reqwest::Method;
use serde_json::json;

use super::{link_of, submit};

on_both_databases!(
    an_affiliate_requests_a_withdrawal_and_follows_it,
    the_form_says_what_is_missing,
    a_withdrawal_is_cancelled_until_it_is_approved,
    earnings_say_when_they_can_be_withdrawn,
    a_statement_has_the_balance_after_each_line,
    many_lines_of_one_moment_are_on_pages,
    payout_details_are_drawn_from_the_schema_checked_and_masked,
    payout_details_of_a_customer_are_confirmed_by_mail,
);

/// An affiliate that has earned 150.00 USD, with PayPal details, and its person.
async fn paid_affiliate(t: &TestApp) -> (Affiliate, Person) {
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"name": "Harbor Pro", "payout": {"fixed": "150.00"}})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    t.conversion(&click).transaction("HM-1").send().await;
    t.deliver_all().await;
    let body = json!({"method": "paypal", "details": {"email": "paypal@example.org"}});
    let client = &affiliate.client;
    client.send(client.request(Method::PUT, "/api/v1/payout-details").json(&body)).await.expect(200);
    let person = t.person_of(&affiliate.id).await;
    (affiliate, person)
}

const HUNDRED: [(&str, &str); 3] = [("method", "paypal"), ("amount", "100,00"), ("currency", "USD")];

async fn an_affiliate_requests_a_withdrawal_and_follows_it(db: Database) {
    let t = TestApp::start(db).await;
    let (_, person) = paid_affiliate(&t).await;
    let client = &person.client;
    let page = client.get("/withdrawals").await;
    // Before anything is sent: all that is available, the fee, and what arrives.
    for shown in
        ["value=\"150.00\"", "From 10.00\u{a0}USD to 150.00\u{a0}USD", "value=\"paypal\" checked", "No withdrawal yet"]
    {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("paypal@example.org"), "details are masked: {}", page.text);
    let calculated = client.get("/withdrawals?method=paypal&amount=100&currency=USD").await;
    for shown in ["−2.00\u{a0}USD", "98.00\u{a0}USD", "50.00\u{a0}USD"] {
        assert!(calculated.text.contains(shown), "{shown}: {}", calculated.text);
    }

    let sent = submit(client, "/withdrawals", &HUNDRED).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let to = sent.header("location").expect("a page").to_owned();
    let requested = client.get(&to).await;
    for shown in ["The withdrawal is requested.", "Requested", "You can still cancel it", "98.00", "By you"] {
        assert!(requested.text.contains(shown), "{shown}: {}", requested.text);
    }
    // A double click is one withdrawal.
    assert_eq!(submit(client, "/withdrawals", &HUNDRED).await.header("location"), Some(to.as_str()));
    let list = client.get("/withdrawals").await;
    assert!(list.text.contains("On its way") && list.text.contains("100.00"), "{}", list.text);

    let path = to.split('?').next().unwrap();
    let api = format!("/api/v1{path}");
    t.admin.post(&format!("{api}/approve"), &json!({})).await.expect(200);
    t.admin.post(&format!("{api}/pay"), &json!({"reference": "PP-77"})).await.expect(200);
    let paid = client.get(path).await;
    for shown in ["Paid", "paid with the reference PP-77", "By the program"] {
        assert!(paid.text.contains(shown), "{shown}: {}", paid.text);
    }
    assert!(!paid.text.contains("Cancel the withdrawal"), "{}", paid.text);

    let stranger = t.person_of(&t.affiliate().await.id).await;
    assert_eq!(stranger.client.get(path).await.status, 404);
    assert_eq!(submit(&stranger.client, &format!("{path}/cancel"), &[]).await.status, 404);
    let finance = t.person("finance").await;
    assert!(finance.client.get("/withdrawals").await.text.contains("PP-77"));
    assert_eq!(submit(&finance.client, "/withdrawals", &HUNDRED).await.status, 400);
    let log = t.admin.list("/api/v1/audit?operation=request_withdrawal").await;
    assert!(log.iter().any(|it| text(it, "outcome") == "done"), "{log:?}");
}

async fn the_form_says_what_is_missing(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, person) = paid_affiliate(&t).await;
    let client = &person.client;
    let with = |amount: &'static str| [("method", "paypal"), ("amount", amount), ("currency", "USD")];
    for (amount, shown) in [
        ("1,000", "can be read in two ways"),
        ("ten", "is not an amount"),
        ("4", "6.00\u{a0}USD more to the minimum of 10.00\u{a0}USD"),
        ("151", "150.00\u{a0}USD is available"),
    ] {
        let refused = submit(client, "/withdrawals", &with(amount)).await;
        assert_eq!(refused.status, 422, "{amount}: {}", refused.text);
        assert!(refused.text.contains("id=\"amount-error\"") && refused.text.contains(shown), "{}", refused.text);
        assert!(
            refused.text.contains(&format!("name=\"amount\" value=\"{amount}\"")),
            "{amount} stays: {}",
            refused.text
        );
        // Calculating first says the same.
        let url = format!("/withdrawals?method=paypal&currency=USD&amount={amount}");
        assert!(client.get(&url).await.text.contains(shown), "{amount}");
    }
    let unknown = [("method", "sepa"), ("amount", "100"), ("currency", "USD")];
    assert_eq!(submit(client, "/withdrawals", &unknown).await.status, 422);
    assert!(t.admin.list("/api/v1/withdrawals").await.is_empty());

    // Nothing available: the button is off, and says why.
    submit(client, "/withdrawals", &with("150")).await;
    let page = client.get("/withdrawals").await;
    assert!(page.text.contains("Nothing is available yet") && page.text.contains(" disabled"), "{}", page.text);
    // A session that staff opened cannot request anything.
    let staff = t.person("admin").await;
    let link = format!("/api/v1/affiliates/{}/login-link", affiliate.id);
    let link = staff.client.post(&link, &json!({})).await.expect(201);
    let path = url::Url::parse(&text(&link, "login_url")).unwrap().path().to_owned();
    let browser = t.anonymous();
    let visitor = browser.with_session_of(&submit(&browser, &path, &[]).await);
    let page = visitor.get("/withdrawals").await;
    assert!(page.status == 200 && !page.text.contains("action=\"/withdrawals\" aria"), "{}", page.text);
    assert_eq!(submit(&visitor, "/withdrawals", &with("100")).await.status, 403);
}

async fn a_withdrawal_is_cancelled_until_it_is_approved(db: Database) {
    let t = TestApp::start(db).await;
    let (_, person) = paid_affiliate(&t).await;
    let client = &person.client;
    let path = async || {
        let sent = submit(client, "/withdrawals", &HUNDRED).await;
        sent.header("location").expect("a page").split('?').next().unwrap().to_owned()
    };
    let first = path().await;
    let cancelled = submit(client, &format!("{first}/cancel"), &[]).await;
    assert_eq!(cancelled.header("location"), Some(format!("{first}?done=cancelled").as_str()), "{}", cancelled.text);
    let page = client.get(&first).await;
    assert!(page.text.contains("Cancelled") && page.text.contains("Request another"), "{}", page.text);
    let log = t.admin.list("/api/v1/audit?operation=cancel_withdrawal").await;
    assert_eq!(log[0]["changes"], json!([{"field": "status", "from": "requested", "to": "cancelled"}]));

    t.advance(Duration::from_secs(60));
    let second = path().await;
    t.admin.post(&format!("/api/v1{second}/approve"), &json!({})).await.expect(200);
    let late = submit(client, &format!("{second}/cancel"), &[]).await;
    assert_eq!(late.status, 409, "{}", late.text);
    assert!(late.text.contains("role=\"alert\"") && late.text.contains("Approved"), "{}", late.text);
}

async fn earnings_say_when_they_can_be_withdrawn(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    assert!(person.client.get("/earnings").await.text.contains("No earning yet"));
    let offer = t.offer_with(json!({"hold_days": 14, "payout": {"fixed": "14.70"}})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let first = t.conversion(&click).transaction("HM-1").send().await;
    let second = t.conversion(&click).transaction("HM-2").send().await;
    t.reject(&second, "fraud").await.expect(200);
    let other = t.click().await;
    t.conversion(&other).transaction("BOB-1").send().await;
    let page = person.client.get("/earnings").await;
    for shown in ["Held until 24 Mar", "HM-1", "Taken back on", &format!("/conversions/{first}")] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("BOB-1"), "{}", page.text);
    let pending = person.client.get("/earnings?status=pending").await;
    assert!(pending.text.contains("HM-1") && !pending.text.contains("HM-2"), "{}", pending.text);
    t.advance(Duration::from_secs(15 * 24 * 3_600));
    t.deliver_all().await;
    // The session has ended in these days.
    let person = t.person_of(&affiliate.id).await;
    let page = person.client.get("/earnings?status=available").await;
    assert!(page.text.contains("HM-1") && page.text.contains("Available since"), "{}", page.text);
    let staff = t.person("finance").await;
    assert!(staff.client.get("/earnings").await.text.contains("BOB-1"));
}

async fn a_statement_has_the_balance_after_each_line(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, person) = paid_affiliate(&t).await;
    let client = &person.client;
    t.advance(Duration::from_secs(60));
    submit(client, "/withdrawals", &HUNDRED).await;
    let page = client.get("/statement").await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in
        ["Payout earned", "HM-1", "1 earning released", "+150.00", "Withdrawal requested", "−100.00", "50.00\u{a0}USD"]
    {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    // The month before has nothing, and the CSV is the same statement.
    let before = client.get("/statement?month=2026-02").await;
    assert!(before.text.contains("Nothing moved in this month"), "{}", before.text);
    let csv = page.text.split("href=\"/api/v1/statement?").nth(1).and_then(|rest| rest.split('"').next());
    let csv = csv.expect("a link").replace("&amp;", "&").replace("&#x3D;", "=");
    let csv = client.get(&format!("/api/v1/statement?{csv}")).await;
    assert!(csv.status == 200 && csv.text.contains("HM-1") && csv.text.contains("closing"), "{}", csv.text);

    let stranger = t.person_of(&t.affiliate().await.id).await;
    let own = stranger.client.get(&format!("/statement?affiliate_id={}", affiliate.id)).await;
    assert!(own.status == 200 && !own.text.contains("HM-1"), "{}", own.text);
    let finance = t.person("finance").await;
    assert_eq!(finance.client.get("/statement").await.status, 400);
    let seen = finance.client.get(&format!("/statement?affiliate_id={}", affiliate.id)).await;
    assert!(seen.text.contains("HM-1"), "{}", seen.text);
}

async fn many_lines_of_one_moment_are_on_pages(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let offer = t.offer_with(json!({"payout": {"fixed": "1.00"}, "hold_days": 10})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let sale =
        |number| json!({"click_id": click.id, "transaction_id": format!("HM-{number:03}"), "status": "approved"});
    // The clock stands still, so all have one moment.
    let sales: Vec<_> = (0..230).map(sale).collect();
    t.admin.post("/api/v1/conversions", &json!(sales)).await.expect(200);

    let (mut path, mut sizes, mut seen) = ("/statement".to_owned(), Vec::new(), std::collections::BTreeSet::new());
    loop {
        let page = person.client.get(&path).await;
        let found: Vec<_> = page.text.split("HM-").skip(1).map(|rest| rest[..3].to_owned()).collect();
        sizes.push(found.len());
        seen.extend(found);
        let next = page.text.split("href=\"").find(|rest| rest.starts_with("/statement?after"));
        let Some(next) = next.and_then(|rest| rest.split('"').next()) else { break };
        path = next.replace("&#x3D;", "=");
    }
    assert_eq!((sizes, seen.len()), (vec![100, 100, 30], 230));
}

async fn payout_details_are_drawn_from_the_schema_checked_and_masked(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let client = &person.client;
    let page = client.get("/payout-details?method=sepa").await;
    // The required fields come first, in their order.
    let at = |text: &str| page.text.find(text).unwrap_or_else(|| panic!("{text}: {}", page.text));
    assert!(at("name=\"details/account_holder\"") < at("name=\"details/iban\""), "{}", page.text);
    assert!(at("name=\"details/iban\"") < at("name=\"details/bic\""), "{}", page.text);
    let choice = client.get("/payout-details?method=crypto").await;
    assert!(choice.text.contains("<option value=\"btc\">Bitcoin"), "{}", choice.text);

    let with = |iban: &'static str, password: &'static str| {
        [("method", "sepa"), ("details/account_holder", "Ada Lovelace"), ("details/iban", iban), ("password", password)]
    };
    let (wrong, right) = ("DE00 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00");
    let checked = submit(client, "/payout-details/check", &with(wrong, "")).await;
    assert!(checked.status == 200 && checked.text.contains("check digits"), "{}", checked.text);
    assert!(submit(client, "/payout-details/check", &with(right, "")).await.text.contains("can be used"));
    let api = json!({"method": "sepa", "details": {"account_holder": "Ada", "iban": right}});
    assert_eq!(client.post("/api/v1/payout-details/check", &api).await.status, 204);
    let api = json!({"method": "sepa", "details": {"account_holder": "Ada", "iban": wrong}});
    client.post("/api/v1/payout-details/check", &api).await.expect_problem(422, "invalid_details");
    assert!(t.admin.list("/api/v1/payout-details").await.is_empty(), "a check stores nothing");

    let refused = submit(client, "/payout-details", &with(wrong, PASSWORD)).await;
    assert!(refused.status == 422 && refused.text.contains("id=\"details/iban-error\""), "{}", refused.text);
    let refused = submit(client, "/payout-details", &with(right, "wrong")).await;
    assert!(refused.text.contains("id=\"password-error\"") && refused.text.contains(right), "{}", refused.text);
    let saved = submit(client, "/payout-details", &with(right, PASSWORD)).await;
    assert_eq!(saved.header("location"), Some("/payout-details?done=saved"), "{}", saved.text);
    let page = client.get("/payout-details?done=saved").await;
    for shown in ["The details are saved.", "DE89 **** 3000", "Replace"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    t.mail_to(&person.email, "Your payout details were changed").await;

    let finance = t.person("finance").await;
    let all = finance.client.get("/payout-details").await;
    assert!(all.text.contains("DE89 **** 3000") && !all.text.contains("<form class=\"card\""), "{}", all.text);
    let log = t.admin.list("/api/v1/audit?operation=set_payout_details").await;
    let entry = json!(log).to_string();
    assert!(entry.contains("details.iban") && !entry.contains("0532") && !entry.contains(PASSWORD), "{entry}");
    assert!(t.admin.list("/api/v1/audit?operation=check_payout_details").await.is_empty());

    let id = text(&t.admin.list("/api/v1/payout-details").await[0], "id");
    let asked = client.get(&format!("/payout-details?remove={id}")).await;
    assert!(asked.text.contains(&format!("/payout-details/{id}/remove")), "{}", asked.text);
    let stranger = t.person_of(&t.affiliate().await.id).await.client;
    let path = format!("/payout-details/{id}/remove");
    assert_eq!(submit(&stranger, &path, &[("password", PASSWORD)]).await.status, 404);
    let wrong = submit(client, &path, &[("password", "wrong")]).await;
    assert!(wrong.text.contains("id=\"password-error\""), "{}", wrong.text);
    let removed = submit(client, &path, &[("password", PASSWORD)]).await;
    assert_eq!(removed.header("location"), Some("/payout-details?done=removed"), "{}", removed.text);
    assert!(t.admin.list("/api/v1/payout-details").await.is_empty());
}

async fn payout_details_of_a_customer_are_confirmed_by_mail(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"external_id": "u-1", "name": "Ada", "email": "ada@example.com"});
    let customer = text(&t.admin.post("/api/v1/customers", &body).await.expect(201), "id");
    let link = t.admin.post(&format!("/api/v1/customers/{customer}/login-link"), &json!({})).await.expect(201);
    let url = url::Url::parse(&text(&link, "login_url")).expect("an absolute URL");
    let browser = t.anonymous();
    let session = browser.with_session_of(&submit(&browser, url.path(), &[]).await);
    let page = session.get("/payout-details?method=paypal").await;
    assert!(page.text.contains("We send you a link") && !page.text.contains("type=\"password\""), "{}", page.text);
    let fields = [("method", "paypal"), ("details/email", "payee@example.org")];
    let sent = submit(&session, "/payout-details", &fields).await;
    assert_eq!(sent.header("location"), Some("/payout-details?done=mailed"), "{}", sent.text);
    let path = link_of(&t, "ada@example.com", "Confirm your payout details").await;
    assert_eq!(submit(&browser, &path, &[]).await.status, 200);
    let page = session.get("/payout-details").await;
    assert!(page.text.contains("p***@example.org"), "{}", page.text);
}
