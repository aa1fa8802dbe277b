//! Classifying: the adapters say what the answers mean. Slow ones hold up nobody's results but their own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::app::App;
use crate::delivery::adapter_faults::settle_faults_soon;
use crate::delivery::adapters::{Batch, Group, Subject};
use crate::delivery::plan::Plan;
use domain::delivery::fair_queue::Urgency;

use super::{Sent, Verdict};

/// Comes when a slow adapter has judged the answer.
pub type Later = oneshot::Receiver<Sent>;

/// Those whose answers have been judged, and for each that was given whether it comes later.
pub(super) async fn classify(app: &App, sent: Vec<Sent>) -> (Vec<Sent>, Vec<Option<Later>>) {
    let mut later: Vec<Option<Later>> = sent.iter().map(|_| None).collect();
    let (mut judged, groups) = by_plan(sent);
    let (pool, mut batch) = (app.adapters.pool(), Batch::new());
    let mut open = HashSet::new();
    for (plan, items) in groups {
        open.extend(items.iter().map(|(place, _)| *place));
        let group = Group {
            adapter: plan.adapter.clone(),
            subject: Subject::Postback(plan.postback.clone()),
            urgency: Urgency::Finishing,
            items,
        };
        let (faults, clock) = (app.adapters.faults().clone(), app.clock.clone());
        batch.add(pool, group, move |session, (place, mut sent): (usize, Sent)| {
            sent.verdict = Some(Verdict::of(session, &faults, &mut sent, clock.now()));
            (place, sent)
        });
    }
    for (_, (place, sent)) in batch.gather(pool).await {
        open.remove(&place);
        judged.push(sent);
    }
    settle_faults_soon(app);
    if batch.is_complete() {
        return (judged, later);
    }
    let mut waiting = HashMap::new();
    for place in open {
        let (tell, receiver) = oneshot::channel();
        later[place] = Some(receiver);
        waiting.insert(place, tell);
    }
    tokio::spawn(async move {
        while let Some((_, (place, sent))) = batch.next().await {
            if let Some(tell) = waiting.remove(&place) {
                let _ = tell.send(sent);
            }
        }
    });
    (judged, later)
}

/// The answers of one postback, each with its place among those that were given.
type ToJudge = Vec<(usize, Sent)>;

/// What needs no adapter, and the rest by plan.
fn by_plan(sent: Vec<Sent>) -> (Vec<Sent>, Vec<(Arc<Plan>, ToJudge)>) {
    let (mut judged, mut groups) = (Vec::with_capacity(sent.len()), Vec::<(Arc<Plan>, ToJudge)>::new());
    // The groups keep the plans, so their addresses tell them apart.
    let mut group_of = HashMap::new();
    for (place, mut sent) in sent.into_iter().enumerate() {
        sent.verdict = sent.verdict.take().or_else(|| Verdict::without_adapter(&sent));
        if sent.verdict.is_some() {
            judged.push(sent);
            continue;
        }
        let group = *group_of.entry(Arc::as_ptr(&sent.plan)).or_insert_with(|| {
            groups.push((sent.plan.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push((place, sent));
    }
    (judged, groups)
}
