//! A failing destination: it is paused and probed, its deliveries wait, and others are not affected.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::{Receiver, Reply};
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

on_both_databases!(
    a_failing_destination_is_paused_and_waiting_uses_up_no_attempt,
    a_destination_that_never_answers_takes_no_place_of_others,
    many_silent_destinations_leave_places_for_others,
    failures_of_one_owner_do_not_affect_others_on_a_shared_host,
    waiting_deliveries_are_sent_once_and_the_newest_first,
    a_backlog_leaves_at_a_bounded_rate,
    probes_come_less_often_and_only_one_at_a_time,
    a_restart_forgets_nothing,
    a_retry_by_hand_is_the_next_probe,
    owners_get_one_message_for_each_change,
    every_state_in_order_stays_in_order,
    states_of_one_moment_stay_in_order,
    a_retried_later_state_waits_for_its_predecessor,
    a_changed_postback_leaves_the_failing_destination,
    a_superseded_state_that_waited_is_not_sent,
    affiliates_see_their_own_destinations,
    headers_in_the_log_are_bounded,
);

/// An offer with a postback to a server of its own, and a click.
struct Trouble {
    server: Receiver,
    postback: String,
    click: Click,
}

async fn trouble(t: &TestApp, changes: Value) -> Trouble {
    let server = Receiver::start().await;
    let affiliate = t.affiliate().await;
    let offer = t.offer().await;
    let link = t.link(&affiliate, &offer).await;
    let click = t.click_on(&link, "").await;
    let mut postback = t.postback("/t").to(&server.url("/t")).firing("any").scope(None, Some(&offer));
    for (name, value) in changes.as_object().expect("changes are an object") {
        postback = postback.set(name, value.clone());
    }
    let postback = postback.save().await;
    server.forget("/t");
    Trouble { server, postback, click }
}

impl Trouble {
    /// This number of conversions, a millisecond apart; returns their transactions in order.
    async fn convert(&self, t: &TestApp, count: usize) -> Vec<String> {
        let mut transactions = Vec::new();
        for _ in 0..count {
            t.tick();
            let transaction = format!("t{}", t.unique());
            t.conversion(&self.click).transaction(&transaction).send().await;
            transactions.push(transaction);
        }
        transactions
    }

    /// Causes enough failures to pause it; returns the transactions that wait.
    async fn pause(&self, t: &TestApp) -> Vec<String> {
        self.server.always("/t", Reply::status(503));
        let all = self.convert(t, 30).await;
        t.deliver_all().await;
        let sent: BTreeSet<_> = self.received().into_iter().collect();
        all.into_iter().filter(|it| !sent.contains(it)).collect()
    }

    /// Pauses it, and a conversion is approved and then rejected until it answers again. Returns the conversion and the
    /// statuses that arrive.
    async fn reject_while_paused(&self, t: &TestApp) -> (String, Vec<String>) {
        self.pause(t).await;
        let id = t.conversion(&self.click).transaction("changed").send().await;
        t.deliver_all().await;
        t.tick();
        t.reject(&id, "fraud").await.expect(200);
        t.deliver_all().await;
        self.recover();
        t.advance(Duration::from_secs(5));
        self.drain(t).await;
        let requests = self.server.requests("/t");
        let changed = requests.iter().filter(|request| request.parameter("transaction") == "changed");
        (id, changed.map(|request| request.parameter("status")).collect())
    }

    fn recover(&self) {
        self.server.always("/t", Reply::status(200));
        self.server.forget("/t");
    }

    fn received(&self) -> Vec<String> {
        self.server.requests("/t").iter().map(|request| request.parameter("transaction")).collect()
    }

    /// This destination of the program, as the API shows it.
    async fn shown(&self, t: &TestApp) -> Value {
        self.shown_of(t, &Value::Null).await.expect("it is listed")
    }

