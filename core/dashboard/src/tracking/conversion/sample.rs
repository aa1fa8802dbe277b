//! A conversion with everything that the page can show.

use domain::amounts::{Amount, Money};
use domain::delivery::delivery::{Attempt, AttemptOutcome, Delivery, DeliveryState, Reason};
use domain::ids::{AffiliateId, ClickId, ConversionId, DeliveryId, EventId, OfferId, PostbackId, SourceId};
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::people::actor::Actor;
use domain::program::rejection_reason::Catalogue;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::attribution::{Considered, Evidence, Ruling, Trace, Verdict};
use domain::tracking::click::{Agent, Click};
use domain::tracking::conversion::{Buyer, Conversion, Reporter, Status};
use domain::tracking::event::{Event, Parties, PartyFacts};
use domain::tracking::transaction::payment::Payment;
use engine::delivery::deliveries::LoggedDelivery;

use super::Known;
use crate::tracking::rows::PostbackNames;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_763_647_000_000 + minutes * 60_000)
}

fn usd(amount: &str) -> Money {
    amount.parse::<Amount>().expect("an amount").of("USD".parse().expect("a currency"))
}

impl Known {
    pub fn sample() -> Self {
        let postback = PostbackId::new(at(0));
        let (conversion, events) = conversion_with_events();
        Self {
            actor: Actor::bootstrap(),
            offer: "Harbor <b> Pro".into(),
            affiliate: Some("Ada <b>".into()),
            click: Some(click(&conversion)),
            earnings: earnings(conversion.affiliate_id),
            deliveries: deliveries(&events[0], postback),
            conversion,
            events,
            names: PostbackNames::sample(postback),
            catalogue: Catalogue::default(),
        }
    }
}

/// Recorded as pending, then approved with another payout, then rejected; with a custom event in between.
fn conversion_with_events() -> (Conversion, Vec<Event>) {
    let mut conversion = conversion();
    let party = || PartyFacts { id: String::new(), name: String::new(), referral_code: None };
    let parties = || Parties { affiliate: party(), offer: party() };
    let event = |conversion: &Conversion, previous, minutes| {
        Event::conversion_changed(conversion, previous, None, parties(), at(minutes))
    };
    let mut events = vec![event(&conversion, None, 134)];
    conversion.revision = 2;
    conversion.status = Status::Approved;
    conversion.payout = Some(usd("14.70"));
    events.push(event(&conversion, Some(Status::Pending), 140));
    events.push(Event::after_conversion(&conversion, "renewal <b>".into(), Vec::new(), None, parties(), at(150)));
    conversion.revision = 3;
    conversion.status = Status::Rejected { reason: "duplicate <b>".into() };
    events.push(event(&conversion, Some(Status::Approved), 160));
    (conversion, events)
}

fn conversion() -> Conversion {
    let considered = Considered {
        evidence: Evidence::Coupon,
        value: Some("SAVE<b>".into()),
        affiliate_id: None,
        verdict: Verdict::Agrees,
    };
    Conversion {
        id: ConversionId::new(at(134)),
        offer_id: OfferId::new(at(0)),
        transaction_id: "HM-<b>".into(),
        revision: 1,
        status: Status::Pending,
        affiliate_id: AffiliateId::new(at(0)),
        link_id: None,
        click_id: Some(ClickId::new(at(0))),
        attributed_by: Evidence::Click,
        trace: Trace {
            ruling: Some(Ruling::OverCap),
            considered: vec![considered],
            payment: Some(Payment::counted(2)),
            ..Trace::default()
        },
        goal: Some("sale".into()),
        sale: Some(usd("49.00")),
        payout: Some(usd("12.00")),
        revenue: None,
        rejection_note: Some("Three <b> orders".into()),
        numbered_apart: false,
        buyer: Buyer {
            customer_name: Some("G•••".into()),
            plan_name: Some("Pro <b>".into()),
            plan_price: Some("49".parse().expect("an amount")),
            purchase_date: Some(at(130)),
            ..Buyer::default()
        },
        reporter: Some(Reporter { source_id: SourceId::new(at(0)), is_affiliate: false }),
        test: None,
        created_at: at(134),
        updated_at: at(160),
    }
}

fn click(conversion: &Conversion) -> Click {
    Click {
        id: conversion.click_id.expect("it has a click"),
        action: Action::Click,
        link_id: None,
        affiliate_id: conversion.affiliate_id,
        offer_id: conversion.offer_id,
        occurred_at: at(0),
        external_id: Some("w8KQ<b>".into()),
        sub_ids: vec![("sub1".into(), "newsletter".into())],
        params: Vec::new(),
        session: None,
        landing_url: "https://shop.example/?a=1&b=<b>".into(),
        referrer: None,
        ip: None,
        user_agent: None,
        country: Some("PL".into()),
        agent: Agent { os: Some("Android".into()), ..Agent::default() },
        visitor: 0,
        unique: true,
        person: None,
    }
}

fn earnings(affiliate: AffiliateId) -> Vec<Earning> {
    let new = |kind| Earning::new(affiliate, kind, usd("14.70"), at(20_000), at(140));
    let (held, mut available, mut reversed) =
        (new(EarningKind::Payout), new(EarningKind::Commission), new(EarningKind::Payout));
    available.release(at(155));
    available.left = 1_000_000;
    reversed.state = EarningState::Reversed;
    reversed.left = 0;
    vec![held, available, reversed]
}

fn deliveries(event: &Event, postback: PostbackId) -> Vec<LoggedDelivery> {
    use DeliveryState::{Cancelled, Failed, Pending, Success, Superseded};

    let attempt = |outcome, status, error: Option<&str>| Attempt {
        delivery_id: DeliveryId::of(EventId::new(at(134)), postback),
        number: 1,
        at: at(135),
        duration_ms: 904,
        method: "GET".into(),
        url: "https://tracker.example/".into(),
        request_headers: Vec::new(),
        request_body: None,
        status,
        response_headers: Vec::new(),
        response_body: None,
        truncated: false,
        outcome,
        error_code: error.map(|_| "timeout".into()),
        error: error.map(str::to_owned),
        adapter_log: Vec::new(),
    };
    let logged = [Success, Failed, Pending, Cancelled, Superseded].map(|state| {
        let reason = (state == Cancelled).then(|| Reason::new("rule", "It fires on approval only <b>."));
        let settled_at = (state != Pending).then(|| at(141));
        let delivery = Delivery { state, reason, settled_at, ..Delivery::pending(event, postback, at(141), at(134)) };
        let attempts = match state {
            Success => vec![
                attempt(AttemptOutcome::Retry, None, Some("no answer <b>")),
                attempt(AttemptOutcome::Accepted, Some(200), None),
            ],
            _ => Vec::new(),
        };
        let delivery = Delivery { attempts: i32::try_from(attempts.len()).expect("few"), ..delivery };
        LoggedDelivery { delivery, is_test: false, attempts }
    });
    logged.into()
}
