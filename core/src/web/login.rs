//! `/login/{token}`: where the operator's backend sends its customer. A browser that navigates is signed in at once;
//! whatever only looks ahead (a preview, a scanner, a HEAD) gets a page with a button, and the link stays good.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::services::audit::{self, Change};
use crate::services::auth::sign_in;

use super::auth::{self, From, Origin};

const CONTINUE: &str = include_str!("../../assets/login.html");
const USED: &str = include_str!("../../assets/login_used.html");

/// `GET /login/{token}`
pub async fn look(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    from: From,
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
        return enter(State(app), headers, from, Path(token)).await;
    }
    match sign_in::link_works(&app, &token).await {
        Ok(true) => page(StatusCode::OK, CONTINUE),
        Ok(false) => page(StatusCode::GONE, USED),
        Err(error) => super::errors::Problem::from(error).into_response(),
    }
}

/// `POST /login/{token}`
pub async fn confirm(State(app): State<App>, headers: HeaderMap, from: From, Path(token): Path<String>) -> Response {
    if auth::origin(&headers, &app) == Origin::Another {
        return page(StatusCode::FORBIDDEN, USED);
    }
    enter(State(app), headers, from, Path(token)).await
}

async fn enter(State(app): State<App>, _: HeaderMap, From(visitor): From, Path(token): Path<String>) -> Response {
    let (secret, signed_in, next) = match sign_in::by_link(&app, &visitor, &token).await {
        Ok(entered) => entered,
        Err(crate::services::Error::Auth(_)) => return page(StatusCode::GONE, USED),
        Err(error) => return super::errors::Problem::from(error).into_response(),
    };
    let change = Change {
        operation: "sign_in_by_link".to_owned(),
        object: Some(signed_in.session.id.to_string()),
        body: serde_json::Value::Null,
        status: StatusCode::SEE_OTHER.as_u16(),
        address: Some(visitor.address.to_string()),
        request_id: None,
    };
    if let Err(error) = audit::record(&app, signed_in.actor, change).await {
        return super::errors::Problem::from(error).into_response();
    }
    let headers = [
        (header::SET_COOKIE, auth::set_cookie(&app, &secret)),
        (header::LOCATION, next.parse().expect("it was checked when the link was made")),
        (header::CACHE_CONTROL, "no-store".parse().expect("it is plain ASCII")),
        (header::REFERRER_POLICY, "no-referrer".parse().expect("it is plain ASCII")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn page(status: StatusCode, html: &'static str) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, Html(html)).into_response()
}
