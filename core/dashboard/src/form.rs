//! Forms that browsers send. The access rules check the origin before the body is read.

use std::fmt::Display;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Request};
use axum::response::{IntoResponse, Redirect, Response};
use engine::app::App;
use serde::de::DeserializeOwned;
use web::audit::CreatedId;
use web::errors::Problem;

/// Extracts the fields of a form. A body that cannot be parsed is answered with a page that asks to send the form again.
pub struct Fields<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let unreadable =
            || Problem::bad_request("invalid_body", "the form could not be read; go back and send it again");
        let (parts, body) = request.into_parts();
        let body = Bytes::from_request(Request::new(body), app).await.map_err(|_| unreadable())?;
        // PostgreSQL cannot store the character NUL in text.
        if body.contains(&0) || body.windows(3).any(|bytes| bytes == b"%00") {
            return Err(unreadable());
        }
        let form = Form::<T>::from_request(Request::from_parts(parts, Body::from(body)), app).await;
        form.map(|Form(form)| Self(form)).map_err(|_| unreadable())
    }
}

/// Leads to a page after a form created an object. The audit log records its id.
pub fn created(id: impl Display, path: &str) -> Response {
    (Extension(CreatedId(id.to_string())), Redirect::to(path)).into_response()
}
