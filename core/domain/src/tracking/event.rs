//! Events: what happened, with all data that an adapter may use.
//!
//! An event is self-contained. It is rendered, previewed and replayed without reading other rows, so the result stays
//! the same even when the click has been deleted.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::Click;
use super::conversion::{Conversion, Status};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Id of the event.
    pub id: EventId,
    /// The kind of the event.
    pub action: Action,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// The offer.
    pub offer_id: OfferId,
    /// The click.
    pub click_id: Option<ClickId>,
    /// The conversion.
    pub conversion_id: Option<ConversionId>,
    /// The revision of the conversion; 0 without one.
    pub revision: i32,
    /// The data for adapters.
    pub facts: Facts,
}

/// The data of an event that adapters get.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = EventFacts)]
pub struct Facts {
    /// The name of a custom event; absent for other events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The affiliate.
    pub affiliate: PartyFacts,
    /// The offer.
    pub offer: PartyFacts,
    /// The click or impression; absent for a conversion without a click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<ClickFacts>,
    /// The conversion; absent for clicks and impressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<ConversionFacts>,
    /// The attributes of a custom event, as pairs of name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub attributes: Vec<(String, String)>,
}

/// An affiliate or an offer.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartyFacts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The affiliate's referral code; absent for an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral_code: Option<String>,
}

/// A click or an impression.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClickFacts {
    /// Id of the click.
    pub id: ClickId,
    /// The tracker's own id of the click, from the link's parameter `click_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// The page that the visitor was redirected to.
    pub landing_url: String,
    /// The page that the visitor came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// The visitor's IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The visitor's user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// ISO 3166-1 code of two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// desktop, mobile or tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The sub ids, as pairs of name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub sub_ids: Vec<(String, String)>,
    /// The link's other parameters, as pairs of name and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub params: Vec<(String, String)>,
}

/// A conversion at one revision.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConversionFacts {
    /// Id of the conversion.
    pub id: ConversionId,
    /// The advertiser's id of the conversion.
    pub transaction_id: String,
    /// The revision: 1 for a new conversion, and 1 more for each change.
    pub revision: i32,
    /// The goal; absent if none was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Status and rejection reason.
    #[serde(flatten)]
    pub status: Status,
    /// The status before the event; absent for a new conversion and for a custom event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Status>,
    /// The amount that the affiliate earns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Money>,
    /// The amount that the advertiser pays; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Money>,
    /// The amount of the sale; absent if none was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<Money>,
    /// The customer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<String>,
    /// Name of the plan or product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_name: Option<String>,
    /// Price of the plan or product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_price: Option<Amount>,
    /// The advertiser's id of the purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_id: Option<String>,
    /// When the purchase was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_date: Option<Timestamp>,
    /// When the conversion was recorded.
    pub occurred_at: Timestamp,
}

/// The affiliate and the offer of an event.
#[derive(Clone, Debug)]
pub struct Parties {
    /// The affiliate.
    pub affiliate: PartyFacts,
    /// The offer.
    pub offer: PartyFacts,
}

impl Event {
    /// A conversion was created or changed. `previous`: the status before, `None` for a new conversion.
    pub fn conversion_changed(
        conversion: &Conversion,
        previous: Option<Status>,
        click: Option<ClickFacts>,
        parties: Parties,
        at: Timestamp,
    ) -> Self {
        let facts = Facts {
            name: None,
            affiliate: parties.affiliate,
            offer: parties.offer,
            click,
            conversion: Some(conversion.facts(previous)),
            attributes: Vec::new(),
        };
        Self::of_conversion(Action::Conversion, conversion, facts, at)
    }

    /// A custom event after a conversion.
    pub fn after_conversion(
        conversion: &Conversion,
        name: String,
        attributes: Vec<(String, String)>,
        click: Option<ClickFacts>,
        parties: Parties,
        at: Timestamp,
    ) -> Self {
        let facts = Facts {
            name: Some(name),
            affiliate: parties.affiliate,
            offer: parties.offer,
            click,
            conversion: Some(conversion.facts(None)),
            attributes,
        };
        Self::of_conversion(Action::Event, conversion, facts, at)
    }

    fn of_conversion(action: Action, conversion: &Conversion, facts: Facts, at: Timestamp) -> Self {
        Self {
            id: EventId::new(at),
            action,
            occurred_at: at,
            affiliate_id: conversion.affiliate_id,
            offer_id: conversion.offer_id,
            click_id: conversion.click_id,
            conversion_id: Some(conversion.id),
            revision: conversion.revision,
            facts,
        }
    }

    /// A click or an impression.
    pub fn clicked(click: &super::click::Click, parties: Parties) -> Self {
        Self {
            id: EventId::new(click.occurred_at),
            action: click.action,
            occurred_at: click.occurred_at,
            affiliate_id: click.affiliate_id,
            offer_id: click.offer_id,
            click_id: Some(click.id),
            conversion_id: None,
            revision: 0,
            facts: Facts {
                name: None,
                affiliate: parties.affiliate,
                offer: parties.offer,
                click: Some(click.facts()),
                conversion: None,
                attributes: Vec::new(),
            },
        }
    }

    /// The buyer's personal data in the event, which must be hidden from readers without the permission to see it.
    pub fn personal_data(&self) -> Vec<&str> {
        let conversion = self.facts.conversion.as_ref();
        conversion
            .into_iter()
            .flat_map(|c| [c.customer_name.as_deref(), c.customer_email.as_deref()])
            .flatten()
            .filter(|text| !text.is_empty())
            .collect()
    }
}

impl Click {
    /// The data for adapters and logs.
    pub fn facts(&self) -> ClickFacts {
        ClickFacts {
            id: self.id,
            external_id: self.external_id.clone(),
            at: self.occurred_at,
            landing_url: self.landing_url.clone(),
            referrer: self.referrer.clone(),
            ip: self.ip.clone(),
            user_agent: self.user_agent.clone(),
            country: self.country.clone(),
            device: self.agent.device.clone(),
            sub_ids: self.sub_ids.clone(),
            params: self.params.clone(),
        }
    }
}

impl Conversion {
    /// The data for adapters and logs, in the current state.
    pub fn facts(&self, previous: Option<Status>) -> ConversionFacts {
        ConversionFacts {
            id: self.id,
            transaction_id: self.transaction_id.clone(),
            revision: self.revision,
            goal: self.goal.clone(),
            status: self.status.clone(),
            previous,
            payout: self.payout,
            revenue: self.revenue,
            sale: self.sale,
            customer_name: self.buyer.customer_name.clone(),
            customer_email: self.buyer.customer_email.clone(),
            plan_name: self.buyer.plan_name.clone(),
            plan_price: self.buyer.plan_price,
            purchase_id: self.buyer.purchase_id.clone(),
            purchase_date: self.buyer.purchase_date,
            occurred_at: self.created_at,
        }
    }
}
