//! `/login/{token}`: where the operator's backend sends its customer. A browser that navigates is signed in at once;
//! whatever only looks ahead (a preview, a scanner, a HEAD) gets a page with a button, and the link stays good.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::auth::{self, From, Origin};
use domain::people::auth_error::AuthError;
use engine::Error;
use engine::app::App;
use engine::people::auth::{Visitor, sign_in};

use super::Page;

const CONTINUE: &str = include_str!("../../assets/pages/login_link.html");
const USED: &str = "<p>It was used already, or its five minutes are over. Go back to where you came from and open it once \
    more from there.</p>";

/// `GET /login/{token}`
pub async fn look(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    From(visitor): From,
    Path(token): Path<String>,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let navigates = method == Method::GET
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document")
        && text("sec-purpose").is_none()
        && text("purpose").is_none();
    // Whoever is signed in already is asked first: a link from elsewhere must not swap the account under their hands.
    if navigates && auth::cookie(&headers, &app).is_none() {
        return enter(&app, &headers, &visitor, &token).await;
    }
    match sign_in::link_works(&app, &token).await {
        Ok(true) => Page::new("Sign in").add(CONTINUE, &[]).into_response(),
        Ok(false) => used(),
        Err(error) => Page::new("Sign in").alert(&error.into()).into_response(),
    }
}

/// `POST /login/{token}`
pub async fn confirm(
    State(app): State<App>,
    headers: HeaderMap,
    From(visitor): From,
    Path(token): Path<String>,
) -> Response {
    if auth::origin(&headers, &app) == Origin::Another {
        return Page::new("This was refused").alert(&Error::from(AuthError::CrossSite).into()).into_response();
    }
    enter(&app, &headers, &visitor, &token).await
}

async fn enter(app: &App, headers: &HeaderMap, visitor: &Visitor, token: &str) -> Response {
    let (secret, next) = match sign_in::by_link(app, visitor, token).await {
        Ok(entered) => entered,
        Err(Error::Auth(_)) => return used(),
        Err(error) => return Page::new("Sign in").alert(&error.into()).into_response(),
    };
    auth::leave(app, headers).await;
    let headers = [
        (header::SET_COOKIE, auth::set_cookie(app, &secret)),
        (header::LOCATION, next.parse().expect("it was checked when the link was made")),
        (header::CACHE_CONTROL, "no-store".parse().expect("it is plain ASCII")),
        (header::REFERRER_POLICY, "no-referrer".parse().expect("it is plain ASCII")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn used() -> Response {
    Page::new("This link no longer works").with_status(StatusCode::GONE).add(USED, &[]).into_response()
}
