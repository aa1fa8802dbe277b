//! Liveness, readiness and metrics for monitoring.

use std::sync::OnceLock;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use domain::delivery::lane::breaker::{self, BreakerState};
use engine::app::App;
use engine::delivery::secrets::server_keys;

/// The bounds of histograms in seconds, from one call of an adapter to a slow destination.
const HISTOGRAM_BUCKETS: [f64; 16] =
    [0.000_01, 0.000_05, 0.000_2, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The recorder of the process. Several servers in one process share it, for example in tests.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &HISTOGRAM_BUCKETS)
            .expect("the list of buckets is not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Fails only if another recorder is installed already; this one then stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe_metrics();
        handle
    })
}

/// Installs the recorder of metrics.
pub fn install() {
    recorder();
}

/// docs/metrics.md lists the metrics for operators.
fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("postrider_clicks_total", "Clicks and impressions stored, by action");
    describe_counter!("postrider_conversions_total", "Processed conversion commands, by status and result");
    describe_counter!(
        "postrider_deliveries_total",
        "Deliveries whose status was set by an attempt or a rule, by status"
    );
    describe_counter!("postrider_inbound_total", "Processed inbound requests, by outcome");
    describe_counter!(
        "postrider_inbound_not_stored_total",
        "Refused inbound requests that were only counted, because a source had too many of them"
    );
    describe_counter!("postrider_earnings_released_total", "Earnings whose hold ended, so that they are available");
    describe_counter!(
        "postrider_releases_deferred_total",
        "Earnings that stay pending after their hold, because a balance has reached its limit"
    );
    describe_gauge!("postrider_connections", "Open connections of clients");
    describe_counter!("postrider_connections_closed_total", "Connections that the server closed, by reason");
    describe_counter!("postrider_warnings_total", "Occurrences of warnings, by code");
    describe_counter!(
        "postrider_undecorated_clicks_total",
        "Clicks whose adapter failed to add its parameters to the landing page URL"
    );
    describe_histogram!(
        "postrider_delivery_seconds",
        "The duration of a request to a destination, from connecting to the end of the response"
    );
    describe_histogram!("postrider_pipeline_seconds", "The time from an event to its accepted delivery");
    describe_histogram!("postrider_adapter_seconds", "The duration of one call of an adapter, by call");
    describe_histogram!(
        "postrider_adapter_turn_seconds",
        "The time for which a thread computes calls of one adapter in a row, by adapter and version"
    );
    describe_gauge!("postrider_adapter_waiting", "Tasks that wait for a thread of the adapters");
    describe_counter!("postrider_adapter_faults_total", "Faults of adapters, by adapter, version and code");
    describe_counter!("postrider_adapters_taken_out_total", "How often an adapter version was taken out of service");
    describe_gauge!("postrider_adapters_out_of_service", "Adapter versions that are out of service");
    describe_gauge!(
        "postrider_clock_skew_seconds",
        "Difference between the clock of this machine and that of the database, which is used; positive if this one is ahead"
    );
    describe_gauge!("postrider_queue_depth", "Rows that are due and not processed, by queue");
    describe_gauge!(
        "postrider_breakers",
        "Lanes (destinations of one owner) that are paused, by the state of their breaker"
    );
    describe_gauge!("postrider_deliveries_waiting", "Deliveries that wait for their destination, by reason");
    describe_gauge!(
        "postrider_queue_age_seconds",
        "The time for which the oldest row of a queue has been due, by queue"
    );
}