    /// This destination of an owner.
    async fn shown_of(&self, t: &TestApp, owner: &Value) -> Option<Value> {
        let origin = self.server.url("");
        let all = t.admin.list("/api/v1/destinations").await;
        all.into_iter().find(|it| it["destination"] == json!(origin) && it["owner_affiliate_id"] == *owner)
    }

    /// Advances the clock in small steps until everything that waits has left.
    async fn drain(&self, t: &TestApp) {
        for _ in 0..200 {
            t.advance(Duration::from_secs(1));
            t.deliver_all().await;
            let deliveries = t.deliveries(&self.postback).await;
            if deliveries.iter().all(|it| it["status"] != "pending") {
                return;
            }
        }
        panic!("deliveries still wait: {}", self.shown(t).await);
    }
}

async fn a_failing_destination_is_paused_and_waiting_uses_up_no_attempt(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    t.postback("/neighbour").save().await;
    let waiting = dead.pause(&t).await;
    assert!(!waiting.is_empty() && waiting.len() <= 10, "paused after twenty failures: {waiting:?}");
    assert_eq!(t.receiver.requests("/neighbour").len(), 30, "the neighbour got all of its own");

    let shown = dead.shown(&t).await;
    assert_eq!((&shown["state"], &shown["waiting"]), (&json!("open"), &json!(waiting.len())));
    assert_eq!(shown["postback_ids"], json!([dead.postback]));
    assert_eq!(shown["reason_code"], "http_503");
    assert!(shown["failures"].as_u64() >= Some(20) && shown["next_probe_at"].is_string(), "{shown}");

    let deliveries = t.deliveries(&dead.postback).await;
    let paused: Vec<_> = deliveries.iter().filter(|it| it["reason_code"] == "destination_paused").collect();
    assert_eq!(paused.len(), waiting.len());
    for delivery in paused {
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!([])), "{delivery}");
        assert!(text(delivery, "reason").contains(&dead.server.url("")), "names it: {delivery}");
    }
    // Later deliveries wait too, and none is sent.
    let before = dead.received().len();
    dead.convert(&t, 5).await;
    t.deliver_all().await;
    assert_eq!(dead.received().len(), before);
    let metrics = t.anonymous().get("/metrics").await.text;
    for line in ["postrider_breakers{state=\"open\"}", "postrider_deliveries_waiting{reason=\"destination_paused\"}"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

async fn a_destination_that_never_answers_takes_no_place_of_others(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.send_concurrency = 16;
        // Longer than this test takes on a busy machine.
        (settings.request_timeout_ms, settings.lease_secs) = (120_000, 300);
    })
    .await;
    let silent = trouble(&t, json!({})).await;
    silent.server.always("/t", Reply::Held);
    t.postback("/neighbour").save().await;
    silent.convert(&t, 60).await;
    t.receiver.wait_for("/neighbour", 60).await;
    let held = silent.received().len();
    assert!((1..=4).contains(&held), "it has {held} places");
    silent.server.release();
    silent.drain(&t).await;
    assert_eq!(silent.received().len(), 60, "each once");
}

async fn many_silent_destinations_leave_places_for_others(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.send_concurrency = 16;
        // Longer than this test takes on a busy machine.
        (settings.request_timeout_ms, settings.lease_secs) = (120_000, 300);
    })
    .await;
    let click = t.click().await;
    t.postback("/neighbour").save().await;
    // It answers again.
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let silent = trouble(&t, json!({})).await;
    let mut servers = Vec::new();
    for _ in 0..20 {
        let server = Receiver::start().await;
        let scope = Some(silent.click.link.offer.as_str());
        t.postback("/s").to(&server.url("/s")).firing("any").scope(None, scope).save().await;
        server.forget("/s");
        server.always("/s", Reply::Held);
        servers.push(server);
    }
    silent.convert(&t, 3).await;
    t.receiver.wait_for("/neighbour", 4).await;
    for _ in 0..20 {
        t.conversion(&click).send().await;
    }
    t.receiver.wait_for("/neighbour", 24).await;
    let held: usize = servers.iter().map(|it| it.requests("/s").len()).sum();
    assert!(held <= 4, "{held} places of sixteen");
    servers.iter().for_each(Receiver::release);
}

