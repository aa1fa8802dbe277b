//! `/conversions/{id}`: what happened to a conversion in one timeline, its money, its revisions, and its report.

mod deliveries;
mod report;
mod revisions;
#[cfg(test)]
mod sample;
mod timeline;

use axum::extract::{Query, State};
use domain::amounts::Money;
use domain::ids::ConversionId;
use domain::money::earning::{Earning, net_payout};
use domain::people::actor::Actor;
use domain::people::permission::Permission;
use domain::program::rejection_reason::Catalogue;
use domain::tracking::click::Click;
use domain::tracking::conversion::{Conversion, Status};
use domain::tracking::event::Event;
use engine::app::App;
use engine::delivery::deliveries::LoggedDelivery;
use engine::money::earnings;
use engine::program::rejection_reasons;
use engine::tracking::{clicks, conversions, events};
use engine::{Error, delivery};
use serde::{Deserialize, Serialize};
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::rows::{PostbackNames, offer_name, reason_text, time_to_convert};
use crate::money::earning_sentence::{EarningView, shown};
use crate::parts::status::ShownStatus;
use crate::shell::nav;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use revisions::Revision;
use timeline::Step;

/// Events, deliveries and earnings of a conversion that the page shows.
const EVENTS: u64 = 50;
const DELIVERIES: u64 = 50;
const EARNINGS: u64 = 20;

#[derive(Debug, Serialize)]
pub struct ConversionPage {
    id: String,
    status: ShownStatus,
    /// The log of postbacks with this conversion, if the page table has it.
    postbacks_of: Option<String>,
    notes: Vec<Note>,
    facts: Vec<Fact>,
    timeline: Vec<Step>,
    earnings: Vec<EarningView>,
    statement: Option<String>,
    /// The pages that approve and reject it, if the caller may.
    approve: Option<String>,
    reject: Option<String>,
    is_pending: bool,
    /// Why there is no earning.
    no_earning: Text,
    revision: i32,
    revisions: Vec<Revision>,
    report: Vec<Fact>,
}

/// Something that the reader must know first.
#[derive(Debug, Serialize)]
struct Note {
    kind: &'static str,
    icon: &'static str,
    role: &'static str,
    text: Text,
}

impl Note {
    fn new(key: &str) -> Self {
        Self { kind: "info", icon: "info", role: "note", text: text(key) }
    }

    /// Why a conversion is rejected, and what a person added.
    fn of_rejection(known: &Known) -> Vec<Self> {
        let Some(word) = known.conversion.status.reason() else { return Vec::new() };
        let bad = |text| Self { kind: "bad", icon: "circle-x", role: "note", text };
        let is_known = known.catalogue.find(word).is_some() || known.conversion.is_rejected_by_rule();
        let is_unlisted = known.actor.is_staff() && !is_known;
        let reason = match is_unlisted {
            true => text("conversion.rejected_unlisted").with("reason", word),
            false => text("conversion.rejected_because").with("reason", reason_text(&known.catalogue, word)),
        };
        let note = known.conversion.rejection_note.as_ref().map(|note| text("conversion.note").with("note", note));
        [bad(reason)].into_iter().chain(note.map(bad)).collect()
    }
}

/// A name and its value, which can lead to a page.
#[derive(Debug, Serialize)]
struct Fact {
    name: Text,
    value: Text,
    url: Option<String>,
}

impl Fact {
    fn new(key: &str, value: Text) -> Self {
        Self { name: text(key), value, url: None }
    }

    /// A value that leads to the page of an object, if the page table has the page.
    fn leading(key: &str, value: Text, page: &str, url: String) -> Self {
        Self { url: nav::has_page(page).then_some(url), ..Self::new(key, value) }
    }
}

