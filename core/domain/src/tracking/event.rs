//! Events: whatever happened, with everything an adapter may know of it.
//!
//! An event is self-contained. Rendering, previewing or replaying one reads no other row, so its answer
//! is the same today and in a year, also when the click it came from is long pruned.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::Click;
use super::conversion::{Conversion, Status};

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: EventId,
    pub action: Action,
    pub occurred_at: Timestamp,
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    pub click_id: Option<ClickId>,
    pub conversion_id: Option<ConversionId>,
    /// Of the conversion; 0 without one.
    pub revision: i32,
    pub facts: Facts,
}

/// The part that is stored as JSON and handed to adapters.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Facts {
    /// The name of a custom event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub affiliate: PartyFacts,
    pub offer: PartyFacts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<ClickFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<ConversionFacts>,
    /// Of a custom event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartyFacts {
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral_code: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClickFacts {
    pub id: ClickId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    pub at: Timestamp,
    pub landing_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub sub_ids: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<String>>)]
    pub params: Vec<(String, String)>,
}

/// A conversion as it was at one revision.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConversionFacts {
    pub id: ConversionId,
    pub transaction_id: String,
    pub revision: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    #[serde(flatten)]
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_price: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_date: Option<Timestamp>,
    pub occurred_at: Timestamp,
}

/// The names that go with a conversion's or click's ids.
#[derive(Clone, Debug)]
pub struct Parties {
    pub affiliate: PartyFacts,
    pub offer: PartyFacts,
}

impl Event {
    /// A conversion came to be or changed its status.
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

    /// Something happened after a conversion.
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

    /// A click or an impression happened.
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

    /// The buyer's data in it: what must not be read by those who may not see it.
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
    /// What adapters and logs may know of it.
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
    /// What adapters and logs may know of it, as it is now.
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
