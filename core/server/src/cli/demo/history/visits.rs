//! Visits: on weekdays more than at weekends, in the evening more than at night, more each month.

use std::collections::HashSet;

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use domain::ids::{LinkId, OfferId};
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use domain::tracking::click_request::ClickRequest;
use domain::tracking::link::Link;

use super::cast::{CAMPAIGNS, Campaign, Cast};
use super::{DAY_MS, Stage, weighted};

/// Clicks of an average day.
const PER_DAY: f64 = 105.0;
/// Clicks of one statement.
const AT_ONCE: usize = 500;
/// From Monday.
const WEEK: [f64; 7] = [1.05, 1.1, 1.15, 1.1, 1.0, 0.8, 0.75];
/// From midnight, UTC.
const HOURS: [u32; 24] = [18, 12, 9, 7, 6, 8, 14, 24, 36, 44, 48, 50, 52, 48, 46, 48, 54, 62, 72, 84, 88, 76, 52, 32];

const COUNTRIES: [(&str, u32); 12] = [
    ("DE", 26),
    ("US", 20),
    ("GB", 14),
    ("FR", 9),
    ("NL", 6),
    ("AT", 5),
    ("CH", 5),
    ("ES", 4),
    ("PL", 4),
    ("IT", 3),
    ("BR", 2),
    ("IN", 2),
];

const AGENTS: [(&str, u32); 7] = [
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
        27,
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
        30,
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        22,
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        9,
    ),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0", 5),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
        4,
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 3),
];

const BOTS: [&str; 3] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "python-requests/2.32.3",
];

const REFERRERS: [Option<&str>; 5] = [
    Some("https://www.google.com/"),
    Some("https://www.youtube.com/"),
    Some("https://news.example/today"),
    Some("https://www.instagram.com/"),
    None,
];

/// A visit, and what its sale depends on.
pub struct Visit {
    pub click: String,
    pub at: i64,
    pub campaign: usize,
    /// Index of its keyword; the first keywords sell better.
    pub keyword: usize,
    pub is_bot: bool,
}

/// A person, who may come again.
#[derive(Clone)]
struct Person {
    address: String,
    country: &'static str,
    agent: &'static str,
}

/// Makes the visits of all days and stores them.
pub async fn make(cast: &Cast, stage: &Stage<'_>, random: &mut StdRng) -> anyhow::Result<Vec<Visit>> {
    let mut destinations = Vec::new();
    for (campaign, link) in CAMPAIGNS.iter().zip(&cast.links) {
        let link: LinkId = link.id.parse()?;
        let offer: OfferId = cast.offers[campaign.offer].id.parse()?;
        let link = stage.app.catalog.link(link).await?.context("the link was just created")?;
        let offer = stage.app.catalog.offer(offer).await?.context("the offer was just created")?;
        destinations.push((link, offer));
    }
    let mut people: Vec<Vec<Person>> = vec![Vec::new(); CAMPAIGNS.len()];
    let (mut visits, mut clicks) = (Vec::new(), Vec::new());
    for at in moments(stage, random) {
        let campaign = weighted(CAMPAIGNS.iter().map(|it| it.weight), random);
        let (link, offer) = &destinations[campaign];
        let made = visit((&CAMPAIGNS[campaign], &mut people[campaign]), (link, offer), at, random);
        visits.push(Visit {
            click: made.0.id.to_string(),
            at,
            campaign,
            keyword: made.1,
            is_bot: made.0.agent.likely_bot,
        });
        clicks.push(made.0);
    }
    let mut seen = HashSet::new();
    for click in &mut clicks {
        click.unique = seen.insert(click.visitor);
    }
    for part in clicks.chunks(AT_ONCE) {
        storage::tracking::clicks::insert_alone(&stage.app.db, part).await?;
    }
    Ok(visits)
}

/// When visitors come, in order.
fn moments(stage: &Stage<'_>, random: &mut StdRng) -> Vec<i64> {
    let (start, end) = (stage.times.start.millis(), stage.times.end.millis());
    let mut moments = Vec::new();
    for day in start.div_euclid(DAY_MS)..=end.div_euclid(DAY_MS) {
        let weekday = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
        let grown = 0.7 + 0.6 * (day * DAY_MS - start) as f64 / (end - start) as f64;
        let count = PER_DAY * WEEK[weekday] * grown * random.random_range(0.88..1.12);
        for _ in 0..count as u32 {
            let hour = weighted(HOURS.iter().copied(), random) as i64;
            let at = day * DAY_MS + hour * super::HOUR_MS + random.random_range(0..super::HOUR_MS);
            // The first hour is for the creation of the program.
            if (start + super::HOUR_MS..end - 60_000).contains(&at) {
                moments.push(at);
            }
        }
    }
    moments.sort_unstable();
    moments
}

/// A click, and the index of its keyword.
fn visit(
    (campaign, people): (&Campaign, &mut Vec<Person>),
    (link, offer): (&Link, &Offer),
    at: i64,
    random: &mut StdRng,
) -> (Click, usize) {
    let is_bot = random.random_bool(0.05);
    let person = match people.len() {
        known if known > 20 && !is_bot && random.random_bool(0.12) => {
            people[known - random.random_range(1..20)].clone()
        }
        _ => new_person(is_bot, random),
    };
    if !is_bot {
        people.push(person.clone());
    }
    let keyword = weighted([5, 3, 2, 2].iter().copied().take(campaign.keywords.len()), random);
    let mut query = Vec::new();
    let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
    if let Some(prefix) = campaign.tracker.filter(|_| !is_bot) {
        match random.random_range(0..100) {
            0 => add("click_id", "{clickid}".to_owned()),
            1..4 => {}
            _ => add("click_id", format!("{prefix}{:012x}", random.random_range(0..1_u64 << 48))),
        }
    }
    add("sub1", (*campaign.sources.choose(random).unwrap_or(&"link")).to_owned());
    add("sub2", format!("ad-{}", random.random_range(1..6)));
    add("keyword", campaign.keywords[keyword].to_owned());
    add("page", (*campaign.pages.choose(random).unwrap_or(&"/")).to_owned());
    let request = ClickRequest {
        query,
        referrer: REFERRERS.choose(random).copied().flatten().map(str::to_owned),
        ip: Some(person.address),
        user_agent: Some(person.agent.to_owned()),
        agent: web::tracking::read_user_agent(Some(person.agent)),
    };
    let at = Timestamp::from_millis(at);
    let click = request.into_click(Action::Click, Some(link.id), link.affiliate_id, offer, None, at);
    (Click { country: Some(person.country.to_owned()), ..click }, keyword)
}

fn new_person(is_bot: bool, random: &mut StdRng) -> Person {
    // Networks for documentation (RFC 5737).
    let network = ["192.0.2", "198.51.100", "203.0.113"][random.random_range(0..3)];
    let address = format!("{network}.{}", random.random_range(1..255));
    if is_bot {
        return Person { address, country: "US", agent: BOTS[random.random_range(0..BOTS.len())] };
    }
    let country = COUNTRIES[weighted(COUNTRIES.iter().map(|it| it.1), random)].0;
    Person { address, country, agent: AGENTS[weighted(AGENTS.iter().map(|it| it.1), random)].0 }
}
