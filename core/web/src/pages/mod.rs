//! The few pages that people see: plain HTML that works without a script, says one thing and asks for what is needed.
//! What happens behind a form is what the API does, with its throttles, its origin rule and its sessions.

pub mod confirm_change;
pub mod login_link;
pub mod password;
pub mod registration;
pub mod sign_in;

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use domain::people::auth_error::AuthError;
use engine::Error;
use engine::app::App;

use super::auth::{self, Origin};
use super::errors::Problem;

const NOT_FOUND: &str = include_str!("../../assets/not_found.html");
const LAYOUT: &str = include_str!("../../assets/pages/layout.html");

/// Nothing but our own style sheet and our own forms.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let (_, style) = LAYOUT.split_once("<style>").expect("the layout has a style sheet");
    let (style, _) = style.split_once("</style>").expect("the style sheet ends");
    let digest = BASE64.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("it is plain ASCII")
});

/// A plain page for a link that leads nowhere.
pub fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], Html(NOT_FOUND)).into_response()
}

/// One page: a heading, perhaps a sentence that stands out, and what there is to do.
pub struct Page {
    status: StatusCode,
    title: &'static str,
    content: String,
    retry_after_secs: Option<u32>,
}

impl Page {
    pub fn new(title: &'static str) -> Self {
        Self { status: StatusCode::OK, title, content: String::new(), retry_after_secs: None }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Something went wrong; a screen reader says so at once.
    pub fn alert(mut self, problem: &Problem) -> Self {
        self.status = problem.status();
        self.retry_after_secs = problem.retry_after_secs();
        self.add("<p class=\"alert\" role=\"alert\">{{text}}</p>", &[("text", &sentence(problem))])
    }

    /// Something went well.
    pub fn notice(self, text: &str) -> Self {
        self.add("<p class=\"notice\" role=\"status\">{{text}}</p>", &[("text", text)])
    }

    /// Fills a piece of HTML with values, which are text whatever they hold.
    pub fn add(mut self, template: &str, values: &[(&str, &str)]) -> Self {
        self.content.push_str(&fill(template, values));
        self
    }

    fn html(&self) -> String {
        let (head, tail) = LAYOUT.split_once("{{content}}").expect("the layout has a place for the content");
        format!("{}{}{tail}", fill(head, &[("title", self.title)]), self.content)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, Html(self.html())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Addresses of pages hold tokens. Our own forms still say where they come from.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Puts text where a template has its name in double braces. What is put in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("a template closes what it opens");
        let value = values.iter().find(|(known, _)| *known == name);
        out.push_str(before);
        escape(value.expect("a page has a value for each name of its template").1, &mut out);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// What the API says to programs, as a sentence for people.
fn sentence(problem: &Problem) -> String {
    let of_fields = problem.errors().iter().map(|issue| {
        let field = match issue.path.as_str() {
            "/email" => "The e-mail address",
            "/name" => "The name",
            "/password" => "The password",
            _ => "Something",
        };
        format!("{field} {}.", issue.message)
    });
    let sentences: Vec<_> = of_fields.collect();
    if !sentences.is_empty() {
        return sentences.join(" ");
    }
    as_sentence(&problem.detail)
}

/// With a capital letter and a full stop.
fn as_sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A form that one of our own pages sent. The rule is the API's: what another site makes a browser send is refused.
pub struct OwnForm<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for OwnForm<T> {
    type Rejection = Page;

    async fn from_request(request: Request, app: &App) -> Result<Self, Page> {
        if auth::origin(request.headers(), app) == Origin::Another {
            return Err(Page::new("This was refused").alert(&Error::from(AuthError::CrossSite).into()));
        }
        let unreadable = || {
            let detail = "the form did not arrive whole; go back and try again";
            Page::new("This was refused").alert(&Problem::bad_request("invalid_body", detail))
        };
        let (parts, body) = request.into_parts();
        let body = Bytes::from_request(Request::new(body), app).await.map_err(|_| unreadable())?;
        // PostgreSQL's text can't hold the character NUL.
        if body.contains(&0) || body.windows(3).any(|it| it == b"%00") {
            return Err(unreadable());
        }
        let form = Form::<T>::from_request(Request::from_parts(parts, Body::from(body)), app).await;
        form.map(|Form(form)| Self(form)).map_err(|_| unreadable())
    }
}

/// A form that is only a button.
#[derive(serde::Deserialize)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_stays_text() {
        let filled = fill("<b>{{name}}</b> {{other}}", &[("name", "<i>\"{{other}}'&"), ("other", "x")]);
        assert_eq!(filled, "<b>&lt;i&gt;&quot;{{other}}&#39;&amp;</b> x");
    }

    #[test]
    fn the_policy_is_of_the_style_sheet_that_is_sent() {
        assert!(POLICY.to_str().unwrap().contains("style-src 'sha256-"));
        let page = Page::new("Sign in").notice("Done").html();
        assert_eq!(page.matches("<style>").count(), 1, "{page}");
        assert!(page.contains("<title>Sign in</title>") && page.contains("Done") && !page.contains("{{"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<script"), "{page}");
    }
}
