//! Concluding: what the answers mean, stored with the attempts.

use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::error::is_outage;
use domain::delivery::delivery::{Attempt, DeliveryState};
use storage::delivery::deliveries::Finish;

use super::Sent;
use super::classify::{Later, classify};

/// What came of attempts: how each is logged, and what becomes of its delivery.
#[derive(Default)]
pub struct Concluded {
    pub attempts: Vec<Attempt>,
    pub finished: Vec<Finish>,
    /// For each that was given, whether its adapter still judges its answer.
    pub later: Vec<Option<Later>>,
    /// From its event to now, less the delay that was asked for: of those that were accepted at once.
    pipeline: Vec<Duration>,
}

/// Has the adapters read the answers and decides what follows. Stores nothing.
pub async fn conclude(app: &App, sent: Vec<Sent>) -> Concluded {
    let (judged, later) = classify(app, sent).await;
    let now = app.clock.now();
    let mut concluded = Concluded { later, ..Concluded::default() };
    for mut sent in judged {
        let Some(verdict) = sent.verdict.take() else { continue };
        let finish = verdict.finish(&sent, now);
        if finish.state == DeliveryState::Success && finish.attempts == 1 {
            let delay = sent.delivery.due_at.since(sent.delivery.created_at);
            concluded.pipeline.push(now.since(sent.event.occurred_at).saturating_sub(delay));
        }
        concluded.finished.push(finish);
        concluded.attempts.push(verdict.attempt(sent));
    }
    concluded
}

impl Concluded {
    /// Without requests: ended or put off by the rules.
    pub fn by_rules(finished: Vec<Finish>) -> Self {
        Self { finished, ..Self::default() }
    }

    /// One transaction for all of it.
    pub async fn store(&self, app: &App) -> Result<(), DbErr> {
        store(app, &self.attempts, &self.finished).await?;
        for span in &self.pipeline {
            metrics::histogram!("postrider_pipeline_seconds").record(*span);
        }
        Ok(())
    }

    /// One transaction each, so that one that the database refuses does not hold up the others.
    ///
    /// # Errors
    ///
    /// The database is away. What is not stored yet is still here and can be stored later.
    pub async fn store_one_by_one(&mut self, app: &App) -> Result<(), DbErr> {
        while let (Some(attempt), Some(finish)) = (self.attempts.last(), self.finished.last()) {
            match store(app, std::slice::from_ref(attempt), std::slice::from_ref(finish)).await {
                Ok(()) => {}
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) => {
                    tracing::error!(delivery.id = %finish.id, %error, "A result could not be stored; its postback will be sent again");
                }
            }
            self.attempts.pop();
            self.finished.pop();
        }
        Ok(())
    }
}

async fn store(app: &App, attempts: &[Attempt], finished: &[Finish]) -> Result<(), DbErr> {
    let tx = app.db.begin().await?;
    let stored = storage::delivery::deliveries::finish(&tx, finished).await?;
    storage::delivery::attempts::insert(&tx, attempts).await?;
    tx.commit().await?;
    for finish in finished.iter().filter(|finish| stored.contains(&finish.id)) {
        metrics::counter!("postrider_deliveries_total", "outcome" => finish.state.as_str()).increment(1);
    }
    Ok(())
}
