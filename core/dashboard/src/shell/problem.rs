//! Errors of the API as pages: the same status, and a sentence for people.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use engine::app::App;
use web::errors::Problem;
use web::site::FailedRequest;

use super::page::{Message, Reply};
use super::texts::text;
use super::viewer::Viewer;

/// The page for an error of a handler or of the access rules. A visitor who is not signed in is redirected to the sign-in
/// page, which leads back.
pub fn show(app: &App, problem: &Problem, request: &FailedRequest) -> Response {
    let viewer = Viewer::of_browser(&request.headers, &request.uri, app.clock.now());
    match problem.status() {
        StatusCode::UNAUTHORIZED => sign_in(request),
        StatusCode::NOT_FOUND => not_found(&viewer).into_response(),
        _ => refused(&viewer, problem).into_response(),
    }
}

/// Leads to the sign-in page. A request of htmx would put that page in the place of a part; so the whole page is redirected.
fn sign_in(request: &FailedRequest) -> Response {
    let path = sign_in_path(request);
    match request.headers.contains_key("hx-request") {
        true => (StatusCode::UNAUTHORIZED, [("hx-redirect", path)]).into_response(),
        false => Redirect::to(&path).into_response(),
    }
}

/// The sign-in page, with the page that was asked for. A form that was sent is not repeated.
fn sign_in_path(request: &FailedRequest) -> String {
    let uri = &request.uri;
    if !request.method.is_safe() || uri.path() == "/" {
        return "/login".to_owned();
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/login?next={next}")
}

/// The path on this server to which a sign-in leads; `None` for an address of another server.
pub fn local_path(next: &str) -> Option<String> {
    // "//host" and "/\host" are addresses of other servers for a browser.
    let is_local = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let uri: Uri = next.parse().ok().filter(|_| is_local)?;
    Some(uri.path_and_query()?.as_str().to_owned())
}

pub fn refused(viewer: &Viewer, problem: &Problem) -> Reply<Message> {
    viewer.entry(text("problem.refused"), Message::default().with_link("/", "problem.start")).alert(problem)
}

fn not_found(viewer: &Viewer) -> Reply<Message> {
    let message = Message::new("problem.not_found_hint").with_link("/", "problem.start");
    viewer.entry(text("problem.not_found"), message).with_status(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_only_to_pages_of_this_server() {
        for (next, wanted) in [
            ("/links?offer_id=1", Some("/links?offer_id=1")),
            ("/", Some("/")),
            ("//evil.example/", None),
            ("/\\evil.example", None),
            ("https://evil.example/", None),
            ("links", None),
            ("", None),
        ] {
            assert_eq!(local_path(next).as_deref(), wanted, "{next}");
        }
    }
}
