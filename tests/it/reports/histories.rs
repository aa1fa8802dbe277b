//! Random histories: for any events, packed at any time, a report equals a recount of the rows.

use std::time::Duration;

use futures::future::join_all;
use postrider_tests::app::{Affiliate, Click, Link, START_MS, TestApp, click_id_in};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::PHONE;
use super::recount::{Visits, export, recount, reported};

on_both_databases!(reports_are_recounts_after_random_histories, packed_figures_outlive_their_clicks);

const STEPS: usize = 160;
const QUESTIONS: [&[&str]; 12] = [
    &["day"],
    &["offer"],
    &["day", "link"],
    &["affiliate", "sub1"],
    &["sub1", "keyword"],
    &["device"],
    &["keyword", "browser"],
    &["source", "day"],
    &["page"],
    &["goal"],
    &["os", "link"],
    &["month", "affiliate"],
];
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "-03:30"];

struct History {
    t: TestApp,
    random: StdRng,
    links: Vec<Link>,
    affiliates: Vec<Affiliate>,
    clicks: Vec<Click>,
    conversions: Vec<String>,
}

impl History {
    async fn begin(t: TestApp, seed: u64) -> History {
        let affiliates = vec![t.affiliate().await, t.affiliate().await];
        let offers = [t.offer_with(json!({"default": true})).await, t.offer().await];
        let mut links = Vec::new();
        for affiliate in &affiliates {
            for offer in &offers {
                links.push(t.link(affiliate, offer).await);
            }
        }
        let random = StdRng::seed_from_u64(seed);
        History { t, random, links, affiliates, clicks: Vec::new(), conversions: Vec::new() }
    }

    fn query(&mut self) -> String {
        let mut query = String::from("?x=1");
        for (name, values) in [
            ("sub1", ["red", "green", "blue%20sky"]),
            ("sub7", ["1", "2", "3"]),
            ("keyword", ["shoes", "boots", "%3D1%2B1"]),
            ("page", ["/a", "/b", "/c"]),
            ("source", ["mail", "blog", "%C3%A4"]),
        ] {
            if self.random.random_bool(0.6) {
                query.push_str(&format!("&{name}={}", values[self.random.random_range(0..3)]));
            }
        }
        query
    }

