//! The program of the demo: affiliates, offers, links and people.

use anyhow::Context;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};
use url::Url;

use super::Stage;
use crate::cli::api::{Api, text};

/// An affiliate with its own key.
pub struct Member {
    pub name: &'static str,
    pub id: String,
    pub referral_code: String,
    pub key: String,
}

pub struct Offer {
    pub id: String,
}

pub struct Link {
    pub id: String,
    /// `/c/…`
    pub path: String,
}

pub struct Cast {
    pub members: Vec<Member>,
    pub offers: Vec<Offer>,
    /// One for each of [`CAMPAIGNS`].
    pub links: Vec<Link>,
    pub people: People,
}

/// The people who sign in.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct People {
    pub affiliate: String,
    pub admin: String,
    /// The password of both.
    pub password: String,
}

impl Cast {
    pub fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    /// The API as this affiliate.
    pub fn api_of(&self, index: usize, admin: &Api) -> Api {
        admin.with_key(self.members[index].key.clone())
    }

    /// The link of a campaign.
    pub fn link_of(&self, affiliate: usize, offer: usize) -> anyhow::Result<&Link> {
        let found = CAMPAIGNS.iter().position(|it| (it.affiliate, it.offer) == (affiliate, offer));
        Ok(&self.links[found.context("no campaign has this affiliate and this offer")?])
    }
}

pub const ADA: usize = 0;
pub const GRACE: usize = 1;
pub const KATHERINE: usize = 2;
pub const ALAN: usize = 3;
pub const HEDY: usize = 4;
const DOROTHY: usize = 5;
pub const EMMY: usize = 6;
const EDSGER: usize = 7;

/// Name, mailbox and parent affiliate.
const MEMBERS: [(&str, &str, Option<usize>); 8] = [
    ("Ada Lovelace", "ada", None),
    ("Grace Hopper", "grace", None),
    ("Katherine Johnson", "katherine", None),
    ("Alan Turing", "alan", Some(ADA)),
    ("Hedy Lamarr", "hedy", Some(GRACE)),
    ("Dorothy Vaughan", "dorothy", Some(HEDY)),
    ("Emmy Noether", "emmy", None),
    ("Edsger Dijkstra", "edsger", None),
];

pub const PRO: usize = 0;
pub const COFFEE: usize = 1;
pub const SHOES: usize = 2;
pub const INSURANCE: usize = 3;
pub const PHOTO: usize = 4;

fn offers() -> [(&'static str, Value); 6] {
    [
        (
            "Pro plan",
            json!({"landing_url": "https://shop.example/pro?cid={click_id}", "currency": "USD", "payout": {"fixed": "12.50"},
                "revenue": {"fixed": "20.00"}, "hold_days": 14, "default": true, "unknown_goal": "accept",
                "goals": [{"name": "trial", "payout": {"fixed": "2.00"}, "revenue": {"fixed": "3.50"}}, {"name": "sale"}],
                "landing_pages": [{"name": "prices", "url": "https://shop.example/pro/prices?cid={click_id}", "weight": 1}]}),
        ),
        (
            "Coffee club",
            json!({"landing_url": "https://shop.example/coffee?cid={click_id}", "currency": "EUR", "payout": {"percent": "30"},
                "revenue": {"percent": "42"}, "hold_days": 30, "deep_link_hosts": ["shop.example"]}),
        ),
        (
            "Running shoes",
            json!({"landing_url": "https://run.example/?cid={click_id}", "currency": "GBP", "payout": {"percent": "8"},
                "revenue": {"percent": "11"}, "hold_days": 30, "deep_link_hosts": ["run.example"],
                "attribution": {"window_days": 30}}),
        ),
        (
            "Travel insurance",
            json!({"landing_url": "https://safe.example/quote?cid={click_id}", "currency": "EUR", "payout": {"fixed": "18.00"},
                "revenue": {"fixed": "26.00"}, "hold_days": 7, "visibility": "on_application", "unknown_goal": "accept",
                "goals": [{"name": "quote", "payout": {"fixed": "1.20"}, "revenue": {"fixed": "2.00"}}, {"name": "policy"}]}),
        ),
        (
            "Photo app",
            json!({"landing_url": "https://photo.example/get?cid={click_id}", "currency": "USD", "payout": {"fixed": "1.80"},
                "revenue": {"fixed": "2.60"}, "hold_days": 0}),
        ),
        (
            "Spring course",
            json!({"landing_url": "https://learn.example/spring?cid={click_id}", "currency": "USD",
                "payout": {"percent": "25"}, "hold_days": 14, "status": "paused"}),
        ),
    ]
}

/// An affiliate promotes an offer by a link.
pub struct Campaign {
    pub affiliate: usize,
    pub offer: usize,
    /// Share of the visits.
    pub weight: u32,
    /// Sales of a thousand visits.
    pub sales_per_mille: u32,
    /// Values of sub1.
    pub sources: &'static [&'static str],
    pub pages: &'static [&'static str],
    pub keywords: &'static [&'static str],
    /// The tracker's click ids begin with this; `None` without a tracker.
    pub tracker: Option<&'static str>,
    pub coupon: Option<&'static str>,
}