/// `GET /healthz`: the process runs.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: the database can store rows, and its schema is not too new for this release. Otherwise the status is
/// 503. The body also has the number of adapter versions out of service and the clock skew in milliseconds, which do
/// not affect the status.
pub async fn readyz(State(app): State<App>) -> impl IntoResponse {
    let outdated = match storage::base::schema::unmet_requirement(app.db.reader()).await {
        Ok(outdated) => outdated,
        Err(error) => return unavailable(&error),
    };
    if let Some(requirement) = outdated {
        let detail = storage::base::schema::refusal(&requirement);
        tracing::error!(detail, "Not ready: this release is too old for the database");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "outdated", "detail": detail})));
    }
    if let Err(error) =
        app.readiness.stores(&app.db, &server_keys::server(&app.vault, app.server_id), app.clock.now()).await
    {
        return unavailable(&error);
    }
    let mut body = json!({"status": "ready"});
    match storage::delivery::adapters::count_out_of_service(app.db.reader()).await {
        Ok(0) => {}
        Ok(count) => body["adapters_out_of_service"] = count.into(),
        Err(error) => return unavailable(&error),
    }
    if let Some(skew) = app.timekeeping.skew_ms() {
        body["clock_skew_ms"] = skew.into();
    }
    (StatusCode::OK, Json(body))
}

fn unavailable(error: &impl std::fmt::Display) -> (StatusCode, Json<Value>) {
    tracing::warn!(%error, "Not ready: the database does not answer or cannot store rows");
    let body = json!({
        "status": "unavailable",
        "detail": "the database does not answer or cannot store rows; check that it runs and that its disk has free space",
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// The minimum interval between measurements in the database.
const MEASURING_INTERVAL: Duration = Duration::from_secs(5);

/// `GET /metrics`: metrics in the text format of Prometheus.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    // One for the process, like the recorder.
    static MEASURED_AT: Mutex<Option<Instant>> = Mutex::const_new(None);
    // A request during a measurement gets the previous values.
    if let Ok(mut measured_at) = MEASURED_AT.try_lock()
        && measured_at.is_none_or(|at| at.elapsed() >= MEASURING_INTERVAL)
    {
        measure(&app).await;
        *measured_at = Some(Instant::now());
    }
    let recorder = recorder();
    recorder.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
}

/// Counts the rows of queues. The counts can take long, so they use the connections of lists.
async fn measure(app: &App) {
    let (db, now) = (app.db.lists(), app.clock.now());
    let queues = [
        ("events", storage::tracking::events::backlog(db).await),
        ("deliveries", storage::delivery::deliveries::backlog(db, now).await),
        ("inbound", storage::inbound::inbound_requests::backlog(db, now).await),
    ];
    for (queue, backlog) in queues {
        match backlog {
            Ok((depth, oldest)) => {
                let age = oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
                metrics::gauge!("postrider_queue_depth", "queue" => queue).set(depth as f64);
                metrics::gauge!("postrider_queue_age_seconds", "queue" => queue).set(age);
            }
            Err(error) => tracing::warn!(%error, queue, "The queue could not be measured"),
        }
    }
    match storage::delivery::adapters::count_out_of_service(db).await {
        Ok(count) => metrics::gauge!("postrider_adapters_out_of_service").set(count as f64),
        Err(error) => tracing::warn!(%error, "The adapters out of service could not be counted"),
    }
    measure_destinations(db).await;
}

/// Sets the gauges of all states and reasons, so that the gauges of those without rows return to zero.
async fn measure_destinations(db: &impl ConnectionTrait) {
    match (storage::delivery::breakers::count(db).await, storage::delivery::waiting_deliveries::count(db, None).await) {
        (Ok(breakers), Ok(waiting)) => {
            for state in [BreakerState::Open, BreakerState::HalfOpen].map(BreakerState::as_str) {
                let of_state = breakers.iter().filter(|(it, _)| it == state).map(|(_, number)| number);
                metrics::gauge!("postrider_breakers", "state" => state).set(of_state.sum::<i64>() as f64);
            }
            for reason in [breaker::PAUSED, breaker::BUSY] {
                let of_reason = waiting.iter().filter(|(_, it, _)| it == reason).map(|(_, _, number)| number);
                metrics::gauge!("postrider_deliveries_waiting", "reason" => reason).set(of_reason.sum::<i64>() as f64);
            }
        }
        (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "The destinations could not be measured"),
    }
}
