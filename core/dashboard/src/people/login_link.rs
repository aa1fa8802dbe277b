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

use crate::page::{Message, Page, Reply};

const USED: &str = "It was already used, or it is older than five minutes. Go back to the site that you came from and open \
    the link there again.";

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
    method: Method,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let navigates = method == Method::GET
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document")
        && text("sec-purpose").is_none()
        && text("purpose").is_none();
    // A person who is already signed in must confirm: a link on another site must not switch the account without a click.
    if navigates && auth::session_cookie(&headers, &app).is_none() {
        return sign_in_by_link(&app, &headers, &visitor, &token).await;
    }
    match sign_in::is_link_valid(&app, &token).await {
        Ok(true) => Reply::new("Sign in", LoginLink {}).into_response(),
        Ok(false) => link_used(),
        Err(error) => Reply::new("Sign in", Message::default()).alert(&error.into()).into_response(),
    }
}

/// `POST /login/{token}`
pub async fn confirm(
    State(app): State<App>,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Response {
    sign_in_by_link(&app, &headers, &visitor, &token).await
}

async fn sign_in_by_link(app: &App, headers: &HeaderMap, visitor: &Visitor, token: &str) -> Response {
    let (secret, next) = match sign_in::by_link(app, visitor, token).await {
        Ok(signed_in) => signed_in,
        Err(Error::Auth(_)) => return link_used(),
        Err(error) => return Reply::new("Sign in", Message::default()).alert(&error.into()).into_response(),
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

fn link_used() -> Response {
    Reply::new("This link no longer works", Message::new(USED)).with_status(StatusCode::GONE).into_response()
}