async fn failures_of_one_owner_do_not_affect_others_on_a_shared_host(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await;
    let host = Receiver::start().await;
    let offer = t.offer().await;
    let (mallory, bob) = (t.affiliate().await, t.affiliate().await);
    let (mallorys, bobs) = (t.person_of(&mallory.id).await, t.person_of(&bob.id).await);
    t.postback("/bad").to(&host.url("/bad")).set("ordering", json!("all")).owned_by(&mallory).save().await;
    let good = t.postback("/good").to(&host.url("/good")).owned_by(&bob).save().await;
    host.forget("/bad");
    host.forget("/good");
    host.always("/bad", Reply::status(429).header("retry-after", "3600"));
    let of_mallory = t.click_on(&t.link(&mallory, &offer).await, "").await;
    let of_bob = t.click_on(&t.link(&bob, &offer).await, "").await;
    for _ in 0..30 {
        t.conversion(&of_mallory).send().await;
    }
    t.deliver_all().await;
    let sent = host.requests("/bad").len();
    assert!((20..30).contains(&sent), "hers are paused after twenty failures: {sent}");
    for _ in 0..30 {
        t.conversion(&of_bob).send().await;
    }
    t.deliver_all().await;
    assert_eq!(host.requests("/good").len(), 30, "his are sent");
    for delivery in t.deliveries(&good).await {
        assert_eq!(delivery["status"], "success", "{delivery}");
    }

    // She sees it and gets a message; he does not.
    assert_eq!(bob.client.list("/api/v1/destinations").await, Vec::<Value>::new());
    let of_hers = mallory.client.list("/api/v1/destinations").await;
    let [hers] = of_hers.as_slice() else { panic!("one destination: {of_hers:?}") };
    assert_eq!((&hers["state"], &hers["waiting"]), (&json!("open"), &json!(30 - sent)));
    let all = t.admin.list("/api/v1/destinations").await;
    let [shown] = all.as_slice() else { panic!("one destination: {all:?}") };
    assert_eq!((&shown["destination"], &shown["owner_affiliate_id"]), (&json!(host.url("")), &json!(mallory.id)));
    t.mail_to(&mallorys.email, "A destination of your postbacks does not answer").await;
    eventually("the outbox to be empty", async || (t.database.count("mails").await == 0).then_some(())).await;
    let told = |email: &str| t.mails_to(email).iter().filter(|mail| mail.contains("A destination of your")).count();
    assert_eq!([&mallorys, &bobs, &admin].map(|person| told(&person.email)), [1, 0, 0]);
}

async fn waiting_deliveries_are_sent_once_and_the_newest_first(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    let mut waiting = dead.pause(&t).await;
    waiting.extend(dead.convert(&t, 10).await);
    t.deliver_all().await;
    dead.recover();
    t.advance(Duration::from_secs(6));
    t.deliver_all().await;
    assert_eq!(dead.received().first(), waiting.last(), "the newest is the probe");
    assert_eq!(dead.shown(&t).await["state"], "closed");
    dead.drain(&t).await;
    let received = dead.received();
    let unique: BTreeSet<_> = received.iter().collect();
    assert_eq!((received.len(), unique.len()), (40, 40), "all that failed or waited, once each");
    assert_eq!(dead.shown(&t).await["waiting"], 0);
}

async fn a_backlog_leaves_at_a_bounded_rate(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.drain_per_second = 5).await;
    let dead = trouble(&t, json!({})).await;
    dead.pause(&t).await;
    dead.convert(&t, 30).await;
    t.deliver_all().await;
    dead.recover();
    t.advance(Duration::from_secs(6));
    t.deliver_all().await;
    // The probe, and the rate of one second.
    let mut before = dead.received().len();
    assert!(before <= 6, "{before}");
    for _ in 0..3 {
        t.advance(Duration::from_secs(1));
        t.deliver_all().await;
        let now = dead.received().len();
        assert_eq!(now - before, 5, "five a second");
        before = now;
    }
}

