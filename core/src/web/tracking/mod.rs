//! Clicks, referral codes and impression pixels. Public, unauthenticated, and never an open redirect.

mod agent;
mod client;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::domain::affiliate::normal_code;
use crate::domain::click::VALUE_MAX_CHARS;
use crate::ids::LinkId;
use crate::services::Error;
use crate::services::clicks::{self, Visit};

use super::errors::Problem;
use super::pages;

/// More parameters than anybody's link has.
const PARAMETERS_MAX: usize = 64;

/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// `GET /c/{link}`
pub async fn follow_link(State(app): State<App>, Path(link): Path<String>, request: Request) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return pages::not_found() };
    let visit = request.visit(&app);
    redirect(clicks::follow_link(&app, id, visit).await)
}

/// `GET /r/{code}`
pub async fn follow_code(State(app): State<App>, Path(code): Path<String>, request: Request) -> Response {
    let visit = request.visit(&app);
    let offer = visit.query.iter().find(|(name, _)| name == "offer_id").map(|(_, value)| value.parse());
    let Ok(offer_id) = offer.transpose() else { return pages::not_found() };
    redirect(clicks::follow_code(&app, &normal_code(&code), offer_id, visit).await)
}

/// `GET /i/{link}`
pub async fn record_impression(State(app): State<App>, Path(link): Path<String>, request: Request) -> Response {
    let Ok(id) = link.parse::<LinkId>() else { return pages::not_found() };
    match clicks::record_impression(&app, id, request.visit(&app)).await {
        Ok(true) => {
            let headers = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")];
            (headers, PIXEL).into_response()
        }
        Ok(false) => pages::not_found(),
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
            Err(_) => pages::not_found(),
        },
        Ok(None) => pages::not_found(),
        Err(error) => Problem::from(error).into_response(),
    }
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// What tracking reads of a request.
pub struct Request {
    method: Method,
    peer: SocketAddr,
    query: Option<String>,
    headers: HeaderMap,
}

impl axum::extract::FromRequestParts<App> for Request {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &App) -> Result<Self, Self::Rejection> {
        let RawQuery(query) = RawQuery::from_request_parts(parts, app).await?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0);
        Ok(Self {
            method: parts.method.clone(),
            peer: peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            query,
            headers: parts.headers.clone(),
        })
    }
}

impl Request {
    fn visit(self, app: &App) -> Visit {
        let query = self.query.unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX)
            .map(|(name, value)| (clean(&name), clean(&value)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let text = |name| self.headers.get(name).map(|value| clean(&String::from_utf8_lossy(value.as_bytes())));
        let user_agent = text(header::USER_AGENT);
        let mut agent = agent::read(user_agent.as_deref());
        // Browsers GET. Link previews and monitors ask for the head only.
        agent.likely_bot |= self.method == Method::HEAD;
        Visit {
            query,
            referrer: text(header::REFERER),
            ip: Some(client::address(self.peer.ip(), &self.headers, &app.settings.trusted_proxies).to_string()),
            user_agent,
            agent,
        }
    }
}

/// Bounded, and without the one character that PostgreSQL can't keep.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(VALUE_MAX_CHARS).collect()
}
