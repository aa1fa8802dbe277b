//! The part of WebDriver (<https://www.w3.org/TR/webdriver2/>) that these tests need, spoken to chromedriver.
//!
//! No crate for it: `thirtyfour` turns on `preserve_order` of serde_json for the whole workspace, so the server under test would
//! not be the one that is released.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// chromedriver with one session, which has one window.
pub struct WebDriver {
    process: Child,
    http: reqwest::Client,
    session: String,
}

/// An element of a page; it is gone when the page changes.
pub struct Element(String);

impl WebDriver {
    /// Starts chromedriver, and Chromium with these flags.
    pub async fn start(flags: &[String]) -> Self {
        let mut process = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; tests/run installs it");
        let url = format!("http://127.0.0.1:{}", port(&mut process));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client with no certificates to load");
        let mut driver = Self { process, http, session: format!("{url}/session") };
        let wanted = json!({"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}});
        let started = driver.call(Method::POST, "", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        let started = started.unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        driver.session = format!("{url}/session/{}", started["sessionId"].as_str().expect("an id"));
        driver
    }

    /// Calls a command of the session. An error is a sentence of the driver.
    async fn call(&self, method: Method, command: &str, body: Value) -> Result<Value, String> {
        let request = self.http.request(method.clone(), format!("{}{command}", self.session));
        let request = if method == Method::GET { request } else { request.json(&body) };
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].take()),
        }
    }

    async fn post(&self, command: &str, body: Value) -> Result<Value, String> {
        self.call(Method::POST, command, body).await
    }

    /// Opens a URL, and waits until the page is loaded.
    pub async fn open(&self, url: &str) -> Result<(), String> {
        self.post("/url", json!({"url": url})).await.map(drop)
    }

    /// The URL of the page.
    pub async fn url(&self) -> Result<String, String> {
        let url = self.call(Method::GET, "/url", Value::Null).await?;
        Ok(url.as_str().unwrap_or_default().to_owned())
    }

    pub async fn find(&self, css: &str) -> Result<Element, String> {
        let found = self.post("/element", json!({"using": "css selector", "value": css})).await?;
        Ok(Element(found[ELEMENT].as_str().unwrap_or_default().to_owned()))
    }

    pub async fn click(&self, element: &Element) -> Result<(), String> {
        self.post(&format!("/element/{}/click", element.0), json!({})).await.map(drop)
    }

    pub async fn clear(&self, element: &Element) -> Result<(), String> {
        self.post(&format!("/element/{}/clear", element.0), json!({})).await.map(drop)
    }

    pub async fn type_keys(&self, element: &Element, keys: &str) -> Result<(), String> {
        self.post(&format!("/element/{}/value", element.0), json!({"text": keys})).await.map(drop)
    }

    /// The text that a person sees.
    pub async fn text(&self, element: &Element) -> Result<String, String> {
        let text = self.call(Method::GET, &format!("/element/{}/text", element.0), Value::Null).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Runs the body of a function on the page.
    pub async fn execute(&self, script: &str) -> Result<Value, String> {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Calls the Chrome DevTools Protocol.
    pub async fn cdp(&self, method: &str, parameters: Value) -> Result<Value, String> {
        self.post("/goog/cdp/execute", json!({"cmd": method, "params": parameters})).await
    }

    /// The messages of the console since the last call.
    pub async fn take_log(&self) -> Result<Value, String> {
        self.post("/se/log", json!({"type": "browser"})).await
    }

    /// Ends Chromium.
    pub async fn quit(&self) -> Result<(), String> {
        self.call(Method::DELETE, "", json!({})).await.map(drop)
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        // On SIGTERM chromedriver ends its Chromium, too.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// The port that chromedriver chose.
fn port(process: &mut Child) -> u16 {
    let output = process.stdout.take().expect("the output is captured");
    for line in BufReader::new(output).lines() {
        let line = line.expect("chromedriver prints text");
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            return rest.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver ended without a port")
}
