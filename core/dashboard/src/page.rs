//! A page: a typed context, its template, and the response.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use handlebars::Handlebars;
use serde::Serialize;
use sha2::{Digest, Sha256};
use web::errors::Problem;

use super::sentence::sentence;

/// Templates by name. The name of a page is its area and its noun.
pub const TEMPLATES: [(&str, &str); 11] = [
    ("layout", LAYOUT),
    ("message", include_str!("../templates/message.hbs")),
    ("money/confirm_change", include_str!("../templates/money/confirm_change.hbs")),
    ("people/confirm_email", include_str!("../templates/people/confirm_email.hbs")),
    ("people/forgot_password", include_str!("../templates/people/forgot_password.hbs")),
    ("people/home", include_str!("../templates/people/home.hbs")),
    ("people/login_link", include_str!("../templates/people/login_link.hbs")),
    ("people/register", include_str!("../templates/people/register.hbs")),
    ("people/second_factor", include_str!("../templates/people/second_factor.hbs")),
    ("people/set_password", include_str!("../templates/people/set_password.hbs")),
    ("people/sign_in", include_str!("../templates/people/sign_in.hbs")),
];

const LAYOUT: &str = include_str!("../templates/layout.hbs");

static REGISTRY: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut registry = Handlebars::new();
    // A name that is not in the context is an error; the test that renders all samples finds it.
    registry.set_strict_mode(true);
    for (name, text) in TEMPLATES {
        registry.register_template_string(name, text).unwrap_or_else(|error| panic!("template {name}: {error}"));
    }
    registry
});

/// The content security policy: it allows the style sheet of the layout, and forms to this server.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let (_, style) = LAYOUT.split_once("<style>").expect("the layout has a style sheet");
    let (style, _) = style.split_once("</style>").expect("the style sheet ends");
    let digest = BASE64.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("it is plain ASCII")
});

/// The context of a template. The template reads its fields as `page.…`.
pub trait Page: Serialize + Sized {
    /// The name of the template, as in [`TEMPLATES`].
    const TEMPLATE: &'static str;

    /// Sample contexts that together render every part of the template.
    #[cfg(test)]
    fn samples() -> Vec<Self>;
}

/// The response with a page: its title, status and messages.
#[derive(Debug, Serialize)]
pub struct Reply<P> {
    title: &'static str,
    alert: Option<String>,
    notice: Option<String>,
    page: P,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after_secs: Option<u32>,
}

impl<P: Page> Reply<P> {
    pub fn new(title: &'static str, page: P) -> Self {
        Self { title, alert: None, notice: None, page, status: StatusCode::OK, retry_after_secs: None }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Shows an error, with the status of the problem. Screen readers announce it.
    pub fn alert(self, problem: &Problem) -> Self {
        Self {
            status: problem.status(),
            retry_after_secs: problem.retry_after_secs(),
            alert: Some(sentence(problem)),
            ..self
        }
    }

    /// Shows a success message.
    pub fn notice(self, text: &str) -> Self {
        Self { notice: Some(text.to_owned()), ..self }
    }

    pub fn html(&self) -> String {
        REGISTRY.render(P::TEMPLATE, self).expect("a test renders every template from its samples")
    }
}

impl<P: Page> IntoResponse for Reply<P> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Html(self.html())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // URLs of pages contain tokens. With this policy forms still send their origin.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A page with sentences, and optionally a link to the next step.
#[derive(Debug, Default, Serialize)]
pub struct Message {
    sentences: Vec<&'static str>,
    link: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    to: &'static str,
    text: &'static str,
}

impl Message {
    pub fn new(sentence: &'static str) -> Self {
        Self { sentences: vec![sentence], link: None }
    }

    pub fn with_link(self, to: &'static str, text: &'static str) -> Self {
        Self { link: Some(Link { to, text }), ..self }
    }
}

impl Page for Message {
    const TEMPLATE: &'static str = "message";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self::default(), Self::new("A message was sent.").with_link("/login", "Back to the sign-in page")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_people_type_is_escaped() {
        let page = crate::people::registration::Register { name: "<i>\"{{page.email}}'&".into(), email: "x".into() };
        let html = Reply::new("Register", page).html();
        assert!(html.contains("value=\"&lt;i&gt;&quot;{{page.email}}&#x27;&amp;\""), "{html}");
    }

    #[test]
    fn the_policy_names_the_digest_of_the_style_sheet() {
        assert!(POLICY.to_str().unwrap().contains("style-src 'sha256-"));
        let html = Reply::new("Sign in", Message::default()).html();
        let (_, style) = LAYOUT.split_once("<style>").unwrap();
        let (style, _) = style.split_once("</style>").unwrap();
        assert!(html.contains(style), "the style sheet is sent as it was hashed");
    }
}
