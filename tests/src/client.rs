//! A thin JSON client for the API: it adds the key and returns status, headers and text unchanged.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Lists without pages.
const WHOLE_LISTS: [&str; 5] =
    ["/api/v1/adapters", "/api/v1/auth/sessions", "/api/v1/destinations", "/api/v1/payout-methods", "/api/v1/warnings"];

/// A caller of the API: an address and an optional key.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    cookie: Option<String>,
}

/// The server's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Client {
    /// A caller with this key; `None` sends no key.
    pub fn new(base: &str, key: Option<&str>) -> Client {
        crate::install_tls_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client with no certificates to load");
        Client { http, base: base.trim_end_matches('/').to_owned(), key: key.map(str::to_owned), cookie: None }
    }

    /// The same server with another caller.
    pub fn with_key(&self, key: Option<&str>) -> Client {
        Client { key: key.map(str::to_owned), cookie: None, ..self.clone() }
    }

    /// The same server from its own pages in a browser, with the cookie of this answer.
    #[track_caller]
    pub fn with_session_of(&self, answer: &Answer) -> Client {
        Client { key: None, cookie: Some(answer.cookie()), ..self.clone() }
    }

    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The session cookie, for requests that a browser would send in another way.
    pub fn cookie(&self) -> &str {
        self.cookie.as_deref().expect("a client with a session")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, idempotency_key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.send(request.header("Idempotency-Key", idempotency_key)).await
    }

    /// A request to complete, for requests that a correct client does not send.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie).header("sec-fetch-site", "same-origin"),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// Sends a request to a server that can be killed at any moment.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        };
        answer.check_codes();
        Ok(answer)
    }

    /// The items of a list that has no pages.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.get(path).await.expect(200)["items"].as_array().expect("a list").clone()
    }

    /// Every item of a list, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        if WHOLE_LISTS.iter().any(|list| path.split('?').next() == Some(list)) {
            return self.items(path).await;
        }
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let glue = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                Some(cursor) => format!("{path}{glue}limit=200&cursor={cursor}"),
                None => format!("{path}{glue}limit=200"),
            };
            let page = self.get(&page).await.expect(200);
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }
}

impl Answer {
    /// Every error that a test gets has a code of the catalogue, with one of its statuses.
    fn check_codes(&self) {
        if self.header("content-type") != Some("application/problem+json") {
            return;
        }
        let problem = self.json();
        let code = text(&problem, "code");
        let known = web::openapi::error_codes().find(|it| it.code == code);
        let statuses = known.map_or(&[][..], |it| it.statuses);
        assert!(
            statuses.contains(&self.status),
            "{} {code} is not in core/web/src/openapi/error_codes.rs, which has {statuses:?} for it",
            self.status
        );
    }

    /// The body, after a check of the status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "the server answered: {}", self.text);
        self.json()
    }

    /// The body as JSON; null without a body.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text))
    }

    /// The body of a problem with this status and this code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "the server answered: {}", self.text);
        problem
    }

    /// `name=value` of the cookie that was set.
    #[track_caller]
    pub fn cookie(&self) -> String {
        let set = self.header("set-cookie").unwrap_or_else(|| panic!("no cookie was set: {}", self.text));
        set.split(';').next().expect("a split has a first part").to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The text at this position; panics if there is none.
#[track_caller]
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field:?} in {value}")).to_owned()
}
