//! Writes log lines to standard error, and exports spans to a collector if an endpoint is configured (OTLP over HTTP, protobuf). A
//! collector that does not answer never delays the server: spans beyond the queue's limit are dropped. The endpoint is the operator's
//! own, so its address is not vetted.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry::{Key, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use engine::config::Settings;

/// Maximum number of spans in the export queue; more are dropped.
const QUEUE_MAX: usize = 8_192;
/// Maximum number of spans in one request to the collector.
const BATCH_MAX: usize = 512;
const EXPORT_EVERY: Duration = Duration::from_secs(1);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limits the export of the last spans when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Starts the log of a command. With `quiet` it shows errors only, unless POSTRIDER_LOG sets another filter.
pub fn start_logging(quiet: bool) {
    install(quiet, None);
}

/// The log and the span exporter of a server.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let provider = settings.otlp_endpoint.as_deref().map(provider).transpose()?;
        install(false, provider.as_ref());
        Ok(Self(provider))
    }

    /// Exports the last spans.
    pub async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(STOP_TIMEOUT)).await;
    }
}

/// Log lines are formatted for people on a terminal, and as JSON otherwise. POSTRIDER_LOG has the filter syntax of
/// `tracing_subscriber::EnvFilter`.
fn install(quiet: bool, provider: Option<&SdkTracerProvider>) {
    // Some deliveries of the demo and some cases of adapters fail on purpose; these commands report failures in their own output.
    let default = if quiet { "error" } else { "info" };
    let filter = EnvFilter::try_from_env("POSTRIDER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let on_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(on_terminal).with_writer(std::io::stderr);
    let lines = match on_terminal || quiet {
        true => lines.boxed(),
        false => lines.json().with_current_span(false).fmt_fields(SpanFields(JsonFields::new())).boxed(),
    };
    let spans = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("postrider"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
    });
    tracing_subscriber::registry().with(filter).with(lines).with(spans).init();
}

/// The fields of spans in JSON log lines: those that a span has from its start. A field that is recorded later, such as the
/// status of a response, is for the exporter only: adding it parses and writes all fields of the span again, which costs
/// more than twice the span itself.
struct SpanFields(JsonFields);

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(&self, _: &'writer mut FormattedFields<Self>, _: &Record<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn provider(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(egress::tls_config()?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(EXPORT_TIMEOUT)
        .build()?;
    let otlp = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: Handle::current() })
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/').trim_end_matches("/v1/traces")))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(EXPORT_EVERY)
        .build();
    let exporter = Exporter { otlp, is_failing: AtomicBool::new(false) };
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let resource = Resource::builder_empty()
        .with_service_name("postrider")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build())
}

/// Logs a warning when exports start to fail, and a line when they succeed again.
#[derive(Debug)]
struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    is_failing: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.otlp.export(batch.into_iter().map(with_semantic_conventions).collect()).await;
        match (&result, self.is_failing.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!(%error, "Spans can't be exported to the OTLP endpoint; they are dropped until it answers");
            }
            (Ok(()), true) => tracing::info!("The OTLP endpoint answers; spans are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Applies OpenTelemetry's semantic conventions for HTTP: span names, kinds, statuses and attribute names. Log lines keep the short names.
fn with_semantic_conventions(mut span: SpanData) -> SpanData {
    let find = |key: &str| span.attributes.iter().find(|it| it.key.as_str() == key).map(|it| it.value.clone());
    match span.name.as_ref() {
        "request" => {
            if let (Some(method), Some(route)) = (find("method"), find("route")) {
                span.name = format!("{method} {route}").into();
            }
            if matches!(find("status"), Some(Value::I64(500..))) {
                span.status = Status::error("");
            }
            span.span_kind = SpanKind::Server;
        }
        "use_case" => {
            if let Some(operation) = find("operation") {
                span.name = operation.to_string().into();
            }
        }
        "send" => span.span_kind = SpanKind::Client,
        _ => {}
    }
    for attribute in &mut span.attributes {
        let name = match attribute.key.as_str() {
            "method" => "http.request.method",
            "route" => "http.route",
            "status" => "http.response.status_code",
            _ => continue,
        };
        attribute.key = Key::from_static_str(name);
    }
    span
}

/// The exporter's thread has no runtime, so requests run on the server's runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let sending = self.runtime.spawn(send(self.client.clone(), request));
        Box::pin(async move { sending.await? })
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    // The URL may contain a password, so errors must not show it.
    let mut answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX_BYTES {
            return Err("the answer is too long".into());
        }
    }
    Ok(Response::builder().status(answer.status()).body(Bytes::from(body))?)
}
