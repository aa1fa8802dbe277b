//! Visits: as the visitors make them, and as the export has them.

use std::collections::BTreeMap;

use futures::future::join_all;
use postrider_tests::app::click_id_in;
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::calendar::{local_day, millis};
use super::files::Row;
use super::life::Year;

const AGENTS: [Option<&str>; 6] = [
    Some(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    ),
    Some(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    ),
    Some(
        "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
    ),
    Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    None,
];
const REFERRERS: [&str; 3] =
    ["https://blog.example/review?x=1#y", "https://news.example/", "https://blog.example:8443/other"];

/// A click from its visitor's point of view.
#[derive(Clone)]
pub struct Click {
    pub id: String,
    pub at: i64,
    pub affiliate: usize,
    pub offer: usize,
    pub link: Option<String>,
    pub query: Vec<(String, String)>,
    pub ip: String,
    pub agent: Option<&'static str>,
    pub referrer: Option<&'static str>,
}

impl Year {
    fn query(&mut self) -> Vec<(String, String)> {
        let long = "long".repeat(30);
        let longer = format!("{}, and then some", &long);
        let mut query = Vec::new();
        for (name, values) in [
            ("sub1", ["red", "green", "blue sky"]),
            ("sub2", ["=1+1", "-x", "'quoted, \"twice\""]),
            ("sub10", [&long, &longer, " padded "]),
            ("keyword", ["shoes", "red shoes", "Schuhe für Ä"]),
            ("page", ["/a", "/b", "/c?d=e"]),
            ("source", ["mail", "blog", " "]),
            ("utm_source", ["letter", "feed", "x"]),
            ("utm_term", ["boots", "hats", "y"]),
            ("campaign", ["1", "2", "3"]),
        ] {
            if self.random.random_bool(0.4) {
                query.push((name.to_owned(), values[self.random.random_range(0..3)].to_owned()));
            }
        }
        query
    }

    /// Some visitors at once: new ones, returning ones, and programs.
    pub async fn visits(&mut self) {
        let mut visits = Vec::new();
        for _ in 0..self.random.random_range(3..9) {
            let (link, affiliate, offer) = self.program.links.choose(&mut self.random).expect("links").clone();
            let by_code = self.random.random_bool(0.1);
            let is_impression = !by_code && self.random.random_bool(0.15);
            let path = match (by_code, is_impression) {
                (true, _) => format!("/r/{}", self.program.affiliates[affiliate].referral_code),
                (_, true) => link.impression_path.clone(),
                _ => link.path.clone(),
            };
            let click = Click {
                id: String::new(),
                at: self.now(),
                affiliate,
                offer: if by_code { 0 } else { offer },
                link: (!by_code).then_some(link.id),
                query: self.query(),
                ip: format!("203.0.113.{}", self.random.random_range(1..12)),
                agent: AGENTS[self.random.random_range(0..AGENTS.len())],
                referrer: REFERRERS.get(self.random.random_range(0..6)).copied(),
            };
            visits.push((path, is_impression, click));
        }
        let client = self.t.anonymous();
        let answers = join_all(visits.iter().map(|(path, _, click)| {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&click.query).finish();
            let mut request = client.request(reqwest::Method::GET, &format!("{path}?{query}"));
            request = request.header("x-forwarded-for", &click.ip);
            for (name, value) in [("user-agent", click.agent), ("referer", click.referrer)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            client.send(request)
        }))
        .await;
        for ((_, is_impression, click), answer) in visits.into_iter().zip(answers) {
            if is_impression {
                assert_eq!(answer.status, 200, "{}", answer.text);
                self.impressions += 1;
            } else {
                assert_eq!(answer.status, 302, "{}", answer.text);
                self.clicks.push(Click { id: click_id_in(&answer), ..click });
            }
        }
    }
}

/// The export has every click as its visitor made it, and marks one click of each visitor per link and day as the
/// first.
pub fn are_exported(visits: &BTreeMap<String, Row>, year: &Year) {
    let clicks: BTreeMap<&str, &Click> = year.clicks.iter().map(|click| (click.id.as_str(), click)).collect();
    let is_click = |it: &&Row| it["action"] == "click";
    assert_eq!(visits.values().filter(is_click).count(), clicks.len(), "every click once");
    assert_eq!(visits.len() - clicks.len(), year.impressions, "every impression once");
    for row in visits.values().filter(is_click) {
        let click = clicks[row["id"].as_str()];
        assert_eq!(millis(&row["occurred_at"]), click.at, "{row:?}");
        assert_eq!(row["affiliate_id"], year.program.affiliates[click.affiliate].id, "{row:?}");
        assert_eq!(row["offer_id"], year.program.offers[click.offer].id, "{row:?}");
        assert_eq!(row["link_id"], click.link.as_deref().unwrap_or_default(), "{row:?}");
        assert_eq!(row["ip"], click.ip, "{row:?}");
        assert_eq!(row["user_agent"], click.agent.unwrap_or_default(), "{row:?}");
        assert_eq!(row["referrer"], click.referrer.unwrap_or_default(), "{row:?}");
        let device = match click.agent {
            Some(agent) if agent.contains("iPhone") => "mobile",
            Some(agent) if agent.contains("iPad") => "tablet",
            Some(agent) if agent.contains("Windows") || agent.contains("X11") => "desktop",
            _ => "",
        };
        assert_eq!(
            (row["likely_bot"].as_str(), row["device"].as_str()),
            (if device.is_empty() { "true" } else { "false" }, device),
            "{row:?}"
        );
        let parameters: Value = serde_json::from_str(&row["parameters"]).expect("parameters are JSON");
        for (name, value) in &click.query {
            let found = row.get(name).map_or_else(|| parameters[name].as_str(), |it| Some(it.as_str()));
            assert_eq!(found, Some(value.as_str()), "{name} of {row:?}");
        }
    }
    let mut visitors = BTreeMap::<_, Vec<&Row>>::new();
    for row in visits.values() {
        let whose = if row["link_id"].is_empty() { &row["affiliate_id"] } else { &row["link_id"] };
        let day = local_day("UTC", millis(&row["occurred_at"]));
        visitors.entry((&row["action"], whose, day, &row["ip"], &row["user_agent"])).or_default().push(row);
    }
    for visits in visitors.values() {
        let first = visits.iter().map(|it| millis(&it["occurred_at"])).min();
        let unique: Vec<_> = visits.iter().filter(|it| it["unique"] == "true").collect();
        assert_eq!(unique.len(), 1, "one is the first of {visits:#?}");
        assert_eq!(Some(millis(&unique[0]["occurred_at"])), first, "and no later one: {visits:#?}");
    }
}
