//! Reviews faults: an adapter that has failed too often is called again with a known-good sample, and
//! `domain/delivery/adapter/faults` decides whether to keep it, suspend it for an owner or take it out of service.

use std::sync::Arc;

use sea_orm::DbErr;

use crate::app::App;
use crate::delivery::plan::Plan;
use crate::delivery::{samples, wire};
use domain::delivery::adapter::faults::{Case, Ruling};
use domain::delivery::adapter::pace::FAULTY_AVERAGE;
use domain::delivery::adapter::{FAULTS_IN_A_ROW, Origin};
use domain::ids::{AffiliateId, DeliveryId};
use domain::program::buyer_visibility::BuyerVisibility;
use domain::timestamp::Timestamp;
use host::{Adapter, AdapterError, Session, wire as contract};

use super::faults::{Call, Streak, Subject};
use super::pool::{CallLine, CpuTimer};
use super::{Availability, Key, Registry};

/// Maximum number of owners whose calls are repeated with a sample. Two failing owners are enough evidence.
const OWNERS: usize = 5;

/// Stores the counted faults, and takes versions out of service that fail with any data.
pub(crate) async fn review_faults(app: &App) {
    let faults = app.adapters.faults();
    if !faults.any() {
        return;
    }
    let _reviewing = faults.reviewing().await;
    for ((key, call), streak) in faults.take_unsaved(app.clock.now()) {
        if let Err(error) = decide_availability(app, &key, call, &streak).await {
            tracing::error!(adapter = key.0, version = key.1, %error, "The faults of an adapter could not be stored");
        }
    }
}

/// Like [`review_faults`], in the background, because the calls with a sample may be slow.
pub(crate) fn review_faults_soon(app: &App) {
    if app.adapters.faults().any() {
        let app = app.clone();
        tokio::spawn(async move { review_faults(&app).await });
    }
}

/// Decides whether a version stays in service, is suspended for the owners whose calls fail, or is taken out of service.
async fn decide_availability(app: &App, key: &Key, call: Call, streak: &Streak) -> Result<(), DbErr> {
    let (id, version) = key;
    let db = app.db.writer();
    if streak.faults < FAULTS_IN_A_ROW {
        return storage::delivery::adapters::save_faults(db, id, version, streak.faults).await;
    }
    let Availability::Ready(adapter) = app.adapters.availability(key).await? else { return Ok(()) };
    let mut failing = Vec::new();
    for (owner, subject) in streak.owners.iter().take(OWNERS) {
        if fails_with_a_sample(app, &adapter, call, subject).await {
            failing.push(*owner);
        }
    }
    let case = Case {
        built_in: storage::delivery::adapters::find(app.db.reader(), id, version)
            .await?
            .is_none_or(|it| it.origin == Origin::BuiltIn),
        owners_failing: failing.len(),
        others_use: match failing.as_slice() {
            [owner] => others_use(app, key, *owner).await?,
            _ => true,
        },
    };
    let ruling = case.ruling();
    for owner in streak.owners.keys().filter(|owner| ruling != Ruling::Suspend || !failing.contains(owner)) {
        app.adapters.faults().resume(key, *owner);
    }
    match ruling {
        Ruling::Keep => keep(app, key, streak, !failing.is_empty()).await,
        Ruling::Suspend => {
            for owner in failing {
                let span = app.adapters.faults().suspend_owner(key, owner, app.clock.now());
                tracing::warn!(
                    adapter = id,
                    version,
                    ?owner,
                    wait_secs = span.as_secs(),
                    faults = streak.faults,
                    last = streak.last,
                    "An adapter fails for one owner; that owner's deliveries wait"
                );
            }
            storage::delivery::adapters::save_faults(db, id, version, streak.faults).await
        }
        Ruling::TakeOut => take_out(&app.adapters, key, streak, app.clock.now()).await,
    }
}

/// Keeps the version in service. The failed deliveries have their reasons; other deliveries continue.
async fn keep(app: &App, (id, version): &Key, streak: &Streak, fails_always: bool) -> Result<(), DbErr> {
    let (faults, last) = (streak.faults, &streak.last);
    if fails_always {
        tracing::error!(
            adapter = id,
            version,
            faults,
            last,
            "A built-in adapter fails even with a sample; report this as a bug"
        );
    } else {
        tracing::warn!(
            adapter = id,
            version,
            faults,
            last,
            "An adapter failed for some events and works with a sample; it stays in service"
        );
    }
    storage::delivery::adapters::save_faults(app.db.writer(), id, version, 0).await
}

