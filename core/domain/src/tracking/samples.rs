//! Samples for unit tests.

use crate::ids::{AffiliateId, ClickId, LinkId, OfferId};
use crate::program::offer::{Offer, OfferStatus, Payout, Terms, Visibility};
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::{Agent, Click};
use super::landing::LandingUrl;
use super::link::{Link, LinkStatus};

pub const AT: Timestamp = Timestamp::from_millis(1_763_647_000_000);

/// Pays 10.00 USD for each conversion.
pub fn offer(terms: Terms) -> Offer {
    Offer {
        id: OfferId::new(AT),
        name: "Pro".into(),
        landing_url: LandingUrl::parse("https://shop.example/?cid={click_id}&s={sub1}").unwrap(),
        currency: "USD".parse().unwrap(),
        payout: Payout::Fixed("10".parse().unwrap()),
        status: OfferStatus::Active,
        visibility: Visibility::Public,
        terms,
        is_default: false,
        hold_days: 0,
        minimum_withdrawal: None,
        created_at: AT,
        updated_at: AT,
        archived_at: None,
    }
}

/// A link of a new affiliate.
pub fn link(offer: &Offer) -> Link {
    Link {
        id: LinkId::new(AT),
        affiliate_id: AffiliateId::new(AT),
        offer_id: offer.id,
        deep_url: None,
        landing_page: None,
        status: LinkStatus::Active,
        created_at: AT,
        updated_at: AT,
        archived_at: None,
    }
}

/// A click of a new affiliate.
pub fn click(offer: &Offer) -> Click {
    Click {
        id: ClickId::new(AT),
        action: Action::Click,
        link_id: None,
        affiliate_id: AffiliateId::new(AT),
        offer_id: offer.id,
        occurred_at: AT,
        external_id: None,
        sub_ids: Vec::new(),
        params: Vec::new(),
        session: None,
        landing_url: "https://shop.example/".into(),
        referrer: None,
        ip: None,
        user_agent: None,
        country: None,
        agent: Agent::default(),
        visitor: 1,
        unique: true,
        person: None,
    }
}
