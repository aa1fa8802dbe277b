//! Messages that people choose: about failing postbacks and withdrawals, and the weekly summary.

use std::time::Duration;

use engine::pipeline::jobs::run_maintenance;
use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::{PASSWORD, Person};
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_failing_postback_is_reported_once_a_day,
    each_step_of_a_withdrawal_is_reported_to_people_who_want_it,
    a_weekly_summary_is_sent_once,
);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The messages to a person after the invitation, when none is waiting to be sent.
async fn mails(t: &TestApp, person: &Person) -> Vec<String> {
    eventually("the outbox to be empty", async || (t.database.count("mails").await == 0).then_some(())).await;
    t.mails_to(&person.email).into_iter().filter(|it| !it.contains("Subject: You are invited")).collect()
}

async fn choose(person: &Person, choices: Value) -> Value {
    person.client.patch("/api/v1/auth/me", &json!({"notifications": choices})).await.expect(200)
}

async fn a_failing_postback_is_reported_once_a_day(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let (wants, does_not) = (t.person_of(&affiliate.id).await, t.person_of(&affiliate.id).await);
    choose(&does_not, json!({"failing_postbacks": false})).await;
    let click = t.click_on(&t.link(&affiliate, &t.offer().await).await, "").await;
    let postback = t.postback("/p").owned_by(&affiliate).set("name", json!("My tracker")).save().await;
    t.receiver.always("/p", Reply::status(400));
    let fails = async |first: u32, last: u32| {
        for at in first..=last {
            t.conversion(&click).transaction(&format!("T-{at}")).send().await;
        }
        t.deliver_all().await;
    };
    fails(1, 2).await;
    assert_eq!(mails(&t, &wants).await, Vec::<String>::new(), "two failures are no news");
    fails(3, 5).await;
    let sent = mails(&t, &wants).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    for part in [
        "Subject: A postback fails",
        "\"My tracker\"",
        &format!("/deliveries?postback_id={postback}&status=failed"),
        "/account/notifications",
    ] {
        assert!(sent[0].contains(part), "{part}: {}", sent[0]);
    }
    fails(6, 8).await;
    assert_eq!(mails(&t, &wants).await.len(), 1, "once a day");
    t.advance(DAY + Duration::from_secs(60));
    fails(9, 10).await;
    assert_eq!(mails(&t, &wants).await.len(), 1, "the count begins again");
    fails(11, 11).await;
    assert_eq!(mails(&t, &wants).await.len(), 2);
    assert_eq!(mails(&t, &does_not).await, Vec::<String>::new());
}

async fn each_step_of_a_withdrawal_is_reported_to_people_who_want_it(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let (english, german) = (t.person_of(&affiliate.id).await, t.person_of(&affiliate.id).await);
    let does_not = t.person_of(&affiliate.id).await;
    german.client.patch("/api/v1/auth/me", &json!({"language": "de"})).await.expect(200);
    choose(&does_not, json!({"withdrawals": false})).await;
    let offer = t.offer_with(json!({"payout": {"fixed": "100.00"}})).await;
    t.conversion(&t.click_on(&t.link(&affiliate, &offer).await, "").await).send().await;
    t.deliver_all().await;
    let details = json!({"method": "paypal", "details": {"email": "ada@example.org"}});
    let request = affiliate.client.request(Method::PUT, "/api/v1/payout-details").json(&details);
    affiliate.client.send(request).await.expect(200);
    let before = mails(&t, &does_not).await.len();
    let ask = async || {
        let body = json!({"method": "paypal", "amount": "40.00", "currency": "USD"});
        let made = affiliate.client.post("/api/v1/withdrawals", &body).await.expect(201);
        t.advance(Duration::from_secs(60));
        text(&made, "id")
    };
    let step = async |id: &str, verb: &str, body: Value| {
        t.admin.post(&format!("/api/v1/withdrawals/{id}/{verb}"), &body).await.expect(200);
    };
    let paid = ask().await;
    step(&paid, "approve", json!({})).await;
    // Repeating a step is no news.
    step(&paid, "approve", json!({})).await;
    step(&paid, "pay", json!({"reference": "TX-1"})).await;
    step(&paid, "return", json!({"reason": "account closed"})).await;
    let refused = ask().await;
    step(&refused, "refuse", json!({"reason": "unknown account"})).await;

    let sent = mails(&t, &english).await;
    let subjects = ["is approved", "is paid", "came back", "is refused"];
    let of_withdrawals: Vec<_> = sent.iter().filter(|it| it.contains("/withdrawals/")).collect();
    assert_eq!(of_withdrawals.len(), subjects.len(), "{sent:?}");
    for (subject, mail) in subjects.into_iter().zip(of_withdrawals) {
        assert!(mail.lines().any(|it| it.starts_with("Subject:") && it.contains("40.00 USD")), "{mail}");
        assert!(mail.contains(subject) && mail.contains("/account/notifications"), "{subject}: {mail}");
    }
    assert!(sent.iter().any(|it| it.contains("TX-1")) && sent.iter().any(|it| it.contains("unknown account")));
    let sent = mails(&t, &german).await;
    let of_withdrawals: Vec<_> = sent.iter().filter(|it| it.contains("/withdrawals/")).collect();
    assert_eq!(of_withdrawals.len(), 4, "{sent:?}");
    assert!(of_withdrawals[0].contains("Hallo Grace") && of_withdrawals[0].contains("40,00 USD"), "{sent:?}");
    assert_eq!(mails(&t, &does_not).await.len(), before);
}

async fn a_weekly_summary_is_sent_once(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let me = person.client.get("/api/v1/auth/me").await.expect(200);
    let default = json!({"failing_postbacks": true, "withdrawals": true, "weekly_summary": false});
    assert_eq!(me["notifications"], default);
    let me = choose(&person, json!({"weekly_summary": true})).await;
    assert_eq!(me["notifications"]["weekly_summary"], true);
    let offer = t.offer_with(json!({"payout": {"fixed": "12.50"}})).await;
    t.conversion(&t.click_on(&t.link(&affiliate, &offer).await, "").await).send().await;
    t.deliver_all().await;
    let run = async || run_maintenance(t.app()).await.expect("the database answers");
    run().await;
    assert_eq!(mails(&t, &person).await, Vec::<String>::new(), "it is not Monday yet");

    // A Monday has passed then, and the conversion was in the week before it.
    t.advance(7 * DAY);
    run().await;
    run().await;
    let sent = mails(&t, &person).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    for part in ["Subject: Your week from 2", "Conversions: 1 (0)", "Earnings: 12.50 USD (0)", "/account/notifications"]
    {
        assert!(sent[0].contains(part), "{part}: {}", sent[0]);
    }
    t.advance(7 * DAY);
    run().await;
    let sent = mails(&t, &person).await;
    assert_eq!(sent.len(), 2);
    assert!(sent[1].contains("Conversions: 0 (1)"), "{}", sent[1]);
    let client = t.signed_in(&person.email, PASSWORD).await;
    client.patch("/api/v1/auth/me", &json!({"notifications": {"weekly_summary": false}})).await.expect(200);
    t.advance(7 * DAY);
    run().await;
    assert_eq!(mails(&t, &person).await.len(), 2);
}
