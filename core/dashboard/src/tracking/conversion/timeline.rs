//! The timeline: click, report, attribution, changes, money, and each postback with its attempts, in order.

use domain::delivery::delivery::DeliveryState;
use domain::ids::time_of;
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::program::rejection_reason::Catalogue;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::attribution::Considered;
use domain::tracking::click::Click;
use domain::tracking::conversion::{Conversion, Status};
use domain::tracking::event::{ConversionFacts, Event};
use engine::delivery::deliveries::LoggedDelivery;
use serde::Serialize;

use super::super::rows::{PostbackNames, reason_of, reason_text};
use super::Known;
use super::deliveries::{AttemptRow, last_attempts};
use crate::shell::nav;
use crate::shell::texts::{Text, plain, text};

/// A step of the timeline.
#[derive(Debug, Serialize)]
pub struct Step {
    at: Timestamp,
    /// The colour; `next` for what will happen.
    kind: Option<&'static str>,
    icon: &'static str,
    title: Text,
    detail: Option<Text>,
    /// Behind the detail.
    link: Option<StepLink>,
    /// What was reported about the affiliate, with a verdict for each piece.
    evidence: Vec<Text>,
    pairs: Vec<Pair>,
    attempts: Vec<AttemptRow>,
}

#[derive(Debug, Serialize)]
struct StepLink {
    url: String,
    name: Text,
}

#[derive(Debug, Serialize)]
struct Pair {
    name: Text,
    value: String,
}

impl Step {
    pub fn new(at: Timestamp, kind: Option<&'static str>, icon: &'static str, title: Text) -> Self {
        let (evidence, pairs, attempts) = (Vec::new(), Vec::new(), Vec::new());
        Self { at, kind, icon, title, detail: None, link: None, evidence, pairs, attempts }
    }

    pub fn detail(self, detail: Option<Text>) -> Self {
        Self { detail, ..self }
    }

    /// A link behind the detail, if the page table has the page.
    pub fn link(self, page: &str, url: String, key: &str) -> Self {
        let link = nav::has_page(page).then(|| StepLink { url, name: text(key) });
        Self { link, ..self }
    }

    pub fn attempts(self, attempts: Vec<AttemptRow>) -> Self {
        Self { attempts, ..self }
    }
}

/// The steps in their order. Steps of the same moment are in the order of cause and effect.
pub fn of(known: &Known) -> Vec<Step> {
    let mut steps: Vec<_> = clicked(known).into_iter().collect();
    steps.push(reported(known));
    steps.push(attributed(known));
    steps.extend(known.events.iter().filter_map(|event| changed(event, &known.catalogue)));
    steps.extend(known.earnings.iter().flat_map(earned));
    steps.extend(known.deliveries.iter().rev().map(|it| sent(it, &known.names)));
    steps.sort_by_key(|step| step.at);
    steps
}

/// The click, also if only its id is still known.
fn clicked(known: &Known) -> Option<Step> {
    let id = known.conversion.click_id?;
    let title = text("conversion.step.click");
    let step = match &known.click {
        Some(click) => {
            let step = Step::new(click.occurred_at, Some("info"), "mouse-pointer-click", title);
            Step { pairs: pairs(click), ..step.detail(visitor(click)) }
        }
        None => {
            let step = Step::new(time_of(id.0), Some("info"), "mouse-pointer-click", title);
            step.detail(Some(text("conversion.step.click_deleted")))
        }
    };
    Some(step.link("/clicks/{id}", format!("/clicks/{id}"), "conversion.step.see_click"))
}

/// `Android, Chrome, PL`: what is known of the visitor.
fn visitor(click: &Click) -> Option<Text> {
    let parts = [&click.agent.os, &click.agent.browser, &click.country, &click.referrer];
    let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| plain(parts.join(", ")))
}

fn pairs(click: &Click) -> Vec<Pair> {
    let external = click.external_id.iter().map(|id| Pair { name: text("conversion.external_id"), value: id.clone() });
    let carried = click.sub_ids.iter().chain(&click.params);
    let carried = carried.map(|(name, value)| Pair { name: plain(name), value: value.clone() });
    let landing = Pair { name: text("conversion.landing_url"), value: click.landing_url.clone() };
    external.chain(carried).chain([landing]).collect()
}

/// The first report, as it was recorded.
fn reported(known: &Known) -> Step {
    let conversion = &known.conversion;
    let title = match conversion.reporter {
        None => "conversion.step.reported_by_api",
        Some(it) if it.is_affiliate => "conversion.step.reported_by_own_source",
        Some(_) => "conversion.step.reported_by_source",
    };
    let first = known.events.iter().filter_map(conversion_of).find(|facts| facts.revision == 1);
    let detail = first.map(|facts| {
        let status = status_name(&facts.status);
        match facts.sale {
            Some(sale) => text("conversion.step.recorded_sale").inner("status", status).money("sale", sale),
            None => text("conversion.step.recorded").inner("status", status),
        }
    });
    let step = Step::new(conversion.created_at, None, "inbox", text(title)).detail(detail);
    match conversion.reporter {
        Some(it) if nav::has_page("/sources/{id}") && (it.is_affiliate || known.actor.is_staff()) => {
            step.link("/sources/{id}", format!("/sources/{}", it.source_id), "conversion.step.see_source")
        }
        _ => step,
    }
}