async fn probes_come_less_often_and_only_one_at_a_time(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    dead.pause(&t).await;
    dead.convert(&t, 10).await;
    t.deliver_all().await;
    for wait in [5, 10, 20, 40] {
        let before = dead.received().len();
        t.advance(Duration::from_millis(wait * 1_000 - 100));
        t.deliver_all().await;
        assert_eq!(dead.received().len(), before, "not before {wait} s");
        t.advance(Duration::from_millis(wait * 100 + 200));
        t.deliver_all().await;
        assert_eq!(dead.received().len(), before + 1, "one probe after {wait} s");
        assert_eq!(dead.shown(&t).await["state"], "open");
    }
}

async fn a_restart_forgets_nothing(db: Database) {
    let mut t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    let waiting = dead.pause(&t).await;
    let before = dead.received().len();
    t.restart_with(|_| {}).await;
    t.deliver_all().await;
    dead.convert(&t, 3).await;
    t.deliver_all().await;
    assert_eq!(dead.received().len(), before, "still paused");
    let shown = dead.shown(&t).await;
    assert_eq!((&shown["state"], &shown["waiting"]), (&json!("open"), &json!(waiting.len() + 3)));
    dead.recover();
    t.advance(Duration::from_secs(5));
    dead.drain(&t).await;
    assert_eq!(dead.received().len(), 33);
}

async fn a_retry_by_hand_is_the_next_probe(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    dead.pause(&t).await;
    dead.convert(&t, 5).await;
    t.deliver_all().await;
    let deliveries = t.deliveries(&dead.postback).await;
    let chosen = deliveries.iter().find(|it| it["reason_code"] == "destination_paused").expect("some wait");
    let retry = format!("/api/v1/deliveries/{}/retry", text(chosen, "id"));

    // Still failing: one attempt is made now, although the next probe is later.
    let before = dead.received().len();
    assert_eq!(t.admin.post(&retry, &json!({})).await.expect(202)["status"], "pending");
    t.deliver_all().await;
    assert_eq!(dead.received().len(), before + 1);
    let path = format!("/api/v1/deliveries/{}", text(chosen, "id"));
    assert_eq!(t.admin.get(&path).await.expect(200)["attempts"].as_array().map(Vec::len), Some(1));

    // Working again: the retry shows it, and everything else follows.
    dead.recover();
    t.admin.post(&retry, &json!({})).await.expect(202);
    t.deliver_all().await;
    assert_eq!(t.admin.get(&path).await.expect(200)["status"], "success");
    assert_eq!(dead.shown(&t).await["state"], "closed");
}

async fn owners_get_one_message_for_each_change(db: Database) {
    let t = TestApp::start(db).await;
    let (admin, finance) = (t.person("admin").await, t.person("finance").await);
    let affiliate = t.affiliate().await;
    let own = t.person_of(&affiliate.id).await;
    let bystander = t.affiliate().await;
    let other = t.person_of(&bystander.id).await;
    let dead = trouble(&t, json!({})).await;
    // A postback of an affiliate to the same destination.
    let path = "/of-affiliate";
    t.postback(path).to(&dead.server.url(path)).owned_by(&affiliate).save().await;
    let link = t.link(&affiliate, &dead.click.link.offer).await;
    let click = t.click_on(&link, "").await;
    dead.server.always(path, Reply::status(503));
    dead.pause(&t).await;
    for _ in 0..30 {
        t.conversion(&click).send().await;
    }
    t.deliver_all().await;
    let about = |subject: &'static str| format!("A destination of your postbacks {subject}");
    let opened = about("does not answer");
    for person in [&admin, &own] {
        let mail = t.mail_to(&person.email, &opened).await;
        assert!(mail.contains(&dead.server.url("")), "{mail}");
    }
    t.advance(Duration::from_secs(24 * 3_600));
    t.deliver_all().await;
    t.mail_to(&admin.email, &about("has not answered for a day")).await;
    dead.recover();
    dead.server.always(path, Reply::status(200));
    t.advance(Duration::from_secs(3_600));
    t.deliver_all().await;
    for person in [&admin, &own] {
        t.mail_to(&person.email, &about("answers again")).await;
    }
    eventually("the outbox to be empty", async || (t.database.count("mails").await == 0).then_some(())).await;
    let told = |email: &str| t.mails_to(email).iter().filter(|mail| mail.contains("A destination of your")).count();
    assert_eq!([&admin, &own, &finance, &other].map(|person| told(&person.email)), [3, 3, 0, 0]);
}