const PRO_WORDS: &[&str] = &["affiliate tracking", "postback url", "s2s tracking", "click id"];
const COFFEE_WORDS: &[&str] = &["coffee beans", "cold brew", "aeropress recipe", "espresso at home"];
const SHOE_WORDS: &[&str] = &["trail shoes", "marathon shoes", "running shoes sale"];
const PHOTO_WORDS: &[&str] = &["photo editor", "free filters", "collage app"];
const TRAVEL_WORDS: &[&str] = &["travel insurance", "annual travel cover", "ski insurance"];

pub static CAMPAIGNS: [Campaign; 12] = [
    Campaign {
        affiliate: ADA,
        offer: PRO,
        weight: 22,
        sales_per_mille: 62,
        sources: &["newsletter", "blog", "sidebar"],
        pages: &["/reviews/postback-tools", "/guides/server-to-server", "/compare/trackers"],
        keywords: PRO_WORDS,
        tracker: Some("vl"),
        coupon: None,
    },
    Campaign {
        affiliate: ADA,
        offer: PHOTO,
        weight: 11,
        sales_per_mille: 70,
        sources: &["push", "native"],
        pages: &["/photo/best-apps", "/photo/filters"],
        keywords: PHOTO_WORDS,
        tracker: Some("vl"),
        coupon: None,
    },
    Campaign {
        affiliate: GRACE,
        offer: COFFEE,
        weight: 16,
        sales_per_mille: 48,
        sources: &["blog", "recipes"],
        pages: &["/recipes/cold-brew", "/beans", "/brewing/aeropress"],
        keywords: COFFEE_WORDS,
        tracker: Some("kt"),
        coupon: Some("GRACE10"),
    },
    Campaign {
        affiliate: GRACE,
        offer: INSURANCE,
        weight: 5,
        sales_per_mille: 40,
        sources: &["blog"],
        pages: &["/travel/checklist"],
        keywords: TRAVEL_WORDS,
        tracker: Some("kt"),
        coupon: None,
    },
    Campaign {
        affiliate: KATHERINE,
        offer: PRO,
        weight: 10,
        sales_per_mille: 44,
        sources: &["video", "podcast"],
        pages: &["/tools", "/episodes/42"],
        keywords: PRO_WORDS,
        tracker: Some("rt"),
        coupon: None,
    },
    Campaign {
        affiliate: KATHERINE,
        offer: INSURANCE,
        weight: 8,
        sales_per_mille: 52,
        sources: &["search"],
        pages: &["/insurance/compare", "/insurance/ski"],
        keywords: TRAVEL_WORDS,
        tracker: Some("rt"),
        coupon: None,
    },
    Campaign {
        affiliate: ALAN,
        offer: PHOTO,
        weight: 8,
        sales_per_mille: 55,
        sources: &["popunder", "native"],
        pages: &["/apps"],
        keywords: PHOTO_WORDS,
        tracker: Some("bn"),
        coupon: None,
    },
    Campaign {
        affiliate: ALAN,
        offer: PRO,
        weight: 4,
        sales_per_mille: 30,
        sources: &["forum"],
        pages: &["/threads/trackers"],
        keywords: PRO_WORDS,
        tracker: None,
        coupon: None,
    },
    Campaign {
        affiliate: HEDY,
        offer: SHOES,
        weight: 10,
        sales_per_mille: 36,
        sources: &["instagram", "stories"],
        pages: &["/running/first-marathon", "/running/trail"],
        keywords: SHOE_WORDS,
        tracker: Some("hl"),
        coupon: Some("HEDY5"),
    },
    Campaign {
        affiliate: DOROTHY,
        offer: SHOES,
        weight: 4,
        sales_per_mille: 28,
        sources: &["club"],
        pages: &["/club/gear"],
        keywords: SHOE_WORDS,
        tracker: None,
        coupon: None,
    },
    Campaign {
        affiliate: EMMY,
        offer: COFFEE,
        weight: 6,
        sales_per_mille: 34,
        sources: &["mail"],
        pages: &["/letters/beans"],
        keywords: COFFEE_WORDS,
        tracker: None,
        coupon: None,
    },
    Campaign {
        affiliate: EDSGER,
        offer: PRO,
        weight: 2,
        sales_per_mille: 20,
        sources: &["popunder"],
        pages: &["/free"],
        keywords: PRO_WORDS,
        tracker: None,
        coupon: None,
    },
];

