//! A page: a typed context, its template, and the response.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use domain::people::preferences::{Language, Theme};
use domain::timestamp::Timestamp;
use serde::Serialize;
use web::errors::Problem;

use super::sentence::sentence;
use super::templates;
use super::texts::{Text, text};
use super::viewer::{Shell, Viewer};

/// The content security policy of every page. It permits no script, style or image of a page itself.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The context of a template. The template reads its fields as `page.…`.
pub trait Page: Serialize + Sized {
    /// The name of the template, as in [`templates::TEMPLATES`].
    const TEMPLATE: &'static str;

    /// Sample contexts that together render every part of the template.
    #[cfg(test)]
    fn samples() -> Vec<Self>;
}

/// The response with a page: its title, status and messages.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Reply<P>(Box<Filled<P>>);

#[derive(Debug, Serialize)]
struct Filled<P> {
    title: Text,
    /// The heading, if it is not the title.
    heading: Option<Text>,
    /// A sentence below the heading.
    lead: Option<Text>,
    /// The pages above this one.
    crumbs: Vec<Crumb>,
    /// The page uses the whole width.
    wide: bool,
    alert: Option<Text>,
    notice: Option<Text>,
    viewer: View,
    shell: Option<Shell>,
    page: P,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after_secs: Option<u32>,
}

/// How the page is shown.
#[derive(Debug, Serialize)]
struct View {
    language: Language,
    zone: String,
    zone_name: String,
    now: Timestamp,
    theme: Theme,
    is_dark: bool,
    path: String,
}

/// A page above the one that is shown.
#[derive(Debug, Serialize)]
struct Crumb {
    path: String,
    name: Text,
}

impl Viewer {
    /// A page in the shell. Before signing in there is no shell.
    pub fn page<P: Page>(&self, title: Text, page: P) -> Reply<P> {
        Reply::new(self, title, self.shell(), page)
    }

    /// A page without the shell, such as those of signing in.
    pub fn entry<P: Page>(&self, title: Text, page: P) -> Reply<P> {
        Reply::new(self, title, None, page)
    }
}

impl<P: Page> Reply<P> {
    fn new(viewer: &Viewer, title: Text, shell: Option<Shell>, page: P) -> Self {
        let Viewer { formats, theme, path, .. } = viewer;
        let view = View {
            language: formats.language,
            zone: formats.zone.to_string(),
            zone_name: formats.zone_name(),
            now: formats.now,
            theme: *theme,
            is_dark: *theme == Theme::Dark,
            path: path.clone(),
        };
        Self(Box::new(Filled {
            title,
            heading: None,
            lead: None,
            crumbs: Vec::new(),
            wide: false,
            alert: None,
            notice: None,
            viewer: view,
            shell,
            page,
            status: StatusCode::OK,
            retry_after_secs: None,
        }))
    }

    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Another heading than the title, such as a greeting.
    pub fn heading(mut self, text: Text) -> Self {
        self.0.heading = Some(text);
        self
    }

    /// A sentence below the heading.
    pub fn lead(mut self, text: Text) -> Self {
        self.0.lead = Some(text);
        self
    }

    /// The page stands below another one, such as the page of an object below its list.
    pub fn below(mut self, path: impl Into<String>, name: Text) -> Self {
        self.0.crumbs.push(Crumb { path: path.into(), name });
        self
    }

    /// The page uses the whole width, such as a list.
    pub fn wide(mut self) -> Self {
        self.0.wide = true;
        self
    }

    /// Shows an error, with the status of the problem. Screen readers announce it.
    pub fn alert(mut self, problem: &Problem) -> Self {
        self.0.alert = Some(sentence(problem));
        self.status_of(problem)
    }

    /// Shows an error, unless the form of the page shows it at its fields (`is_shown`).
    pub fn refused(self, problem: &Problem, is_shown: bool) -> Self {
        if is_shown { self.status_of(problem) } else { self.alert(problem) }
    }

    /// The status of a problem that the form of the page shows.
    pub fn status_of(mut self, problem: &Problem) -> Self {
        self.0.status = problem.status();
        self.0.retry_after_secs = problem.retry_after_secs();
        self
    }

    /// Shows a success message.
    pub fn notice(mut self, text: Text) -> Self {
        self.0.notice = Some(text);
        self
    }

    pub fn html(&self) -> String {
        templates::render(P::TEMPLATE, self)
    }
}

impl<P: Page> IntoResponse for Reply<P> {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, Html(self.html())).into_response();
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &'static str); 5] = [
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            // URLs of pages contain tokens. With this policy forms still send their origin.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(seconds) = self.0.retry_after_secs {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A page with sentences, and optionally a link to the next step.
#[derive(Debug, Default, Serialize)]
pub struct Message {
    sentences: Vec<Text>,
    link: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    to: &'static str,
    text: Text,
}

impl Message {
    pub fn new(key: &str) -> Self {
        Self { sentences: vec![text(key)], link: None }
    }

    pub fn with_link(self, to: &'static str, key: &str) -> Self {
        Self { link: Some(Link { to, text: text(key) }), ..self }
    }
}

impl Page for Message {
    const TEMPLATE: &'static str = "message";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self::default(), Self::new("password.message_sent").with_link("/login", "entry.back_to_sign_in")]
    }
}
