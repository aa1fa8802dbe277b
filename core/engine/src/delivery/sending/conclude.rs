//! Concluding: the answers are classified, and the new states are saved with the attempts.

use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::error::is_outage;
use domain::delivery::delivery::{Attempt, DeliveryState};
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
        Ok(())
    }
}

/// One transaction: the new states and the attempts.
async fn commit(app: &App, attempts: &[Attempt], finished: &[Finish]) -> Result<(), DbErr> {
    let tx = app.db.begin().await?;
    let stored = storage::delivery::deliveries::finish(&tx, finished).await?;
    storage::delivery::attempts::insert(&tx, attempts).await?;
    tx.commit().await?;
    for finish in finished.iter().filter(|finish| stored.contains(&finish.id)) {
        metrics::counter!("postrider_deliveries_total", "outcome" => finish.change.state.as_str()).increment(1);
    }
    Ok(())
}
