//! `/login/{token}`: where the operator's backend sends its customer. A browser that navigates is signed in at once. A
//! preview, a scanner or a HEAD gets a page with a button, and the link stays good.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Error;
use engine::app::App;
use engine::people::auth::{Visitor, sign_in};
use serde::Serialize;
use web::auth::{self, RequestClient};

use crate::page::{Message, Page, Reply};

const USED: &str = "It was used already, or its five minutes are over. Go back to where you came from and open it once \
    more from there.";

/// A button that signs in.
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
    // A person who is signed in is asked first: a link from elsewhere must not exchange the account without a click.
    if navigates && auth::session_cookie(&headers, &app).is_none() {
        return enter(&app, &headers, &visitor, &token).await;
    }
    match sign_in::is_link_valid(&app, &token).await {
        Ok(true) => Reply::new("Sign in", LoginLink {}).into_response(),
        Ok(false) => used(),
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
    enter(&app, &headers, &visitor, &token).await
}

async fn enter(app: &App, headers: &HeaderMap, visitor: &Visitor, token: &str) -> Response {
    let (secret, next) = match sign_in::by_link(app, visitor, token).await {
        Ok(entered) => entered,
        Err(Error::Auth(_)) => return used(),
        Err(error) => return Reply::new("Sign in", Message::default()).alert(&error.into()).into_response(),
    };
    auth::end_former_session(app, headers).await;
    let headers = [
        (header::SET_COOKIE, auth::set_session_cookie(app, &secret)),
        (header::LOCATION, next.parse().expect("it was checked when the link was made")),
        (header::CACHE_CONTROL, "no-store".parse().expect("it is plain ASCII")),
        (header::REFERRER_POLICY, "no-referrer".parse().expect("it is plain ASCII")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn used() -> Response {
    Reply::new("This link no longer works", Message::new(USED)).with_status(StatusCode::GONE).into_response()
}
