//! The configuration with its templates, which are parsed once, and the request that is built from it.

use std::collections::BTreeMap;

use postrider_sdk::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::context::ContextBuilder;
use crate::headers::Header;
use crate::helpers::TOKEN;
use crate::inspect::{Budget, Reads, SECRET};
use crate::sample;
use crate::template::{Encoding, Template, event_error};

/// The configuration; see `config.schema.json`.
#[derive(Deserialize)]
#[serde(from = "Written")]
pub struct Config {
    url: Template,
    method: HttpMethod,
    headers: Vec<Header>,
    body: Template,
    token: Option<Secret>,
    secrets: Secrets,
    signing_secrets: Vec<Secret>,
    pub success: Option<Success>,
    reads: Reads,
    context: ContextBuilder,
}

/// The secrets by name. The values are placeholders; the host inserts the secrets into the finished request.
pub type Secrets = BTreeMap<String, Secret>;

/// The configuration as the user wrote it, with templates as texts.
#[derive(Deserialize)]
struct Written {
    url: String,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: Vec<WrittenHeader>,
    body: String,
    token: Option<Secret>,
    #[serde(default)]
    secrets: Secrets,
    #[serde(default)]
    signing_secrets: Vec<Secret>,
    success: Option<Success>,
}

#[derive(Deserialize)]
struct WrittenHeader {
    name: String,
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

impl From<Written> for Config {
    fn from(written: Written) -> Self {
        let token = written.token.filter(|token| !token.is_empty());
        let mut budget = Budget::default();
        let mut template = |source, encoding| Template::compile(source, encoding, token.as_ref(), &mut budget);
        let url = template(written.url, Encoding::Url);
        let headers = written.headers.into_iter();
        let headers: Vec<Header> =
            headers.map(|header| Header::new(header.name, template(header.value, Encoding::Header))).collect();
        let body = template(written.body, Encoding::Json);
        let templates = [&url, &body].into_iter().chain(headers.iter().map(Header::value));
        let reads = templates.fold(Reads::default(), |reads, template| reads.and(template.reads()));
        Self {
            context: ContextBuilder::new(&reads, &written.secrets),
            reads,
            method: match written.method {
                Method::Post => HttpMethod::Post,
                Method::Put => HttpMethod::Put,
                Method::Patch => HttpMethod::Patch,
            },
            secrets: written.secrets,
            signing_secrets: written.signing_secrets,
            success: written.success,
            url,
            headers,
            body,
            token,
        }
    }
}

impl Config {
    /// The problems that the schema cannot find. If there are none, a sample event is rendered, and its error is the problem.
    pub fn issues(&self) -> Vec<ConfigIssue> {
        let mut issues = self.url.url_issues("/url");
        issues.extend(Header::issues(&self.headers));
        issues.extend(self.body.issues("/body"));
        if self.token.is_none() && self.template_has_token() {
            issues.push(ConfigIssue::new(
                "/token",
                "A template contains {{token}}, but the token is empty; enter it here.",
            ));
        }
        self.misplaced_secrets(&mut issues);
        issues.extend(self.success.as_ref().and_then(|success| success.issue("/success")));
        if issues.is_empty()
            && let Err(error) = self.request(&sample::approved_conversion())
        {
            let message = format!("With a sample conversion: {}", error.message);
            issues.push(ConfigIssue::new(error.path.unwrap_or_default(), message));
        }
        issues
    }

    /// Whether a template contains the token.
    fn template_has_token(&self) -> bool {
        self.reads.names(TOKEN)
    }

    /// Secrets that do not exist, secrets that are not used, and a template that would send all of them.
    fn misplaced_secrets(&self, issues: &mut Vec<ConfigIssue>) {
        for name in self.reads.secrets().filter(|name| !self.secrets.contains_key(*name)) {
            let message =
                format!("A template contains {{{{{SECRET}.{name}}}}}, but there is no secret '{name}'; add it here.");
            issues.push(ConfigIssue::new("/secrets", message));
        }
        for name in self.secrets.keys().filter(|name| !self.reads.secrets().any(|read| read == *name)) {
            let message = format!(
                "This secret is not used; write {{{{{SECRET}.{name}}}}} into a template, or remove the secret."
            );
            issues.push(ConfigIssue::new(format!("/secrets/{name}"), message));
        }
        if self.reads.everything() && !self.secrets.is_empty() {
            let message =
                "{{json this}} would send the secrets too; name the groups that you need, such as {{json conversion}}.";
            issues.push(ConfigIssue::new("/body", message));
        }
    }

    /// The request for one event.
    pub fn request(&self, event: &Event) -> Result<Request, AdapterError> {
        let context = self.context.build(event);
        let url = self.url.render("/url", &context)?;
        if url::has_dot_segment(&url) {
            return Err(event_error(
                "/url",
                "A value of '.' or '..' fills a whole path segment, so the URL would lead to another page; move this value into the query.",
            ));
        }
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        if let Some(token) = self.token.as_ref().filter(|_| !self.template_has_token()) {
            headers.push(Field { name: "Authorization".into(), value: format!("Bearer {}", token.placeholder()) });
        }
        for (index, header) in self.headers.iter().enumerate() {
            headers.push(header.render(index, &context)?);
        }
        let body = self.body.render("/body", &context)?;
        if let Err(error) = serde_json::from_str::<IgnoredAny>(&body) {
            let message = format!(
                "The body is not JSON: {error}. Put texts in quotes, and write amounts as {{{{number …}}}}, which is null without an amount."
            );
            return Err(event_error("/body", message));
        }
        let sign_with = self.signing_secrets.iter().map(|secret| secret.placeholder().to_owned()).collect();
        Ok(Request { method: self.method, headers, sign_with, ..Request::post(url, "application/json", body) })
    }
}
