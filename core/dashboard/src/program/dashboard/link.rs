//! The card with the link and the referral code of an affiliate, and the terms of its offer.

use std::sync::Arc;

use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use domain::program::offer::{Offer, Payout};
use engine::Error;
use engine::app::App;
use engine::tracking::links;
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::tracking::links::Filter;

use crate::shell::texts::{Text, text};

#[derive(Debug, Serialize)]
pub struct LinkCard {
    /// `None` while there is neither a link nor an offer to which the referral code leads.
    link: Option<ShownLink>,
    referral_code: String,
}

#[derive(Debug, Serialize)]
struct ShownLink {
    url: String,
    offer: String,
}

impl LinkCard {
    pub fn leads_somewhere(&self) -> bool {
        self.link.is_some()
    }

    #[cfg(test)]
    pub fn sample(has_link: bool) -> Self {
        let url = "https://go.example/c/06a5xk2m7q8r9stvwxyz012345".to_owned();
        let link = has_link.then(|| ShownLink { url, offer: "Harbor <b> Pro".into() });
        Self { link, referral_code: "AF12345".into() }
    }
}

/// The newest link, or the URL of the referral code, with the offer to which it leads.
pub async fn load(app: &App, actor: Actor, affiliate: &Affiliate) -> Result<(LinkCard, Option<Arc<Offer>>), Error> {
    let filter = Filter { affiliate_id: Some(affiliate.id), ..Filter::default() };
    let newest = links::list(app, actor, filter, PageRequest::first(1)).await?.items.pop();
    let (url, offer) = match newest {
        Some(it) => (format!("{}/c/{}", app.public_url, it.link.id.bare()), app.catalog.offer(it.link.offer_id).await?),
        None => (format!("{}/r/{}", app.public_url, affiliate.referral_code), app.catalog.default_offer().await?),
    };
    let link = offer.as_ref().map(|offer| ShownLink { url, offer: offer.name.clone() });
    Ok((LinkCard { link, referral_code: affiliate.referral_code.clone() }, offer))
}

/// What the affiliate earns with the offer, in a sentence.
pub async fn terms(app: &App, affiliate: &Affiliate, offer: &Offer) -> Result<Text, Error> {
    let overrides = app.catalog.payout_overrides(offer.id).await?;
    let hold = match offer.hold_days {
        0 => text("home.no_hold"),
        days => text("home.hold").count("days", days.into()),
    };
    let terms = match overrides.payout_for(offer, affiliate.id, None) {
        Payout::Fixed(amount) => text("home.terms_fixed").money("payout", amount.of(offer.currency)),
        Payout::Percent(percent) => text("home.terms_percent").with("percent", percent.to_string()),
    };
    Ok(terms.with("offer", &offer.name).inner("hold", hold))
}
