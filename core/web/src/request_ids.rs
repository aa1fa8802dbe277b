//! Every request has an id and a span. The id is in the response (`x-request-id`), in the log lines and the exported
//! spans of the request, and in the audit log.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, field};

use engine::app::App;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LENGTH_MAX: usize = 100;

/// Routes of visitors. There are so many requests that their spans would take most of the processing time.
const FREQUENT_ROUTES: [&str; 3] = ["/c/{link}", "/r/{code}", "/i/{link}"];

/// The caller's own id if it is valid, otherwise a new one.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl RequestId {
    fn of(headers: &HeaderMap, app: &App) -> Self {
        let id = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let id = id.filter(|id| (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_graphic()));
        Self(id.map_or_else(|| domain::ids::encode(domain::ids::new_uuid(app.clock.now())), str::to_owned))
    }
}

/// Axum middleware over all routes.
pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers(), &app);
    let header = HeaderValue::from_str(&id.0);
    let span = request_span(&request, &id);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    if span.is_disabled() && status.is_server_error() {
        tracing::warn!(request_id = id.0, status = status.as_u16(), "The request of a visitor failed");
    }
    span.record("status", status.as_u16());
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// The span has the route and not the path, because a path can contain a token. Its level is ERROR, except for frequent
/// routes, so that no log filter removes the fields from a log line.
fn request_span(request: &Request, id: &RequestId) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let method = match *request.method() {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            request.method().as_str()
        }
        _ => "other",
    };
    if FREQUENT_ROUTES.contains(&route) {
        return tracing::debug_span!("request", request_id = id.0, method, route, status = field::Empty);
    }
    tracing::error_span!("request", request_id = id.0, method, route, status = field::Empty)
}
