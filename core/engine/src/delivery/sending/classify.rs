//! Classifying: the adapters classify the answers. A slow adapter delays only its own results.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::app::App;
use crate::delivery::adapters::fault_review::review_faults_soon;
use crate::delivery::adapters::{Calls, Group};
use crate::delivery::plan::Plan;
use domain::delivery::adapter::fair_queue::Urgency;

use super::{Sent, verdict};

/// Receives the delivery when its slow adapter has classified the answer.
pub type Later = oneshot::Receiver<Sent>;

/// Returns the deliveries whose answers are classified, and for each delivery in `sent` its [`Later`] if it is not.
pub(super) async fn classify(app: &App, sent: Vec<Sent>) -> (Vec<Sent>, Vec<Option<Later>>) {
    let mut later: Vec<Option<Later>> = sent.iter().map(|_| None).collect();
    let (mut classified, groups) = by_plan(sent);
    let (pool, mut calls) = (app.adapters.pool(), Calls::new());
    let mut open = HashSet::new();
    for (plan, items) in groups {
        open.extend(items.iter().map(|(place, _)| *place));
        let group = Group::for_plan(&plan, Urgency::Finishing, items);
        let (faults, clock) = (app.adapters.faults().clone(), app.clock.clone());
        calls.add(pool, group, move |session, (place, mut sent): (usize, Sent)| {
            sent.verdict = Some(verdict::classify(session, &faults, &mut sent, clock.now()));
            (place, sent)
        });
    }
    for (_, (place, sent)) in calls.gather(pool).await {
        open.remove(&place);
        classified.push(sent);
    }
    review_faults_soon(app);
    if calls.is_complete() {
        return (classified, later);
    }
    let mut waiting = HashMap::new();
    for place in open {
        let (sender, receiver) = oneshot::channel();
        later[place] = Some(receiver);
        waiting.insert(place, sender);
    }
    tokio::spawn(async move {
        while let Some((_, (place, sent))) = calls.next().await {
            if let Some(sender) = waiting.remove(&place) {
                let _ = sender.send(sent);
            }
        }
    });
    (classified, later)
}

/// The deliveries of one postback, each with its index in the input.
type ToClassify = Vec<(usize, Sent)>;

/// Deliveries that need no adapter, and the others by plan.
fn by_plan(sent: Vec<Sent>) -> (Vec<Sent>, Vec<(Arc<Plan>, ToClassify)>) {
    let (mut classified, mut groups) = (Vec::with_capacity(sent.len()), Vec::<(Arc<Plan>, ToClassify)>::new());
    // The groups own the plans, so the address of a plan identifies it.
    let mut group_of = HashMap::new();
    for (place, mut sent) in sent.into_iter().enumerate() {
        sent.verdict = sent.verdict.take().or_else(|| verdict::without_adapter(&sent));
        if sent.verdict.is_some() {
            classified.push(sent);
            continue;
        }
        let group = *group_of.entry(Arc::as_ptr(&sent.plan)).or_insert_with(|| {
            groups.push((sent.plan.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push((place, sent));
    }
    (classified, groups)
}
