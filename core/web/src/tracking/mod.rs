//! Links, referral codes and impression pixels. The routes are public. They never redirect to a URL of the visitor's
//! choice (open redirect).

mod agent;
pub mod client;

pub use agent::{prepare as prepare_user_agents, read as read_user_agent};

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use domain::ids::LinkId;
use domain::program::affiliate::normal_code;
use domain::tracking::click::stored_text;
use domain::tracking::click_request::{self, ClickRequest};
use engine::Error;
use engine::app::App;
use engine::tracking::clicks;

use super::errors::Problem;

/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// The page for visitors of a link that does not exist or is paused.
const LINK_NOT_FOUND: &str = include_str!("../../assets/link_not_found.html");

fn link_not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], Html(LINK_NOT_FOUND)).into_response()
}

/// `GET /c/{link}`
pub async fn follow_link(State(app): State<App>, Segment(link): Segment, visitor: Visitor) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return link_not_found() };
    if visitor.only_prefetches {
        return come_again();
    }
    visitor.left_out.answered(redirect(clicks::follow_link(&app, id, visitor.request).await))
}

/// `GET /r/{code}`
pub async fn follow_code(State(app): State<App>, Segment(code): Segment, visitor: Visitor) -> Response {
    let offer = visitor.request.query.iter().find(|(name, _)| name == "offer_id").map(|(_, value)| value.parse());
    let Ok(offer_id) = offer.transpose() else { return link_not_found() };
    if visitor.only_prefetches {
        return come_again();
    }
    visitor.left_out.answered(redirect(clicks::follow_code(&app, &normal_code(&code), offer_id, visitor.request).await))
}

/// `GET /i/{link}`
pub async fn record_impression(State(app): State<App>, Segment(link): Segment, visitor: Visitor) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return link_not_found() };
    match clicks::record_impression(&app, id, visitor.request).await {
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
/// Names the parameters of a link that were left out, and the reasons.
const LEFT_OUT: HeaderName = HeaderName::from_static("postrider-left-out");

/// The answer to a browser that only prefetches a link. A browser does not use an error for the visit, so it asks again
/// when the person visits the link, and that is the click.
fn come_again() -> Response {
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::RETRY_AFTER, HeaderValue::from_static("0")),
        (ROBOTS, HeaderValue::from_static("noindex")),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "links are not prefetched, because a prefetch is not a click")
        .into_response()
}

/// Whether a browser loads a page before a person visits it: a prefetch, a prerendering or a preview.
fn only_prefetches(headers: &HeaderMap) -> bool {
    const NAMES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    const WORDS: [&str; 3] = ["prefetch", "prerender", "preview"];
    let values = NAMES.into_iter().flat_map(|name| headers.get_all(name)).filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split([';', ',', ' ']));
    words.any(|word| WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

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
pub struct Visitor {
    request: ClickRequest,
    left_out: LeftOut,
    only_prefetches: bool,
}

/// The parameters that were left out, a sentence for each.
struct LeftOut(Vec<String>);

impl LeftOut {
    fn answered(&self, mut response: Response) -> Response {
        if !self.0.is_empty()
            && let Ok(sentence) = HeaderValue::try_from(self.0.join("; "))
        {
            response.headers_mut().insert(LEFT_OUT, sentence);
        }
        response
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let (query, left_out) = click_request::parameters(parts.uri.query().unwrap_or_default());
        let text = |name| parts.headers.get(name).map(|value| stored_text(&String::from_utf8_lossy(value.as_bytes())));
        let user_agent = text(header::USER_AGENT);
        let mut agent = agent::read(user_agent.as_deref());
        // Browsers send GET. Link previews and monitors send HEAD.
        agent.likely_bot |= parts.method == Method::HEAD;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address =
            |peer: &ConnectInfo<SocketAddr>| client::origin(app, peer.0.ip(), &parts.headers).address.to_string();
        let request = ClickRequest { query, referrer: text(header::REFERER), ip: peer.map(address), user_agent, agent };
        Ok(Self { request, left_out: LeftOut(left_out), only_prefetches: only_prefetches(&parts.headers) })
    }
}