pub async fn create(stage: &Stage<'_>) -> anyhow::Result<Cast> {
    let api = &stage.api;
    let mut made = Vec::new();
    for (name, mut body) in offers() {
        body["name"] = name.into();
        made.push(Offer { id: text(&api.post("/api/v1/offers", body).await?, "id")? });
    }
    let members = create_members(api).await?;
    let tiers = json!({"tiers": ["10", "5"], "paid_from": "program"});
    api.put("/api/v1/settings/sub-affiliates", tiers).await?;
    apply_for_offers(api, &members, &made).await?;
    let mut links = Vec::new();
    for campaign in &CAMPAIGNS {
        let mut body = json!({"affiliate_id": members[campaign.affiliate].id, "offer_id": made[campaign.offer].id});
        if let Some(coupon) = campaign.coupon {
            body["coupon"] = coupon.into();
        }
        let link = api.post("/api/v1/links", body).await?;
        let url = Url::parse(&text(&link, "url")?)?;
        links.push(Link { id: text(&link, "id")?, path: url.path().to_owned() });
    }
    let people = create_people(api, &members[ADA]).await?;
    Ok(Cast { members, offers: made, links, people })
}

async fn create_members(api: &Api) -> anyhow::Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for (name, mailbox, parent) in MEMBERS {
        let mut body = json!({"name": name, "email": format!("{mailbox}@example.com")});
        if let Some(parent) = parent {
            body["parent_affiliate"] = members[parent].id.clone().into();
        }
        let affiliate = api.post("/api/v1/affiliates", body).await?;
        let id = text(&affiliate, "id")?;
        let key = json!({"name": format!("{name}'s script"), "role": "affiliate", "affiliate_id": id});
        let key = text(&api.post("/api/v1/api-keys", key).await?, "key")?;
        members.push(Member { name, referral_code: text(&affiliate, "referral_code")?, id, key });
    }
    Ok(members)
}

/// Two applications are approved, one is refused, and one waits.
async fn apply_for_offers(api: &Api, members: &[Member], offers: &[Offer]) -> anyhow::Result<()> {
    let path = format!("/api/v1/offers/{}/applications", offers[INSURANCE].id);
    for (member, message, decision) in [
        (GRACE, "I write about travelling with coffee gear.", Some("approve")),
        (KATHERINE, "My site compares insurances.", Some("approve")),
        (ALAN, "Push traffic, all countries.", Some("refuse")),
        (EMMY, "A letter to 4,000 readers who travel.", None),
    ] {
        let as_member = api.with_key(members[member].key.clone());
        let application = as_member.post(&path, json!({"message": message})).await?;
        if let Some(decision) = decision {
            let path = format!("/api/v1/applications/{}/{decision}", text(&application, "id")?);
            let body = if decision == "refuse" {
                json!({"reason": "The advertiser wants no push traffic."})
            } else {
                json!({})
            };
            api.post(&path, body).await?;
        }
    }
    Ok(())
}

/// Ada and an owner, who sign in; and two more members of staff.
async fn create_people(api: &Api, ada: &Member) -> anyhow::Result<People> {
    let password = format!("demo-{}", Alphanumeric.sample_string(&mut rand::rng(), 12).to_lowercase());
    let affiliate =
        json!({"name": "Ada Lovelace", "email": "ada@example.com", "role": "affiliate", "affiliate_id": ada.id});
    let affiliate = create_person(api, affiliate, &password).await?;
    let admin = json!({"name": "Margaret Hamilton", "email": "margaret@example.com", "role": "owner"});
    let admin = create_person(api, admin, &password).await?;
    for (name, mailbox, role) in [("Radia Perlman", "radia", "finance"), ("Barbara Liskov", "barbara", "support")] {
        let body = json!({"name": name, "email": format!("{mailbox}@example.com"), "role": role});
        api.post("/api/v1/users", body).await?;
    }
    Ok(People { affiliate, admin, password })
}

async fn create_person(api: &Api, body: Value, password: &str) -> anyhow::Result<String> {
    let user = api.post("/api/v1/users", body).await?;
    let link = text(&user, "invitation_url")?;
    let token = link.rsplit('/').next().unwrap_or_default();
    api.post("/api/v1/auth/set-password", json!({"token": token, "password": password})).await?;
    text(&user, "id")
}

/// At the end of the past.
pub async fn conclude(stage: &Stage<'_>, cast: &Cast) -> anyhow::Result<()> {
    let path = format!("/api/v1/affiliates/{}", cast.members[EDSGER].id);
    stage.api.patch(&path, json!({"status": "suspended"})).await?;
    Ok(())
}
