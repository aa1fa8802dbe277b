//! Deliveries of a batch that end, or wait, without a request.

use crate::app::App;
use crate::delivery::sending::{Concluded, Sent};
use domain::delivery::delivery::DeliveryState;
use storage::delivery::deliveries::Finish;
use storage::delivery::waiting_deliveries::Parked;

use super::results::Results;

/// Concludes deliveries that the adapters could not render: their attempts show the error. The results are stored in
/// the background.
pub(super) fn conclude_failed(app: &App, results: &Results, failed_to_render: Vec<Sent>) {
    for sent in failed_to_render {
        app.lanes.record_unsent([(sent.delivery_id(), false)]);
        let results = results.clone();
        tokio::spawn(async move { results.submit(sent).await });
    }
}

/// Saves deliveries that the rules, or their adapters, ended or postponed.
pub(super) async fn conclude_finished(app: &App, finished: Vec<Finish>) {
    if finished.is_empty() {
        return;
    }
    let waits_again = |state| state == DeliveryState::Pending;
    app.lanes.record_unsent(finished.iter().map(|it| (it.id, waits_again(it.change.state))));
    if let Err(error) = Concluded::by_rules(finished).save(app).await {
        tracing::error!(%error, "Deliveries that end without a request could not be stored; they are prepared again when their leases end");
    }
}

/// Stores that deliveries wait for their destinations. This does not count as an attempt.
pub(super) async fn park(app: &App, parked: Vec<Parked>) {
    if parked.is_empty() {
        return;
    }
    let now = app.clock.now();
    app.lanes.record_unsent(parked.iter().map(|it| (it.id, true)));
    match storage::delivery::waiting_deliveries::park(app.db.queue(), &parked, now).await {
        Ok(()) => app.lanes.set_waiting_in_table(parked.iter().map(|it| &it.lane), now),
        Err(error) => {
            tracing::error!(%error, "Parked deliveries could not be stored; they are prepared again when their leases end");
        }
    }
}
