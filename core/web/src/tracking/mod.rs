//! Links, referral codes and impression pixels. The routes are public. They never redirect to a URL of the visitor's
//! choice (open redirect).

mod agent;
pub mod client;

pub use agent::prepare as prepare_user_agents;

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use domain::ids::LinkId;
use domain::program::affiliate::normal_code;
use domain::tracking::click::stored_text;
use domain::tracking::click_request::ClickRequest;
use engine::Error;
use engine::app::App;
use engine::tracking::clicks;

use super::errors::Problem;

/// The maximum number of query parameters that are read. Further parameters are ignored.
const PARAMETERS_MAX: usize = 64;

/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// The page for visitors of a link that does not exist or is paused.
const LINK_NOT_FOUND: &str = include_str!("../../assets/link_not_found.html");

fn link_not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], Html(LINK_NOT_FOUND)).into_response()
}

/// `GET /c/{link}`
pub async fn follow_link(State(app): State<App>, Segment(link): Segment, Visitor(visit): Visitor) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return link_not_found() };
    redirect(clicks::follow_link(&app, id, visit).await)
}

/// `GET /r/{code}`
pub async fn follow_code(State(app): State<App>, Segment(code): Segment, Visitor(visit): Visitor) -> Response {
    let offer = visit.query.iter().find(|(name, _)| name == "offer_id").map(|(_, value)| value.parse());
    let Ok(offer_id) = offer.transpose() else { return link_not_found() };
    redirect(clicks::follow_code(&app, &normal_code(&code), offer_id, visit).await)
}

/// `GET /i/{link}`
pub async fn record_impression(State(app): State<App>, Segment(link): Segment, Visitor(visit): Visitor) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return link_not_found() };
    match clicks::record_impression(&app, id, visit).await {
        Ok(true) => {
            let headers = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")];
            (headers, PIXEL).into_response()
        }
        Ok(false) => link_not_found(),
        Err(error) => Problem::from(error).into_response(),
    }
}

fn redirect(destination: Result<Option<String>, Error>) -> Response {
    match destination {
        Ok(Some(url)) => match HeaderValue::try_from(url) {
            Ok(location) => {
                let headers = [
                    (header::LOCATION, location),
                    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                    (ROBOTS, HeaderValue::from_static("noindex")),
                ];
                (StatusCode::FOUND, headers).into_response()
            }
            Err(_) => link_not_found(),
        },
        Ok(None) => link_not_found(),
        Err(error) => Problem::from(error).into_response(),
    }
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// The last segment of the path. A segment that is not valid text gets the "not found" page.
pub struct Segment(String);

impl FromRequestParts<App> for Segment {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let segment = Path::<String>::from_request_parts(parts, app).await;
        let segment = segment.ok().map(|Path(text)| text).filter(|text| !text.contains('\0'));
        segment.map(Self).ok_or_else(link_not_found)
    }
}

/// The data of a request for tracking.
pub struct Visitor(ClickRequest);

impl FromRequestParts<App> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX)
            .map(|(name, value)| (stored_text(&name), stored_text(&value)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let text = |name| parts.headers.get(name).map(|value| stored_text(&String::from_utf8_lossy(value.as_bytes())));
        let user_agent = text(header::USER_AGENT);
        let mut agent = agent::read(user_agent.as_deref());
        // Browsers send GET. Link previews and monitors send HEAD.
        agent.likely_bot |= parts.method == Method::HEAD;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address =
            |peer: &ConnectInfo<SocketAddr>| client::origin(app, peer.0.ip(), &parts.headers).address.to_string();
        Ok(Self(ClickRequest { query, referrer: text(header::REFERER), ip: peer.map(address), user_agent, agent }))
    }
}
