//! A client of a Postrider server for the demo and for commands: it calls the API with a key and opens links as a visitor.
//!
//! Requests go through the vetted client, as postbacks do, because only egress opens outbound sockets.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::Value;

use egress::{Answer, Egress, Outgoing};

/// Covers the installation of an adapter, which includes compiling it, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Items per page of a list. Egress reads up to 64 KiB of an answer by default; twenty deliveries with attempts fit into that.
const PAGE_SIZE: usize = 20;

/// The user agent of visitors: a browser on a phone.
const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
    (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Egress,
    url: String,
    key: String,
}

impl Api {
    /// `url` is the base URL of the server, without a slash at its end.
    pub fn new(client: Egress, url: String, key: String) -> Self {
        Self { client, url, key }
    }

    /// A client of the same server with another key.
    pub fn with_key(&self, key: String) -> Self {
        Self { key, ..self.clone() }
    }

    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.post_bytes(path, "application/json", body.to_string().into_bytes()).await
    }

    pub async fn post_bytes(&self, path: &str, content_type: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some((content_type.to_owned(), bytes))).await.map(|(_, answer)| answer)
    }

    /// Returns the answer, and whether the server created the object (status 201) or already had it.
    pub async fn create(&self, path: &str, content_type: &str, bytes: Vec<u8>) -> anyhow::Result<(bool, Value)> {
        let (status, answer) = self.call(Method::POST, path, Some((content_type.to_owned(), bytes))).await?;
        Ok((status == 201, answer))
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await.map(|(_, answer)| answer)
    }

    /// Returns all items of a list, page by page.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{separator}limit={PAGE_SIZE}{cursor}")).await?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Opens a link as a browser does; returns the URL to which it redirects.
    pub async fn visit(&self, url: &str) -> anyhow::Result<String> {
        let headers = vec![("user-agent".to_owned(), BROWSER.to_owned())];
        let answer = self.send(Method::GET, url.to_owned(), headers, None).await?;
        ensure!(answer.status == 302, "{url} answered {} instead of 302", answer.status);
        let location = answer.headers.into_iter().find(|(name, _)| name == "location");
        Ok(location.with_context(|| format!("{url} answered 302 without a Location"))?.1)
    }

    async fn call(&self, method: Method, path: &str, body: Option<(String, Vec<u8>)>) -> anyhow::Result<(u16, Value)> {
        let headers = vec![("authorization".to_owned(), format!("Bearer {}", self.key))];
        let answer = self.send(method.clone(), format!("{}{path}", self.url), headers, body).await?;
        let json: Value = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{method} {path} answered {} with something that is not JSON", answer.status))?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} answered {}: {}", answer.status, problem_text(&json));
        }
        Ok((answer.status, json))
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        headers: Vec<(String, String)>,
        body: Option<(String, Vec<u8>)>,
    ) -> anyhow::Result<Answer> {
        let request = Outgoing { method, url, headers, body };
        self.client.send(request, TIMEOUT).await.with_context(|| format!("no server answers at {}", self.url))
    }
}

/// The detail of a problem, followed by one line for each invalid field.
fn problem_text(problem: &Value) -> String {
    let mut text = problem["detail"].as_str().unwrap_or("no reason given").to_owned();
    for issue in problem["errors"].as_array().into_iter().flatten() {
        let field = |name: &str| issue[name].as_str().unwrap_or_default();
        let line = format!("{}: {}", field("path"), field("message"));
        // The message of a single issue is part of the detail.
        if !text.contains(field("message")) {
            text = format!("{text}\n  {line}");
        }
    }
    text
}

/// A required text field of an answer.
pub fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    let text = answer[field].as_str().with_context(|| format!("the API's answer has no \"{field}\": {answer}"))?;
    Ok(text.to_owned())
}
