//! Concluding: the answers are classified, and the new states are saved with the attempts.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::error::is_outage;
use crate::people::chosen_mails::{self, Failures};
use crate::people::outbox;
use domain::delivery::delivery::{Attempt, DeliveryState};
use domain::ids::{DeliveryId, PostbackId};
use domain::timestamp::Timestamp;
use storage::delivery::deliveries::Finish;

use super::classify::{Later, classify};
use super::{Sent, verdict};

/// The results of a group: its attempts and the new states.
#[derive(Default)]
pub struct Concluded {
    attempts: Vec<Attempt>,
    finished: Vec<Finish>,
    /// For each delivery that was accepted at the first attempt: the time since its event, without the delay of the
    /// rule.
    pipeline: Vec<Duration>,
    /// Unverified postbacks with a success, each as it was when the request was made: its `updated_at`.
    verified: BTreeMap<PostbackId, Timestamp>,
}

/// Has the adapters classify the answers and decides the new states. Stores nothing. Also returns, for each delivery in
/// `sent`, its [`Later`] if its adapter still classifies the answer.
pub async fn conclude(app: &App, sent: Vec<Sent>) -> (Concluded, Vec<Option<Later>>) {
    let (classified, later) = classify(app, sent).await;
    let now = app.clock.now();
    let mut concluded = Concluded::default();
    for mut sent in classified {
        let Some(verdict) = sent.verdict.take() else { continue };
        let finish = verdict::finish(&sent, &verdict, now);
        if finish.change.state == DeliveryState::Success && finish.change.attempts == 1 {
            let delay = sent.delivery.due_at.since(sent.delivery.created_at);
            concluded.pipeline.push(now.since(sent.event.occurred_at).saturating_sub(delay));
        }
        let postback = &sent.plan.postback;
        if finish.change.state == DeliveryState::Success && postback.verified_at.is_none() {
            concluded.verified.insert(postback.id, postback.updated_at);
        }
        concluded.finished.push(finish);
        concluded.attempts.push(verdict::attempt(sent, verdict));
    }
    (concluded, later)
}

impl Concluded {
    /// The results of deliveries that end or are postponed without a request.
    pub(crate) fn by_rules(finished: Vec<Finish>) -> Self {
        Self { finished, ..Self::default() }
    }

    /// Saves all results in one transaction.
    pub async fn save(&self, app: &App) -> Result<(), DbErr> {
        commit(app, &self.attempts, &self.finished).await?;
        self.verify_postbacks(app).await;
        for span in &self.pipeline {
            metrics::histogram!("postrider_pipeline_seconds").record(*span);
        }
        Ok(())
    }

    /// Saves each result in its own transaction, so that one refused row does not fail the others.
    ///
    /// # Errors
    ///
    /// The database is unavailable. Results that are not saved yet are kept.
    pub(crate) async fn save_one_by_one(&mut self, app: &App) -> Result<(), DbErr> {
        while let (Some(attempt), Some(finish)) = (self.attempts.last(), self.finished.last()) {
            match commit(app, std::slice::from_ref(attempt), std::slice::from_ref(finish)).await {
                Ok(()) => {}
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) => {
                    tracing::error!(delivery.id = %finish.id, %error, "A result could not be stored; its delivery will be sent again");
                }
            }
            self.attempts.pop();
            self.finished.pop();
        }
        self.verify_postbacks(app).await;
        Ok(())
    }

    /// The first success verifies a postback that was saved as unverified, unless it was changed meanwhile.
    async fn verify_postbacks(&self, app: &App) {
        for (id, seen) in &self.verified {
            let now = app.clock.now();
            // The next success tries it again.
            if let Err(error) = storage::delivery::postbacks::mark_verified(app.db.writer(), *id, *seen, now).await {
                tracing::warn!(postback.id = %id, %error, "The first success of a postback could not be noted");
            }
        }
        if !self.verified.is_empty() {
            app.catalog.postbacks_changed();
        }
    }
}

/// One transaction: the new states and the attempts.
async fn commit(app: &App, attempts: &[Attempt], finished: &[Finish]) -> Result<(), DbErr> {
    let tx = app.db.begin().await?;
    let stored = storage::delivery::deliveries::finish(&tx, finished).await?;
    let lost: Vec<_> = finished.iter().map(|it| it.id).filter(|id| !stored.contains_key(id)).collect();
    if lost.is_empty() {
        storage::delivery::attempts::insert(&tx, attempts).await?;
    } else {
        // Another process has the delivery now; or it was deleted with its test conversion, and its attempt is dropped.
        let existing = storage::delivery::deliveries::list_existing(&tx, lost).await?;
        let is_there = |id: &DeliveryId| stored.contains_key(id) || existing.contains(id);
        let kept: Vec<_> = attempts.iter().filter(|it| is_there(&it.delivery_id)).collect();
        storage::delivery::attempts::insert(&tx, kept).await?;
    }
    let mut failed: BTreeMap<PostbackId, Failures> = BTreeMap::new();
    for (finish, postback) in finished.iter().filter_map(|it| Some((it, stored.get(&it.id)?))) {
        if finish.change.state == DeliveryState::Failed {
            let failures = failed.entry(*postback).or_default();
            failures.count += 1;
            failures.reason = finish.change.reason.as_ref().map(|it| it.sentence.clone()).unwrap_or_default();
        }
    }
    chosen_mails::postbacks_failed(app, &tx, &failed, app.clock.now()).await?;
    tx.commit().await?;
    if !failed.is_empty() {
        outbox::wake_worker(app);
    }
    for finish in finished.iter().filter(|finish| stored.contains_key(&finish.id)) {
        metrics::counter!("postrider_deliveries_total", "outcome" => finish.change.state.as_str()).increment(1);
    }
    Ok(())
}