async fn every_state_in_order_stays_in_order(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({"ordering": "all"})).await;
    let (_, statuses) = dead.reject_while_paused(&t).await;
    assert_eq!(statuses, ["approved", "rejected"]);
}

/// Their deliveries are created in the same millisecond.
async fn states_of_one_moment_stay_in_order(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({"ordering": "all"})).await;
    dead.pause(&t).await;
    let mut conversions = Vec::new();
    for _ in 0..6 {
        let transaction = format!("t{}", t.unique());
        let id = t.conversion(&dead.click).transaction(&transaction).send().await;
        t.reject(&id, "fraud").await.expect(200);
        conversions.push(transaction);
    }
    t.deliver_all().await;
    dead.recover();
    t.advance(Duration::from_secs(5));
    dead.drain(&t).await;
    let requests = dead.server.requests("/t");
    for transaction in conversions {
        let of_it = requests.iter().filter(|request| request.parameter("transaction") == transaction);
        let states: Vec<_> = of_it.map(|request| request.parameter("status")).collect();
        assert_eq!(states, ["approved", "rejected"], "{transaction}");
    }
}

/// It is claimed as the next probe and cannot be sent. Another delivery becomes the probe, and this one is not tried repeatedly.
async fn a_retried_later_state_waits_for_its_predecessor(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({"ordering": "all"})).await;
    dead.pause(&t).await;
    let id = t.conversion(&dead.click).transaction("ordered").send().await;
    t.deliver_all().await;
    t.tick();
    t.reject(&id, "fraud").await.expect(200);
    t.deliver_all().await;
    let states = t.admin.list(&format!("/api/v1/deliveries?conversion_id={id}")).await;
    let younger = states.iter().max_by_key(|it| text(it, "created_at")).expect("two states");
    let retry = format!("/api/v1/deliveries/{}/retry", text(younger, "id"));

    t.admin.post(&retry, &json!({})).await.expect(202);
    t.deliver_all().await;
    assert_eq!(dead.shown(&t).await["state"], "open", "a probe was made, and the destination is still dead");

    dead.recover();
    t.admin.post(&retry, &json!({})).await.expect(202);
    t.deliver_all().await;
    dead.drain(&t).await;
    let requests = dead.server.requests("/t");
    let ordered = requests.iter().filter(|request| request.parameter("transaction") == "ordered");
    assert_eq!(ordered.map(|request| request.parameter("status")).collect::<Vec<_>>(), ["approved", "rejected"]);
}

async fn a_changed_postback_leaves_the_failing_destination(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    let waiting = dead.pause(&t).await;
    let path = format!("/api/v1/postbacks/{}", dead.postback);
    let mut config = t.admin.get(&path).await.expect(200)["config"].clone();
    config["base_url"] = json!(t.receiver.url("/moved"));
    t.admin.patch(&path, &json!({"config": config})).await.expect(200);
    let new = dead.convert(&t, 3).await;
    t.deliver_all().await;
    let received: BTreeSet<_> =
        t.receiver.requests("/moved").iter().map(|request| request.parameter("transaction")).collect();
    for transaction in waiting.iter().chain(&new) {
        assert!(received.contains(transaction), "{transaction} goes there at once: {received:?}");
    }
}

