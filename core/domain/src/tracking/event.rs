//! Events: what happened, with all data that an adapter may use.
//!
//! An event is self-contained. It is rendered, previewed and replayed without reading other rows, so the result stays
//! the same even when the click has been deleted.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
use crate::people::masking::is_personal_pair;
use crate::program::buyer_visibility::{BuyerData, BuyerVisibility, Personal};
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::{Click, Visitor};
use super::conversion::{Conversion, Status, Tester};
use super::email_hash::EmailHash;

/// The fewest characters of a personal attribute that is hidden in logs: shorter ones are parts of too many texts.
const ATTRIBUTE_CHARS_MIN: usize = 4;

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
    /// The visitor's IP address; absent, or only its network, if the reader may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The visitor's user agent; absent if the reader may not see it.
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
    /// The customer's name; absent, or only its first letter, if the reader may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    /// The customer's e-mail address; absent or masked if the reader may not see it.
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
    /// True for a test conversion; absent for a real one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// True if the affiliate recorded the test conversion, so that only its own postbacks are sent; absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tested_by_affiliate: bool,
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

    /// The status of the conversion in the event. `None` for clicks and impressions.
    pub fn status(&self) -> Option<&Status> {
        self.facts.conversion.as_ref().map(|it| &it.status)
    }

    /// Whether it belongs to a test conversion.
    pub fn is_test(&self) -> bool {
        self.facts.conversion.as_ref().is_some_and(|it| it.test)
    }

    /// Whether postbacks of this owner may be sent for it; `None` is the program. With its tests an affiliate reaches
    /// only its own postbacks.
    pub fn reaches(&self, owner: Option<AffiliateId>) -> bool {
        let is_own = self.facts.conversion.as_ref().is_some_and(|it| it.tested_by_affiliate);
        !is_own || owner == Some(self.affiliate_id)
    }

    /// The values in the event that identify the buyer or visitor. Logs of requests with the event can contain them, and
    /// the hash of the e-mail address.
    pub fn personal_values(&self) -> PersonalValues {
        let Facts { name: _, affiliate: _, offer: _, click, conversion, attributes } = &self.facts;
        let mut values = Vec::new();
        let mut add = |kind: Personal, value: Option<&str>| {
            values.extend(value.filter(|text| !text.is_empty()).map(|text| (kind, text.to_owned())));
        };
        if let Some(conversion) = conversion {
            let email = conversion.customer_email.as_deref();
            add(Personal::Name, conversion.customer_name.as_deref());
            add(Personal::Email, email);
            // Like an id, a hash has no part that identifies nobody.
            add(Personal::CustomerId, email.map(|email| EmailHash::of(email).to_string()).as_deref());
        }
        if let Some(click) = click {
            add(Personal::Address, click.ip.as_deref());
            add(Personal::UserAgent, click.user_agent.as_deref());
        }
        let personal = |(name, value): &&(String, String)| {
            is_personal_pair(name, value) && value.chars().count() >= ATTRIBUTE_CHARS_MIN
        };
        for (_, value) in attributes.iter().filter(personal) {
            add(Personal::CustomerId, Some(value));
        }
        PersonalValues(values)
    }
}

/// Values that identify a buyer or visitor.
#[derive(Clone, Debug)]
pub struct PersonalValues(Vec<(Personal, String)>);

impl PersonalValues {
    /// The text without those of the values that `visibility` hides.
    pub fn clean(&self, text: &str, visibility: BuyerVisibility) -> String {
        let values: Vec<_> = self.0.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
        visibility.clean(text, &values)
    }
}

impl BuyerData for Event {
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        Self { facts: self.facts.seen_by(visibility), ..self }
    }
}

// Every field is named, so that a new one is either shown or hidden on purpose.

impl BuyerData for Facts {
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self { name, affiliate, offer, click, conversion, attributes } = self;
        Self {
            name,
            affiliate,
            offer,
            click: click.map(|click| click.seen_by(visibility)),
            conversion: conversion.map(|conversion| conversion.seen_by(visibility)),
            attributes: visibility.named_parts(attributes),
        }
    }
}

impl BuyerData for ClickFacts {
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self { id, external_id, at, landing_url, referrer, ip, user_agent, country, device, sub_ids, params } =
            self;
        let visitor = Visitor { landing_url, referrer, ip, user_agent }.seen_by(visibility);
        Self {
            id,
            external_id,
            at,
            landing_url: visitor.landing_url,
            referrer: visitor.referrer,
            ip: visitor.ip,
            user_agent: visitor.user_agent,
            country,
            device,
            sub_ids,
            params,
        }
    }
}

impl BuyerData for ConversionFacts {
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self {
            id,
            transaction_id,
            revision,
            goal,
            status,
            previous,
            payout,
            revenue,
            sale,
            customer_name,
            customer_email,
            plan_name,
            plan_price,
            purchase_id,
            purchase_date,
            occurred_at,
            test,
            tested_by_affiliate,
        } = self;
        Self {
            id,
            transaction_id,
            revision,
            goal,
            status,
            previous,
            payout,
            revenue,
            sale,
            customer_name: visibility.part(Personal::Name, customer_name),
            customer_email: visibility.part(Personal::Email, customer_email),
            plan_name,
            plan_price,
            purchase_id,
            purchase_date,
            occurred_at,
            test,
            tested_by_affiliate,
        }
    }
}

impl Click {
    /// The data for adapters and logs.
    pub fn facts(&self) -> ClickFacts {
        ClickFacts {
            id: self.id,
            external_id: self.known_external_id().map(str::to_owned),
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
            test: self.is_test(),
            tested_by_affiliate: matches!(self.test, Some(Tester::Affiliate(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversion::samples;
    use super::*;

    #[test]
    fn the_test_of_an_affiliate_reaches_only_its_own_postbacks() {
        let conversion = samples::conversion();
        let (own, other) = (conversion.affiliate_id, AffiliateId::new(Timestamp::from_millis(1)));
        let party = PartyFacts { id: String::new(), name: String::new(), referral_code: None };
        for (test, reaches_others) in
            [(None, true), (Some(Tester::Program), true), (Some(Tester::Affiliate(own)), false)]
        {
            let conversion = Conversion { test, ..conversion.clone() };
            let parties = Parties { affiliate: party.clone(), offer: party.clone() };
            let event = Event::conversion_changed(&conversion, None, None, parties, conversion.created_at);
            assert_eq!(event.is_test(), test.is_some());
            for (owner, expected) in [(Some(own), true), (Some(other), reaches_others), (None, reaches_others)] {
                assert_eq!(event.reaches(owner), expected, "{test:?} {owner:?}");
            }
        }
    }
}