/// The revision that an event is about; `None` for custom events.
pub fn conversion_of(event: &Event) -> Option<&ConversionFacts> {
    event.facts.conversion.as_ref().filter(|_| event.action == Action::Conversion)
}

pub fn status_name(status: &Status) -> Text {
    text(&format!("status.{}", status.word()))
}

fn attributed(known: &Known) -> Step {
    let Conversion { attributed_by, trace, created_at, .. } = &known.conversion;
    let title = text(&format!("conversion.by.{}", attributed_by.as_str()));
    let ruling = trace.shown_ruling().map(|ruling| text("conversion.ruled").with("rule", ruling.reason()));
    let step = Step::new(*created_at, None, "list-checks", title).detail(ruling);
    let visible =
        |it: &&Considered| known.actor.is_staff() || it.affiliate_id.is_some_and(|id| known.actor.may_see(id));
    let evidence = trace.considered.iter().filter(visible).map(|it| {
        let kind = text(&format!("evidence.{}", it.evidence.as_str()));
        let value = it.value.clone().unwrap_or_default();
        text("conversion.evidence").inner("kind", kind).with("value", value).with("sentence", it.verdict.sentence())
    });
    Step { evidence: evidence.collect(), ..step }
}

/// A change after the first report, or a custom event.
fn changed(event: &Event, catalogue: &Catalogue) -> Option<Step> {
    if let Some(name) = &event.facts.name {
        let title = text("conversion.step.event").with("name", name);
        return Some(Step::new(event.occurred_at, Some("info"), "tag", title));
    }
    let facts = conversion_of(event).filter(|facts| facts.revision > 1)?;
    let is_same = facts.previous.as_ref().is_none_or(|before| *before == facts.status);
    let revision = u64::try_from(facts.revision).unwrap_or(0).to_string();
    if is_same {
        let detail = text("conversion.step.corrected_text").with("revision", revision);
        let step = Step::new(event.occurred_at, None, "pencil", text("conversion.step.corrected"));
        return Some(step.detail(Some(detail)));
    }
    let (kind, icon) = match facts.status {
        Status::Pending => ("warn", "clock"),
        Status::Approved => ("ok", "badge-check"),
        Status::Rejected { .. } => ("bad", "circle-x"),
    };
    let detail = match facts.status.reason() {
        Some(reason) => {
            text("conversion.step.rejected_for").with("reason", reason_text(catalogue, reason).trim_end_matches('.'))
        }
        None => text("conversion.step.changed"),
    };
    let detail = detail.with("revision", revision);
    Some(Step::new(event.occurred_at, Some(kind), icon, status_name(&facts.status)).detail(Some(detail)))
}

/// What an earning did, and what it will do.
fn earned(earning: &Earning) -> Vec<Step> {
    let whole = Text::of_money(earning.earned);
    let is_commission = earning.kind == EarningKind::Commission;
    let title = if is_commission { "conversion.step.commission" } else { "conversion.step.earned" };
    let begun = Step::new(earning.created_at, None, "coins", text(title).inner("money", whole.clone()));
    let is_held = earning.release_at > earning.created_at;
    let mut steps = vec![begun.detail(is_held.then(|| text("conversion.step.held").time("at", earning.release_at)))];
    let named = |key: &str, money: Text| text(key).inner("money", money);
    if let Some(at) = earning.released_at {
        let title = named("conversion.step.released", whole.clone());
        steps.push(Step::new(at, Some("ok"), "landmark", title));
    }
    match earning.state {
        EarningState::Pending => {
            let left = Text::of_money(domain::amounts::Money { micros: earning.left, ..earning.earned });
            let step = Step::new(earning.release_at, Some("next"), "lock", named("conversion.step.will_release", left));
            steps.push(step.detail(Some(text("conversion.step.unless_rejected"))));
        }
        EarningState::Reversed => {
            let title = named("conversion.step.reversed", whole);
            steps.push(Step::new(earning.updated_at, Some("bad"), "undo-2", title));
        }
        EarningState::Available => {}
    }
    steps
}

/// A delivery with its attempts.
fn sent(logged: &LoggedDelivery, names: &PostbackNames) -> Step {
    let delivery = &logged.delivery;
    let (kind, icon, key) = match delivery.state {
        DeliveryState::Pending => (Some("next"), "send", "conversion.sent.pending"),
        DeliveryState::Success => (Some("ok"), "send", "conversion.sent.success"),
        DeliveryState::Failed => (Some("bad"), "circle-x", "conversion.sent.failed"),
        DeliveryState::Cancelled => (None, "circle-slash", "conversion.sent.cancelled"),
        DeliveryState::Superseded => (None, "layers", "conversion.sent.superseded"),
    };
    let at = delivery.settled_at.unwrap_or(delivery.due_at);
    let tries = u64::try_from(delivery.attempts).unwrap_or_default();
    let detail =
        reason_of(delivery).or_else(|| (tries > 0).then(|| text("conversion.sent.tries").count("count", tries)));
    Step::new(at, kind, icon, text(key).with("postback", names.of(delivery.postback_id)))
        .detail(detail)
        .link("/deliveries/{id}", format!("/deliveries/{}", delivery.id), "conversion.sent.see")
        .attempts(last_attempts(logged))
}