/// Everything that is known about a conversion, without the data of buyers that the caller may not see.
struct Known {
    actor: Actor,
    conversion: Conversion,
    offer: String,
    affiliate: Option<String>,
    /// `None` if the conversion has no click, or if the click was deleted.
    click: Option<Click>,
    /// Oldest first.
    events: Vec<Event>,
    earnings: Vec<Earning>,
    deliveries: Vec<LoggedDelivery>,
    names: PostbackNames,
    catalogue: Catalogue,
}

impl Known {
    async fn load(app: &App, actor: Actor, id: ConversionId) -> Result<Self, Error> {
        let conversion = conversions::get(app, actor, id).await?;
        let click = match conversion.click_id {
            Some(click) => match clicks::get(app, actor, click).await {
                Ok(click) => Some(click),
                Err(Error::NotFound { .. }) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let of_conversion = storage::tracking::events::Filter { conversion_id: Some(id), ..Default::default() };
        let mut events = events::list(app, actor, of_conversion, PageRequest::first(EVENTS)).await?.items;
        events.reverse();
        let of_conversion = storage::money::earnings::Filter { conversion_id: Some(id), ..Default::default() };
        let mut earnings = earnings::list(app, actor, of_conversion, PageRequest::first(EARNINGS)).await?.items;
        earnings.reverse();
        let of_conversion = storage::delivery::deliveries::Filter { conversion_id: Some(id), ..Default::default() };
        let page = PageRequest::first(DELIVERIES);
        let deliveries = delivery::deliveries::list(app, actor, of_conversion, page).await?.items;
        let buyers = actor.buyers();
        Ok(Self {
            actor,
            offer: offer_name(app, &conversion).await?,
            affiliate: match actor.is_staff() {
                true => app.catalog.affiliate(conversion.affiliate_id).await?.map(|it| it.name.clone()),
                false => None,
            },
            conversion: buyers.show(conversion).into_inner(),
            click: click.map(|click| buyers.show(click).into_inner()),
            events: events.into_iter().map(|event| buyers.show(event).into_inner()).collect(),
            earnings,
            deliveries,
            names: PostbackNames::load(app, actor).await?,
            catalogue: rejection_reasons::catalogue(app).await?,
        })
    }
}

impl ConversionPage {
    fn of(known: &Known) -> Self {
        let conversion = &known.conversion;
        let url = format!("/deliveries?transaction_id={}", encoded(&conversion.transaction_id));
        let reported = conversion.reporter.is_some_and(|it| it.is_affiliate);
        let notes = [(conversion.is_test(), "conversion.is_test"), (reported, "conversion.is_self_reported")];
        Self {
            id: conversion.id.to_string(),
            status: ShownStatus::from(&conversion.status),
            postbacks_of: nav::has_page("/deliveries").then_some(url),
            notes: Note::of_rejection(known)
                .into_iter()
                .chain(notes.into_iter().filter(|(applies, _)| *applies).map(|(_, key)| Note::new(key)))
                .collect(),
            facts: facts(known),
            timeline: timeline::of(known),
            earnings: known.earnings.iter().map(shown).collect(),
            statement: nav::has_page("/statement").then(|| match known.actor.is_staff() {
                true => format!("/statement?affiliate_id={}", conversion.affiliate_id),
                false => "/statement".to_owned(),
            }),
            approve: decide_url(known, "approve").filter(|_| conversion.status != Status::Approved),
            reject: decide_url(known, "reject").filter(|_| conversion.status.reason().is_none()),
            is_pending: conversion.status == Status::Pending,
            no_earning: no_earning(conversion),
            revision: conversion.revision,
            revisions: revisions::of(&known.events, &known.catalogue),
            report: report::of(known),
        }
    }
}

/// The page of a decision about the conversion; `None` if the caller may not decide.
fn decide_url(known: &Known, decision: &str) -> Option<String> {
    let may = known.actor.is_staff() && known.actor.may(Permission::ManageConversions);
    may.then(|| format!("/conversions/decide?decision={decision}&id={}", known.conversion.id))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn facts(known: &Known) -> Vec<Fact> {
    let conversion = &known.conversion;
    let none = || plain("–");
    let money = |money: Option<Money>| money.map_or_else(none, Text::of_money);
    let net = net_payout(conversion);
    let mut facts = match known.actor.is_staff() {
        true => vec![Fact::new("conversion.payout", money(conversion.payout))],
        false if conversion.status.reason().is_some() => vec![Fact::new("conversion.payout", money(conversion.payout))],
        false => vec![Fact::new("conversion.you_earn", money(net))],
    };
    if net != conversion.payout && conversion.status.reason().is_none() {
        facts.push(match known.actor.is_staff() {
            true => Fact::new("conversion.affiliate_earns", money(net)),
            false => Fact::new("conversion.payout_before_commissions", money(conversion.payout)),
        });
    }
    facts.extend([
        Fact::new("conversion.sale", money(conversion.sale)),
        Fact::leading(
            "conversion.offer",
            plain(&known.offer),
            "/offers/{id}",
            format!("/offers/{}", conversion.offer_id),
        ),
        Fact::new("conversion.goal", conversion.goal.as_ref().map_or_else(none, plain)),
    ]);
    if let Some(payment) = &conversion.trace.payment {
        facts.push(Fact::new("conversion.payment", plain(payment.number.to_string())));
    }
    let span = time_to_convert(conversion);
    facts.push(Fact::new("conversion.click_to_sale", span.map_or_else(none, Text::of_span)));
    let delivered = deliveries::delivered(&known.deliveries);
    facts.push(Fact::new("conversion.postbacks", text("conversion.delivered").count("count", delivered)));
    facts
}

/// Why a conversion earns nothing.
fn no_earning(conversion: &Conversion) -> Text {
    match conversion.status {
        _ if conversion.is_test() => text("conversion.no_earning_test"),
        _ if conversion.is_self_reported() => text("conversion.no_earning_self_reported"),
        Status::Pending => text("conversion.no_earning_pending"),
        Status::Rejected { .. } => text("conversion.no_earning_rejected"),
        Status::Approved => text("conversion.no_earning"),
    }
}

impl Page for ConversionPage {
    const TEMPLATE: &'static str = "tracking/conversion";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::program::sub_affiliate::Commission;
        use domain::tracking::transaction::agreed_terms::{Agreed, AgreedTerms};

        let known = Known::sample();
        let full = Self {
            postbacks_of: Some("/deliveries?transaction_id=HM".into()),
            notes: vec![Note::new("conversion.is_test"), Note::new("conversion.is_self_reported")],
            ..Self::of(&known)
        };
        let bare = Known {
            click: None,
            events: Vec::new(),
            earnings: Vec::new(),
            deliveries: Vec::new(),
            affiliate: None,
            ..Known::sample()
        };
        let pending = Known {
            conversion: Conversion { status: Status::Pending, ..Known::sample().conversion },
            ..Known::sample()
        };
        let mut recruited = Known::sample();
        let commission = Commission {
            affiliate_id: recruited.conversion.affiliate_id,
            level: 1,
            percent: "10".parse().expect("a percentage"),
            paid_by_sub_affiliate: true,
        };
        recruited.conversion.trace.terms =
            Some(AgreedTerms { payout: Agreed::Fixed, revenue: None, commissions: Some(vec![commission]) });
        vec![full, Self::of(&bare), Self::of(&pending), Self::of(&recruited)]
    }
}

/// The action that redirected here.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
}

/// `GET /conversions/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<ConversionId>,
    Query(from): Query<Redirected>,
) -> Result<Reply<ConversionPage>, Problem> {
    let known = Known::load(&app, actor, id).await?;
    let title = plain(&known.conversion.transaction_id);
    let reply = viewer.page(title, ConversionPage::of(&known)).below("/conversions", text("nav.conversions"));
    Ok(match from.done.as_deref() {
        Some("approved") => reply.notice(text("decide.approved_count").count("count", 1)),
        Some("rejected") => reply.notice(text("decide.rejected_count").count("count", 1)),
        _ => reply,
    })
}