    async fn visit(&mut self, path: &str) -> postrider_tests::client::Answer {
        let client = self.t.anonymous();
        let request = client.request(reqwest::Method::GET, &format!("{path}{}", self.query()));
        let agents =
            [Some(PHONE), None, Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")];
        match agents[self.random.random_range(0..3)] {
            Some(agent) => client.send(request.header("user-agent", agent)).await,
            None => client.send(request).await,
        }
    }

    async fn step(&mut self) {
        let link = self.links.choose(&mut self.random).unwrap().clone();
        match self.random.random_range(0..100) {
            0..40 => {
                let answer = self.visit(&link.path).await;
                self.clicks.push(Click { id: click_id_in(&answer), link });
            }
            40..47 => {
                let code = self.affiliates[self.random.random_range(0..2)].referral_code.clone();
                assert_eq!(self.visit(&format!("/r/{code}")).await.status, 302);
            }
            47..55 => assert_eq!(self.visit(&link.impression_path).await.status, 200),
            55..70 => self.convert().await,
            70..80 => {
                if let Some(id) = self.conversions.choose(&mut self.random) {
                    // An illegal change has no effect.
                    if self.random.random_bool(0.6) {
                        self.t.approve(id).await;
                    } else {
                        self.t.reject(id, "fraud").await;
                    }
                }
            }
            80..92 => {
                let seconds = if self.random.random_bool(0.8) { 1..1_200 } else { 1..50_000 };
                self.t.advance(Duration::from_secs(self.random.random_range(seconds)));
            }
            92..97 => {
                join_all((0..3).map(|_| self.t.roll_up_once())).await;
            }
            97 => engine::reports::rebuild(&self.t.app().db).await.expect("the database answers"),
            _ => {
                let (_, link) = (self.t.roll_up_once().await, link);
                let audited = engine::reports::verify(self.t.app()).await.expect("the database answers");
                assert_eq!(audited, 0, "nothing was missed, {}", link.id);
            }
        }
    }

    async fn convert(&mut self) {
        let status = ["pending", "approved"][self.random.random_range(0..2)];
        let (goal, revenue) = (["sale", "lead"][self.random.random_range(0..2)], self.random.random_range(1..99));
        let mut conversion = match self.clicks.choose(&mut self.random) {
            Some(click) => self.t.conversion(click),
            None => return,
        };
        if self.random.random_bool(0.2) {
            let code = &self.affiliates[self.random.random_range(0..2)].referral_code;
            conversion = conversion.set("click_id", Value::Null).set("referral_code", json!(code));
        }
        let revenue = json!(format!("{revenue}.01"));
        let conversion = conversion.status(status).set("revenue", revenue);
        let other = if goal == "sale" { "lead" } else { "sale" };
        let goals = if self.random.random_bool(0.3) { vec![goal, other] } else { vec![goal] };
        for goal in goals {
            // Each goal of a transaction is a conversion.
            let id = conversion.clone().set("goal", json!(goal)).send().await;
            assert!(!self.conversions.contains(&id));
            self.conversions.push(id);
        }
    }

    async fn visits(&self) -> Visits {
        export(&self.t, "clicks").await.into_iter().map(|it| (it["id"].as_str().unwrap().to_owned(), it)).collect()
    }

    async fn compare(&self, visits: &Visits, questions: impl Iterator<Item = usize>, when: &str) {
        let conversions = export(&self.t, "conversions").await;
        for number in questions {
            let (groups, zone) = (QUESTIONS[number % QUESTIONS.len()], ZONES[number % ZONES.len()].parse().unwrap());
            for keyword in [None, Some("shoes")] {
                let wanted = recount(visits, &conversions, groups, zone, keyword);
                let found = reported(&self.t, groups, zone, keyword, "from=2026-03-01&until=2027-01-01").await;
                assert_eq!(found, wanted, "{when}: {groups:?}, {keyword:?}, {zone}");
            }
        }
    }
}

async fn reports_are_recounts_after_random_histories(db: Database) {
    // The same for everybody, so that a failure is caused by the change under test.
    let seed = std::env::var("POSTRIDER_SEED").map_or(20_260_310, |seed| seed.parse().expect("a number"));
    let mut it = History::begin(TestApp::start(db).await, seed).await;
    for step in 0..STEPS {
        it.step().await;
        if step % 20 == 19 {
            let number = it.random.random_range(0..QUESTIONS.len() * ZONES.len());
            it.compare(&it.visits().await, number..number + 1, &format!("seed {seed}, step {step}")).await;
        }
    }
    let visits = it.visits().await;
    it.compare(&visits, 0..QUESTIONS.len(), &format!("seed {seed}, at the end")).await;
    it.t.advance(Duration::from_secs(3_600));
    it.t.roll_up_reports().await;
    it.compare(&visits, 0..QUESTIONS.len(), &format!("seed {seed}, packed")).await;
    let raw = it.t.database.count("clicks").await;
    let packed = "SELECT sum(weight) FROM report_columns WHERE subject = 0 AND number = 0";
    let packed = it.t.database.number(&packed.replace("sum(weight)", "CAST(sum(weight) AS bigint)")).await;
    assert_eq!(packed, raw, "every click is packed once");
}

async fn packed_figures_outlive_their_clicks(db: Database) {
    let mut it = History::begin(TestApp::start(db).await, 4711).await;
    for _ in 0..60 {
        it.step().await;
    }
    it.t.advance(Duration::from_secs(3_600));
    it.t.roll_up_reports().await;
    let visits = it.visits().await;
    it.t.deliver_all().await;
    // Late enough that all of March is out of retention.
    let span = Duration::from_millis((START_MS + 60 * 86_400_000 - it.t.clock.now().millis()) as u64);
    it.t.advance(span);
    it.t.roll_up_reports().await;
    let before = it.t.clock.now().minus(Duration::from_secs(20 * 86_400));
    storage::base::retention::delete_older_than(&it.t.app().db, before).await.expect("the database answers");
    assert_eq!(it.t.database.count("clicks").await, 0, "they are out of retention");
    it.compare(&visits, 0..QUESTIONS.len(), "without clicks").await;
    for id in it.conversions.clone() {
        it.t.approve(&id).await;
    }
    it.compare(&visits, 0..QUESTIONS.len(), "changed without clicks").await;
    it.t.advance(Duration::from_secs(3_600));
    it.t.roll_up_reports().await;
    it.compare(&visits, 0..QUESTIONS.len(), "changed and packed without clicks").await;
    engine::reports::rebuild(&it.t.app().db).await.expect("the database answers");
    it.t.roll_up_reports().await;
    it.compare(&visits, 0..QUESTIONS.len(), "rebuilt without clicks").await;
}

/// On PostgreSQL a transaction can commit long after its id was created. Rows of that age must not be packed before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_transactions_are_waited_for() {
    use sqlx::Connection;
    let db = Database::postgres().await;
    let url = db.url();
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    t.click_on(&link, "").await;
    t.advance(Duration::from_secs(60));
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut open = connection.begin().await.unwrap();
    let id = format!("{:012x}70008000000000000001", START_MS + 61_000);
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO clicks (id, action, link_id, affiliate_id, offer_id, occurred_at, sub_ids, params, landing_url,
             likely_bot, visitor, is_unique)
         SELECT '{id}'::uuid, action, link_id, affiliate_id, offer_id, occurred_at, sub_ids, params, landing_url,
             likely_bot, visitor, is_unique FROM clicks LIMIT 1"
    )))
    .execute(&mut *open)
    .await
    .unwrap();
    for _ in 0..4 {
        t.advance(Duration::from_secs(1_800));
        t.roll_up_once().await;
    }
    let until = engine::reports::rolled_up_until(t.app()).await.unwrap();
    assert!(until.millis() <= START_MS + 61_000, "packed up to {until} while a click of before is on its way");
    open.commit().await.unwrap();
    t.roll_up_reports().await;
    let report = t.admin.get("/api/v1/reports?group_by=day").await.expect(200);
    assert_eq!(report["totals"]["bot_clicks"], 2);
    assert_eq!(engine::reports::verify(t.app()).await.unwrap(), 0, "it was not missed");
}
