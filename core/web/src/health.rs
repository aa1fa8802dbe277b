//! For whoever watches: alive, ready, and numbers.

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

use domain::delivery::breaker::{self, BreakerState};
use engine::app::App;
use engine::delivery::secret_keys;

/// Seconds, from the time of one adapter call to that of a slow destination.
const BUCKETS: [f64; 16] =
    [0.000_01, 0.000_05, 0.000_2, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// One recorder for the whole process: several servers in one process share it.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Fails only if somebody else's recorder is there already; then ours stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        handle
    })
}

/// Starts counting.
pub fn install() {
    recorder();
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("postrider_clicks_total", "Clicks and impressions stored, by action");
    describe_counter!("postrider_conversions_total", "Conversion commands carried out, by status and result");
    describe_counter!("postrider_deliveries_total", "Deliveries after an attempt or a rule, by the state they got");
    describe_counter!("postrider_inbound_total", "Requests of networks judged, by outcome");
    describe_counter!(
        "postrider_undecorated_clicks_total",
        "Clicks that went on without what an adapter should have added"
    );
    describe_histogram!("postrider_delivery_seconds", "From connecting to the end of a destination's answer");
    describe_histogram!("postrider_pipeline_seconds", "From an event to its accepted postback");
    describe_histogram!("postrider_adapter_seconds", "One call of an adapter, by call");
    describe_histogram!(
        "postrider_adapter_turn_seconds",
        "A thread's time with calls of one adapter, by adapter and version"
    );
    describe_gauge!("postrider_adapter_waiting", "Pieces of work that wait for a thread to compute on");
    describe_counter!(
        "postrider_adapter_faults_total",
        "Calls in which an adapter failed, by adapter, version and code"
    );
    describe_counter!("postrider_adapters_taken_out_total", "Times that an adapter version went out of service");
    describe_gauge!("postrider_adapters_out_of_service", "Adapter versions that are out of service");
    describe_gauge!(
        "postrider_clock_skew_seconds",
        "How far this machine's clock is ahead of the database's, whose time is used"
    );
    describe_gauge!("postrider_queue_depth", "Rows that are due and not done, by queue");
    describe_gauge!("postrider_breakers", "Destinations that are paused for an owner, by the state of their breaker");
    describe_gauge!("postrider_deliveries_waiting", "Deliveries that wait for their destination, by reason");
    describe_gauge!("postrider_queue_age_seconds", "How long the oldest of them has been due, by queue");
}

/// Alive.
pub async fn healthz() -> &'static str {
    "ok"
}

/// Ready for requests: the database stores something, and no newer release has changed it beyond what this one knows.
/// It also tells how many adapter versions are out of service and how wrong this machine's clock is, which do not make
/// the server any less ready.
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
        app.readiness.stores(&app.db, &secret_keys::server(&app.vault, app.server_id), app.clock.now()).await
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
    tracing::warn!(%error, "Not ready: the database does not answer or stores nothing");
    let body = json!({
        "status": "unavailable",
        "detail": "the database does not answer or stores nothing; see that it runs and its disk has room",
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// How old the numbers may be that the database counts.
const MEASURED_EVERY: Duration = Duration::from_secs(5);

/// Numbers for Prometheus.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    // One for the whole process, like the recorder.
    static MEASURED_AT: Mutex<Option<Instant>> = Mutex::const_new(None);
    // Who comes while another is measuring gets the numbers that there are.
    if let Ok(mut measured_at) = MEASURED_AT.try_lock()
        && measured_at.is_none_or(|at| at.elapsed() >= MEASURED_EVERY)
    {
        measure(&app).await;
        *measured_at = Some(Instant::now());
    }
    let recorder = recorder();
    recorder.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
}

/// Counts rows, however many there are: on the connections of lists, so that nobody else waits for it.
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

/// Every state and reason is told each time, so that what is over goes back to zero.
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
