//! `/login/{token}`: the link with which the operator's backend signs a customer in. A browser that navigates to it is signed in
//! at once. A preview, a scanner or a HEAD request gets a page with a button, and the link stays valid.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Error;
use engine::app::App;
use engine::people::auth::{Visitor, sign_in};
use serde::Serialize;
use web::auth::{self, RequestClient};

use crate::shell::page::{Message, Page};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// A page with a button that signs in.
#[derive(Debug, Serialize)]
pub struct LoginLink {}

impl Page for LoginLink {
    const TEMPLATE: &'static str = "people/login_link";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self {}]
    }
}

/// `GET /login/{token}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    method: Method,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Response {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let navigates = method == Method::GET
        && value("sec-fetch-mode") == Some("navigate")
        && value("sec-fetch-dest") == Some("document")
        && value("sec-purpose").is_none()
        && value("purpose").is_none();
    // A person who is already signed in must confirm: a link on another site must not switch the account without a click.
    if navigates && auth::session_cookie(&headers, &app).is_none() {
        return sign_in_by_link(&app, &viewer, &headers, (&visitor, &token)).await;
    }
    match sign_in::is_link_valid(&app, &token).await {
        Ok(true) => viewer.entry(text("sign_in.title"), LoginLink {}).into_response(),
        Ok(false) => link_used(&viewer),
        Err(error) => viewer.entry(text("sign_in.title"), Message::default()).alert(&error.into()).into_response(),
    }
}

/// `POST /login/{token}`
pub async fn confirm(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Response {
    sign_in_by_link(&app, &viewer, &headers, (&visitor, &token)).await
}

async fn sign_in_by_link(
    app: &App,
    viewer: &Viewer,
    headers: &HeaderMap,
    (visitor, token): (&Visitor, &str),
) -> Response {
    let (secret, next) = match sign_in::by_link(app, visitor, token).await {
        Ok(signed_in) => signed_in,
        Err(Error::Auth(_)) => return link_used(viewer),
        Err(error) => {
            return viewer.entry(text("sign_in.title"), Message::default()).alert(&error.into()).into_response();
        }
    };
    auth::end_former_session(app, headers).await;
    let headers = [
        (header::SET_COOKIE, auth::set_session_cookie(app, &secret)),
        (header::LOCATION, next.parse().expect("it was checked when the link was created")),
        (header::CACHE_CONTROL, "no-store".parse().expect("it is plain ASCII")),
        (header::REFERRER_POLICY, "no-referrer".parse().expect("it is plain ASCII")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn link_used(viewer: &Viewer) -> Response {
    let page = viewer.entry(text("entry.link_used"), Message::new("login_link.used"));
    page.with_status(StatusCode::GONE).into_response()
}
