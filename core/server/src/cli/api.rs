//! A client of a Postrider server for the demo and for commands: it calls the API with a key and opens links as a visitor.
//!
//! Requests go through the vetted client, as postbacks do, because only egress opens outbound sockets.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use egress::{Answer, Egress, Outgoing};
use engine::config::Settings;

/// Covers the installation of an adapter, which includes compiling it, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Items per page of a list. Egress reads up to 64 KiB of an answer by default; twenty deliveries with attempts fit into that.
const PAGE_SIZE: usize = 20;

/// The user agent of visitors: a browser on a phone.
const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
    (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// The list of adapters contains all descriptors with their schemas and macros, so answers are larger than usual.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// How a command reaches a running server.
#[derive(clap::Args)]
pub struct ServerArgs {
    /// The URL of the server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key; if absent, the file admin-api-key in the data folder
    #[arg(long, env = "POSTRIDER_ADMIN_API_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl ServerArgs {
    /// A client of the server. `settings_file` names the data folder, in which the key may be.
    pub fn api(self, settings_file: &Path) -> anyhow::Result<Api> {
        let key = match self.key.filter(|key| !key.is_empty()) {
            Some(key) => key,
            None => key_in_data_folder(settings_file)?,
        };
        // The operator chooses the URL, so it may lead to any network.
        let all_networks = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
        let client = Egress::new(all_networks.into())?.with_max_answer_bytes(MAX_ANSWER_BYTES);
        Ok(Api::new(client, self.url.trim_end_matches('/').to_owned(), key))
    }
}

fn key_in_data_folder(settings_file: &Path) -> anyhow::Result<String> {
    let settings = Settings::load(settings_file)?;
    if let Some(key) = settings.admin_api_key {
        return Ok(key);
    }
    let file = settings.data_dir.join("admin-api-key");
    let key = std::fs::read_to_string(&file)
        .with_context(|| format!("there is no key in {}; pass one with --key", file.display()))?;
    Ok(key.trim().to_owned())
}

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

    pub async fn put(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send_json(Method::PUT, path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send_json(Method::PATCH, path, body).await
    }

    async fn send_json(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let body = ("application/json".to_owned(), body.to_string().into_bytes());
        self.call(method, path, Some(body)).await.map(|(_, answer)| answer)
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

    /// Requests a URL without a key, as a network does; returns the status of the answer.
    pub async fn fetch(&self, url: &str) -> anyhow::Result<u16> {
        self.send(Method::GET, url.to_owned(), Vec::new(), None).await.map(|answer| answer.status)
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

/// Hyphens are not encoded: ids contain them, and messages show the path.
const IN_SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-');

/// The text as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, &IN_SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_segment() {
        assert_eq!(segment("../../x-1?y"), "%2E%2E%2F%2E%2E%2Fx-1%3Fy");
    }
}
