//! Sample events, for test requests of postbacks and for test cases of adapters.

use domain::amounts::{Amount, Currency, Money};
use domain::delivery::rules::{FiringStatus, Rule, Scope};
use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId, floor_uuid};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::conversion::Status;
use domain::tracking::event::{ClickFacts, ConversionFacts, Event, Facts, PartyFacts};

/// An event that matches `rule`, with simple and recognisable values.
pub fn event_for(rule: &Rule, now: Timestamp) -> Event {
    let affiliate_id = rule.scope.affiliate_id.unwrap_or_else(|| AffiliateId::new(now));
    let offer_id = rule.scope.offer_id.unwrap_or_else(|| OfferId::new(now));
    let click = click(now);
    let conversion =
        matches!(rule.action, Action::Conversion | Action::Event).then(|| conversion(status_for(rule), now));
    let party = |id: String, name: &str, code: Option<&str>| PartyFacts {
        id,
        name: name.to_owned(),
        referral_code: code.map(str::to_owned),
    };
    Event {
        id: EventId::new(now),
        action: rule.action,
        occurred_at: now,
        affiliate_id,
        offer_id,
        click_id: Some(click.id),
        conversion_id: conversion.as_ref().map(|it| it.id),
        revision: conversion.as_ref().map_or(0, |it| it.revision),
        facts: Facts {
            name: (rule.action == Action::Event).then(|| "test".to_owned()),
            affiliate: party(affiliate_id.to_string(), "Test Affiliate", Some("AF12345")),
            offer: party(offer_id.to_string(), "Test Offer", None),
            click: Some(click),
            conversion,
            attributes: Vec::new(),
        },
    }
}

/// The names of the samples of [`named`].
pub const NAMES: [&str; 6] =
    ["conversion-pending", "conversion-approved", "conversion-rejected", "click", "impression", "custom-event"];

/// The time of every event of [`named`]: 2026-11-20T14:05:00Z.
pub(crate) const NAMED_AT: Timestamp = Timestamp::from_millis(1_795_183_500_000);

/// A sample by name. It is always identical, including its ids. `None` if there is no sample of this name.
pub fn named(name: &str) -> Option<Event> {
    let (action, firing_status) = match name {
        "conversion-pending" => (Action::Conversion, FiringStatus::Pending),
        "conversion-approved" => (Action::Conversion, FiringStatus::Approved),
        "conversion-rejected" => (Action::Conversion, FiringStatus::Rejected),
        "click" => (Action::Click, FiringStatus::Any),
        "impression" => (Action::Impression, FiringStatus::Any),
        "custom-event" => (Action::Event, FiringStatus::Any),
        _ => return None,
    };
    let id = floor_uuid(NAMED_AT);
    let scope = Scope { affiliate_id: Some(AffiliateId(id)), offer_id: Some(OfferId(id)) };
    let rule = Rule { scope, action, firing_status, rejection_reasons: Vec::new(), delay: None };
    let mut event = event_for(&rule, NAMED_AT);
    event.id = EventId(id);
    if let Some(click) = &mut event.facts.click {
        click.id = ClickId(id);
        event.click_id = Some(click.id);
    }
    if let Some(conversion) = &mut event.facts.conversion {
        conversion.id = ConversionId(id);
        // Cases show what real conversions look like.
        conversion.test = false;
        event.conversion_id = Some(conversion.id);
    }
    Some(event)
}

fn status_for(rule: &Rule) -> Status {
    match rule.firing_status {
        FiringStatus::Pending => Status::Pending,
        FiringStatus::Any | FiringStatus::Approved => Status::Approved,
        FiringStatus::Rejected => {
            Status::Rejected { reason: rule.rejection_reasons.first().cloned().unwrap_or_else(|| "test".to_owned()) }
        }
    }
}

fn click(now: Timestamp) -> ClickFacts {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    ClickFacts {
        id: ClickId::new(now),
        external_id: Some("test-click".to_owned()),
        at: now,
        landing_url: "https://shop.example/".to_owned(),
        referrer: Some("https://blog.example/".to_owned()),
        ip: Some("192.0.2.1".to_owned()),
        user_agent: Some("Mozilla/5.0 (test)".to_owned()),
        country: Some("DE".to_owned()),
        device: Some("desktop".to_owned()),
        sub_ids: (1..=10).map(|slot| pair(&format!("sub{slot}"), &format!("test-sub{slot}"))).collect(),
        params: vec![pair("keyword", "test keyword"), pair("page", "/test")],
    }
}

fn conversion(status: Status, now: Timestamp) -> ConversionFacts {
    let usd: Currency = "USD".parse().expect("USD is a currency");
    let price: Amount = "49.00".parse().expect("49.00 is an amount");
    let money = |amount: &str| -> Money { amount.parse::<Amount>().expect("a plain amount").of(usd) };
    ConversionFacts {
        id: ConversionId::new(now),
        transaction_id: "test-transaction".to_owned(),
        revision: 1,
        goal: Some("sale".to_owned()),
        status,
        previous: None,
        payout: Some(money("12.50")),
        revenue: Some(money("20.00")),
        sale: Some(price.of(usd)),
        customer_name: Some("Test Customer".to_owned()),
        customer_email: Some("test@example.com".to_owned()),
        plan_name: Some("Test Plan".to_owned()),
        plan_price: Some(price),
        purchase_id: Some("test-purchase".to_owned()),
        purchase_date: Some(now),
        occurred_at: now,
        test: true,
        tested_by_affiliate: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_sample_is_always_the_same() {
        for name in NAMES {
            let [first, second] = [named(name), named(name)].map(|event| format!("{event:?}"));
            assert_eq!(first, second);
            assert!(first.starts_with("Some"), "{name}");
        }
    }
}