async fn take_out(registry: &Registry, (id, version): &Key, streak: &Streak, now: Timestamp) -> Result<(), DbErr> {
    let reason = format!("{} faults in a row, the last: {}", streak.faults, streak.last);
    if storage::delivery::adapters::take_out_of_service(registry.db.writer(), id, version, streak.faults, &reason, now)
        .await?
    {
        metrics::counter!("postrider_adapters_taken_out_total", "adapter" => id.clone(), "version" => version.clone())
            .increment(1);
        tracing::warn!(
            adapter = id,
            version,
            reason,
            "An adapter is out of service; its deliveries wait until it is enabled or their postbacks are upgraded"
        );
    }
    registry.changed(id, version);
    Ok(())
}

/// Whether other owners use the version. The configuration of one owner may cause the faults. The version stays in
/// service while others use it without faults; otherwise any owner could stop the deliveries of all.
async fn others_use(app: &App, (id, version): &Key, owner: Option<AffiliateId>) -> Result<bool, DbErr> {
    let db = app.db.reader();
    Ok(storage::delivery::postbacks::is_used_by_others(db, id, version, owner).await?
        || storage::inbound::sources::is_used_by_others(db, id, version, owner).await?)
}

/// Repeats the failed call with a sample. Returns `false` if the call cannot be made now, because that proves nothing.
async fn fails_with_a_sample(app: &App, adapter: &Arc<Adapter>, call: Call, subject: &Subject) -> bool {
    let line = CallLine::of(subject.owner(), adapter);
    let probe = match subject {
        // The values of a sample are no data of a buyer.
        Subject::Postback(postback) => {
            match Plan::new(&app.vault, BuyerVisibility::All, postback.clone(), adapter.clone()) {
                Ok(plan) => Probe::Postback(Box::new(plan)),
                Err(_) => return false,
            }
        }
        Subject::Source(source) => match wire::source_binding(&app.vault, source) {
            Ok((binding, _)) => Probe::Source(adapter.clone(), binding),
            Err(_) => return false,
        },
    };
    let now = app.clock.now();
    app.adapters.pool().probe(line, move || probe.fails(call, now)).await.unwrap_or(false)
}

/// A call with a sample. The adapter cannot recognise it as a sample, so that it cannot behave differently.
enum Probe {
    Postback(Box<Plan>),
    Source(Arc<Adapter>, contract::Binding),
}

impl Probe {
    fn fails(&self, call: Call, now: Timestamp) -> bool {
        let timer = CpuTimer::start();
        let (calls, failed) = match self {
            Self::Postback(plan) => call_for_postback(plan, call, now),
            Self::Source(adapter, binding) => call_for_source(&mut adapter.session(), binding, call, now),
        };
        let slow = call == Call::Pace && timer.elapsed() / calls > FAULTY_AVERAGE;
        failed || slow
    }
}

/// Makes the calls of a postback up to `call`. Returns the number of calls, and whether one of them failed.
fn call_for_postback(plan: &Plan, call: Call, now: Timestamp) -> (u32, bool) {
    let event = samples::event_for(&plan.postback.rule, now);
    let context = wire::context(now, 1, false, DeliveryId::of(event.id, plan.postback.id).to_string());
    let event = plan.event(&event);
    let mut session = plan.adapter.session();
    if call == Call::Decide {
        return (1, is_fault(&session.decide(&context, &plan.binding, &event)));
    }
    let mut failed = false;
    if call == Call::Pace {
        failed |= is_fault(&session.decide(&context, &plan.binding, &event));
    }
    let rendered = session.render(&context, &plan.binding, &event);
    failed |= is_fault(&rendered);
    let Ok(request) = rendered else { return (2, failed) };
    if call != Call::Render {
        let answer = contract::Response { status: 200, headers: Vec::new(), body: Vec::new(), truncated: false };
        failed |= is_fault(&session.classify(&context, &plan.binding, &request, &answer));
    }
    (if call == Call::Pace { 3 } else { 2 }, failed)
}

/// Makes the calls of a source. Returns the number of calls, and whether one of them failed.
fn call_for_source(session: &mut Session, binding: &contract::Binding, call: Call, now: Timestamp) -> (u32, bool) {
    let context = wire::context(now, 1, false, "sample".to_owned());
    let (mut calls, mut failed) = (0, false);
    if call != Call::ParseInbound {
        let click = samples::named("click").and_then(|event| event.facts.click);
        if let Some(click) = click {
            calls += 1;
            failed |=
                is_fault(&session.decorate_click(&context, binding, &wire::click(BuyerVisibility::All.show(click))));
        }
    }
    if call != Call::DecorateClick {
        let request = contract::InboundRequest {
            method: contract::HttpMethod::Get,
            path: "/in/sample".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            remote_ip: Some("192.0.2.1".to_owned()),
        };
        calls += 1;
        failed |= is_fault(&session.parse_inbound(&context, binding, &request));
    }
    (calls.max(1), failed)
}

fn is_fault<T>(outcome: &Result<T, AdapterError>) -> bool {
    outcome.as_ref().err().is_some_and(AdapterError::is_fault)
}