async fn a_superseded_state_that_waited_is_not_sent(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    let (id, statuses) = dead.reject_while_paused(&t).await;
    assert_eq!(statuses, ["rejected"]);
    let states: Vec<_> = t
        .admin
        .list(&format!("/api/v1/deliveries?conversion_id={id}"))
        .await
        .iter()
        .map(|it| text(it, "status"))
        .collect();
    assert_eq!(states, ["success", "superseded"]);
}

async fn affiliates_see_their_own_destinations(db: Database) {
    let t = TestApp::start(db).await;
    let dead = trouble(&t, json!({})).await;
    let waiting = dead.pause(&t).await.len();
    let affiliate = t.affiliate().await;
    assert_eq!(affiliate.client.list("/api/v1/destinations").await, Vec::<Value>::new());
    let own = t.postback("/own").to(&dead.server.url("/own")).owned_by(&affiliate).save().await;
    dead.server.always("/own", Reply::status(503));
    let link = t.link(&affiliate, &dead.click.link.offer).await;
    let click = t.click_on(&link, "").await;
    for _ in 0..21 {
        t.tick();
        t.conversion(&click).send().await;
        t.deliver_all().await;
    }
    let seen = affiliate.client.list("/api/v1/destinations").await;
    let [seen] = seen.as_slice() else { panic!("one destination: {seen:?}") };
    assert_eq!((&seen["postback_ids"], &seen["waiting"]), (&json!([own]), &json!(1)), "its own only");
    assert_eq!(seen["owner_affiliate_id"], json!(affiliate.id));
    let programs = dead.shown(&t).await;
    assert_eq!((&programs["postback_ids"], &programs["waiting"]), (&json!([dead.postback]), &json!(waiting + 21)));
}

async fn headers_in_the_log_are_bounded(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/heavy").save().await;
    let names = ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "x-g", "x-h", "x-i", "x-j"];
    let heavy = |reply: Reply, name: &&'static str| reply.header(name, "h".repeat(6_000));
    t.receiver.always("/heavy", names.iter().fold(Reply::status(200), heavy));
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let delivery = t.only_delivery(&postback).await;
    assert_eq!(delivery["status"], "success", "{delivery}");
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["truncated"], true);
    let headers = attempt["response_headers"].to_string();
    assert!(headers.len() < 20_000, "{} bytes", headers.len());
    assert!(headers.contains("(6000 bytes)") && headers.contains("more headers are not in the log"), "{headers}");
}

/// Two nodes agree on a breaker: one message, one probe, and each delivery once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_a_breaker() {
    let t = TestApp::start(Database::postgres().await).await;
    let admin = t.person("admin").await;
    let other = t.another_node().await;
    let dead = trouble(&t, json!({})).await;
    dead.server.always("/t", Reply::status(503));
    dead.convert(&t, 60).await;
    t.deliver_all().await;
    // Each sees within five seconds what the other stored.
    t.advance(Duration::from_millis(4_900));
    t.deliver_all().await;
    dead.convert(&t, 5).await;
    t.deliver_all().await;
    let shown = dead.shown(&t).await;
    assert_eq!(shown["state"], "open", "{shown}");
    t.mail_to(&admin.email, "A destination of your postbacks does not answer").await;
    dead.recover();
    t.advance(Duration::from_secs(30));
    dead.drain(&t).await;
    let received = dead.received();
    let unique: BTreeSet<_> = received.iter().collect();
    assert_eq!((received.len(), unique.len()), (65, 65), "each once");
    t.mail_to(&admin.email, "A destination of your postbacks answers again").await;
    eventually("the outbox to be empty", async || (t.database.count("mails").await == 0).then_some(())).await;
    let told = t.mails_to(&admin.email).iter().filter(|mail| mail.contains("A destination of your")).count();
    assert_eq!(told, 2, "whichever node it was");
    other.stop().await;
}
